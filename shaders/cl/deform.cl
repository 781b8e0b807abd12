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

// Processors wait for what is far away, and less so where it is asked for in a short loop: CPU ms for 5440 queries, 8
// heads of 32 channels, 16 points: 49 with the neighbours of one point at a time, 41 with those of 8, 39 with those of
// 16. On GPUs, which have smaller blocks, an array whose index is not known ends in memory.
#define MANY (BLOCK > 16u)
#define ENTRIES (NEIGHBOURS * (MANY ? 16u : 1u))

void add_entry(global const uchar *value, uint at, float part, uint channels, CHANNELS *total)
{
#pragma unroll
    for (uint v = 0u; v < VECTORS; v++) {
        uint n = DIM % BLOCK == 0u ? LANES : channels - min(channels, v * LANES);
        total[v] = fma((CHANNELS)(part), load_channels(value, at + v * LANES, n), total[v]);
    }
}

// Adds what `entries` neighbours of some points weigh; those of weight 0 are nothing, also where they are NaN.
void add_entries(global const uchar *value, const uint *at, const float *part, uint entries, uint channels,
                 CHANNELS *total)
{
    if (MANY) {
        for (uint e = 0u; e < entries; e++)
            add_entry(value, at[e], part[e], channels, total);
        return;
    }
#pragma unroll
    for (uint e = 0u; e < NEIGHBOURS; e++)
        if (part[e] != 0.0f)
            add_entry(value, at[e], part[e], channels, total);
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
    uint at[ENTRIES];
    float part[ENTRIES];
    uint entries = 0u;
    for (uint l = 0u; l < levels; l++) {
        const uint3 level = load_level(HEED_ARGS l);
        Frame frame;
        if (FROM_OFFSETS)
            frame = reference_frame(HEED_ARGS REFERENCE_PER_LEVEL ? row * levels + l : row, level);
        for (uint p = 0u; p < level.y >> 16; p++) {
            float weight = UNWEIGHTED ? 1.0f : buffers.weights[slot++];
            float3 location = load_coords(HEED_ARGS coord);
            coord += AXES;
            if (FROM_OFFSETS) {
                weight = exp(weight - highest.logit);
                sum += weight;
                location = fma(location, frame.unit, frame.centre);
            }
            const Place near = place(HEED_ARGS location, level);
#pragma unroll
            for (uint k = 0u; k < NEIGHBOURS; k++) {
                bool right = (k & 1u) != 0u, down = (k & 2u) != 0u, deep = (k & 4u) != 0u;
                float share = (right ? near.x.weight.y : near.x.weight.x) *
                              (down ? near.y.weight.y : near.y.weight.x) * (deep ? near.z.weight.y : near.z.weight.x);
                uint e = MANY ? entries : k;
                part[e] = share == 0.0f ? 0.0f : weight * share;
                at[e] = value_first + (right ? near.x.at.y : near.x.at.x) + (down ? near.y.at.y : near.y.at.x) +
                        (deep ? near.z.at.y : near.z.at.x);
                entries += part[e] != 0.0f ? 1u : 0u;
            }
            if (!MANY || entries + NEIGHBOURS > ENTRIES) {
                add_entries(buffers.value, at, part, entries, channels, total);
                entries = 0u;
            }
        }
    }
    if (MANY)
        add_entries(buffers.value, at, part, entries, channels, total);

    uint o = batch * push.o_stride_batch + query * push.o_stride_row + head * push.o_stride_head + first;
    float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
    const float *x = (const float *)total;
    for (uint c = 0u; c < channels; c++) {
        float y = FROM_OFFSETS ? highest.broken ? HEED_NAN : x[c] * scale : x[c];
        tensor_store(O_DT, buffers.o, o + c, y);
    }
}
