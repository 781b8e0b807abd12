#version 450
// SPDX-License-Identifier: MIT
// From scores, to which nothing is added, to weights: the numerically stable softmax of a row, and its lse and entropy,
// for software drivers. A subgroup owns a row, which may be rewritten in place, and its lanes neighbouring keys, which are
// one load of a vector. Each lane keeps the maximum and the sum of its own keys, like online.h, and what those of the row
// are is known before the weights are made, from scores that are loaded once more.
//
//   groups.x  row blocks of BR rows      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "abi.h"
#define HEED_ATTN_TERMS
#include "attn.glsl"
#include "address.glsl"
#include "across.glsl"
#include "pairs.glsl"
#define FLOATS float
#define FLOATS_BITS(x) floatBitsToUint(x)
#define BITS_FLOATS(x) uintBitsToFloat(x)
#include "weight.h"

layout(set = 0, binding = HEED_ATTN_Q) readonly buffer Scores { float scores[]; };
HEED_PAIRS(writeonly, weights, HEED_ATTN_O)
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

const uint PAIRS = BC, STEP = 2u * WG; // of a lane at a time, and keys of all lanes for one of them

// What a lane knows of its keys: the maximum of their logits, the sum of their weights, and that of weight x logit.
float top, sum, weighted;
float logits[2u * PAIRS];

// 0 where x is ruled out, of which m is the maximum then at the least.
float weight_of(float x, float m)
{
    return weight(LOG2_E * (x - (m == HEED_RULED_OUT ? 0.0 : m)));
}

// The logits of 2 n vectors of keys, a constant, from `key` on, where all are there.
void load_logits(Sequence s, uint row, uint64_t at, uint key, uint n)
{
    uint64_t first = at + uint64_t(subgroupBroadcastFirst(key)) * 4ul;
    [[unroll]] for (uint i = 0u; i < 2u * n; i++)
        logits[i] = attn_logit(s, row, key + i * WG + heed_lane(), heed_load_lanes(first, i * WG, ~0u));
}

// The last keys, of which there are less than two vectors.
void load_last(Sequence s, uint row, uint begin, uint key)
{
    [[unroll]] for (uint i = 0u; i < 2u; i++) {
        uint j = key + i * WG + heed_lane();
        logits[i] = HEED_RULED_OUT;
        if (j < push.keys)
            logits[i] = attn_logit(s, row, j, scores[begin + j]);
    }
}

void add_logits(uint n)
{
    float m = top;
    [[unroll]] for (uint i = 0u; i < 2u * n; i++)
        m = logits[i] > m ? logits[i] : m;
    if (m > top) {
        float shift = weight_of(top, m);
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            weighted = shift == 0.0 ? 0.0 : shift * fma(sum, top - m, weighted);
        sum *= shift;
        top = m;
    }
    vec2 sums = vec2(0.0);
    [[unroll]] for (uint i = 0u; i < 2u * n; i++) {
        float p = weight_of(logits[i], top);
        sums[i % 2u] += p;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            weighted += p == 0.0 ? 0.0 : p * (logits[i] - top);
    }
    sum += sums.x + sums.y;
}

// Of the i-th two vectors; a lane has two neighbours of them, if there are so many keys.
void store_weights(uint at, uint i, float m, float factor, bool there)
{
    vec2 p = vec2(weight_of(logits[2u * i], m), weight_of(logits[2u * i + 1u], m));
    p = vec2(p.x == 0.0 ? 0.0 : p.x * factor, p.y == 0.0 ? 0.0 : p.y * factor);
    p = heed_neighbours(p.x, p.y);
    if (there)
        HEED_STORE_PAIR(weights, at, floatBitsToUint(p));
}

void main()
{
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u, row = gl_WorkGroupID.x * BR;
    uint in_base = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                   s.head * push.q_stride_head + s.row_start * push.q_stride_row;
    uint out_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                    s.head * push.o_stride_head + s.row_start * push.o_stride_row;
    uint64_t all = heed_base(push.address0);
    uint keys = push.keys, in_stride = push.q_stride_row, out_stride = push.o_stride_row, lane = heed_lane();
    uint whole = keys - keys % (PAIRS * STEP), last = keys - keys % STEP;
    end_row = min(end_row, row + BR);
    if (row < end_row) // loops are asked at their end: see attn_lanes.comp
        [[dont_unroll]] do {
            uint from = in_base + row * in_stride, to = out_base + row * out_stride + 2u * lane, key = 0u;
            uint64_t at = heed_address(all, from);
            top = HEED_RULED_OUT;
            sum = weighted = 0.0;
            if (key < whole)
                [[dont_unroll]] do {
                    load_logits(s, row, at, key, PAIRS);
                    add_logits(PAIRS);
                    key += PAIRS * STEP;
                } while (key < whole);
            if (key < last)
                [[dont_unroll]] do {
                    load_logits(s, row, at, key, 1u);
                    add_logits(1u);
                    key += STEP;
                } while (key < last);
            if (key < keys) {
                load_last(s, row, from, key);
                add_logits(1u);
            }

            float m = heed_largest_of(top), shift = weight_of(top, m);
            if (flag(HEED_ATTN_WRITE_ENTROPY))
                weighted = heed_sum_of(shift == 0.0 ? 0.0 : shift * fma(sum, top - m, weighted));
            RowEnd end = row_end(s, m, heed_sum_of(sum * shift), weighted);

            key = 0u;
            if (key < whole)
                [[dont_unroll]] do {
                    load_logits(s, row, at, key, PAIRS);
                    [[unroll]] for (uint i = 0u; i < PAIRS; i++)
                        store_weights(to + key + i * STEP, i, m, end.factor, true);
                    key += PAIRS * STEP;
                } while (key < whole);
            if (key < last)
                [[dont_unroll]] do {
                    load_logits(s, row, at, key, 1u);
                    store_weights(to + key, 0u, m, end.factor, true);
                    key += STEP;
                } while (key < last);
            if (key < keys) {
                load_last(s, row, from, key);
                store_weights(to + key, 0u, m, end.factor, key + 2u * lane < keys);
            }
            if (lane == 0u) {
                if (flag(HEED_ATTN_WRITE_LSE))
                    lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + row_index(s, row)] = end.lse;
                if (flag(HEED_ATTN_WRITE_ENTROPY))
                    entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + row_index(s, row)] = end.entropy;
            }
            row++;
        } while (row < end_row);
}
