// SPDX-License-Identifier: MIT
// What the fused kernels share: their bindings, which keys a work group walks, and where its results go.

#define HEED_ATTN_TERMS
#include "attn.glsl"

HEED_TENSOR_IN(q, HEED_ATTN_Q)
HEED_TENSOR_IN(k, HEED_ATTN_K)
HEED_TENSOR_IN(v, HEED_ATTN_V)
HEED_TENSOR_OUT(o, HEED_ATTN_O)
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

// Something may rule out single pairs of a tile: their weight is 0, but 0 x NaN is not.
const bool GUARDED = (FLAGS & (HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_CAUSAL | HEED_ATTN_WINDOW |
                               HEED_ATTN_KEY_BIAS)) != 0u;
const bool PARTIAL = (FLAGS & HEED_ATTN_PARTIAL) != 0u;
const uint SLICES = (DIM_V + DIM_V_SLICE - 1u) / DIM_V_SLICE;

// The elements at which batch, head and first row or key of a tensor begin.
uint q_begin(Sequence s)
{
    return HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
           s.head * push.q_stride_head + s.row_start * push.q_stride_row;
}

uint k_begin(Sequence s)
{
    return HEED_RESIDUAL(push, HEED_ATTN_K) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.k_stride_batch) +
           s.head_kv * push.k_stride_head + s.key_start * push.k_stride_row;
}

uint v_begin(Sequence s)
{
    return HEED_RESIDUAL(push, HEED_ATTN_V) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.v_stride_batch) +
           s.head_kv * push.v_stride_head + s.key_start * push.v_stride_row;
}

// Four features from d on; behind the last there are zeros, which add nothing to a dot product.
vec4 load_q(uint row_begin, uint d)
{
    return heed_first(q_load4n(DT_Q, row_begin + d, DIM_QK - d), DIM_QK - d);
}

vec4 load_k(uint row_begin, uint d)
{
    return heed_first(k_load4n(DT_K, row_begin + d, DIM_QK - d), DIM_QK - d);
}

// groups.z counts batches x key splits.
uint split_count()
{
    return max((push.keys + push.key_chunk - 1u) / push.key_chunk, 1u);
}

// Rows of this sequence that the step has, counted from push.row0.
uint row_count(Sequence s)
{
    return s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
}

// The keys of a split that any of the rows first_row .. last_row can attend to; counted, as rows are, from push.key0.
struct KeyRange {
    uint first, end;
};

KeyRange key_range(Sequence s, uint split, uint first_row, uint last_row)
{
    int first = int(push.key0 + split * push.key_chunk);
    int end = min(min(int(s.keys), int(push.key0 + push.keys)), first + int(push.key_chunk));
    int top = int(push.row0 + first_row) + s.diagonal, bottom = int(push.row0 + last_row) + s.diagonal;
    if (flag(HEED_ATTN_CAUSAL))
        end = min(end, bottom + 1);
    if (flag(HEED_ATTN_WINDOW)) {
        if (push.window_right >= 0 && bottom < 0x7fffffff - push.window_right)
            end = min(end, bottom + push.window_right + 1);
        if (push.window_left >= 0 && top > push.window_left)
            first = max(first, top - push.window_left);
    }
    KeyRange range;
    range.first = uint(first) - push.key0;
    range.end = max(uint(max(end, first)) - push.key0, range.first);
    return range;
}

// A row is done: its sums for the merge, or its lse and entropy.
void store_sums(Sequence s, uint split, uint row, float m, float sum, float weighted)
{
    if (PARTIAL) {
        uint e = HEED_RESIDUAL(push, HEED_ATTN_LSE) + 4u * (split * push.row_total + partial_index(s, row));
        lse_w[e] = m;
        lse_w[e + 1u] = sum;
        lse_w[e + 2u] = weighted;
        return;
    }
    RowEnd end = row_end(s, m, sum, weighted);
    if (flag(HEED_ATTN_WRITE_LSE))
        lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + row_index(s, row)] = end.lse;
    if (flag(HEED_ATTN_WRITE_ENTROPY))
        entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + row_index(s, row)] = end.entropy;
}

// Where a row's output begins: the row of o, or of the partial results.
uint o_begin(Sequence s, uint split, uint row)
{
    if (PARTIAL)
        return HEED_RESIDUAL(push, HEED_ATTN_O) + (split * push.row_total + partial_index(s, row)) * DIM_V;
    return HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
           s.head * push.o_stride_head + (s.row_start + row) * push.o_stride_row;
}

// What its accumulators are multiplied with. 0: the row attends to nothing and is 0 whatever they hold.
float o_factor(Sequence s, float m, float sum)
{
    return PARTIAL ? 1.0 : row_end(s, m, sum, 0.0).factor;
}

void store_o(uint element, uint feature, vec4 acc, float factor)
{
    o_store4n(PARTIAL ? uint(HEED_DT_F32) : DT_O, element + feature, factor == 0.0 ? vec4(0.0) : acc * factor,
              DIM_V - feature);
}
