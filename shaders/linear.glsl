// SPDX-License-Identifier: MIT
// What the kernels of linear share: constants, weights of any type, and what follows the product.

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_LINEAR_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_LINEAR_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_LINEAR_SPEC_VECTOR) const bool HEED_VECTOR = false;
layout(constant_id = HEED_LINEAR_SPEC_ROWS) const uint ROWS = 4;
layout(constant_id = HEED_LINEAR_SPEC_COLUMNS) const uint COLUMNS = 4;
layout(constant_id = HEED_LINEAR_SPEC_CHUNK) const uint CHUNK = 16;

#ifdef HEED_CONV
layout(push_constant) uniform Push { HEED_CONV_PUSH } push;
#else
layout(push_constant) uniform Push { HEED_LINEAR_PUSH } push;
#endif

#include "activation.h"
#include "tensor.glsl"

HEED_TENSOR_IN(x, HEED_LINEAR_X)
HEED_TENSOR_IN(w, HEED_LINEAR_W)
HEED_TENSOR_IN(bias, HEED_LINEAR_BIAS)
HEED_TENSOR_IN(residual, HEED_LINEAR_RESIDUAL)
HEED_TENSOR_OUT(y, HEED_LINEAR_Y)

const uint WG = gl_WorkGroupSize.x;
const uint DT_X = DTYPES & 15u, DT_W = (DTYPES >> 4) & 15u, DT_RESIDUAL = (DTYPES >> 8) & 15u,
           DT_Y = (DTYPES >> 12) & 15u;
const bool TRANSPOSED = (FLAGS & HEED_LINEAR_TRANSPOSED) != 0u;

#ifdef HEED_CONV
#include "conv.glsl"
#else
// What is the same for features d0 .. d0 + CHUNK - 1: nothing here.
void begin_features(uint batch, uint d0)
{
}

// A block of q8_0 is 17 halves: the scale, then 32 int8. i counts halves from the binding's start.
uint q8_half(uint i)
{
    return w_w[i >> 1] >> 16u * (i & 1u) & 0xffffu;
}

float q8_scale(uint block)
{
    return unpackHalf2x16(q8_half(HEED_RESIDUAL(push, HEED_LINEAR_W) + 17u * block)).x;
}

// Four numbers from feature d of a block on, without the scale.
vec4 q8_numbers(uint block, uint d)
{
    uint i = HEED_RESIDUAL(push, HEED_LINEAR_W) + 17u * block + 1u + d / 2u;
    int pairs = int(q8_half(i) | q8_half(i + 1u) << 16);
    return vec4(bitfieldExtract(pairs, 0, 8), bitfieldExtract(pairs, 8, 8), bitfieldExtract(pairs, 16, 8),
                bitfieldExtract(pairs, 24, 8));
}

// Features d .. d + 3 of column n (a multiple of 4), n < columns, and 0 behind the last feature. Without a branch: unrolled
// loads between branches take a software driver's compiler seconds.
vec4 load_weights(uint n, uint d)
{
    uint at = min(d, (push.features - 1u) & ~3u), count = push.features - at;
    uint e = HEED_RESIDUAL(push, HEED_LINEAR_W);
    vec4 v;
    if (DT_W == HEED_DT_Q8_0) {
        uint block = n * (push.w_stride / 32u) + at / 32u;
        v = q8_scale(block) * q8_numbers(block, at % 32u);
    } else if (!TRANSPOSED) {
        v = heed_first(w_load4n(DT_W, e + n * push.w_stride + at, count), count);
    } else {
        uvec4 i = e + n + (at + min(uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u))) * push.w_stride;
        v = vec4(w_load(DT_W, i.x), w_load(DT_W, i.y), w_load(DT_W, i.z), w_load(DT_W, i.w));
        v = mix(vec4(0.0), v, lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(count)));
    }
    return d < push.features ? v : vec4(0.0);
}

uint x_begin(uint batch, uint row)
{
    return HEED_RESIDUAL(push, HEED_LINEAR_X) + batch * push.x_stride_batch + row * push.x_stride_row;
}

vec4 load_x(uint begin, uint d)
{
    uint at = min(d, (push.features - 1u) & ~3u), count = push.features - at;
    vec4 v = heed_first(x_load4n(DT_X, begin + at, count), count);
    return d < push.features ? v : vec4(0.0);
}

#endif

// From products to the result, of columns n .. n + 3 of a row.
void store_y(uint batch, uint row, uint n, vec4 v)
{
    uint count = push.columns - n, activation = FLAGS & 15u;
    if (flag(HEED_LINEAR_HAS_BIAS))
        v += bias_load4n(HEED_DT_F32, HEED_RESIDUAL(push, HEED_LINEAR_BIAS) + n, count);
    if (activation != 0u)
        v = vec4(heed_activate(activation, v.x), heed_activate(activation, v.y), heed_activate(activation, v.z),
                 heed_activate(activation, v.w));
    if (flag(HEED_LINEAR_HAS_RESIDUAL))
        v += residual_load4n(DT_RESIDUAL,
                             HEED_RESIDUAL(push, HEED_LINEAR_RESIDUAL) + batch * push.residual_stride_batch +
                                 row * push.residual_stride_row + n,
                             count);
    y_store4n(DT_Y, HEED_RESIDUAL(push, HEED_LINEAR_Y) + batch * push.y_stride_batch + row * push.y_stride_row + n, v,
              count);
}
