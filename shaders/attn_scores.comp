#version 450
// SPDX-License-Identifier: MIT
// scores[b,h,i,j] = scale * dot(q[b,h,i,:], k[b,hk,j,:]) in f32: the first stage on its own. A lane makes the scores of
// 4 rows for one key, so that a key is read once for all of them; WG keys side by side.
//
//   groups.x  row blocks x key blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "attn.glsl"

HEED_TENSOR_IN(q, HEED_ATTN_Q)
HEED_TENSOR_IN(k, HEED_ATTN_K)
layout(set = 0, binding = HEED_ATTN_O) writeonly buffer Scores { float scores_w[]; };

const uint ROWS = 4u;

void main()
{
    uint key_blocks = (push.keys + WG - 1u) / WG;
    uint row0 = gl_WorkGroupID.x / key_blocks * ROWS;
    uint key = gl_WorkGroupID.x % key_blocks * WG + gl_LocalInvocationIndex;
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
    if (row0 >= end_row || key >= push.keys)
        return;
    bool there = push.key0 + key < s.keys;
    uint q_base = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                  s.head * push.q_stride_head + s.row_start * push.q_stride_row;
    uint k_base = HEED_RESIDUAL(push, HEED_ATTN_K) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.k_stride_batch) +
                  s.head_kv * push.k_stride_head + (s.key_start + key) * push.k_stride_row;
    vec4 score = vec4(0.0); // of 4 rows: an array would end in memory on V3D
    if (there)
        [[dont_unroll]] for (uint d = 0u; d < DIM_QK; d += 4u) {
            vec4 kk = heed_first(k_load4n(DT_K, k_base + d, DIM_QK - d), DIM_QK - d);
#define SCORE(r) \
            { \
                uint e = q_base + min(row0 + r, end_row - 1u) * push.q_stride_row + d; \
                vec4 qq = heed_first(q_load4n(DT_Q, e, DIM_QK - d), DIM_QK - d); \
                score[r] = fma(qq.x, kk.x, fma(qq.y, kk.y, fma(qq.z, kk.z, fma(qq.w, kk.w, score[r])))); \
            }
            SCORE(0)
            SCORE(1)
            SCORE(2)
            SCORE(3)
        }
    score *= push.scale;
    uint o_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                  s.head * push.o_stride_head + s.row_start * push.o_stride_row + key;
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        if (row0 + r < end_row)
            scores_w[o_base + (row0 + r) * push.o_stride_row] = score[r];
}
