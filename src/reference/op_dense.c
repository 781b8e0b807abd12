/* SPDX-License-Identifier: MIT
 * linear, the norms, combine and append in double precision, as heed_pipeline.h defines them. */
#include "../dtype.h"
#include "../pipeline_ops.h"

#include <math.h>

double heed_reference_activate(enum heed_activation activation, double x)
{
    switch (activation) {
    case HEED_ACTIVATION_NONE:
        return x;
    case HEED_RELU:
        return x > 0.0 || isnan(x) ? x : 0.0;
    case HEED_GELU:
        return 0.5 * x * (1.0 + erf(x * sqrt(0.5)));
    case HEED_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case HEED_SILU:
        return x / (1.0 + exp(-x));
    case HEED_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case HEED_TANH:
        return tanh(x);
    }
    return NAN;
}

enum heed_status heed_reference_linear(const struct heed_graph *graph, const struct heed_node *node,
                                       const struct heed_operand *in, const struct heed_operand *out)
{
    const struct heed_linear_desc *d = heed_node_desc(node);
    const struct heed_operand *x = &in[0], *w = &in[1], *bias = &in[2], *residual = &in[3], *y = &out[0];
    const uint64_t features = x->length[3];
    /* The weights once, as [out][in]: they are read for every row. */
    double *row = heed_alloc(graph->context, (size_t)features + 1, sizeof *row);
    double *weights = heed_alloc(graph->context, (size_t)(features * y->length[3]) + 1, sizeof *weights);
    if (!row || !weights) {
        heed_free(graph->context, row);
        heed_free(graph->context, weights);
        return heed_fail_memory(graph->context);
    }
    for (uint64_t n = 0; n < y->length[3]; n++)
        for (uint64_t k = 0; k < features; k++)
            weights[n * features + k] =
                d->transposed ? heed_operand_get(w, 0, 0, k, n) : heed_operand_get(w, 0, 0, n, k);
    for (uint64_t a = 0; a < y->length[0]; a++)
        for (uint64_t b = 0; b < y->length[1]; b++)
            for (uint64_t c = 0; c < y->length[2]; c++) {
                for (uint64_t k = 0; k < features; k++)
                    row[k] = heed_operand_get(x, a, b, c, k);
                for (uint64_t n = 0; n < y->length[3]; n++) {
                    double sum = 0.0;
                    for (uint64_t k = 0; k < features; k++)
                        sum += row[k] * weights[n * features + k];
                    sum = heed_reference_activate(d->activation,
                                                  sum + (bias->data ? heed_operand_get(bias, 0, 0, 0, n) : 0.0));
                    heed_operand_set(y, a, b, c, n,
                                     sum + (residual->data ? heed_operand_get(residual, a, b, c, n) : 0.0));
                }
            }
    heed_free(graph->context, row);
    heed_free(graph->context, weights);
    return HEED_OK;
}

static void norm(const struct heed_operand *in, const struct heed_operand *o, bool centred, double epsilon)
{
    const struct heed_operand *x = &in[0], *gain = &in[1], *bias = &in[2];
    const double features = (double)x->length[3];
    for (uint64_t a = 0; a < x->length[0]; a++)
        for (uint64_t b = 0; b < x->length[1]; b++)
            for (uint64_t c = 0; c < x->length[2]; c++) {
                double mean = 0.0, square = 0.0;
                for (uint64_t k = 0; centred && k < x->length[3]; k++)
                    mean += heed_operand_get(x, a, b, c, k) / features;
                for (uint64_t k = 0; k < x->length[3]; k++) {
                    double away = heed_operand_get(x, a, b, c, k) - mean;
                    square += away * away / features;
                }
                double factor = 1.0 / sqrt(square + epsilon);
                for (uint64_t k = 0; k < x->length[3]; k++)
                    heed_operand_set(o, a, b, c, k,
                                     (heed_operand_get(x, a, b, c, k) - mean) * factor *
                                             (gain->data ? heed_operand_get(gain, 0, 0, 0, k) : 1.0) +
                                         (bias->data ? heed_operand_get(bias, 0, 0, 0, k) : 0.0));
            }
}

enum heed_status heed_reference_layer_norm(const struct heed_graph *graph, const struct heed_node *node,
                                           const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    const struct heed_layer_norm_desc *d = heed_node_desc(node);
    norm(in, out, true, d->epsilon == 0.0f ? 1e-5f : d->epsilon);
    return HEED_OK;
}

enum heed_status heed_reference_rms_norm(const struct heed_graph *graph, const struct heed_node *node,
                                         const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    const struct heed_rms_norm_desc *d = heed_node_desc(node);
    norm(in, out, false, d->epsilon == 0.0f ? 1e-6f : d->epsilon);
    return HEED_OK;
}

/* Element of an operand of which axes of length 1 are repeated. */
static double repeated(const struct heed_operand *o, const uint64_t at[4])
{
    uint64_t i[4];
    for (int n = 0; n < 4; n++)
        i[n] = o->length[n] == 1 ? 0 : at[n];
    return heed_operand_get(o, i[0], i[1], i[2], i[3]);
}

enum heed_status heed_reference_combine(const struct heed_graph *graph, const struct heed_node *node,
                                        const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    const struct heed_combine_desc *d = heed_node_desc(node);
    const double scale = d->scale == 0.0f ? 1.0 : (double)d->scale;
    const uint64_t *length = out->length;
    uint64_t at[4];
    for (at[0] = 0; at[0] < length[0]; at[0]++)
        for (at[1] = 0; at[1] < length[1]; at[1]++)
            for (at[2] = 0; at[2] < length[2]; at[2]++)
                for (at[3] = 0; at[3] < length[3]; at[3]++) {
                    double y = heed_reference_activate(d->activation, scale * repeated(&in[0], at));
                    if (in[1].data && d->combination == HEED_ADD)
                        y += repeated(&in[1], at);
                    else if (in[1].data)
                        y *= repeated(&in[1], at);
                    heed_operand_set(out, at[0], at[1], at[2], at[3], y);
                }
    return HEED_OK;
}

enum heed_status heed_reference_append(const struct heed_graph *graph, const struct heed_node *node,
                                       const struct heed_operand *in, const struct heed_operand *out)
{
    const struct heed_operand *x = &in[1], *state = &out[0];
    /* Rows are the second axis of the tensor, which the missing ones in front of an operand move. */
    const uint32_t rows = 4 - graph->tensors[node->input[0]].axes + 1;
    const uint64_t most = state->length[rows] - x->length[rows];
    const double asked = in[2].data ? heed_operand_get(&in[2], 0, 0, 0, 0) : 0.0;
    const uint64_t at = asked <= 0.0 ? 0 : asked >= (double)most ? most : (uint64_t)asked;
    uint64_t i[4], to[4];
    for (i[0] = 0; i[0] < x->length[0]; i[0]++)
        for (i[1] = 0; i[1] < x->length[1]; i[1]++)
            for (i[2] = 0; i[2] < x->length[2]; i[2]++)
                for (i[3] = 0; i[3] < x->length[3]; i[3]++) {
                    for (uint32_t a = 0; a < 4; a++)
                        to[a] = i[a] + (a == rows ? at : 0);
                    heed_operand_set(state, to[0], to[1], to[2], to[3], heed_operand_get(x, i[0], i[1], i[2], i[3]));
                }
    return HEED_OK;
}
