// SPDX-License-Identifier: MIT
// The app's own work after heed: an answer is four digits, from which a number is made.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "code.h"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer Output { float o[]; };
layout(binding = 1) writeonly buffer Answers { uint answers[]; };

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= QUESTIONS)
        return;
    uint number = 0u;
    for (uint d = 0u; d < DIGITS; d++)
        number = 10u * number + uint(o[i * DIGITS + d] + 0.5);
    answers[i] = number;
}
