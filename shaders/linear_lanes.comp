#version 450
// SPDX-License-Identifier: MIT
// linear for software drivers: a lane keeps ROWS x COLUMNS sums in its own variables, of rows of its own and of columns
// that are the same for all lanes. CHUNK features at a time are summed up by themselves, which rounds less.
//
//   groups.x  blocks of COLUMNS columns      groups.y  blocks of ROWS * WG rows      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "linear.glsl"

const uint VECTORS = CHUNK / 4u, TALL = ROWS * WG;

// On the way from sums to rows of y, whose stores are code that is here once.
shared float shared_sum[TALL * COLUMNS];

void main()
{
    uint row0 = gl_WorkGroupID.y * TALL, column0 = gl_WorkGroupID.x * COLUMNS, rows = min(push.rows - row0, TALL);
    float sum[ROWS * COLUMNS];
    [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; i++)
        sum[i] = 0.0;
    [[dont_unroll]] for (uint d0 = 0u; d0 < push.features; d0 += CHUNK) {
        begin_features(gl_WorkGroupID.z, d0);
        vec4 xx[ROWS * VECTORS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            uint row = min(row0 + r * WG + gl_LocalInvocationIndex, push.rows - 1u);
            [[unroll]] for (uint d = 0u; d < VECTORS; d++)
                xx[r * VECTORS + d] = load_x(x_begin(gl_WorkGroupID.z, row), d0 + 4u * d);
        }
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
            vec4 ww[VECTORS];
            [[unroll]] for (uint d = 0u; d < VECTORS; d++)
                ww[d] = load_weights(min(column0 + c, push.columns - 1u), d0 + 4u * d);
            [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                float part = 0.0;
                [[unroll]] for (uint d = 0u; d < VECTORS; d++) {
                    vec4 u = xx[r * VECTORS + d], v = ww[d];
                    part = fma(u.w, v.w, fma(u.z, v.z, fma(u.y, v.y, fma(u.x, v.x, part))));
                }
                sum[c * ROWS + r] += part;
            }
        }
    }
    [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            shared_sum[(r * WG + gl_LocalInvocationIndex) * COLUMNS + c] = sum[c * ROWS + r];
    barrier();
    [[dont_unroll]] for (uint e = gl_LocalInvocationIndex; e < rows * (COLUMNS / 4u); e += WG) {
        uint r = e / (COLUMNS / 4u), c = e % (COLUMNS / 4u) * 4u, i = r * COLUMNS + c;
        if (column0 + c < push.columns)
            store_y(gl_WorkGroupID.z, row0 + r, column0 + c,
                    vec4(shared_sum[i], shared_sum[i + 1u], shared_sum[i + 2u], shared_sum[i + 3u]));
    }
}
