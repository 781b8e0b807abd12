/* SPDX-License-Identifier: MIT
 * The levels of deformable attention, where a location's neighbours are and what they weigh: the same text in GLSL
 * and in OpenCL C. Whoever includes it has declared coords, weights, reference and table, and UNIT, how many elements
 * an address counts. */
#ifndef HEED_DEFORM_H
#define HEED_DEFORM_H

#include "language.h"

/* Where points are is worked out for one, or in OpenCL C for as many as a vector has; who wants that has defined: numbers,
 * masks, and how they are made of one and of each other, and structs of two or three of them with members x, y, z. */
#ifndef POINTS_FLOAT
#define POINTS_FLOAT float
#define POINTS_UINT uint
#define POINTS_BOOL bool
#define POINTS_EACH(x) x
#define POINTS_BITS(x) HEED_BITS(x)
#define POINTS_OF_UINT(x) HEED_CAST(float, x)
#define POINTS_PAIR vec2
#define POINTS_UINT_PAIR uvec2
#define POINTS_LOCATION vec3
#define POINTS_LEVEL uvec3
#endif

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
POINTS_BOOL is_place(POINTS_LOCATION location)
{
    POINTS_UINT x = POINTS_BITS(location.x) & 0x7fffffffu, y = POINTS_BITS(location.y) & 0x7fffffffu;
    POINTS_UINT z = POINTS_BITS(location.z) & 0x7fffffffu;
    return max(max(x, y), z) <= (BORDER ? 0x7f800000u : 0x7f7fffffu);
}

/* The two neighbours on an axis, and their weights. One that is outside has weight 0 and the number of a pixel inside,
 * so that it can be read without harm. */
HEED_STRUCT(Neighbours)
struct Neighbours {
    POINTS_UINT_PAIR at;
    POINTS_PAIR weight;
};

/* The nearest whole number, of two the even one. Not roundEven: lavapipe rounds halves away from zero where its vectors
 * are longer than the processor's. */
POINTS_FLOAT nearest(POINTS_FLOAT x)
{
    POINTS_FLOAT below = floor(x), part = x - below, half_below = 0.5f * below;
    POINTS_BOOL stays = part < 0.5f || (part == 0.5f && half_below == floor(half_below));
    return stays ? below : below + 1.0f;
}

/* Of a location on an axis of n pixels. */
Neighbours neighbours(POINTS_FLOAT location, POINTS_FLOAT n)
{
    const POINTS_FLOAT zero = POINTS_EACH(0.0f);
    POINTS_FLOAT x = ALIGN_CORNERS ? location * (n - 1.0f) : fma(location, n, POINTS_EACH(-0.5f));
    if (BORDER)
        x = clamp(x, zero, n - 1.0f);
    POINTS_FLOAT low = NEAREST ? nearest(x) : floor(x), high = low + 1.0f;
    POINTS_BOOL low_inside = low >= 0.0f && low < n, high_inside = high >= 0.0f && high < n;
    Neighbours e;
    /* Selected, since far beyond a level there is infinity minus infinity. */
    e.weight.x = low_inside ? (NEAREST ? POINTS_EACH(1.0f) : high - x) : zero;
    e.weight.y = high_inside ? (NEAREST ? zero : x - low) : zero;
    /* Whole numbers from 0 to 65534 as the low bits of 2^23 + x: lavapipe converts each lane on its own. */
    e.at.x = POINTS_BITS((low_inside ? low : zero) + 8388608.0f) & 0xffffu;
    e.at.y = POINTS_BITS((high_inside ? high : zero) + 8388608.0f) & 0xffffu;
    return e;
}

/* Infinity times n - 1 would be NaN. */
POINTS_FLOAT bounded(POINTS_FLOAT x, POINTS_BOOL valid)
{
    x = valid ? x : POINTS_EACH(0.0f);
    return BORDER ? clamp(x, POINTS_EACH(-1e9f), POINTS_EACH(1e9f)) : x;
}

HEED_STRUCT(Place)
struct Place {
    Neighbours x, y, z;
};

/* Neighbours of a location on a level, in units from the beginning of value, and their weights along each axis. */
Place place(HEED_PARAMS POINTS_LOCATION location, POINTS_LEVEL level)
{
    POINTS_UINT width = level.x & 0xffffu, height = level.x >> 16, depth = level.y & 0xffffu;
    POINTS_BOOL valid = is_place(location);
    Place p;
    p.x = neighbours(bounded(location.x, valid), POINTS_OF_UINT(width));
    p.y = neighbours(bounded(location.y, valid), POINTS_OF_UINT(height));
    if (VOLUME) {
        p.z = neighbours(bounded(location.z, valid), POINTS_OF_UINT(depth));
    } else {
        p.z.at.x = p.z.at.y = width - width;
        p.z.weight.x = POINTS_EACH(1.0f);
        p.z.weight.y = POINTS_EACH(0.0f);
    }
    p.x.weight.x = valid ? p.x.weight.x : POINTS_EACH(0.0f);
    p.x.weight.y = valid ? p.x.weight.y : POINTS_EACH(0.0f);
    uint pixel = push.value_stride_row / UNIT;
    p.x.at.x = (p.x.at.x + level.z) * pixel;
    p.x.at.y = (p.x.at.y + level.z) * pixel;
    p.y.at.x *= width * pixel;
    p.y.at.y *= width * pixel;
    p.z.at.x *= width * height * pixel;
    p.z.at.y *= width * height * pixel;
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
