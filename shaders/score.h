/* SPDX-License-Identifier: MIT
 * Scalar arithmetic of scores, the same text in GLSL and in OpenCL C. */
#ifndef HEED_SCORE_H
#define HEED_SCORE_H

#include "language.h"
#include "reals.h"

/* A pair that is ruled out, and the least that an attended pair can be: finite, because compilers may assume that there
 * are no infinities, and neighbours, because masks of the lowest f32 are added like any other. */
#define HEED_RULED_OUT HEED_FLOAT(0xff7fffffu)
#define HEED_LOWEST HEED_FLOAT(0xff7ffffeu)
#define HEED_IS_RULED_OUT(t) (HEED_BITS(t) == 0xff7fffffu)

/* Tested in the bits: isnan() may be folded away where the compiler assumes there are none. */
bool heed_is_nan(float x)
{
    return (HEED_BITS(x) & 0x7fffffffu) > 0x7f800000u;
}

bool heed_is_minus_inf(float x)
{
    return HEED_BITS(x) == 0xff800000u;
}

/* SwiftShader's exp of NaN is 0, and its log of NaN infinite: NaN would not reach the output. */
float heed_exp(float x)
{
    return heed_is_nan(x) ? x : exp(x);
}

float heed_log(float x)
{
    return heed_is_nan(x) ? x : log(x);
}

float heed_softcap(float s, float cap)
{
    return cap * heed_tanh(s / cap);
}

/* distance^exponent from the squared distance, exponent > 0. pow() is exp2(y log2(x)), whose error grows with the
 * result's logarithm; here the whole part of it is kept exact. */
float heed_distance_power(float squared, float exponent)
{
    if (!(squared > 0.0f))
        return squared; /* 0, or NaN */
    if (exponent == 2.0f)
        return squared;
    if (exponent == 1.0f)
        return sqrt(squared);
    float k = 0.5f * exponent;
    int e = HEED_INT(HEED_BITS(squared) >> 23) - 127;
    float m = HEED_FLOAT((HEED_BITS(squared) & 0x7fffffu) | 0x3f800000u);
    if (m > 1.41421356f) {
        m *= 0.5f;
        e += 1;
    }
    float k_high = HEED_FLOAT(HEED_BITS(k) & 0xfffff000u);
    float whole = k_high * HEED_CAST(float, e);
    float base = floor(whole + 0.5f);
    float rest = (whole - base) + fma(k - k_high, HEED_CAST(float, e), k * log2(m));
    return exp2(rest) * exp2(clamp(base, -126.0f, 127.0f));
}

#endif
