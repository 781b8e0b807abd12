// SPDX-License-Identifier: MIT
// Angles of positions: cosines and sines within 1 ULP for angles up to 10^5, where GLSL promises 2^-11, and
// frequencies that fall geometrically.

// (cos x, sin x). pi / 2 in four parts, of which three times a number below 2^15 are exact.
vec2 heed_cos_sin(float x)
{
    float n = floor(x * 0.636619772 + 0.5);
    float r = ((x - n * 1.5703125) - n * 0.00048351287841796875) - n * 3.138557076e-07 - n * 6.077100507e-11;
    r = clamp(r, -0.8, 0.8); // far out, where angles mean nothing any more, what comes is a number
    float z = r * r;
    float s = fma(r * z, fma(z, fma(z, -1.9515295891e-4, 8.3321608736e-3), -1.6666654611e-1), r);
    float c = fma(z * z, fma(z, fma(z, 2.443315711809948e-5, -1.388731625493765e-3), 4.166664568298827e-2),
                  fma(z, -0.5, 1.0));
    int quadrant = int(n) & 3;
    vec2 v = (quadrant & 1) != 0 ? vec2(s, c) : vec2(c, s);
    return vec2(quadrant == 1 || quadrant == 2 ? -v.x : v.x, quadrant >= 2 ? -v.y : v.y);
}

// 2^-(i (high + low)), where `high` has 12 bits and i at most 12, so that their product is exact.
float heed_frequency(uint i, float high, float low)
{
    float p = -float(i) * high, n = floor(p + 0.5), t = ((p - n) - float(i) * low) * 0.693147181;
    float e = fma(t, fma(t, fma(t, fma(t, fma(t, fma(t, 1.0 / 5040.0, 1.0 / 720.0), 1.0 / 120.0), 1.0 / 24.0), 1.0 / 6.0), 0.5), 1.0);
    return fma(t, e, 1.0) * uintBitsToFloat(uint(max(int(n) + 127, 1)) << 23);
}
