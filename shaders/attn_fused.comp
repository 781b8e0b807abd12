#version 450
// SPDX-License-Identifier: MIT
// Fused attention: a work group owns BR rows and walks the keys BC at a time with an online softmax (Milakov and
// Gimelshein 2018; tiled as in FlashAttention). Scores of a tile go through shared memory; the output stays in registers.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
//
// With HEED_SUBGROUP a row's softmax is done inside one subgroup of any size; without, by lanes that meet in shared
// memory. Nothing here depends on how invocations are dealt to subgroups.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif
#include "abi.h"
#define HEED_ATTN_TERMS
#include "attn.glsl"

HEED_TENSOR_IN(q, HEED_ATTN_Q)
HEED_TENSOR_IN(k, HEED_ATTN_K)
HEED_TENSOR_IN(v, HEED_ATTN_V)
HEED_TENSOR_OUT(o, HEED_ATTN_O)
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

// Scores: KEY_LANES lanes side by side on keys, SCORE_ROWS rows and SCORE_KEYS keys each.
const uint KEY_LANES = BC < WG ? BC : WG;
const uint SCORE_ROWS = BR / (WG / KEY_LANES) > 0u ? BR / (WG / KEY_LANES) : 1u;
const uint SCORE_KEYS = BC / KEY_LANES;
// Values: 4 features a lane, VALUE_ROWS rows each. The slice's features fill a power of two of lanes.
const uint COLUMNS = (DIM_V_SLICE + 3u) / 4u;
const uint COLUMN_LANES = COLUMNS <= 1u ? 1u : COLUMNS <= 2u ? 2u : COLUMNS <= 4u ? 4u : COLUMNS <= 8u ? 8u
                        : COLUMNS <= 16u ? 16u : COLUMNS <= 32u ? 32u : COLUMNS <= 64u ? 64u : 128u;
const uint ROW_LANES = WG / COLUMN_LANES;
const uint VALUE_ROWS = BR / ROW_LANES > 0u ? BR / ROW_LANES : 1u;
// Softmax without subgroups: ROW_SHARE lanes a row.
const uint ROW_SHARE = WG / BR;

const uint Q_VECTORS = (DIM_QK + 3u) / 4u;
const uint SCORE_PITCH = BC + 1u;
shared vec4 shared_q[Q_SHARED ? BR * Q_VECTORS : 1u];
shared float shared_p[BR * SCORE_PITCH];
shared float shared_max[BR], shared_sum[BR], shared_weighted[BR], shared_shift[BR];
#ifndef HEED_SUBGROUP
shared float shared_part[WG];
#endif

// The pairs of a tile that something may rule out: their weight is 0, but 0 x NaN is not.
const bool GUARDED = (FLAGS & (HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_CAUSAL | HEED_ATTN_WINDOW |
                               HEED_ATTN_KEY_BIAS)) != 0u;

vec4 load_q(Sequence s, uint row, uint d)
{
    uint e = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
             s.head * push.q_stride_head + (s.row_start + row) * push.q_stride_row + 4u * d;
    return q_load4n(DT_Q, e, DIM_QK - 4u * d);
}

vec4 load_k(Sequence s, uint key, uint d)
{
    uint e = HEED_RESIDUAL(push, HEED_ATTN_K) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.k_stride_batch) +
             s.head_kv * push.k_stride_head + (s.key_start + key) * push.k_stride_row + 4u * d;
    return k_load4n(DT_K, e, DIM_QK - 4u * d);
}

// Scores of `count` keys from `key0` on, into shared_p.
void make_scores(Sequence s, uint t, uint row0, uint last_row, uint key0, uint count)
{
    uint key_lane = t % KEY_LANES, row_lane = t / KEY_LANES * SCORE_ROWS;
    if (row_lane >= BR)
        return;
    float score[SCORE_ROWS * SCORE_KEYS];
    [[unroll]] for (uint n = 0u; n < SCORE_ROWS * SCORE_KEYS; n++)
        score[n] = 0.0;
    [[dont_unroll]] for (uint d = 0u; d < Q_VECTORS; d++) {
        [[unroll]] for (uint c = 0u; c < SCORE_KEYS; c++) {
            vec4 kk = load_k(s, key0 + min(key_lane + c * KEY_LANES, count - 1u), d);
            [[unroll]] for (uint r = 0u; r < SCORE_ROWS; r++) {
                vec4 qq = Q_SHARED ? shared_q[(row_lane + r) * Q_VECTORS + d]
                                   : load_q(s, min(row0 + row_lane + r, last_row), d);
                uint n = r * SCORE_KEYS + c;
                score[n] = fma(qq.x, kk.x, fma(qq.y, kk.y, fma(qq.z, kk.z, fma(qq.w, kk.w, score[n]))));
            }
        }
    }
    [[unroll]] for (uint r = 0u; r < SCORE_ROWS; r++)
        [[unroll]] for (uint c = 0u; c < SCORE_KEYS; c++)
            shared_p[(row_lane + r) * SCORE_PITCH + key_lane + c * KEY_LANES] = score[r * SCORE_KEYS + c] * push.scale;
}

