#version 450
// SPDX-License-Identifier: MIT
// Fused attention for software drivers: a lane owns BR rows with their queries and outputs. BC keys and values at a time
// are the same for all lanes, so that one load feeds a whole vector: of shared memory, where they were staged, of a
// subgroup's registers, or of their own place in memory. Measurements stand in src/select_attention.c.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#ifdef HEED_BROADCAST
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#ifdef HEED_ADDRESS
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#include "abi.h"
#include "lanes.glsl"

layout(constant_id = HEED_SPEC_BY_WORD) const bool BY_WORD = false;

const uint KEYS = BC;
const uint K_STAGED = KEYS * Q_VECTORS, V_STAGED = KEYS * V_VECTORS;

// Two features of a key or value at a time are multiplied with all rows of the lane: the sums and the words of the
// queries then stay in registers. With four words of all keys at once they do not, and each product would load one
// again. 8 heads of 1024 x 1024 keys of 64 features on lavapipe 26.1.6, 16 lanes, four words of a key at a time against
// word by word 26.1 : 22.0 ms, two batches of 10 heads of 4096 x 77 28.2 : 25.0. On 22.3 a load costs more than its
// words do (205 : 423 ms).
#ifdef HEED_BROADCAST // staged in registers: each lane of a subgroup has some of the vectors, and reads those of all
layout(constant_id = HEED_SPEC_SUBGROUP) const uint SUBGROUP = 8;
#define K_FOUR(c, d) vec4(0.0)
#define V_FOUR(c, d) vec4(0.0)
#define STAGED_TWO(stage, e, four, i) \
    subgroupBroadcast(vec2(stage[(e) / SUBGROUP][i], stage[(e) / SUBGROUP][i + 1u]), (e) % SUBGROUP)
#elif defined(HEED_ADDRESS) // not staged: all lanes load from the same address, which is one instruction
#include "address.glsl"
#define K_FOUR(c, d) heed_load4_at(at_k[c], 4u * (d), DIM_QK)
#define V_FOUR(c, d) value_at(at_v[c], feature0, 4u * (d))
#define STAGED_TWO(stage, e, four, i) vec2(four[i], four[i + 1u])
#else
shared vec4 stage_k[K_STAGED];
shared vec4 stage_v[V_STAGED];
#define K_FOUR(c, d) stage_k[(c) * Q_VECTORS + (d)]
#define V_FOUR(c, d) stage_v[(c) * V_VECTORS + (d)]
#define STAGED_TWO(stage, e, four, i) (BY_WORD ? vec2(stage[e][i], stage[e][i + 1u]) : vec2(four[i], four[i + 1u]))
#endif

#if defined(HEED_INT64) || defined(HEED_ADDRESS) // a gather or scatter costs by the element: words of 64 bits
#include "pairs.glsl"
HEED_PAIRS(readonly, q, HEED_ATTN_Q)
HEED_PAIRS(writeonly, o, HEED_ATTN_O)

vec4 load_query(uint row_begin, uint d)
{
    return HEED_VECTOR ? HEED_LOAD4_PAIRS(q, DT_Q, row_begin + d) * SCALE : scaled_q(row_begin, d);
}

void store_output(uint row_begin, uint feature, vec4 acc, float factor)
{
    if (HEED_VECTOR && (PARTIAL || DT_O == HEED_DT_F32)) {
        uvec4 x = floatBitsToUint(factor == 0.0 ? vec4(0.0) : acc * factor);
        HEED_STORE_PAIR(o, row_begin + feature, x.xy);
        HEED_STORE_PAIR(o, row_begin + feature + 2u, x.zw);
    } else {
        store_o(row_begin, feature, acc, factor);
    }
}
#else
#define load_query scaled_q
#define store_output store_o
#endif

#ifdef HEED_INT64
HEED_PAIRS(readonly, k, HEED_ATTN_K)
HEED_PAIRS(readonly, v, HEED_ATTN_V)
#define LOAD_K(begin, d) HEED_LOAD4_PAIRS(k, DT_K, begin + d)
#define LOAD_V(begin, feature0, d) HEED_LOAD4_PAIRS(v, DT_V, begin + v_feature(feature0, d))
#else
#define LOAD_K load_k
#define LOAD_V load_v
#endif

