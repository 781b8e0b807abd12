/* SPDX-License-Identifier: MIT
 * Angles of positions, the same text in GLSL and in OpenCL C: cosines and sines within 1 ULP for angles up to 10^5,
 * where GLSL promises 2^-11, frequencies that fall geometrically, and features that are turned in pairs. */
#ifndef HEED_ROTATE_H
#define HEED_ROTATE_H

#include "language.h"

/* (cos x, sin x). pi / 2 in four parts, of which three times a number below 2^15 are exact. */
vec2 heed_cos_sin(float x)
{
    float n = floor(x * 0.636619772f + 0.5f);
    float r = ((x - n * 1.5703125f) - n * 0.00048351287841796875f) - n * 3.138557076e-07f - n * 6.077100507e-11f;
    r = clamp(r, -0.8f, 0.8f); /* far out, where angles mean nothing any more, what comes is a number */
    float z = r * r;
    float s = fma(r * z, fma(z, fma(z, -1.9515295891e-4f, 8.3321608736e-3f), -1.6666654611e-1f), r);
    float c = fma(z * z, fma(z, fma(z, 2.443315711809948e-5f, -1.388731625493765e-3f), 4.166664568298827e-2f),
                  fma(z, -0.5f, 1.0f));
    int quadrant = HEED_INT(n) & 3;
    vec2 v = (quadrant & 1) != 0 ? HEED_VEC(vec2)(s, c) : HEED_VEC(vec2)(c, s);
    return HEED_VEC(vec2)(quadrant == 1 || quadrant == 2 ? -v.x : v.x, quadrant >= 2 ? -v.y : v.y);
}

/* 2^-(i (high + low)), where `high` has 12 bits and i at most 12, so that their product is exact. */
float heed_frequency(uint i, float high, float low)
{
    float p = -HEED_CAST(float, i) * high, n = floor(p + 0.5f);
    float t = ((p - n) - HEED_CAST(float, i) * low) * 0.693147181f;
    float e = fma(t, fma(t, fma(t, fma(t, fma(t, fma(t, 1.0f / 5040.0f, 1.0f / 720.0f), 1.0f / 120.0f), 1.0f / 24.0f),
                                1.0f / 6.0f), 0.5f), 1.0f);
    return fma(t, e, 1.0f) * HEED_FLOAT(HEED_UINT(max(HEED_INT(n) + 127, 1)) << 23);
}

/* Of feature d, which is one of `dims` that are turned: its pair, the pair's other feature, and 1 where d is the second
 * of the two. */
uvec3 heed_pair(bool interleaved, uint d, uint dims)
{
    uint half_way = dims / 2u;
    if (interleaved)
        return HEED_VEC(uvec3)(d / 2u, d ^ 1u, d & 1u);
    return d < half_way ? HEED_VEC(uvec3)(d, d + half_way, 0u) : HEED_VEC(uvec3)(d - half_way, d - half_way, 1u);
}

/* A feature turned by the angle whose cosine and sine `turn` is; `there` is the pair's other feature. */
float heed_turn(float here, float there, bool second, vec2 turn)
{
    return fma(here, turn.x, (second ? there : -there) * turn.y);
}

#endif
