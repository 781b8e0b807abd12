// SPDX-License-Identifier: MIT
// Multi-scale deformable attention: one invocation makes 4 to 16 channels of one head of one query, over all levels and
// points. The location arithmetic and the softmax of the logits are part of it.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HEED_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#include "abi.h"

layout(local_size_x_id = HEED_SPEC_GROUP) in;
#include "deform.glsl"

void main()
{
    uint item = gl_GlobalInvocationID.x;
    uint first = item % BLOCKS * BLOCK;
    uint query = item / BLOCKS, head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z;
    if (query >= push.queries)
        return;
    uint row = batch * push.queries + query;
    uint levels = push.counts & 0xffffu, points_total = push.counts >> 16;
    uint slot = (row * push.heads_total + head) * points_total;
    uint weight_at = HEED_RESIDUAL(push, HEED_DEFORM_WEIGHTS) + slot;
    uint coord_at = HEED_RESIDUAL(push, HEED_DEFORM_COORDS) + slot * AXES;
    uint value_at = value_unit(batch, head, first);
    Highest highest = Highest(0.0, false);
    float sum = 0.0;
    if (FROM_OFFSETS)
        highest = highest_logit(weight_at, points_total);

    for (uint l = 0u; l < levels; l++) {
        uvec3 level = load_level(l);
        Frame frame;
        if (FROM_OFFSETS)
            frame = reference_frame(REFERENCE_PER_LEVEL ? row * levels + l : row, level);
        for (uint p = 0u; p < level.y >> 16; p++) {
            float weight = UNWEIGHTED ? 1.0 : weights[weight_at++];
            vec3 location = load_coords(coord_at);
            coord_at += AXES;
            if (FROM_OFFSETS) {
                weight = exp(weight - highest.logit);
                sum += weight;
                location = fma(location, frame.unit, frame.centre);
            }
            Place at = place(location, level);
            // A block of its own for the loads: lavapipe is 1.3 times slower without.
            if (at.x.weight == vec2(0.0) || at.y.weight == vec2(0.0) || at.z.weight == vec2(0.0))
                continue;
            [[unroll]] for (uint k = 0u; k < NEIGHBOURS; k++) {
                bool right = (k & 1u) != 0u, down = (k & 2u) != 0u, deep = (k & 4u) != 0u;
                float share = (right ? at.x.weight.y : at.x.weight.x) * (down ? at.y.weight.y : at.y.weight.x) *
                              (deep ? at.z.weight.y : at.z.weight.x);
                float part = share == 0.0 ? 0.0 : weight * share;
                add_row(part, part != 0.0,
                        value_at + (right ? at.x.at.y : at.x.at.x) + (down ? at.y.at.y : at.y.at.x) +
                            (deep ? at.z.at.y : at.z.at.x), first);
            }
        }
    }

    uint o_at = HEED_RESIDUAL(push, HEED_DEFORM_O) + batch * push.o_stride_batch + query * push.o_stride_row +
                head * push.o_stride_head + first;
    store_row(o_at, first, sum == 0.0 ? 0.0 : 1.0 / sum, highest.broken);
}
