/* SPDX-License-Identifier: MIT
 * The side table, where a sequence lies, and the way from a score to a logit and to a row's results: the same text in
 * GLSL and in OpenCL C. Whoever includes it has declared side_w and, for HEED_ATTN_TERMS, mask_is_set and mask_bias. */
#ifndef HEED_ATTN_H
#define HEED_ATTN_H

#include "score.h"

uint side_header(HEED_PARAMS uint entry)
{
    return side_w[HEED_RESIDUAL(push, HEED_ATTN_SIDE) + entry];
}

uint side_uint(HEED_PARAMS uint array_, uint i)
{
    uint base = HEED_RESIDUAL(push, HEED_ATTN_SIDE);
    return side_w[base + side_w[base + array_] + i];
}

int side_int(HEED_PARAMS uint array_, uint i)
{
    return HEED_INT(side_uint(HEED_ARGS array_, i));
}

float side_float(HEED_PARAMS uint array_, uint i)
{
    return HEED_FLOAT(side_uint(HEED_ARGS array_, i));
}

/* One batch entry and head, as a work group sees it. */
HEED_STRUCT(Sequence)
struct Sequence {
    uint batch, head; /* local: for strides */
    uint head_kv;
    uint side_batch, side_head; /* global: for the side table */
    uint rows, keys;            /* how many there really are */
    uint row_start, key_start;  /* where row0 and key0 lie from the start of the q and k bindings */
    int diagonal;
};

Sequence sequence(HEED_PARAMS uint batch, uint head)
{
    Sequence s;
    uint group = push.heads >> 16;
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
        int total = HEED_INT(side_header(HEED_ARGS HEED_SIDE_TOTAL_Q));
        int first = clamp(side_int(HEED_ARGS HEED_SIDE_CU_SEQLENS_Q, s.side_batch), 0, total);
        int end = clamp(side_int(HEED_ARGS HEED_SIDE_CU_SEQLENS_Q, s.side_batch + 1u), first, total);
        s.rows = min(HEED_UINT(end - first), push.len_q);
        s.row_start = HEED_UINT(first) + push.row0;
    }
    if (flag(HEED_ATTN_PACKED_KV)) {
        int total = HEED_INT(side_header(HEED_ARGS HEED_SIDE_TOTAL_KV));
        int first = clamp(side_int(HEED_ARGS HEED_SIDE_CU_SEQLENS_KV, s.side_batch), 0, total);
        int end = clamp(side_int(HEED_ARGS HEED_SIDE_CU_SEQLENS_KV, s.side_batch + 1u), first, total);
        s.keys = min(HEED_UINT(end - first), push.len_kv);
        s.key_start = HEED_UINT(first) + push.key0;
    }
    if (flag(HEED_ATTN_KEY_LENGTHS))
        s.keys = HEED_UINT(clamp(side_int(HEED_ARGS HEED_SIDE_KEY_LENGTHS, s.side_batch), 0,
                                       HEED_INT(s.keys)));
    s.diagonal = flag(HEED_ATTN_TOP_LEFT) ? 0 : HEED_INT(s.keys) - HEED_INT(s.rows);
    return s;
}

/* Where the row's lse and entropy lie; `row` counts from row0. */
uint row_index(HEED_PARAMS Sequence s, uint row)
{
    if (flag(HEED_ATTN_PACKED_Q))
        return s.head * side_header(HEED_ARGS HEED_SIDE_TOTAL_Q) + s.row_start + row;
    return (s.batch * (push.heads & 0xffffu) + s.head) * push.len_q + row;
}

/* Where its partial results lie, which are kept for one step's batches, heads and rows only. */
uint partial_index(HEED_PARAMS Sequence s, uint row)
{
    if (flag(HEED_ATTN_PACKED_Q))
        return s.head * side_header(HEED_ARGS HEED_SIDE_TOTAL_Q) + s.row_start + row;
    return (s.batch * HEED_GROUPS_Y + s.head) * push.rows + row;
}

#ifdef HEED_ATTN_TERMS
float distance_penalty(HEED_PARAMS Sequence s, uint i, uint j)
{
    uint qi = s.side_batch * side_header(HEED_ARGS HEED_SIDE_Q_POS_STRIDE_BATCH) + i * POS_DIMS;
    uint kj = s.side_batch * side_header(HEED_ARGS HEED_SIDE_K_POS_STRIDE_BATCH) + j * POS_DIMS;
    float squared = 0.0f;
    for (uint c = 0u; c < POS_DIMS; c++) {
        float d = side_float(HEED_ARGS HEED_SIDE_Q_POS, qi + c) - side_float(HEED_ARGS HEED_SIDE_K_POS, kj + c);
        squared = fma(d, d, squared);
    }
    float strength = side_float(HEED_ARGS HEED_SIDE_DISTANCE, 2u * s.side_head);
    return strength * heed_distance_power(squared, side_float(HEED_ARGS HEED_SIDE_DISTANCE, 2u * s.side_head + 1u));
}

