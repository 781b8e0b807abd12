#version 450
// SPDX-License-Identifier: MIT
// Does the compiler know cooperative matrices of bf16? (glslang since 15.3)
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_bfloat16 : require
void main()
{
    coopmat<bfloat16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> a;
}
