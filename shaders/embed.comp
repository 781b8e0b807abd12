#version 450
// SPDX-License-Identifier: MIT
// Rows of a table, f32, f16, bf16 or q8_0, by number; zeros where there is no such row.
#extension GL_GOOGLE_include_directive : require
#include "abi.h"
#include "points.glsl"

HEED_TENSOR_IN(table, HEED_EMBED_TABLE)
layout(set = 0, binding = HEED_EMBED_INDEX) readonly buffer Index { int index_w[]; };
HEED_TENSOR_OUT(o, HEED_EMBED_O)

// A block of q8_0 is 17 halves: the scale, then 32 int8.
uint q8_half(uint i)
{
    return table_w[i >> 1] >> 16u * (i & 1u) & 0xffffu;
}

vec4 load_block(uint row, uint d)
{
    uint i = HEED_RESIDUAL(push, HEED_EMBED_TABLE) + 17u * (row * (push.x_strides[0] / 32u) + d / 32u);
    uint pair = i + 1u + d % 32u / 2u;
    int numbers = int(q8_half(pair) | q8_half(pair + 1u) << 16);
    return unpackHalf2x16(q8_half(i)).x * vec4(bitfieldExtract(numbers, 0, 8), bitfieldExtract(numbers, 8, 8),
                                               bitfieldExtract(numbers, 16, 8), bitfieldExtract(numbers, 24, 8));
}

void main()
{
    uvec4 at;
    uint n;
    if (!heed_point(at, n))
        return;
    int index = index_w[HEED_RESIDUAL(push, HEED_EMBED_INDEX) + at.x * push.own[0] + at.y * push.own[1] + at.z * push.own[2]];
    vec4 v = vec4(0.0);
    if (uint(index) < push.own[3]) {
        uint row = uint(index), d = push.first[3] + at.w;
        if (DT_X == HEED_DT_Q8_0)
            v = load_block(row, d);
        else
            v = table_load4n(DT_X, HEED_RESIDUAL(push, HEED_EMBED_TABLE) + row * push.x_strides[0] + d, n);
    }
    o_store4n(DT_O, heed_place(HEED_RESIDUAL(push, HEED_EMBED_O), at), v, n);
}
