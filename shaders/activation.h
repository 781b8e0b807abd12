/* SPDX-License-Identifier: MIT
 * Activations, the same text in GLSL and in OpenCL C, as enum heed_activation numbers them. */
#ifndef HEED_ACTIVATION_H
#define HEED_ACTIVATION_H

#include "reals.h"

/* Within 1 ULP of erf where exp is: a polynomial in x below 0.93, 1 - exp of one above. After N. Juffa's erff. */
HEED_REALS heed_erf(HEED_REALS x)
{
    HEED_REALS a = min(HEED_ABS(x), 4.0f), s = a * a; /* 1 from there on */
    HEED_REALS r = fma(HEED_EACH(-1.72853470e-5f), a, HEED_EACH(3.83197126e-4f));
    r = fma(r, s, fma(HEED_EACH(-3.88396438e-3f), a, HEED_EACH(2.42546219e-2f)));
    r = fma(fma(fma(r, a, HEED_EACH(-1.06777877e-1f)), a, HEED_EACH(-6.34846687e-1f)), a, HEED_EACH(-1.28717512e-1f));
    HEED_REALS far = 1.0f - exp(fma(r, a, -a));
    r = fma(fma(fma(HEED_EACH(-5.96761703e-4f), s, HEED_EACH(4.99119423e-3f)), s, HEED_EACH(-2.67681349e-2f)), s,
            HEED_EACH(1.12819925e-1f));
    HEED_REALS near = fma(fma(fma(r, s, HEED_EACH(-3.76125336e-1f)), s, HEED_EACH(1.28379166e-1f)), x, x);
    return HEED_ARE_NAN(x) ? x : a <= 0.927734375f ? near : x > 0.0f ? far : -far;
}

/* exp of a large number is no infinity here: compilers may assume that there are none. */
HEED_REALS heed_sigmoid(HEED_REALS x)
{
    HEED_REALS e = exp(-min(HEED_ABS(x), 100.0f)), r = 1.0f / (1.0f + e);
    return HEED_ARE_NAN(x) ? x : x >= 0.0f ? r : e * r;
}

HEED_REALS heed_activate(uint activation, HEED_REALS x)
{
    switch (activation) {
    case 1u:
        return x > 0.0f || HEED_ARE_NAN(x) ? x : HEED_EACH(0.0f);
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
