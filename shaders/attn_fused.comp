#version 450
// SPDX-License-Identifier: MIT
// Fused attention: a work group owns BR rows and walks the keys BC at a time with an online softmax (Milakov and
// Gimelshein 2018; tiled as in FlashAttention). Scores and output stay in registers: a lane makes the scores of 4 keys for
// ROWS rows, and VALUE_ROWS x 4 VALUE_COLUMNS numbers of the output; weights go from one to the other through shared
// memory. Where STAGE is not 0, keys and values come through shared memory as well.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
//
// With HEED_SUBGROUP, for tiles all of whose lanes work on the same rows, a row's maximum and sum are made by subgroups of
// any size. Nothing here depends on how invocations are dealt to subgroups.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif
#include "abi.h"
#include "fused.glsl"

layout(constant_id = HEED_SPEC_STAGE) const uint STAGE = 0;
layout(constant_id = HEED_SPEC_VALUE_ROWS) const uint VALUE_ROWS = 1;
layout(constant_id = HEED_SPEC_VALUE_COLUMNS) const uint VALUE_COLUMNS = 1;

const bool STAGED = STAGE != 0u;
// What can rule out or bias single pairs by more than their place, and what moves a score.
const bool MASKED = (FLAGS & (HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD)) != 0u;
const bool BIASED =
    (FLAGS & (HEED_ATTN_MASK_ADD | HEED_ATTN_KEY_BIAS | HEED_ATTN_ALIBI | HEED_ATTN_DISTANCE)) != 0u;

// Scores: lane t has the keys 4 lane .. 4 lane + 3 of the tile and the rows row_group + n ROW_GROUPS.
const uint KEY_LANES = BC / 4u;
const uint ROW_GROUPS = WG / KEY_LANES;
const uint ROWS = BR / ROW_GROUPS;
// Outputs: the columns (of 4 features) column + n COLUMN_LANES, the rows value_group + n VALUE_GROUPS, and of the keys
// every KEY_SHARES-th four: what is left over of the lanes shares keys.
const uint COLUMNS = (DIM_V_SLICE + 3u) / 4u;
const uint LAST_COLUMN = (DIM_V - 1u) / 4u;
const uint COLUMN_LANES = (COLUMNS + VALUE_COLUMNS - 1u) / VALUE_COLUMNS;
const uint VALUE_GROUPS = BR / VALUE_ROWS;
const uint SHARE_LANES = COLUMN_LANES * VALUE_GROUPS;
const uint KEY_SHARES = WG / SHARE_LANES < KEY_LANES ? WG / SHARE_LANES : KEY_LANES;

const uint Q_VECTORS = (DIM_QK + 3u) / 4u;
const uint Q_PITCH = Q_VECTORS | 1u; // odd: rows side by side lie in different banks
const uint P_PITCH = KEY_LANES + 1u;
const uint STEP = STAGED ? STAGE / 4u : Q_VECTORS; // vec4 of a key that are staged at a time
const uint K_PITCH = STEP | 1u;
const uint K_ROOM = BC * K_PITCH;
const uint V_FIT = K_ROOM / COLUMNS / 4u * 4u;
const uint V_KEYS = V_FIT < 8u ? 8u : V_FIT < BC ? V_FIT : BC; // keys whose values are staged at a time
const uint ROOM = K_ROOM > V_KEYS * COLUMNS ? K_ROOM : V_KEYS * COLUMNS;

shared vec4 shared_q[Q_SHARED ? BR * Q_PITCH : 1u];
shared vec4 shared_stage[STAGED ? ROOM : 1u];
shared vec4 shared_p[BR * P_PITCH]; // biases, then weights: 4 keys of a row
shared vec4 shared_part[WG];
shared float shared_shift[BR], shared_max[BR], shared_sum[BR], shared_weighted[BR];
// The last tile (its first key + 1) with a pair that is attended, with one that is not; the last staged values
// that are not all finite.
shared uint shared_open, shared_closed, shared_wild;

