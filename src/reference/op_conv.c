/* SPDX-License-Identifier: MIT
 * Convolution in double precision, as heed_pipeline.h defines it. */
#include "../dtype.h"
#include "../pipeline_ops.h"

#include <string.h>

struct axis {
    uint64_t kernel, in, out;
    int64_t stride, padding, dilation;
};

static uint32_t or_one(uint32_t said)
{
    return said > 0 ? said : 1;
}

/* An operand as [image][y][x][channel]: without y, the images are on the axis that y would have. */
static double get(const struct heed_operand *o, bool flat, uint64_t image, uint64_t y, uint64_t x, uint64_t c)
{
    return flat ? heed_operand_get(o, 0, image, x, c) : heed_operand_get(o, image, y, x, c);
}

enum heed_status heed_reference_conv(const struct heed_graph *graph, const struct heed_node *node,
                                     const struct heed_operand *in, const struct heed_operand *out)
{
    const struct heed_conv_desc *d = heed_node_desc(node);
    const struct heed_operand *x = &in[0], *w = &in[1], *bias = &in[2], *residual = &in[3], *y = &out[0];
    const struct heed_tensor *weight = heed_node_input(graph, node, 1);
    const bool flat = weight->axes == 3;
    const struct axis ax = {weight->length[weight->axes - 1], x->length[2],      y->length[2],
                            or_one(d->stride[!flat]),         d->padding[!flat], or_one(d->dilation[!flat])};
    const struct axis ay = flat ? (struct axis){1, 1, 1, 1, 0, 1}
                                : (struct axis){weight->length[2],    x->length[1],  y->length[1],
                                                or_one(d->stride[0]), d->padding[0], or_one(d->dilation[0])};
    const uint64_t images = flat ? x->length[1] : x->length[0], channels = weight->length[1],
                   columns = weight->length[0];
    const uint64_t groups = or_one(d->groups), taps = ay.kernel * ax.kernel, features = channels * taps;
    /* The weights once, and for each position what they meet. */
    double *weights = heed_alloc(graph->context, (size_t)(features * columns) + 1, sizeof *weights);
    double *patch = heed_alloc(graph->context, (size_t)(features * groups) + 1, sizeof *patch);
    if (!weights || !patch) {
        heed_free(graph->context, weights);
        heed_free(graph->context, patch);
        return heed_fail_memory(graph->context);
    }
    for (uint64_t i = 0; i < features * columns; i++)
        weights[i] = heed_dtype_load(w->data, w->dtype, i);
    for (uint64_t i = 0; i < images; i++)
        for (uint64_t oy = 0; oy < ay.out; oy++)
            for (uint64_t ox = 0; ox < ax.out; ox++) {
                memset(patch, 0, (size_t)(features * groups) * sizeof *patch);
                for (uint64_t tap = 0; tap < taps; tap++) {
                    const int64_t py = (int64_t)oy * ay.stride - ay.padding + (int64_t)(tap / ax.kernel) * ay.dilation;
                    const int64_t px = (int64_t)ox * ax.stride - ax.padding + (int64_t)(tap % ax.kernel) * ax.dilation;
                    if (py < 0 || py >= (int64_t)ay.in || px < 0 || px >= (int64_t)ax.in)
                        continue;
                    for (uint64_t c = 0; c < channels * groups; c++)
                        patch[c * taps + tap] = get(x, flat, i, (uint64_t)py, (uint64_t)px, c);
                }
                for (uint64_t n = 0; n < columns; n++) {
                    const double *a = patch + n / (columns / groups) * features, *b = weights + n * features;
                    double sum = bias->data ? heed_operand_get(bias, 0, 0, 0, n) : 0.0;
                    for (uint64_t f = 0; f < features; f++)
                        sum += a[f] * b[f];
                    sum = heed_reference_activate(d->activation, sum) +
                          (residual->data ? get(residual, flat, i, oy, ox, n) : 0.0);
                    if (flat)
                        heed_operand_set(y, 0, i, ox, n, sum);
                    else
                        heed_operand_set(y, i, oy, ox, n, sum);
                }
            }
    heed_free(graph->context, weights);
    heed_free(graph->context, patch);
    return HEED_OK;
}
