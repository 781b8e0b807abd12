/* SPDX-License-Identifier: MIT
 * Where places of an image lie in one of another size, the same text in GLSL and in OpenCL C. */
#ifndef HEED_RESIZE_H
#define HEED_RESIZE_H

#include "language.h"

float heed_resize_place(bool align_corners, uint to, float scale)
{
    float at = HEED_CAST(float, to);
    return align_corners ? at * scale : max((at + 0.5f) * scale - 0.5f, 0.0f);
}

/* The place of x before it, the one after, and how far it is to the latter. */
uint heed_resize_before(float place, uint length)
{
    return min(HEED_UINT(place), length - 1u);
}

uint heed_resize_after(uint before, uint length)
{
    return min(before + 1u, length - 1u);
}

float heed_resize_weight(float place, uint before)
{
    return min(place - HEED_CAST(float, before), 1.0f);
}

#endif
