#version 450
// SPDX-License-Identifier: MIT
// An image of another size, each of its places between four of x.
#extension GL_GOOGLE_include_directive : require
#include "abi.h"
#include "points.glsl"
#include "resize.h"

HEED_TENSOR_IN(x, HEED_RESIZE_X)
HEED_TENSOR_OUT(o, HEED_RESIZE_O)

vec4 load(uint e, uint n)
{
    if (!flag(HEED_RESIZE_STRIDED))
        return x_load4n(DT_X, e, n);
    uvec4 i = e + min(HEED_FOUR, uvec4(n - 1u)) * push.x_strides[3];
    return vec4(x_load(DT_X, i.x), x_load(DT_X, i.y), x_load(DT_X, i.z), x_load(DT_X, i.w));
}

void main()
{
    uvec4 at;
    uint n;
    if (!heed_point(at, n))
        return;
    bool align = flag(HEED_RESIZE_ALIGN_CORNERS);
    float y = heed_resize_place(align, push.first[1] + at.y, push.a), x = heed_resize_place(align, push.first[2] + at.z, push.b);
    uint y0 = heed_resize_before(y, push.own[0]), y1 = heed_resize_after(y0, push.own[0]);
    uint x0 = heed_resize_before(x, push.own[1]), x1 = heed_resize_after(x0, push.own[1]);
    float wy = heed_resize_weight(y, y0), wx = heed_resize_weight(x, x0);
    uint e = HEED_RESIDUAL(push, HEED_RESIZE_X) + at.x * push.x_strides[0] + at.w * push.x_strides[3];
    y0 = e + y0 * push.x_strides[1];
    y1 = e + y1 * push.x_strides[1];
    x0 *= push.x_strides[2];
    x1 *= push.x_strides[2];
    vec4 v = (1.0 - wy) * ((1.0 - wx) * load(y0 + x0, n) + wx * load(y0 + x1, n)) +
             wy * ((1.0 - wx) * load(y1 + x0, n) + wx * load(y1 + x1, n));
    o_store4n(DT_O, heed_place(HEED_RESIDUAL(push, HEED_RESIZE_O), at), v, n);
}
