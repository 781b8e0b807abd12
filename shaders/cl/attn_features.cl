// SPDX-License-Identifier: MIT
// Fused attention for processors and few queries: a work-item walks its keys BC at a time for BR rows, LANES features
// side by side in a vector, so that keys and values are read once and in the order in which they lie. Measurements
// stand in src/select_attention.c.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#include "vectors.clh"

#define Q_VECTORS ((DIM_QK + LANES - 1u) / LANES)
#define V_VECTORS ((DIM_V_SLICE + LANES - 1u) / LANES)
#define V_PADDED ((V_VECTORS + COLUMNS - 1u) / COLUMNS * COLUMNS)
#define KEY_VECTORS (BC / LANES)

// LANES features of a row from the d-th of `dim` on, and 0 behind the last.
FLOATS load_features(uint dt, global const uchar *t, uint row, uint d, uint dim)
{
    if (d + LANES <= dim) {
        if (dt == HEED_DT_F32)
            return LOAD_F32((global const float *)t + row + d);
        if (dt == HEED_DT_F16)
            return LOAD_F16((global const half *)t + row + d);
        return LOAD_BF16((global const ushort *)t + row + d);
    }
    FLOATS x = EACH(0.0f);
    for (uint i = 0u; d + i < dim; i++)
        ((float *)&x)[i] = tensor_load(dt, t, row + d + i);
    return x;
}

// Sums of pairs that lie side by side, first of a and then of b.
#define PAIRS(a, b) (FLOATS)((a).even + (a).odd, (b).even + (b).odd)

// The sum over the lanes of each of LANES vectors.
FLOATS sums_across(const FLOATS *x)
{
    FLOATS y[LANES];
#pragma unroll
    for (uint i = 0u; i < LANES; i++)
        y[i] = x[i];
#pragma unroll
    for (uint n = LANES / 2u; n > 0u; n /= 2u)
#pragma unroll
        for (uint i = 0u; i < n; i++)
            y[i] = PAIRS(y[2u * i], y[2u * i + 1u]);
    return y[0];
}

float sum_of(FLOATS x)
{
    const float *one = (const float *)&x;
    float sum = 0.0f;
    for (uint i = 0u; i < LANES; i++)
        sum += one[i];
    return sum;
}

float larger(float a, float b)
{
    return b > a ? b : a;
}

// The largest lane, NaN aside.
float largest_of(float top, FLOATS x)
{
    const float *one = (const float *)&x;
    float t[4] = {top, top, top, top};
#pragma unroll
    for (uint i = 0u; i < LANES; i++)
        t[i % 4u] = larger(t[i % 4u], one[i]);
    return larger(larger(t[0], t[1]), larger(t[2], t[3]));
}

