// SPDX-License-Identifier: MIT
// A convolution as the product that linear makes: rows are positions of the result along x, features are the channels
// of one tap of the kernel after another, PADDED of each tap so that a chunk is of one tap only. Batch i of the product
// is a line y of the result: line0 + i, of lines_y in each image.

layout(constant_id = HEED_CONV_SPEC_PADDED) const uint PADDED = 16;
layout(constant_id = HEED_CONV_SPEC_KERNEL_X) const uint KERNEL_X = 1;
layout(constant_id = HEED_CONV_SPEC_TAPS) const uint TAPS = 1;

uint chunk_line, chunk_tap; // of the features at hand: where their line of x begins, their tap
int chunk_x;                // where row 0 is in it
bool chunk_inside;          // the line is no padding

void begin_features(uint batch, uint d0)
{
    uint line = push.line0 + batch, tap = d0 / PADDED;
    uint image = push.lines_y > 1u ? line / push.lines_y : line, y = push.lines_y > 1u ? line % push.lines_y : 0u;
    int at = int(y * push.stride_y + tap / KERNEL_X * push.dilation_y) - int(push.padding_y);
    chunk_tap = tap;
    chunk_x = int(tap % KERNEL_X * push.dilation_x) + push.origin_x;
    chunk_inside = at >= 0 && at < int(push.length_y);
    chunk_line = HEED_RESIDUAL(push, HEED_LINEAR_X) + image * push.x_stride_image + uint(max(at, 0)) * push.x_stride_y;
}

vec4 load_weights(uint n, uint d)
{
    uint c = d % PADDED, count = push.channels > c ? push.channels - c : 0u;
    if (count == 0u)
        return vec4(0.0);
    uvec4 at = HEED_RESIDUAL(push, HEED_LINEAR_W) + chunk_tap + n * (push.channels * TAPS) +
               (c + min(uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u))) * TAPS;
    vec4 v = vec4(w_load(DT_W, at.x), w_load(DT_W, at.y), w_load(DT_W, at.z), w_load(DT_W, at.w));
    return mix(vec4(0.0), v, lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(count)));
}

uint x_begin(uint batch, uint row)
{
    return row;
}

vec4 load_x(uint row, uint d)
{
    uint c = d % PADDED, count = push.channels > c ? push.channels - c : 0u;
    int at = int(row * push.stride_x) + chunk_x;
    if (!chunk_inside || at < 0 || at >= int(push.length_x) || count == 0u)
        return vec4(0.0);
    uint e = chunk_line + uint(at) * push.x_stride_x;
    if (!flag(HEED_CONV_STRIDED))
        return heed_first(x_load4n(DT_X, e + c, count), count);
    uvec4 i = e + (c + min(uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u))) * push.x_stride_channel;
    vec4 v = vec4(x_load(DT_X, i.x), x_load(DT_X, i.y), x_load(DT_X, i.z), x_load(DT_X, i.w));
    return mix(vec4(0.0), v, lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(count)));
}
