// SPDX-License-Identifier: MIT
// A convolution as the product that linear makes: rows are positions of the result along x, features are the channels
// of one tap of the kernel after another, PADDED of each tap so that a chunk is of one tap only. Batch i of the product
// is a line y of the result: line0 + i, of lines_y in each image.

layout(constant_id = HEED_CONV_SPEC_PADDED) const uint PADDED = 16;
layout(constant_id = HEED_CONV_SPEC_KERNEL_X) const uint KERNEL_X = 1;
layout(constant_id = HEED_CONV_SPEC_TAPS) const uint TAPS = 1;

// Of the features at hand.
uint chunk_line;   // where their line of x begins
int chunk_x;       // where row 0 is in it
bool chunk_inside; // the line is no padding

void begin_features(uint batch, uint d0)
{
    uint line = push.line0 + batch, tap = d0 / PADDED;
    uint image = push.lines_y > 1u ? line / push.lines_y : line, y = push.lines_y > 1u ? line % push.lines_y : 0u;
    int at = int(y * push.stride_y + tap / KERNEL_X * push.dilation_y) - int(push.padding_y);
    chunk_x = int(tap % KERNEL_X * push.dilation_x) + push.origin_x;
    chunk_inside = at >= 0 && at < int(push.length_y);
    chunk_line = HEED_RESIDUAL(push, HEED_LINEAR_X) + image * push.x_stride_image +
                 uint(clamp(at, 0, int(push.length_y) - 1)) * push.x_stride_y;
}

// Without branches, as in linear.glsl.
vec4 load_weights(uint n, uint d)
{
    uint c = d % PADDED, first = min(c, push.channels - 1u), count = push.channels - first;
    uvec4 at = HEED_RESIDUAL(push, HEED_LINEAR_W) + d / PADDED + n * (push.channels * TAPS) +
               (first + min(uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u))) * TAPS;
    vec4 v = vec4(w_load(DT_W, at.x), w_load(DT_W, at.y), w_load(DT_W, at.z), w_load(DT_W, at.w));
    return mix(vec4(0.0), v, lessThan(c + uvec4(0u, 1u, 2u, 3u), uvec4(push.channels)));
}

uint x_begin(uint batch, uint row)
{
    return row;
}

vec4 load_x(uint row, uint d)
{
    uint c = d % PADDED, first = min(c, (push.channels - 1u) & ~3u), count = push.channels - first;
    int at = int(row * push.stride_x) + chunk_x;
    uint e = chunk_line + uint(clamp(at, 0, int(push.length_x) - 1)) * push.x_stride_x;
    vec4 v;
    if (!flag(HEED_CONV_STRIDED)) {
        v = x_load4n(DT_X, e + first, count);
    } else {
        uvec4 i = e + (first + min(uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u))) * push.x_stride_channel;
        v = vec4(x_load(DT_X, i.x), x_load(DT_X, i.y), x_load(DT_X, i.z), x_load(DT_X, i.w));
    }
    bool inside = chunk_inside && at >= 0 && at < int(push.length_x);
    return mix(vec4(0.0), v, lessThan(c + uvec4(0u, 1u, 2u, 3u), uvec4(inside ? push.channels : 0u)));
}
