#version 450
// SPDX-License-Identifier: MIT
// scores[b,h,i,j] = scale * dot(q[b,h,i,:], k[b,hk,j,:]) in f32, for software drivers: a lane keeps BC keys, and BR
// queries pass by in shared memory, or at their addresses, whose elements are one load for all lanes and BC products.
//
//   groups.x  row blocks x key blocks      groups.y  heads      groups.z  batches
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#ifdef HEED_ADDRESS
#extension GL_EXT_buffer_reference : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#include "abi.h"
#include "attn.glsl"

HEED_TENSOR_IN(q, HEED_ATTN_Q)
HEED_TENSOR_IN(k, HEED_ATTN_K)
#ifdef HEED_INT64 // a lane's keys are pairs of neighbours, whose scores go out together
#include "pairs.glsl"
HEED_PAIRS(readonly, k, HEED_ATTN_K)
HEED_PAIRS(writeonly, scores, HEED_ATTN_O)
#define RUN 2u
#define RUN_SCORES vec2
#define RUN_OF(sum, c) vec2(sum[c], sum[c + 1u])
#define STORE_RUN(at, x) HEED_STORE_PAIR(scores, at, floatBitsToUint(x))

vec4 load_key(uint begin, uint d)
{
    return HEED_LOAD4_PAIRS(k, DT_K, begin + d);
}

// 0 behind the n-th.
vec2 first_scores(vec2 x, uint n)
{
    return vec2(n > 0u ? x.x : 0.0, n > 1u ? x.y : 0.0);
}
#else
layout(set = 0, binding = HEED_ATTN_O) writeonly buffer Scores { float scores_w[]; };
#define RUN 1u
#define RUN_SCORES float
#define RUN_OF(sum, c) sum[c]
#define STORE_RUN(at, x) scores_w[at] = x

vec4 load_key(uint begin, uint d)
{
    return heed_first(k_load4n(DT_K, begin + d, DIM_QK - d), DIM_QK - d);
}

float first_scores(float x, uint n)
{
    return n > 0u ? x : 0.0;
}
#endif

const uint VECTORS = (DIM_QK + 3u) / 4u;

// How far a lane's c-th key is from its first.
uint nth(uint c)
{
    return c / RUN * (RUN * WG) + c % RUN;
}

uint q_begin(Sequence s, uint row)
{
    return HEED_RESIDUAL(push, HEED_ATTN_Q) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.q_stride_batch) +
           s.head * push.q_stride_head + (s.row_start + row) * push.q_stride_row;
}

#ifdef HEED_ADDRESS
#include "address.glsl"
#define QUERY(r, d) heed_load4_at(query, 4u * (d), DIM_QK)
#else
shared vec4 shared_q[BR * VECTORS];
// The index is masked for lavapipe to see that it is within the array (29 : 26 ms).
#define QUERY(r, d) shared_q[((r) & (BR - 1u)) * VECTORS + (d)]

// lavapipe's compiler does not keep what was computed before a barrier but computes it again at every use, here the
// divisions of a lane's number in every row: a third of the time. It keeps what comes from memory.
shared uint shared_lane[WG], shared_key0, shared_row0, shared_rows;
#endif

