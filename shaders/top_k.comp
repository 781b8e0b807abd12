#version 450
// SPDX-License-Identifier: MIT
// The K largest of a row and where they are: in each of K rounds, the largest of those behind the one before. A work
// group has a row.
//
//   groups.x  rows, axis 2 of the box      groups.y  axis 1      groups.z  axis 0
#extension GL_GOOGLE_include_directive : require
#include "abi.h"
#include "points.glsl"
#include "order.h"

HEED_TENSOR_IN(x, HEED_TOP_K_X)
HEED_TENSOR_OUT(values, HEED_TOP_K_VALUES)
layout(set = 0, binding = HEED_TOP_K_INDICES) buffer Indices { int indices_w[]; };

const uint WG = gl_WorkGroupSize.x;

shared uvec2 shared_best[WG];

void main()
{
    uint t = gl_LocalInvocationIndex, length = push.own[0], k = push.own[1];
    uvec3 at = gl_WorkGroupID.zyx;
    uint e = HEED_RESIDUAL(push, HEED_TOP_K_X) + at.x * push.x_strides[0] + at.y * push.x_strides[1] + at.z * push.x_strides[2];
    uint o = at.x * push.o_strides[0] + at.y * push.o_strides[1] + at.z * push.o_strides[2];
    uvec2 last = uvec2(0xffffffffu, 0u);
    for (uint r = 0u; r < k; r++) {
        uvec2 best = uvec2(0u, 0xffffffffu);
        for (uint i = t; i < length; i += WG) {
            uvec2 here = uvec2(heed_key(x_load(DT_X, e + i * push.x_strides[3])), i);
            if (heed_precedes(here, best) && (r == 0u || heed_precedes(last, here)))
                best = here;
        }
        barrier();
        shared_best[t] = best;
        for (uint n = WG / 2u; n > 0u; n /= 2u) {
            barrier();
            if (t < n && heed_precedes(shared_best[t + n], shared_best[t]))
                shared_best[t] = shared_best[t + n];
        }
        barrier();
        last = shared_best[0];
        if (t == 0u) {
            indices_w[HEED_RESIDUAL(push, HEED_TOP_K_INDICES) + o + r] = int(last.y);
            if (flag(HEED_TOP_K_HAS_VALUES)) {
                float v = x_load(DT_X, e + last.y * push.x_strides[3]);
                values_store4n(DT_O, HEED_RESIDUAL(push, HEED_TOP_K_VALUES) + o + r, vec4(v), 1u);
            }
        }
    }
}
