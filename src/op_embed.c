/* SPDX-License-Identifier: MIT
 * heed_embed: rows of a table by number. */
#include "op_points.h"

#include "dtype.h"

#include <string.h>

enum { TABLE, INDICES };

heed_value heed_embed(heed_pipeline *pipeline, heed_value table, heed_value indices, const struct heed_embed_desc *desc)
{
    return heed_pipeline_add(
        pipeline, &(struct heed_node_init){
                      .kind = HEED_NODE_EMBED, .input = {table, indices}, .desc = desc, .desc_bytes = sizeof *desc});
}

enum heed_status heed_infer_embed(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_embed_desc *d = heed_node_desc(n);
    enum heed_status status = heed_node_require(g, n, TABLE, "table");
    if (status == HEED_OK)
        status = heed_node_require(g, n, INDICES, "indices");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->dtype);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *table = heed_node_input(g, n, TABLE), *indices = heed_node_input(g, n, INDICES);
    if (table->axes != 2 || table->dtype == HEED_I32 || table->dtype == HEED_BOOL ||
        (table->length[1] > 1 && table->stride[1] != 1))
        return heed_node_fail(g, n, "table %s is not [rows][features] of f32, f16, bf16 or q8_0, features adjacent",
                              heed_tensor_text(table).text);
    if (indices->dtype != HEED_I32 || indices->axes == HEED_MAX_AXES)
        return heed_node_fail(g, n, "indices %s are not i32 of at most %d axes", heed_tensor_text(indices).text,
                              HEED_MAX_AXES - 1);
    uint64_t length[HEED_MAX_AXES];
    memcpy(length, indices->length, sizeof length);
    length[indices->axes] = table->length[1];
    n->flops = 0;
    return heed_node_output(g, n, 0, d->dtype, indices->axes + 1, length);
}

enum heed_status heed_lower_embed(struct heed_node_lowering *l)
{
    const struct heed_tensor *table = heed_node_input(l->graph, l->node, TABLE),
                             *indices = heed_node_input(l->graph, l->node, INDICES);
    struct heed_points points = {
        .kernel = HEED_KERNEL_EMBED,
        .tensor_count = HEED_EMBED_BINDINGS,
        .x = HEED_EMBED_TABLE,
        .x_strides = {table->stride[0]},
        .vector = table->dtype == HEED_Q8_0 || heed_tensor_is_vector(l->graph, table),
        .flops = 64,
    };
    const uint64_t rows = table->length[0];
    points.tensor[HEED_EMBED_TABLE] = (struct heed_boxed){
        table, {0}, (rows > 0 ? (rows - 1) * table->stride[0] : 0) + (rows > 0 ? table->length[1] : 0)};
    /* Indices have the axes of the result but the last. */
    struct heed_boxed *boxed = &points.tensor[HEED_EMBED_INDEX];
    *boxed = (struct heed_boxed){.tensor = indices, .inner = 1};
    for (uint32_t a = 0; a < indices->axes; a++) {
        const uint32_t to = a + HEED_MAX_AXES - 1 - indices->axes;
        boxed->stride[to] = indices->length[a] > 1 ? indices->stride[a] : 0;
        points.push.own[to] = (uint32_t)boxed->stride[to];
    }
    points.push.own[3] = (uint32_t)rows;
    return heed_points_lower(l, &points);
}
