// SPDX-License-Identifier: MIT
// What the kernels of deformable attention share: constants, tensors, the levels, and where a location's neighbours are.

#ifndef HEED_DEFORM_GLSL
#define HEED_DEFORM_GLSL

layout(constant_id = HEED_DEFORM_SPEC_DIM) const uint DIM = 32;
layout(constant_id = HEED_DEFORM_SPEC_BLOCK) const uint BLOCK = 8;
layout(constant_id = HEED_DEFORM_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_DEFORM_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_DEFORM_SPEC_VECTOR) const uint VECTOR = 0x11;

const uint VALUE_DT = DTYPES & 15u;
const uint O_DT = (DTYPES >> 4) & 15u;
const uint VALUE_VECTOR = VECTOR & 15u;
const uint O_VECTOR = (VECTOR >> 4) & 15u;
const bool VOLUME = (FLAGS & HEED_DEFORM_3D) != 0u;
const bool NEAREST = (FLAGS & HEED_DEFORM_NEAREST) != 0u;
const bool BORDER = (FLAGS & HEED_DEFORM_BORDER) != 0u;
const bool ALIGN_CORNERS = (FLAGS & HEED_DEFORM_ALIGN_CORNERS) != 0u;
const bool FROM_OFFSETS = (FLAGS & HEED_DEFORM_FROM_OFFSETS) != 0u;
const bool BOXES = (FLAGS & HEED_DEFORM_BOXES) != 0u;
const bool REFERENCE_PER_LEVEL = (FLAGS & HEED_DEFORM_REFERENCE_PER_LEVEL) != 0u;
const bool LEVEL_TABLE = (FLAGS & HEED_DEFORM_LEVEL_TABLE) != 0u;
const uint AXES = VOLUME ? 3u : 2u;
const uint NEIGHBOURS = NEAREST ? 1u : VOLUME ? 8u : 4u;
const uint BLOCKS = (DIM + BLOCK - 1u) / BLOCK;
// Addresses in value count units of so many elements, which one load takes.
const uint UNIT = BLOCK >= 8u && VALUE_VECTOR == 8u ? 8u : VALUE_VECTOR >= 4u ? 4u : 1u;

layout(push_constant) uniform Push {
    HEED_DEFORM_PUSH
} push;

#define HEED_VECTOR (VALUE_VECTOR >= 4u)
#include "tensor.glsl"
HEED_TENSOR_IN(value, HEED_DEFORM_VALUE)
#undef HEED_VECTOR
#define HEED_VECTOR (O_VECTOR >= 4u)
HEED_TENSOR_OUT(o, HEED_DEFORM_O)
#ifdef HEED_INT64 /* for drivers that load lane by lane */
layout(set = 0, binding = HEED_DEFORM_VALUE) readonly buffer value_block8 { u64vec2 value_q[]; };
#endif
layout(set = 0, binding = HEED_DEFORM_COORDS) readonly buffer Coords { float coords[]; };
layout(set = 0, binding = HEED_DEFORM_WEIGHTS) readonly buffer Weights { float weights[]; };
layout(set = 0, binding = HEED_DEFORM_REFERENCE) readonly buffer Reference { float reference[]; };
layout(set = 0, binding = HEED_DEFORM_TABLE) readonly buffer Table { uint table[]; };

uint level_word(uint i)
{
    return LEVEL_TABLE ? table[HEED_RESIDUAL(push, HEED_DEFORM_TABLE) + i] : push.levels[i];
}

// width | height << 16, depth | points << 16, first row
uvec3 load_level(uint level)
{
    return uvec3(level_word(HEED_DEFORM_LEVEL_WORDS * level), level_word(HEED_DEFORM_LEVEL_WORDS * level + 1u),
                 level_word(HEED_DEFORM_LEVEL_WORDS * level + 2u));
}

vec3 load_coords(uint i)
{
    return vec3(coords[i], coords[i + 1u], VOLUME ? coords[i + 2u] : 0.0);
}

