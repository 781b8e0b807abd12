// SPDX-License-Identifier: MIT
// Fused attention for GPUs: a work group owns BR rows and walks the keys BC at a time with an online softmax (Milakov
// and Gimelshein 2018; tiled as in FlashAttention). Scores and output stay in registers: a work-item makes the scores
// of 4 keys for ROWS rows, and VALUE_ROWS x 4 VALUE_COLUMNS numbers of the output; weights go from one to the other
// through local memory. Where STAGE is not 0, keys and values come through local memory as well. Nothing depends on
// subgroups.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#include "fused.clh"

#define STAGE HEED_CONSTANT(HEED_SPEC_STAGE)
#define VALUE_ROWS HEED_CONSTANT(HEED_SPEC_VALUE_ROWS)
#define VALUE_COLUMNS HEED_CONSTANT(HEED_SPEC_VALUE_COLUMNS)
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define MOST(a, b) ((a) > (b) ? (a) : (b))

#define STAGED (STAGE != 0u)
// What can rule out or bias single pairs by more than their place, and what moves a score.
#define MASKED flag(HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD)
#define BIASED flag(HEED_ATTN_MASK_ADD | HEED_ATTN_KEY_BIAS | HEED_ATTN_ALIBI | HEED_ATTN_DISTANCE)

// Scores: work-item t has the keys 4 lane .. 4 lane + 3 of the tile and the rows row_group + n ROW_GROUPS.
#define KEY_LANES (BC / 4u)
#define ROW_GROUPS (WG / KEY_LANES)
#define ROWS (BR / ROW_GROUPS)
// Outputs: the columns (of 4 features) column + n COLUMN_LANES, the rows value_group + n VALUE_GROUPS, and of the keys
// every KEY_SHARES-th four: what is left over of the work-items shares keys.
#define COLUMNS ((DIM_V_SLICE + 3u) / 4u)
#define LAST_COLUMN ((DIM_V - 1u) / 4u)
#define COLUMN_LANES ((COLUMNS + VALUE_COLUMNS - 1u) / VALUE_COLUMNS)
#define VALUE_GROUPS (BR / VALUE_ROWS)
#define SHARE_LANES (COLUMN_LANES * VALUE_GROUPS)
#define KEY_SHARES LEAST(WG / SHARE_LANES, KEY_LANES)

#define Q_VECTORS ((DIM_QK + 3u) / 4u)
#define Q_PITCH (Q_VECTORS | 1u) // odd: rows side by side lie in different banks
#define P_PITCH (KEY_LANES + 1u)
#define STEP (STAGED ? STAGE / 4u : Q_VECTORS) // float4 of a key that are staged at a time
#define K_PITCH (STEP | 1u)
#define K_ROOM (BC * K_PITCH)
#define V_FIT (K_ROOM / COLUMNS / 4u * 4u)
#define V_KEYS (V_FIT < 8u ? 8u : LEAST(V_FIT, BC)) // keys whose values are staged at a time
#define ROOM MOST(K_ROOM, V_KEYS * COLUMNS)

// ---- what all work-items of a row find together, by eights: many in two steps

#define STEP1 LEAST(KEY_LANES, 8u)
#define ACROSS(name, combine) \
    float4 name(local float4 *part, float4 v, uint t) \
    { \
        part[t] = v; \
        barrier(CLK_LOCAL_MEM_FENCE); \
        v = part[t / STEP1 * STEP1]; \
        for (uint i = 1u; i < STEP1; i++) { \
            float4 other = part[t / STEP1 * STEP1 + i]; \
            v = combine; \
        } \
        if (KEY_LANES > 8u) { \
            barrier(CLK_LOCAL_MEM_FENCE); \
            if (t % 8u == 0u) \
                part[t] = v; \
            barrier(CLK_LOCAL_MEM_FENCE); \
            uint first = t / KEY_LANES * KEY_LANES; \
            v = part[first]; \
            for (uint i = 8u; i < KEY_LANES; i += 8u) { \
                float4 other = part[first + i]; \
                v = combine; \
            } \
        } \
        return v; \
    }
ACROSS(largest, other > v ? other : v)
ACROSS(total, v + other)

// ---- which of a work-item's pairs are attended: bit 4 n + c for its row n and key c

