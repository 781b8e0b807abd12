/* SPDX-License-Identifier: MIT
 * Tables, joins, rotations, pools, images and orders in double precision, as heed_pipeline.h defines them. */
#include "../dtype.h"
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
