#version 450
// SPDX-License-Identifier: MIT
// Fused attention for software drivers: the lanes of a subgroup own neighbouring features, whose keys and values
// are one load of a vector, and walk the keys with BR rows. A score is the sum over the lanes, and as many keys as
// there are lanes are summed at once, so that a lane has the logit and the weight of one key. Measurements stand in
// src/select_attention.c.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "abi.h"
#include "fused.glsl"
#define FLOATS float
#define FLOATS_BITS(x) floatBitsToUint(x)
#define BITS_FLOATS(x) uintBitsToFloat(x)
#include "online.h"
#include "address.glsl"
#include "across.glsl"
#include "pairs.glsl"
HEED_PAIRS(writeonly, o, HEED_ATTN_O)

// Elements of 16 bits come in words of two, and a lane owns both: vectors then have every other feature, two by two.
const bool K_WORDS = DT_K != HEED_DT_F32, V_WORDS = DT_V != HEED_DT_F32;
const uint64_t K_BYTES = K_WORDS ? 2ul : 4ul, V_BYTES = V_WORDS ? 2ul : 4ul;
const uint Q_STEP = K_WORDS ? 2u : 1u, V_STEP = V_WORDS ? 2u : 1u; // vectors of a load
const uint Q_VECTORS = (DIM_QK + Q_STEP * WG - 1u) / (Q_STEP * WG) * Q_STEP,
           V_VECTORS = (DIM_V_SLICE + V_STEP * WG - 1u) / (V_STEP * WG) * V_STEP;
const uint GROUPS = BC / WG; // of keys, at a time
const bool ONLY_CAUSAL = !flag(HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_WINDOW | HEED_ATTN_KEY_BIAS |
                               HEED_ATTN_ALIBI | HEED_ATTN_DISTANCE | HEED_ATTN_SOFTCAP);

// Vector c, and the next one if a load has two.
vec2 load_vectors(uint dt, uint64_t address, uint c, uint count)
{
    if (dt == HEED_DT_F32)
        return vec2(heed_load_lanes(address, c * WG, count), 0.0);
    return heed_load_two_lanes(dt, address, c * WG, count);
}

float query_of(uint row_begin, uint c)
{
    uint d = K_WORDS ? (c & ~1u) * WG + 2u * heed_lane() + (c & 1u) : c * WG + heed_lane();
    float x = q_load(DT_Q, row_begin + min(d, DIM_QK - 1u));
    return d < DIM_QK ? x * SCALE : 0.0;
}

float query[BR * Q_VECTORS], acc[BR * V_VECTORS];
Online rows[BR];
uint64_t k_at[BC], v_at[BC]; // bytes from the first of BC keys

