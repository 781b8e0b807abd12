/* SPDX-License-Identifier: MIT
 * Convolutions, tables, pools and orders, plainly in f32: written from heed_pipeline.h, apart from the reference. */
#include "naive_call.h"

#include "op_layers.h"

#include <math.h>

/* x[image][y][x][c], 0 outside; without y where `flat`. */
static float pixel(const struct naive *t, bool flat, uint64_t i, int64_t y, int64_t x, uint64_t c)
{
    if (x < 0 || x >= (int64_t)t->length[2] || y < 0 || (!flat && y >= (int64_t)t->length[1]))
        return 0;
    return flat ? *naive_at(t, 0, i, (uint64_t)x, c) : *naive_at(t, i, (uint64_t)y, (uint64_t)x, c);
}

void naive_conv(struct naive_call *call)
{
    const struct heed_conv_desc *d = heed_node_desc(call->node);
    const struct naive *x = &call->in[0], *w = &call->in[1], *bias = &call->in[2], *residual = &call->in[3];
    const struct naive *o = &call->out[0];
    const bool flat = call->graph->tensors[call->node->input[1]].axes == 3;
    const uint64_t out = o->length[3], group_out = out / (d->groups ? d->groups : 1);
    const uint64_t in = w->length[flat ? 2 : 1], rows = flat ? 1 : w->length[2], columns = w->length[3];
    const int64_t sy = d->stride[0] ? d->stride[0] : 1, dy = d->dilation[0] ? d->dilation[0] : 1;
    const int64_t sx = d->stride[!flat] ? d->stride[!flat] : 1, dx = d->dilation[!flat] ? d->dilation[!flat] : 1;
    NAIVE_FOR_ROWS(o, a, b, c)
    for (uint64_t n = 0; n < out; n++) {
        const uint64_t image = flat ? b : a;
        float sum = 0;
        for (uint64_t k = 0; k < in; k++)
            for (uint64_t ky = 0; ky < rows; ky++)
                for (uint64_t kx = 0; kx < columns; kx++) {
                    const int64_t px = (int64_t)c * sx - d->padding[!flat] + (int64_t)kx * dx;
                    const int64_t py = flat ? 0 : (int64_t)b * sy - d->padding[0] + (int64_t)ky * dy;
                    sum += pixel(x, flat, image, py, px, n / group_out * in + k) *
                           (flat ? *naive_at(w, 0, n, k, kx) : *naive_at(w, n, k, ky, kx));
                }
        sum = naive_activate(d->activation, sum + (bias->data ? bias->data[n] : 0));
        naive_set(o, a, b, c, n, sum + (residual->data ? *naive_at(residual, a, b, c, n) : 0));
    }
}

void naive_embed(struct naive_call *call)
{
    const struct naive *table = &call->in[0], *indices = &call->in[1], *o = &call->out[0];
    NAIVE_FOR_ROWS(o, a, b, c)
    for (uint64_t d = 0; d < o->length[3]; d++) {
        const float index = *naive_at(indices, 0, a, b, c);
        const bool there = index >= 0 && index < (float)table->length[2];
        naive_set(o, a, b, c, d, there ? *naive_at(table, 0, 0, (uint64_t)index, d) : 0);
    }
}

void naive_concat(struct naive_call *call)
{
    const struct heed_concat_call *d = heed_node_desc(call->node);
    const uint32_t axis = d->axis + 4 - call->graph->tensors[call->node->input[0]].axes;
    uint64_t first[4] = {0};
    for (uint32_t i = 0; i < d->count; i++) {
        const struct naive *x = &call->in[i];
        NAIVE_FOR_ROWS(x, a, b, c)
        for (uint64_t k = 0; k < x->length[3]; k++)
            naive_set(&call->out[0], a + first[0], b + first[1], c + first[2], k + first[3], *naive_at(x, a, b, c, k));
        first[axis] += x->length[axis];
    }
}

static float naive_angle(float position, float scale, float base, float i, float count)
{
    return (scale == 0 ? 1 : scale) * position * powf(base == 0 ? 10000 : base, -i / count);
}

void naive_rope(struct naive_call *call)
{
    const struct heed_rope_desc *d = heed_node_desc(call->node);
    const struct naive *x = &call->in[0], *p = &call->in[1];
    const uint64_t features = x->length[3], dims = d->dims ? d->dims : features;
    const uint32_t axes = call->graph->tensors[call->node->input[0]].axes;
    NAIVE_FOR_ROWS(x, a, b, c)
    {
        const uint64_t batch = axes == 4 ? a : b;
        float position = (float)d->first + (p->data && p->length[3] > 1 ? 0 : (float)c);
        if (p->data)
            position += *naive_at(p, 0, 0, p->length[2] > 1 ? batch : 0, p->length[3] > 1 ? c : 0);
        for (uint64_t k = 0; k < features; k++)
            naive_set(&call->out[0], a, b, c, k, *naive_at(x, a, b, c, k));
        for (uint64_t i = 0; i < dims / 2; i++) {
            const uint64_t one = d->interleaved ? 2 * i : i, two = d->interleaved ? 2 * i + 1 : i + dims / 2;
            const float angle = naive_angle(position, d->scale, d->base, (float)i, (float)dims / 2);
            const float u = *naive_at(x, a, b, c, one), v = *naive_at(x, a, b, c, two);
            naive_set(&call->out[0], a, b, c, one, u * cosf(angle) - v * sinf(angle));
            naive_set(&call->out[0], a, b, c, two, v * cosf(angle) + u * sinf(angle));
        }
    }
}

