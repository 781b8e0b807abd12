/* SPDX-License-Identifier: MIT
 * The order of top_k, the same text in GLSL and in OpenCL C: of equal numbers the first, NaN last. */
#ifndef HEED_ORDER_H
#define HEED_ORDER_H

#include "score.h"

/* In the order of the numbers, from 1 on; 0 for NaN. */
uint heed_key(float v)
{
    uint u = v == 0.0f ? 0u : HEED_BITS(v);
    return heed_is_nan(v) ? 0u : (u & 0x80000000u) != 0u ? ~u : u | 0x80000000u;
}

/* (key, place): keys from the largest on, and of equal ones the first. */
bool heed_precedes(uvec2 a, uvec2 b)
{
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}

#endif