// BC keys, whose first are at k and v and have the number `begin`. Open: all rows attend to all of them. Else those before
// `key` and behind the `most`-th are ruled out.
void walk(Sequence s, uint row0, uint last_row, uint64_t k, uint64_t v, uint begin, uint key, uint most, bool open)
{
    uint lane = heed_lane();
    float sums[BR * BC], t[BR * GROUPS], p[BR * BC];
    [[unroll]] for (uint i = 0u; i < BR * BC; i++)
        sums[i] = 0.0;
    [[unroll]] for (uint j = 0u; j < BC; j += 2u)
        [[unroll]] for (uint c = 0u; c < Q_VECTORS; c += Q_STEP) {
            vec2 x0 = load_vectors(DT_K, k + k_at[j], c, DIM_QK);
            vec2 x1 = load_vectors(DT_K, k + k_at[j + 1u], c, DIM_QK);
            [[unroll]] for (uint i = 0u; i < Q_STEP; i++)
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    float y = query[r * Q_VECTORS + c + i];
                    sums[r * BC + j] = fma(y, x0[i], sums[r * BC + j]);
                    sums[r * BC + j + 1u] = fma(y, x1[i], sums[r * BC + j + 1u]);
                }
        }
    bool moves = false;
    [[unroll]] for (uint g = 0u; g < GROUPS; g++) {
        uint other = g * WG + lane;
        bool ruled_out = !open && (begin + other < key || other > most);
        [[unroll]] for (uint r = 0u; r < BR; r++) {
            float part[WG];
            [[unroll]] for (uint j = 0u; j < WG; j++)
                part[j] = sums[r * BC + g * WG + j];
            float x = heed_sums_across(part);
            if (open && !PLAIN)
                x = biased_logit(x, 0.0);
            else if (!PLAIN) // masks and biases end with the last row and key
                x = attn_logit(s, min(row0 + r, last_row), begin + min(other, most), x);
            x = ruled_out ? HEED_RULED_OUT : x;
            t[r * GROUPS + g] = x;
            moves = moves || x > rows[r].top;
        }
    }
    if (heed_any_of(moves))
        [[unroll]] for (uint r = 0u; r < BR; r++) {
            float top = rows[r].top;
            [[unroll]] for (uint g = 0u; g < GROUPS; g++)
                top = t[r * GROUPS + g] > top ? t[r * GROUPS + g] : top;
            top = heed_largest_of(top);
            float shift = online_shift(rows[r], top);
            rows[r] = online_move(rows[r], top, shift);
            [[unroll]] for (uint c = 0u; c < V_VECTORS; c++)
                acc[r * V_VECTORS + c] *= shift;
        }
    [[unroll]] for (uint g = 0u; g < GROUPS; g++)
        [[unroll]] for (uint r = 0u; r < BR; r++) {
            float x = online_weight(rows[r], t[r * GROUPS + g]);
            rows[r] = online_add(rows[r], t[r * GROUPS + g], x);
            [[unroll]] for (uint j = 0u; j < WG; j++)
                p[r * BC + g * WG + j] = subgroupShuffle(x, j);
        }
    [[unroll]] for (uint c = 0u; c < V_VECTORS; c += V_STEP)
        [[unroll]] for (uint j = 0u; j < BC; j++) {
            vec2 x = load_vectors(DT_V, v + v_at[j], c, DIM_V_SLICE);
            [[unroll]] for (uint i = 0u; i < V_STEP; i++)
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    uint a = r * V_VECTORS + c + i;
                    float y = p[r * BC + j], used = GUARDED && !open && y == 0.0 ? 0.0 : x[i];
                    acc[a] = fma(y, used, acc[a]);
                }
        }
}

void store_two(uint i, vec2 x)
{
    if (PARTIAL || DT_O == HEED_DT_F32)
        HEED_STORE_PAIR(o, i, floatBitsToUint(x));
    else
        o_w[i >> 1] = heed_bits16(DT_O, x.x) | heed_bits16(DT_O, x.y) << 16;
}

