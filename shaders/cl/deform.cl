// SPDX-License-Identifier: MIT
// Multi-scale deformable attention: one work-item makes up to BLOCK channels of one head of QUERIES queries, over all
// levels and points. The location arithmetic and the softmax of the logits are part of it.
#include "cl.clh"

#define DIM HEED_CONSTANT(HEED_DEFORM_SPEC_DIM)
#define BLOCK HEED_CONSTANT(HEED_DEFORM_SPEC_BLOCK)
#define FLAGS HEED_CONSTANT(HEED_DEFORM_SPEC_FLAGS)
#define DTYPES HEED_CONSTANT(HEED_DEFORM_SPEC_DTYPES)
#define VECTOR HEED_CONSTANT(HEED_DEFORM_SPEC_VECTOR)
#define QUERIES HEED_CONSTANT(HEED_DEFORM_SPEC_QUERIES)
#define VALUE_DT (DTYPES & 15u)
#define O_DT (DTYPES >> 4 & 15u)
#define BLOCKS ((DIM + BLOCK - 1u) / BLOCK)
#define UNIT 1u

// Processors have as many channels as there are, and work out where 16 points are at a time: see MANY_POINTS.
#if BLOCK > 16u
typedef struct {
    float16 x, y;
} FloatPair;
typedef struct {
    uint16 x, y;
} UintPair;
typedef struct {
    float16 x, y, z;
} Locations;
typedef struct {
    uint16 x, y, z;
} Levels;
#define POINTS_FLOAT float16
#define POINTS_UINT uint16
#define POINTS_BOOL int16
#define POINTS_EACH(x) ((float16)(x))
#define POINTS_BITS(x) as_uint16(x)
#define POINTS_OF_UINT(x) convert_float16(x)
#define POINTS_PAIR FloatPair
#define POINTS_UINT_PAIR UintPair
#define POINTS_LOCATION Locations
#define POINTS_LEVEL Levels
#endif

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

void add_entry(global const uchar *value, uint at, float part, uint channels, CHANNELS *total)
{
#pragma unroll
    for (uint v = 0u; v < VECTORS; v++) {
        uint n = DIM % BLOCK == 0u ? LANES : channels - min(channels, v * LANES);
        total[v] = fma((CHANNELS)(part), load_channels(value, at + v * LANES, n), total[v]);
    }
}

// The corner of a point that k counts: right of it with bit 0, below with bit 1, behind with bit 2.
#define SHARE(near, k) \
    (((k) & 1u ? near.x.weight.y : near.x.weight.x) * ((k) & 2u ? near.y.weight.y : near.y.weight.x) * \
     ((k) & 4u ? near.z.weight.y : near.z.weight.x))
#define CORNER(near, k) \
    (((k) & 1u ? near.x.at.y : near.x.at.x) + ((k) & 2u ? near.y.at.y : near.y.at.x) + \
     ((k) & 4u ? near.z.at.y : near.z.at.x))

#if BLOCK > 16u
#define MANY_POINTS 16u
#define COUNT16 ((uint16)(0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 12u, 13u, 14u, 15u))

// The levels of points p0 .. p0 + n - 1; behind the last one, a level of a pixel.
Levels levels_of(HEED_PARAMS uint levels, uint p0, uint n, uint *number)
{
    uint x[MANY_POINTS], y[MANY_POINTS], z[MANY_POINTS];
    for (uint p = 0u; p < MANY_POINTS; p++) {
        x[p] = 0x10001u;
        y[p] = 1u;
        z[p] = 0u;
    }
    for (uint l = 0u, p = 0u; l < levels; l++) {
        const uint3 level = load_level(HEED_ARGS l);
        for (uint end = p + (level.y >> 16); p < end; p++) {
            if (p < p0 || p >= p0 + n)
                continue;
            number[p - p0] = l;
            x[p - p0] = level.x;
            y[p - p0] = level.y;
            z[p - p0] = level.z;
        }
    }
    const Levels all = {vload16(0, x), vload16(0, y), vload16(0, z)};
    return all;
}

