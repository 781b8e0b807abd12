// SPDX-License-Identifier: MIT
// Loads of floats at addresses of memory, for drivers whose loads from bindings check their bounds each time. The source
// has the extensions GL_EXT_buffer_reference, GL_EXT_shader_explicit_arithmetic_types_int64 and
// GL_KHR_shader_subgroup_ballot.
//
//   heed_base(push.address0)           uint64_t: where the binding begins; before a loop, in which bounds are checked
//   heed_address(base, e)              uint64_t: of its element e, the same for all lanes
//   heed_load4_at(address, d, count)   vec4: elements d to d + 3 behind it; zeros from count on, a constant
//   heed_load2_at(address, d)          vec2: elements d and d + 1; d is the same for all lanes

#ifndef HEED_ADDRESS_GLSL
#define HEED_ADDRESS_GLSL

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer HeedFloats { float x[4]; };

uint64_t heed_base(uint words[2])
{
    return uint64_t(words[0]) | uint64_t(words[1]) << 32;
}

// The element of the first lane: lavapipe takes a loop's variables for different in each, and would gather.
uint64_t heed_address(uint64_t base, uint e)
{
    return base + uint64_t(subgroupBroadcastFirst(e)) * 4ul;
}

vec4 heed_load4_at(uint64_t address, uint d, uint count)
{
    HeedFloats four = HeedFloats(address + uint64_t(4u * d));
    vec4 x = vec4(four.x[0], 0.0, 0.0, 0.0);
    [[unroll]] for (uint i = 1u; i < 4u; i++)
        if (d + i < count)
            x[i] = four.x[i];
    return x;
}

vec2 heed_load2_at(uint64_t address, uint d)
{
    HeedFloats two = HeedFloats(address + uint64_t(4u * d));
    return vec2(two.x[0], two.x[1]);
}

#endif
