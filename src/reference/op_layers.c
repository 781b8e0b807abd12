/* SPDX-License-Identifier: MIT
 * Tables, joins, rotations, pools, images and orders in double precision, as heed_pipeline.h defines them. */
#include "../op_layers.h"
#include "../pipeline_ops.h"

#include <math.h>

#define FOR_PLACES(o, a, b, c)                                                                                         \
    for (uint64_t a = 0; a < (o)->length[0]; a++)                                                                      \
        for (uint64_t b = 0; b < (o)->length[1]; b++)                                                                  \
            for (uint64_t c = 0; c < (o)->length[2]; c++)

enum heed_status heed_reference_embed(const struct heed_graph *graph, const struct heed_node *node,
                                      const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    (void)node;
    const struct heed_operand *table = &in[0], *indices = &in[1];
    FOR_PLACES(out, a, b, c)
    {
        /* Indices have the axes of the result but the last: theirs are one further back. */
        const double index = heed_operand_get(indices, 0, a, b, c);
        for (uint64_t d = 0; d < out->length[3]; d++)
            heed_operand_set(out, a, b, c, d,
                             index >= 0.0 && index < (double)table->length[2]
                                 ? heed_operand_get(table, 0, 0, (uint64_t)index, d)
                                 : 0.0);
    }
    return HEED_OK;
}

enum heed_status heed_reference_concat(const struct heed_graph *graph, const struct heed_node *node,
                                       const struct heed_operand *in, const struct heed_operand *out)
{
    const struct heed_concat_call *d = heed_node_desc(node);
    const uint32_t axis = d->axis + 4 - heed_node_input(graph, node, 0)->axes;
    uint64_t first = 0, to[4];
    for (uint32_t i = 0; i < d->count; first += in[i++].length[axis])
        FOR_PLACES(&in[i], a, b, c)
    for (uint64_t k = 0; k < in[i].length[3]; k++) {
        const uint64_t at[4] = {a, b, c, k};
        for (uint32_t n = 0; n < 4; n++)
            to[n] = at[n] + (n == axis ? first : 0);
        heed_operand_set(out, to[0], to[1], to[2], to[3], heed_operand_get(&in[i], a, b, c, k));
    }
    return HEED_OK;
}

enum heed_status heed_reference_pool(const struct heed_graph *graph, const struct heed_node *node,
                                     const struct heed_operand *in, const struct heed_operand *out)
{
    const struct heed_pool_call *d = heed_node_desc(node);
    const uint32_t axis = d->axis + 4 - heed_node_input(graph, node, 0)->axes;
    const uint64_t count = in[0].length[axis];
    FOR_PLACES(out, a, b, c)
    for (uint64_t k = 0; k < out->length[3]; k++) {
        uint64_t at[4] = {a, b, c, k};
        double sum = 0.0, largest = -INFINITY;
        for (uint64_t i = 0; i < count; i++) {
            at[axis] = i;
            const double x = heed_operand_get(&in[0], at[0], at[1], at[2], at[3]);
            sum += x;
            largest = isnan(x) || x > largest ? x : largest;
        }
        heed_operand_set(out, a, b, c, k, d->desc.pooling == HEED_POOL_MAXIMUM ? largest : sum / (double)count);
    }
    return HEED_OK;
}

struct between {
    uint64_t before, after;
    double weight; /* of the one after */
};

static struct between place_of(uint64_t to, uint64_t from_length, uint64_t to_length, bool align_corners)
{
    double place;
    if (align_corners)
        place = to_length > 1 ? (double)to * (double)(from_length - 1) / (double)(to_length - 1) : 0.0;
    else
        place = fmax(((double)to + 0.5) * (double)from_length / (double)to_length - 0.5, 0.0);
    struct between b = {.before = (uint64_t)place};
    if (b.before > from_length - 1)
        b.before = from_length - 1;
    b.after = b.before + 1 < from_length ? b.before + 1 : b.before;
    b.weight = place - (double)b.before;
    return b;
}

enum heed_status heed_reference_resize(const struct heed_graph *graph, const struct heed_node *node,
                                       const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    const struct heed_resize_call *d = heed_node_desc(node);
    FOR_PLACES(out, a, b, c)
    {
        const struct between y = place_of(b, in[0].length[1], out->length[1], d->desc.align_corners);
        const struct between x = place_of(c, in[0].length[2], out->length[2], d->desc.align_corners);
        for (uint64_t k = 0; k < out->length[3]; k++) {
            const double top = (1.0 - x.weight) * heed_operand_get(&in[0], a, y.before, x.before, k) +
                               x.weight * heed_operand_get(&in[0], a, y.before, x.after, k);
            const double bottom = (1.0 - x.weight) * heed_operand_get(&in[0], a, y.after, x.before, k) +
                                  x.weight * heed_operand_get(&in[0], a, y.after, x.after, k);
            heed_operand_set(out, a, b, c, k, (1.0 - y.weight) * top + y.weight * bottom);
        }
    }
    return HEED_OK;
}

/* Largest first, NaN last, of equal ones the first. */
static bool precedes(double a, uint64_t i, double b, uint64_t j)
{
    if (isnan(a) || isnan(b))
        return isnan(a) == isnan(b) ? i < j : isnan(b);
    return a > b || (a == b && i < j);
}

enum heed_status heed_reference_top_k(const struct heed_graph *graph, const struct heed_node *node,
                                      const struct heed_operand *in, const struct heed_operand *out)
{
    (void)graph;
    (void)node;
    const struct heed_operand *x = &in[0];
    FOR_PLACES(&out[0], a, b, c)
    {
        double last = 0.0;
        uint64_t last_at = 0;
        for (uint64_t k = 0; k < out[0].length[3]; k++) {
            double best = NAN;
            uint64_t best_at = UINT64_MAX;
            for (uint64_t i = 0; i < x->length[3]; i++) {
                const double here = heed_operand_get(x, a, b, c, i);
                if (precedes(here, i, best, best_at) && (k == 0 || precedes(last, last_at, here, i))) {
                    best = here;
                    best_at = i;
                }
            }
            last = best;
            last_at = best_at;
            heed_operand_set(&out[0], a, b, c, k, (double)best_at);
            if (out[1].data)
                heed_operand_set(&out[1], a, b, c, k, best);
        }
    }
    return HEED_OK;
}
