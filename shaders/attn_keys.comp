#version 450
// SPDX-License-Identifier: MIT
// Fused attention for software drivers and few queries: a lane walks its own keys, up to four at a time, for all BR
// rows of the group; at the end the lanes' outputs are added up. Measurements stand in src/select_attention.c.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#include "abi.h"
#include "lanes.glsl"

layout(constant_id = HEED_SPEC_TOUCH) const bool TOUCH = false;

const uint KEYS = BC / WG; // of a lane at a time

// Four features of each key of a lane. The same word of all keys, then the next: a gather waits for as many lines of
// the caches as there are lanes, and those of other keys are on their way meanwhile, those of other words are the same.
// 32 heads of 1 x 8192 keys of 128 features on lavapipe 26.1.6, key by key against word by word: 8 lanes 40.7 : 29.0
// ms, 16 lanes 39.7 : 26.5. Where a lane has one key at a time, as on 22.3, there is nothing to overlap, and four loads
// of a word cost more than one of four (118 : 69 ms).
#ifdef HEED_INT64 // a gather costs by the element: words of 64 bits
#include "pairs.glsl"
HEED_PAIRS(readonly, k, HEED_ATTN_K)
HEED_PAIRS(readonly, v, HEED_ATTN_V)
#define LOAD_WORDS(words, name, dt, at, feature) \
    [[unroll]] for (uint w = 0u; w < (dt == HEED_DT_F32 ? 4u : 2u); w += 2u) \
        [[unroll]] for (uint c = 0u; c < KEYS; c++) { \
            uvec2 two = HEED_LOAD_PAIR(name, dt == HEED_DT_F32 ? at[c] + feature + w : (at[c] + feature) >> 1); \
            words[c][w] = two.x; \
            words[c][w + 1u] = two.y; \
        }
const bool BY_WORD = true;
#else
#define LOAD_WORDS(words, name, dt, at, feature) \
    [[unroll]] for (uint w = 0u; w < (dt == HEED_DT_F32 ? 4u : 2u); w++) \
        [[unroll]] for (uint c = 0u; c < KEYS; c++) \
            words[c][w] = name##_word(dt, at[c] + feature, w);
const bool BY_WORD = KEYS > 1u;
#endif
#define LOAD_EACH(to, name, dt, at, feature, whole) \
    vec4 to[KEYS]; \
    if (HEED_VECTOR && BY_WORD) { \
        uvec4 words[KEYS]; \
        LOAD_WORDS(words, name, dt, at, feature) \
        [[unroll]] for (uint c = 0u; c < KEYS; c++) \
            to[c] = heed_unpack_words(dt, words[c]); \
    } else { \
        [[unroll]] for (uint c = 0u; c < KEYS; c++) \
            to[c] = whole; \
    }

// A processor fetches lines of memory ahead of whoever reads them in order, and lanes that walk keys side by side do
// not: with TOUCH a word of each of these lines is read first. `touched` is odd, a stride of vectors never, which no
// compiler knows, and so it keeps the loads.
#define LINE(dt) (dt == HEED_DT_F32 ? 16u : 32u) // elements
#define LINES(dt, features) ((features + LINE(dt) - 1u) / LINE(dt))
#define TOUCH_EACH(name, dt, base, stride, feature0, features, dim) \
    if (TOUCH && HEED_VECTOR) \
        [[dont_unroll]] for (uint e = lane; e < BC * LINES(dt, features); e += WG) { \
            uint at = base + min(key + e / LINES(dt, features), range.end - 1u) * stride + \
                      min(feature0 + e % LINES(dt, features) * LINE(dt), dim - 1u); \
            touched |= name##_w[dt == HEED_DT_F32 ? at : at >> 1]; \
        }

shared vec4 stage_q[BR * Q_VECTORS];
shared vec4 part_o[WG * V_VECTORS]; // of one row
shared float part_top[WG];
shared vec2 part_sums[WG];

