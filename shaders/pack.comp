#version 450
// SPDX-License-Identifier: MIT
// Copies words of a small tensor, and words of the push block, into a table.
#extension GL_GOOGLE_include_directive : require

#include "abi.h"

layout(local_size_x_id = 0) in;

layout(set = 0, binding = HEED_PACK_SRC) readonly buffer src_block { uint src[]; };
layout(set = 0, binding = HEED_PACK_DST) buffer dst_block { uint dst[]; };

layout(push_constant) uniform push_block { HEED_PACK_PUSH } push;

void main()
{
    uint first = gl_GlobalInvocationID.x;
    uint from = HEED_RESIDUAL(push, HEED_PACK_SRC);
    uint to = HEED_RESIDUAL(push, HEED_PACK_DST);
    // A stride loop, so that no tensor needs more groups than a device has.
    for (uint i = first; i < push.count; i += gl_NumWorkGroups.x * gl_WorkGroupSize.x)
        dst[to + push.dst_word + i] = src[from + i];
    for (uint i = first; i < push.inline_count; i += gl_NumWorkGroups.x * gl_WorkGroupSize.x)
        dst[to + i] = push.inline_words[i];
}
