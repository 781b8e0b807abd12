// SPDX-License-Identifier: MIT
// Sums, maxima and neighbours across the lanes of a subgroup that is the whole work group, by what lanes read of each
// other: lavapipe makes one instruction of that with 8 lanes, and loops over the lanes of subgroupAdd and of votes. The
// source has the extensions GL_KHR_shader_subgroup_basic and GL_KHR_shader_subgroup_shuffle.
//
//   heed_sums_across(x)    lane i has the sum over the lanes of x[i]; x has as many elements as there are lanes
//   heed_sum_of(x)         all lanes have the sum
//   heed_largest_of(x)     all have the maximum, NaN aside unless all are
//   heed_any_of(x)         is it so in any lane?
//   heed_neighbours(x, y)  lane i has elements 2 i and 2 i + 1 of those of x followed by those of y

#ifndef HEED_ACROSS_GLSL
#define HEED_ACROSS_GLSL

#include "address.glsl"

const uint LEVELS = WG <= 4u ? 2u : WG <= 8u ? 3u : WG <= 16u ? 4u : WG <= 32u ? 5u : 6u;

float heed_sums_across(float x[WG])
{
    uint lane = heed_lane();
    [[unroll]] for (uint level = 0u; level < LEVELS; level++)
        [[unroll]] for (uint i = 0u; i < WG >> (level + 1u); i++) {
            bool odd = (lane >> level & 1u) != 0u;
            float own = odd ? x[2u * i + 1u] : x[2u * i], other = odd ? x[2u * i] : x[2u * i + 1u];
            x[i] = own + subgroupShuffleXor(other, 1u << level);
        }
    return x[0];
}

float heed_sum_of(float x)
{
    [[unroll]] for (uint level = 0u; level < LEVELS; level++)
        x += subgroupShuffleXor(x, 1u << level);
    return x;
}

float heed_largest_of(float x)
{
    [[unroll]] for (uint level = 0u; level < LEVELS; level++) {
        float y = subgroupShuffleXor(x, 1u << level);
        x = y > x ? y : x;
    }
    return x;
}

bool heed_any_of(bool x)
{
    uint any = x ? 1u : 0u;
    [[unroll]] for (uint level = 0u; level < LEVELS; level++)
        any |= subgroupShuffleXor(any, 1u << level);
    return any != 0u;
}

vec2 heed_neighbours(float x, float y)
{
    uint first = 2u * heed_lane() % WG;
    bool second = 2u * heed_lane() >= WG;
    vec2 of_x = vec2(subgroupShuffle(x, first), subgroupShuffle(x, first + 1u));
    vec2 of_y = vec2(subgroupShuffle(y, first), subgroupShuffle(y, first + 1u));
    return second ? of_y : of_x;
}

#endif