// What a lane keeps is in named variables, not in arrays: arrays end in memory on V3D even when every index is known.
float add_dot(float s, vec4 a, vec4 b)
{
    return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, s))));
}

vec4 add_dots(vec4 s, vec4 q, vec4 k0, vec4 k1, vec4 k2, vec4 k3)
{
    return vec4(add_dot(s.x, q, k0), add_dot(s.y, q, k1), add_dot(s.z, q, k2), add_dot(s.w, q, k3));
}

// ---- what all lanes of a row find together

#ifdef HEED_SUBGROUP
#define ACROSS(name, combine, subgroup_combine) \
    vec4 name(vec4 v, uint t) \
    { \
        v = subgroup_combine(v); \
        if (gl_NumSubgroups > 1u) { \
            if (subgroupElect()) \
                shared_part[gl_SubgroupID] = v; \
            barrier(); \
            v = shared_part[0]; \
            for (uint i = 1u; i < gl_NumSubgroups; i++) { \
                vec4 other = shared_part[i]; \
                v = combine; \
            } \
        } \
        return v; \
    }
#else
// By eights: many lanes in two steps.
#define ACROSS(name, combine, subgroup_combine) \
    vec4 name(vec4 v, uint t) \
    { \
        const uint step1 = KEY_LANES < 8u ? KEY_LANES : 8u; \
        shared_part[t] = v; \
        barrier(); \
        v = shared_part[t / step1 * step1]; \
        for (uint i = 1u; i < step1; i++) { \
            vec4 other = shared_part[t / step1 * step1 + i]; \
            v = combine; \
        } \
        if (KEY_LANES > 8u) { \
            barrier(); \
            if (t % 8u == 0u) \
                shared_part[t] = v; \
            barrier(); \
            uint first = t / KEY_LANES * KEY_LANES; \
            v = shared_part[first]; \
            for (uint i = 8u; i < KEY_LANES; i += 8u) { \
                vec4 other = shared_part[first + i]; \
                v = combine; \
            } \
        } \
        return v; \
    }
#endif
ACROSS(largest, max(v, other), subgroupMax)
ACROSS(total, v + other, subgroupAdd)

// ---- which of a lane's pairs are attended: bit 4 n + c for its row n and key c

// By place alone. `end`: keys of the tile.
uint open_by_place(Sequence s, uint row, uint key0, uint lane, uint end)
{
    int first = 0, last = int(end) - 1, at = int(push.row0 + row) + s.diagonal - int(push.key0 + key0);
    if (flag(HEED_ATTN_CAUSAL))
        last = min(last, at);
    if (flag(HEED_ATTN_WINDOW)) {
        if (push.window_right >= 0 && at < 0x7fffffff - push.window_right)
            last = min(last, at + push.window_right);
        if (push.window_left >= 0)
            first = max(first, at - push.window_left);
    }
    uint from = uint(clamp(first - int(4u * lane), 0, 4)), to = uint(clamp(last + 1 - int(4u * lane), 0, 4));
    return ((1u << to) - 1u) & ~((1u << from) - 1u);
}

// By masks and biases, which are left in shared_p.
uint open_by_terms(Sequence s, uint row0, uint last_row, uint row, uint key0, uint lane, uint end)
{
    uint open = 0u;
    vec4 bias = vec4(0.0);
    [[unroll]] for (uint c = 0u; c < 4u; c++) {
        uint key = 4u * lane + c;
        PairBias pair = pair_bias(s, min(row0 + row, last_row), key0 + min(key, end - 1u));
        if (pair.open && key < end)
            open |= 1u << c;
        bias[c] = pair.bias;
    }
    if (BIASED)
        shared_p[row * P_PITCH + lane] = bias;
    return open;
}

// ---- softmax

// Selects, not branches: SwiftShader took 2 s for the 64x32 tile with entropy when these branched, and takes 0.2 s.

