// SPDX-License-Identifier: MIT
// Two words at once, for drivers whose gathers and scatters cost by the element: of 64 bits. The source has the
// extension GL_EXT_shader_explicit_arithmetic_types_int64. i counts words of 32 bits from the binding's start, and is
// even.
//
//   HEED_PAIRS(readonly, k, HEED_ATTN_K)     declares the binding for
//   HEED_LOAD_PAIR(k, i)                     uvec2: word i and the next
//   HEED_STORE_PAIR(o, i, x)                 both words of the uvec2 x
//   HEED_LOAD4_PAIRS(k, dt, i)               vec4: element i, a multiple of 4, and the next three

#ifndef HEED_PAIRS_GLSL
#define HEED_PAIRS_GLSL

#define HEED_PAIRS(qualifier, name, b) \
    layout(set = 0, binding = b) qualifier buffer name##_block8 { uint64_t name##_q[]; };
#define HEED_LOAD_PAIR(name, i) unpackUint2x32(name##_q[(i) >> 1])
#define HEED_LOAD4_PAIRS(name, dt, i) \
    heed_unpack_words(dt, dt == HEED_DT_F32 ? uvec4(HEED_LOAD_PAIR(name, i), HEED_LOAD_PAIR(name, (i) + 2u)) : \
                                              uvec4(HEED_LOAD_PAIR(name, (i) >> 1), 0u, 0u))
#define HEED_STORE_PAIR(name, i, x) name##_q[(i) >> 1] = heed_pair(x)

// packUint2x32 with 16 lanes overruns a stack in the compiler of lavapipe 26.1.6, which ends the process.
uint64_t heed_pair(uvec2 x)
{
    return uint64_t(x.x) | uint64_t(x.y) << 32;
}

#endif