void main()
{
    uint lane = gl_LocalInvocationIndex;
    uint row0 = gl_WorkGroupID.x / SLICES * BR, feature0 = gl_WorkGroupID.x % SLICES * DIM_V_SLICE;
    uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = row_count(s), last_row = max(end_row, 1u) - 1u;
    KeyRange range = key_range(s, split, row0, min(row0 + BR - 1u, last_row));
    if (row0 >= end_row)
        range.end = range.first;

    [[dont_unroll]] for (uint e = lane; e < BR * Q_VECTORS; e += WG) {
        uint begin = end_row == 0u ? 0u : q_begin(s) + min(row0 + e / Q_VECTORS, last_row) * push.q_stride_row;
        stage_q[e] = scaled_q(begin, 4u * (e % Q_VECTORS));
    }
    barrier();

    vec4 acc[BR * V_VECTORS];
    Online rows[BR];
    [[unroll]] for (uint r = 0u; r < BR; r++) {
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
            acc[r * V_VECTORS + d] = vec4(0.0);
        rows[r] = online_begin();
    }
    uint k_base = k_begin(s), v_base = v_begin(s), touched = 1u;
    [[dont_unroll]] for (uint key = range.first; key < range.end; key += KEYS * WG) {
        uint ke[KEYS], ve[KEYS]; // behind the last key it is read again, and ruled out
        [[unroll]] for (uint c = 0u; c < KEYS; c++) {
            uint j = min(key + c * WG + lane, range.end - 1u);
            ke[c] = k_base + j * push.k_stride_row;
            ve[c] = v_base + j * push.v_stride_row;
        }
        TOUCH_EACH(k, DT_K, k_base, push.k_stride_row, 0u, DIM_QK, DIM_QK)
        float t[BR * KEYS], shift[BR];
        [[unroll]] for (uint i = 0u; i < BR * KEYS; i++)
            t[i] = 0.0;
        [[unroll]] for (uint d = 0u; d < Q_VECTORS; d++) {
            LOAD_EACH(keys, k, DT_K, ke, 4u * d, load_k(ke[c], 4u * d))
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    vec4 qq = stage_q[r * Q_VECTORS + d];
                    t[r * KEYS + c] =
                        fma(qq.w, keys[c].w,
                            fma(qq.z, keys[c].z, fma(qq.y, keys[c].y, fma(qq.x, keys[c].x, t[r * KEYS + c]))));
                }
            }
        }
        [[unroll]] for (uint r = 0u; r < BR; r++) {
            float top = rows[r].top;
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                uint j = key + c * WG + lane;
                float x = t[r * KEYS + c];
                if (!PLAIN) // masks and biases end with the last row and key
                    x = attn_logit(s, min(row0 + r, last_row), min(j, range.end - 1u), x);
                x = j >= range.end ? HEED_RULED_OUT : x;
                t[r * KEYS + c] = x;
                top = x > top ? x : top;
            }
            shift[r] = online_shift(rows[r], top);
            rows[r] = online_move(rows[r], top, shift[r]);
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                float p = online_weight(rows[r], t[r * KEYS + c]);
                rows[r] = online_add(rows[r], t[r * KEYS + c], p);
                t[r * KEYS + c] = p;
            }
        }
        TOUCH_EACH(v, DT_V, v_base, push.v_stride_row, feature0, DIM_V_SLICE, DIM_V)
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++) {
            [[unroll]] for (uint r = 0u; r < BR; r++)
                acc[r * V_VECTORS + d] *= shift[r];
            LOAD_EACH(values, v, DT_V, ve, v_feature(feature0, 4u * d), load_v(ve[c], feature0, 4u * d))
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    vec4 used = GUARDED && t[r * KEYS + c] == 0.0 ? vec4(0.0) : values[c];
                    acc[r * V_VECTORS + d] = fma(vec4(t[r * KEYS + c]), used, acc[r * V_VECTORS + d]);
                }
            }
        }
    }
    if (TOUCH && HEED_VECTOR && touched == push.k_stride_row)
        acc[0] = vec4(0.0);

    [[unroll]] for (uint r = 0u; r < BR; r++) {
        barrier(); // part_* of the row before have been read
        part_top[lane] = rows[r].top;
        barrier();
        float top = HEED_RULED_OUT;
        for (uint e = 0u; e < WG; e++)
            top = part_top[e] > top ? part_top[e] : top;
        float shift = online_shift(rows[r], top);
        rows[r] = online_move(rows[r], top, shift);
        part_sums[lane] = vec2(rows[r].sum, rows[r].weighted);
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
            part_o[lane * V_VECTORS + d] = acc[r * V_VECTORS + d] * shift;
        barrier();
        vec2 sums = vec2(0.0);
        for (uint e = 0u; e < WG; e++)
            sums += part_sums[e];
        rows[r].sum = sums.x;
        rows[r].weighted = sums.y;
        uint row = row0 + r;
        top = online_top(rows[r]);
        float factor = row < end_row ? o_factor(s, top, rows[r].sum) : 0.0;
        if (lane == 0u && feature0 == 0u && row < end_row)
            store_sums(s, split, row, top, rows[r].sum, rows[r].weighted);
        [[dont_unroll]] for (uint d = lane; d < V_VECTORS; d += WG) {
            vec4 sum = vec4(0.0);
            for (uint e = 0u; e < WG; e++)
                sum += part_o[e * V_VECTORS + d];
            if (row < end_row && feature0 + 4u * d < DIM_V)
                store_o(o_begin(s, split, row), feature0 + 4u * d, sum, factor);
        }
    }
}
