// SPDX-License-Identifier: MIT
// The kernel of canary.c: copies one buffer to another, from element `first` on.
#version 450
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) readonly buffer source_block { uint source[]; };
layout(set = 0, binding = 1) writeonly buffer target_block { uint target[]; };
layout(push_constant) uniform push_block { uint first; } push;

void main()
{
    const uint i = push.first + gl_GlobalInvocationID.x;
    target[i] = source[i] + 1;
}
