/* SPDX-License-Identifier: MIT
 * Angles of positions, the same text in GLSL and in OpenCL C: cosines and sines within 1 ULP for angles up to 10^5,
 * where GLSL promises 2^-11, frequencies that fall geometrically, and features that are turned in pairs. */
#ifndef HEED_ROTATE_H
#define HEED_ROTATE_H

#include "reals.h"

HEED_STRUCT(Turn)
struct Turn {
    HEED_REALS cosine, sine;
};

/* By the angle x. pi / 2 in four parts, of which three times a number below 2^15 are exact. */
Turn heed_turn_of(HEED_REALS x)
{
    HEED_REALS n = floor(x * 0.636619772f + 0.5f);
    HEED_REALS r = ((x - n * 1.5703125f) - n * 0.00048351287841796875f) - n * 3.138557076e-07f - n * 6.077100507e-11f;
    /* Far out, where angles mean nothing any more, what comes is a number. */
    r = clamp(r, HEED_EACH(-0.8f), HEED_EACH(0.8f));
    HEED_REALS z = r * r;
    HEED_REALS s = fma(r * z, fma(z, fma(z, HEED_EACH(-1.9515295891e-4f), HEED_EACH(8.3321608736e-3f)),
                                  HEED_EACH(-1.6666654611e-1f)), r);
    HEED_REALS c = fma(z * z, fma(z, fma(z, HEED_EACH(2.443315711809948e-5f), HEED_EACH(-1.388731625493765e-3f)),
                                  HEED_EACH(4.166664568298827e-2f)), fma(z, HEED_EACH(-0.5f), HEED_EACH(1.0f)));
    Turn t;
    t.cosine = (HEED_REALS_INT(n) & 1) != 0 ? s : c;
    t.sine = (HEED_REALS_INT(n) & 1) != 0 ? c : s;
    t.cosine = ((HEED_REALS_INT(n) + 1) & 2) != 0 ? -t.cosine : t.cosine;
    t.sine = (HEED_REALS_INT(n) & 2) != 0 ? -t.sine : t.sine;
    return t;
}

/* 2^-(i (high + low)), where `high` has 12 bits and i, a whole number, at most 12, so that their product is exact. */
HEED_REALS heed_frequency(HEED_REALS i, float high, float low)
{
    HEED_REALS p = -i * high, n = floor(p + 0.5f), one = HEED_EACH(1.0f);
    HEED_REALS t = ((p - n) - i * low) * 0.693147181f, e = HEED_EACH(1.0f / 5040.0f);
    e = fma(t, fma(t, fma(t, e, HEED_EACH(1.0f / 720.0f)), HEED_EACH(1.0f / 120.0f)), HEED_EACH(1.0f / 24.0f));
    e = fma(t, fma(t, fma(t, e, HEED_EACH(1.0f / 6.0f)), HEED_EACH(0.5f)), HEED_EACH(1.0f));
    /* Vectors on both sides: Oclgrind 21.10 takes lane after lane of a scalar. */
    return fma(t, e, one) * HEED_REALS_OF(max(HEED_REALS_INT(n) + 127, HEED_REALS_INT(one)) << 23);
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

/* A feature turned; `there` is the pair's other feature, negative unless this one is the second. */
HEED_REALS heed_turned(HEED_REALS here, HEED_REALS there, Turn turn)
{
    return fma(here, turn.cosine, there * turn.sine);
}

#endif
