#version 450
// SPDX-License-Identifier: MIT
// o[b,h,i,:] = sum over j of weights[b,h,i,j] v[b,hk,j,:]: the last stage on its own. A weight that is exactly zero
// skips its value, NaN or not. A lane makes 4 features of 4 rows; the tile's weights are kept in shared memory.
//
//   groups.x  row blocks x feature blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "attn.glsl"

layout(set = 0, binding = HEED_ATTN_Q) readonly buffer Weights { float weights[]; };
HEED_TENSOR_IN(v, HEED_ATTN_V)
HEED_TENSOR_OUT(o, HEED_ATTN_O)

const uint ROWS = 4u;
shared float shared_w[ROWS * BC];

void main()
{
    uint t = gl_LocalInvocationIndex;
    uint blocks = (DIM_V + 4u * WG - 1u) / (4u * WG);
    uint row0 = gl_WorkGroupID.x / blocks * ROWS, feature = 4u * (gl_WorkGroupID.x % blocks * WG + t);
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
    if (row0 >= end_row)
        return;
    uint w_base = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                  s.head * push.q_stride_head + s.row_start * push.q_stride_row;
    uint v_base = HEED_RESIDUAL(push, HEED_ATTN_V) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.v_stride_batch) +
                  s.head_kv * push.v_stride_head + s.key_start * push.v_stride_row + feature;
    uint o_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                  s.head * push.o_stride_head + s.row_start * push.o_stride_row + feature;
    vec4 acc0 = vec4(0.0), acc1 = vec4(0.0), acc2 = vec4(0.0), acc3 = vec4(0.0); // an array would end in memory on V3D
#define EACH_ROW(macro) macro(0u, acc0) macro(1u, acc1) macro(2u, acc2) macro(3u, acc3)
    for (uint key = 0u; key < s.keys; key += BC) {
        uint count = min(BC, s.keys - key);
        barrier();
        for (uint e = t; e < ROWS * BC; e += WG) {
            uint r = min(row0 + e / BC, end_row - 1u), c = e % BC;
            shared_w[e] = c < count ? weights[w_base + r * push.q_stride_row + key + c] : 0.0;
        }
        barrier();
        if (feature < DIM_V)
            [[dont_unroll]] for (uint c = 0u; c < count; c++) {
                vec4 value = v_load4n(DT_V, v_base + (key + c) * push.v_stride_row, DIM_V - feature);
#define ADD_VALUE(r, acc) \
                if (shared_w[r * BC + c] != 0.0) \
                    acc = fma(vec4(shared_w[r * BC + c]), value, acc);
                EACH_ROW(ADD_VALUE)
            }
    }
    if (feature < DIM_V) {
#define STORE(r, acc) \
        if (row0 + r < end_row) \
            o_store4n(DT_O, o_base + (row0 + r) * push.o_stride_row, acc, DIM_V - feature);
        EACH_ROW(STORE)
    }
}
