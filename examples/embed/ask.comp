// SPDX-License-Identifier: MIT
// The app's own work before heed: question i is the code of thing (7 i + 3) mod 1000, with one sign wrong.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "code.h"

layout(local_size_x = 64) in;
layout(binding = 0) writeonly buffer Questions { float q[]; };

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= QUESTIONS)
        return;
    uint bits = code_bits(ASKED(i));
    for (uint d = 0u; d < CODE_DIM; d++)
        q[i * CODE_DIM + d] = CODE_SIGN(bits, d) * (d == i % CODE_DIM ? -1.0 : 1.0);
}
