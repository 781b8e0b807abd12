// SPDX-License-Identifier: MIT
// Fused attention for processors and many queries: a work-item owns BR rows, LANES of them side by side in a vector,
// and walks the keys BC at a time. Queries and outputs are kept transposed, so that no vector is ever added up across:
// what a vector is multiplied with is one number of a key or a value, for COLUMNS keys or features at a time.
// Measurements stand in src/select_attention.c.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#include "vectors.clh"

#define BLOCKS (BR / LANES)
#define FEATURES ((DIM_V_SLICE + COLUMNS - 1u) / COLUMNS * COLUMNS)
#define FULL (DIM_V_SLICE % COLUMNS == 0u && DIM_V % DIM_V_SLICE == 0u) // all blocks of features are
#define KEYS ((BC + COLUMNS - 1u) / COLUMNS * COLUMNS)

// Scores of a block of rows become logits where more than the number of a key decides it; `first`: of the block's rows.
void make_logits(HEED_PARAMS Sequence s, uint first, uint last_row, uint key, uint count, FLOATS *score)
{
    if (TERMS) {
        float *one = (float *)score;
        for (uint c = 0u; c < count; c++)
            for (uint lane = 0u; lane < LANES; lane++, one++)
                *one = attn_logit(HEED_ARGS s, min(first + lane, last_row), key + c, *one);
        return;
    }
    int at0 = (int)(push.row0 + first) + s.diagonal - (int)(push.key0 + key);
    bool left = flag(HEED_ATTN_WINDOW) && push.window_left >= 0;
    bool right = flag(HEED_ATTN_WINDOW) && push.window_right >= 0;
    bool inside = !(flag(HEED_ATTN_CAUSAL) && (int)count - 1 > at0) &&
                  !(right && (int)count - 1 - at0 > push.window_right) &&
                  !(left && at0 + (int)LANES - 1 > push.window_left);
    if (inside)
        return;
    INTS ahead = -(at0 + LANE_NUMBERS);
    for (uint c = 0u; c < count; c++, ahead++) {
        if (flag(HEED_ATTN_CAUSAL))
            score[c] = ahead > 0 ? EACH(HEED_RULED_OUT) : score[c];
        if (left)
            score[c] = ahead < -push.window_left ? EACH(HEED_RULED_OUT) : score[c];
        if (right)
            score[c] = ahead > push.window_right ? EACH(HEED_RULED_OUT) : score[c];
    }
}

bool is_wild(float x)
{
    return (HEED_BITS(x) & 0x7f800000u) == 0x7f800000u;
}

HEED_KERNEL attn_rows(ATTN_BINDINGS)
{
    const struct buffers buffers = ATTN_BUFFERS;
    uint row0 = (uint)get_group_id(0) / SLICES * BR, feature0 = (uint)get_group_id(0) % SLICES * DIM_V_SLICE;
    uint splits = split_count(HEED_ARGS_ONLY), split = (uint)get_group_id(2) % splits;
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2) / splits, (uint)get_group_id(1));
    uint end_row = row_count(HEED_ARGS s);
    if (row0 >= end_row)
        return;
    uint last_row = end_row - 1u, blocks = (min(BR, end_row - row0) + LANES - 1u) / LANES;
    KeyRange range = key_range(HEED_ARGS s, split, row0, min(row0 + BR - 1u, last_row));

    FLOATS query[BLOCKS * DIM_QK], acc[BLOCKS * FEATURES];
    Online rows[BLOCKS];
    uint q_base = q_begin(HEED_ARGS s);
    for (uint b = 0u; b < blocks; b++) {
        for (uint lane = 0u; lane < LANES; lane++) {
            uint e = q_base + min(row0 + b * LANES + lane, last_row) * push.q_stride_row;
            for (uint d = 0u; d < DIM_QK; d++)
                ((float *)(query + b * DIM_QK + d))[lane] = tensor_load(DT_Q, buffers.q, e + d) * SCALE;
        }
        for (uint f = 0u; f < FEATURES; f++)
            acc[b * FEATURES + f] = EACH(0.0f);
        rows[b] = online_begin();
    }

    uint k_base = k_begin(HEED_ARGS s), v_base = v_begin(HEED_ARGS s) + feature0;
#if DT_K == HEED_DT_F32
#define K_SPACE global
    K_SPACE const float *k_rows;
    uint k_pitch = push.k_stride_row;
#else
#define K_SPACE private
    float k_stage[BC * DIM_QK];
    float *k_rows = k_stage;
    const uint k_pitch = DIM_QK;
#endif
#if DT_V == HEED_DT_F32
#define V_SPACE global
    V_SPACE const float *v_rows;
    uint v_pitch = push.v_stride_row;
#else
#define V_SPACE private
    float v_stage[BC * DIM_V_SLICE];
    float *v_rows = v_stage;
    const uint v_pitch = DIM_V_SLICE;
