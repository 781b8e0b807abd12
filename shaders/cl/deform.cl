// SPDX-License-Identifier: MIT
// Multi-scale deformable attention: one work-item makes up to BLOCK channels of one head of one query, over all levels
// and points. The location arithmetic and the softmax of the logits are part of it.
#include "cl.clh"

#define DIM HEED_CONSTANT(HEED_DEFORM_SPEC_DIM)
#define BLOCK HEED_CONSTANT(HEED_DEFORM_SPEC_BLOCK)
#define FLAGS HEED_CONSTANT(HEED_DEFORM_SPEC_FLAGS)
#define DTYPES HEED_CONSTANT(HEED_DEFORM_SPEC_DTYPES)
#define VECTOR HEED_CONSTANT(HEED_DEFORM_SPEC_VECTOR)
#define VALUE_DT (DTYPES & 15u)
#define O_DT (DTYPES >> 4 & 15u)
#define BLOCKS ((DIM + BLOCK - 1u) / BLOCK)
#define UNIT 1u

#define HEED_VECTOR false // a block begins at a multiple of its elements, and no more is known
#include "tensor.clh"

#define HEED_PUSH_BLOCK struct heed_deform_push
struct buffers {
    global const uchar *value;
    global uchar *o;
    global const float *coords, *weights, *reference;
    global const uint *table;
};
#define coords buffers.coords
#define weights buffers.weights
#define reference buffers.reference
#define table buffers.table
#include "deform.h"
#undef coords
#undef weights
#undef reference
#undef table

// A part of the block's channels is a vector, and so is what is loaded of a neighbour.
#if BLOCK >= 16u
#define CHANNELS float16
#define LANES 16u
#define LOAD_F32(p) vload16(0, p)
#define LOAD_F16(p) vload_half16(0, p)
#define LOAD_BF16(p) as_float16(convert_uint16(vload16(0, p)) << 16u)
#elif BLOCK == 8u
#define CHANNELS float8
#define LANES 8u
#define LOAD_F32(p) vload8(0, p)
#define LOAD_F16(p) vload_half8(0, p)
#define LOAD_BF16(p) as_float8(convert_uint8(vload8(0, p)) << 16u)
#else
#define CHANNELS float4
#define LANES 4u
#define LOAD_F32(p) vload4(0, p)
#define LOAD_F16(p) vload_half4(0, p)
#define LOAD_BF16(p) as_float4(convert_uint4(vload4(0, p)) << 16u)
#endif
#define VECTORS (BLOCK / LANES)

// `n` channels from element i on.
CHANNELS load_channels(global const uchar *value, uint i, uint n)
{
    if (n >= LANES) {
        if (VALUE_DT == HEED_DT_F32)
            return LOAD_F32((global const float *)value + i);
        if (VALUE_DT == HEED_DT_F16)
            return LOAD_F16((global const half *)value + i);
        return LOAD_BF16((global const ushort *)value + i);
    }
    CHANNELS x = (CHANNELS)(0.0f);
    for (uint c = 0u; c < n; c++)
        ((float *)&x)[c] = tensor_load(VALUE_DT, value, i + c);
    return x;
}

HEED_KERNEL deform(HEED_PUSH(heed_deform_push), HEED_IN(value), HEED_OUT(o), HEED_IN(coords), HEED_IN(weights),
                   HEED_IN(reference), HEED_IN(table))
{
    const struct buffers buffers = {HEED_AT(value, const uchar), HEED_AT(o, uchar),
                                    HEED_AT(coords, const float), HEED_AT(weights, const float),
                                    HEED_AT(reference, const float), HEED_AT(table, const uint)};
    uint item = (uint)get_global_id(0), first = item % BLOCKS * BLOCK, query = item / BLOCKS;
    uint head = (uint)get_group_id(1), batch = (uint)get_group_id(2);
    if (query >= push.queries)
        return;
    uint row = batch * push.queries + query;
    uint levels = push.counts & 0xffffu, points_total = push.counts >> 16;
    uint slot = (row * push.heads_total + head) * points_total, coord = slot * AXES;
    uint value_first = batch * push.value_stride_batch + head * push.value_stride_head + first;
    uint channels = DIM % BLOCK == 0u ? BLOCK : min(DIM - first, BLOCK);
    Highest highest = {0.0f, false};
    float sum = 0.0f;
    if (FROM_OFFSETS)
        highest = highest_logit(HEED_ARGS slot, points_total);

    CHANNELS total[VECTORS];
#pragma unroll
    for (uint v = 0u; v < VECTORS; v++)
        total[v] = (CHANNELS)(0.0f);
    for (uint l = 0u; l < levels; l++) {
        const uint3 level = load_level(HEED_ARGS l);
        Frame frame;
        if (FROM_OFFSETS)
            frame = reference_frame(HEED_ARGS REFERENCE_PER_LEVEL ? row * levels + l : row, level);
        for (uint p = 0u; p < level.y >> 16; p++) {
            float weight = buffers.weights[slot++];
            float3 location = load_coords(HEED_ARGS coord);
            coord += AXES;
            if (FROM_OFFSETS) {
                weight = exp(weight - highest.logit);
                sum += weight;
                location = fma(location, frame.unit, frame.centre);
            }
            const Place at = place(HEED_ARGS location, level);
#pragma unroll
            for (uint k = 0u; k < NEIGHBOURS; k++) {
                bool right = (k & 1u) != 0u, down = (k & 2u) != 0u, deep = (k & 4u) != 0u;
                float share = (right ? at.x.weight.y : at.x.weight.x) * (down ? at.y.weight.y : at.y.weight.x) *
                              (deep ? at.z.weight.y : at.z.weight.x);
                float part = share == 0.0f ? 0.0f : weight * share;
                if (part == 0.0f) // nothing, also where a value is NaN or infinite
                    continue;
                uint i = value_first + (right ? at.x.at.y : at.x.at.x) + (down ? at.y.at.y : at.y.at.x) +
                         (deep ? at.z.at.y : at.z.at.x);
#pragma unroll
                for (uint v = 0u; v < VECTORS; v++) {
                    uint n = DIM % BLOCK == 0u ? LANES : channels - min(channels, v * LANES);
                    total[v] = fma((CHANNELS)(part), load_channels(buffers.value, i + v * LANES, n), total[v]);
                }
            }
        }
    }

    uint o = batch * push.o_stride_batch + query * push.o_stride_row + head * push.o_stride_head + first;
    float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
    const float *x = (const float *)total;
    for (uint c = 0u; c < channels; c++) {
        float y = FROM_OFFSETS ? highest.broken ? HEED_NAN : x[c] * scale : x[c];
        tensor_store(O_DT, buffers.o, o + c, y);
    }
}