/* What the pair of row and key (counted from row0 and key0) adds to its score; not open: it is ruled out, whatever the
 * score. */
HEED_STRUCT(PairBias)
struct PairBias {
    float bias;
    bool open;
};

PairBias pair_bias(HEED_PARAMS Sequence q, uint row, uint key)
{
    PairBias p;
    p.bias = 0.0f;
    p.open = false;
    uint i = push.row0 + row, j = push.key0 + key; /* in the sequence */
    int ahead = HEED_INT(j) - (HEED_INT(i) + q.diagonal);
    if (j >= q.keys || (flag(HEED_ATTN_CAUSAL) && ahead > 0))
        return p;
    if (flag(HEED_ATTN_WINDOW) && ((push.window_left >= 0 && ahead < -push.window_left) ||
                                   (push.window_right >= 0 && ahead > push.window_right)))
        return p;
    if (flag(HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD)) {
        uint e = HEED_RESIDUAL(push, HEED_ATTN_MASK) + q.batch * push.mask_stride_batch +
                 q.head * push.mask_stride_head + row * push.mask_stride_row + key;
        if (flag(HEED_ATTN_MASK_BOOL)) {
            if (!mask_is_set(HEED_ARGS e))
                return p;
        } else {
            p.bias = mask_bias(HEED_ARGS e);
            if (heed_is_minus_inf(p.bias))
                return p;
        }
    }
    if (flag(HEED_ATTN_KEY_BIAS)) {
        uint e = q.side_batch * side_header(HEED_ARGS HEED_SIDE_KEY_BIAS_STRIDE_BATCH) +
                 q.side_head * side_header(HEED_ARGS HEED_SIDE_KEY_BIAS_STRIDE_HEAD) + q.key_start;
        p.bias += side_float(HEED_ARGS HEED_SIDE_KEY_BIAS, e + (flag(HEED_ATTN_PACKED_KV) ? key : j));
    }
    if (flag(HEED_ATTN_ALIBI))
        p.bias -= side_float(HEED_ARGS HEED_SIDE_ALIBI, q.side_head) * HEED_CAST(float, abs(ahead));
    if (flag(HEED_ATTN_DISTANCE))
        p.bias -= distance_penalty(HEED_ARGS q, flag(HEED_ATTN_PACKED_Q) ? q.row_start + row : i,
                                   flag(HEED_ATTN_PACKED_KV) ? q.key_start + key : j);
    p.open = true;
    return p;
}

/* The logit t of heed.h for a score s of a pair that nothing else rules out, or HEED_RULED_OUT. */
float biased_logit(HEED_PARAMS float s, float bias)
{
    if (heed_is_minus_inf(s + bias)) /* softcap would bring it back */
        return HEED_RULED_OUT;
    if (flag(HEED_ATTN_SOFTCAP) && !flag(HEED_ATTN_SOFTCAP_AFTER))
        s = heed_softcap(s, push.softcap);
    float t = s + bias;
    if (flag(HEED_ATTN_SOFTCAP) && flag(HEED_ATTN_SOFTCAP_AFTER))
        t = heed_softcap(t, push.softcap);
    /* What is below HEED_LOWEST, by its bits: as a comparison NVIDIA's compiler makes a maximum of it, without NaN. */
    return HEED_BITS(t) - 0xff7fffffu <= 1u ? HEED_LOWEST : t;
}

float attn_logit(HEED_PARAMS Sequence q, uint row, uint key, float s)
{
    PairBias p = pair_bias(HEED_ARGS q, row, key);
    return p.open ? biased_logit(HEED_ARGS s, p.bias) : HEED_RULED_OUT;
}

/* The end of a row: its max, its sum of exp(t - max), and its sum of exp(t - max) (t - max) become what the values are
 * multiplied with, the log-sum-exp and the entropy. A sink takes part in max and sum only. */
HEED_STRUCT(RowEnd)
struct RowEnd {
    float factor, lse, entropy;
};

RowEnd row_end(HEED_PARAMS Sequence s, float m, float sum, float weighted)
{
    float total = sum, shift = 1.0f;
    if (flag(HEED_ATTN_SINKS)) {
        float sink = side_float(HEED_ARGS HEED_SIDE_SINKS, s.side_head);
        float top = sum == 0.0f || sink > m ? sink : m;
        shift = sum == 0.0f ? 0.0f : heed_exp(m - top);
        /* The sum of exp(t - top) (t - top), from that of exp(t - m) (t - m). */
        weighted = sum == 0.0f ? 0.0f : shift * (weighted + sum * (m - top));
        sum *= shift;
        total = sum + heed_exp(sink - top);
        m = top;
    }
    RowEnd e;
    bool nothing = total == 0.0f;
    e.factor = nothing ? 0.0f : shift / total;
    e.lse = nothing ? HEED_FLOAT(0xff800000u) : m + heed_log(total);
    e.entropy = nothing ? 0.0f : (sum * heed_log(total) - weighted) / total;
    return e;
}
#endif

#endif
