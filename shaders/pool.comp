#version 450
// SPDX-License-Identifier: MIT
// The mean or the maximum along an axis: an invocation takes 4 neighbours on another axis through all of it, or, along
// the last axis, 4 of it at a time.
#extension GL_GOOGLE_include_directive : require
#include "abi.h"
#include "points.glsl"
#include "reals.h"

HEED_TENSOR_IN(x, HEED_POOL_X)
HEED_TENSOR_OUT(o, HEED_POOL_O)

vec4 load(uint e, uint n)
{
    if (!flag(HEED_POOL_STRIDED))
        return x_load4n(DT_X, e, n);
    uvec4 i = e + min(HEED_FOUR, uvec4(n - 1u)) * push.x_strides[3];
    return vec4(x_load(DT_X, i.x), x_load(DT_X, i.y), x_load(DT_X, i.z), x_load(DT_X, i.w));
}

vec4 join(vec4 a, vec4 b)
{
    if (!flag(HEED_POOL_MAX))
        return a + b;
    return vec4(heed_larger(a.x, b.x), heed_larger(a.y, b.y), heed_larger(a.z, b.z), heed_larger(a.w, b.w));
}

void main()
{
    uvec4 at;
    uint n, count = push.own[0], stride = push.own[1];
    if (!heed_point(at, n))
        return;
    uint e = HEED_RESIDUAL(push, HEED_POOL_X) + at.x * push.x_strides[0] + at.y * push.x_strides[1] +
             at.z * push.x_strides[2] + at.w * push.x_strides[3];
    vec4 v = vec4(0.0);
    if (flag(HEED_POOL_LAST)) {
        v = load(e, count);
        vec4 none = vec4(flag(HEED_POOL_MAX) ? v.x : 0.0);
        v = mix(none, v, lessThan(HEED_FOUR, uvec4(count)));
        for (uint i = 4u; i < count; i += 4u) {
            vec4 next = load(e + i * push.x_strides[3], count - i);
            v = join(v, mix(none, next, lessThan(i + HEED_FOUR, uvec4(count))));
        }
        v = vec4(flag(HEED_POOL_MAX) ? heed_larger(heed_larger(v.x, v.y), heed_larger(v.z, v.w)) : (v.x + v.y) + (v.z + v.w));
    } else {
        v = load(e, n);
        for (uint i = 1u; i < count; i++)
            v = join(v, load(e + i * stride, n));
    }
    if (!flag(HEED_POOL_MAX))
        v /= float(count);
    o_store4n(DT_O, heed_place(HEED_RESIDUAL(push, HEED_POOL_O), at), v, n);
}
