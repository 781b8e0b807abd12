/* SPDX-License-Identifier: MIT
 * A plan, and the graph of a pipeline, as text. */
#include "pipeline.h"
#include "dtype.h"
#include "select.h"
#include "text.h"

#include <inttypes.h>

static uint64_t node_bytes(const struct heed_graph *g, const struct heed_node *n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < HEED_NODE_INPUTS + HEED_NODE_OUTPUTS; i++) {
        uint32_t value = i < HEED_NODE_INPUTS ? n->input[i] : n->output[i - HEED_NODE_INPUTS];
        if (value)
            bytes += heed_dtype_bytes(g->tensors[value].dtype, heed_tensor_count(&g->tensors[value]));
    }
    return bytes;
}

uint32_t heed_plan_op_count(const heed_plan *plan)
{
    if (!plan->pipeline)
        return 1;
    const struct heed_graph *g = &plan->pipeline->graph;
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        count += !heed_pipeline_ops[g->nodes[i].kind].view;
    return count;
}

uint32_t heed_plan_op(const heed_plan *plan, uint32_t op, struct heed_op_time *time)
{
    if (!plan->pipeline) {
        *time = (struct heed_op_time){.op = heed_op_name(plan->op), .kernel = plan->kernel};
        return plan->step_count;
    }
    const struct heed_graph *g = &plan->pipeline->graph;
    uint32_t node = 0, end = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (!heed_pipeline_ops[g->nodes[i].kind].view && op-- == 0)
            node = i;
    while (end < plan->step_count && plan->steps[end].node <= node)
        end++;
    const struct heed_node *n = &g->nodes[node];
    const char *kernel = plan->device->ops->direct_kernel;
    if (!kernel) /* an op without a choice has the one kernel of its steps */
        kernel = *n->kernel || end == 0 ? n->kernel : heed_kernel_name(plan->steps[end - 1].kernel);
    *time = (struct heed_op_time){.op = heed_pipeline_ops[n->kind].name, .kernel = kernel};
    return end;
}

static void append_node(struct heed_text *t, const struct heed_graph *g, const struct heed_node *n)
{
    heed_text_append(t, "%s%s%s:", heed_pipeline_ops[n->kind].name, *n->kernel ? " " : "", n->kernel);
    for (uint32_t i = 0; i < HEED_NODE_INPUTS; i++)
        if (n->input[i])
            heed_text_append(t, " %s", heed_tensor_text(&g->tensors[n->input[i]]).text);
    heed_text_append(t, " ->");
    for (uint32_t i = 0; i < HEED_NODE_OUTPUTS; i++)
        if (n->output[i])
            heed_text_append(t, " %s", heed_tensor_text(&g->tensors[n->output[i]]).text);
    heed_text_append(t, ", %" PRIu64 " bytes, %" PRIu64 " flops\n", node_bytes(g, n), n->flops);
}

static void append_pipeline(struct heed_text *t, const heed_plan *plan)
{
    const struct heed_graph *g = &plan->pipeline->graph;
    uint32_t step = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        if (heed_pipeline_ops[g->nodes[i].kind].view)
            continue;
        append_node(t, g, &g->nodes[i]);
        uint32_t end = step;
        while (end < plan->step_count && plan->steps[end].node == i)
            end++;
        heed_explain_steps(t, plan, step, end);
        step = end;
    }
}

enum heed_status heed_explain_plan(const heed_plan *plan, char *text, size_t capacity, size_t *length)
{
    if (!plan || (!text && capacity > 0))
        return HEED_ERR_ARGUMENT;
    struct heed_text t = {text, capacity, 0};
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    heed_text_append(&t, "%s on %s (%s)\n", plan->kernel, plan->device->info.name, plan->device->info.driver);
    if (plan->pipeline)
        append_pipeline(&t, plan);
    else
        heed_explain_steps(&t, plan, 0, plan->step_count);
    heed_text_append(&t,
                     "%u dispatches, %u barriers, %u pipelines; arguments of %" PRIu64 " bytes, %" PRIu64
                     " flops; scratch of %" PRIu64 " bytes, %" PRIu64 " if nothing shared a place\n",
                     info.dispatches, info.barriers, info.pipelines, info.bytes, info.flops, info.scratch_bytes,
                     info.scratch_sum);
    if (length)
        *length = t.length;
    return HEED_OK;
}

/* Labels are the caller's: quotes and backslashes are made safe. */
static void append_label(struct heed_text *t, const struct heed_tensor *tensor)
{
    const struct heed_text64 text = heed_tensor_text(tensor);
    for (const char *c = text.text; *c; c++)
        heed_text_append(t, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
}

enum heed_status heed_pipeline_dot(const heed_pipeline *p, char *text, size_t capacity, size_t *length)
{
    if (!p || (!text && capacity > 0))
        return HEED_ERR_ARGUMENT;
    struct heed_text t = {text, capacity, 0};
    const struct heed_graph *g = &p->graph;
    heed_text_append(&t, "digraph heed {\n  node [fontname=sans];\n");
    for (uint32_t v = 1; v < g->tensor_count; v++) {
        if (g->tensors[v].node != UINT32_MAX)
            continue;
        heed_text_append(&t, "  v%u [shape=box label=\"", v);
        append_label(&t, &g->tensors[v]);
        heed_text_append(&t, "\"];\n");
    }
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct heed_node *n = &g->nodes[i];
        const struct heed_pipeline_op *op = &heed_pipeline_ops[n->kind];
        heed_text_append(&t, "  n%u [shape=ellipse%s label=\"%s\"];\n", i, op->view ? " style=dotted" : "", op->name);
        for (uint32_t k = 0; k < HEED_NODE_INPUTS; k++) {
            if (n->input[k] == 0)
                continue;
            const struct heed_tensor *x = &g->tensors[n->input[k]];
            heed_text_append(&t, "  %s%u -> n%u [label=\"", x->node == UINT32_MAX ? "v" : "n",
                             x->node == UINT32_MAX ? n->input[k] : x->node, i);
            if (x->node != UINT32_MAX)
                append_label(&t, x);
            heed_text_append(&t, "\"];\n");
        }
    }
    for (uint32_t v = 1; v < g->tensor_count; v++)
        if (g->tensors[v].node != UINT32_MAX && g->storages[g->tensors[v].storage].output) {
            heed_text_append(&t, "  o%u [shape=box label=\"", v);
            append_label(&t, &g->tensors[v]);
            heed_text_append(&t, "\"];\n  n%u -> o%u;\n", g->tensors[v].node, v);
        }
    heed_text_append(&t, "}\n");
    if (length)
        *length = t.length;
    return HEED_OK;
}
