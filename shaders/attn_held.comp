#version 450
// SPDX-License-Identifier: MIT
// Fused attention on matrix units whose scores stay in matrices, and so in registers, from the product that makes them
// to the one that takes them as weights: for f16, or with HEED_BF16 for bf16 queries, keys and values. Sums are f32.
// Each subgroup owns MATRIX_M rows with all features of its slice; keys and values of a tile are staged for the whole
// work group. What is the same for a row (its maximum, its shift) is a matrix whose columns are alike, so that
// arithmetic on it goes element by element and need not know which invocation holds which element.
//
// With HEED_NV the maximum along a row and the change from a sum to a factor are those of VK_NV_cooperative_matrix2, in
// registers too; without, they go through a little shared memory of the subgroup's own.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifdef HEED_NV
#extension GL_NV_cooperative_matrix2 : require
#endif
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
layout(constant_id = HEED_SPEC_MATRIX_N) const uint MATRIX_N = 16; // and MATRIX_K: a sum must do as a factor
layout(constant_id = HEED_SPEC_WIDE) const bool WIDE = false;      // rows begin at multiples of 16 bytes
layout(constant_id = HEED_SPEC_SUBGROUP) const uint SUBGROUP = 32;

#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, MATRIX_N, MATRIX_N, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define ROW_MAJOR gl_CooperativeMatrixLayoutRowMajor
#define COLUMN_MAJOR gl_CooperativeMatrixLayoutColumnMajor

const bool TWO_TILES = Q_SHARED;
const uint SUBGROUPS = WG / SUBGROUP; // BR / MATRIX_M
// Matrices along the features of q and k, along keys, and along the slice of the output.
const uint QK_STEPS = (DIM_QK + MATRIX_N - 1u) / MATRIX_N, KEY_STEPS = BC / MATRIX_N;
const uint V_STEPS = (DIM_V_SLICE + MATRIX_N - 1u) / MATRIX_N;
// Lanes of a row, or rows of a lane, where rows are seen to one by one.
const uint ROW_LANES = SUBGROUP > MATRIX_M ? SUBGROUP / MATRIX_M : 1u;
const uint LANE_ROWS = SUBGROUP < MATRIX_M ? MATRIX_M / SUBGROUP : 1u;

// Everything in shared memory is counted in 16 bytes, which matrices are aligned to: 8 elements or 4 floats. An odd
// number of them in each row spreads rows over the banks.
const uint QK_UNITS = QK_STEPS * MATRIX_N / 8u, QK_PITCH = QK_UNITS | 1u;
const uint V_UNITS = V_STEPS * MATRIX_N / 8u, V_PITCH = V_UNITS | 1u;
const uint VALUES = BC * QK_PITCH; // where they begin in shared_kv
const uint KV_LEAST = SUBGROUPS * MATRIX_M * MATRIX_N / 4u; // where NaN and Inf go through it
const uint KV_SIZE = VALUES + BC * V_PITCH > KV_LEAST ? VALUES + BC * V_PITCH : KV_LEAST, Q_SIZE = BR * QK_PITCH;
// The next tile is loaded while this one is multiplied, where the registers are enough for that; and stored too, where
// there is room for two.
const uint K_TOTAL = BC * QK_UNITS, K_LOADS = (K_TOTAL + WG - 1u) / WG;
const uint V_TOTAL = BC * V_UNITS, V_LOADS = (V_TOTAL + WG - 1u) / WG;
const bool AHEAD = K_LOADS + V_LOADS <= 8u;
const uint TILES = AHEAD && TWO_TILES ? 2u : 1u;
// A matrix of floats, the subgroup's own; and a number for each of its rows.
const uint OWN_PITCH = MATRIX_N / 4u + 1u, OWN_SIZE = MATRIX_M * OWN_PITCH + MATRIX_M / 4u;
shared uvec4 shared_kv[TILES * KV_SIZE > Q_SIZE ? TILES * KV_SIZE : Q_SIZE]; // queries come to registers through it
shared uvec4 shared_own[SUBGROUPS * OWN_SIZE];
shared uvec4 shared_place[MATRIX_M * MATRIX_N / 4u]; // row x 32 + column of each element, as floats
// 1 + the first key of the last tile, of every other one, that had NaN or Inf among its values.
shared uint shared_poison[2];

