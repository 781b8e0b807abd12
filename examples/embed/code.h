/* SPDX-License-Identifier: MIT
 * What the app's shaders or kernels and its C agree on: 1000 things, each known by a code of 32 signs, and 300 questions. */
#ifndef CODE_H
#define CODE_H

#define THINGS 1000u
#define QUESTIONS 300u
#define CODE_DIM 32u
#define DIGITS 4u /* of a thing's number */

#define NUMBER(thing) ((thing) * 7919u % 10000u)
#define ASKED(question) ((7u * (question) + 3u) % THINGS)

#if defined(VULKAN) || defined(__OPENCL_VERSION__) /* GLSL, OpenCL C */
#define CODE_UINT uint
#define CODE_FUNCTION
#else
#include <stdint.h>
#define CODE_UINT uint32_t
#define CODE_FUNCTION static inline
#endif

/* 32 coin tosses for a thing: its code has -1 where the bit is set. */
CODE_FUNCTION CODE_UINT code_bits(CODE_UINT thing)
{
    CODE_UINT x = thing + 1u;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}
#define CODE_SIGN(bits, d) (((bits) >> (d) & 1u) == 0u ? 1.0f : -1.0f)

#endif