vec3 load_reference(uint i)
{
    return vec3(reference[i], reference[i + 1u], VOLUME ? reference[i + 2u] : 0.0);
}

#define NEGATIVE_INFINITY uintBitsToFloat(0xff800000u)
#define NAN uintBitsToFloat(0x7fc00000u)

// By the bits, because compilers may assume that there is no NaN.
bool is_nan(float x)
{
    return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u;
}

// NaN contributes nothing, and infinity is outside, which with border padding is the edge.
bool is_place(vec3 location)
{
    uvec3 bits = floatBitsToUint(location) & 0x7fffffffu;
    return BORDER ? all(lessThanEqual(bits, uvec3(0x7f800000u))) : all(lessThan(bits, uvec3(0x7f800000u)));
}

// The two neighbours of a location on an axis of n pixels, and their weights. One that is outside has weight 0 and the
// number of a pixel inside, so that it can be read without harm.
void neighbours(float location, float n, out uvec2 at, out vec2 weight)
{
    float x = ALIGN_CORNERS ? location * (n - 1.0) : fma(location, n, -0.5);
    if (BORDER)
        x = clamp(x, 0.0, n - 1.0);
    float low = NEAREST ? roundEven(x) : floor(x);
    vec2 pixel = vec2(low, low + 1.0);
    bvec2 inside = bvec2(low >= 0.0 && low < n, pixel.y >= 0.0 && pixel.y < n);
    // Selected, since far beyond a level there is infinity minus infinity.
    weight = mix(vec2(0.0), NEAREST ? vec2(1.0, 0.0) : vec2(pixel.y - x, x - low), inside);
    // Whole numbers from 0 to 65534 as the low bits of 2^23 + x: lavapipe converts each lane on its own.
    at = floatBitsToUint(mix(vec2(0.0), pixel, inside) + 8388608.0) & 0xffffu;
}

// Where in value the first of a block of channels begins.
uint value_unit(uint batch, uint head, uint first)
{
    return (HEED_RESIDUAL(push, HEED_DEFORM_VALUE) + batch * push.value_stride_batch + head * push.value_stride_head +
            first) / UNIT;
}

// Neighbours of a location on a level, in units from the beginning of value, and their weights along each axis.
void place(vec3 location, uvec3 level, out uvec2 x, out uvec2 y, out uvec2 z, out vec2 wx, out vec2 wy, out vec2 wz)
{
    uint width = level.x & 0xffffu, height = level.x >> 16, depth = level.y & 0xffffu;
    z = uvec2(0u);
    wz = vec2(1.0, 0.0);
    bool valid = is_place(location);
    location = valid ? location : vec3(0.0);
    if (BORDER) // infinity times n - 1
        location = clamp(location, vec3(-1e9), vec3(1e9));
    neighbours(location.x, float(width), x, wx);
    neighbours(location.y, float(height), y, wy);
    if (VOLUME)
        neighbours(location.z, float(depth), z, wz);
    wx = valid ? wx : vec2(0.0);
    uint pixel = push.value_stride_row / UNIT;
    x = (x + level.z) * pixel;
    y *= width * pixel;
    z *= width * height * pixel;
}

// Offsets are in units from the centre. `entry` counts points or boxes of the reference.
void reference_frame(uint entry, uvec3 level, out vec3 centre, out vec3 unit)
{
    uint i = HEED_RESIDUAL(push, HEED_DEFORM_REFERENCE) + entry * (BOXES ? 2u * AXES : AXES);
    centre = load_reference(i);
    unit = BOXES ? load_reference(i + AXES) * (push.offset_scale / float(level.y >> 16))
                 : 1.0 / vec3(level.x & 0xffffu, level.x >> 16, level.y & 0xffffu);
}

