#version 450
// SPDX-License-Identifier: MIT
// o = activation(scale * a) + b, or * b: four features at a time, of any strides, where 0 repeats.
//
//   groups.x  features / 4, of axis 2, of axis 1      groups.z  axis 0
#extension GL_GOOGLE_include_directive : require
#include "abi.h"

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_COMBINE_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_COMBINE_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_COMBINE_SPEC_VECTOR) const bool HEED_VECTOR = false;

layout(push_constant) uniform Push { HEED_COMBINE_PUSH } push;

#include "activation.h"
#include "tensor.glsl"

HEED_TENSOR_IN(a, HEED_COMBINE_A)
HEED_TENSOR_IN(b, HEED_COMBINE_B)
HEED_TENSOR_OUT(o, HEED_COMBINE_O)

const uint DT_A = DTYPES & 15u, DT_B = (DTYPES >> 4) & 15u, DT_O = (DTYPES >> 8) & 15u;
const uint ACTIVATION = FLAGS & 15u;

vec4 load_a(uint e, uint d, uint n)
{
    if (!flag(HEED_COMBINE_STRIDED_A))
        return a_load4n(DT_A, e + d, n);
    uvec4 at = e + (d + min(uvec4(0u, 1u, 2u, 3u), uvec4(n - 1u))) * push.a_strides[3];
    return vec4(a_load(DT_A, at.x), a_load(DT_A, at.y), a_load(DT_A, at.z), a_load(DT_A, at.w));
}

vec4 load_b(uint e, uint d, uint n)
{
    if (!flag(HEED_COMBINE_STRIDED_B))
        return b_load4n(DT_B, e + d, n);
    uvec4 at = e + (d + min(uvec4(0u, 1u, 2u, 3u), uvec4(n - 1u))) * push.b_strides[3];
    return vec4(b_load(DT_B, at.x), b_load(DT_B, at.y), b_load(DT_B, at.z), b_load(DT_B, at.w));
}

void main()
{
    uint quads = (push.lengths[2] + 3u) / 4u, i = gl_GlobalInvocationID.x;
    if (i >= quads * push.lengths[1] * push.lengths[0])
        return;
    uint d = i % quads * 4u, row = i / quads % push.lengths[1], plane = i / quads / push.lengths[1];
    uint n = push.lengths[2] - d;
    uvec3 at = uvec3(gl_WorkGroupID.z, plane, row);
    uint a0 = HEED_RESIDUAL(push, HEED_COMBINE_A) + at.x * push.a_strides[0] + at.y * push.a_strides[1] +
              at.z * push.a_strides[2];
    vec4 x = load_a(a0, d, n);
    x *= push.scale;
    x = vec4(heed_activate(ACTIVATION, x.x), heed_activate(ACTIVATION, x.y), heed_activate(ACTIVATION, x.z),
             heed_activate(ACTIVATION, x.w));
    if (flag(HEED_COMBINE_ADD | HEED_COMBINE_MULTIPLY)) {
        uint b0 = HEED_RESIDUAL(push, HEED_COMBINE_B) + at.x * push.b_strides[0] + at.y * push.b_strides[1] +
                  at.z * push.b_strides[2];
        vec4 y = load_b(b0, d, n);
        x = flag(HEED_COMBINE_ADD) ? x + y : x * y;
    }
    o_store4n(DT_O,
              HEED_RESIDUAL(push, HEED_COMBINE_O) + at.x * push.o_strides[0] + at.y * push.o_strides[1] +
                  at.z * push.o_strides[2] + d,
              x, n);
}
