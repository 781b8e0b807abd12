// SPDX-License-Identifier: MIT
// Loads at addresses of memory, for drivers whose loads from bindings check their bounds each time. The source has the
// extensions GL_EXT_buffer_reference, GL_EXT_shader_explicit_arithmetic_types_int64, GL_KHR_shader_subgroup_basic and
// GL_KHR_shader_subgroup_ballot.
//
//   heed_base(push.address0)           uint64_t: where the binding begins; before a loop, in which bounds are checked
//   heed_address(base, e)              uint64_t: of its element e, the same for all lanes
//   heed_load_at(address, d)           float: element d behind it
//   heed_load4_at(address, d, count)   vec4: elements d to d + 3 behind it; zeros from count on, a constant
//   heed_load_lanes(address, d, count) float: element d + the lane's number, and 0 from count on; d and count constants
//
//   heed_load_two_lanes(dt, address, d, count)
//                                      vec2: elements d + 2 x the lane's number and the next one, of 16 bits, which lie
//                                      at multiples of 4 bytes; count is even

#ifndef HEED_ADDRESS_GLSL
#define HEED_ADDRESS_GLSL

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer HeedFloats { float x[4]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer HeedWord { uint x; };

uint64_t heed_base(uint words[2])
{
    return uint64_t(words[0]) | uint64_t(words[1]) << 32;
}

// The element of the first lane: lavapipe takes a loop's variables for different in each, and would gather.
uint64_t heed_address(uint64_t base, uint e)
{
    return base + uint64_t(subgroupBroadcastFirst(e)) * 4ul;
}

float heed_load_at(uint64_t address, uint d)
{
    return HeedFloats(address + uint64_t(4u * d)).x[0];
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

// The lane's number in a work group of one subgroup, for lavapipe a constant.
uint heed_lane()
{
    return WG <= gl_SubgroupSize ? gl_SubgroupInvocationID : gl_LocalInvocationIndex;
}

// All lanes load the elements of all, and each takes its own: of what lavapipe is told in this way, and in no other, its
// compiler makes one load of a vector. Addresses that it does not know to be neighbours cost 22 instructions and more.
#define HEED_LANES_OWN(x) \
    [[unroll]] for (uint level = 0u; level < 7u; level++) \
        [[unroll]] for (uint i = 0u; i < WG / 2u; i++) \
            if (i < WG >> (level + 1u)) \
                x[i] = (heed_lane() >> level & 1u) != 0u ? x[2u * i + 1u] : x[2u * i];

float heed_load_lanes(uint64_t address, uint d, uint count)
{
    float x[WG];
    [[unroll]] for (uint i = 0u; i < WG; i++)
        x[i] = d + i < count ? heed_load_at(address, d + i) : 0.0;
    HEED_LANES_OWN(x)
    return x[0];
}

vec2 heed_load_two_lanes(uint dt, uint64_t address, uint d, uint count)
{
    uint x[WG];
    [[unroll]] for (uint i = 0u; i < WG; i++)
        x[i] = d + 2u * i < count ? HeedWord(address + uint64_t(2u * d + 4u * i)).x : 0u;
    HEED_LANES_OWN(x)
    return heed_unpack16(dt, x[0]);
}

#endif
