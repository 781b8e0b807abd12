#version 450
// SPDX-License-Identifier: MIT
// A convolution of groups of few channels, such as depth-wise: an invocation makes 4 channels of ROWS positions, and
// reads each weight once for them.
//
//   groups.x  channels of y / 4, rows / ROWS      groups.z  lines
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#define HEED_CONV
#include "abi.h"
#include "linear.glsl"

layout(constant_id = HEED_CONV_SPEC_GROUP_OUT) const uint GROUP_OUT = 1;

const uvec4 FOUR = uvec4(0u, 1u, 2u, 3u);

void main()
{
    uint quads = (push.columns + 3u) / 4u, i = gl_GlobalInvocationID.x, line = gl_WorkGroupID.z;
    uint n = i % quads * 4u, row0 = i / quads * ROWS;
    if (row0 >= push.rows)
        return;
    uvec4 column = n + min(FOUR, uvec4(push.columns - n - 1u));
    uvec4 channel0 = (push.column0 + column) / GROUP_OUT * PADDED;
    uvec4 w0 = HEED_RESIDUAL(push, HEED_LINEAR_W) + column * (PADDED * TAPS);
    // Depth-wise, and 4 neighbours of x are one load.
    bool together = GROUP_OUT == 1u && PADDED == 1u && !flag(HEED_CONV_STRIDED);
    vec4 sum[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        sum[r] = vec4(0.0);
    [[dont_unroll]] for (uint tap = 0u; tap < TAPS; tap++) {
        begin_features(line, tap * PADDED);
        if (!chunk_inside)
            continue;
        [[dont_unroll]] for (uint c = 0u; c < PADDED; c++) {
            uvec4 at = w0 + c * TAPS + tap, channel = (channel0 + c) * (flag(HEED_CONV_STRIDED) ? push.x_stride_channel : 1u);
            vec4 w = vec4(w_load(DT_W, at.x), w_load(DT_W, at.y), w_load(DT_W, at.z), w_load(DT_W, at.w));
            [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                int x = int((row0 + r) * push.stride_x) + chunk_x;
                uint e = chunk_line + uint(clamp(x, 0, int(push.length_x) - 1)) * push.x_stride_x;
                vec4 v;
                if (together)
                    v = x_load4n(DT_X, e + channel.x, push.columns - n);
                else
                    v = vec4(x_load(DT_X, e + channel.x), x_load(DT_X, e + channel.y), x_load(DT_X, e + channel.z),
                             x_load(DT_X, e + channel.w));
                sum[r] = fma(x >= 0 && x < int(push.length_x) ? v : vec4(0.0), w, sum[r]);
            }
        }
    }
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        if (row0 + r < push.rows)
            store_y(line, row0 + r, n, sum[r]);
}
