#version 450
// SPDX-License-Identifier: MIT
// Fused attention on matrix units (VK_KHR_cooperative_matrix), for f16, or with HEED_BF16 for bf16 queries, keys and
// values. Sums are f32. COLUMNS subgroups own MATRIX_M rows and share out the columns of their scores and output,
// MATRIX_N wide; keys and values of a tile are staged for the whole work group. Which invocation holds which element of a
// matrix is not known, so that scores go through shared memory to the lanes that make a row's softmax, and their weights
// back to be a factor; the output stays in registers.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
//
// Dimensions that are no multiple of a matrix are padded with zeros in shared memory. The trip counts of all loops with
// matrices are the same for a whole work group: Intel's compiler wants that (ggml-org/llama.cpp#24406).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifdef HEED_BF16
#extension GL_EXT_bfloat16 : require
#define ELEMENT bfloat16_t
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define ELEMENT float16_t
#endif
#include "abi.h"
#include "fused.glsl"

layout(constant_id = HEED_SPEC_MATRIX_M) const uint MATRIX_M = 16;
layout(constant_id = HEED_SPEC_MATRIX_N) const uint MATRIX_N = 16;
layout(constant_id = HEED_SPEC_MATRIX_K) const uint MATRIX_K = 16;
layout(constant_id = HEED_SPEC_SUBGROUP) const uint SUBGROUP = 32;

// Subgroups that share rows, and rows of the softmax that each has.
const uint COLUMNS = WG / SUBGROUP * MATRIX_M / BR;
const uint ROWS = MATRIX_M / COLUMNS;

#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>

// Matrices along the features of q and k, along keys as rows, and for each subgroup along keys as columns and along the
// slice of the output. Its n-th column is the (n COLUMNS + its number)-th of all.
const uint QK_STEPS = (DIM_QK + MATRIX_K - 1u) / MATRIX_K;
const uint KEY_STEPS = BC / MATRIX_K, KEY_COLUMNS = BC / MATRIX_N / COLUMNS;
const uint V_COLUMNS = (DIM_V_SLICE + MATRIX_N * COLUMNS - 1u) / (MATRIX_N * COLUMNS);
// Lanes of a row in the softmax, or rows of a lane.
const uint ROW_LANES = SUBGROUP > ROWS ? SUBGROUP / ROWS : 1u;
const uint LANE_ROWS = SUBGROUP < ROWS ? ROWS / SUBGROUP : 1u;

// Everything in shared memory is counted in 16 bytes, which matrices are aligned to: 8 elements or 4 floats. One more in
// each row spreads rows over the banks.
const uint QK_UNITS = QK_STEPS * MATRIX_K / 8u, QK_PITCH = QK_UNITS + 1u;
const uint SCORE_PITCH = BC / 4u + 1u, WEIGHT_PITCH = BC / 8u + 1u;
// Values lie there by features, so that an invocation finds its part of a factor side by side, as with the other
// factors: with rows of features RADV and ANV load 2 bytes at a time.
const uint V_PITCH = WEIGHT_PITCH, V_BLOCKS = (V_COLUMNS * COLUMNS * MATRIX_N + 15u) / 16u;
const uint VALUES = BC * QK_PITCH; // where they begin in shared_kv
const uint KV_SIZE = VALUES + 16u * V_BLOCKS * V_PITCH, Q_SIZE = BR * QK_PITCH;
// Queries are kept in registers, and come there through the room of keys and values; or they stay in shared memory.
shared uvec4 shared_kv[Q_SHARED || KV_SIZE > Q_SIZE ? KV_SIZE : Q_SIZE];
shared uvec4 shared_q[Q_SHARED ? Q_SIZE : 1u];
shared vec4 shared_scores[BR * SCORE_PITCH];
shared uvec4 shared_weights[BR * WEIGHT_PITCH];
shared vec4 shared_shift[BR / 4u];
shared uint shared_poison; // 1 + the first key of the last tile that had NaN or Inf among its values

// Terms of a logit beside score and scale; without any, tiles of whole rows need no look at pairs.
const bool TERMS = (FLAGS & (HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_KEY_BIAS | HEED_ATTN_ALIBI |
                             HEED_ATTN_DISTANCE | HEED_ATTN_SOFTCAP)) != 0u;

