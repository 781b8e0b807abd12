// SPDX-License-Identifier: MIT
// Tensors as 32-bit words: elements of f32, f16 and bf16 are loaded and stored four at a time, with no feature beyond
// Vulkan 1.1. The element type is a specialisation constant of the caller, so that the branches vanish.
//
//   HEED_TENSOR_IN(q, HEED_ATTN_Q)        declares binding and  vec4 q_load4(dt, i), q_load4n(dt, i, n), float q_load(dt, i)
//                                         uvec2 q_bits4n(i, n), uvec4 q_bits8(i): four (0 behind the n-th), eight
//                                         elements of 16 bits as they are
//                                         uint q_word(dt, i, w): the w-th word of four; HEED_VECTOR alone
//   HEED_TENSOR_OUT(o, HEED_ATTN_O)       declares binding and  void o_store4n(dt, i, v, n)
//   HEED_TENSOR_INOUT                     both
//
// i counts elements from the binding's start. Where HEED_VECTOR is true every i given to load4 and to store4n is a
// multiple of 4 and n is 4 or more; otherwise any i goes. load4n and store4n touch the first n of the four elements, or
// all four; what load4n gives behind the n-th is any of those before it, see heed_first.

#ifndef HEED_TENSOR_GLSL
#define HEED_TENSOR_GLSL

// The 16 bits of an f16, to nearest even. packHalf2x16 may truncate and flush, and this may not.
uint heed_f16_bits(float x)
{
    uint u = floatBitsToUint(x);
    uint sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    uint normal = (u - 0x38000000u + 0xfffu + ((u >> 13) & 1u)) >> 13;
    uint shift = min(126u - (u >> 23), 31u); // below 2^-14: denormal, in units of 2^-24
    uint mantissa = (u & 0x7fffffu) | 0x800000u;
    uint kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    uint denormal = kept + uint(rest > tie || (rest == tie && (kept & 1u) != 0u));
    uint large = u > 0x7f800000u ? 0x7e00u : 0x7c00u; // 65536 and above, infinity, NaN
    return sign | (u >= 0x47800000u ? large : u < 0x38800000u ? denormal : normal);
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

// Four elements from the words that they make: four of f32, two of 16 bits.
vec4 heed_unpack_words(uint dt, uvec4 w)
{
    return dt == HEED_DT_F32 ? uintBitsToFloat(w) : vec4(heed_unpack16(dt, w.x), heed_unpack16(dt, w.y));
}

// The first n of four features, and 0 for the rest: for factors of a dot product.
vec4 heed_first(vec4 v, uint n)
{
    return HEED_VECTOR ? v : mix(vec4(0.0), v, lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(n)));
}

#define HEED_TENSOR_BLOCKS(qualifier, name, b) \
    layout(set = 0, binding = b) qualifier buffer name##_block1 { uint name##_w[]; }; \
    layout(set = 0, binding = b) qualifier buffer name##_block2 { uvec2 name##_w2[]; }; \
    layout(set = 0, binding = b) qualifier buffer name##_block4 { uvec4 name##_w4[]; };

