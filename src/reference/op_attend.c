/* SPDX-License-Identifier: MIT
 * The nodes of attention and deformable attention: the oracles of heed.h over values. */
#include "../dtype.h"
#include "../pipeline_ops.h"

#include "reference.h"

enum heed_status heed_reference_attend(const struct heed_graph *graph, const struct heed_node *node,
                                       const struct heed_operand *in, const struct heed_operand *out)
{
    static const enum heed_arg_id inputs[] = {HEED_ARG_Q,           HEED_ARG_K,        HEED_ARG_V,     HEED_ARG_MASK,
                                              HEED_ARG_KEY_LENGTHS, HEED_ARG_KEY_BIAS, HEED_ARG_ALIBI, HEED_ARG_Q_POS,
                                              HEED_ARG_K_POS,       HEED_ARG_DISTANCE, HEED_ARG_SINKS};
    static const enum heed_arg_id outputs[] = {HEED_ARG_O, HEED_ARG_LSE, HEED_ARG_ENTROPY, HEED_ARG_WEIGHTS};
    struct heed_attention_problem *problem = heed_alloc(graph->context, 1, sizeof *problem);
    if (!problem)
        return heed_fail_memory(graph->context);
    const void *from[HEED_ARG_COUNT] = {NULL};
    void *to[HEED_ARG_COUNT] = {NULL};
    enum heed_status status = heed_attend_problem(graph, node, problem);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        from[inputs[i]] = in[i].data;
        problem->args.arg[inputs[i]].dtype = in[i].dtype;
    }
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        to[outputs[i]] = out[i].data;
        problem->args.arg[outputs[i]].dtype = out[i].dtype;
    }
    if (status == HEED_OK)
        status = heed_reference_attention(graph->context, problem, from, to, HEED_REFERENCE_STORED_TYPE);
    heed_free(graph->context, problem);
    return status;
}

enum heed_status heed_reference_sample(const struct heed_graph *graph, const struct heed_node *node,
                                       const struct heed_operand *in, const struct heed_operand *out)
{
    struct heed_deform_problem *problem = heed_alloc(graph->context, 1, sizeof *problem);
    if (!problem)
        return heed_fail_memory(graph->context);
    const void *from[HEED_ARG_COUNT] = {NULL};
    void *to[HEED_ARG_COUNT] = {NULL};
    enum heed_status status = heed_sample_problem(graph, node, problem);
    const bool offsets = problem->desc.input == HEED_DEFORM_OFFSETS;
    const enum heed_arg_id inputs[] = {HEED_ARG_VALUE, offsets ? HEED_ARG_OFFSETS : HEED_ARG_LOCATIONS,
                                       offsets ? HEED_ARG_LOGITS : HEED_ARG_WEIGHTS, HEED_ARG_REFERENCE};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        from[inputs[i]] = in[i].data;
        problem->args.arg[inputs[i]].dtype = in[i].dtype;
    }
    to[HEED_ARG_O] = out[0].data;
    problem->desc.o.dtype = out[0].dtype;
    if (status == HEED_OK)
        status = heed_reference_deform(graph->context, problem, from, to, HEED_REFERENCE_STORED_TYPE);
    heed_free(graph->context, problem);
    return status;
}
