/* SPDX-License-Identifier: MIT
 * Activations, the same text in GLSL and in OpenCL C, as enum heed_activation numbers them. Needs score.h. */
#ifndef HEED_ACTIVATION_H
#define HEED_ACTIVATION_H

/* Within 1 ULP of erf where exp is: a polynomial in x below 0.93, 1 - exp of one above. After N. Juffa's erff. */
float heed_erf(float x)
{
    float a = HEED_ABS(x), s = x * x, r;
    if (a > 0.927734375f) {
        r = fma(-1.72853470e-5f, a, 3.83197126e-4f);
        r = fma(r, s, fma(-3.88396438e-3f, a, 2.42546219e-2f));
        r = fma(fma(fma(r, a, -1.06777877e-1f), a, -6.34846687e-1f), a, -1.28717512e-1f);
        r = 1.0f - exp(fma(r, a, -a));
        r = a > 4.0f ? 1.0f : r;
        return heed_is_nan(x) ? x : x > 0.0f ? r : -r;
    }
    r = fma(fma(fma(-5.96761703e-4f, s, 4.99119423e-3f), s, -2.67681349e-2f), s, 1.12819925e-1f);
    return fma(fma(fma(r, s, -3.76125336e-1f), s, 1.28379166e-1f), x, x);
}

/* exp of a large number is no infinity here: compilers may assume that there are none. */
float heed_sigmoid(float x)
{
    float e = exp(-min(HEED_ABS(x), 100.0f)), r = 1.0f / (1.0f + e);
    return heed_is_nan(x) ? x : x >= 0.0f ? r : e * r;
}

float heed_activate(uint activation, float x)
{
    switch (activation) {
    case 1u:
        return x > 0.0f || heed_is_nan(x) ? x : 0.0f;
    case 2u:
        return 0.5f * x * (1.0f + heed_erf(0.70710678f * x));
    case 3u:
        return 0.5f * x * (1.0f + heed_tanh(0.79788456f * fma(0.044715f * x, x * x, x)));
    case 4u:
        return x * heed_sigmoid(x);
    case 5u:
        return heed_sigmoid(x);
    case 6u:
        return heed_tanh(x);
    }
    return x;
}

#endif
