// SPDX-License-Identifier: MIT
// Multi-scale deformable attention: a work group makes ROWS queries of one head. Where the neighbours of a sample lie and
// what they weigh is worked out once, for all invocations that make channels of the query.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"

layout(local_size_x_id = HEED_SPEC_GROUP) in;
layout(constant_id = HEED_SPEC_GROUP) const uint GROUP = 64; // ROWS * BLOCKS
#include "deform.glsl"
layout(constant_id = HEED_DEFORM_SPEC_POINTS) const uint POINTS = 16; // of all levels
layout(constant_id = HEED_DEFORM_SPEC_ROWS) const uint ROWS = 8;
layout(constant_id = HEED_DEFORM_SPEC_CHUNK) const uint CHUNK = 16; // points of a query that shared memory has room for

// Four neighbours an entry; a query's are an odd number of entries, so that queries are read from different banks.
const uint ENTRIES = NEIGHBOURS == 8u ? 2u : 1u;
const uint PITCH = CHUNK * ENTRIES | 1u;
shared uvec4 s_at[ROWS * PITCH];
shared vec4 s_weight[ROWS * PITCH];
shared float s_sum[FROM_OFFSETS ? GROUP : 1u];

const uint UNUSED = 0x80000000u; // in the first of an entry's addresses: a weight is zero

void add_rows(uvec4 at, vec4 weight, bvec4 used, uint first)
{
    add_row(weight.x, used.x, at.x, first);
    if (!NEAREST) {
        add_row(weight.y, used.y, at.y, first);
        add_row(weight.z, used.z, at.z, first);
        add_row(weight.w, used.w, at.w, first);
    }
}

void main()
{
    uint local_row = gl_LocalInvocationIndex / BLOCKS, block = gl_LocalInvocationIndex % BLOCKS;
    uint head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z;
    uint row = gl_WorkGroupID.x * ROWS + local_row; // beyond the last query: the last one again, and nothing is stored
    uint query = min(row, push.queries - 1u);
    uint batch_query = batch * push.queries + query;
    uint slot = (batch_query * push.heads_total + head) * POINTS;
    uint weight_at = HEED_RESIDUAL(push, HEED_DEFORM_WEIGHTS) + slot;
    uint coord_at = HEED_RESIDUAL(push, HEED_DEFORM_COORDS) + slot * AXES;
    uint levels = push.counts & 0xffffu;
    Highest highest = Highest(0.0, false);
    if (FROM_OFFSETS)
        highest = highest_logit(weight_at, POINTS);

    float sum = 0.0;
    uint first = block * BLOCK;
    uint value_at = value_unit(batch, head, first);
    for (uint begin = 0u; begin < POINTS; begin += CHUNK) {
        uint end = min(begin + CHUNK, POINTS);
        if (begin > 0u)
            barrier();
        for (uint p = begin + block; p < end; p += BLOCKS) {
            // Selected, so that no driver meets push constants at addresses that differ between invocations.
            uvec3 level = load_level(0u);
            uint number = 0u;
            for (uint l = 1u, level_begin = level.y >> 16; l < levels; l++) {
                uvec3 next = load_level(l);
                level = p >= level_begin ? next : level;
                number = p >= level_begin ? l : number;
                level_begin += next.y >> 16;
            }
            float weight = UNWEIGHTED ? 1.0 : weights[weight_at + p];
            vec3 location = load_coords(coord_at + p * AXES);
            if (FROM_OFFSETS) {
                Frame frame = reference_frame(REFERENCE_PER_LEVEL ? batch_query * levels + number : batch_query, level);
                location = fma(location, frame.unit, frame.centre);
                weight = exp(weight - highest.logit);
                sum += weight;
            }
            Place near = place(location, level);
            vec4 plane = near.x.weight.xyxy * near.y.weight.xxyy;
            [[unroll]] for (uint e = 0u; e < ENTRIES; e++) {
                vec4 share = VOLUME ? plane * (e == 0u ? near.z.weight.x : near.z.weight.y) : plane;
                uint i = local_row * PITCH + (p - begin) * ENTRIES + e;
                vec4 part = mix(share * weight, vec4(0.0), equal(share, vec4(0.0)));
                uvec4 at = near.x.at.xyxy + near.y.at.xxyy + (e == 0u ? near.z.at.x : near.z.at.y);
                if (any(equal(NEAREST ? part.xxxx : part, vec4(0.0))))
                    at.x |= UNUSED;
                s_at[i] = at;
                s_weight[i] = part;
            }
        }
        if (FROM_OFFSETS && end == POINTS)
            s_sum[gl_LocalInvocationIndex] = sum;
        barrier();
        for (uint i = local_row * PITCH; i < local_row * PITCH + (end - begin) * ENTRIES; i++) {
            uvec4 at = s_at[i];
            vec4 weight = s_weight[i];
            // Inside of a level nothing has weight zero, and nothing needs to be masked.
            if ((at.x & UNUSED) == 0u)
                add_rows(value_at + at, weight, bvec4(true), first);
            else
                add_rows(value_at + (at & ~UNUSED), weight, notEqual(weight, vec4(0.0)), first);
        }
    }

    if (FROM_OFFSETS) {
        sum = 0.0;
        for (uint i = 0u; i < min(BLOCKS, POINTS); i++)
            sum += s_sum[local_row * BLOCKS + i];
    }
    uint o_at = HEED_RESIDUAL(push, HEED_DEFORM_O) + batch * push.o_stride_batch + query * push.o_stride_row +
                head * push.o_stride_head + first;
    if (row < push.queries)
        store_row(o_at, first, sum == 0.0 ? 0.0 : 1.0 / sum, highest.broken);
}
