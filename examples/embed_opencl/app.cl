// SPDX-License-Identifier: MIT
// The app's own kernels, before heed and after it.
#include "code.h"

// Question i is the code of thing (7 i + 3) mod 1000, with one sign wrong.
kernel void ask(global float *q)
{
    uint i = get_global_id(0);
    uint bits = code_bits(ASKED(i));
    for (uint d = 0; d < CODE_DIM; d++)
        q[i * CODE_DIM + d] = CODE_SIGN(bits, d) * (d == i % CODE_DIM ? -1.0f : 1.0f);
}

// The digits that attention brought make a number.
kernel void answer(global const float *o, global uint *answers)
{
    uint i = get_global_id(0), number = 0;
    for (uint d = 0; d < DIGITS; d++)
        number = 10 * number + convert_uint_rte(o[i * DIGITS + d]);
    answers[i] = number;
}
