// SPDX-License-Identifier: MIT
// Ops that make 4 features of one place of the result in each invocation: where it is. The result has 4 axes.
//
//   groups.x  features / 4, of axis 2, of axis 1      groups.z  axis 0

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_POINTS_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_POINTS_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_POINTS_SPEC_VECTOR) const bool HEED_VECTOR = false;

layout(push_constant) uniform Push { HEED_POINTS_PUSH } push;

#include "language.h"
#include "tensor.glsl"

const uint DT_X = DTYPES & 15u, DT_O = (DTYPES >> 4) & 15u;
const uvec4 HEED_FOUR = uvec4(0u, 1u, 2u, 3u);

// In the box: along axes 0 to 2, the first of the features, and how many of them there are from there on. False: none.
bool heed_point(out uvec4 at, out uint n)
{
    uint quads = (push.lengths[3] + 3u) / 4u, i = gl_GlobalInvocationID.x;
    at = uvec4(gl_WorkGroupID.z, i / quads / push.lengths[2], i / quads % push.lengths[2], i % quads * 4u);
    n = push.lengths[3] - at.w;
    return at.y < push.lengths[1];
}

uint heed_place(uint residual, uvec4 at)
{
    return residual + at.x * push.o_strides[0] + at.y * push.o_strides[1] + at.z * push.o_strides[2] + at.w;
}
