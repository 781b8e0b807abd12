#version 450
// SPDX-License-Identifier: MIT
// scores[b,h,i,j] = scale * dot(q[b,h,i,:], k[b,hk,j,:]) in f32, for software drivers: a lane keeps BC keys, and BR
// queries pass by in shared memory, whose elements are one load for all lanes and BC products.
//
//   groups.x  row blocks x key blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "attn.glsl"

HEED_TENSOR_IN(q, HEED_ATTN_Q)
HEED_TENSOR_IN(k, HEED_ATTN_K)
layout(set = 0, binding = HEED_ATTN_O) writeonly buffer Scores { float scores_w[]; };

const uint VECTORS = (DIM_QK + 3u) / 4u;
shared vec4 shared_q[BR * VECTORS];

// lavapipe's compiler does not keep what was computed before a barrier but computes it again at every use, here the
// divisions of a lane's number in every row: a third of the time. It keeps what comes from memory.
shared uint shared_lane[WG], shared_key0, shared_row0, shared_rows;

void main()
{
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    {
        uint t = gl_LocalInvocationIndex;
        uint key_blocks = (push.keys + BC * WG - 1u) / (BC * WG);
        uint row0 = gl_WorkGroupID.x / key_blocks * BR;
        uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
        if (row0 >= end_row)
            return;
        uint rows = min(end_row - row0, BR);
        uint q_base = HEED_RESIDUAL(push, HEED_ATTN_Q) +
                      (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) + s.head * push.q_stride_head +
                      (s.row_start + row0) * push.q_stride_row;
        for (uint e = t; e < rows * VECTORS; e += WG) {
            uint d = e % VECTORS * 4u;
            shared_q[e] =
                heed_first(q_load4n(DT_Q, q_base + e / VECTORS * push.q_stride_row + d, DIM_QK - d), DIM_QK - d);
        }
        shared_lane[t] = t;
        if (t == 0u) {
            shared_key0 = gl_WorkGroupID.x % key_blocks * (BC * WG);
            shared_row0 = row0;
            shared_rows = rows;
        }
    }
    barrier();

    uint key = shared_key0 + shared_lane[gl_LocalInvocationIndex], rows = shared_rows;
    if (key >= push.keys)
        return;
    uint keys = s.keys > push.key0 ? min(s.keys - push.key0, push.keys) : 0u;
    uint k_base = HEED_RESIDUAL(push, HEED_ATTN_K) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.k_stride_batch) +
                  s.head_kv * push.k_stride_head + s.key_start * push.k_stride_row;
    vec4 kk[BC * VECTORS];
    if (!flag(HEED_ATTN_PACKED_KV) || keys > 0u)
        [[unroll]] for (uint c = 0u; c < BC; c++) {
            uint e = k_base + min(key + c * WG, keys - 1u) * push.k_stride_row;
            [[unroll]] for (uint d = 0u; d < VECTORS; d++)
                kk[c * VECTORS + d] = heed_first(k_load4n(DT_K, e + 4u * d, DIM_QK - 4u * d), DIM_QK - 4u * d);
        }
    uint o = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
             s.head * push.o_stride_head + (s.row_start + shared_row0) * push.o_stride_row + key;
    // Keys of this lane. Behind them it stores its first score again: branches between the sums would cost half.
    uint there = key < keys ? (keys - key + WG - 1u) / WG : 0u, all = (push.keys - key + WG - 1u) / WG;
    float first = 0.0;
    uint stride = push.o_stride_row;
    float scale = push.scale;
    [[dont_unroll]] for (uint r = 0u; r < rows; r++) {
        // Two sums of a score: with one the processor waits for it, with four registers run out (26, 19 and 25 ms of CPU
        // time). The index is masked for lavapipe to see that it is within the array (29 : 26 ms).
        vec2 sum[BC];
        [[unroll]] for (uint c = 0u; c < BC; c++)
            sum[c] = vec2(0.0);
        [[unroll]] for (uint d = 0u; d < VECTORS; d++) {
            vec4 qq = shared_q[(r & (BR - 1u)) * VECTORS + d];
            [[unroll]] for (uint c = 0u; c < BC; c++) {
                vec4 x = kk[c * VECTORS + d];
                sum[c] = fma(qq.zw, x.zw, fma(qq.xy, x.xy, sum[c]));
            }
        }
        [[unroll]] for (uint c = 0u; c < BC; c++) {
            float x = c < there ? scale * (sum[c].x + sum[c].y) : 0.0;
            first = c == 0u ? x : first;
            scores_w[o + (c < all ? c * WG : 0u)] = c < all ? x : first;
        }
        o += stride;
    }
}