// Weights are at most 1, and many small ones may count more than the largest: in f16 they use its whole range.
#ifdef HEED_BF16
const float WEIGHT_SCALE = 1.0;
const uint EXPONENT = 0x7f80u;
#else
const float WEIGHT_SCALE = 32768.0;
const uint EXPONENT = 0x7c00u;
#endif

uint pack_weights(float a, float b)
{
#ifdef HEED_BF16
    return heed_bf16_bits(a) | heed_bf16_bits(b) << 16;
#else
    return packFloat2x16(f16vec2(vec2(a, b) * WEIGHT_SCALE)); // packHalf2x16 truncates on lavapipe
#endif
}

// Which of the two elements of a word are NaN or Inf, as a mask of their bits.
uint not_finite(uint word)
{
    uint low = (word & EXPONENT) == EXPONENT ? 0xffffu : 0u;
    uint high = ((word >> 16) & EXPONENT) == EXPONENT ? 0xffff0000u : 0u;
    return low | high;
}

// Eight features of a row from feature d on, as they are in memory; zeros behind the last.
const bool PADDED = 8u * QK_UNITS != DIM_QK;
const uint LAST_QK = (DIM_QK - 1u) / 4u * 4u;
#define LOAD8(name) \
    uvec4 name##_load8(uint row_begin, uint d) \
    { \
        if (!PADDED) \
            return name##_bits8(row_begin + d); \
        uint a = min(d, LAST_QK), b = min(d + 4u, LAST_QK); \
        uvec2 low = name##_bits4n(row_begin + a, DIM_QK - a), high = name##_bits4n(row_begin + b, DIM_QK - b); \
        return uvec4(d < DIM_QK ? low : uvec2(0u), d + 4u < DIM_QK ? high : uvec2(0u)); \
    }
LOAD8(q)
LOAD8(k)

// Does every row from row0 to last_row attend to all BC keys from `key` on?
bool whole_tile(Sequence s, uint row0, uint last_row, uint key)
{
    int first = int(push.key0 + key), last = first + int(BC) - 1;
    int top = int(push.row0 + row0) + s.diagonal, bottom = int(push.row0 + last_row) + s.diagonal;
    if (flag(HEED_ATTN_CAUSAL) && last > top)
        return false;
    return !flag(HEED_ATTN_WINDOW) || ((push.window_left < 0 || bottom - first <= push.window_left) &&
                                       (push.window_right < 0 || last - top <= push.window_right));
}

