#version 450
// SPDX-License-Identifier: MIT
// linear for few rows: CHUNK invocations share 4 columns of W, whose weights are read once for ROWS rows. The work is
// reading W.
//
//   groups.x  blocks of 4 * WG / CHUNK columns      groups.y  blocks of ROWS rows      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "linear.glsl"

shared vec4 shared_sum[WG];

void main()
{
    uint t = gl_LocalInvocationIndex, lane = t % CHUNK, batch = gl_WorkGroupID.z;
    uint column = (gl_WorkGroupID.x * (WG / CHUNK) + t / CHUNK) * 4u, row0 = gl_WorkGroupID.y * ROWS;
    vec4 sum[ROWS];
    uint begin[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        sum[r] = vec4(0.0);
        begin[r] = x_begin(batch, min(row0 + r, push.rows - 1u));
    }
    uvec4 columns = min(column + uvec4(0u, 1u, 2u, 3u), uvec4(push.columns - 1u));
    [[dont_unroll]] for (uint d = 4u * lane; d < push.features; d += 4u * CHUNK) {
        vec4 w0 = load_weights(columns.x, d), w1 = load_weights(columns.y, d), w2 = load_weights(columns.z, d),
             w3 = load_weights(columns.w, d);
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            vec4 v = load_x(begin[r], d);
            sum[r] += vec4(dot(w0, v), dot(w1, v), dot(w2, v), dot(w3, v));
        }
    }
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        if (CHUNK > 1u) {
            barrier();
            shared_sum[t] = sum[r];
            for (uint n = CHUNK / 2u; n > 0u; n /= 2u) {
                barrier();
                if (lane < n)
                    shared_sum[t] += shared_sum[t + n];
            }
            sum[r] = shared_sum[t];
        }
        if (lane == 0u && column < push.columns && row0 + r < push.rows)
            store_y(batch, row0 + r, column, sum[r]);
    }
}
