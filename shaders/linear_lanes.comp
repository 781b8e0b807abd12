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

const uint VECTORS = CHUNK / 4u, STAGED = 16u, WIDE = COLUMNS * WG;

shared vec4 shared_x[STAGED * VECTORS];
shared float shared_sum[ROWS * WIDE];
// See attn_scores_lanes.comp: what is kept across barriers comes from memory.
shared uint shared_lane[WG];

void main()
{
    shared_lane[gl_LocalInvocationIndex] = gl_LocalInvocationIndex;
    barrier();
    uint lane = shared_lane[gl_LocalInvocationIndex], batch = gl_WorkGroupID.z;
    uint row0 = gl_WorkGroupID.y * ROWS, column0 = gl_WorkGroupID.x * WIDE, rows = min(push.rows - row0, ROWS);
    [[dont_unroll]] for (uint d0 = 0u; d0 < push.features; d0 += CHUNK) {
        vec4 ww[COLUMNS * VECTORS];
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
            [[unroll]] for (uint d = 0u; d < VECTORS; d++)
                ww[c * VECTORS + d] = load_weights(min(column0 + c * WG + lane, push.columns - 1u), d0 + 4u * d);
        [[dont_unroll]] for (uint r0 = 0u; r0 < rows; r0 += STAGED) {
            uint count = min(rows - r0, STAGED);
            barrier();
            [[dont_unroll]] for (uint e = lane; e < count * VECTORS; e += WG)
                shared_x[e] = load_x(x_begin(batch, row0 + r0 + e / VECTORS), d0 + 4u * (e % VECTORS));
            barrier();
            [[dont_unroll]] for (uint r = 0u; r < count; r++) {
                vec2 sum[COLUMNS];
                [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
                    sum[c] = vec2(0.0);
                [[unroll]] for (uint d = 0u; d < VECTORS; d++) {
                    vec4 xx = shared_x[(r & (STAGED - 1u)) * VECTORS + d];
                    [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                        vec4 v = ww[c * VECTORS + d];
                        sum[c] = fma(xx.zw, v.zw, fma(xx.xy, v.xy, sum[c]));
                    }
                }
                [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                    uint i = (r0 + r) * WIDE + c * WG + lane;
                    float before = d0 == 0u ? 0.0 : shared_sum[i];
                    shared_sum[i] = before + (sum[c].x + sum[c].y);
                }
            }
        }
    }
    barrier();
    [[dont_unroll]] for (uint e = lane; e < rows * (WIDE / 4u); e += WG) {
        uint r = e / (WIDE / 4u), c = e % (WIDE / 4u) * 4u, i = r * WIDE + c;
        if (column0 + c < push.columns)
            store_y(batch, row0 + r, column0 + c,
                    vec4(shared_sum[i], shared_sum[i + 1u], shared_sum[i + 2u], shared_sum[i + 3u]));
    }
}
