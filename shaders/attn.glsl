// SPDX-License-Identifier: MIT
// What the attention kernels share: constants, push block, the side table, and the way from a score to a logit.
// The including file declares "mask" and "side" bindings by defining HEED_ATTN_TERMS when it needs attn_logit.

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_SPEC_BR) const uint BR = 16;
layout(constant_id = HEED_SPEC_BC) const uint BC = 32;
layout(constant_id = HEED_SPEC_DIM_QK) const uint DIM_QK = 64;
layout(constant_id = HEED_SPEC_DIM_V) const uint DIM_V = 64;
layout(constant_id = HEED_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_SPEC_VECTOR) const bool HEED_VECTOR = false;
layout(constant_id = HEED_SPEC_Q_SHARED) const bool Q_SHARED = true;
layout(constant_id = HEED_SPEC_DIM_V_SLICE) const uint DIM_V_SLICE = 64;
layout(constant_id = HEED_SPEC_POS_DIMS) const uint POS_DIMS = 0;

layout(push_constant) uniform Push { HEED_ATTN_PUSH } push;

const uint WG = gl_WorkGroupSize.x;
const uint DT_Q = DTYPES & 15u, DT_K = (DTYPES >> 4) & 15u, DT_V = (DTYPES >> 8) & 15u, DT_O = (DTYPES >> 12) & 15u,
           DT_MASK = (DTYPES >> 16) & 15u;

#define flag(bit) ((FLAGS & (bit)) != 0u)

#include "tensor.glsl"
#include "score.h"

layout(set = 0, binding = HEED_ATTN_SIDE) readonly buffer Side { uint side_w[]; };

uint side_header(uint entry)
{
    return side_w[HEED_RESIDUAL(push, HEED_ATTN_SIDE) + entry];
}

uint side_uint(uint array_, uint i)
{
    uint base = HEED_RESIDUAL(push, HEED_ATTN_SIDE);
    return side_w[base + side_w[base + array_] + i];
}

float side_float(uint array_, uint i)
{
    return uintBitsToFloat(side_uint(array_, i));
}

// One batch entry and head, as a work group sees it.
struct Sequence {
    uint batch, head;         // local: for strides
    uint head_kv;
    uint side_batch, side_head; // global: for the side table
    uint rows, keys;          // how many there really are
    uint row_start, key_start; // where row0 and key0 lie from the start of the q and k bindings
    int diagonal;
};

Sequence sequence(uint batch, uint head)
{
    Sequence s;
    uint heads_q = push.heads & 0xffffu, group = push.heads >> 16;
    s.batch = batch;
    s.head = head;
    s.side_batch = push.batch0 + batch;
    s.side_head = push.head0 + head;
    s.head_kv = s.side_head / group - push.head0 / group;
    s.rows = push.len_q;
    s.keys = push.len_kv;
    s.row_start = 0u;
    s.key_start = 0u;
    if (flag(HEED_ATTN_PACKED_Q)) {
        uint total = side_header(HEED_SIDE_TOTAL_Q);
        int first = clamp(int(side_uint(HEED_SIDE_CU_SEQLENS_Q, s.side_batch)), 0, int(total));
        int end = clamp(int(side_uint(HEED_SIDE_CU_SEQLENS_Q, s.side_batch + 1u)), first, int(total));
        s.rows = min(uint(end - first), push.len_q);
        s.row_start = uint(first) + push.row0;
    }
    if (flag(HEED_ATTN_PACKED_KV)) {
        uint total = side_header(HEED_SIDE_TOTAL_KV);
        int first = clamp(int(side_uint(HEED_SIDE_CU_SEQLENS_KV, s.side_batch)), 0, int(total));
        int end = clamp(int(side_uint(HEED_SIDE_CU_SEQLENS_KV, s.side_batch + 1u)), first, int(total));
        s.keys = min(uint(end - first), push.len_kv);
        s.key_start = uint(first) + push.key0;
    }
    if (flag(HEED_ATTN_KEY_LENGTHS))
        s.keys = uint(clamp(int(side_uint(HEED_SIDE_KEY_LENGTHS, s.side_batch)), 0, int(s.keys)));
    s.diagonal = flag(HEED_ATTN_TOP_LEFT) ? 0 : int(s.keys) - int(s.rows);
    return s;
}

// Where the row's lse and entropy lie; `row` counts from row0.
uint row_index(Sequence s, uint row)
{
    if (flag(HEED_ATTN_PACKED_Q))
        return s.head * side_header(HEED_SIDE_TOTAL_Q) + s.row_start + row;
    return (s.batch * (push.heads & 0xffffu) + s.head) * push.len_q + row;
}

// Where its partial results lie, which are kept for one step's batches, heads and rows only.
uint partial_index(Sequence s, uint row)
{
    if (flag(HEED_ATTN_PACKED_Q))
        return s.head * side_header(HEED_SIDE_TOTAL_Q) + s.row_start + row;
    return (s.batch * gl_NumWorkGroups.y + s.head) * push.rows + row;
}

#ifdef HEED_ATTN_TERMS
HEED_TENSOR_IN(mask, HEED_ATTN_MASK)