void main()
{
    uint lane = heed_lane();
    uint row0 = gl_WorkGroupID.x / SLICES * BR, feature0 = gl_WorkGroupID.x % SLICES * DIM_V_SLICE;
    uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = row_count(s), last_row = max(end_row, 1u) - 1u;
    KeyRange range = key_range(s, split, row0, min(row0 + BR - 1u, last_row));
    if (row0 >= end_row)
        range.end = range.first;
    // The last slice of features is made of the last ones, of which the one before it may have some.
    feature0 = min(feature0, DIM_V - DIM_V_SLICE);

    uint64_t all_q = heed_base(push.address0);
    [[unroll]] for (uint r = 0u; r < BR; r++) {
        uint e = end_row == 0u ? 0u : q_begin(s) + min(row0 + r, last_row) * push.q_stride_row;
        uint64_t at = heed_address(all_q, e);
        [[unroll]] for (uint c = 0u; c < Q_VECTORS; c++)
            query[r * Q_VECTORS + c] = DT_Q == HEED_DT_F32 && !K_WORDS ? heed_load_lanes(at, c * WG, DIM_QK) * SCALE :
                                                                         query_of(e, c);
        [[unroll]] for (uint c = 0u; c < V_VECTORS; c++)
            acc[r * V_VECTORS + c] = 0.0;
        rows[r] = online_begin();
    }

    uint64_t all_k = heed_base(push.address1) + uint64_t(subgroupBroadcastFirst(k_begin(s))) * K_BYTES,
             all_v = heed_base(push.address2) + uint64_t(subgroupBroadcastFirst(v_begin(s) + feature0)) * V_BYTES;
    uint k_stride = push.k_stride_row, v_stride = push.v_stride_row, end_key = range.end, key = range.first;
    // Above the diagonal of its first row a causal block asks of no pair whether it is ruled out.
    if (flag(HEED_ATTN_CAUSAL) && ONLY_CAUSAL) {
        int open = HEED_INT(push.row0 + row0) + s.diagonal + 1 - HEED_INT(push.key0);
        uint whole = uint(clamp(open, HEED_INT(key), HEED_INT(end_key))) - key;
        whole = key + whole - whole % BC;
        [[unroll]] for (uint j = 0u; j < BC; j++) {
            k_at[j] = uint64_t(j * k_stride) * K_BYTES;
            v_at[j] = uint64_t(j * v_stride) * V_BYTES;
        }
        if (key < whole)
            [[dont_unroll]] do {
                uint begin = subgroupBroadcastFirst(key);
                walk(s, row0, last_row, all_k + uint64_t(begin * k_stride) * K_BYTES,
                     all_v + uint64_t(begin * v_stride) * V_BYTES, begin, begin, BC - 1u, true);
                key += BC;
            } while (key < whole);
    }
    // Where keys are left, the last BC are walked, and those seen before ruled out; if there are fewer at all, what
    // is behind the last is.
    uint most = min(end_key - key, BC) - 1u, last_begin = end_key - 1u - most;
    [[unroll]] for (uint j = 0u; j < BC; j++) {
        uint other = subgroupBroadcastFirst(min(j, most));
        k_at[j] = uint64_t(other * k_stride) * K_BYTES;
        v_at[j] = uint64_t(other * v_stride) * V_BYTES;
    }
    if (key < end_key) // loops are asked at their end: see attn_lanes.comp
        [[dont_unroll]] do {
            uint begin = subgroupBroadcastFirst(min(key, last_begin));
            walk(s, row0, last_row, all_k + uint64_t(begin * k_stride) * K_BYTES,
                 all_v + uint64_t(begin * v_stride) * V_BYTES, begin, key, most, false);
            key += BC;
        } while (key < end_key);

    [[unroll]] for (uint r = 0u; r < BR; r++) {
        float sum = heed_sum_of(rows[r].sum);
        float weighted = flag(HEED_ATTN_WRITE_ENTROPY) ? heed_sum_of(rows[r].weighted) : 0.0;
        if (row0 + r >= end_row)
            continue;
        float top = online_top(rows[r]);
        if (feature0 == 0u && lane == 0u)
            store_sums(s, split, row0 + r, top, sum, weighted);
        uint e = o_begin(s, split, row0 + r) + feature0;
        float factor = o_factor(s, top, sum);
        // A scatter costs by the element: lanes store neighbours, of two vectors.
        [[unroll]] for (uint c = 0u; c < V_VECTORS; c++) {
            uint d = c * WG + lane, two = (c & ~1u) * WG + 2u * lane;
            float x = acc[r * V_VECTORS + c];
            acc[r * V_VECTORS + c] = x = factor == 0.0 ? 0.0 : x * factor;
            bool is_second = (c & 1u) != 0u;
            if (HEED_VECTOR && (is_second || c == V_VECTORS - 1u)) {
                vec2 xy = is_second ? vec2(acc[r * V_VECTORS + (c & ~1u)], x) : vec2(x, 0.0);
                xy = V_WORDS ? xy : heed_neighbours(xy.x, xy.y);
                if (two < DIM_V_SLICE)
                    store_two(e + two, xy);
            } else if (!HEED_VECTOR && d < DIM_V_SLICE) {
                o_w[e + d] = floatBitsToUint(x);
            }
        }
    }
}
