#version 450
// SPDX-License-Identifier: MIT
// Rotary positions: features in pairs, each turned by the row's position times the pair's frequency.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "points.glsl"
#include "rotate.h"

HEED_TENSOR_IN(x, HEED_ROPE_X)
layout(set = 0, binding = HEED_ROPE_POSITIONS) readonly buffer Positions { int positions_w[]; };
HEED_TENSOR_OUT(o, HEED_ROPE_O)

void main()
{
    uvec4 at;
    uint n;
    if (!heed_point(at, n))
        return;
    int position = int(push.own[3]);
    if (flag(HEED_ROPE_COUNT_ON))
        position += int(push.first[2] + at.z);
    if (flag(HEED_ROPE_HAS_POSITIONS))
        position += positions_w[HEED_RESIDUAL(push, HEED_ROPE_POSITIONS) + at.x * push.own[0] + at.y * push.own[1] + at.z * push.own[2]];
    uint dims = push.own[4], d0 = push.first[3] + at.w;
    uint row = HEED_RESIDUAL(push, HEED_ROPE_X) + at.x * push.x_strides[0] + at.y * push.x_strides[1] + at.z * push.x_strides[2];
    vec4 v = vec4(0.0);
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        uint d = d0 + min(k, n - 1u);
        bool turned = d < dims;
        uvec3 pair = heed_pair(flag(HEED_ROPE_INTERLEAVED), d, dims);
        Turn turn = heed_turn_of(float(position) * (push.c * heed_frequency(float(pair.x), push.a, push.b)));
        float here = x_load(DT_X, row + d * push.x_strides[3]);
        float there = x_load(DT_X, row + (turned ? pair.y : d) * push.x_strides[3]);
        v[k] = turned ? heed_turned(here, pair.z != 0u ? there : -there, turn) : here;
    }
    o_store4n(DT_O, heed_place(HEED_RESIDUAL(push, HEED_ROPE_O), at), v, n);
}