// Of rows row0 .. row0 + rows - 1 and the lane's keys from `key` on.
void make_scores(Sequence s, uint row0, uint rows, uint key)
{
    uint keys = s.keys > push.key0 ? min(s.keys - push.key0, push.keys) : 0u;
    uint k_base = HEED_RESIDUAL(push, HEED_ATTN_K) + (flag(HEED_ATTN_PACKED_KV) ? 0u : s.batch * push.k_stride_batch) +
                  s.head_kv * push.k_stride_head + s.key_start * push.k_stride_row;
    vec4 kk[BC * VECTORS];
    if (!flag(HEED_ATTN_PACKED_KV) || keys > 0u)
        [[unroll]] for (uint c = 0u; c < BC; c++) {
            uint begin = k_base + min(key + nth(c), keys - 1u) * push.k_stride_row;
            [[unroll]] for (uint d = 0u; d < VECTORS; d++)
                kk[c * VECTORS + d] = load_key(begin, 4u * d);
        }
    uint o = HEED_RESIDUAL(push, HEED_ATTN_O) + (flag(HEED_ATTN_PACKED_Q) ? 0u : s.batch * push.o_stride_batch) +
             s.head * push.o_stride_head + (s.row_start + row0) * push.o_stride_row + key;
    uint stride = push.o_stride_row;
    float scale = push.scale;
#ifdef HEED_ADDRESS
    uint64_t all_q = heed_base(push.address0);
#endif
    [[dont_unroll]] for (uint r = 0u; r < rows; r++) {
#ifdef HEED_ADDRESS
        uint64_t query = heed_address(all_q, q_begin(s, row0 + min(r, rows - 1u)));
#endif
        float sum[BC];
        [[unroll]] for (uint c = 0u; c < BC; c++)
            sum[c] = 0.0;
        [[unroll]] for (uint d = 0u; d < VECTORS; d++) {
            vec4 qq = QUERY(r, d);
            [[unroll]] for (uint w = 0u; w < 4u; w++)
                [[unroll]] for (uint c = 0u; c < BC; c++)
                    sum[c] = fma(qq[w], kk[c * VECTORS + d][w], sum[c]);
        }
        // A scatter is a branch for each lane, past which lavapipe's compiler moves what only the next one needs: the
        // sums would be made key by key, each waiting for itself and all with the whole query kept in memory. So the
        // first address needs all of them: no sum is a signalling NaN, which no compiler knows. 8 heads of 1024 x 1024
        // keys, Zen 3, 8 lanes 37 : 20 ms.
        float all = 0.0;
        [[unroll]] for (uint c = 0u; c < BC; c++)
            all += sum[c];
        uint at = o + (floatBitsToUint(all) == 0x7f800001u ? 1u : 0u);
        // Behind its last keys a lane stores its first again: branches between the sums would cost half.
        RUN_SCORES first = RUN_SCORES(0.0);
        [[unroll]] for (uint c = 0u; c < BC; c += RUN) {
            uint column = key + nth(c);
            RUN_SCORES x = first_scores(scale * RUN_OF(sum, c), keys > column ? keys - column : 0u);
            first = c == 0u ? x : first;
            STORE_RUN(at + (column < push.keys ? nth(c) : 0u), column < push.keys ? x : first);
        }
        o += stride;
    }
}

void main()
{
    Sequence s = sequence(gl_WorkGroupID.z, gl_WorkGroupID.y);
    uint key_blocks = (push.keys + BC * WG - 1u) / (BC * WG);
    uint key0 = gl_WorkGroupID.x % key_blocks * (BC * WG), row0 = gl_WorkGroupID.x / key_blocks * BR;
    uint end_row = s.rows > push.row0 ? min(s.rows - push.row0, push.rows) : 0u;
#ifdef HEED_ADDRESS
    uint key = key0 + RUN * gl_LocalInvocationIndex;
    if (row0 < end_row && key < push.keys)
        make_scores(s, row0, min(end_row - row0, BR), key);
#else
    if (row0 >= end_row)
        return;
    {
        uint t = gl_LocalInvocationIndex, rows = min(end_row - row0, BR);
        for (uint e = t; e < rows * VECTORS; e += WG) {
            uint d = e % VECTORS * 4u;
            shared_q[e] = heed_first(q_load4n(DT_Q, q_begin(s, row0 + e / VECTORS) + d, DIM_QK - d), DIM_QK - d);
        }
        shared_lane[t] = t;
        if (t == 0u) {
            shared_key0 = key0;
            shared_row0 = row0;
            shared_rows = rows;
        }
    }
    barrier();

    uint key = shared_key0 + RUN * shared_lane[gl_LocalInvocationIndex];
    if (key >= push.keys)
        return;
    make_scores(s, shared_row0, shared_rows, key);
#endif
}