// `n` numbers that lie `stride` apart.
float16 load_lanes(global const float *from, uint stride, uint n)
{
    float of[MANY_POINTS];
    for (uint p = 0u; p < MANY_POINTS; p++)
        of[p] = p < n ? from[p * stride] : 0.0f;
    return vload16(0, of);
}

Locations load_locations(HEED_PARAMS uint slot, uint n)
{
    global const float *from = buffers.coords + slot * AXES;
    Locations all = {(float16)(0.0f), (float16)(0.0f), (float16)(0.0f)};
    if (n == MANY_POINTS && !VOLUME) {
        const float16 low = vload16(0, from), high = vload16(1, from);
        all.x = (float16)(low.even, high.even);
        all.y = (float16)(low.odd, high.odd);
        return all;
    }
    all.x = load_lanes(from, AXES, n);
    all.y = load_lanes(from + 1, AXES, n);
    if (VOLUME)
        all.z = load_lanes(from + 2, AXES, n);
    return all;
}

// Offsets of a query's points become locations.
Locations from_offsets(HEED_PARAMS Locations offsets, uint row, uint levels, uint n, const uint *number)
{
    float centre[3u * MANY_POINTS], unit[3u * MANY_POINTS];
    Frame frame;
    for (uint p = 0u; p < MANY_POINTS; p++) {
        if (p < n && (p == 0u || number[p] != number[p - 1u]))
            frame = reference_frame(HEED_ARGS REFERENCE_PER_LEVEL ? row * levels + number[p] : row,
                                    load_level(HEED_ARGS number[p]));
        centre[p] = frame.centre.x;
        unit[p] = frame.unit.x;
        centre[MANY_POINTS + p] = frame.centre.y;
        unit[MANY_POINTS + p] = frame.unit.y;
        centre[2u * MANY_POINTS + p] = frame.centre.z;
        unit[2u * MANY_POINTS + p] = frame.unit.z;
    }
    offsets.x = fma(offsets.x, vload16(0, unit), vload16(0, centre));
    offsets.y = fma(offsets.y, vload16(1, unit), vload16(1, centre));
    offsets.z = fma(offsets.z, vload16(2, unit), vload16(2, centre));
    return offsets;
}
#endif