// Vector e of the keys and values from `key` on; behind the last of them, which is counted from it, that one's again.
vec4 key_vector(uint k_base, uint key, uint last, uint e)
{
    uint begin = k_base + (key + min(e / Q_VECTORS, last)) * push.k_stride_row;
    return LOAD_K(begin, 4u * (e % Q_VECTORS));
}

vec4 value_vector(uint v_base, uint feature0, uint key, uint last, uint e)
{
    uint begin = v_base + (key + min(e / V_VECTORS, last)) * push.v_stride_row;
    return LOAD_V(begin, feature0, 4u * (e % V_VECTORS));
}

#ifdef HEED_ADDRESS
// Four features of the value at `address`, of which feature0 is the slice's first.
vec4 value_at(uint64_t address, uint feature0, uint d)
{
    const uint count = DIM_V % 4u == 0u ? ~0u : DIM_V;
    return heed_load4_at(address, SLICES == 1u ? d : v_feature(feature0, d), count);
}
#endif

void main()
{
    uint lane = gl_LocalInvocationIndex;
    uint row0 = gl_WorkGroupID.x / SLICES * (BR * WG), feature0 = gl_WorkGroupID.x % SLICES * DIM_V_SLICE;
    uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = row_count(s), last_row = max(end_row, 1u) - 1u;
    KeyRange range = key_range(s, split, row0, min(row0 + BR * WG - 1u, last_row));
    if (row0 >= end_row) // no return: lavapipe would then mask every store of an accumulator
        range.end = range.first;

    uint row = row0 + lane;
    vec4 query[BR * Q_VECTORS], acc[BR * V_VECTORS];
    Online rows[BR];
    [[unroll]] for (uint r = 0u; r < BR; r++) {
        uint e = end_row == 0u ? 0u : q_begin(s) + min(row + r * WG, last_row) * push.q_stride_row;
        [[unroll]] for (uint d = 0u; d < Q_VECTORS; d++)
            query[r * Q_VECTORS + d] = load_query(e, 4u * d);
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
            acc[r * V_VECTORS + d] = vec4(0.0);
        rows[r] = online_begin();
    }

    uint k_base = k_begin(s), v_base = v_begin(s);
#ifdef HEED_ADDRESS
    uint64_t all_k = heed_base(push.address0), all_v = heed_base(push.address1);
#endif
    // Asked at its end: lavapipe runs the body of a loop once more, without a lane, before it leaves at the beginning.
    uint key = range.first;
    if (key < range.end) [[dont_unroll]] do {
        uint last = range.end - key - 1u; // keys behind it are ruled out
#ifdef HEED_ADDRESS
        uint64_t at_k[KEYS], at_v[KEYS];
        [[unroll]] for (uint c = 0u; c < KEYS; c++) {
            uint row = min(key + c, range.end - 1u);
            at_k[c] = heed_address(all_k, k_base + row * push.k_stride_row);
            at_v[c] = heed_address(all_v, v_base + row * push.v_stride_row);
        }
#elif defined(HEED_BROADCAST)
        vec4 stage_k[(K_STAGED + SUBGROUP - 1u) / SUBGROUP], stage_v[(V_STAGED + SUBGROUP - 1u) / SUBGROUP];
        [[unroll]] for (uint e = 0u; e < K_STAGED; e += SUBGROUP)
            stage_k[e / SUBGROUP] = key_vector(k_base, key, last, min(e + gl_SubgroupInvocationID, K_STAGED - 1u));
        [[unroll]] for (uint e = 0u; e < V_STAGED; e += SUBGROUP)
            stage_v[e / SUBGROUP] =
                value_vector(v_base, feature0, key, last, min(e + gl_SubgroupInvocationID, V_STAGED - 1u));
#else
        barrier();
        // Subgroups jump over what none of their lanes takes: where there are as many lanes as vectors to stage, one
        // has keys or values. 8 heads of 1024 x 1024 keys, 8 lanes, 16 subgroups, against a loop for each of the two:
        // 1.1 times as fast.
        [[dont_unroll]] for (uint e = lane; e < K_STAGED + V_STAGED; e += WG)
            if (e < K_STAGED)
                stage_k[e] = key_vector(k_base, key, last, e);
            else
                stage_v[e - K_STAGED] = value_vector(v_base, feature0, key, last, e - K_STAGED);
        barrier();
#endif

        float t[BR * KEYS], top[BR];
        [[unroll]] for (uint i = 0u; i < BR * KEYS; i++)
            t[i] = 0.0;
        [[unroll]] for (uint d = 0u; d < Q_VECTORS; d++) {
            vec4 four[KEYS];
            [[unroll]] for (uint c = 0u; c < KEYS; c++)
                four[c] = K_FOUR(c, d);
            [[unroll]] for (uint i = 0u; i < 4u; i += 2u)
                [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                    vec2 two = STAGED_TWO(stage_k, c * Q_VECTORS + d, four[c], i);
                    [[unroll]] for (uint w = 0u; w < 2u; w++)
                        [[unroll]] for (uint r = 0u; r < BR; r++)
                            t[r * KEYS + c] = fma(query[r * Q_VECTORS + d][i + w], two[w], t[r * KEYS + c]);
                }
        }
        bool moves = false;
        [[unroll]] for (uint r = 0u; r < BR; r++) {
            top[r] = rows[r].top;
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                float x = t[r * KEYS + c];
                if (!PLAIN) // masks and biases end with the last row and key
                    x = attn_logit(s, min(row + r * WG, last_row), key + min(c, last), x);
                x = c > last ? HEED_RULED_OUT : x;
                t[r * KEYS + c] = x;
                top[r] = x > top[r] ? x : top[r];
            }
            moves = moves || top[r] > rows[r].top;
        }
        // Of 1024 keys in any order the maximum moves at a dozen, and what would be multiplied with 1 is not touched.
        // 26.1.6, 8 lanes, 2 x 4 pairs, 8 heads of 1024 x 1024 keys of 64 features 40 : 36 ms, 100 x 850 of 32 2.4 : 1.5.
        if (moves)
            [[unroll]] for (uint r = 0u; r < BR; r++) {
                float shift = online_shift(rows[r], top[r]);
                rows[r] = online_move(rows[r], top[r], shift);
                [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
                    acc[r * V_VECTORS + d] *= shift;
            }
        [[unroll]] for (uint r = 0u; r < BR; r++)
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                float p = online_weight(rows[r], t[r * KEYS + c]);
                rows[r] = online_add(rows[r], t[r * KEYS + c], p);
                t[r * KEYS + c] = p;
            }
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++) {
            vec4 four[KEYS];
            [[unroll]] for (uint c = 0u; c < KEYS; c++)
                four[c] = V_FOUR(c, d);
            [[unroll]] for (uint i = 0u; i < 4u; i += 2u)
                [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                    vec2 two = STAGED_TWO(stage_v, c * V_VECTORS + d, four[c], i);
                    [[unroll]] for (uint w = 0u; w < 2u; w++)
                        [[unroll]] for (uint r = 0u; r < BR; r++) {
                            float used = GUARDED && t[r * KEYS + c] == 0.0 ? 0.0 : two[w];
                            acc[r * V_VECTORS + d][i + w] = fma(t[r * KEYS + c], used, acc[r * V_VECTORS + d][i + w]);
                        }
                }
        }
        key += KEYS;
    } while (key < range.end);

    [[unroll]] for (uint r = 0u; r < BR; r++) {
        if (row + r * WG >= end_row)
            continue;
        float top = online_top(rows[r]);
        if (feature0 == 0u)
            store_sums(s, split, row + r * WG, top, rows[r].sum, rows[r].weighted);
        uint e = o_begin(s, split, row + r * WG);
        float factor = o_factor(s, top, rows[r].sum);
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
            if (feature0 + 4u * d < DIM_V)
                store_output(e, feature0 + 4u * d, acc[r * V_VECTORS + d], factor);
    }
}
