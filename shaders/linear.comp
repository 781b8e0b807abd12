#version 450
// SPDX-License-Identifier: MIT
// linear for GPUs: tiles of x and W in shared memory, 4 rows x 4 columns of the product in registers.
//
//   groups.x  blocks of 4 * 8 columns      groups.y  blocks of 4 * WG / 8 rows      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "linear.glsl"

const uint ACROSS = 8u, TILE_ROWS = WG / ACROSS * 4u, TILE_COLUMNS = ACROSS * 4u, DEPTH = 16u;

// Features first, so that four rows, and four columns, are one vector.
shared vec4 tile_x[DEPTH * TILE_ROWS / 4u], tile_w[DEPTH * TILE_COLUMNS / 4u];

void main()
{
    uint t = gl_LocalInvocationIndex, batch = gl_WorkGroupID.z;
    uint row0 = gl_WorkGroupID.y * TILE_ROWS, column0 = gl_WorkGroupID.x * TILE_COLUMNS;
    uint tx = t % ACROSS, ty = t / ACROSS;
    vec4 sum[4] = vec4[4](vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    for (uint d0 = 0u; d0 < push.features; d0 += DEPTH) {
        begin_features(batch, d0);
        barrier();
        for (uint i = t; i < TILE_ROWS * DEPTH / 4u; i += WG) {
            uint r = i / (DEPTH / 4u), d = i % (DEPTH / 4u) * 4u;
            vec4 v = load_x(x_begin(batch, min(row0 + r, push.rows - 1u)), d0 + d);
            for (uint k = 0u; k < 4u; k++)
                tile_x[(d + k) * (TILE_ROWS / 4u) + r / 4u][r % 4u] = v[k];
        }
        for (uint i = t; i < TILE_COLUMNS * DEPTH / 4u; i += WG) {
            uint c = i / (DEPTH / 4u), d = i % (DEPTH / 4u) * 4u;
            vec4 v = load_weights(min(column0 + c, push.columns - 1u), d0 + d);
            for (uint k = 0u; k < 4u; k++)
                tile_w[(d + k) * (TILE_COLUMNS / 4u) + c / 4u][c % 4u] = v[k];
        }
        barrier();
        [[unroll]] for (uint k = 0u; k < DEPTH; k++) {
            vec4 a = tile_x[k * (TILE_ROWS / 4u) + ty], b = tile_w[k * (TILE_COLUMNS / 4u) + tx];
            [[unroll]] for (uint r = 0u; r < 4u; r++)
                sum[r] = fma(vec4(a[r]), b, sum[r]);
        }
    }
    uint column = column0 + 4u * tx;
    if (column >= push.columns)
        return;
    [[unroll]] for (uint r = 0u; r < 4u; r++)
        if (row0 + 4u * ty + r < push.rows)
            store_y(batch, row0 + 4u * ty + r, column, sum[r]);
}
