#version 450
// SPDX-License-Identifier: MIT
// Sines and cosines of positions times frequencies that fall geometrically.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "points.glsl"
#include "rotate.h"

layout(set = 0, binding = HEED_SINUSOID_POSITIONS) readonly buffer Positions { uint positions_w[]; };
HEED_TENSOR_OUT(o, HEED_SINUSOID_O)

void main()
{
    uvec4 at;
    uint n;
    if (!heed_point(at, n))
        return;
    float position = float(push.first[2] + at.z);
    if (flag(HEED_SINUSOID_HAS_POSITIONS)) {
        uint word = positions_w[HEED_RESIDUAL(push, HEED_SINUSOID_POSITIONS) + at.x * push.own[0] + at.y * push.own[1] + at.z * push.own[2]];
        position = flag(HEED_SINUSOID_INTEGERS) ? float(int(word)) : uintBitsToFloat(word);
    }
    vec4 v = vec4(0.0);
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        uint d = push.first[3] + at.w + min(k, n - 1u);
        uvec3 pair = heed_pair(flag(HEED_SINUSOID_INTERLEAVED), d, 2u * push.own[3]);
        Turn turn = heed_turn_of(push.c * position * heed_frequency(float(pair.x), push.a, push.b));
        v[k] = (pair.z != 0u) != flag(HEED_SINUSOID_COSINE_FIRST) ? turn.cosine : turn.sine;
    }
    o_store4n(DT_O, heed_place(HEED_RESIDUAL(push, HEED_SINUSOID_O), at), v, n);
}
