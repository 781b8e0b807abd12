/* SPDX-License-Identifier: MIT
 * Arithmetic of a float, or in OpenCL C of a vector of them, the same text in GLSL and in OpenCL C. Who wants a vector
 * defines HEED_REALS, and HEED_REALS_BITS, which reinterprets it as uint, HEED_REALS_OF, which does so with an int the
 * other way round, and HEED_REALS_INT, which converts. */
#ifndef HEED_REALS_H
#define HEED_REALS_H

#include "language.h"

#ifndef HEED_REALS
#define HEED_REALS float
#define HEED_REALS_BITS(x) HEED_BITS(x)
#define HEED_REALS_OF(x) HEED_FLOAT(HEED_UINT(x))
#define HEED_REALS_INT(x) HEED_INT(x)
#endif
#define HEED_EACH(x) HEED_CAST(HEED_REALS, x)

/* Tested in the bits: isnan() may be folded away where the compiler assumes there are none. */
#define HEED_ARE_NAN(x) ((HEED_REALS_BITS(x) & 0x7fffffffu) > 0x7f800000u)

/* Drivers make tanh of two exponentials, which cancels near 0 and overflows far away. Polynomial: Cephes tanhf. */
HEED_REALS heed_tanh(HEED_REALS x)
{
    HEED_REALS a = HEED_ABS(x), z = x * x;
    HEED_REALS p = fma(fma(fma(HEED_EACH(-5.70498872745e-3f), z, HEED_EACH(2.06390887954e-2f)), z,
                           HEED_EACH(-5.37397155531e-2f)), z, HEED_EACH(1.33314422036e-1f));
    HEED_REALS near = fma(fma(p, z, HEED_EACH(-3.33332819422e-1f)) * z, x, x);
    HEED_REALS far = 1.0f - 2.0f / (exp(2.0f * min(a, 10.0f)) + 1.0f); /* 1 from there on */
    return HEED_ARE_NAN(x) ? x : a < 0.625f ? near : x > 0.0f ? far : -far;
}

/* NaN is the largest. */
HEED_REALS heed_larger(HEED_REALS a, HEED_REALS b)
{
    return HEED_ARE_NAN(a) || a > b ? a : b;
}

#endif