HEED_KERNEL deform(HEED_PUSH(heed_deform_push), HEED_IN(value), HEED_OUT(o), HEED_IN(coords), HEED_IN(weights),
                   HEED_IN(reference), HEED_IN(table))
{
    const struct buffers buffers = {HEED_AT(value, const uchar), HEED_AT(o, uchar),
                                    HEED_AT(coords, const float), HEED_AT(weights, const float),
                                    HEED_AT(reference, const float), HEED_AT(table, const uint)};
    uint item = (uint)get_global_id(0), first = item % BLOCKS * BLOCK, query0 = item / BLOCKS * QUERIES;
    uint head = (uint)get_group_id(1), batch = (uint)get_group_id(2);
    if (query0 >= push.queries)
        return;
    uint queries = min(push.queries - query0, QUERIES), row0 = batch * push.queries + query0;
    uint levels = push.counts & 0xffffu, points_total = push.counts >> 16, pitch = push.heads_total * points_total;
    uint slot0 = (row0 * push.heads_total + head) * points_total;
    uint value_first = batch * push.value_stride_batch + head * push.value_stride_head + first;
    uint channels = DIM % BLOCK == 0u ? BLOCK : min(DIM - first, BLOCK);
    Highest highest[QUERIES];
    float sum[QUERIES];
    CHANNELS total[QUERIES * VECTORS];
    for (uint i = 0u; i < queries; i++) {
        sum[i] = 0.0f;
        if (FROM_OFFSETS)
            highest[i] = highest_logit(HEED_ARGS slot0 + i * pitch, points_total);
#pragma unroll
        for (uint v = 0u; v < VECTORS; v++)
            total[i * VECTORS + v] = (CHANNELS)(0.0f);
    }
#if BLOCK > 16u
    // A chunk of points for all queries before the next: what is the same for them is worked out once, and what many of
    // them read is still near.
    for (uint p0 = 0u; p0 < points_total; p0 += MANY_POINTS) {
        const uint n = min(points_total - p0, MANY_POINTS);
        uint number[MANY_POINTS];
        const Levels level = levels_of(HEED_ARGS levels, p0, n, number);
        const int16 there = as_int16(COUNT16) < (int16)((int)n);
        for (uint i = 0u; i < queries; i++) {
            const uint slot = slot0 + i * pitch + p0;
            Locations location = load_locations(HEED_ARGS slot, n);
            float16 weight = UNWEIGHTED ? (float16)(1.0f) : n == MANY_POINTS
                                 ? vload16(0, buffers.weights + slot)
                                 : load_lanes(buffers.weights + slot, 1u, n);
            if (FROM_OFFSETS) {
                location = from_offsets(HEED_ARGS location, row0 + i, levels, n, number);
                weight = there ? exp(weight - highest[i].logit) : (float16)(0.0f);
                const float8 w8 = weight.lo + weight.hi;
                const float4 w4 = w8.lo + w8.hi;
                sum[i] += (w4.x + w4.y) + (w4.z + w4.w);
            }
            const Place near = place(HEED_ARGS location, level);
            uint at[MANY_POINTS * NEIGHBOURS];
            float part[MANY_POINTS * NEIGHBOURS];
#pragma unroll
            for (uint k = 0u; k < NEIGHBOURS; k++) {
                const float16 share = SHARE(near, k);
                vstore16(share == 0.0f || !there ? (float16)(0.0f) : weight * share, k, part);
                vstore16(CORNER(near, k) + value_first, k, at);
            }
            CHANNELS all[VECTORS];
#pragma unroll
            for (uint v = 0u; v < VECTORS; v++)
                all[v] = total[i * VECTORS + v];
            for (uint e = 0u; e < MANY_POINTS * NEIGHBOURS; e++)
                if (part[e] != 0.0f)
                    add_entry(buffers.value, at[e], part[e], channels, all);
#pragma unroll
            for (uint v = 0u; v < VECTORS; v++)
                total[i * VECTORS + v] = all[v];
        }
    }
#else
    for (uint l = 0u, slot = slot0; l < levels; l++) {
        const uint3 level = load_level(HEED_ARGS l);
        Frame frame;
        if (FROM_OFFSETS)
            frame = reference_frame(HEED_ARGS REFERENCE_PER_LEVEL ? row0 * levels + l : row0, level);
        for (uint p = 0u; p < level.y >> 16; p++, slot++) {
            float weight = UNWEIGHTED ? 1.0f : buffers.weights[slot];
            float3 location = load_coords(HEED_ARGS slot * AXES);
            if (FROM_OFFSETS) {
                weight = exp(weight - highest[0].logit);
                sum[0] += weight;
                location = fma(location, frame.unit, frame.centre);
            }
            const Place near = place(HEED_ARGS location, level);
#pragma unroll
            for (uint k = 0u; k < NEIGHBOURS; k++) { // one of weight 0 is nothing, also where it is NaN
                const float share = SHARE(near, k), part = share == 0.0f ? 0.0f : weight * share;
                if (part != 0.0f)
                    add_entry(buffers.value, value_first + CORNER(near, k), part, channels, total);
            }
        }
    }
#endif

    for (uint i = 0u; i < queries; i++) {
        uint o = batch * push.o_stride_batch + (query0 + i) * push.o_stride_row + head * push.o_stride_head + first;
        float scale = sum[i] == 0.0f ? 0.0f : 1.0f / sum[i];
        const float *x = (const float *)(total + i * VECTORS);
        for (uint c = 0u; c < channels; c++) {
            float y = FROM_OFFSETS ? highest[i].broken ? HEED_NAN : x[c] * scale : x[c];
            tensor_store(O_DT, buffers.o, o + c, y);
        }
    }
}
