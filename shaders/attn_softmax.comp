#version 450
// SPDX-License-Identifier: MIT
// From scores to weights: masks, biases, softcap, sink and the numerically stable softmax of a row, and its lse and
// entropy. A lane owns every LANES-th run of RUN keys of a row, which may be rewritten in place. Rows of up to BC keys a
// lane are read once and written once; BC 0 is for longer ones, which take three passes.
//
//   HEED_SUBGROUP  a subgroup owns a row, BR rows a work group; else a work group owns a row
//   HEED_INT64     runs of two keys, in words of 64 bits: keys come in pairs
//   groups.x  row blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif
#ifdef HEED_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#include "abi.h"
#define HEED_ATTN_TERMS
#include "attn.glsl"

layout(set = 0, binding = HEED_ATTN_Q) readonly buffer Scores { float scores[]; };
layout(set = 0, binding = HEED_ATTN_O) buffer Weights { float weights[]; };
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

// The terms of a logit are too much code to be repeated: such logits go through memory.
const bool TERMS = (FLAGS & (HEED_ATTN_MASK_BOOL | HEED_ATTN_MASK_ADD | HEED_ATTN_KEY_BIAS | HEED_ATTN_ALIBI |
                             HEED_ATTN_DISTANCE | HEED_ATTN_SOFTCAP)) != 0u;
const uint UNROLL = 8u;

#ifdef HEED_SUBGROUP
#define LANES gl_SubgroupSize

// x is never NaN: see larger.
float row_max(uint t, float x)
{
    return subgroupMax(x);
}

vec2 row_sum(uint t, vec2 x)
{
    return flag(HEED_ATTN_WRITE_ENTROPY) ? subgroupAdd(x) : vec2(subgroupAdd(x.x), 0.0);
}
#else
#define LANES WG
shared vec2 shared_part[WG];

float row_max(uint t, float x)
{
    shared_part[t].x = x;
    for (uint n = WG / 2u; n > 0u; n /= 2u) {
        barrier();
        if (t < n)
            shared_part[t].x = shared_part[t + n].x > shared_part[t].x ? shared_part[t + n].x : shared_part[t].x;
    }
    barrier();
    float result = shared_part[0].x;
    barrier();
    return result;
}

vec2 row_sum(uint t, vec2 x)
{
    shared_part[t] = x;
    for (uint n = WG / 2u; n > 0u; n /= 2u) {
        barrier();
        if (t < n)
            shared_part[t] += shared_part[t + n];
    }
    barrier();
    return shared_part[0];
}
#endif

struct Row {
    uint row, scores, weights; // where it is
};

// The weight before it is divided by the sum.
float unscaled(float x, float m)
{
    return HEED_IS_RULED_OUT(x) ? 0.0 : heed_exp(x - m);
}

// What the entropy is made of: 0 where it is not wanted.
float weighted(float p, float x, float m)
{
    return flag(HEED_ATTN_WRITE_ENTROPY) && p != 0.0 ? p * (x - m) : 0.0;
}

float scaled(float p, float factor)
{
    return p == 0.0 ? 0.0 : p * factor;
}

// m where x is NaN.
float larger(float m, float x)
{
    return x > m ? x : m;
}

#ifdef HEED_INT64
#include "pairs.glsl"
HEED_PAIRS(readonly, scores, HEED_ATTN_Q)
HEED_PAIRS(, weights, HEED_ATTN_O)
#define RUN 2u
#define REALS vec2

vec2 load_scores(uint i)
{
    return uintBitsToFloat(HEED_LOAD_PAIR(scores, i));
}

vec2 load_weights(uint i)
{
    return uintBitsToFloat(HEED_LOAD_PAIR(weights, i));
}

void store_weights(uint i, vec2 x)
{
    HEED_STORE_PAIR(weights, i, floatBitsToUint(x));
}

vec2 logits(Sequence s, Row r, uint j, vec2 x)
{
    return vec2(attn_logit(s, r.row, j, x.x), attn_logit(s, r.row, j + 1u, x.y));
}

// The same, as code that is here once.
vec2 long_logits(Sequence s, Row r, uint j, vec2 x)
{
    [[dont_unroll]] for (uint i = 0u; i < 2u; i++) {
        float y = attn_logit(s, r.row, j + i, i == 0u ? x.x : x.y);
        x = i == 0u ? vec2(y, x.y) : vec2(x.x, y);
    }
    return x;
}

vec2 unscaled(vec2 x, float m)
{
    return vec2(unscaled(x.x, m), unscaled(x.y, m));
}

vec2 weighted(vec2 p, vec2 x, float m)
{
    return vec2(weighted(p.x, x.x, m), weighted(p.y, x.y, m));
}

vec2 scaled(vec2 p, float factor)
{
    return vec2(scaled(p.x, factor), scaled(p.y, factor));
}

vec2 larger(vec2 m, vec2 x)
{
    return vec2(larger(m.x, x.x), larger(m.y, x.y));
}

float largest(vec2 x)
{
    return larger(x.x, x.y);
}