// Terms of a logit beside score and scale. Without them logits are kept in units of log(2).
const bool TERMS = (FLAGS & (HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_KEY_BIAS | HEED_ATTN_ALIBI |
                             HEED_ATTN_DISTANCE | HEED_ATTN_SOFTCAP)) != 0u;
const float LOG2_E = 1.44269504, LN_2 = 0.693147181;
const float UNIT = TERMS ? LOG2_E : 1.0, NATURAL = TERMS ? 1.0 : LN_2;

// Weights are at most 1, and many small ones may count more than the largest: in f16 they use its whole range. 2^LIFT
// is what weights, their sums and the output are multiplied with.
#ifdef HEED_BF16
const float LIFT = 0.0, LOWER = 1.0;
const uint EXPONENT = 0x7f80u;
#else
const float LIFT = 15.0, LOWER = 1.0 / 32768.0;
const uint EXPONENT = 0x7c00u;
#endif

uint own0, lane; // where the subgroup's own matrix lies in shared_own; the invocation in it

#ifdef HEED_NV
float larger(const in float a, const in float b)
{
    return max(a, b);
}

float sum_of(const in float a, const in float b)
{
    return a + b;
}
#endif

// A matrix whose columns all are the maximum, or the sum, of those of m.
MATRIX_C along_rows(MATRIX_C m, const bool sums)
{
#ifdef HEED_NV
    MATRIX_C all;
    if (sums)
        coopMatReduceNV(all, m, gl_CooperativeMatrixReduceRowNV, sum_of);
    else
        coopMatReduceNV(all, m, gl_CooperativeMatrixReduceRowNV, larger);
    return all;
#else
    const uint row0 = own0 + MATRIX_M * OWN_PITCH;
    subgroupBarrier();
    coopMatStore(m, shared_own, own0, OWN_PITCH, ROW_MAJOR);
    subgroupBarrier();
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++) {
        uint r = lane / ROW_LANES + i * SUBGROUP, part = lane % ROW_LANES;
        float x = sums ? 0.0 : HEED_RULED_OUT;
        [[unroll]] for (uint u = part; u < MATRIX_N / 4u; u += ROW_LANES) {
            vec4 y = uintBitsToFloat(shared_own[own0 + r * OWN_PITCH + u]);
            x = sums ? x + (y.x + y.y) + (y.z + y.w) : max(max(x, max(y.x, y.y)), max(y.z, y.w));
        }
        [[unroll]] for (uint o = 1u; o < ROW_LANES; o *= 2u) {
            float y = subgroupShuffleXor(x, o);
            x = sums ? x + y : max(x, y);
        }
        if (lane % ROW_LANES == 0u)
            shared_own[row0 + r / 4u][r % 4u] = floatBitsToUint(x);
    }
    subgroupBarrier();
    MATRIX_C all;
    coopMatLoad(all, shared_own, row0, 0u, COLUMN_MAJOR);
    return all;
#endif
}

// The n-th matrix of weights as a factor.
MATRIX_A as_factor(MATRIX_C m, uint n)
{
#ifdef HEED_NV
    return MATRIX_A(m);
#else
    // Two rooms take turns, so that one barrier is enough.
    MATRIX_A factor;
    const uint at = own0 + n % 2u * (MATRIX_N / 8u);
    coopMatStore(coopmat<ELEMENT, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>(m), shared_own, at,
                 OWN_PITCH, ROW_MAJOR);
    subgroupBarrier();
    coopMatLoad(factor, shared_own, at, OWN_PITCH, ROW_MAJOR);
    return factor;
#endif
}

