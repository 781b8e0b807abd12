// SPDX-License-Identifier: MIT
// scores[b,h,i,j] = scale * dot(q[b,h,i,:], k[b,hk,j,:]) in f32: the first stage on its own. A work-item makes the
// scores of 4 rows for one key, so that a key is read once for all of them; WG keys side by side.
//
//   groups.x  row blocks x key blocks      groups.y  heads      groups.z  batches
#include "fused.clh"

#define ROWS 4u

HEED_KERNEL attn_scores(ATTN_BINDINGS)
{
    const struct buffers buffers = ATTN_BUFFERS;
    uint key_blocks = (push.keys + WG - 1u) / WG;
    uint row0 = (uint)get_group_id(0) / key_blocks * ROWS;
    uint key = (uint)get_group_id(0) % key_blocks * WG + (uint)get_local_id(0);
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2), (uint)get_group_id(1));
    uint end_row = row_count(HEED_ARGS s);
    if (row0 >= end_row || key >= push.keys)
        return;
    uint q_base = q_begin(HEED_ARGS s), k_base = k_begin(HEED_ARGS s) + key * push.k_stride_row;
    float score[ROWS] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (push.key0 + key < s.keys)
        for (uint d = 0u; d < DIM_QK; d += 4u) {
            float4 k = load_k(HEED_ARGS k_base, d);
#pragma unroll
            for (uint r = 0u; r < ROWS; r++) {
                uint q = q_base + min(row0 + r, end_row - 1u) * push.q_stride_row;
                score[r] = add_dot(score[r], load_q(HEED_ARGS q, d), k);
            }
        }
    global float *scores = (global float *)buffers.o + o_begin(HEED_ARGS s, 0u, row0) + key;
#pragma unroll
    for (uint r = 0u; r < ROWS; r++)
        if (row0 + r < end_row)
            scores[r * push.o_stride_row] = score[r] * push.scale;
}
