// SPDX-License-Identifier: MIT
// Multi-scale deformable attention: one invocation makes 4 or 8 channels of one head of one query, over all levels and
// points. The location arithmetic and the softmax of the logits are part of it.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "abi.h"

layout(local_size_x_id = HEED_SPEC_GROUP) in;
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

layout(push_constant) uniform Push {
    HEED_DEFORM_PUSH
} push;

#define HEED_VECTOR (VALUE_VECTOR >= 4u)
#include "tensor.glsl"
HEED_TENSOR_IN(value, HEED_DEFORM_VALUE)
#undef HEED_VECTOR
#define HEED_VECTOR (O_VECTOR >= 4u)
HEED_TENSOR_OUT(o, HEED_DEFORM_O)
layout(set = 0, binding = HEED_DEFORM_COORDS) readonly buffer Coords { float coords[]; };
layout(set = 0, binding = HEED_DEFORM_WEIGHTS) readonly buffer Weights { float weights[]; };
layout(set = 0, binding = HEED_DEFORM_REFERENCE) readonly buffer Reference { float reference[]; };
layout(set = 0, binding = HEED_DEFORM_TABLE) readonly buffer Table { uint table[]; };

uint level_word(uint i)
{
    return LEVEL_TABLE ? table[HEED_RESIDUAL(push, HEED_DEFORM_TABLE) + i] : push.levels[i];
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
    // Far beyond any level, yet its product with n stays finite, and after the second clamp fits an int.
    float x = clamp(location, -1e9, 1e9);
    x = ALIGN_CORNERS ? x * (n - 1.0) : fma(x, n, -0.5);
    x = BORDER ? clamp(x, 0.0, n - 1.0) : clamp(x, -2.0, n + 1.0);
    float low = NEAREST ? roundEven(x) : floor(x);
    vec2 pixel = vec2(low, low + 1.0);
    weight = NEAREST ? vec2(1.0, 0.0) : vec2(pixel.y - x, x - low);
    weight *= vec2(greaterThanEqual(pixel, vec2(0.0))) * vec2(lessThan(pixel, vec2(n)));
    at = uvec2(clamp(pixel, vec2(0.0), vec2(n - 1.0)));
}

vec4 total0 = vec4(0.0), total1 = vec4(0.0);

// Channels of this block's half: 4, but less at the end of an odd DIM; none in a half that is beyond it.
uint channels(uint first, uint half_)
{
    return DIM % BLOCK == 0u ? 4u : DIM % 4u == 0u ? (first + 4u * half_ < DIM ? 4u : 0u)
                                                   : uint(clamp(int(DIM) - int(first + 4u * half_), 0, 4));
}

// Adds channels first .. first + BLOCK - 1 of the row at i to the totals. What has weight zero is nothing, also where it
// is NaN or infinite.
void add_row(float weight, float share, uint i, uint first)
{
    weight = share == 0.0 ? 0.0 : weight * share;
    bvec4 used = bvec4(weight != 0.0);
    if (BLOCK == 8u && VALUE_VECTOR == 8u) {
        uvec4 w = value_w4[i >> 3];
        vec4 v0 = vec4(heed_unpack16(VALUE_DT, w.x), heed_unpack16(VALUE_DT, w.y));
        vec4 v1 = vec4(heed_unpack16(VALUE_DT, w.z), heed_unpack16(VALUE_DT, w.w));
        total0 = fma(vec4(weight), mix(vec4(0.0), v0, used), total0);
        total1 = fma(vec4(weight), mix(vec4(0.0), v1, used), total1);
        return;
    }
    [[unroll]] for (uint half_ = 0u; half_ < BLOCK / 4u; half_++) {
        uint n = channels(first, half_);
        if (n == 0u)
            continue;
        vec4 v = mix(vec4(0.0), value_load4n(VALUE_DT, i + 4u * half_, n), used);
        if (half_ == 0u)
            total0 = fma(vec4(weight), v, total0);
        else
            total1 = fma(vec4(weight), v, total1);
    }
}

void main()
{
    uint item = gl_GlobalInvocationID.x;
    uint first = item % BLOCKS * BLOCK;
    item /= BLOCKS;
    uint head = item % push.heads;
    uint query = item / push.heads;
    if (query >= push.queries)
        return;
    uint batch = gl_WorkGroupID.y;
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
                add_row(weight, share, level_at + (right ? x.y : x.x) + (down ? y.y : y.x) + (deep ? z.y : z.x), first);
            }
        }
    }

    if (FROM_OFFSETS) {
        float inverse = sum == 0.0 ? 0.0 : 1.0 / sum;
        total0 = broken ? vec4(NAN) : total0 * inverse;
        total1 = broken ? vec4(NAN) : total1 * inverse;
    }
    uint o_at = HEED_RESIDUAL(push, HEED_DEFORM_O) + batch * push.o_stride_batch + query * push.o_stride_row +
                head * push.o_stride_head + first;
    [[unroll]] for (uint half_ = 0u; half_ < BLOCK / 4u; half_++) {
        uint n = channels(first, half_);
        if (n > 0u)
            o_store4n(O_DT, o_at + 4u * half_, half_ == 0u ? total0 : total1, n);
    }
}