// Scores of a row become logits; `open` bit c: key c is attended.
vec4 make_logits(vec4 s, vec4 bias, uint open)
{
    bvec4 out_ = equal(uvec4(open) & uvec4(1u, 2u, 4u, 8u), uvec4(0u));
    bvec4 lowest = equal(floatBitsToUint(s + bias), uvec4(0xff800000u)); // minus infinity: softcap would bring it back
    if (flag(HEED_ATTN_SOFTCAP) && !flag(HEED_ATTN_SOFTCAP_AFTER))
        s = vec4(heed_softcap(s.x, push.softcap), heed_softcap(s.y, push.softcap), heed_softcap(s.z, push.softcap),
                 heed_softcap(s.w, push.softcap));
    s += bias;
    if (flag(HEED_ATTN_SOFTCAP) && flag(HEED_ATTN_SOFTCAP_AFTER))
        s = vec4(heed_softcap(s.x, push.softcap), heed_softcap(s.y, push.softcap), heed_softcap(s.z, push.softcap),
                 heed_softcap(s.w, push.softcap));
    s = mix(s, vec4(HEED_LOWEST), lessThanEqual(floatBitsToUint(s) - 0xff7fffffu, uvec4(1u))); // see biased_logit
    return mix(mix(s, vec4(HEED_RULED_OUT), lowest), vec4(HEED_RULED_OUT), out_);
}

// The larger, NaN aside.
float larger(float a, float b)
{
    return mix(a, b, b > a);
}

float largest_of(float a, vec4 v)
{
    return larger(larger(larger(larger(a, v.x), v.y), v.z), v.w);
}

bvec4 is_ruled_out(vec4 t)
{
    return equal(floatBitsToUint(t), uvec4(floatBitsToUint(HEED_RULED_OUT)));
}

// heed_exp of four.
vec4 exp4(vec4 x)
{
    return mix(exp(x), x, greaterThan(floatBitsToUint(x) & 0x7fffffffu, uvec4(0x7f800000u)));
}

float weighted_sum(vec4 p, vec4 x)
{
    vec4 w = mix(vec4(0.0), p * x, notEqual(p, vec4(0.0)));
    return (w.x + w.y) + (w.z + w.w);
}

float add_parts(vec4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}

// ---- values

vec4 load_v(uint v0, uint key, uint column)
{
    uint d = 4u * min(column, LAST_COLUMN);
    return heed_first(v_load4n(DT_V, v0 + key * push.v_stride_row + d, DIM_V - d), DIM_V - d);
}

bool is_wild(vec4 v)
{
    return any(greaterThanEqual(floatBitsToUint(v) & 0x7fffffffu, uvec4(0x7f800000u)));
}

