// SPDX-License-Identifier: MIT
// Multi-scale deformable attention: one invocation makes 4 to 16 channels of one head of one query, over all levels and
// points. The location arithmetic and the softmax of the logits are part of it.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
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
    uint reference_at = HEED_RESIDUAL(push, HEED_DEFORM_REFERENCE) +
                        row * (REFERENCE_PER_LEVEL ? levels : 1u) * (BOXES ? 2u * AXES : AXES);
    uint value_at = HEED_RESIDUAL(push, HEED_DEFORM_VALUE) + batch * push.value_stride_batch +
                    head * push.value_stride_head + first;

    // Logits that are all -inf make every weight 0. That NaN and +inf reach the outputs is not left to exp: of NaN,
    // SwiftShader's is 0.
    float highest = NEGATIVE_INFINITY, sum = 0.0;
    bool broken = false;
    if (FROM_OFFSETS) {
        for (uint p = 0u; p < points_total; p++) {
            float logit = weights[weight_at + p];
            highest = max(highest, logit);
            broken = broken || is_nan(logit) || floatBitsToUint(logit) == 0x7f800000u;
        }
        if (highest == NEGATIVE_INFINITY)
            highest = 0.0;
    }

    for (uint level = 0u; level < levels; level++) {
        uint plane = level_word(HEED_DEFORM_LEVEL_WORDS * level), more = level_word(HEED_DEFORM_LEVEL_WORDS * level + 1u);
        uint level_at = value_at + level_word(HEED_DEFORM_LEVEL_WORDS * level + 2u) * push.value_stride_row;
        uint width = plane & 0xffffu, height = plane >> 16, points = more >> 16;
        vec3 size = vec3(width, height, more & 0xffffu);
        vec3 centre = vec3(0.0), unit = vec3(1.0);
        if (FROM_OFFSETS) {
            centre = load_reference(reference_at);
            unit = BOXES ? load_reference(reference_at + AXES) * (push.offset_scale / float(points)) : 1.0 / size;
            if (REFERENCE_PER_LEVEL)
                reference_at += BOXES ? 2u * AXES : AXES;
        }
        for (uint p = 0u; p < points; p++) {
            float weight = weights[weight_at++];
            vec3 location = load_coords(coord_at);
            coord_at += AXES;
            if (FROM_OFFSETS) {
                weight = exp(weight - highest);
                sum += weight;
                location = fma(location, unit, centre);
            }
            uvec2 x, y, z = uvec2(0u);
            vec2 wx, wy, wz = vec2(1.0, 0.0);
            neighbours(location.x, size.x, x, wx);
            neighbours(location.y, size.y, y, wy);
            if (VOLUME)
                neighbours(location.z, size.z, z, wz);
            if (!is_place(location) || wx == vec2(0.0) || wy == vec2(0.0) || wz == vec2(0.0))
                continue;
            x *= push.value_stride_row;
            y *= width * push.value_stride_row;
            z *= width * height * push.value_stride_row;
            [[unroll]] for (uint k = 0u; k < NEIGHBOURS; k++) {
                bool right = (k & 1u) != 0u, down = (k & 2u) != 0u, deep = (k & 4u) != 0u;
                float share = (right ? wx.y : wx.x) * (down ? wy.y : wy.x) * (deep ? wz.y : wz.x);
                float part = share == 0.0 ? 0.0 : weight * share;
                add_row(part, level_at + (right ? x.y : x.x) + (down ? y.y : y.x) + (deep ? z.y : z.x), first);
            }
        }
    }

    uint o_at = HEED_RESIDUAL(push, HEED_DEFORM_O) + batch * push.o_stride_batch + query * push.o_stride_row +
                head * push.o_stride_head + first;
    store_row(o_at, first, sum == 0.0 ? 0.0 : 1.0 / sum, broken);
}
