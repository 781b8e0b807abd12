/* SPDX-License-Identifier: MIT
 * Convolutions, tables, pools and orders, plainly in f32: written from heed_pipeline.h, apart from the reference. */
#include "naive_call.h"

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
