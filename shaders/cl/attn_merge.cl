// SPDX-License-Identifier: MIT
// Joins the partial results of key splits: with m_n, l_n, o_n of each, m = max m_n and
// o = sum exp(m_n - m) o_n / sum exp(m_n - m) l_n. One work group a row; splits are in push.key_chunk.
#include "attn.clh"

// Partial outputs are bound where a fused kernel has its queries, their sums where it has its keys.
HEED_KERNEL attn_merge(ATTN_BINDINGS)
{
    const struct buffers buffers = ATTN_BUFFERS;
    global const float *sums = (global const float *)buffers.k;
    uint t = (uint)get_local_id(0), row = (uint)get_group_id(0);
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2), (uint)get_group_id(1));
    if (push.row0 + row >= s.rows)
        return;
    uint splits = push.key_chunk, i = partial_index(HEED_ARGS s, row);

    float m = HEED_RULED_OUT;
    for (uint n = 0u; n < splits; n++) {
        float x = sums[4u * (n * push.row_total + i)];
        m = x > m ? x : m;
    }
    float sum = 0.0f, weighted = 0.0f;
    for (uint n = 0u; n < splits; n++) {
        uint e = 4u * (n * push.row_total + i);
        float l = sums[e + 1u];
        if (l == 0.0f)
            continue;
        float shift = heed_exp(sums[e] - m);
        sum += shift * l;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            weighted += shift * (sums[e + 2u] + l * (sums[e] - m));
    }
    const RowEnd end = row_end(HEED_ARGS s, m, sum, weighted);
    if (t == 0u) {
        if (flag(HEED_ATTN_WRITE_LSE))
            lse_w[row_index(HEED_ARGS s, row)] = end.lse;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            entropy_w[row_index(HEED_ARGS s, row)] = end.entropy;
    }
    uint o = (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) + s.head * push.o_stride_head +
             (s.row_start + row) * push.o_stride_row;
    for (uint d = 4u * t; d < DIM_V; d += 4u * WG) {
        float4 acc = 0.0f;
        for (uint n = 0u; n < splits; n++) {
            uint e = n * push.row_total + i;
            if (sums[4u * e + 1u] == 0.0f)
                continue;
            float4 x = tensor_load4n(HEED_DT_F32, buffers.q, e * DIM_V + d, DIM_V - d);
            acc = fma((float4)(heed_exp(sums[4u * e] - m)), x, acc);
        }
        tensor_store4n(DT_O, buffers.o, o + d, end.factor == 0.0f ? (float4)(0.0f) : acc * end.factor, DIM_V - d);
    }
}
