/* SPDX-License-Identifier: MIT
 * The levels of deformable attention, where a location's neighbours are and what they weigh: the same text in GLSL
 * and in OpenCL C. Whoever includes it has declared coords, weights, reference and table, and UNIT, how many elements
 * an address counts. */
#ifndef HEED_DEFORM_H
#define HEED_DEFORM_H

#include "language.h"

#define VOLUME flag(HEED_DEFORM_3D)
#define NEAREST flag(HEED_DEFORM_NEAREST)
#define BORDER flag(HEED_DEFORM_BORDER)
#define ALIGN_CORNERS flag(HEED_DEFORM_ALIGN_CORNERS)
#define FROM_OFFSETS flag(HEED_DEFORM_FROM_OFFSETS)
#define BOXES flag(HEED_DEFORM_BOXES)
#define REFERENCE_PER_LEVEL flag(HEED_DEFORM_REFERENCE_PER_LEVEL)
#define LEVEL_TABLE flag(HEED_DEFORM_LEVEL_TABLE)
#define UNWEIGHTED flag(HEED_DEFORM_UNWEIGHTED)
#define AXES (VOLUME ? 3u : 2u)
#define NEIGHBOURS (NEAREST ? 1u : VOLUME ? 8u : 4u)

#define HEED_MINUS_INFINITY HEED_FLOAT(0xff800000u)
#define HEED_NAN HEED_FLOAT(0x7fc00000u)

uint level_word(HEED_PARAMS uint i)
{
    return LEVEL_TABLE ? table[HEED_RESIDUAL(push, HEED_DEFORM_TABLE) + i] : push.levels[i];
}

/* width | height << 16, depth | points << 16, first row */
uvec3 load_level(HEED_PARAMS uint level)
{
    uint i = HEED_DEFORM_LEVEL_WORDS * level;
    return HEED_VEC(uvec3)(level_word(HEED_ARGS i), level_word(HEED_ARGS i + 1u), level_word(HEED_ARGS i + 2u));
}

vec3 load_coords(HEED_PARAMS uint i)
{
    return HEED_VEC(vec3)(coords[i], coords[i + 1u], VOLUME ? coords[i + 2u] : 0.0f);
}

vec3 load_reference(HEED_PARAMS uint i)
{
    return HEED_VEC(vec3)(reference[i], reference[i + 1u], VOLUME ? reference[i + 2u] : 0.0f);
}

/* NaN contributes nothing, and infinity is outside, which with border padding is the edge. By the bits, because
 * compilers may assume that there is no NaN. */
bool is_place(vec3 location)
{
    uint x = HEED_BITS(location.x) & 0x7fffffffu, y = HEED_BITS(location.y) & 0x7fffffffu;
    uint z = HEED_BITS(location.z) & 0x7fffffffu, most = BORDER ? 0x7f800000u : 0x7f7fffffu;
    return max(max(x, y), z) <= most;
}

/* The two neighbours on an axis, and their weights. One that is outside has weight 0 and the number of a pixel inside,
 * so that it can be read without harm. */
HEED_STRUCT(Neighbours)
struct Neighbours {
    uvec2 at;
    vec2 weight;
};

/* Of a location on an axis of n pixels. */
Neighbours neighbours(float location, float n)
{
    float x = ALIGN_CORNERS ? location * (n - 1.0f) : fma(location, n, -0.5f);
    if (BORDER)
        x = clamp(x, 0.0f, n - 1.0f);
    float low = NEAREST ? HEED_ROUND_EVEN(x) : floor(x), high = low + 1.0f;
    bool low_inside = low >= 0.0f && low < n, high_inside = high >= 0.0f && high < n;
    Neighbours e;
    /* Selected, since far beyond a level there is infinity minus infinity. */
    e.weight = HEED_VEC(vec2)(low_inside ? (NEAREST ? 1.0f : high - x) : 0.0f,
                              high_inside ? (NEAREST ? 0.0f : x - low) : 0.0f);
    /* Whole numbers from 0 to 65534 as the low bits of 2^23 + x: lavapipe converts each lane on its own. */
    e.at = HEED_VEC(uvec2)(HEED_BITS((low_inside ? low : 0.0f) + 8388608.0f) & 0xffffu,
                           HEED_BITS((high_inside ? high : 0.0f) + 8388608.0f) & 0xffffu);
    return e;
}

HEED_STRUCT(Place)
struct Place {
    Neighbours x, y, z;
};

/* Neighbours of a location on a level, in units from the beginning of value, and their weights along each axis. */
Place place(HEED_PARAMS vec3 location, uvec3 level)
{
    uint width = level.x & 0xffffu, height = level.x >> 16, depth = level.y & 0xffffu;
    Place p;
    p.z.at = HEED_VEC(uvec2)(0u, 0u);
    p.z.weight = HEED_VEC(vec2)(1.0f, 0.0f);
    bool valid = is_place(location);
    location = valid ? location : HEED_VEC(vec3)(0.0f, 0.0f, 0.0f);
    if (BORDER) /* infinity times n - 1 */
        location = clamp(location, HEED_VEC(vec3)(-1e9f, -1e9f, -1e9f), HEED_VEC(vec3)(1e9f, 1e9f, 1e9f));
    p.x = neighbours(location.x, HEED_CAST(float, width));
    p.y = neighbours(location.y, HEED_CAST(float, height));
    if (VOLUME)
        p.z = neighbours(location.z, HEED_CAST(float, depth));
    p.x.weight = valid ? p.x.weight : HEED_VEC(vec2)(0.0f, 0.0f);
    uint pixel = push.value_stride_row / UNIT;
    p.x.at = (p.x.at + level.z) * pixel;
    p.y.at *= width * pixel;
    p.z.at *= width * height * pixel;
    return p;
}

/* Offsets are in units from the centre. */
HEED_STRUCT(Frame)
struct Frame {
    vec3 centre, unit;
};

/* `entry` counts points or boxes of the reference. */
Frame reference_frame(HEED_PARAMS uint entry, uvec3 level)
{
    uint i = HEED_RESIDUAL(push, HEED_DEFORM_REFERENCE) + entry * (BOXES ? 2u * AXES : AXES);
    vec3 size = HEED_VEC(vec3)(HEED_CAST(float, level.x & 0xffffu), HEED_CAST(float, level.x >> 16),
                               HEED_CAST(float, level.y & 0xffffu));
    Frame f;
    f.centre = load_reference(HEED_ARGS i);
    f.unit = 1.0f / size;
    if (BOXES)
        f.unit = load_reference(HEED_ARGS i + AXES) * (push.offset_scale / HEED_CAST(float, level.y >> 16));
    return f;
}

/* What logits are reduced by before exp. Logits that are all -inf make every weight 0. That NaN and +inf reach the
 * outputs is not left to exp: of NaN, SwiftShader's is 0. */
HEED_STRUCT(Highest)
struct Highest {
    float logit;
    bool broken;
};

Highest highest_logit(HEED_PARAMS uint i, uint count)
{
    Highest h;
    h.logit = HEED_MINUS_INFINITY;
    h.broken = false;
    for (uint end = i + count; i < end; i++) {
        float logit = weights[i];
        h.logit = max(h.logit, logit);
        h.broken = h.broken || (HEED_BITS(logit) & 0x7fffffffu) > 0x7f800000u || HEED_BITS(logit) == 0x7f800000u;
    }
    h.logit = h.logit == HEED_MINUS_INFINITY ? 0.0f : h.logit;
    return h;
}

#endif
