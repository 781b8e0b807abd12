/* SPDX-License-Identifier: MIT
 * Rotary and sinusoidal positions in double precision, as heed_pipeline.h defines them. */
#include "../pipeline_ops.h"

#include <math.h>

static double frequency(double base, uint64_t i, double count)
{
    return pow(base == 0.0 ? 10000.0 : base, -(double)i / count);
}

enum heed_status heed_reference_rope(const struct heed_graph *graph, const struct heed_node *node,
                                     const struct heed_operand *in, const struct heed_operand *out)
{
    const struct heed_rope_desc *d = heed_node_desc(node);
    const struct heed_operand *x = &in[0], *p = &in[1];
    const uint64_t dims = d->dims > 0 ? d->dims : x->length[3];
    const uint32_t batch = 4 - heed_node_input(graph, node, 0)->axes;
    const double scale = d->scale == 0.0f ? 1.0 : (double)d->scale;
    uint64_t at[4];
    for (at[0] = 0; at[0] < x->length[0]; at[0]++)
        for (at[1] = 0; at[1] < x->length[1]; at[1]++)
            for (at[2] = 0; at[2] < x->length[2]; at[2]++) {
                double position = d->first;
                if (!p->data || p->length[3] == 1)
                    position += (double)at[2];
                if (p->data)
                    position +=
                        heed_operand_get(p, 0, 0, p->length[2] > 1 ? at[batch] : 0, p->length[3] > 1 ? at[2] : 0);
                for (uint64_t k = 0; k < x->length[3]; k++) {
                    const uint64_t pair = d->interleaved ? k / 2 : k % (dims / 2 > 0 ? dims / 2 : 1);
                    const bool second = d->interleaved ? k % 2 != 0 : k >= dims / 2;
                    const double here = heed_operand_get(x, at[0], at[1], at[2], k);
                    if (k >= dims) {
                        heed_operand_set(out, at[0], at[1], at[2], k, here);
                        continue;
                    }
                    const uint64_t step = d->interleaved ? 1 : dims / 2;
                    const double other = heed_operand_get(x, at[0], at[1], at[2], second ? k - step : k + step);
                    const double angle = scale * position * frequency(d->base, pair, 0.5 * (double)dims);
                    heed_operand_set(out, at[0], at[1], at[2], k,
                                     here * cos(angle) + (second ? other : -other) * sin(angle));
                }
            }
    return HEED_OK;
}

enum heed_status heed_reference_sinusoid(const struct heed_graph *graph, const struct heed_node *node,
                                         const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    const struct heed_sinusoid_desc *d = heed_node_desc(node);
    const uint64_t pairs = d->channels / 2;
    const double scale = d->scale == 0.0f ? 1.0 : (double)d->scale;
    const double count = (double)(d->inclusive && pairs > 1 ? pairs - 1 : pairs);
    for (uint64_t a = 0; a < out->length[0]; a++)
        for (uint64_t b = 0; b < out->length[1]; b++)
            for (uint64_t c = 0; c < out->length[2]; c++) {
                const double position = in[0].data ? heed_operand_get(&in[0], 0, a, b, c) : (double)c;
                for (uint64_t k = 0; k < d->channels; k++) {
                    const bool second = d->interleaved ? k % 2 != 0 : k >= pairs;
                    const double angle =
                        scale * position * frequency(d->base, d->interleaved ? k / 2 : k % pairs, count);
                    heed_operand_set(out, a, b, c, k, second != d->cosine_first ? cos(angle) : sin(angle));
                }
            }
    return HEED_OK;
}
