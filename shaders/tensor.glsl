// SPDX-License-Identifier: MIT
// Tensors as 32-bit words: elements of f32, f16 and bf16 are loaded and stored four at a time, with no feature beyond
// Vulkan 1.1. The element type is a specialisation constant of the caller, so that the branches vanish.
//
//   HEED_TENSOR_IN(q, HEED_ATTN_Q)        declares binding and  vec4 q_load4(dt, i), q_load4n(dt, i, n), float q_load(dt, i)
//   HEED_TENSOR_OUT(o, HEED_ATTN_O)       declares binding and  void o_store4n(dt, i, v, n)
//   HEED_TENSOR_INOUT                     both
//
// i counts elements from the binding's start. Where HEED_VECTOR is true every i given to load4 and to store4n with
// n = 4 is a multiple of 4; otherwise any i goes. load4n and store4n touch the first n of the four elements.

#ifndef HEED_TENSOR_GLSL
#define HEED_TENSOR_GLSL

// The 16 bits of an f16, to nearest even. packHalf2x16 may truncate and flush, and this may not.
uint heed_f16_bits(float x)
{
    uint u = floatBitsToUint(x);
    uint sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u >= 0x47800000u) // 65536 and above, infinity, NaN
        return sign | (u > 0x7f800000u ? 0x7e00u : 0x7c00u);
    if (u < 0x38800000u) { // below 2^-14: denormal, in units of 2^-24
        if (u < 0x33000000u)
            return sign;
        uint shift = 126u - (u >> 23);
        uint mantissa = (u & 0x7fffffu) | 0x800000u;
        uint kept = mantissa >> shift;
        uint rest = mantissa & ((1u << shift) - 1u);
        uint half_ = 1u << (shift - 1u);
        return sign | (kept + uint(rest > half_ || (rest == half_ && (kept & 1u) != 0u)));
    }
    return sign | ((u - 0x38000000u + 0xfffu + ((u >> 13) & 1u)) >> 13);
}

uint heed_bf16_bits(float x)
{
    uint u = floatBitsToUint(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (u >> 16) | 0x40u;
    return (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
}

uint heed_bits16(uint dt, float x)
{
    return dt == HEED_DT_F16 ? heed_f16_bits(x) : heed_bf16_bits(x);
}

// Two 16-bit elements of a word, the lower address first.
vec2 heed_unpack16(uint dt, uint word)
{
    return dt == HEED_DT_F16 ? unpackHalf2x16(word) : vec2(uintBitsToFloat(word << 16), uintBitsToFloat(word & 0xffff0000u));
}

#define HEED_TENSOR_BLOCKS(qualifier, name, b) \
    layout(set = 0, binding = b) qualifier buffer name##_block1 { uint name##_w[]; }; \
    layout(set = 0, binding = b) qualifier buffer name##_block2 { uvec2 name##_w2[]; }; \
    layout(set = 0, binding = b) qualifier buffer name##_block4 { uvec4 name##_w4[]; };

#define HEED_TENSOR_LOADS(name) \
    float name##_load(uint dt, uint i) \
    { \
        if (dt == HEED_DT_F32) \
            return uintBitsToFloat(name##_w[i]); \
        vec2 pair = heed_unpack16(dt, name##_w[i >> 1]); \
        return (i & 1u) == 0u ? pair.x : pair.y; \
    } \
    vec4 name##_load4(uint dt, uint i) \
    { \
        if (HEED_VECTOR) { \
            if (dt == HEED_DT_F32) \
                return uintBitsToFloat(name##_w4[i >> 2]); \
            uvec2 w = name##_w2[i >> 2]; \
            return vec4(heed_unpack16(dt, w.x), heed_unpack16(dt, w.y)); \
        } \
        return vec4(name##_load(dt, i), name##_load(dt, i + 1u), name##_load(dt, i + 2u), name##_load(dt, i + 3u)); \
    } \
    vec4 name##_load4n(uint dt, uint i, uint n) \
    { \
        if (HEED_VECTOR || n >= 4u) \
            return name##_load4(dt, i); \
        vec4 r = vec4(0.0); \
        r.x = name##_load(dt, i); \
        if (n > 1u) \
            r.y = name##_load(dt, i + 1u); \
        if (n > 2u) \
            r.z = name##_load(dt, i + 2u); \
        return r; \
    }

// A word shared with a neighbour is changed by two atomics that touch only the own half: other invocations may write
// the other half at the same time, or it may not be ours at all.
#define HEED_TENSOR_STORES(name) \
    void name##_store_half(uint dt, uint i, float v) \
    { \
        bool low = (i & 1u) == 0u; \
        atomicAnd(name##_w[i >> 1], low ? 0xffff0000u : 0xffffu); \
        atomicOr(name##_w[i >> 1], low ? heed_bits16(dt, v) : heed_bits16(dt, v) << 16); \
    } \
    void name##_store_pair(uint dt, uint i, float a, float b) \
    { \
        if ((i & 1u) == 0u) { \
            name##_w[i >> 1] = heed_bits16(dt, a) | heed_bits16(dt, b) << 16; \
        } else { \
            name##_store_half(dt, i, a); \
            name##_store_half(dt, i + 1u, b); \
        } \
    } \
    void name##_store4n(uint dt, uint i, vec4 v, uint n) \
    { \
        if (dt == HEED_DT_F32) { \
            if (HEED_VECTOR) { \
                name##_w4[i >> 2] = floatBitsToUint(v); \
                return; \
            } \
            name##_w[i] = floatBitsToUint(v.x); \
            if (n > 1u) \
                name##_w[i + 1u] = floatBitsToUint(v.y); \
            if (n > 2u) \
                name##_w[i + 2u] = floatBitsToUint(v.z); \
            if (n > 3u) \
                name##_w[i + 3u] = floatBitsToUint(v.w); \
        } else if (HEED_VECTOR) { \
            name##_w2[i >> 2] = uvec2(heed_bits16(dt, v.x) | heed_bits16(dt, v.y) << 16, \
                                      heed_bits16(dt, v.z) | heed_bits16(dt, v.w) << 16); \
        } else if (n >= 4u && (i & 1u) == 1u) { \
            name##_store_half(dt, i, v.x); \
            name##_store_pair(dt, i + 1u, v.y, v.z); \
            name##_store_half(dt, i + 3u, v.w); \
        } else { \
            if (n > 1u) \
                name##_store_pair(dt, i, v.x, v.y); \
            else \
                name##_store_half(dt, i, v.x); \
            if (n > 3u) \
                name##_store_pair(dt, i + 2u, v.z, v.w); \
            else if (n > 2u) \
                name##_store_half(dt, i + 2u, v.z); \
        } \
    }

#define HEED_TENSOR_IN(name, b) HEED_TENSOR_BLOCKS(readonly, name, b) HEED_TENSOR_LOADS(name)
#define HEED_TENSOR_OUT(name, b) HEED_TENSOR_BLOCKS(, name, b) HEED_TENSOR_STORES(name)
#define HEED_TENSOR_INOUT(name, b) HEED_TENSOR_BLOCKS(, name, b) HEED_TENSOR_LOADS(name) HEED_TENSOR_STORES(name)

#endif