// Beyond n the last of the n elements is loaded again: no branch, and nothing outside the tensor is touched.
#define HEED_TENSOR_LOADS(name) \
    float name##_load(uint dt, uint i) \
    { \
        if (dt == HEED_DT_F32) \
            return uintBitsToFloat(name##_w[i]); \
        return heed_unpack16(dt, name##_w[i >> 1] >> 16u * (i & 1u)).x; \
    } \
    vec4 name##_load4n(uint dt, uint i, uint n) \
    { \
        if (HEED_VECTOR) { \
            if (dt == HEED_DT_F32) \
                return uintBitsToFloat(name##_w4[i >> 2]); \
            uvec2 w = name##_w2[i >> 2]; \
            return vec4(heed_unpack16(dt, w.x), heed_unpack16(dt, w.y)); \
        } \
        uvec4 e = i + min(uvec4(0u, 1u, 2u, 3u), uvec4(n - 1u)); \
        uvec4 at = dt == HEED_DT_F32 ? e : e >> 1; \
        uvec4 w = uvec4(name##_w[at.x], name##_w[at.y], name##_w[at.z], name##_w[at.w]); \
        if (dt == HEED_DT_F32) \
            return uintBitsToFloat(w); \
        w = w >> 16u * (e & 1u) & 0xffffu; \
        return vec4(heed_unpack16(dt, w.x | w.y << 16), heed_unpack16(dt, w.z | w.w << 16)); \
    } \
    uvec2 name##_bits4n(uint i, uint n) \
    { \
        if (HEED_VECTOR) \
            return name##_w2[i >> 2]; \
        uvec4 e = i + min(uvec4(0u, 1u, 2u, 3u), uvec4(n - 1u)); \
        uvec4 w = uvec4(name##_w[e.x >> 1], name##_w[e.y >> 1], name##_w[e.z >> 1], name##_w[e.w >> 1]); \
        w = mix(uvec4(0u), w >> 16u * (e & 1u) & 0xffffu, lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(n))); \
        return w.xz | w.yw << 16; \
    } \
    uvec4 name##_bits8(uint i) \
    { \
        if (HEED_VECTOR) \
            return uvec4(name##_w2[i >> 2], name##_w2[(i >> 2) + 1u]); \
        return uvec4(name##_bits4n(i, 4u), name##_bits4n(i + 4u, 4u)); \
    } \
    uint name##_word(uint dt, uint i, uint w) \
    { \
        return name##_w[(dt == HEED_DT_F32 ? i : i >> 1) + w]; \
    } \
    vec4 name##_load4(uint dt, uint i) \
    { \
        return name##_load4n(dt, i, 4u); \
    }

// A word shared with a neighbour is changed by two atomics that touch only the own half: other invocations may write
// the other half at the same time, or it may not be ours at all.
#define HEED_TENSOR_STORES(name) \
    void name##_store_half(uint i, uint bits) \
    { \
        uint shift = 16u * (i & 1u); \
        atomicAnd(name##_w[i >> 1], 0xffff0000u >> shift); \
        atomicOr(name##_w[i >> 1], bits << shift); \
    } \
    void name##_store4n(uint dt, uint i, vec4 v, uint n) \
    { \
        uvec4 u = floatBitsToUint(v); \
        if (dt == HEED_DT_F32) { \
            if (HEED_VECTOR) { \
                name##_w4[i >> 2] = u; \
                return; \
            } \
            name##_w[i] = u.x; \
            if (n > 1u) \
                name##_w[i + 1u] = u.y; \
            if (n > 2u) \
                name##_w[i + 2u] = u.z; \
            if (n > 3u) \
                name##_w[i + 3u] = u.w; \
            return; \
        } \
        n = min(n, 4u); \
        u = uvec4(heed_bits16(dt, v.x), heed_bits16(dt, v.y), heed_bits16(dt, v.z), heed_bits16(dt, v.w)); \
        if (HEED_VECTOR) { \
            name##_w2[i >> 2] = u.xz | u.yw << 16; \
            return; \
        } \
        if ((i & 1u) != 0u) { \
            name##_store_half(i++, u.x); \
            u = u.yzwx; \
            n--; \
        } \
        if (n > 1u) \
            name##_w[i >> 1] = u.x | u.y << 16; \
        if (n > 3u) \
            name##_w[(i >> 1) + 1u] = u.z | u.w << 16; \
        if ((n & 1u) != 0u) \
            name##_store_half(i + n - 1u, n > 1u ? u.z : u.x); \
    }

#define HEED_TENSOR_IN(name, b) HEED_TENSOR_BLOCKS(readonly, name, b) HEED_TENSOR_LOADS(name)
#define HEED_TENSOR_OUT(name, b) HEED_TENSOR_BLOCKS(, name, b) HEED_TENSOR_STORES(name)
#define HEED_TENSOR_INOUT(name, b) HEED_TENSOR_BLOCKS(, name, b) HEED_TENSOR_LOADS(name) HEED_TENSOR_STORES(name)

#endif