float distance_penalty(Sequence s, uint i, uint j)
{
    uint qi = s.side_batch * side_header(HEED_SIDE_Q_POS_STRIDE_BATCH) + i * POS_DIMS;
    uint kj = s.side_batch * side_header(HEED_SIDE_K_POS_STRIDE_BATCH) + j * POS_DIMS;
    float squared = 0.0;
    for (uint c = 0u; c < POS_DIMS; c++) {
        float d = side_float(HEED_SIDE_Q_POS, qi + c) - side_float(HEED_SIDE_K_POS, kj + c);
        squared = fma(d, d, squared);
    }
    float strength = side_float(HEED_SIDE_DISTANCE, 2u * s.side_head);
    return strength * heed_distance_power(squared, side_float(HEED_SIDE_DISTANCE, 2u * s.side_head + 1u));
}

// What the pair of row and key (counted from row0 and key0) adds to its score; false: it is ruled out, whatever the score.
bool pair_bias(Sequence q, uint row, uint key, out float bias)
{
    uint i = push.row0 + row, j = push.key0 + key; // in the sequence
    int ahead = int(j) - (int(i) + q.diagonal);
    bias = 0.0;
    if (j >= q.keys || (flag(HEED_ATTN_CAUSAL) && ahead > 0))
        return false;
    if (flag(HEED_ATTN_WINDOW) && ((push.window_left >= 0 && ahead < -push.window_left) ||
                                   (push.window_right >= 0 && ahead > push.window_right)))
        return false;
    if (flag(HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD)) {
        uint e = HEED_RESIDUAL(push, HEED_ATTN_MASK) + q.batch * push.mask_stride_batch +
                 q.head * push.mask_stride_head + row * push.mask_stride_row + key;
        if (flag(HEED_ATTN_MASK_BOOL)) {
            if (((mask_w[e >> 2] >> (8u * (e & 3u))) & 255u) == 0u)
                return false;
        } else {
            bias = mask_load(DT_MASK, e);
            if (heed_is_minus_inf(bias))
                return false;
        }
    }
    if (flag(HEED_ATTN_KEY_BIAS))
        bias += side_float(HEED_SIDE_KEY_BIAS, q.side_batch * side_header(HEED_SIDE_KEY_BIAS_STRIDE_BATCH) +
                                                   q.side_head * side_header(HEED_SIDE_KEY_BIAS_STRIDE_HEAD) +
                                                   q.key_start + (flag(HEED_ATTN_PACKED_KV) ? key : j));
    if (flag(HEED_ATTN_ALIBI))
        bias -= side_float(HEED_SIDE_ALIBI, q.side_head) * float(abs(ahead));
    if (flag(HEED_ATTN_DISTANCE))
        bias -= distance_penalty(q, flag(HEED_ATTN_PACKED_Q) ? q.row_start + row : i,
                                 flag(HEED_ATTN_PACKED_KV) ? q.key_start + key : j);
    return true;
}

// The logit t of heed.h for a score s of a pair that nothing else rules out, or HEED_RULED_OUT.
float biased_logit(float s, float bias)
{
    if (heed_is_minus_inf(s + bias)) // softcap would bring it back
        return HEED_RULED_OUT;
    if (flag(HEED_ATTN_SOFTCAP) && !flag(HEED_ATTN_SOFTCAP_AFTER))
        s = heed_softcap(s, push.softcap);
    float t = s + bias;
    if (flag(HEED_ATTN_SOFTCAP) && flag(HEED_ATTN_SOFTCAP_AFTER))
        t = heed_softcap(t, push.softcap);
    return t < HEED_LOWEST ? HEED_LOWEST : t;
}

float attn_logit(Sequence q, uint row, uint key, float s)
{
    float bias;
    return pair_bias(q, row, key, bias) ? biased_logit(s, bias) : HEED_RULED_OUT;
}

// The end of a row: its max, its sum of exp(t - max), and its sum of exp(t - max) (t - max) become what the values are
// multiplied with, the log-sum-exp and the entropy. A sink takes part in max and sum only.
struct RowEnd {
    float factor, lse, entropy;
};

RowEnd row_end(Sequence s, float m, float sum, float weighted)
{
    float total = sum, shift = 1.0;
    if (flag(HEED_ATTN_SINKS)) {
        float sink = side_float(HEED_SIDE_SINKS, s.side_head);
        float top = sum == 0.0 || sink > m ? sink : m;
        shift = sum == 0.0 ? 0.0 : heed_exp(m - top);
        // The sum of exp(t - top) (t - top), from that of exp(t - m) (t - m).
        weighted = sum == 0.0 ? 0.0 : shift * (weighted + sum * (m - top));
        sum *= shift;
        total = sum + heed_exp(sink - top);
        m = top;
    }
    RowEnd e;
    bool nothing = total == 0.0;
    e.factor = nothing ? 0.0 : shift / total;
    e.lse = nothing ? uintBitsToFloat(0xff800000u) : m + heed_log(total);
    e.entropy = nothing ? 0.0 : (sum * heed_log(total) - weighted) / total;
    return e;
}
#endif
