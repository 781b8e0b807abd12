#version 450
// SPDX-License-Identifier: MIT
// linear for software drivers: a lane keeps CHUNK features of COLUMNS columns of W, and the rows of x pass by in shared
// memory, whose elements are one load for all lanes. What the rows sum up to, chunk by chunk, lies in shared memory too.
//
//   groups.x  blocks of COLUMNS * WG columns      groups.y  blocks of ROWS rows      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "linear.glsl"

const uint VECTORS = CHUNK / 4u, WIDE = COLUMNS * WG;

shared vec4 shared_x[ROWS * VECTORS];
shared float shared_sum[ROWS * WIDE];
// See attn_scores_lanes.comp: what was computed before a barrier is computed again at every use. So are loads of
// weights, which are made behind the last barrier of a chunk.
shared uint shared_lane[WG];

void main()
{
    shared_lane[gl_LocalInvocationIndex] = gl_LocalInvocationIndex;
    uint row0 = gl_WorkGroupID.y * ROWS, column0 = gl_WorkGroupID.x * WIDE, rows = min(push.rows - row0, ROWS);
    [[dont_unroll]] for (uint d0 = 0u; d0 < push.features; d0 += CHUNK) {
        barrier();
        begin_features(gl_WorkGroupID.z, d0);
        [[dont_unroll]] for (uint e = gl_LocalInvocationIndex; e < rows * VECTORS; e += WG)
            shared_x[e] = load_x(x_begin(gl_WorkGroupID.z, row0 + e / VECTORS), d0 + 4u * (e % VECTORS));
        barrier();
        uint lane = shared_lane[gl_LocalInvocationIndex];
        vec4 ww[COLUMNS * VECTORS];
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
            [[unroll]] for (uint d = 0u; d < VECTORS; d++)
                ww[c * VECTORS + d] = load_weights(min(column0 + c * WG + lane, push.columns - 1u), d0 + 4u * d);
        [[dont_unroll]] for (uint r = 0u; r < rows; r++) {
            vec2 sum[COLUMNS];
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
                sum[c] = vec2(0.0);
            [[unroll]] for (uint d = 0u; d < VECTORS; d++) {
                vec4 xx = shared_x[(r & (ROWS - 1u)) * VECTORS + d];
                [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                    vec4 v = ww[c * VECTORS + d];
                    sum[c] = fma(xx.zw, v.zw, fma(xx.xy, v.xy, sum[c]));
                }
            }
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                uint i = r * WIDE + c * WG + lane;
                float before = d0 == 0u ? 0.0 : shared_sum[i];
                shared_sum[i] = before + (sum[c].x + sum[c].y);
            }
        }
    }
    barrier();
    [[dont_unroll]] for (uint e = gl_LocalInvocationIndex; e < rows * (WIDE / 4u); e += WG) {
        uint r = e / (WIDE / 4u), c = e % (WIDE / 4u) * 4u, i = r * WIDE + c;
        if (column0 + c < push.columns)
            store_y(gl_WorkGroupID.z, row0 + r, column0 + c,
                    vec4(shared_sum[i], shared_sum[i + 1u], shared_sum[i + 2u], shared_sum[i + 3u]));
    }
}
