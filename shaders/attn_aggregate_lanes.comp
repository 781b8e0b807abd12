#version 450
// SPDX-License-Identifier: MIT
// o[b,h,i,:] = sum over j of weights[b,h,i,j] v[b,hk,j,:] in f32, for software drivers: a lane keeps the weights of BR
// rows for BC keys, and the values of FEATURES features pass by in shared memory, two of them at a time, each of whose
// elements is one load for all lanes and BR products. From one block of keys to the next, o holds the sums, or shared
// memory where o is not f32.
//
//   HEED_INT64    words of 64 bits: keys and features come in pairs
//
//   groups.x  row blocks x feature blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#include "abi.h"
#include "attn.glsl"

layout(set = 0, binding = HEED_ATTN_Q) readonly buffer Weights { float weights[]; };
HEED_TENSOR_IN(v, HEED_ATTN_V)
HEED_TENSOR_OUT(o, HEED_ATTN_O)

const uint FEATURES = DIM_V_SLICE, ROWS = BR * WG;
const bool SUMS_IN_O = DT_O == HEED_DT_F32;
shared float shared_sums[SUMS_IN_O ? 1u : FEATURES * ROWS];

// Of two features for each key: in words of 64 bits, since what a load of shared memory costs is to check its bound.
#ifdef HEED_INT64
#include "pairs.glsl"
HEED_PAIRS(readonly, weights, HEED_ATTN_Q)
HEED_PAIRS(readonly, v, HEED_ATTN_V)
HEED_PAIRS(, o, HEED_ATTN_O)
shared uint64_t shared_v[FEATURES / 2u * BC];
#define STAGE(at, x) shared_v[at] = heed_pair(floatBitsToUint(x))
#define STAGED(at) uintBitsToFloat(unpackUint2x32(shared_v[at]))
#define LOAD_V(i, n) HEED_LOAD4_PAIRS(v, DT_V, i)
#define LOAD_O(i, n) uintBitsToFloat(HEED_LOAD_PAIR(o, i))
#define STORE_O(i, x, n) HEED_STORE_PAIR(o, i, floatBitsToUint(x))
#define LOAD_WEIGHTS(i, n) uintBitsToFloat(HEED_LOAD_PAIR(weights, i))
#else
shared vec2 shared_v[FEATURES / 2u * BC];
#define STAGE(at, x) shared_v[at] = x
#define STAGED(at) shared_v[at]
#define LOAD_V(i, n) v_load4n(DT_V, i, n)
#define LOAD_O(i, n) uintBitsToFloat(uvec2(o_w[i], o_w[(i) + ((n) > 1u ? 1u : 0u)]))
#define STORE_O(i, x, n) store_first(i, floatBitsToUint(x), n)
#define LOAD_WEIGHTS(i, n) vec2(weights[i], weights[(i) + ((n) > 1u ? 1u : 0u)])

void store_first(uint i, uvec2 x, uint n)
{
    o_w[i] = x.x;
    if (n > 1u)
        o_w[i + 1u] = x.y;
}
#endif

// A weight of 0 skips its value, NaN or not. Here such values are left out of the products, and added one by one.
shared uint shared_special;
shared uint shared_lane[WG]; // see attn_scores_lanes.comp

// Sums of the n features, one or two, that are there.
vec2 load_sums(uint o, uint e, uint n)
{
    return SUMS_IN_O ? LOAD_O(o, n) : vec2(shared_sums[e], shared_sums[e + ROWS]);
}

void store_sums(uint o, uint e, vec2 sums, uint n)
{
    if (SUMS_IN_O) {
        STORE_O(o, sums, n);
    } else {
        shared_sums[e] = sums.x;
        shared_sums[e + ROWS] = sums.y;
    }
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
                    x = LOAD_V(v_base + (key + j) * push.v_stride_row + d, DIM_V - feature0 - d);
                [[unroll]] for (uint c = 0u; c < 4u; c++) {
                    special = special || is_special(x[c]);
                    x[c] = is_special(x[c]) ? 0.0 : x[c];
                }
                STAGE(d % FEATURES / 2u * BC + j, x.xy);
                STAGE((d + 2u) % FEATURES / 2u * BC + j, x.zw);
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
                [[unroll]] for (uint j = 0u; j < BC; j += 2u) {
                    uint from = min(j, (count - 1u) & ~1u);
                    vec2 two = LOAD_WEIGHTS(w + from, count - from);
                    ww[r * BC + j] = j < count ? two.x : 0.0;
                    ww[r * BC + j + 1u] = j + 1u < count ? two.y : 0.0;
                }
            }
            [[dont_unroll]] for (uint f = 0u; f < features; f += 2u) {
                vec2 sum[BR];
                [[unroll]] for (uint r = 0u; r < BR; r++)
                    sum[r] = key > 0u ? load_sums(o[r] + f, f * ROWS + r * WG + t, features - f) : vec2(0.0);
                [[unroll]] for (uint j = 0u; j < BC; j++) {
                    vec2 x = STAGED((f & (FEATURES - 1u)) / 2u * BC + j);
                    [[unroll]] for (uint c = 0u; c < 2u; c++)
                        [[unroll]] for (uint r = 0u; r < BR; r++)
                            sum[r][c] = fma(x[c], ww[r * BC + j], sum[r][c]);
                }
                vec2 all = vec2(0.0); // see attn_scores_lanes.comp
                [[unroll]] for (uint r = 0u; r < BR; r++)
                    all += sum[r];
                uint first = f + (floatBitsToUint(all.x + all.y) == 0x7f800001u ? 2u : 0u);
                [[unroll]] for (uint r = 0u; r < BR; r++)
                    store_sums(o[r] + (r == 0u ? first : f), f * ROWS + r * WG + t, sum[r], features - f);
            }
            if (shared_special != 0u)
                [[dont_unroll]] for (uint i = row; i < min(end_row, row + ROWS); i += WG)
                    [[dont_unroll]] for (uint j = 0u; j < count; j++) {
                        float y = weights[w_base + i * push.q_stride_row + key + j];
                        [[dont_unroll]] for (uint f = 0u; f < features; f += 2u) {
                            uint v = v_base + (key + j) * push.v_stride_row + f, n = features - f;
                            uint o = o_base + i * push.o_stride_row + f, e = f * ROWS + i - row0;
                            vec2 x = vec2(v_load(DT_V, v), n > 1u ? v_load(DT_V, v + 1u) : 0.0);
                            vec2 more = vec2(is_special(x.x) ? y * x.x : 0.0, is_special(x.y) ? y * x.y : 0.0);
                            if (y != 0.0 && (is_special(x.x) || is_special(x.y)))
                                store_sums(o, e, load_sums(o, e, n) + more, n);
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
            vec4 sums =
                vec4(shared_sums[e], shared_sums[e + ROWS], shared_sums[e + 2u * ROWS], shared_sums[e + 3u * ROWS]);
            o_store4n(DT_O, o_base + i * push.o_stride_row + f, sums, DIM_V - feature0 - f);
        }
}
