#version 450
// SPDX-License-Identifier: MIT
// Joins the partial results of key splits: with m_n, l_n, o_n of each, m = max m_n and
// o = sum exp(m_n - m) o_n / sum exp(m_n - m) l_n. One work group a row; splits are in push.key_chunk.
#extension GL_GOOGLE_include_directive : require
#include "abi.h"
#define HEED_ATTN_TERMS
#include "attn.glsl"

// Partial outputs are bound where a fused kernel has its queries, their sums where it has its keys.
HEED_TENSOR_IN(part, HEED_ATTN_Q)
layout(set = 0, binding = HEED_ATTN_K) readonly buffer Sums { float sums[]; };
HEED_TENSOR_OUT(o, HEED_ATTN_O)
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

void main()
{
    uint t = gl_LocalInvocationIndex, row = gl_WorkGroupID.x;
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    if (push.row0 + row >= s.rows)
        return;
    uint splits = push.key_chunk, i = partial_index(s, row), sums0 = HEED_RESIDUAL(push, HEED_ATTN_K);

    float m = HEED_RULED_OUT;
    for (uint n = 0u; n < splits; n++) {
        float x = sums[sums0 + 4u * (n * push.row_total + i)];
        m = x > m ? x : m;
    }
    float sum = 0.0, weighted = 0.0;
    for (uint n = 0u; n < splits; n++) {
        uint e = sums0 + 4u * (n * push.row_total + i);
        float l = sums[e + 1u];
        if (l == 0.0)
            continue;
        float shift = heed_exp(sums[e] - m);
        sum += shift * l;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            weighted += shift * (sums[e + 2u] + l * (sums[e] - m));
    }
    RowEnd end = row_end(s, m, sum, weighted);
    if (t == 0u) {
        if (flag(HEED_ATTN_WRITE_LSE))
            lse_w[HEED_RESIDUAL(push, HEED_ATTN_LSE) + row_index(s, row)] = end.lse;
        if (flag(HEED_ATTN_WRITE_ENTROPY))
            entropy_w[HEED_RESIDUAL(push, HEED_ATTN_ENTROPY) + row_index(s, row)] = end.entropy;
    }
    uint o_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                  s.head * push.o_stride_head + (s.row_start + row) * push.o_stride_row;
    for (uint d = 4u * t; d < DIM_V; d += 4u * WG) {
        vec4 acc = vec4(0.0);
        for (uint n = 0u; n < splits; n++) {
            uint e = n * push.row_total + i;
            float l = sums[sums0 + 4u * e + 1u];
            if (l == 0.0)
                continue;
            vec4 x = part_load4n(HEED_DT_F32, HEED_RESIDUAL(push, HEED_ATTN_Q) + e * DIM_V + d, DIM_V - d);
            acc = fma(vec4(heed_exp(sums[sums0 + 4u * e] - m)), x, acc);
        }
        o_store4n(DT_O, o_base + d, end.factor == 0.0 ? vec4(0.0) : acc * end.factor, DIM_V - d);
    }
}
