// SPDX-License-Identifier: MIT
// o[b,h,i,:] = sum over j of weights[b,h,i,j] v[b,hk,j,:]: the last stage on its own. A weight that is exactly zero
// skips its value, NaN or not. A work-item makes 4 features of 4 rows; the tile's weights are kept in local memory.
//
//   groups.x  row blocks x feature blocks      groups.y  heads      groups.z  batches
#include "fused.clh"

#define ROWS 4u

HEED_KERNEL attn_aggregate(ATTN_BINDINGS)
{
    local float shared_w[ROWS * BC];
    const struct buffers buffers = ATTN_BUFFERS;
    global const float *weights = (global const float *)buffers.q;
    uint t = (uint)get_local_id(0), blocks = (DIM_V + 4u * WG - 1u) / (4u * WG);
    uint row0 = (uint)get_group_id(0) / blocks * ROWS, feature = 4u * ((uint)get_group_id(0) % blocks * WG + t);
    const Sequence s = sequence(HEED_ARGS (uint)get_group_id(2), (uint)get_group_id(1));
    uint end_row = row_count(HEED_ARGS s);
    uint keys = row0 < end_row ? s.keys : 0u; // no return before barriers: PoCL 3.1 takes conditions wrongly after one
    uint w_base = q_begin(HEED_ARGS s), v_base = v_begin(HEED_ARGS s);
    float4 acc[ROWS] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (uint key = 0u; key < keys; key += BC) {
        uint count = min(BC, keys - key);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint e = t; e < ROWS * BC; e += WG) {
            uint r = min(row0 + e / BC, end_row - 1u), c = e % BC;
            shared_w[e] = c < count ? weights[w_base + r * push.q_stride_row + key + c] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (feature < DIM_V)
            for (uint c = 0u; c < count; c++) {
                float4 value = load_v(HEED_ARGS v_base + (key + c) * push.v_stride_row, feature);
#pragma unroll
                for (uint r = 0u; r < ROWS; r++)
                    if (shared_w[r * BC + c] != 0.0f)
                        acc[r] = fma((float4)(shared_w[r * BC + c]), value, acc[r]);
            }
    }
    if (feature < DIM_V)
#pragma unroll
        for (uint r = 0u; r < ROWS; r++)
            if (row0 + r < end_row)
                tensor_store4n(DT_O, buffers.o, o_begin(HEED_ARGS s, 0u, row0 + r) + feature, acc[r], DIM_V - feature);
}