// Calls stage_x(e, ...) for e in 0 .. total - 1, as often in each invocation and without a branch where it comes out even.
// A few loads at a time hide their latency; Intel's narrow subgroups have no registers for them.
#define EACH(e, t, total, call) \
    if (SUBGROUP >= 32u && (total) <= 4u * WG) { \
        [[unroll]] for (uint e##_ = 0u, e = t; e##_ < (total); e##_ += WG, e += WG) \
            if ((total) % WG == 0u || e < (total)) \
                call; \
    } else { \
        [[dont_unroll]] for (uint e##_ = 0u, e = t; e##_ < (total); e##_ += WG, e += WG) \
            if ((total) % WG == 0u || e < (total)) \
                call; \
    }

void stage_q(uint e, uint begin, uint row0, uint last_row)
{
    uint r = e / QK_UNITS, u = e % QK_UNITS;
    uvec4 bits = q_load8(begin + min(row0 + r, last_row) * push.q_stride_row, 8u * u);
    if (Q_SHARED)
        shared_q[r * QK_PITCH + u] = bits;
    else
        shared_kv[r * QK_PITCH + u] = bits;
}

// Behind the last key is the last one again, whose weight is 0 there.
void stage_k(uint e, uint begin, uint key, uint last_key)
{
    uint c = e / QK_UNITS, u = e % QK_UNITS;
    shared_kv[c * QK_PITCH + u] = k_load8(begin + min(key + c, last_key) * push.k_stride_row, 8u * u);
}

// Two keys and 4 features; neighbours have 16 features, which are 32 bytes, of 16 keys. Behind the last of `features` are
// some that come to nothing.
void stage_v(uint e, uint begin, uint features, uint key, uint last_key)
{
    uint pair = e / 4u % (BC / 2u), feature = e / (2u * BC) * 16u + e % 4u * 4u;
    uint f = min(feature, (features - 1u) / 4u * 4u);
    uvec2 even = v_bits4n(begin + min(key + 2u * pair, last_key) * push.v_stride_row + f, features - f);
    uvec2 odd = v_bits4n(begin + min(key + 2u * pair + 1u, last_key) * push.v_stride_row + f, features - f);
    if (GUARDED) {
        // Of a row that may not attend to it nothing must remain, and 0 x NaN is NaN: see the end of a tile.
        uvec4 bad = uvec4(not_finite(even.x), not_finite(even.y), not_finite(odd.x), not_finite(odd.y));
        if (bad != uvec4(0u))
            atomicMax(shared_poison, key + 1u);
        even &= ~bad.xy;
        odd &= ~bad.zw;
    }
    uint at = VALUES + feature * V_PITCH + pair / 4u;
    shared_kv[at][pair % 4u] = (even.x & 0xffffu) | odd.x << 16;
    shared_kv[at + V_PITCH][pair % 4u] = even.x >> 16 | (odd.x & 0xffff0000u);
    shared_kv[at + 2u * V_PITCH][pair % 4u] = (even.y & 0xffffu) | odd.y << 16;
    shared_kv[at + 3u * V_PITCH][pair % 4u] = even.y >> 16 | (odd.y & 0xffff0000u);
}

// What the subgroups of a row wrote is there for each of them.
void meet()
{
    if (COLUMNS > 1u)
        barrier();
    else
        subgroupBarrier();
}

void main()
{
    uint t = gl_LocalInvocationIndex, lane = gl_SubgroupInvocationID;
    uint row0 = gl_WorkGroupID.x / SLICES * BR, slice = gl_WorkGroupID.x % SLICES, slice0 = slice * DIM_V_SLICE;
    uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = row_count(s);
    if (row0 >= end_row)
        return;
    uint last_row = end_row - 1u;
    KeyRange range = key_range(s, split, row0, min(row0 + BR - 1u, last_row));
    uint k0 = k_begin(s), v0 = v_begin(s);

    uint column = gl_SubgroupID % COLUMNS;
    uint rows0 = gl_SubgroupID / COLUMNS * MATRIX_M; // rows of the block that the subgroup multiplies
    uint own = rows0 + column * ROWS + lane / ROW_LANES, part = lane % ROW_LANES; // a row that the lane sees to
    uint q0 = q_begin(s);
    EACH(e, t, BR * QK_UNITS, stage_q(e, q0, row0, last_row))
    if (t == 0u)
        shared_poison = 0u;
    barrier();
    MATRIX_A query[Q_SHARED ? 1u : QK_STEPS];
    if (!Q_SHARED)
        [[unroll]] for (uint d = 0u; d < QK_STEPS; d++)
            coopMatLoad(query[d], shared_kv, rows0 * QK_PITCH + d * MATRIX_K / 8u, QK_PITCH,
                        gl_CooperativeMatrixLayoutRowMajor);
    MATRIX_C acc[V_COLUMNS];
    [[unroll]] for (uint n = 0u; n < V_COLUMNS; n++)
        acc[n] = MATRIX_C(0.0);
    // Of the lane's rows, the same in all lanes of a row.
    float m[LANE_ROWS], sum[LANE_ROWS], weighted[LANE_ROWS];
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++) {
        m[i] = HEED_RULED_OUT;
        sum[i] = 0.0;
        weighted[i] = 0.0;
    }

    [[dont_unroll]] for (uint key = range.first; key < range.end; key += BC) {
        uint count = min(BC, range.end - key);
        barrier();
        EACH(e, t, BC * QK_UNITS, stage_k(e, k0, key, range.end - 1u))
        EACH(i, t, 2u * BC * V_BLOCKS, stage_v(i, v0 + slice0, min(DIM_V - slice0, DIM_V_SLICE), key, range.end - 1u))
        barrier();

        // Scores.
        MATRIX_C score[KEY_COLUMNS];
        [[unroll]] for (uint n = 0u; n < KEY_COLUMNS; n++)
            score[n] = MATRIX_C(0.0);
        [[unroll]] for (uint d = 0u; d < QK_STEPS; d++) {
            MATRIX_A qq;
            if (Q_SHARED)
                coopMatLoad(qq, shared_q, rows0 * QK_PITCH + d * MATRIX_K / 8u, QK_PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
            else
                qq = query[d];
            [[unroll]] for (uint n = 0u; n < KEY_COLUMNS; n++) {
                MATRIX_B kk;
                coopMatLoad(kk, shared_kv, (n * COLUMNS + column) * MATRIX_N * QK_PITCH + d * MATRIX_K / 8u, QK_PITCH,
                            gl_CooperativeMatrixLayoutColumnMajor);
                score[n] = coopMatMulAdd(qq, kk, score[n]);
            }
        }
        [[unroll]] for (uint n = 0u; n < KEY_COLUMNS; n++)
            coopMatStore(score[n], shared_scores, rows0 * SCORE_PITCH + (n * COLUMNS + column) * MATRIX_N / 4u,
                         SCORE_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        meet();

        bool whole = !TERMS && count == BC && whole_tile(s, row0, min(row0 + BR - 1u, last_row), key);
        // Softmax. A lane has 8 keys of a row at a time, which are 16 bytes of weights.
        [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++) {
            uint r = own + i * SUBGROUP, row = min(row0 + r, last_row);
            float top = m[i];
            if (whole) {
                [[unroll]] for (uint u = 2u * part; u < BC / 4u; u += 2u * ROW_LANES)
                    [[unroll]] for (uint h = 0u; h < 2u; h++) {
                        vec4 x = shared_scores[r * SCORE_PITCH + u + h] * push.scale;
                        top = max(max(top, max(x.x, x.y)), max(x.z, x.w)); // NaN anywhere: the row is
                    }
            } else {
                [[dont_unroll]] for (uint u = part; u < BC / 8u; u += ROW_LANES)
                    [[unroll]] for (uint h = 0u; h < 2u; h++) {
                        vec4 x = shared_scores[r * SCORE_PITCH + 2u * u + h] * push.scale;
                        [[unroll]] for (uint c = 0u; c < 4u; c++) {
                            uint j = 8u * u + 4u * h + c;
                            x[c] = j < count ? attn_logit(s, row, key + j, x[c]) : HEED_RULED_OUT;
                            top = x[c] > top ? x[c] : top;
                        }
                        shared_scores[r * SCORE_PITCH + 2u * u + h] = x;
                    }
            }
            [[unroll]] for (uint o = 1u; o < ROW_LANES; o *= 2u)
                top = max(top, subgroupShuffleXor(top, o));
            float shift = sum[i] == 0.0 ? 0.0 : heed_exp(m[i] - top);
            vec2 sums = vec2(0.0);
            [[dont_unroll]] for (uint u = part; u < BC / 8u; u += ROW_LANES) {
                uvec4 bits;
                [[unroll]] for (uint h = 0u; h < 2u; h++) {
                    vec4 x = shared_scores[r * SCORE_PITCH + 2u * u + h], p;
                    if (whole) {
                        x = x * push.scale - top;
                        p = exp(x);
                    } else {
                        [[unroll]] for (uint c = 0u; c < 4u; c++) {
                            bool out_ = HEED_IS_RULED_OUT(x[c]);
                            x[c] -= top;
                            p[c] = out_ ? 0.0 : heed_exp(x[c]);
                        }
                    }
                    sums.x += p.x + p.y + p.z + p.w;
                    if (flag(HEED_ATTN_WRITE_ENTROPY))
                        sums.y += dot(p, mix(x, vec4(0.0), equal(p, vec4(0.0))));
                    if (GUARDED)
                        shared_scores[r * SCORE_PITCH + 2u * u + h] = p; // for NaN and Inf
                    bits[2u * h] = pack_weights(p.x, p.y);
                    bits[2u * h + 1u] = pack_weights(p.z, p.w);
                }
                shared_weights[r * WEIGHT_PITCH + u] = bits;
            }
            [[unroll]] for (uint o = 1u; o < ROW_LANES; o *= 2u) {
                sums.x += subgroupShuffleXor(sums.x, o);
                if (flag(HEED_ATTN_WRITE_ENTROPY))
                    sums.y += subgroupShuffleXor(sums.y, o);
            }
            if (flag(HEED_ATTN_WRITE_ENTROPY))
                weighted[i] = (sum[i] == 0.0 ? 0.0 : shift * (weighted[i] + sum[i] * (m[i] - top))) + sums.y;
            sum[i] = sum[i] * shift + sums.x;
            m[i] = top;
            if (part == 0u)
                shared_shift[r / 4u][r % 4u] = shift;
        }
        meet();

        // Output. The factors of rows as a matrix: every column the same.
        uint any_row = rows0 + lane % MATRIX_M;
        bool rescale = shared_shift[any_row / 4u][any_row % 4u] != 1.0;
        if (SUBGROUP < MATRIX_M)
            rescale = rescale || shared_shift[(any_row + SUBGROUP) / 4u][any_row % 4u] != 1.0;
        if (subgroupAny(rescale)) {
            MATRIX_C factor;
            coopMatLoad(factor, shared_shift, rows0 / 4u, 0u, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint n = 0u; n < V_COLUMNS; n++)
                acc[n] *= factor;
        }
        [[unroll]] for (uint c = 0u; c < KEY_STEPS; c++) {
            MATRIX_A weight;
            coopMatLoad(weight, shared_weights, rows0 * WEIGHT_PITCH + c * MATRIX_K / 8u, WEIGHT_PITCH,
                        gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint n = 0u; n < V_COLUMNS; n++) {
                MATRIX_B vv;
                coopMatLoad(vv, shared_kv, VALUES + (n * COLUMNS + column) * MATRIX_N * V_PITCH + c * MATRIX_K / 8u,
                            V_PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                acc[n] = coopMatMulAdd(weight, vv, acc[n]);
            }
        }
        // NaN and Inf, which were staged as 0, for the rows that attend to them. Columns take turns with the
        // room of the weights.
        if (GUARDED && shared_poison == key + 1u) {
            [[dont_unroll]] for (uint turn = 0u; turn < V_COLUMNS * COLUMNS; turn++) {
                meet();
                for (uint e = lane; e < MATRIX_M * MATRIX_N && turn % COLUMNS == column; e += SUBGROUP) {
                    uint r = rows0 + e / MATRIX_N, feature = slice0 + turn * MATRIX_N + e % MATRIX_N;
                    float x = 0.0;
                    for (uint j = 0u; j < count && feature < DIM_V; j++) {
                        float p = shared_scores[r * SCORE_PITCH + j / 4u][j % 4u];
                        float value = v_load(DT_V, v0 + (key + j) * push.v_stride_row + feature);
                        if (p != 0.0 && (floatBitsToUint(value) & 0x7f800000u) == 0x7f800000u)
                            x += p * value;
                    }
                    shared_weights[r * WEIGHT_PITCH + e % MATRIX_N / 4u][e % 4u] = floatBitsToUint(x);
                }
                meet();
                MATRIX_C poison;
                coopMatLoad(poison, shared_weights, rows0 * WEIGHT_PITCH, WEIGHT_PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint n = 0u; n < V_COLUMNS; n++) // indexed by `turn`, the output would be in memory
                    if (n * COLUMNS + column == turn)
                        acc[n] += poison;
            }
        }
    }

    // BC features at a time by the room of the scores, 4 a lane.
    [[unroll]] for (uint n0 = 0u; n0 < V_COLUMNS; n0 += KEY_COLUMNS) {
        meet();
        [[unroll]] for (uint n = n0; n < min(n0 + KEY_COLUMNS, V_COLUMNS); n++)
            coopMatStore(acc[n], shared_scores,
                         rows0 * SCORE_PITCH + ((n - n0) * COLUMNS + column) * MATRIX_N / 4u, SCORE_PITCH,
                         gl_CooperativeMatrixLayoutRowMajor);
        meet();
        [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++) {
            uint r = own + i * SUBGROUP, row = row0 + r;
            if (row > last_row)
                continue;
            if (n0 == 0u && part == 0u && slice == 0u)
                store_sums(s, split, row, m[i], sum[i], weighted[i]);
            uint e = o_begin(s, split, row);
            float factor = o_factor(s, m[i], sum[i]) / WEIGHT_SCALE;
            for (uint u = part; u < BC / 4u; u += ROW_LANES) {
                uint feature = slice0 + n0 * COLUMNS * MATRIX_N + 4u * u;
                if (feature < min(DIM_V, slice0 + DIM_V_SLICE))
                    store_o(e, feature, shared_scores[r * SCORE_PITCH + u], factor);
            }
        }
    }
}