// Which of the two elements of a word are NaN or Inf, as a mask of their bits.
uint not_finite(uint word)
{
    uint low = (word & EXPONENT) == EXPONENT ? 0xffffu : 0u;
    uint high = ((word >> 16) & EXPONENT) == EXPONENT ? 0xffff0000u : 0u;
    return low | high;
}

// Eight features of a row from feature d on, as they are in memory. Behind the last, `end`: zeros, or with `any` what
// the row has elsewhere.
#define LOAD8(name) \
    uvec4 name##_load8(uint row_begin, uint d, uint end, const bool padded, const bool any) \
    { \
        if (!padded) \
            return WIDE ? name##_w4[(row_begin + d) >> 3] : name##_bits8(row_begin + d); \
        uint last = (end - 1u) / 4u * 4u, a = min(d, last), b = min(d + 4u, last); \
        uvec2 low = name##_bits4n(row_begin + a, end - a), high = name##_bits4n(row_begin + b, end - b); \
        return any ? uvec4(low, high) : uvec4(d < end ? low : uvec2(0u), d + 4u < end ? high : uvec2(0u)); \
    }
LOAD8(q)
LOAD8(k)
LOAD8(v)
const bool QK_PADDED = 8u * QK_UNITS != DIM_QK, V_PADDED = 8u * V_UNITS != DIM_V_SLICE || DIM_V % DIM_V_SLICE != 0u;

// Where the tensors of the work group lie, and what it still has of them.
struct Tiles {
    uint k, v, features, last_key;
};

uvec4 load_k_unit(Tiles t, uint e, uint key)
{
    return k_load8(t.k + min(key + e / QK_UNITS, t.last_key) * push.k_stride_row, e % QK_UNITS * 8u, DIM_QK, QK_PADDED,
                   false);
}

void put_k_unit(uint e, uint tile0, uvec4 bits)
{
    shared_kv[tile0 + e / QK_UNITS * QK_PITCH + e % QK_UNITS] = bits;
}

uvec4 load_v_unit(Tiles t, uint e, uint key)
{
    return v_load8(t.v + min(key + e / V_UNITS, t.last_key) * push.v_stride_row, e % V_UNITS * 8u, t.features, V_PADDED,
                   true);
}

void put_v_unit(uint e, uint tile0, uint key, uint odd, uvec4 bits)
{
    if (GUARDED) {
        // Of a row that may not attend to it nothing must remain, and 0 x NaN is NaN: see the end of a tile.
        uvec4 bad = uvec4(not_finite(bits.x), not_finite(bits.y), not_finite(bits.z), not_finite(bits.w));
        if (bad != uvec4(0u))
            atomicMax(shared_poison[odd], key + 1u);
        bits &= ~bad;
    }
    shared_kv[tile0 + VALUES + e / V_UNITS * V_PITCH + e % V_UNITS] = bits;
}

#define LOAD_NEXT(first_key) \
    { \
        [[unroll]] for (uint i = 0u; i < K_LOADS; i++) \
            next_k[i] = load_k_unit(tiles, min(t + i * WG, K_TOTAL - 1u), first_key); \
        [[unroll]] for (uint i = 0u; i < V_LOADS; i++) \
            next_v[i] = load_v_unit(tiles, min(t + i * WG, V_TOTAL - 1u), first_key); \
    }
#define STORE_NEXT(tile0, first_key, odd) \
    { \
        [[unroll]] for (uint i = 0u; i < K_LOADS; i++) \
            if (K_TOTAL % WG == 0u || t + i * WG < K_TOTAL) \
                put_k_unit(t + i * WG, tile0, next_k[i]); \
        [[unroll]] for (uint i = 0u; i < V_LOADS; i++) \
            if (V_TOTAL % WG == 0u || t + i * WG < V_TOTAL) \
                put_v_unit(t + i * WG, tile0, first_key, odd, next_v[i]); \
    }

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

