#version 450
// SPDX-License-Identifier: MIT
// o[b,h,i,:] = sum over j of weights[b,h,i,j] v[b,hk,j,:] in f32, for software drivers: the lanes of a subgroup own
// neighbouring features, whose values are one load of a vector, and walk all keys with TILE rows, each of whose weights
// is one load for all lanes.
//
//   groups.x  row blocks of BR rows      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#include "abi.h"
#include "attn.glsl"
#include "address.glsl"

layout(set = 0, binding = HEED_ATTN_O) writeonly buffer O { float o[]; };

// 8 sums, which with what they are made of stay in 16 registers. The last vectors of a row are those that end with it.
const uint TILE = 4u, WIDTH = DIM_V < DIM_V_SLICE ? DIM_V : DIM_V_SLICE, VECTORS = (WIDTH + WG - 1u) / WG;

bool is_special(float x)
{
    return (floatBitsToUint(x) & 0x7f800000u) == 0x7f800000u;
}

float sum[TILE * VECTORS];

// Adds `count` keys, a constant, from `key` on.
void add_keys(uint64_t w[TILE], uint64_t v, uint stride, uint key, uint count)
{
    key = subgroupBroadcastFirst(key); // see heed_address
    [[unroll]] for (uint j = 0u; j < count; j++) {
        float x[VECTORS];
        [[unroll]] for (uint c = 0u; c < VECTORS; c++)
            x[c] = heed_load_lanes(v + uint64_t((key + j) * stride) * 4ul, c * WG, WIDTH);
        [[unroll]] for (uint r = 0u; r < TILE; r++) {
            float y = heed_load_at(w[r] + uint64_t(key) * 4ul, j);
            [[unroll]] for (uint c = 0u; c < VECTORS; c++)
                sum[r * VECTORS + c] = fma(y, x[c], sum[r * VECTORS + c]);
        }
    }
}

void main()
{
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
    uint row = gl_WorkGroupID.x * BR, keys = s.keys, whole = keys - keys % BC;
    end_row = min(end_row, row + BR);
    uint w_base = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                  s.head * push.q_stride_head + s.row_start * push.q_stride_row;
    uint v_base = HEED_RESIDUAL(push, HEED_ATTN_V) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.v_stride_batch) +
                  s.head_kv * push.v_stride_head + s.key_start * push.v_stride_row;
    uint o_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                  s.head * push.o_stride_head + s.row_start * push.o_stride_row;
    uint w_stride = push.q_stride_row, v_stride = push.v_stride_row, o_stride = push.o_stride_row;
    uint64_t all_w = heed_base(push.address0), all_v = heed_base(push.address1);
    if (row < end_row) // loops are asked at their end: see attn_lanes.comp
        [[dont_unroll]] do {
            uint64_t w[TILE];
            [[unroll]] for (uint r = 0u; r < TILE; r++)
                w[r] = heed_address(all_w, w_base + min(row + r, end_row - 1u) * w_stride);
            uint f = 0u;
            [[dont_unroll]] do {
                uint feature = min(f, DIM_V - WIDTH), key = 0u;
                uint64_t v = heed_address(all_v, v_base + feature);
                [[unroll]] for (uint i = 0u; i < TILE * VECTORS; i++)
                    sum[i] = 0.0;
                if (whole > 0u)
                    [[dont_unroll]] do {
                        add_keys(w, v, v_stride, key, BC);
                        key += BC;
                    } while (key < whole);
                if (key < keys)
                    [[dont_unroll]] do {
                        add_keys(w, v, v_stride, key, 1u);
                    } while (++key < keys);
                // A weight of 0 skips its value, NaN or not: sums that come out as NaN or infinite are made once more.
                float all = 0.0;
                [[unroll]] for (uint i = 0u; i < TILE * VECTORS; i++)
                    all += sum[i];
                if (is_special(all)) {
                    [[unroll]] for (uint i = 0u; i < TILE * VECTORS; i++)
                        sum[i] = 0.0;
                    key = 0u;
                    [[dont_unroll]] do {
                        uint same = subgroupBroadcastFirst(key);
                        [[unroll]] for (uint c = 0u; c < VECTORS; c++) {
                            float x = heed_load_lanes(v + uint64_t(same * v_stride) * 4ul, c * WG, WIDTH);
                            [[unroll]] for (uint r = 0u; r < TILE; r++) {
                                float y = heed_load_at(w[r] + uint64_t(same) * 4ul, 0u);
                                sum[r * VECTORS + c] += y == 0.0 ? 0.0 : y * x;
                            }
                        }
                    } while (++key < keys);
                }
                [[unroll]] for (uint r = 0u; r < TILE; r++)
                    [[unroll]] for (uint c = 0u; c < VECTORS; c++) {
                        uint d = c * WG + heed_lane();
                        if (c * WG + WG <= WIDTH || d < WIDTH) // behind the last row, that one is there again
                            o[o_base + min(row + r, end_row - 1u) * o_stride + feature + d] = sum[r * VECTORS + c];
                    }
                f += WIDTH;
            } while (f < DIM_V);
            row += TILE;
        } while (row < end_row);
}