float total(vec2 x)
{
    return x.x + x.y;
}
#else
#define RUN 1u
#define REALS float
#define load_scores(i) scores[i]
#define load_weights(i) weights[i]
#define store_weights(i, x) weights[i] = x
#define logits(s, r, j, x) attn_logit(s, (r).row, j, x)
#define long_logits logits
#define largest(x) (x)
#define total(x) (x)
#endif

const uint KEPT = BC > RUN ? BC / RUN : 1u; // runs

REALS load_logits(Sequence s, Row r, uint j)
{
    return TERMS ? load_weights(r.weights + j) : logits(s, r, j, load_scores(r.scores + j));
}

void softmax(Sequence s, Row r, uint t)
{
    const uint STEP = RUN * LANES, first = RUN * t;
    if (TERMS)
        [[dont_unroll]] for (uint j = first; j < push.keys; j += STEP)
            store_weights(r.weights + j, long_logits(s, r, j, load_scores(r.scores + j)));

    // Four maxima and four sums, so that one operation does not wait for the other.
    REALS top[4], sum[4], entropy[4];
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        top[i] = REALS(HEED_RULED_OUT);
        sum[i] = entropy[i] = REALS(0.0);
    }
    REALS kept[KEPT];
    uint rolled = push.keys - push.keys % (UNROLL * LANES), j;
    if (BC > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; i++) {
            j = i * STEP + first;
            kept[i] = REALS(HEED_RULED_OUT);
            if (j < push.keys)
                kept[i] = load_logits(s, r, j);
            top[i % 4u] = larger(top[i % 4u], kept[i]);
        }
    } else {
        [[dont_unroll]] for (j = first; j < rolled; j += UNROLL * LANES)
            [[unroll]] for (uint i = 0u; i < UNROLL / RUN; i++)
                top[i % 4u] = larger(top[i % 4u], load_logits(s, r, j + i * STEP));
        [[dont_unroll]] for (; j < push.keys; j += STEP)
            top[0] = larger(top[0], load_logits(s, r, j));
    }
    float m = row_max(t, largest(larger(larger(top[0], top[1]), larger(top[2], top[3]))));

    REALS x, p;
    if (BC > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; i++) {
            x = kept[i];
            kept[i] = unscaled(x, m);
            sum[i % 4u] += kept[i];
            entropy[i % 4u] += weighted(kept[i], x, m);
        }
    } else {
        [[dont_unroll]] for (j = first; j < rolled; j += UNROLL * LANES)
            [[unroll]] for (uint i = 0u; i < UNROLL / RUN; i++) {
                x = load_logits(s, r, j + i * STEP);
                p = unscaled(x, m);
                store_weights(r.weights + j + i * STEP, p);
                sum[i % 4u] += p;
                entropy[i % 4u] += weighted(p, x, m);
            }
        [[dont_unroll]] for (; j < push.keys; j += STEP) {
            x = load_logits(s, r, j);
            p = unscaled(x, m);
            store_weights(r.weights + j, p);
            sum[0] += p;
            entropy[0] += weighted(p, x, m);
        }
    }
    vec2 sums = row_sum(t, vec2(total((sum[0] + sum[1]) + (sum[2] + sum[3])),
                                total((entropy[0] + entropy[1]) + (entropy[2] + entropy[3]))));
    RowEnd end = row_end(s, m, sums.x, sums.y);

    if (BC > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; i++) {
            j = i * STEP + first;
            if (j < push.keys)
                store_weights(r.weights + j, scaled(kept[i], end.factor));
        }
    } else {
        [[dont_unroll]] for (j = first; j < rolled; j += UNROLL * LANES)
            [[unroll]] for (uint i = 0u; i < UNROLL / RUN; i++)
                store_weights(r.weights + j + i * STEP, scaled(load_weights(r.weights + j + i * STEP), end.factor));
        [[dont_unroll]] for (; j < push.keys; j += STEP)
            store_weights(r.weights + j, scaled(load_weights(r.weights + j), end.factor));
    }
    if (t == 0u) {
        if (flag(HEED_ATTN_WRITE_LSE))
            lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + row_index(s, r.row)] = end.lse;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + row_index(s, r.row)] = end.entropy;
    }
}

void main()
{
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
    uint in_base = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                   s.head * push.q_stride_head + s.row_start * push.q_stride_row;
    uint out_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                    s.head * push.o_stride_head + s.row_start * push.o_stride_row;
#ifdef HEED_SUBGROUP
    end_row = min(end_row, (gl_WorkGroupID.x + 1u) * BR);
    [[dont_unroll]] for (uint row = gl_WorkGroupID.x * BR + gl_SubgroupID; row < end_row; row += gl_NumSubgroups)
        softmax(s, Row(row, in_base + row * push.q_stride_row, out_base + row * push.o_stride_row),
                gl_SubgroupInvocationID);
#else
    uint row = gl_WorkGroupID.x;
    if (row < end_row)
        softmax(s, Row(row, in_base + row * push.q_stride_row, out_base + row * push.o_stride_row),
                gl_LocalInvocationIndex);
#endif
}
