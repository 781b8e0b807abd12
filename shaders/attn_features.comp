#version 450
// SPDX-License-Identifier: MIT
// Fused attention in f32 for software drivers: the lanes of a subgroup own neighbouring features, whose keys and values
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

const uint Q_VECTORS = (DIM_QK + WG - 1u) / WG, V_VECTORS = (DIM_V_SLICE + WG - 1u) / WG;
const uint GROUPS = BC / WG; // of keys, at a time

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

    float query[BR * Q_VECTORS], acc[BR * V_VECTORS];
    Online rows[BR];
    uint64_t all_q = heed_base(push.address0);
    [[unroll]] for (uint r = 0u; r < BR; r++) {
        uint64_t at = heed_address(all_q, end_row == 0u ? 0u : q_begin(s) + min(row0 + r, last_row) * push.q_stride_row);
        [[unroll]] for (uint c = 0u; c < Q_VECTORS; c++)
            query[r * Q_VECTORS + c] = heed_load_lanes(at, c * WG, DIM_QK) * SCALE;
        [[unroll]] for (uint c = 0u; c < V_VECTORS; c++)
            acc[r * V_VECTORS + c] = 0.0;
        rows[r] = online_begin();
    }

    uint64_t all_k = heed_address(heed_base(push.address1), k_begin(s)),
             all_v = heed_address(heed_base(push.address2), v_begin(s) + feature0);
    uint k_stride = push.k_stride_row, v_stride = push.v_stride_row, end_key = range.end, key = range.first;
    // Where keys are left, the last BC are walked, and those seen before ruled out; if there are fewer at all, what
    // is behind the last is.
    uint most = min(end_key - key, BC) - 1u, last_begin = end_key - 1u - most;
    uint64_t k_at[BC], v_at[BC];
    [[unroll]] for (uint j = 0u; j < BC; j++) {
        uint other = subgroupBroadcastFirst(min(j, most));
        k_at[j] = uint64_t(other * k_stride) * 4ul;
        v_at[j] = uint64_t(other * v_stride) * 4ul;
    }
    if (key < end_key) // loops are asked at their end: see attn_lanes.comp
        [[dont_unroll]] do {
            uint begin = subgroupBroadcastFirst(min(key, last_begin));
            uint64_t k = all_k + uint64_t(begin * k_stride) * 4ul, v = all_v + uint64_t(begin * v_stride) * 4ul;
            float sums[BR * BC], t[BR * GROUPS], p[BR * BC];
            [[unroll]] for (uint i = 0u; i < BR * BC; i++)
                sums[i] = 0.0;
            [[unroll]] for (uint j = 0u; j < BC; j += 2u)
                [[unroll]] for (uint c = 0u; c < Q_VECTORS; c++) {
                    float x0 = heed_load_lanes(k + k_at[j], c * WG, DIM_QK);
                    float x1 = heed_load_lanes(k + k_at[j + 1u], c * WG, DIM_QK);
                    [[unroll]] for (uint r = 0u; r < BR; r++) {
                        sums[r * BC + j] = fma(query[r * Q_VECTORS + c], x0, sums[r * BC + j]);
                        sums[r * BC + j + 1u] = fma(query[r * Q_VECTORS + c], x1, sums[r * BC + j + 1u]);
                    }
                }
            bool moves = false;
            [[unroll]] for (uint g = 0u; g < GROUPS; g++) {
                uint other = g * WG + lane;
                bool ruled_out = begin + other < key || other > most;
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    float part[WG];
                    [[unroll]] for (uint j = 0u; j < WG; j++)
                        part[j] = sums[r * BC + g * WG + j];
                    float x = heed_sums_across(part);
                    if (!PLAIN) // masks and biases end with the last row and key
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
            [[unroll]] for (uint c = 0u; c < V_VECTORS; c++)
                [[unroll]] for (uint j = 0u; j < BC; j++) {
                    float x = heed_load_lanes(v + v_at[j], c * WG, DIM_V_SLICE);
                    [[unroll]] for (uint r = 0u; r < BR; r++) {
                        float y = p[r * BC + j], used = GUARDED && y == 0.0 ? 0.0 : x;
                        acc[r * V_VECTORS + c] = fma(y, used, acc[r * V_VECTORS + c]);
                    }
                }
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
        // A scatter costs by the element: two vectors go out as pairs.
        const uint pairs = HEED_VECTOR ? DIM_V_SLICE / (2u * WG) : 0u;
        [[unroll]] for (uint c = 0u; c < V_VECTORS; c++) {
            uint d = c * WG + lane;
            float x = acc[r * V_VECTORS + c];
            acc[r * V_VECTORS + c] = factor == 0.0 ? 0.0 : x * factor;
            if (c < 2u * pairs && (c & 1u) != 0u)
                HEED_STORE_PAIR(o, e + (c - 1u) * WG + 2u * lane,
                                floatBitsToUint(heed_neighbours(acc[r * V_VECTORS + (c - (c & 1u))],
                                                                acc[r * V_VECTORS + c])));
            else if (c >= 2u * pairs && d < DIM_V_SLICE)
                o_w[e + d] = floatBitsToUint(acc[r * V_VECTORS + c]);
        }
    }
}
