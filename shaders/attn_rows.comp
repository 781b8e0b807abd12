#version 450
// SPDX-License-Identifier: MIT
// Fused attention without shared memory or barriers, for software drivers: a lane owns BR rows with their queries and
// outputs, and all lanes read the same BC = 4 keys at a time, so that a load is one load for the whole vector.
// Measurements stand in src/preferences.c.
//
//   groups.x  row blocks x slices of the output's features      groups.y  heads      groups.z  batches x key splits
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"
#include "fused.glsl"

const uint KEYS = 4u;
const uint Q_VECTORS = (DIM_QK + 3u) / 4u;
const uint V_VECTORS = (DIM_V_SLICE + 3u) / 4u;

void main()
{
    uint t = gl_LocalInvocationIndex;
    uint row0 = gl_WorkGroupID.x / SLICES * (BR * WG), feature0 = gl_WorkGroupID.x % SLICES * DIM_V_SLICE;
    uint splits = split_count(), split = gl_WorkGroupID.z % splits;
    Sequence s = sequence(gl_WorkGroupID.z / splits, gl_WorkGroupID.y);
    uint end_row = row_count(s);
    if (row0 >= end_row)
        return;
    uint last_row = end_row - 1u;
    KeyRange range = key_range(s, split, row0, min(row0 + BR * WG - 1u, last_row));

    vec4 query[BR * Q_VECTORS], acc[BR * V_VECTORS];
    float m[BR], sum[BR], weighted[BR];
    [[unroll]] for (uint r = 0u; r < BR; r++) {
        uint e = q_begin(s) + min(row0 + r * WG + t, last_row) * push.q_stride_row;
        [[unroll]] for (uint d = 0u; d < Q_VECTORS; d++)
            query[r * Q_VECTORS + d] = load_q(e, 4u * d) * push.scale;
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
            acc[r * V_VECTORS + d] = vec4(0.0);
        m[r] = HEED_RULED_OUT;
        sum[r] = 0.0;
        weighted[r] = 0.0;
    }
    uint k_base = k_begin(s), v_base = v_begin(s);

    [[dont_unroll]] for (uint key = range.first; key < range.end; key += KEYS) {
        uint last = range.end - key - 1u; // behind it, the last key is read again and ruled out
        uvec4 keys = key + min(uvec4(0u, 1u, 2u, 3u), uvec4(last));
        uvec4 ke = k_base + keys * push.k_stride_row, ve = v_base + keys * push.v_stride_row;
        vec4 p[BR];
        [[unroll]] for (uint r = 0u; r < BR; r++)
            p[r] = vec4(0.0);
        [[unroll]] for (uint d = 0u; d < Q_VECTORS; d++) {
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                vec4 kk = load_k(ke[c], 4u * d);
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    vec4 qq = query[r * Q_VECTORS + d];
                    p[r][c] = fma(qq.x, kk.x, fma(qq.y, kk.y, fma(qq.z, kk.z, fma(qq.w, kk.w, p[r][c]))));
                }
            }
        }
        float shift[BR];
        [[unroll]] for (uint r = 0u; r < BR; r++) {
            // The logit is much code: one copy of it in a loop, where the index costs a select.
            [[dont_unroll]] for (uint c = 0u; c < KEYS; c++)
                p[r][c] = c > last ? HEED_RULED_OUT : attn_logit(s, row0 + r * WG + t, key + c, p[r][c]);
            float top = m[r];
            [[unroll]] for (uint c = 0u; c < KEYS; c++)
                top = p[r][c] > top ? p[r][c] : top;
            shift[r] = sum[r] == 0.0 ? 0.0 : heed_exp(m[r] - top);
            if (flag(HEED_ATTN_WRITE_ENTROPY))
                weighted[r] = sum[r] == 0.0 ? 0.0 : shift[r] * (weighted[r] + sum[r] * (m[r] - top));
            sum[r] *= shift[r];
            m[r] = top;
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                float x = p[r][c] - top;
                p[r][c] = HEED_IS_RULED_OUT(p[r][c]) ? 0.0 : heed_exp(x);
                sum[r] += p[r][c];
                if (flag(HEED_ATTN_WRITE_ENTROPY))
                    weighted[r] += p[r][c] == 0.0 ? 0.0 : p[r][c] * x;
            }
        }
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++) {
            uint feature = min(feature0 + 4u * d, (DIM_V - 1u) / 4u * 4u); // the last slice may be shorter
            [[unroll]] for (uint r = 0u; r < BR; r++)
                acc[r * V_VECTORS + d] *= shift[r];
            [[unroll]] for (uint c = 0u; c < KEYS; c++) {
                vec4 value = v_load4n(DT_V, ve[c] + feature, DIM_V - feature);
                [[unroll]] for (uint r = 0u; r < BR; r++) {
                    vec4 used = GUARDED && p[r][c] == 0.0 ? vec4(0.0) : value;
                    acc[r * V_VECTORS + d] = fma(vec4(p[r][c]), used, acc[r * V_VECTORS + d]);
                }
            }
        }
    }

    [[unroll]] for (uint r = 0u; r < BR; r++) {
        uint row = row0 + r * WG + t;
        if (row > last_row)
            continue;
        if (feature0 == 0u)
            store_sums(s, split, row, m[r], sum[r], weighted[r]);
        uint e = o_begin(s, split, row);
        float factor = o_factor(s, m[r], sum[r]);
        [[unroll]] for (uint d = 0u; d < V_VECTORS; d++)
            if (feature0 + 4u * d < DIM_V)
                store_o(e, feature0 + 4u * d, acc[r * V_VECTORS + d], factor);
    }
}
