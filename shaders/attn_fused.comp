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
#include "fused.glsl"

// Scores: KEY_LANES lanes side by side on keys; a lane makes SCORE_ROWS rows of one key, or one row of SCORE_KEYS keys,
// 4 scores at most.
const uint KEY_LANES = BC < WG ? BC : WG;
const uint SCORE_ROWS = BR / (WG / KEY_LANES) > 0u ? BR / (WG / KEY_LANES) : 1u;
const uint SCORE_KEYS = BC / KEY_LANES;
const uint SCORES = SCORE_ROWS * SCORE_KEYS;
// Values: 4 features a lane, VALUE_ROWS rows each, 4 at most. The slice's features fill a power of two of lanes.
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

// What a lane keeps is in named variables, not in arrays: arrays end in memory on V3D even when every index is known.
float add_dot(float s, vec4 a, vec4 b)
{
    return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, s))));
}

// `begin` is that of row 0 of the sequence.
vec4 tile_q(uint begin, uint row0, uint last_row, uint row, uint d)
{
    return Q_SHARED ? shared_q[row * Q_VECTORS + d]
                    : load_q(begin + min(row0 + row, last_row) * push.q_stride_row, 4u * d);
}

// Scores of `count` keys from `key0` on, into shared_p.
void make_scores(Sequence s, uint t, uint row0, uint last_row, uint key0, uint count)
{
    uint lane = t % KEY_LANES, row = t / KEY_LANES * SCORE_ROWS, end = count - 1u;
    if (row >= BR)
        return;
    uint q0 = q_begin(s), k0 = k_begin(s);
    vec4 score = vec4(0.0);
    [[dont_unroll]] for (uint d = 0u; d < Q_VECTORS; d++) {
        vec4 kk = load_k(k0 + (key0 + min(lane, end)) * push.k_stride_row, 4u * d);
        vec4 qq = tile_q(q0, row0, last_row, row, d);
        score.x = add_dot(score.x, qq, kk);
#define SCORE(n, component) \
        if (SCORES > n) { \
            if (SCORE_KEYS > 1u) \
                kk = load_k(k0 + (key0 + min(lane + n * KEY_LANES, end)) * push.k_stride_row, 4u * d); \
            else \
                qq = tile_q(q0, row0, last_row, row + n, d); \
            score.component = add_dot(score.component, qq, kk); \
        }
        SCORE(1u, y)
        SCORE(2u, z)
        SCORE(3u, w)
#undef SCORE
    }
    score *= push.scale;
    uint e = row * SCORE_PITCH + lane, step_ = SCORE_KEYS > 1u ? KEY_LANES : SCORE_PITCH;
    shared_p[e] = score.x;
    if (SCORES > 1u)
        shared_p[e + step_] = score.y;
    if (SCORES > 2u)
        shared_p[e + 2u * step_] = score.z;
    if (SCORES > 3u)
        shared_p[e + 3u * step_] = score.w;
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
        float p = HEED_IS_RULED_OUT(shared_p[e]) ? 0.0 : heed_exp(x);
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
    float shift = sum == 0.0 ? 0.0 : heed_exp(old - m);
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
        // Every lane has read the row's maximum, or the sum would not be there. Not subgroupBarrier(): lavapipe 26 makes
        // it a barrier of the work group, and subgroups without a row do not come by.
        subgroupMemoryBarrierShared();
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
    uint row0 = gl_WorkGroupID.x / SLICES * BR, slice = gl_WorkGroupID.x % SLICES;
    uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = row_count(s);
    if (row0 >= end_row)
        return;
    uint last_row = end_row - 1u;
    KeyRange range = key_range(s, split, row0, min(row0 + BR - 1u, last_row));

    if (Q_SHARED)
        for (uint e = t; e < BR * Q_VECTORS; e += WG)
            shared_q[e] = load_q(q_begin(s) + min(row0 + e / Q_VECTORS, last_row) * push.q_stride_row,
                                 4u * (e % Q_VECTORS));
    for (uint e = t; e < BR; e += WG) {
        shared_max[e] = HEED_RULED_OUT;
        shared_sum[e] = 0.0;
        shared_weighted[e] = 0.0;
    }
    uint column = t % COLUMN_LANES, row_lane = t / COLUMN_LANES;
    uint feature = slice * DIM_V_SLICE + 4u * column;
    bool working = row_lane < BR && column < COLUMNS && feature < DIM_V;
    vec4 acc0 = vec4(0.0), acc1 = vec4(0.0), acc2 = vec4(0.0), acc3 = vec4(0.0); // rows row_lane + n ROW_LANES
#define EACH_ACCUMULATOR(macro) macro(0u, acc0) macro(1u, acc1) macro(2u, acc2) macro(3u, acc3)
    uint v_base = v_begin(s) + feature;

    [[dont_unroll]] for (uint key = range.first; key < range.end; key += BC) {
        uint count = min(BC, range.end - key);
        barrier();
        make_scores(s, t, row0, last_row, key, count);
        barrier();
        make_softmax(s, t, row0, key, count);
        barrier();
        if (working) {
#define RESCALE(n, acc) \
            if (VALUE_ROWS > n) \
                acc *= shared_shift[row_lane + n * ROW_LANES];
            EACH_ACCUMULATOR(RESCALE)
            [[dont_unroll]] for (uint c = 0u; c < count; c++) {
                vec4 value = v_load4n(DT_V, v_base + (key + c) * push.v_stride_row, DIM_V - feature);
#define ADD_VALUE(n, acc) \
                if (VALUE_ROWS > n) { \
                    float p = shared_p[(row_lane + n * ROW_LANES) * SCORE_PITCH + c]; \
                    if (!GUARDED || p != 0.0) \
                        acc = fma(vec4(p), value, acc); \
                }
                EACH_ACCUMULATOR(ADD_VALUE)
            }
        }
    }
    barrier();

    for (uint r = t; r < BR && slice == 0u; r += WG)
        if (row0 + r <= last_row)
            store_sums(s, split, row0 + r, shared_max[r], shared_sum[r], shared_weighted[r]);
    if (!working)
        return;
#define STORE(n, acc) \
    if (VALUE_ROWS > n && row0 + row_lane + n * ROW_LANES <= last_row) { \
        uint r = row_lane + n * ROW_LANES; \
        store_o(o_begin(s, split, row0 + r), feature, acc, o_factor(s, shared_max[r], shared_sum[r])); \
    }
    EACH_ACCUMULATOR(STORE)
}