// Scores of one row become logits; the largest of those at lane, lane + lanes, ...
float make_logits(Sequence s, uint row, uint row0, uint key0, uint count, uint lane, uint lanes)
{
    float m = HEED_RULED_OUT;
    for (uint c = lane; c < BC; c += lanes) {
        uint e = row * SCORE_PITCH + c;
        float t = c < count ? attn_logit(s, row0 + row, key0 + c, shared_p[e]) : HEED_RULED_OUT;
        shared_p[e] = t;
        m = t > m ? t : m;
    }
    return m;
}

// Logits become exp(t - m); returns their sum and, for the entropy, that of exp(t - m) (t - m).
vec2 make_weights(uint row, float m, uint lane, uint lanes)
{
    vec2 sums = vec2(0.0);
    for (uint c = lane; c < BC; c += lanes) {
        uint e = row * SCORE_PITCH + c;
        float x = shared_p[e] - m;
        float p = HEED_IS_RULED_OUT(shared_p[e]) ? 0.0 : exp(x);
        shared_p[e] = p;
        sums.x += p;
        if (flag(HEED_ATTN_WRITE_ENTROPY) && p != 0.0)
            sums.y += p * x;
    }
    return sums;
}

void merge_row(uint row, float m, vec2 sums)
{
    float old = shared_max[row], sum = shared_sum[row];
    float shift = sum == 0.0 ? 0.0 : exp(old - m);
    shared_shift[row] = shift;
    shared_max[row] = m;
    if (flag(HEED_ATTN_WRITE_ENTROPY))
        shared_weighted[row] = (sum == 0.0 ? 0.0 : shift * (shared_weighted[row] + sum * (old - m))) + sums.y;
    shared_sum[row] = sum * shift + sums.x;
}

void make_softmax(Sequence s, uint t, uint row0, uint key0, uint count)
{
#ifdef HEED_SUBGROUP
    for (uint row = gl_SubgroupID; row < BR; row += gl_NumSubgroups) {
        float m = make_logits(s, row, row0, key0, count, gl_SubgroupInvocationID, gl_SubgroupSize);
        m = max(shared_max[row], subgroupMax(m));
        vec2 sums = make_weights(row, m, gl_SubgroupInvocationID, gl_SubgroupSize);
        sums.x = subgroupAdd(sums.x);
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            sums.y = subgroupAdd(sums.y);
        subgroupBarrier();
        if (subgroupElect())
            merge_row(row, m, sums);
    }
#else
    uint row = t / ROW_SHARE, lane = t % ROW_SHARE;
    shared_part[t] = make_logits(s, row, row0, key0, count, lane, ROW_SHARE);
    barrier();
    float m = shared_max[row];
    for (uint c = 0u; c < ROW_SHARE; c++)
        m = max(m, shared_part[row * ROW_SHARE + c]);
    vec2 sums = make_weights(row, m, lane, ROW_SHARE);
    barrier();
    shared_part[t] = sums.x;
    barrier();
    if (lane == 0u)
        for (uint c = 1u; c < ROW_SHARE; c++)
            sums.x += shared_part[t + c];
    if (flag(HEED_ATTN_WRITE_ENTROPY)) {
        barrier();
        shared_part[t] = sums.y;
        barrier();
        if (lane == 0u)
            for (uint c = 1u; c < ROW_SHARE; c++)
                sums.y += shared_part[t + c];
    }
    if (lane == 0u)
        merge_row(row, m, sums);
#endif
}