#endif
    uint features = min(DIM_V - feature0, DIM_V_SLICE);

    for (uint key = range.first; key < range.end; key += BC) {
        uint count = min(BC, range.end - key);
#if DT_K == HEED_DT_F32
        k_rows = (global const float *)buffers.k + k_base + key * push.k_stride_row;
#else
        for (uint c = 0u; c < count; c++)
            for (uint d = 0u; d < DIM_QK; d++)
                k_stage[c * DIM_QK + d] = tensor_load(DT_K, buffers.k, k_base + (key + c) * push.k_stride_row + d);
#endif
#if DT_V == HEED_DT_F32
        v_rows = (global const float *)buffers.v + v_base + key * push.v_stride_row;
#else
        for (uint c = 0u; c < count; c++)
            for (uint d = 0u; d < features; d++)
                v_stage[c * DIM_V_SLICE + d] = tensor_load(DT_V, buffers.v, v_base + (key + c) * push.v_stride_row + d);
#endif
        bool wild = false; // among the values is one that is not finite
        if (GUARDED)
            for (uint c = 0u; c < count; c++)
                for (uint d = 0u; d < features; d++)
                    wild |= is_wild(v_rows[c * v_pitch + d]);

        for (uint b = 0u; b < blocks; b++) {
            FLOATS score[KEYS]; // then weights
            for (uint c0 = 0u; c0 < count; c0 += COLUMNS) {
                FLOATS t[COLUMNS];
                K_SPACE const float *k[COLUMNS]; // behind the last key it is read again
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++) {
                    t[i] = EACH(0.0f);
                    k[i] = k_rows + min(c0 + i, count - 1u) * k_pitch;
                }
                for (uint d = 0u; d < DIM_QK; d++) {
                    FLOATS q = query[b * DIM_QK + d];
#pragma unroll
                    for (uint i = 0u; i < COLUMNS; i++)
                        t[i] = fma(q, EACH(k[i][d]), t[i]);
                }
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++)
                    score[c0 + i] = t[i];
            }
            if (TERMS || BY_PLACE)
                make_logits(HEED_ARGS s, row0 + b * LANES, last_row, key, count, score);

            Online row = rows[b];
            FLOATS top = row.top;
            INTS closed = 0;
            for (uint c = 0u; c < count; c++) {
                top = score[c] > top ? score[c] : top;
                if (GUARDED)
                    closed |= score[c] == HEED_RULED_OUT;
            }
            FLOATS shift = online_shift(row, top);
            row = online_move(row, top, shift);
            for (uint c = 0u; c < count; c++) {
                FLOATS p = online_weight(row, score[c]);
                row = online_add(row, score[c], p);
                score[c] = p;
            }
            rows[b] = row;

            bool guarded = wild && any(closed); // 0 x NaN is not 0
            for (uint f0 = 0u; f0 < features; f0 += COLUMNS) {
                FLOATS a[COLUMNS];
                size_t e[COLUMNS]; // behind the last feature it is read again
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++) {
                    a[i] = acc[b * FEATURES + f0 + i] * shift;
                    e[i] = FULL ? f0 + i : min(f0 + i, features - 1u);
                }
                V_SPACE const float *v = v_rows;
                if (guarded)
                    for (uint c = 0u; c < count; c++, v += v_pitch)
#pragma unroll
                        for (uint i = 0u; i < COLUMNS; i++)
                            a[i] = score[c] == 0.0f ? a[i] : fma(score[c], EACH(v[e[i]]), a[i]);
                else
                    for (uint c = 0u; c < count; c++, v += v_pitch) {
                        FLOATS p = score[c];
#pragma unroll
                        for (uint i = 0u; i < COLUMNS; i++)
                            a[i] = fma(p, EACH(v[e[i]]), a[i]);
                    }
#pragma unroll
                for (uint i = 0u; i < COLUMNS; i++)
                    acc[b * FEATURES + f0 + i] = a[i];
            }
        }
    }

    for (uint b = 0u; b < blocks; b++) {
        FLOATS tops = online_top(rows[b]);
        const float *top = (const float *)&tops, *sum = (const float *)&rows[b].sum,
                    *weighted = (const float *)&rows[b].weighted;
        for (uint lane = 0u; lane < LANES; lane++) {
            uint row = row0 + b * LANES + lane;
            if (row > last_row)
                break;
            if (feature0 == 0u)
                store_sums(HEED_ARGS s, split, row, top[lane], sum[lane], weighted[lane]);
            uint o = o_begin(HEED_ARGS s, split, row) + feature0;
            float factor = o_factor(HEED_ARGS s, top[lane], sum[lane]);
            for (uint f = 0u; f < features; f++) {
                float x = ((const float *)(acc + b * FEATURES + f))[lane];
                tensor_store(PARTIAL ? HEED_DT_F32 : DT_O, buffers.o, o + f, factor == 0.0f ? 0.0f : x * factor);
            }
        }
    }
}
