/* SPDX-License-Identifier: MIT
 * heed_concat: a copy of each value into its part of the result. */
#include "op_layers.h"
#include "pipeline_ops.h"

#include <inttypes.h>
#include <string.h>

heed_value heed_concat(heed_pipeline *pipeline, const heed_value *values, uint32_t count, uint32_t axis,
                       const struct heed_concat_desc *desc)
{
    struct heed_concat_call concat = {.struct_size = sizeof concat, .count = values ? count : 0, .axis = axis};
    struct heed_node_init init = {.kind = HEED_NODE_CONCAT, .desc = &concat, .desc_bytes = sizeof concat};
    for (uint32_t i = 0; i < concat.count && i < HEED_NODE_INPUTS; i++)
        init.input[i] = values[i];
    if (desc && desc->struct_size == sizeof *desc) {
        concat.dtype = desc->dtype;
    } else if (desc) { /* which heed_pipeline_add refuses */
        init.desc = desc;
        init.desc_bytes = sizeof *desc;
    }
    return heed_pipeline_add(pipeline, &init);
}

enum heed_status heed_infer_concat(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_concat_call *d = heed_node_desc(n);
    if (d->count < 1 || d->count > HEED_NODE_INPUTS)
        return heed_node_fail(g, n, "%u values are not 1..%d", d->count, HEED_NODE_INPUTS);
    enum heed_status status = heed_node_expect_output(g, n, d->dtype);
    uint64_t length[HEED_MAX_AXES] = {0};
    const struct heed_tensor *first = NULL;
    for (uint32_t i = 0; status == HEED_OK && i < d->count; i++) {
        status = heed_node_expect_float(g, n, i, "a value");
        if (status != HEED_OK)
            break;
        const struct heed_tensor *x = heed_node_input(g, n, i);
        if (!first) {
            first = x;
            if (d->axis >= x->axes)
                return heed_node_fail(g, n, "axis %u is none of %s", d->axis, heed_tensor_text(x).text);
            memcpy(length, x->length, sizeof length);
            continue;
        }
        bool fits = x->axes == first->axes;
        for (uint32_t a = 0; fits && a < x->axes; a++)
            fits = a == d->axis || x->length[a] == length[a];
        if (!fits)
            return heed_node_fail(g, n, "%s and %s differ in an axis other than %u", heed_tensor_text(first).text,
                                  heed_tensor_text(x).text, d->axis);
        length[d->axis] += x->length[d->axis]; /* of 12 lengths below 2^31 */
    }
    n->flops = 0;
    return status == HEED_OK ? heed_node_output(g, n, 0, d->dtype, first->axes, length) : status;
}

enum heed_status heed_lower_concat(struct heed_node_lowering *l)
{
    const struct heed_concat_call *d = heed_node_desc(l->node);
    struct heed_tensor part = l->graph->tensors[l->node->output[0]];
    enum heed_status status = HEED_OK;
    for (uint32_t i = 0; status == HEED_OK && i < d->count; i++) {
        const struct heed_tensor *x = heed_node_input(l->graph, l->node, i);
        part.length[d->axis] = x->length[d->axis];
        status = heed_lower_copy(l, x, &part);
        part.offset += x->length[d->axis] * part.stride[d->axis];
    }
    return status;
}