void main()
{
    uint t = gl_LocalInvocationIndex;
    uint slices = (DIM_V + DIM_V_SLICE - 1u) / DIM_V_SLICE;
    uint row0 = gl_WorkGroupID.x / slices * BR, slice = gl_WorkGroupID.x % slices;
    uint splits = (push.keys + push.key_chunk - 1u) / push.key_chunk;
    splits = max(splits, 1u);
    uint split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u; // counted from push.row0, as row0 is
    if (row0 >= end_row)
        return;
    uint last_row = end_row - 1u;

    // The keys that any row of this block can attend to, counted from push.key0.
    int first = int(push.key0 + split * push.key_chunk), last = min(int(s.keys), int(push.key0 + push.keys));
    last = min(last, first + int(push.key_chunk));
    int top = int(push.row0 + row0) + s.diagonal, bottom = int(push.row0 + min(row0 + BR - 1u, last_row)) + s.diagonal;
    if (flag(HEED_ATTN_CAUSAL))
        last = min(last, bottom + 1);
    if (flag(HEED_ATTN_WINDOW)) {
        if (push.window_right >= 0 && bottom < 0x7fffffff - push.window_right - 1)
            last = min(last, bottom + push.window_right + 1);
        if (push.window_left >= 0)
            first = max(first, top - push.window_left);
    }
    uint key = uint(first) - push.key0, end_key = last > first ? uint(last) - push.key0 : uint(first) - push.key0;

    if (Q_SHARED)
        for (uint e = t; e < BR * Q_VECTORS; e += WG)
            shared_q[e] = load_q(s, min(row0 + e / Q_VECTORS, last_row), e % Q_VECTORS);
    for (uint e = t; e < BR; e += WG) {
        shared_max[e] = HEED_RULED_OUT;
        shared_sum[e] = 0.0;
        shared_weighted[e] = 0.0;
    }
    uint column = t % COLUMN_LANES, row_lane = t / COLUMN_LANES;
    uint feature = slice * DIM_V_SLICE + 4u * column;
    bool working = row_lane < BR && column < COLUMNS && feature < DIM_V;
    vec4 acc[VALUE_ROWS];
    [[unroll]] for (uint n = 0u; n < VALUE_ROWS; n++)
        acc[n] = vec4(0.0);
    uint v_base = HEED_RESIDUAL(push, HEED_ATTN_V) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.v_stride_batch) +
                  s.head_kv * push.v_stride_head + s.key_start * push.v_stride_row + feature;

    [[dont_unroll]] for (; key < end_key; key += BC) {
        uint count = min(BC, end_key - key);
        barrier();
        make_scores(s, t, row0, last_row, key, count);
        barrier();
        make_softmax(s, t, row0, key, count);
        barrier();
        if (working) {
            [[unroll]] for (uint n = 0u; n < VALUE_ROWS; n++)
                acc[n] *= shared_shift[row_lane + n * ROW_LANES];
            [[dont_unroll]] for (uint c = 0u; c < count; c++) {
                vec4 value = v_load4n(DT_V, v_base + (key + c) * push.v_stride_row, DIM_V - feature);
                [[unroll]] for (uint n = 0u; n < VALUE_ROWS; n++) {
                    float p = shared_p[(row_lane + n * ROW_LANES) * SCORE_PITCH + c];
                    if (!GUARDED || p != 0.0)
                        acc[n] = fma(vec4(p), value, acc[n]);
                }
            }
        }
    }
    barrier();

    bool partial = flag(HEED_ATTN_PARTIAL);
    for (uint r = t; r < BR && slice == 0u; r += WG) {
        uint row = row0 + r;
        if (row > last_row)
            continue;
        if (partial) {
            uint e = HEED_RESIDUAL(push, HEED_ATTN_LSE) + 4u * (split * push.row_total + partial_index(s, row));
            lse_w[e] = shared_max[r];
            lse_w[e + 1u] = shared_sum[r];
            lse_w[e + 2u] = shared_weighted[r];
        } else {
            RowEnd end = row_end(s, shared_max[r], shared_sum[r], shared_weighted[r]);
            uint i = row_index(s, row);
            if (flag(HEED_ATTN_WRITE_LSE))
                lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + i] = end.lse;
            if (flag(HEED_ATTN_WRITE_ENTROPY))
                entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + i] = end.entropy;
        }
    }
    if (!working)
        return;
    [[unroll]] for (uint n = 0u; n < VALUE_ROWS; n++) {
        uint r = row_lane + n * ROW_LANES, row = row0 + r;
        if (row > last_row)
            continue;
        uint e = HEED_RESIDUAL(push, HEED_ATTN_O) + feature;
        if (partial) {
            e += (split * push.row_total + partial_index(s, row)) * DIM_V;
            o_store4n(HEED_DT_F32, e, acc[n], DIM_V - feature);
        } else {
            e += (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) + s.head * push.o_stride_head +
                 (s.row_start + row) * push.o_stride_row;
            float factor = row_end(s, shared_max[r], shared_sum[r], shared_weighted[r]).factor;
            // A row that attends to nothing is 0 even where the accumulator is not a number.
            o_store4n(DT_O, e, factor == 0.0 ? vec4(0.0) : acc[n] * factor, DIM_V - feature);
        }
    }
}
