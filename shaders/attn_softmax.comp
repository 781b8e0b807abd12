#version 450
// SPDX-License-Identifier: MIT
// From scores to weights: masks, biases, softcap, sink and the numerically stable softmax of a row, and its lse and
// entropy. One work group a row; an invocation owns every WG-th key in all three passes, so that the row may be
// rewritten in place.
#extension GL_GOOGLE_include_directive : require
#include "abi.h"
#define HEED_ATTN_TERMS
#include "attn.glsl"

layout(set = 0, binding = HEED_ATTN_Q) readonly buffer Scores { float scores[]; };
layout(set = 0, binding = HEED_ATTN_O) buffer Weights { float weights[]; };
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

shared vec2 shared_part[WG];

float row_max(uint t, float x)
{
    shared_part[t].x = x;
    for (uint n = WG / 2u; n > 0u; n /= 2u) {
        barrier();
        if (t < n) {
            float other = shared_part[t + n].x;
            shared_part[t].x = other > shared_part[t].x ? other : shared_part[t].x;
        }
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

void main()
{
    uint t = gl_LocalInvocationIndex, row = gl_WorkGroupID.x;
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    if (push.row0 + row >= s.rows)
        return;
    uint in_row = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                  s.head * push.q_stride_head + (s.row_start + row) * push.q_stride_row;
    uint out_row = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                   s.head * push.o_stride_head + (s.row_start + row) * push.o_stride_row;

    float m = HEED_RULED_OUT;
    for (uint j = t; j < push.keys; j += WG) {
        float x = attn_logit(s, row, j, scores[in_row + j]);
        weights[out_row + j] = x;
        m = x > m ? x : m;
    }
    m = row_max(t, m);
    vec2 sums = vec2(0.0);
    for (uint j = t; j < push.keys; j += WG) {
        float x = weights[out_row + j];
        float p = HEED_IS_RULED_OUT(x) ? 0.0 : heed_exp(x - m);
        weights[out_row + j] = p;
        sums.x += p;
        if (p != 0.0)
            sums.y += p * (x - m);
    }
    sums = row_sum(t, sums);
    RowEnd end = row_end(s, m, sums.x, sums.y);
    for (uint j = t; j < push.keys; j += WG)
        weights[out_row + j] = weights[out_row + j] == 0.0 ? 0.0 : weights[out_row + j] * end.factor;
    if (t == 0u) {
        if (flag(HEED_ATTN_WRITE_LSE))
            lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + row_index(s, row)] = end.lse;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + row_index(s, row)] = end.entropy;
    }
}