// By place alone. `end`: keys of the tile.
uint open_by_place(HEED_PARAMS Sequence s, uint row, uint key0, uint lane, uint end)
{
    int first = 0, last = (int)end - 1, at = (int)(push.row0 + row) + s.diagonal - (int)(push.key0 + key0);
    if (flag(HEED_ATTN_CAUSAL))
        last = min(last, at);
    if (flag(HEED_ATTN_WINDOW)) {
        if (push.window_right >= 0 && at < 0x7fffffff - push.window_right)
            last = min(last, at + push.window_right);
        if (push.window_left >= 0)
            first = max(first, at - push.window_left);
    }
    uint from = (uint)clamp(first - (int)(4u * lane), 0, 4), to = (uint)clamp(last + 1 - (int)(4u * lane), 0, 4);
    return ((1u << to) - 1u) & ~((1u << from) - 1u);
}

// By masks and biases, which are left in `biases`.
uint open_by_terms(HEED_PARAMS Sequence s, local float4 *biases, uint row, uint key0, uint lane, uint end)
{
    uint open = 0u;
    float bias[4];
#pragma unroll
    for (uint c = 0u; c < 4u; c++) {
        uint key = 4u * lane + c;
        PairBias pair = pair_bias(HEED_ARGS s, row, key0 + min(key, end - 1u));
        open |= pair.open && key < end ? 1u << c : 0u;
        bias[c] = pair.bias;
    }
    if (BIASED)
        *biases = (float4)(bias[0], bias[1], bias[2], bias[3]);
    return open;
}

// ---- softmax

float4 softcap4(float4 s, float cap)
{
    return (float4)(heed_softcap(s.x, cap), heed_softcap(s.y, cap), heed_softcap(s.z, cap), heed_softcap(s.w, cap));
}

int4 is_ruled_out(float4 t)
{
    return as_uint4(t) == (uint4)(as_uint(HEED_RULED_OUT));
}

// Scores of a row become logits; `open` bit c: key c is attended.
float4 make_logits(HEED_PARAMS float4 s, float4 bias, uint open)
{
    int4 out = ((uint4)(open) & (uint4)(1u, 2u, 4u, 8u)) == (uint4)(0u);
    int4 lowest = as_uint4(s + bias) == (uint4)(0xff800000u); // minus infinity: softcap would bring it back
    if (flag(HEED_ATTN_SOFTCAP) && !flag(HEED_ATTN_SOFTCAP_AFTER))
        s = softcap4(s, push.softcap);
    s += bias;
    if (flag(HEED_ATTN_SOFTCAP) && flag(HEED_ATTN_SOFTCAP_AFTER))
        s = softcap4(s, push.softcap);
    s = as_uint4(s) - 0xff7fffffu <= 1u ? (float4)(HEED_LOWEST) : s; /* see biased_logit */
    return (lowest | out) ? (float4)(HEED_RULED_OUT) : s;
}

// The larger, NaN aside.
float larger(float a, float b)
{
    return b > a ? b : a;
}

float largest_of(float a, float4 v)
{
    return larger(larger(larger(larger(a, v.x), v.y), v.z), v.w);
}

// heed_exp of four.
float4 exp4(float4 x)
{
    return (as_uint4(x) & 0x7fffffffu) > (uint4)(0x7f800000u) ? x : exp(x);
}

float add_parts(float4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}

float weighted_sum(float4 p, float4 x)
{
    return add_parts(p != 0.0f ? p * x : (float4)(0.0f));
}

// ---- values

float4 load_column(HEED_PARAMS uint row_begin, uint column)
{
    return load_v(HEED_ARGS row_begin, 4u * min(column, LAST_COLUMN));
}

bool is_wild(float4 v)
{
    return any((as_uint4(v) & 0x7fffffffu) >= (uint4)(0x7f800000u));
}

// A pair that is ruled out has weight 0, but 0 x NaN is not.
float4 add_guarded(float4 acc, float p, float4 v)
{
    return p != 0.0f ? fma((float4)(p), v, acc) : acc;
}

void store_o(HEED_PARAMS uint element, uint feature, float4 acc, float factor)
{
    tensor_store4n(PARTIAL ? HEED_DT_F32 : DT_O, buffers.o, element + feature,
                   factor == 0.0f ? (float4)(0.0f) : acc * factor, DIM_V - feature);
}

