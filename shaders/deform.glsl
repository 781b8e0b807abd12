// SPDX-License-Identifier: MIT
// What the kernels of deformable attention share: constants, tensors, and the channels that an invocation makes. Where a
// location's neighbours are is in deform.h.

#ifndef HEED_DEFORM_GLSL
#define HEED_DEFORM_GLSL

layout(constant_id = HEED_DEFORM_SPEC_DIM) const uint DIM = 32;
layout(constant_id = HEED_DEFORM_SPEC_BLOCK) const uint BLOCK = 8;
layout(constant_id = HEED_DEFORM_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_DEFORM_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_DEFORM_SPEC_VECTOR) const uint VECTOR = 0x11;

const uint VALUE_DT = DTYPES & 15u;
const uint O_DT = (DTYPES >> 4) & 15u;
const uint VALUE_VECTOR = VECTOR & 15u;
const uint O_VECTOR = (VECTOR >> 4) & 15u;
const uint BLOCKS = (DIM + BLOCK - 1u) / BLOCK;
// Addresses in value count units of so many elements, which one load takes.
const uint UNIT = BLOCK >= 8u && VALUE_VECTOR == 8u ? 8u : VALUE_VECTOR >= 4u ? 4u : 1u;

layout(push_constant) uniform Push {
    HEED_DEFORM_PUSH
} push;

#define HEED_VECTOR (VALUE_VECTOR >= 4u)
#include "tensor.glsl"
HEED_TENSOR_IN(value, HEED_DEFORM_VALUE)
#undef HEED_VECTOR
#define HEED_VECTOR (O_VECTOR >= 4u)
HEED_TENSOR_OUT(o, HEED_DEFORM_O)
#ifdef HEED_INT64 /* for drivers that load lane by lane */
layout(set = 0, binding = HEED_DEFORM_VALUE) readonly buffer value_block8 { u64vec2 value_q[]; };
#endif
layout(set = 0, binding = HEED_DEFORM_COORDS) readonly buffer Coords { float coords[]; };
layout(set = 0, binding = HEED_DEFORM_WEIGHTS) readonly buffer Weights { float weights[]; };
layout(set = 0, binding = HEED_DEFORM_REFERENCE) readonly buffer Reference { float reference[]; };
layout(set = 0, binding = HEED_DEFORM_TABLE) readonly buffer Table { uint table[]; };

#include "deform.h"

// Where in value the first of a block of channels begins.
uint value_unit(uint batch, uint head, uint first)
{
    return (HEED_RESIDUAL(push, HEED_DEFORM_VALUE) + batch * push.value_stride_batch + head * push.value_stride_head +
            first) / UNIT;
}

// ---- the 4 to 16 channels of one head of one query that an invocation makes

vec4 total0 = vec4(0.0), total1 = vec4(0.0), total2 = vec4(0.0), total3 = vec4(0.0); // named: V3D spills arrays

// Channels of this block's quarter: 4, but less at the end of an odd DIM; none in a quarter that is beyond it.
uint channels(uint first, uint quarter)
{
    return DIM % BLOCK == 0u ? 4u : DIM % 4u == 0u ? (first + 4u * quarter < DIM ? 4u : 0u)
                                                   : uint(clamp(int(DIM) - int(first + 4u * quarter), 0, 4));
}

// 16 bytes of value.
uvec4 load_words(uint i)
{
#ifdef HEED_INT64
    u64vec2 q = value_q[i];
    return uvec4(unpackUint2x32(q.x), unpackUint2x32(q.y));
#else
    return value_w4[i];
#endif
}

vec4 load_quarter(uint i, uint quarter, uint n)
{
    if (UNIT == 4u && VALUE_DT == HEED_DT_F32)
        return uintBitsToFloat(load_words(i + quarter));
    if (UNIT == 4u) {
        uvec2 w = value_w2[i + quarter];
        return vec4(heed_unpack16(VALUE_DT, w.x), heed_unpack16(VALUE_DT, w.y));
    }
    return value_load4n(VALUE_DT, i + 4u * quarter, n);
}

void add4(float weight, bvec4 used, uint i, uint first, uint quarter, inout vec4 total)
{
    uint n = channels(first, quarter);
    if (n > 0u)
        total = fma(vec4(weight), mix(vec4(0.0), load_quarter(i, quarter, n), used), total);
}

void add8(float weight, bvec4 used, uint i, uint first, uint half_, inout vec4 low, inout vec4 high)
{
    if (UNIT == 8u) {
        uvec4 w = load_words(i + half_);
        vec4 v0 = vec4(heed_unpack16(VALUE_DT, w.x), heed_unpack16(VALUE_DT, w.y));
        vec4 v1 = vec4(heed_unpack16(VALUE_DT, w.z), heed_unpack16(VALUE_DT, w.w));
        low = fma(vec4(weight), mix(vec4(0.0), v0, used), low);
        high = fma(vec4(weight), mix(vec4(0.0), v1, used), high);
        return;
    }
    add4(weight, used, i, first, 2u * half_, low);
    if (BLOCK >= 8u)
        add4(weight, used, i, first, 2u * half_ + 1u, high);
}

// Adds the block that begins at unit i to the totals; `first` is its first channel. What has weight zero is nothing, also
// where it is NaN or infinite: `used` tells it.
void add_row(float weight, bool used, uint i, uint first)
{
    add8(weight, bvec4(used), i, first, 0u, total0, total1);
    if (BLOCK == 16u)
        add8(weight, bvec4(used), i, first, 1u, total2, total3);
}

void store4(uint o_at, uint first, uint quarter, vec4 total, float scale, bool broken)
{
    uint n = channels(first, quarter);
    if (n > 0u)
        o_store4n(O_DT, o_at + 4u * quarter, FROM_OFFSETS ? broken ? vec4(HEED_NAN) : total * scale : total, n);
}

void store_row(uint o_at, uint first, float scale, bool broken)
{
    store4(o_at, first, 0u, total0, scale, broken);
    if (BLOCK >= 8u)
        store4(o_at, first, 1u, total1, scale, broken);
    if (BLOCK == 16u) {
        store4(o_at, first, 2u, total2, scale, broken);
        store4(o_at, first, 3u, total3, scale, broken);
    }
}

#endif
