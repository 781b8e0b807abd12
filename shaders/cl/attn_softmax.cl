// SPDX-License-Identifier: MIT
// From scores to weights: masks, biases, softcap, sink and the numerically stable softmax of a row, and its lse and
// entropy. A work group owns a row, which may be rewritten in place, and a work-item every WG-th key of it.
//
//   groups.x  rows      groups.y  heads      groups.z  batches
#include "fused.clh"

float row_max(local float2 *part, uint t, float x)
{
    part[t].x = x;
    for (uint n = WG / 2u; n > 0u; n /= 2u) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (t < n)
            part[t].x = part[t + n].x > part[t].x ? part[t + n].x : part[t].x;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float result = part[0].x;
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

float2 row_sum(local float2 *part, uint t, float2 x)
{
    part[t] = x;
    for (uint n = WG / 2u; n > 0u; n /= 2u) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (t < n)
            part[t] += part[t + n];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}

HEED_KERNEL attn_softmax(HEED_PUSH(heed_attn_push), HEED_INOUT(q), HEED_IN(k), HEED_IN(v), HEED_INOUT(o), HEED_IN(mask),
                         HEED_IN(side), HEED_OUT(lse), HEED_OUT(entropy))
{
    local float2 part[WG];
    const struct buffers buffers = ATTN_BUFFERS;
    uint t = (uint)get_local_id(0), row = (uint)get_group_id(0);
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2), (uint)get_group_id(1));
    // No return before barriers: PoCL 3.1 takes conditions on the work-item wrongly after one.
    bool live = row < row_count(HEED_ARGS s);
    uint keys = live ? push.keys : 0u;
    global const float *scores = (global const float *)buffers.q + q_begin(HEED_ARGS s) + row * push.q_stride_row;
    global float *weights = (global float *)buffers.o + o_begin(HEED_ARGS s, 0u, row);

    float m = HEED_RULED_OUT;
    for (uint j = t; j < keys; j += WG) {
        float x = attn_logit(HEED_ARGS s, row, j, scores[j]);
        weights[j] = x;
        m = x > m ? x : m; // NaN aside
    }
    m = row_max(part, t, m);
    float2 sums = 0.0f;
    for (uint j = t; j < keys; j += WG) {
        float x = weights[j], p = HEED_IS_RULED_OUT(x) ? 0.0f : heed_exp(x - m);
        weights[j] = p;
        sums.x += p;
        if (flag(HEED_ATTN_WRITE_ENTROPY) && p != 0.0f)
            sums.y += p * (x - m);
    }
    sums = row_sum(part, t, sums);
    const RowEnd end = row_end(HEED_ARGS s, m, sums.x, sums.y);
    for (uint j = t; j < keys; j += WG)
        weights[j] = weights[j] == 0.0f ? 0.0f : weights[j] * end.factor;
    if (live && t == 0u) {
        if (flag(HEED_ATTN_WRITE_LSE))
            lse_w[row_index(HEED_ARGS s, row)] = end.lse;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            entropy_w[row_index(HEED_ARGS s, row)] = end.entropy;
    }
}