// The row's number in a matrix whose columns are alike, which the subgroup has stored.
float of_row(uint r)
{
    return uintBitsToFloat(shared_own[own0 + r * OWN_PITCH].x);
}

void main()
{
    const uint t = gl_LocalInvocationIndex;
    lane = gl_SubgroupInvocationID;
    own0 = gl_SubgroupID * OWN_SIZE;
    const uint row0 = gl_WorkGroupID.x / SLICES * BR, slice = gl_WorkGroupID.x % SLICES, slice0 = slice * DIM_V_SLICE;
    const uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    const Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    const uint end_row = row_count(s);
    if (row0 >= end_row)
        return;
    const uint last_row = end_row - 1u;
    const KeyRange range = key_range(s, split, row0, min(row0 + BR - 1u, last_row));
    const Tiles tiles = Tiles(k_begin(s), v_begin(s) + slice0, min(DIM_V - slice0, DIM_V_SLICE), range.end - 1u);
    const uint rows0 = gl_SubgroupID * MATRIX_M; // rows of the block that the subgroup owns

    const uint q0 = q_begin(s);
    for (uint e = t; e < BR * QK_UNITS; e += WG)
        shared_kv[e / QK_UNITS * QK_PITCH + e % QK_UNITS] =
            q_load8(q0 + min(row0 + e / QK_UNITS, last_row) * push.q_stride_row, e % QK_UNITS * 8u, DIM_QK, QK_PADDED,
                    false);
    for (uint e = t; e < MATRIX_M * MATRIX_N; e += WG)
        shared_place[e / 4u][e % 4u] = floatBitsToUint(float(e / MATRIX_N * 32u + e % MATRIX_N));
    if (t < 2u)
        shared_poison[t] = 0u;
    barrier();
    MATRIX_A query[QK_STEPS];
    [[unroll]] for (uint d = 0u; d < QK_STEPS; d++)
        coopMatLoad(query[d], shared_kv, rows0 * QK_PITCH + d * MATRIX_N / 8u, QK_PITCH, ROW_MAJOR);
    MATRIX_C acc[V_STEPS];
    [[unroll]] for (uint n = 0u; n < V_STEPS; n++)
        acc[n] = MATRIX_C(0.0);
    MATRIX_C top = MATRIX_C(HEED_RULED_OUT);                // every column the row's maximum
    MATRIX_C sum = MATRIX_C(0.0), weighted = MATRIX_C(0.0); // each element of its own column: added up at the end
    // From a score to a logit. Of scores the largest is that of the logits only if this is positive.
    const float scale = push.scale * (TERMS ? 1.0 : LOG2_E);

    uvec4 next_k[AHEAD ? K_LOADS : 1u], next_v[AHEAD ? V_LOADS : 1u];
    if (AHEAD && range.first < range.end) {
        LOAD_NEXT(range.first)
        if (TILES == 2u) {
            barrier(); // queries are in registers
            STORE_NEXT(0u, range.first, 0u)
        }
    }
    uint odd = 0u;
    [[dont_unroll]] for (uint key = range.first; key < range.end; key += BC) {
        const uint count = min(BC, range.end - key), tile0 = TILES == 2u ? odd * KV_SIZE : 0u;
        barrier();
        if (TILES == 1u) {
            if (AHEAD) {
                STORE_NEXT(0u, key, odd)
            } else {
                for (uint e = t; e < K_TOTAL; e += WG)
                    put_k_unit(e, 0u, load_k_unit(tiles, e, key));
                for (uint e = t; e < V_TOTAL; e += WG)
                    put_v_unit(e, 0u, key, odd, load_v_unit(tiles, e, key));
            }
            barrier();
        }
        if (AHEAD)
            LOAD_NEXT(key + BC) // behind the last tile are its last keys again

        MATRIX_C score[KEY_STEPS];
        [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++)
            score[n] = MATRIX_C(0.0);
        [[unroll]] for (uint d = 0u; d < QK_STEPS; d++)
            [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++) {
                MATRIX_B kk;
                coopMatLoad(kk, shared_kv, tile0 + n * MATRIX_N * QK_PITCH + d * MATRIX_N / 8u, QK_PITCH, COLUMN_MAJOR);
                score[n] = coopMatMulAdd(query[d], kk, score[n]);
            }

        // The branches are around the loops: within them NVIDIA's compiler takes one for every element, one after the
        // other.
        const bool whole = !TERMS && count == BC && scale > 0.0 &&
                           whole_tile(s, row0, min(row0 + BR - 1u, last_row), key);
        MATRIX_C high;
        if (whole) {
            high = score[0];
            [[unroll]] for (uint n = 1u; n < KEY_STEPS; n++)
                [[unroll]] for (uint i = 0u; i < high.length(); i++)
                    high[i] = max(high[i], score[n][i]);
            [[unroll]] for (uint i = 0u; i < high.length(); i++)
                high[i] = max(top[i], high[i] * scale);
        } else {
            MATRIX_C place;
            coopMatLoad(place, shared_place, 0u, MATRIX_N / 4u, ROW_MAJOR);
            high = top;
            [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++)
                [[unroll]] for (uint i = 0u; i < high.length(); i++) {
                    uint at = uint(place[i]), j = n * MATRIX_N + at % 32u;
                    float x = score[n][i] * scale;
                    x = j < count ? attn_logit(s, min(row0 + rows0 + at / 32u, last_row), key + j, x) : HEED_RULED_OUT;
                    score[n][i] = x;
                    high[i] = x > high[i] ? x : high[i];
                }
        }
        high = along_rows(high, false);
        MATRIX_C shift;
        [[unroll]] for (uint i = 0u; i < high.length(); i++) {
            shift[i] = exp2(UNIT * (top[i] - high[i]));
            if (flag(HEED_ATTN_WRITE_ENTROPY))
                weighted[i] = sum[i] == 0.0 ? 0.0
                                            : shift[i] * (weighted[i] + sum[i] * NATURAL * (top[i] - high[i]));
            sum[i] *= shift[i];
        }
        top = high;
        [[unroll]] for (uint n = 0u; n < V_STEPS; n++)
            acc[n] *= shift;
        if (whole) {
            [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++)
                [[unroll]] for (uint i = 0u; i < top.length(); i++) {
                    float p = exp2(fma(score[n][i], scale, LIFT - top[i]));
                    if (flag(HEED_ATTN_WRITE_ENTROPY))
                        weighted[i] += p == 0.0 ? 0.0 : p * NATURAL * (score[n][i] * scale - top[i]);
                    sum[i] += p;
                    score[n][i] = p;
                }
        } else {
            [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++)
                [[unroll]] for (uint i = 0u; i < top.length(); i++) {
                    float x = score[n][i], p = HEED_IS_RULED_OUT(x) ? 0.0 : exp2(UNIT * (x - top[i]) + LIFT);
                    if (flag(HEED_ATTN_WRITE_ENTROPY))
                        weighted[i] += p == 0.0 ? 0.0 : p * NATURAL * (x - top[i]);
                    sum[i] += p;
                    score[n][i] = p;
                }
        }

        [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++) {
            MATRIX_A weight = as_factor(score[n], n);
            [[unroll]] for (uint c = 0u; c < V_STEPS; c++) {
                MATRIX_B vv;
                coopMatLoad(vv, shared_kv, tile0 + VALUES + n * MATRIX_N * V_PITCH + c * MATRIX_N / 8u, V_PITCH,
                            ROW_MAJOR);
                acc[c] = coopMatMulAdd(weight, vv, acc[c]);
            }
        }

        // NaN and Inf, which were staged as 0, for the rows that attend to them. The room of keys is free.
        if (GUARDED && shared_poison[odd] == key + 1u) {
            barrier();
            const uint free0 = tile0 + gl_SubgroupID * MATRIX_M * MATRIX_N / 4u;
            [[unroll]] for (uint n = 0u; n < KEY_STEPS; n++) {
                subgroupBarrier();
                coopMatStore(score[n], shared_own, own0, OWN_PITCH, ROW_MAJOR);
                [[dont_unroll]] for (uint turn = 0u; turn < V_STEPS; turn++) {
                    subgroupBarrier();
                    for (uint e = lane; e < MATRIX_M * MATRIX_N; e += SUBGROUP) {
                        uint r = e / MATRIX_N, feature = turn * MATRIX_N + e % MATRIX_N, j0 = n * MATRIX_N;
                        float x = 0.0;
                        for (uint j = j0; j < min(j0 + MATRIX_N, count) && feature < tiles.features; j++) {
                            float p = uintBitsToFloat(shared_own[own0 + r * OWN_PITCH + (j - j0) / 4u][(j - j0) % 4u]);
                            float value = v_load(DT_V, tiles.v + (key + j) * push.v_stride_row + feature);
                            if (p != 0.0 && (floatBitsToUint(value) & 0x7f800000u) == 0x7f800000u)
                                x += p * value;
                        }
                        shared_kv[free0 + e / 4u][e % 4u] = floatBitsToUint(x);
                    }
                    subgroupBarrier();
                    MATRIX_C poison;
                    coopMatLoad(poison, shared_kv, free0, MATRIX_N / 4u, ROW_MAJOR);
                    [[unroll]] for (uint c = 0u; c < V_STEPS; c++) // indexed by `turn`, the output would be in memory
                        if (c == turn)
                            acc[c] += poison;
                }
            }
        }
        odd ^= 1u;
        if (TILES == 2u)
            STORE_NEXT(odd * KV_SIZE, key + BC, odd)
    }

    float m[LANE_ROWS], total[LANE_ROWS], entropy[LANE_ROWS];
    const uint part = lane % ROW_LANES;
    MATRIX_C all = along_rows(sum, true);
    subgroupBarrier();
    coopMatStore(all, shared_own, own0, OWN_PITCH, ROW_MAJOR);
    subgroupBarrier();
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++)
        total[i] = of_row(lane / ROW_LANES + i * SUBGROUP) * LOWER;
    subgroupBarrier();
    coopMatStore(top, shared_own, own0, OWN_PITCH, ROW_MAJOR);
    subgroupBarrier();
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++) {
        m[i] = of_row(lane / ROW_LANES + i * SUBGROUP);
        m[i] = HEED_IS_RULED_OUT(m[i]) ? m[i] : NATURAL * m[i];
        entropy[i] = 0.0;
    }
    if (flag(HEED_ATTN_WRITE_ENTROPY)) {
        all = along_rows(weighted, true);
        subgroupBarrier();
        coopMatStore(all, shared_own, own0, OWN_PITCH, ROW_MAJOR);
        subgroupBarrier();
        [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++)
            entropy[i] = of_row(lane / ROW_LANES + i * SUBGROUP) * LOWER;
    }
    [[unroll]] for (uint c = 0u; c < V_STEPS; c++) {
        subgroupBarrier();
        coopMatStore(acc[c], shared_own, own0, OWN_PITCH, ROW_MAJOR);
        subgroupBarrier();
        [[unroll]] for (uint i = 0u; i < LANE_ROWS; i++) {
            uint r = lane / ROW_LANES + i * SUBGROUP, row = row0 + rows0 + r;
            if (row > last_row)
                continue;
            if (c == 0u && part == 0u && slice == 0u)
                store_sums(s, split, row, m[i], total[i], entropy[i]);
            uint e = o_begin(s, split, row);
            float factor = o_factor(s, m[i], total[i]) * LOWER;
            [[unroll]] for (uint u = part; u < MATRIX_N / 4u; u += ROW_LANES) {
                uint feature = slice0 + c * MATRIX_N + 4u * u;
                if (feature < slice0 + tiles.features)
                    store_o(e, feature, uintBitsToFloat(shared_own[own0 + r * OWN_PITCH + u]), factor);
            }
        }
    }
}
