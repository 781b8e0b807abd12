#version 450
// SPDX-License-Identifier: MIT
// o[b,h,i,:] = sum over j of weights[b,h,i,j] v[b,hk,j,:] in f32, for software drivers: a lane keeps the weights of BR
// rows for BC keys, and the values of FEATURES features pass by in shared memory, whose elements are one load for all
// lanes and BR products. From one block of keys to the next, o holds the sums, or shared memory where o is not f32.
//
//   groups.x  row blocks x feature blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "attn.glsl"

layout(set = 0, binding = HEED_ATTN_Q) readonly buffer Weights { float weights[]; };
HEED_TENSOR_IN(v, HEED_ATTN_V)
HEED_TENSOR_OUT(o, HEED_ATTN_O)

const uint FEATURES = DIM_V_SLICE;
shared float shared_v[FEATURES * BC];
// A weight of 0 skips its value, NaN or not. Here such values are left out of the products, and added one by one.
shared uint shared_special;
shared uint shared_lane[WG]; // see attn_scores_lanes.comp

const uint ROWS = BR * WG;
const bool SUMS_IN_O = DT_O == HEED_DT_F32;
shared float shared_sums[SUMS_IN_O ? 1u : FEATURES * ROWS];

float load_sum(uint o, uint e)
{
    return SUMS_IN_O ? uintBitsToFloat(o_w[o]) : shared_sums[e];
}

void store_sum(uint o, uint e, float sum)
{
    if (SUMS_IN_O)
        o_w[o] = floatBitsToUint(sum);
    else
        shared_sums[e] = sum;
}

bool is_special(float x)
{
    return (floatBitsToUint(x) & 0x7f800000u) == 0x7f800000u;
}

void main()
{
    uint slices = (DIM_V + FEATURES - 1u) / FEATURES;
    uint row0 = gl_WorkGroupID.x / slices * ROWS, feature0 = gl_WorkGroupID.x % slices * FEATURES;
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
    if (row0 >= end_row)
        return;
    uint features = min(DIM_V - feature0, FEATURES);
    uint w_base = HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
                  s.head * push.q_stride_head + s.row_start * push.q_stride_row;
    uint v_base = HEED_RESIDUAL(push, HEED_ATTN_V) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.v_stride_batch) +
                  s.head_kv * push.v_stride_head + s.key_start * push.v_stride_row + feature0;
    uint o_base = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
                  s.head * push.o_stride_head + s.row_start * push.o_stride_row + feature0;
    shared_lane[gl_LocalInvocationIndex] = gl_LocalInvocationIndex;
    shared_special = 0u;

    if (s.keys == 0u) {
        for (uint i = row0 + gl_LocalInvocationIndex; i < min(end_row, row0 + ROWS); i += WG)
            for (uint f = 0u; f < features; f += 4u)
                o_store4n(DT_O, o_base + i * push.o_stride_row + f, vec4(0.0), DIM_V - feature0 - f);
        return;
    }
    [[dont_unroll]] for (uint key = 0u; key < s.keys; key += BC) {
        uint count = min(BC, s.keys - key);
        barrier();
        bool special = false;
        {
            uint t = shared_lane[gl_LocalInvocationIndex];
            for (uint e = t; e < BC * ((features + 3u) / 4u); e += WG) {
                uint j = e % BC, d = e / BC * 4u;
                vec4 x = vec4(0.0);
                if (j < count)
                    x = v_load4n(DT_V, v_base + (key + j) * push.v_stride_row + d, DIM_V - feature0 - d);
                [[unroll]] for (uint c = 0u; c < 4u; c++) {
                    special = special || is_special(x[c]);
                    shared_v[(d + c) % FEATURES * BC + j] = is_special(x[c]) ? 0.0 : x[c];
                }
            }
        }
        if (special)
            atomicOr(shared_special, 1u);
        barrier();

        uint t = shared_lane[gl_LocalInvocationIndex], row = row0 + t;
        if (row < end_row) {
            uint o[BR]; // a row that is not there is the lane's first again
            float ww[BR * BC];
            [[unroll]] for (uint r = 0u; r < BR; r++) {
                uint i = row + r * WG < end_row ? row + r * WG : row;
                uint w = w_base + i * push.q_stride_row + key;
                o[r] = o_base + i * push.o_stride_row;
                [[unroll]] for (uint j = 0u; j < BC; j++)
                    ww[r * BC + j] = mix(0.0, weights[w + min(j, count - 1u)], j < count);
            }
            [[dont_unroll]] for (uint f = 0u; f < features; f++) {
                vec2 sum[BR]; // two, and a masked index: see attn_scores_lanes.comp
                [[unroll]] for (uint r = 0u; r < BR; r++)
                    sum[r] = vec2(key > 0u ? load_sum(o[r] + f, f * ROWS + r * WG + t) : 0.0, 0.0);
                [[unroll]] for (uint j = 0u; j < BC / 4u; j++) {
                    uint e = (f & (FEATURES - 1u)) * BC + 4u * j;
                    vec4 x = vec4(shared_v[e], shared_v[e + 1u], shared_v[e + 2u], shared_v[e + 3u]);
                    [[unroll]] for (uint r = 0u; r < BR; r++) {
                        uint i = r * BC + 4u * j;
                        sum[r] = fma(x.xy, vec2(ww[i], ww[i + 1u]), sum[r]);
                        sum[r] = fma(x.zw, vec2(ww[i + 2u], ww[i + 3u]), sum[r]);
                    }
                }
                [[unroll]] for (uint r = 0u; r < BR; r++)
                    store_sum(o[r] + f, f * ROWS + r * WG + t, sum[r].x + sum[r].y);
            }
            if (shared_special != 0u)
                [[dont_unroll]] for (uint i = row; i < min(end_row, row + ROWS); i += WG)
                    [[dont_unroll]] for (uint j = 0u; j < count; j++) {
                        float y = weights[w_base + i * push.q_stride_row + key + j];
                        [[dont_unroll]] for (uint f = 0u; f < features; f++) {
                            float x = v_load(DT_V, v_base + (key + j) * push.v_stride_row + f);
                            uint o = o_base + i * push.o_stride_row + f, e = f * ROWS + i - row0;
                            if (y != 0.0 && is_special(x))
                                store_sum(o, e, load_sum(o, e) + y * x);
                        }
                    }
        }
    }
    if (SUMS_IN_O)
        return;
    uint t = shared_lane[gl_LocalInvocationIndex];
    [[dont_unroll]] for (uint i = row0 + t; i < min(end_row, row0 + ROWS); i += WG)
        [[dont_unroll]] for (uint f = 0u; f < features; f += 4u) {
            uint e = f * ROWS + i - row0;
            vec4 sums = vec4(shared_sums[e], shared_sums[e + ROWS], shared_sums[e + 2u * ROWS], shared_sums[e + 3u * ROWS]);
            o_store4n(DT_O, o_base + i * push.o_stride_row + f, sums, DIM_V - feature0 - f);
        }
}
