/* SPDX-License-Identifier: MIT
 * Where the tensors of a fused kernel begin, which keys a work group walks, and where its results go: the same text in
 * GLSL and in OpenCL C. Whoever includes it has declared lse_w and entropy_w. */
#ifndef HEED_FUSED_H
#define HEED_FUSED_H

#include "attn.h"

/* Something may rule out single pairs of a tile: their weight is 0, but 0 x NaN is not. */
#define GUARDED \
    flag(HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_CAUSAL | HEED_ATTN_WINDOW | HEED_ATTN_KEY_BIAS)
#define PARTIAL flag(HEED_ATTN_PARTIAL)
#define SLICES ((DIM_V + DIM_V_SLICE - 1u) / DIM_V_SLICE)

/* The elements at which batch, head and first row or key of a tensor begin. */
uint q_begin(HEED_PARAMS Sequence s)
{
    return HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
           s.head * push.q_stride_head + s.row_start * push.q_stride_row;
}

uint k_begin(HEED_PARAMS Sequence s)
{
    return HEED_RESIDUAL(push, HEED_ATTN_K) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.k_stride_batch) +
           s.head_kv * push.k_stride_head + s.key_start * push.k_stride_row;
}

uint v_begin(HEED_PARAMS Sequence s)
{
    return HEED_RESIDUAL(push, HEED_ATTN_V) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.v_stride_batch) +
           s.head_kv * push.v_stride_head + s.key_start * push.v_stride_row;
}

/* groups.z counts batches x key splits. */
uint split_count(HEED_PARAMS_ONLY)
{
    return max((push.keys + push.key_chunk - 1u) / push.key_chunk, 1u);
}

/* Rows of this sequence that the step has, counted from push.row0. */
uint row_count(HEED_PARAMS Sequence s)
{
    return s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
}

/* The keys of a split that any of the rows first_row .. last_row can attend to; counted from push.key0, as rows
 * are from push.row0. */
HEED_STRUCT(KeyRange)
struct KeyRange {
    uint first, end;
};

KeyRange key_range(HEED_PARAMS Sequence s, uint split, uint first_row, uint last_row)
{
    int first = HEED_INT(push.key0 + split * push.key_chunk);
    int end = min(min(HEED_INT(s.keys), HEED_INT(push.key0 + push.keys)), first + HEED_INT(push.key_chunk));
    int top = HEED_INT(push.row0 + first_row) + s.diagonal, bottom = HEED_INT(push.row0 + last_row) + s.diagonal;
    if (flag(HEED_ATTN_CAUSAL))
        end = min(end, bottom + 1);
    if (flag(HEED_ATTN_WINDOW)) {
        if (push.window_right >= 0 && bottom < 0x7fffffff - push.window_right)
            end = min(end, bottom + push.window_right + 1);
        if (push.window_left >= 0 && top > push.window_left)
            first = max(first, top - push.window_left);
    }
    KeyRange range;
    range.first = HEED_UINT(first) - push.key0;
    range.end = max(HEED_UINT(max(end, first)) - push.key0, range.first);
    return range;
}

/* A row is done: its sums for the merge, or its lse and entropy. */
void store_sums(HEED_PARAMS Sequence s, uint split, uint row, float m, float sum, float weighted)
{
    if (PARTIAL) {
        uint e = HEED_RESIDUAL(push, HEED_ATTN_LSE) + 4u * (split * push.row_total + partial_index(HEED_ARGS s, row));
        lse_w[e] = m;
        lse_w[e + 1u] = sum;
        lse_w[e + 2u] = weighted;
        return;
    }
    RowEnd end = row_end(HEED_ARGS s, m, sum, weighted);
    if (flag(HEED_ATTN_WRITE_LSE))
        lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + row_index(HEED_ARGS s, row)] = end.lse;
    if (flag(HEED_ATTN_WRITE_ENTROPY))
        entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + row_index(HEED_ARGS s, row)] = end.entropy;
}

/* Where a row's output begins: the row of o, or of the partial results. */
uint o_begin(HEED_PARAMS Sequence s, uint split, uint row)
{
    if (PARTIAL)
        return HEED_RESIDUAL(push, HEED_ATTN_O) + (split * push.row_total + partial_index(HEED_ARGS s, row)) * DIM_V;
    return HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
           s.head * push.o_stride_head + (s.row_start + row) * push.o_stride_row;
}

/* What its accumulators are multiplied with. 0: the row attends to nothing and is 0 whatever they hold. */
float o_factor(HEED_PARAMS Sequence s, float m, float sum)
{
    return PARTIAL ? 1.0f : row_end(HEED_ARGS s, m, sum, 0.0f).factor;
}

#endif