HEED_KERNEL attn_fused(ATTN_BINDINGS)
{
    local float4 shared_q[Q_SHARED ? BR * Q_PITCH : 1u];
    local float4 shared_stage[STAGED ? ROOM : 1u];
    local float4 shared_p[BR * P_PITCH]; // biases, then weights: 4 keys of a row
    local float4 shared_part[WG];
    local float shared_shift[BR], shared_max[BR], shared_sum[BR], shared_weighted[BR];
    // The last tile (its first key + 1) with a pair that is attended, with one that is not; the last staged values
    // that are not all finite.
    local uint shared_open, shared_closed, shared_wild;

    const struct buffers buffers = ATTN_BUFFERS;
    uint t = (uint)get_local_id(0);
    uint row0 = (uint)get_group_id(0) / SLICES * BR, slice = (uint)get_group_id(0) % SLICES;
    uint splits = split_count(HEED_ARGS_ONLY), split = (uint)get_group_id(2) % splits;
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2) / splits, (uint)get_group_id(1));
    uint end_row = row_count(HEED_ARGS s);
    // No return: PoCL 3.1 then takes conditions on work-items for conditions on the group.
    uint rows = row0 < end_row ? min(end_row - row0, BR) : 0u, last_row = row0 + max(rows, 1u) - 1u;
    KeyRange range = key_range(HEED_ARGS s, split, row0, last_row);
    if (rows == 0u)
        range.end = range.first;
    uint q0 = q_begin(HEED_ARGS s), k0 = k_begin(HEED_ARGS s), v0 = v_begin(HEED_ARGS s);

    if (Q_SHARED)
        for (uint e = t; e < (rows > 0u ? BR * Q_VECTORS : 0u); e += WG)
            shared_q[e / Q_VECTORS * Q_PITCH + e % Q_VECTORS] =
                load_q(HEED_ARGS q0 + min(row0 + e / Q_VECTORS, last_row) * push.q_stride_row, 4u * (e % Q_VECTORS));
    if (t == 0u)
        shared_open = shared_closed = shared_wild = 0u;

    uint lane = t % KEY_LANES, row_group = t / KEY_LANES;
    // Component n: row n of the work-item's. Sums are over its own keys.
    float4 m = HEED_RULED_OUT, sum = 0.0f, weighted = 0.0f;

    uint column = t % COLUMN_LANES, value_group = t / COLUMN_LANES % VALUE_GROUPS, share = t / SHARE_LANES;
    bool working = share < KEY_SHARES;
    uint column0 = slice * COLUMNS;
    // What a work-item keeps is in named variables: arrays may end in memory even where every index is known.
    float4 acc00 = 0.0f, acc01 = acc00, acc02 = acc00, acc03 = acc00, acc10 = acc00, acc11 = acc00, acc12 = acc00,
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

    for (uint key = range.first; key < range.end; key += BC) {
        uint count = min(BC, range.end - key);
        barrier(CLK_LOCAL_MEM_FENCE); // the tile before is done with local memory

        uint live = ((1u << (uint)clamp((int)count - (int)(4u * lane), 0, 4)) - 1u) * 0x1111u, open = live;
        if (MASKED || BIASED) {
            open = 0u;
            for (uint n = 0u; n < ROWS; n++) {
                uint row = row_group + n * ROW_GROUPS;
                open |= open_by_terms(HEED_ARGS s, shared_p + row * P_PITCH + lane, min(row0 + row, last_row), key,
                                      lane, count) << 4u * n;
            }
        } else if (flag(HEED_ATTN_CAUSAL | HEED_ATTN_WINDOW)) {
            open = 0u;
#pragma unroll
            for (uint n = 0u; n < ROWS; n++)
                open |= open_by_place(HEED_ARGS s, row0 + row_group + n * ROW_GROUPS, key, lane, count) << 4u * n;
        }
        if (MASKED) {
            if (open != 0u)
                atomic_xchg(&shared_open, key + 1u);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (shared_open != key + 1u)
                continue;
        }

        float4 score0 = 0.0f, score1 = score0, score2 = score0, score3 = score0;
        uint4 keys = k0 + (key + min(4u * lane + (uint4)(0u, 1u, 2u, 3u), (uint4)(count - 1u))) * push.k_stride_row;
        for (uint d0 = 0u; d0 < Q_VECTORS; d0 += STEP) {
            uint step = min(STEP, Q_VECTORS - d0);
            if (STAGED) { // key c is in place c % 4 KEY_LANES + c / 4: work-items side by side read places side by side
                if (d0 > 0u)
                    barrier(CLK_LOCAL_MEM_FENCE);
                for (uint e = t; e < BC * STEP; e += WG) {
                    uint c = e / STEP, d = e % STEP;
                    if (d < step)
                        shared_stage[(c % 4u * KEY_LANES + c / 4u) * K_PITCH + d] = load_k(
                            HEED_ARGS k0 + (key + min(c, count - 1u)) * push.k_stride_row, 4u * (d0 + d));
                }
                barrier(CLK_LOCAL_MEM_FENCE);
            }
            for (uint d = 0u; d < step; d++) {
                float4 ka, kb, kc, kd;
                if (STAGED) {
                    uint at = lane * K_PITCH + d;
                    ka = shared_stage[at];
                    kb = shared_stage[at + KEY_LANES * K_PITCH];
                    kc = shared_stage[at + 2u * KEY_LANES * K_PITCH];
                    kd = shared_stage[at + 3u * KEY_LANES * K_PITCH];
                } else {
                    ka = load_k(HEED_ARGS keys.x, 4u * d);
                    kb = load_k(HEED_ARGS keys.y, 4u * d);
                    kc = load_k(HEED_ARGS keys.z, 4u * d);
                    kd = load_k(HEED_ARGS keys.w, 4u * d);
                }
#define ADD_SCORE(n, score) \
                if (ROWS > n) { \
                    uint row = row_group + n * ROW_GROUPS; \
                    float4 q = Q_SHARED ? shared_q[row * Q_PITCH + d0 + d] \
                                        : load_q(HEED_ARGS q0 + min(row0 + row, last_row) * push.q_stride_row, \
                                                 4u * (d0 + d)); \
                    score = (float4)(add_dot(score.x, q, ka), add_dot(score.y, q, kb), add_dot(score.z, q, kc), \
                                     add_dot(score.w, q, kd)); \
                }
                ADD_SCORE(0u, score0)
                ADD_SCORE(1u, score1)
                ADD_SCORE(2u, score2)
                ADD_SCORE(3u, score3)
            }
        }

        float4 top = m;
#define MAKE_LOGITS(n, score, component) \
        if (ROWS > n) { \
            float4 bias = BIASED ? shared_p[(row_group + n * ROW_GROUPS) * P_PITCH + lane] : (float4)(0.0f); \
            score = make_logits(HEED_ARGS score * push.scale, bias, open >> 4u * n); \
            top.component = largest_of(top.component, score); \
        }
        MAKE_LOGITS(0u, score0, x)
        MAKE_LOGITS(1u, score1, y)
        MAKE_LOGITS(2u, score2, z)
        MAKE_LOGITS(3u, score3, w)
        top = largest(shared_part, top, t);
        float4 shift = is_ruled_out(m) ? (float4)(0.0f) : exp4(m - top);
        bool closed = false;
#define MAKE_WEIGHTS(n, score, component) \
        if (ROWS > n) { \
            float4 x = score - top.component; \
            float4 p = is_ruled_out(score) ? (float4)(0.0f) : exp4(x); \
            if (flag(HEED_ATTN_WRITE_ENTROPY)) \
                weighted.component = weighted_sum(p, x) + \
                    (shift.component == 0.0f ? 0.0f \
                                             : shift.component * (weighted.component + \
                                                                  sum.component * (m.component - top.component))); \
            sum.component = sum.component * shift.component + add_parts(p); \
            closed = closed || any(is_ruled_out(score)); \
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
        if (GUARDED && closed)
            atomic_xchg(&shared_closed, key + 1u);

        const uint v_step = STAGED ? V_KEYS : BC;
        for (uint c0 = 0u; c0 < count; c0 += v_step) {
            uint v_count = min(v_step, count - c0);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (STAGED) {
                bool wild = false;
                for (uint e = t; e < V_KEYS * COLUMNS; e += WG) {
                    uint c = e / COLUMNS;
                    float4 v = 0.0f;
                    if (c < v_count)
                        v = load_column(HEED_ARGS v0 + (key + c0 + c) * push.v_stride_row, column0 + e % COLUMNS);
                    shared_stage[e] = v;
                    wild = wild || is_wild(v);
                }
                if (GUARDED && wild)
                    atomic_xchg(&shared_wild, key + c0 + 1u);
                barrier(CLK_LOCAL_MEM_FENCE);
            }
            if (working && c0 == 0u) {
#define RESCALE(r, c, p, value, acc) \
                if (HAS(r, c)) \
                    acc *= shared_shift[ROW_OF(r)];
                EACH_ACCUMULATOR(RESCALE)
            }
            bool guarded = GUARDED && shared_closed == key + 1u && (!STAGED || shared_wild == key + c0 + 1u);
            for (uint f = working ? share : v_count; 4u * f < v_count; f += KEY_SHARES) {
                float4 p0 = 0.0f, p1 = p0, p2 = p0, p3 = p0;
#define LOAD_WEIGHTS(r, p, acc) \
                if (VALUE_ROWS > r) \
                    p = shared_p[ROW_OF(r) * P_PITCH + c0 / 4u + f];
                EACH_ROW(LOAD_WEIGHTS)
                // Not staged, the last key stands for those behind it, with weights of 0.
#define EACH_KEY(body) \
                _Pragma("unroll") for (uint c = 0u; c < 4u; c++) { \
                    uint k = STAGED ? 4u * f + c : min(4u * f + c, v_count - 1u); \
                    float4 value0 = 0.0f, value1 = value0, value2 = value0, value3 = value0; \
                    EACH_COLUMN(LOAD_VALUE) \
                    EACH_ACCUMULATOR(body) \
                    EACH_ROW(NEXT_WEIGHT) \
                }
#define LOAD_VALUE(i, value) \
                    if (VALUE_COLUMNS > i) \
                        value = STAGED ? shared_stage[k * COLUMNS + COLUMN_OF(i)] \
                                       : load_column(HEED_ARGS v0 + (key + c0 + k) * push.v_stride_row, \
                                                     column0 + COLUMN_OF(i));
#define NEXT_WEIGHT(r, p, acc) p = p.yzwx;
#define ADD_VALUE(r, i, p, value, acc) \
                    if (HAS(r, i)) \
                        acc = fma((float4)(p.x), value, acc);
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

    barrier(CLK_LOCAL_MEM_FENCE);
    sum = total(shared_part, sum, t);
    if (flag(HEED_ATTN_WRITE_ENTROPY)) {
        barrier(CLK_LOCAL_MEM_FENCE);
        weighted = total(shared_part, weighted, t);
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
        // All add, not the first share alone: PoCL 3.1 then takes the condition of the stores for one of the group.
#define ADD_SHARES(r, c, p, value, acc) \
        if (HAS(r, c)) { \
            barrier(CLK_LOCAL_MEM_FENCE); \
            shared_part[t] = acc; \
            barrier(CLK_LOCAL_MEM_FENCE); \
            acc = shared_part[t % SHARE_LANES]; \
            for (uint i = 1u; i < KEY_SHARES; i++) \
                acc += shared_part[t % SHARE_LANES + i * SHARE_LANES]; \
        }
        EACH_ACCUMULATOR(ADD_SHARES)
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    for (uint r = t; r < (slice == 0u ? rows : 0u); r += WG)
        store_sums(HEED_ARGS s, split, row0 + r, shared_max[r], shared_sum[r], shared_weighted[r]);
#define STORE_ROW(r, p, acc) \
    if (VALUE_ROWS > r && share == 0u && ROW_OF(r) < rows) { \
        uint row = ROW_OF(r); \
        uint begin = o_begin(HEED_ARGS s, split, row0 + row); \
        float factor = o_factor(HEED_ARGS s, shared_max[row], shared_sum[row]); \
        STORE(0u, acc##0) \
        STORE(1u, acc##1) \
        STORE(2u, acc##2) \
        STORE(3u, acc##3) \
    }
#define STORE(i, acc) \
        if (VALUE_COLUMNS > i && column + i * COLUMN_LANES < COLUMNS && \
            column0 + column + i * COLUMN_LANES <= LAST_COLUMN) \
            store_o(HEED_ARGS begin, 4u * (column0 + column + i * COLUMN_LANES), acc, factor);
    EACH_ROW(STORE_ROW)
}
