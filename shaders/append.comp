#version 450
// SPDX-License-Identifier: MIT
// Rows of x into a state in place, from the row on that the device finds in `at`.
//
//   groups.x  features / 4, of axis 2, of rows      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#include "abi.h"

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_APPEND_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_APPEND_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_APPEND_SPEC_VECTOR) const bool HEED_VECTOR = false;

layout(push_constant) uniform Push { HEED_APPEND_PUSH } push;

#include "tensor.glsl"

HEED_TENSOR_IN(x, HEED_APPEND_X)
layout(set = 0, binding = HEED_APPEND_AT) readonly buffer At { int at_w[]; };
HEED_TENSOR_OUT(state, HEED_APPEND_STATE)

const uint DT_X = DTYPES & 15u, DT_STATE = (DTYPES >> 4) & 15u;

void main()
{
    uint quads = (push.lengths[3] + 3u) / 4u, i = gl_GlobalInvocationID.x;
    if (i >= quads * push.lengths[2] * push.lengths[1])
        return;
    uint d = i % quads * 4u, inner = i / quads % push.lengths[2], row = i / quads / push.lengths[2];
    uint b = gl_WorkGroupID.z, n = push.lengths[3] - d, at = 0u;
    if ((FLAGS & HEED_APPEND_HAS_AT) != 0u)
        at = uint(clamp(at_w[HEED_RESIDUAL(push, HEED_APPEND_AT)], 0, int(push.most)));
    uint from = HEED_RESIDUAL(push, HEED_APPEND_X) + b * push.x_strides[0] + row * push.x_strides[1] +
                inner * push.x_strides[2] + d;
    uint to = HEED_RESIDUAL(push, HEED_APPEND_STATE) + b * push.state_strides[0] + (at + row) * push.state_strides[1] +
              inner * push.state_strides[2] + d;
    state_store4n(DT_STATE, to, x_load4n(DT_X, from, n), n);
}