void naive_sinusoid(struct naive_call *call)
{
    const struct heed_sinusoid_desc *d = heed_node_desc(call->node);
    const struct naive *o = &call->out[0];
    const uint64_t pairs = d->channels / 2;
    NAIVE_FOR_ROWS(o, a, b, c)
    for (uint64_t i = 0; i < pairs; i++) {
        const float position = call->in[0].data ? *naive_at(&call->in[0], 0, a, b, c) : (float)c;
        const float count = (float)(d->inclusive && pairs > 1 ? pairs - 1 : pairs);
        const float angle = naive_angle(position, d->scale, d->base, (float)i, count);
        const uint64_t one = d->interleaved ? 2 * i : i, two = d->interleaved ? 2 * i + 1 : i + pairs;
        naive_set(o, a, b, c, d->cosine_first ? two : one, sinf(angle));
        naive_set(o, a, b, c, d->cosine_first ? one : two, cosf(angle));
    }
}

void naive_pool(struct naive_call *call)
{
    const struct heed_pool_call *d = heed_node_desc(call->node);
    const struct naive *x = &call->in[0];
    const uint32_t axis = d->axis + 4 - call->graph->tensors[call->node->input[0]].axes;
    const bool maximum = d->desc.pooling == HEED_POOL_MAXIMUM;
    NAIVE_FOR_ROWS(&call->out[0], a, b, c)
    for (uint64_t k = 0; k < call->out[0].length[3]; k++) {
        const float *first = naive_at(x, a, b, c, k);
        float result = maximum ? *first : 0;
        for (uint64_t i = 0; i < x->length[axis]; i++) {
            const float v = first[i * x->stride[axis]];
            result = !maximum ? result + v : v > result ? v : result;
        }
        naive_set(&call->out[0], a, b, c, k, maximum ? result : result / (float)x->length[axis]);
    }
}

static uint64_t naive_place(uint64_t to, uint64_t from, uint64_t length, bool align_corners, float *weight)
{
    float place = align_corners ? length > 1 ? (float)to * ((float)(from - 1) / (float)(length - 1)) : 0
                                : ((float)to + 0.5f) * ((float)from / (float)length) - 0.5f;
    if (place < 0)
        place = 0;
    const uint64_t before = (uint64_t)place < from - 1 ? (uint64_t)place : from - 1;
    *weight = place - (float)before;
    return before;
}

void naive_resize(struct naive_call *call)
{
    const struct heed_resize_call *d = heed_node_desc(call->node);
    const struct naive *x = &call->in[0], *o = &call->out[0];
    NAIVE_FOR_ROWS(o, a, b, c)
    for (uint64_t k = 0; k < o->length[3]; k++) {
        float wy, wx;
        const uint64_t y = naive_place(b, x->length[1], o->length[1], d->desc.align_corners, &wy);
        const uint64_t i = naive_place(c, x->length[2], o->length[2], d->desc.align_corners, &wx);
        const uint64_t next_y = y + 1 < x->length[1] ? y + 1 : y, next = i + 1 < x->length[2] ? i + 1 : i;
        naive_set(o, a, b, c, k,
                  (1 - wy) * ((1 - wx) * *naive_at(x, a, y, i, k) + wx * *naive_at(x, a, y, next, k)) +
                      wy * ((1 - wx) * *naive_at(x, a, next_y, i, k) + wx * *naive_at(x, a, next_y, next, k)));
    }
}

void naive_top_k(struct naive_call *call)
{
    const struct naive *x = &call->in[0], *o = &call->out[0];
    NAIVE_FOR_ROWS(x, a, b, c)
    for (uint64_t i = 0; i < x->length[3]; i++) {
        uint64_t rank = 0;
        const float v = *naive_at(x, a, b, c, i);
        for (uint64_t j = 0; j < x->length[3]; j++)
            rank += *naive_at(x, a, b, c, j) > v || (*naive_at(x, a, b, c, j) == v && j < i);
        if (rank >= o->length[3])
            continue;
        naive_set(o, a, b, c, rank, (float)i);
        if (call->out[1].data)
            naive_set(&call->out[1], a, b, c, rank, v);
    }
}
