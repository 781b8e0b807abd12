/* SPDX-License-Identifier: MIT
 * What the matrix units can do at all: f16 in, f32 out, in registers. */
#version 460
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint M = 16;
layout(constant_id = 2) const uint N = 16;
layout(constant_id = 3) const uint K = 16;
layout(binding = 0) restrict readonly buffer Source { float source[]; };
layout(binding = 1) restrict writeonly buffer Target { float target[]; };
layout(push_constant) uniform Push { uint unused[2], count; };

/* Sums that do not wait for one another: those of a 2 x 2 tile, as kernels have them. */
const uint SUMS = 4;

void main()
{
    coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a[2];
    coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b[2];
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sum[SUMS];
    /* Every element its own number: lavapipe would share the products of equal ones. */
    [[unroll]] for (uint i = 0; i < 2; i++) {
        for (int e = 0; e < a[i].length(); e++)
            a[i][e] = float16_t(source[(i * 64 + e) * gl_WorkGroupSize.x + gl_LocalInvocationIndex] - 0.5);
        for (int e = 0; e < b[i].length(); e++)
            b[i][e] = float16_t(source[(i * 64 + e) * gl_WorkGroupSize.x + gl_LocalInvocationIndex + 8192] - 0.5);
    }
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        sum[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(source[4 + i]);
    for (uint i = 0; i < count; i++) {
        [[unroll]] for (uint j = 0; j < 4 * SUMS; j++)
            sum[j % SUMS] = coopMatMulAdd(a[j / 2 % 2], b[j % 2], sum[j % SUMS]);
    }
    uint subgroup = gl_WorkGroupID.x; /* one of them in a group */
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        coopMatStore(sum[i], target, (subgroup * SUMS + i) * M * N, N, gl_CooperativeMatrixLayoutRowMajor);
}