HEED_KERNEL attn_features(ATTN_BINDINGS)
{
    const struct buffers buffers = ATTN_BUFFERS;
    uint row0 = (uint)get_group_id(0) / SLICES * BR, feature0 = (uint)get_group_id(0) % SLICES * DIM_V_SLICE;
    uint splits = split_count(HEED_ARGS_ONLY), split = (uint)get_group_id(2) % splits;
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2) / splits, (uint)get_group_id(1));
    uint end_row = row_count(HEED_ARGS s);
    if (row0 >= end_row)
        return;
    uint last_row = end_row - 1u;
    KeyRange range = key_range(HEED_ARGS s, split, row0, min(row0 + BR - 1u, last_row));

    FLOATS query[BR * Q_VECTORS], acc[BR * V_PADDED];
    Online rows[BR];
    uint q_base = q_begin(HEED_ARGS s), k_base = k_begin(HEED_ARGS s), v_base = v_begin(HEED_ARGS s);
    for (uint r = 0u; r < BR; r++) {
        uint e = q_base + min(row0 + r, last_row) * push.q_stride_row;
        for (uint d = 0u; d < Q_VECTORS; d++)
            query[r * Q_VECTORS + d] = load_features(DT_Q, buffers.q, e, d * LANES, DIM_QK) * SCALE;
        for (uint d = 0u; d < V_PADDED; d++)
            acc[r * V_PADDED + d] = EACH(0.0f);
        rows[r] = online_begin();
    }

    for (uint key = range.first; key < range.end; key += BC) {
        uint count = min(BC, range.end - key);
        FLOATS part[BR * BC]; // of a score: to be added up across
        for (uint c = 0u; c < count; c++) {
            uint k = k_base + (key + c) * push.k_stride_row;
            FLOATS t[BR];
#pragma unroll
            for (uint r = 0u; r < BR; r++)
                t[r] = EACH(0.0f);
            for (uint d = 0u; d < Q_VECTORS; d++) {
                FLOATS x = load_features(DT_K, buffers.k, k, d * LANES, DIM_QK);
#pragma unroll
                for (uint r = 0u; r < BR; r++)
                    t[r] = fma(query[r * Q_VECTORS + d], x, t[r]);
            }
#pragma unroll
            for (uint r = 0u; r < BR; r++)
                part[r * BC + c] = t[r];
        }
        for (uint c = count; c < BC; c++) // what is behind the last key is ruled out below
            for (uint r = 0u; r < BR; r++)
                part[r * BC + c] = EACH(0.0f);

        FLOATS weight_of[BR * KEY_VECTORS]; // of LANES keys
        for (uint r = 0u; r < BR; r++) {
            Online row = rows[r];
            float top = ((const float *)&row.top)[0];
            for (uint n = 0u; n < KEY_VECTORS; n++) {
                FLOATS t = sums_across(part + r * BC + n * LANES);
                if (TERMS || BY_PLACE) {
                    float *one = (float *)&t;
                    for (uint c = 0u; c < LANES && n * LANES + c < count; c++)
                        one[c] = attn_logit(HEED_ARGS s, min(row0 + r, last_row), key + n * LANES + c, one[c]);
                }
                if ((n + 1u) * LANES > count)
                    t = (INTS)(n * LANES) + LANE_NUMBERS < (INTS)count ? t : EACH(HEED_RULED_OUT);
                top = largest_of(top, t);
                weight_of[r * KEY_VECTORS + n] = t;
            }
            FLOATS shift = online_shift(row, EACH(top));
            if (top != ((const float *)&row.top)[0])
                for (uint d = 0u; d < V_VECTORS; d++)
                    acc[r * V_PADDED + d] *= shift;
            row = online_move(row, EACH(top), shift);
            for (uint n = 0u; n < KEY_VECTORS; n++) {
                FLOATS t = weight_of[r * KEY_VECTORS + n], p = online_weight(row, t);
                row = online_add(row, t, p);
                weight_of[r * KEY_VECTORS + n] = p;
            }
            rows[r] = row;
        }

        const float *p = (const float *)weight_of;
        for (uint d0 = 0u; d0 < V_VECTORS; d0 += COLUMNS) {
            FLOATS a[BR * COLUMNS];
#pragma unroll
            for (uint r = 0u; r < BR; r++)
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++)
                    a[r * COLUMNS + i] = acc[r * V_PADDED + d0 + i];
            for (uint c = 0u; c < count; c++) {
                uint v = v_base + (key + c) * push.v_stride_row;
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++) {
                    uint d = feature0 + min(d0 + i, V_VECTORS - 1u) * LANES;
                    FLOATS x = load_features(DT_V, buffers.v, v, d, DIM_V);
#pragma unroll
                    for (uint r = 0u; r < BR; r++) {
                        float w = p[r * BC + c];
                        FLOATS sum = fma(EACH(w), x, a[r * COLUMNS + i]);
                        a[r * COLUMNS + i] = GUARDED && w == 0.0f ? a[r * COLUMNS + i] : sum; // 0 x NaN is not 0
                    }
                }
            }
#pragma unroll
            for (uint r = 0u; r < BR; r++)
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++)
                    acc[r * V_PADDED + d0 + i] = a[r * COLUMNS + i];
        }
    }

    uint features = min(DIM_V - feature0, DIM_V_SLICE);
    for (uint r = 0u; r < BR && row0 + r <= last_row; r++) {
        FLOATS tops = online_top(rows[r]);
        float top = ((const float *)&tops)[0], sum = sum_of(rows[r].sum);
        if (feature0 == 0u)
            store_sums(HEED_ARGS s, split, row0 + r, top, sum, sum_of(rows[r].weighted));
        uint o = o_begin(HEED_ARGS s, split, row0 + r) + feature0;
        float factor = o_factor(HEED_ARGS s, top, sum);
        const float *x = (const float *)(acc + r * V_PADDED);
        for (uint f = 0u; f < features; f++)
            tensor_store(PARTIAL ? HEED_DT_F32 : DT_O, buffers.o, o + f, factor == 0.0f ? 0.0f : x[f] * factor);
    }
}
