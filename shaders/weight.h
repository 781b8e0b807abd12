/* SPDX-License-Identifier: MIT
 * exp2() for weights, as short as their accuracy allows, in GLSL and in OpenCL C. Whoever includes it has defined FLOATS,
 * float or a vector of them, and FLOATS_BITS and BITS_FLOATS, which reinterpret it as uint and back. */
#ifndef HEED_WEIGHT_H
#define HEED_WEIGHT_H

#include "language.h"

#define LOG2_E 1.44269504f
#define EACH(x) HEED_CAST(FLOATS, x)

/* 2^x, and 0 below 2^-126. Rounding leaves |f| <= 0.5 for a polynomial whose relative error is 1.7e-7; the sum with
 * 1.5 * 2^23 has the whole part, biased like an exponent, in its low bits. It is the sum of the rounded x, since that
 * of a tie might be rounded the other way. int() is not used because lavapipe makes scalar code of it, and exp2()
 * because it is twice as long there. NaN stays NaN. */
FLOATS weight(FLOATS x)
{
    FLOATS whole = HEED_ROUND_EVEN(x), f = x - whole;
    FLOATS p = fma(fma(fma(fma(fma(EACH(1.338207047e-3f), f, EACH(9.667145088e-3f)), f, EACH(5.550380051e-2f)), f,
                           EACH(0.2402233928f)), f, EACH(0.6931471825f)), f, EACH(1.0f));
    p *= BITS_FLOATS(FLOATS_BITS(whole + (12582912.0f + 127.0f)) << 23);
    return x < -126.0f ? EACH(0.0f) : p;
}

#endif