// What logits are reduced by before exp. Logits that are all -inf make every weight 0. That NaN and +inf reach the
// outputs is not left to exp: of NaN, SwiftShader's is 0.
float highest_logit(uint i, uint count, out bool broken)
{
    float highest = NEGATIVE_INFINITY;
    broken = false;
    for (uint end = i + count; i < end; i++) {
        float logit = weights[i];
        highest = max(highest, logit);
        broken = broken || is_nan(logit) || floatBitsToUint(logit) == 0x7f800000u;
    }
    return highest == NEGATIVE_INFINITY ? 0.0 : highest;
}

// ---- the 4 to 16 channels of one head of one query that an invocation makes

vec4 total0 = vec4(0.0), total1 = vec4(0.0), total2 = vec4(0.0), total3 = vec4(0.0); // named: V3D spills arrays

// Channels of this block's quarter: 4, but less at the end of an odd DIM; none in a quarter that is beyond it.
uint channels(uint first, uint quarter)
{
    return DIM % BLOCK == 0u ? 4u : DIM % 4u == 0u ? (first + 4u * quarter < DIM ? 4u : 0u)
                                                   : uint(clamp(int(DIM) - int(first + 4u * quarter), 0, 4));
}

// 16 bytes of value.
uvec4 load_words(uint i)
{
#ifdef HEED_INT64
    u64vec2 q = value_q[i];
    return uvec4(unpackUint2x32(q.x), unpackUint2x32(q.y));
#else
    return value_w4[i];
#endif
}

vec4 load_quarter(uint i, uint quarter, uint n)
{
    if (UNIT == 4u && VALUE_DT == HEED_DT_F32)
        return uintBitsToFloat(load_words(i + quarter));
    if (UNIT == 4u) {
        uvec2 w = value_w2[i + quarter];
        return vec4(heed_unpack16(VALUE_DT, w.x), heed_unpack16(VALUE_DT, w.y));
    }
    return value_load4n(VALUE_DT, i + 4u * quarter, n);
}

void add4(float weight, bvec4 used, uint i, uint first, uint quarter, inout vec4 total)
{
    uint n = channels(first, quarter);
    if (n > 0u)
        total = fma(vec4(weight), mix(vec4(0.0), load_quarter(i, quarter, n), used), total);
}

void add8(float weight, bvec4 used, uint i, uint first, uint half_, inout vec4 low, inout vec4 high)
{
    if (UNIT == 8u) {
        uvec4 w = load_words(i + half_);
        vec4 v0 = vec4(heed_unpack16(VALUE_DT, w.x), heed_unpack16(VALUE_DT, w.y));
        vec4 v1 = vec4(heed_unpack16(VALUE_DT, w.z), heed_unpack16(VALUE_DT, w.w));
        low = fma(vec4(weight), mix(vec4(0.0), v0, used), low);
        high = fma(vec4(weight), mix(vec4(0.0), v1, used), high);
        return;
    }
    add4(weight, used, i, first, 2u * half_, low);
    if (BLOCK >= 8u)
        add4(weight, used, i, first, 2u * half_ + 1u, high);
}

// Adds the block that begins at unit i to the totals; `first` is its first channel. What has weight zero is nothing, also
// where it is NaN or infinite: `used` tells it.
void add_row(float weight, bool used, uint i, uint first)
{
    add8(weight, bvec4(used), i, first, 0u, total0, total1);
    if (BLOCK == 16u)
        add8(weight, bvec4(used), i, first, 1u, total2, total3);
}

void store4(uint o_at, uint first, uint quarter, vec4 total, float scale, bool broken)
{
    uint n = channels(first, quarter);
    if (n > 0u)
        o_store4n(O_DT, o_at + 4u * quarter, FROM_OFFSETS ? broken ? vec4(NAN) : total * scale : total, n);
}

void store_row(uint o_at, uint first, float scale, bool broken)
{
    store4(o_at, first, 0u, total0, scale, broken);
    if (BLOCK >= 8u)
        store4(o_at, first, 1u, total1, scale, broken);
    if (BLOCK == 16u) {
        store4(o_at, first, 2u, total2, scale, broken);
        store4(o_at, first, 3u, total3, scale, broken);
    }
}

#endif
