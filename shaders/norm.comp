#version 450
// SPDX-License-Identifier: MIT
// Layer norm and RMS norm over rows of features: the mean, the mean square around it, and the row once more. LANES
// invocations share a row.
//
//   groups.x  rows / (work group / LANES)      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#include "abi.h"

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_NORM_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_NORM_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_NORM_SPEC_VECTOR) const bool HEED_VECTOR = false;
layout(constant_id = HEED_NORM_SPEC_LANES) const uint LANES = 8;

layout(push_constant) uniform Push { HEED_NORM_PUSH } push;

#include "tensor.glsl"

HEED_TENSOR_IN(x, HEED_NORM_X)
HEED_TENSOR_IN(gain, HEED_NORM_GAIN)
HEED_TENSOR_IN(bias, HEED_NORM_BIAS)
HEED_TENSOR_OUT(o, HEED_NORM_O)

const uint WG = gl_WorkGroupSize.x;
const uint DT_X = DTYPES & 15u, DT_O = (DTYPES >> 4) & 15u;
#define flag(bit) ((FLAGS & (bit)) != 0u)

shared float shared_sum[WG];

// The sum over the lanes of a row, to all of them. Always the same order: results are the same bits.
float row_sum(uint t, float part)
{
    barrier();
    shared_sum[t] = part;
    for (uint n = LANES / 2u; n > 0u; n /= 2u) {
        barrier();
        if (t % LANES < n)
            shared_sum[t] += shared_sum[t + n];
    }
    barrier();
    return shared_sum[t / LANES * LANES];
}

void main()
{
    uint t = gl_LocalInvocationIndex, lane = t % LANES;
    uint row = min(gl_WorkGroupID.x * (WG / LANES) + t / LANES, push.rows - 1u); // those behind it do the last again
    uint e = HEED_RESIDUAL(push, HEED_NORM_X) + gl_WorkGroupID.z * push.x_stride_batch + row * push.x_stride_row;
    float count = float(push.features), mean = 0.0;
    if (flag(HEED_NORM_MEAN)) {
        vec4 sum = vec4(0.0);
        for (uint d = 4u * lane; d < push.features; d += 4u * LANES)
            sum += heed_first(x_load4n(DT_X, e + d, push.features - d), push.features - d);
        mean = row_sum(t, (sum.x + sum.y) + (sum.z + sum.w)) / count;
    }
    vec4 square = vec4(0.0);
    for (uint d = 4u * lane; d < push.features; d += 4u * LANES) {
        vec4 away = heed_first(x_load4n(DT_X, e + d, push.features - d) - mean, push.features - d);
        square = fma(away, away, square);
    }
    float factor = 1.0 / sqrt(row_sum(t, (square.x + square.y) + (square.z + square.w)) / count + push.epsilon);
    if (gl_WorkGroupID.x * (WG / LANES) + t / LANES >= push.rows)
        return;
    uint o = HEED_RESIDUAL(push, HEED_NORM_O) + gl_WorkGroupID.z * push.o_stride_batch + row * push.o_stride_row;
    for (uint d = 4u * lane; d < push.features; d += 4u * LANES) {
        uint n = push.features - d;
        vec4 y = (x_load4n(DT_X, e + d, n) - mean) * factor;
        if (flag(HEED_NORM_GAIN_FLAG))
            y *= gain_load4n(HEED_DT_F32, HEED_RESIDUAL(push, HEED_NORM_GAIN) + d, n);
        if (flag(HEED_NORM_BIAS_FLAG))
            y += bias_load4n(HEED_DT_F32, HEED_RESIDUAL(push, HEED_NORM_BIAS) + d, n);
        o_store4n(DT_O, o + d, y, n);
    }
}
