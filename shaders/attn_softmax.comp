#version 450
// SPDX-License-Identifier: MIT
// From scores to weights: masks, biases, softcap, sink and the numerically stable softmax of a row, and its lse and
// entropy. A lane owns every LANES-th key of a row, which may be rewritten in place. Rows of up to BC keys a lane are
// read once and written once; BC 0 is for longer ones, which take three passes.
//
//   HEED_SUBGROUP  a subgroup owns a row, BR rows a work group; else a work group owns a row
//   groups.x  row blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
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

float logit(Sequence s, Row r, uint j)
{
    return TERMS ? weights[r.weights + j] : attn_logit(s, r.row, j, scores[r.scores + j]);
}

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

void softmax(Sequence s, Row r, uint t)
{
    if (TERMS)
        [[dont_unroll]] for (uint j = t; j < push.keys; j += LANES)
            weights[r.weights + j] = attn_logit(s, r.row, j, scores[r.scores + j]);

    // Four maxima and four sums, so that one operation does not wait for the other.
    vec4 top = vec4(HEED_RULED_OUT);
    float kept[BC > 0u ? BC : 1u];
    uint rolled = push.keys - push.keys % (UNROLL * LANES), j;
    if (BC > 0u) {
        [[unroll]] for (uint i = 0u; i < BC; i++) {
            j = i * LANES + t;
            kept[i] = HEED_RULED_OUT;
            if (j < push.keys)
                kept[i] = logit(s, r, j);
            top[i % 4u] = larger(top[i % 4u], kept[i]);
        }
    } else {
        [[dont_unroll]] for (j = t; j < rolled; j += UNROLL * LANES)
            [[unroll]] for (uint i = 0u; i < UNROLL; i++)
                top[i % 4u] = larger(top[i % 4u], logit(s, r, j + i * LANES));
        [[dont_unroll]] for (; j < push.keys; j += LANES)
            top.x = larger(top.x, logit(s, r, j));
    }
    float m = row_max(t, larger(larger(top.x, top.y), larger(top.z, top.w)));

    vec4 sum = vec4(0.0), entropy = vec4(0.0);
    float x, p;
    if (BC > 0u) {
        [[unroll]] for (uint i = 0u; i < BC; i++) {
            x = kept[i];
            kept[i] = unscaled(x, m);
            sum[i % 4u] += kept[i];
            entropy[i % 4u] += weighted(kept[i], x, m);
        }
    } else {
        [[dont_unroll]] for (j = t; j < rolled; j += UNROLL * LANES)
            [[unroll]] for (uint i = 0u; i < UNROLL; i++) {
                x = logit(s, r, j + i * LANES);
                p = unscaled(x, m);
                weights[r.weights + j + i * LANES] = p;
                sum[i % 4u] += p;
                entropy[i % 4u] += weighted(p, x, m);
            }
        [[dont_unroll]] for (; j < push.keys; j += LANES) {
            x = logit(s, r, j);
            p = unscaled(x, m);
            weights[r.weights + j] = p;
            sum.x += p;
            entropy.x += weighted(p, x, m);
        }
    }
    vec2 sums = row_sum(t, vec2((sum.x + sum.y) + (sum.z + sum.w), (entropy.x + entropy.y) + (entropy.z + entropy.w)));
    RowEnd end = row_end(s, m, sums.x, sums.y);

    if (BC > 0u) {
        [[unroll]] for (uint i = 0u; i < BC; i++) {
            j = i * LANES + t;
            if (j < push.keys)
                weights[r.weights + j] = scaled(kept[i], end.factor);
        }
    } else {
        [[dont_unroll]] for (j = t; j < rolled; j += UNROLL * LANES)
            [[unroll]] for (uint i = 0u; i < UNROLL; i++)
                weights[r.weights + j + i * LANES] = scaled(weights[r.weights + j + i * LANES], end.factor);
        [[dont_unroll]] for (; j < push.keys; j += LANES)
            weights[r.weights + j] = scaled(weights[r.weights + j], end.factor);
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
