/* SPDX-License-Identifier: MIT
 * A pipeline on the host, node by node. f32 between the nodes is f64: an oracle rounds only where the caller said so.
 */
#include "../clock.h"
#include "../dtype.h"
#include "../pipeline.h"

#include "reference.h"

double heed_operand_get(const struct heed_operand *o, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return heed_dtype_load(o->data, o->dtype,
                           a * o->stride[0] + b * o->stride[1] + c * o->stride[2] + d * o->stride[3]);
}

void heed_operand_set(const struct heed_operand *o, uint64_t a, uint64_t b, uint64_t c, uint64_t d, double value)
{
    heed_dtype_store(o->data, o->dtype, a * o->stride[0] + b * o->stride[1] + c * o->stride[2] + d * o->stride[3],
                     value);
}

/* A storage while the graph runs. */
struct memory {
    unsigned char *data;
    enum heed_dtype dtype;
    uint32_t last; /* the node that uses it last */
    bool owned;
};

static struct heed_operand operand(const struct heed_graph *g, const struct memory *memory, uint32_t value)
{
    struct heed_operand o = {.length = {1, 1, 1, 1}};
    if (value == 0)
        return o;
    const struct heed_tensor *t = &g->tensors[value];
    const struct memory *m = &memory[t->storage];
    o.data = m->data + heed_dtype_bytes(m->dtype, t->offset);
    o.dtype = m->dtype;
    for (uint32_t a = 0, shift = 4 - t->axes; a < t->axes; a++) {
        o.length[a + shift] = t->length[a];
        o.stride[a + shift] = t->stride[a];
    }
    return o;
}

static void find_last_uses(const struct heed_graph *g, struct memory *memory)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        for (uint32_t n = 0; n < HEED_NODE_INPUTS; n++)
            if (g->nodes[i].input[n])
                memory[g->tensors[g->nodes[i].input[n]].storage].last = i;
        for (uint32_t n = 0; n < HEED_NODE_OUTPUTS; n++)
            if (g->nodes[i].output[n])
                memory[g->tensors[g->nodes[i].output[n]].storage].last = i;
    }
}

static enum heed_status evaluate(const struct heed_graph *g, struct memory *memory, uint32_t index)
{
    const struct heed_node *node = &g->nodes[index];
    struct heed_operand in[HEED_NODE_INPUTS], out[HEED_NODE_OUTPUTS];
    for (uint32_t n = 0; n < HEED_NODE_OUTPUTS; n++) {
        uint32_t storage = node->output[n] ? g->tensors[node->output[n]].storage : 0;
        struct memory *m = &memory[storage];
        if (node->output[n] && !m->data) {
            enum heed_dtype dtype = g->storages[storage].dtype;
            uint64_t bytes = g->storages[storage].bytes;
            m->dtype = dtype == HEED_F32 ? HEED_F64 : dtype;
            m->data = heed_alloc(g->context, (size_t)(bytes / heed_dtype_alignment(dtype)) + 1,
                                 heed_dtype_alignment(m->dtype));
            m->owned = true;
            if (!m->data)
                return heed_fail_memory(g->context);
        }
        out[n] = operand(g, memory, node->output[n]);
    }
    for (uint32_t n = 0; n < HEED_NODE_INPUTS; n++)
        in[n] = operand(g, memory, node->input[n]);
    return heed_pipeline_ops[node->kind].evaluate(g, node, in, out);
}

enum heed_status heed_reference_pipeline(const struct heed_graph *g, void *const *args, enum heed_reference_store store,
                                         uint64_t *ns)
{
    struct memory *memory = heed_alloc(g->context, g->storage_count + 1, sizeof *memory);
    if (!memory)
        return heed_fail_memory(g->context);
    for (uint32_t i = 0; i < g->storage_count; i++) {
        const struct heed_storage *s = &g->storages[i];
        if (s->arg == UINT32_MAX)
            continue;
        memory[i].data = args[s->arg];
        memory[i].dtype = store == HEED_REFERENCE_F64 && !s->input ? HEED_F64 : s->dtype;
    }
    find_last_uses(g, memory);
    enum heed_status status = HEED_OK;
    for (uint32_t i = 0; status == HEED_OK && i < g->node_count; i++) {
        if (!heed_pipeline_ops[g->nodes[i].kind].view) {
            const uint64_t start = heed_clock_ns();
            status = evaluate(g, memory, i);
            if (ns)
                *ns++ = heed_clock_ns() - start;
        }
        for (uint32_t s = 0; s < g->storage_count; s++)
            if (memory[s].owned && memory[s].last == i) {
                heed_free(g->context, memory[s].data);
                memory[s].data = NULL;
                memory[s].owned = false;
            }
    }
    for (uint32_t s = 0; s < g->storage_count; s++)
        if (memory[s].owned)
            heed_free(g->context, memory[s].data);
    heed_free(g->context, memory);
    return status;
}