// A pair that is ruled out has weight 0, but 0 x NaN is not.
vec4 add_guarded(vec4 acc, float p, vec4 v)
{
    return mix(acc, fma(vec4(p), v, acc), bvec4(p != 0.0));
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
    uint q0 = q_begin(s), k0 = k_begin(s), v0 = v_begin(s);

    if (Q_SHARED)
        for (uint e = t; e < BR * Q_VECTORS; e += WG)
            shared_q[e / Q_VECTORS * Q_PITCH + e % Q_VECTORS] =
                load_q(q0 + min(row0 + e / Q_VECTORS, last_row) * push.q_stride_row, 4u * (e % Q_VECTORS));
    if (t == 0u)
        shared_open = shared_closed = shared_wild = 0u;

    uint lane = t % KEY_LANES, row_group = t / KEY_LANES;
    // Component n: row n of the lane's. Sums are over its own keys.
    vec4 m = vec4(HEED_RULED_OUT), sum = vec4(0.0), weighted = vec4(0.0);

    uint column = t % COLUMN_LANES, value_group = t / COLUMN_LANES % VALUE_GROUPS, share = t / SHARE_LANES;
    bool working = share < KEY_SHARES;
    uint column0 = slice * COLUMNS;
    vec4 acc00 = vec4(0.0), acc01 = acc00, acc02 = acc00, acc03 = acc00, acc10 = acc00, acc11 = acc00, acc12 = acc00,
         acc13 = acc00, acc20 = acc00, acc21 = acc00, acc22 = acc00, acc23 = acc00, acc30 = acc00, acc31 = acc00,
         acc32 = acc00, acc33 = acc00;
#define ROW_OF(r) (value_group + r * VALUE_GROUPS)
#define COLUMN_OF(c) min(column + c * COLUMN_LANES, COLUMNS - 1u)
#define EACH_ROW(macro) macro(0u, p0, acc0) macro(1u, p1, acc1) macro(2u, p2, acc2) macro(3u, p3, acc3)
#define EACH_COLUMN(macro) macro(0u, value0) macro(1u, value1) macro(2u, value2) macro(3u, value3)
#define EACH_ACCUMULATOR(macro) \
    macro(0u, 0u, p0, value0, acc00) macro(0u, 1u, p0, value1, acc01) macro(0u, 2u, p0, value2, acc02) \
    macro(0u, 3u, p0, value3, acc03) macro(1u, 0u, p1, value0, acc10) macro(1u, 1u, p1, value1, acc11) \
    macro(1u, 2u, p1, value2, acc12) macro(1u, 3u, p1, value3, acc13) macro(2u, 0u, p2, value0, acc20) \
    macro(2u, 1u, p2, value1, acc21) macro(2u, 2u, p2, value2, acc22) macro(2u, 3u, p2, value3, acc23) \
    macro(3u, 0u, p3, value0, acc30) macro(3u, 1u, p3, value1, acc31) macro(3u, 2u, p3, value2, acc32) \
    macro(3u, 3u, p3, value3, acc33)
#define HAS(r, c) (VALUE_ROWS > r && VALUE_COLUMNS > c)

    [[dont_unroll]] for (uint key = range.first; key < range.end; key += BC) {
        uint count = min(BC, range.end - key);
        barrier(); // the tile before is done with shared memory

        uint live = ((1u << uint(clamp(int(count) - int(4u * lane), 0, 4))) - 1u) * 0x1111u, open = live;
        if (MASKED || BIASED) {
            open = 0u;
            [[dont_unroll]] for (uint n = 0u; n < ROWS; n++)
                open |= open_by_terms(s, row0, last_row, row_group + n * ROW_GROUPS, key, lane, count) << 4u * n;
        } else if (flag(HEED_ATTN_CAUSAL | HEED_ATTN_WINDOW)) {
            open = 0u;
            [[unroll]] for (uint n = 0u; n < ROWS; n++)
                open |= open_by_place(s, row0 + row_group + n * ROW_GROUPS, key, lane, count) << 4u * n;
        }
        if (MASKED) {
            if (open != 0u)
                shared_open = key + 1u;
            barrier();
            if (shared_open != key + 1u)
                continue;
        }

        vec4 score0 = vec4(0.0), score1 = score0, score2 = score0, score3 = score0;
        uvec4 keys = k0 + (key + min(4u * lane + uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u))) * push.k_stride_row;
        [[dont_unroll]] for (uint d0 = 0u; d0 < Q_VECTORS; d0 += STEP) {
            uint step_ = min(STEP, Q_VECTORS - d0);
            if (STAGED) { // key c is in place c % 4 KEY_LANES + c / 4: lanes side by side read places side by side
                if (d0 > 0u)
                    barrier();
                for (uint e = t; e < BC * STEP; e += WG) {
                    uint c = e / STEP, d = e % STEP;
                    if (d < step_)
                        shared_stage[(c % 4u * KEY_LANES + c / 4u) * K_PITCH + d] =
                            load_k(k0 + (key + min(c, count - 1u)) * push.k_stride_row, 4u * (d0 + d));
                }
            }
            if (STAGED)
                barrier();
            [[dont_unroll]] for (uint d = 0u; d < step_; d++) {
                vec4 ka, kb, kc, kd;
                if (STAGED) {
                    uint at = lane * K_PITCH + d;
                    ka = shared_stage[at];
                    kb = shared_stage[at + KEY_LANES * K_PITCH];
                    kc = shared_stage[at + 2u * KEY_LANES * K_PITCH];
                    kd = shared_stage[at + 3u * KEY_LANES * K_PITCH];
                } else {
                    ka = load_k(keys.x, 4u * d);
                    kb = load_k(keys.y, 4u * d);
                    kc = load_k(keys.z, 4u * d);
                    kd = load_k(keys.w, 4u * d);
                }
#define ADD_SCORE(n, score) \
                if (ROWS > n) { \
                    uint row = row_group + n * ROW_GROUPS; \
                    vec4 qq = Q_SHARED ? shared_q[row * Q_PITCH + d0 + d] \
                                       : load_q(q0 + min(row0 + row, last_row) * push.q_stride_row, 4u * (d0 + d)); \
                    score = add_dots(score, qq, ka, kb, kc, kd); \
                }
                ADD_SCORE(0u, score0)
                ADD_SCORE(1u, score1)
                ADD_SCORE(2u, score2)
                ADD_SCORE(3u, score3)
            }
        }

        vec4 top = m;
#define MAKE_LOGITS(n, score, component) \
        if (ROWS > n) { \
            vec4 bias = BIASED ? shared_p[(row_group + n * ROW_GROUPS) * P_PITCH + lane] : vec4(0.0); \
            score = make_logits(score * push.scale, bias, open >> 4u * n); \
            top.component = largest_of(top.component, score); \
        }
        MAKE_LOGITS(0u, score0, x)
        MAKE_LOGITS(1u, score1, y)
        MAKE_LOGITS(2u, score2, z)
        MAKE_LOGITS(3u, score3, w)
        top = largest(top, t);
        vec4 shift = mix(exp4(m - top), vec4(0.0), is_ruled_out(m));
#define MAKE_WEIGHTS(n, score, component) \
        if (ROWS > n) { \
            vec4 x = score - top.component; \
            vec4 p = mix(exp4(x), vec4(0.0), is_ruled_out(score)); \
            if (flag(HEED_ATTN_WRITE_ENTROPY)) \
                weighted.component = weighted_sum(p, x) + \
                    mix(shift.component * (weighted.component + sum.component * (m.component - top.component)), 0.0, \
                        shift.component == 0.0); \
            sum.component = sum.component * shift.component + add_parts(p); \
            if (GUARDED && any(is_ruled_out(score))) \
                shared_closed = key + 1u; \
            uint row = row_group + n * ROW_GROUPS; \
            shared_p[row * P_PITCH + lane] = p; \
            if (lane == 0u) \
                shared_shift[row] = shift.component; \
        }
        MAKE_WEIGHTS(0u, score0, x)
        MAKE_WEIGHTS(1u, score1, y)
        MAKE_WEIGHTS(2u, score2, z)
        MAKE_WEIGHTS(3u, score3, w)
        m = top;

        const uint v_step = STAGED ? V_KEYS : BC;
        [[dont_unroll]] for (uint c0 = 0u; c0 < count; c0 += v_step) {
            uint v_count = min(v_step, count - c0);
            barrier();
            if (STAGED) {
                for (uint e = t; e < V_KEYS * COLUMNS; e += WG) {
                    uint c = e / COLUMNS;
                    vec4 v = c < v_count ? load_v(v0, key + c0 + c, column0 + e % COLUMNS) : vec4(0.0);
                    shared_stage[e] = v;
                    if (GUARDED && is_wild(v))
                        shared_wild = key + c0 + 1u;
                }
                barrier();
            }
            if (!working)
                continue;
            if (c0 == 0u) {
#define RESCALE(r, c, p, value, acc) \
                if (HAS(r, c)) \
                    acc *= shared_shift[ROW_OF(r)];
                EACH_ACCUMULATOR(RESCALE)
            }
            bool guarded = GUARDED && shared_closed == key + 1u && (!STAGED || shared_wild == key + c0 + 1u);
            [[dont_unroll]] for (uint f = share; 4u * f < v_count; f += KEY_SHARES) {
                vec4 p0 = vec4(0.0), p1 = p0, p2 = p0, p3 = p0;
#define LOAD_WEIGHTS(r, p, acc) \
                if (VALUE_ROWS > r) \
                    p = shared_p[ROW_OF(r) * P_PITCH + c0 / 4u + f];
                EACH_ROW(LOAD_WEIGHTS)
                // Not staged, the last key stands for those behind it, with weights of 0.
#define EACH_KEY(body) \
                [[unroll]] for (uint c = 0u; c < 4u; c++) { \
                    uint k = STAGED ? 4u * f + c : min(4u * f + c, v_count - 1u); \
                    vec4 value0 = vec4(0.0), value1 = value0, value2 = value0, value3 = value0; \
                    EACH_COLUMN(LOAD_VALUE) \
                    EACH_ACCUMULATOR(body) \
                    EACH_ROW(NEXT_WEIGHT) \
                }
#define LOAD_VALUE(i, value) \
                    if (VALUE_COLUMNS > i) \
                        value = STAGED ? shared_stage[k * COLUMNS + COLUMN_OF(i)] \
                                       : load_v(v0, key + c0 + k, column0 + COLUMN_OF(i));
#define NEXT_WEIGHT(r, p, acc) p = p.yzwx;
#define ADD_VALUE(r, i, p, value, acc) \
                    if (HAS(r, i)) \
                        acc = fma(vec4(p.x), value, acc);
#define ADD_GUARDED(r, i, p, value, acc) \
                    if (HAS(r, i)) \
                        acc = add_guarded(acc, p.x, value);
                if (guarded || (!STAGED && 4u * f + 3u >= v_count))
                    EACH_KEY(ADD_GUARDED)
                else
                    EACH_KEY(ADD_VALUE)
            }
        }
    }

    barrier();
    sum = total(sum, t);
    if (flag(HEED_ATTN_WRITE_ENTROPY)) {
        barrier();
        weighted = total(weighted, t);
    }
    if (lane == 0u) {
#define KEEP_ROW(n, component) \
        if (ROWS > n) { \
            shared_max[row_group + n * ROW_GROUPS] = m.component; \
            shared_sum[row_group + n * ROW_GROUPS] = sum.component; \
            shared_weighted[row_group + n * ROW_GROUPS] = weighted.component; \
        }
        KEEP_ROW(0u, x)
        KEEP_ROW(1u, y)
        KEEP_ROW(2u, z)
        KEEP_ROW(3u, w)
    }
    if (KEY_SHARES > 1u) {
#define ADD_SHARES(r, c, p, value, acc) \
        if (HAS(r, c)) { \
            barrier(); \
            shared_p[t] = acc; \
            barrier(); \
            if (share == 0u) \
                for (uint i = 1u; i < KEY_SHARES; i++) \
                    acc += shared_p[t + i * SHARE_LANES]; \
        }
        EACH_ACCUMULATOR(ADD_SHARES)
    }
    barrier();

    for (uint r = t; r < BR && slice == 0u; r += WG)
        if (row0 + r <= last_row)
            store_sums(s, split, row0 + r, shared_max[r], shared_sum[r], shared_weighted[r]);
    if (share > 0u)
        return;
#define STORE_ROW(r, p, acc) \
    if (VALUE_ROWS > r && row0 + ROW_OF(r) <= last_row) { \
        uint row = ROW_OF(r); \
        uint begin = o_begin(s, split, row0 + row); \
        float factor = o_factor(s, shared_max[row], shared_sum[row]); \
        STORE(0u, acc##0) \
        STORE(1u, acc##1) \
        STORE(2u, acc##2) \
        STORE(3u, acc##3) \
    }
#define STORE(i, acc) \
        if (VALUE_COLUMNS > i && column + i * COLUMN_LANES < COLUMNS && \
            column0 + column + i * COLUMN_LANES <= LAST_COLUMN) \
            store_o(begin, 4u * (column0 + column + i * COLUMN_LANES), acc, factor);
    EACH_ROW(STORE_ROW)
}
