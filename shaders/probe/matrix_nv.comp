#version 450
// SPDX-License-Identifier: MIT
// Does the compiler know what VK_NV_cooperative_matrix2 adds? (glslang since 15.1)
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
float larger(const in float a, const in float b)
{
    return max(a, b);
}
void main()
{
    coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator> c = coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>(0.0);
    coopMatReduceNV(c, c, gl_CooperativeMatrixReduceRowNV, larger);
    coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> a = coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>(c);
}
