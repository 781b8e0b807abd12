/* SPDX-License-Identifier: MIT
 * heed_attend and heed_sample: attention and deformable attention as nodes. They lower as the plans of heed.h do, and
 * their steps' arguments become values. */
#include "pipeline_ops.h"
#include "dtype.h"
#include "select.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the steps of a plan of one op */

/* Where each argument of the op lies. */
struct places {
    uint32_t storage[HEED_ARG_COUNT];
    uint64_t offset[HEED_ARG_COUNT];
};

static void place(struct places *places, enum heed_arg_id id, const struct heed_tensor *t)
{
    if (!t)
        return;
    places->storage[id] = t->storage;
    places->offset[id] = heed_dtype_bytes(t->dtype, t->offset);
}

/* `places` has everything but scratch. */
static enum heed_status lower_op(struct heed_node_lowering *l, enum heed_op op, const void *desc, struct places *places)
{
    heed_context *context = l->graph->context;
    heed_plan *sub = heed_alloc(context, 1, sizeof *sub);
    if (!sub)
        return heed_fail_memory(context);
    enum heed_status status = heed_plan_init(sub, l->plan->device, op, desc);
    if (status == HEED_OK)
        status = heed_plan_select(sub, *l->node->kernel ? l->node->kernel : NULL);
    if (status == HEED_OK) {
        snprintf(l->node->kernel, sizeof l->node->kernel, "%s", sub->kernel);
        places->storage[HEED_ARG_SCRATCH] = sub->scratch_bytes > 0 ? heed_node_add_scratch(l, sub->scratch_bytes) : 0;
        places->offset[HEED_ARG_SCRATCH] = 0;
        if (places->storage[HEED_ARG_SCRATCH] == UINT32_MAX)
            status = heed_fail_memory(context);
    }
    for (uint32_t i = 0; status == HEED_OK && i < sub->step_count; i++) {
        struct heed_step *step = heed_plan_add_step(l->plan);
        if (!step) {
            status = heed_fail_memory(context);
            break;
        }
        *step = sub->steps[i];
        for (uint32_t b = 0; b < step->binding_count; b++) {
            uint32_t arg = step->bindings[b].arg;
            step->bindings[b].arg = places->storage[arg];
            step->bindings[b].offset += places->offset[arg];
        }
    }
    heed_plan_clear(sub);
    heed_free(context, sub);
    return status;
}

/* The least of what the bound tensors are aligned to. */
static uint32_t common_alignment(const struct heed_node_lowering *l)
{
    uint32_t alignment = 16;
    for (uint32_t i = 0; i < HEED_NODE_INPUTS + HEED_NODE_OUTPUTS; i++) {
        uint32_t id = i < HEED_NODE_INPUTS ? l->node->input[i] : l->node->output[i - HEED_NODE_INPUTS];
        if (id == 0)
            continue;
        uint32_t a = heed_tensor_alignment(l->graph, &l->graph->tensors[id]);
        alignment = a < alignment ? a : alignment;
    }
    return alignment;
}

/* ---- attention */

enum { Q, K, V, MASK, KEY_LENGTHS, KEY_BIAS, ALIBI, Q_POS, K_POS, DISTANCE, SINKS, ATTEND_INPUTS };
enum { O, LSE, ENTROPY, WEIGHTS, ATTEND_OUTPUTS };
static const enum heed_arg_id attend_inputs[ATTEND_INPUTS] = {
    HEED_ARG_Q,     HEED_ARG_K,     HEED_ARG_V,     HEED_ARG_MASK,     HEED_ARG_KEY_LENGTHS, HEED_ARG_KEY_BIAS,
    HEED_ARG_ALIBI, HEED_ARG_Q_POS, HEED_ARG_K_POS, HEED_ARG_DISTANCE, HEED_ARG_SINKS};
static const enum heed_arg_id attend_outputs[ATTEND_OUTPUTS] = {HEED_ARG_O, HEED_ARG_LSE, HEED_ARG_ENTROPY,
                                                                HEED_ARG_WEIGHTS};

/* The caller's descriptor, and which results beside o are wanted: pointers of the caller are not kept. */
struct attend {
    struct heed_attend_desc desc;
    bool lse, entropy, weights;
};

heed_value heed_attend(heed_pipeline *pipeline, heed_value q, heed_value k, heed_value v,
                       const struct heed_attend_desc *desc)
{
    struct heed_attend_desc d = {.struct_size = sizeof d};
    if (desc && desc->struct_size != sizeof d) /* heed_pipeline_add says so */
        return heed_pipeline_add(
            pipeline, &(struct heed_node_init){.kind = HEED_NODE_ATTEND, .desc = desc, .desc_bytes = sizeof d});
    if (desc)
        d = *desc;
    struct attend node = {.desc = d, .lse = d.lse, .entropy = d.entropy, .weights = d.weights};
    node.desc.struct_size = sizeof node;
    node.desc.lse = node.desc.entropy = node.desc.weights = NULL;
    node.desc.kernel = NULL;
    return heed_pipeline_add(pipeline,
                             &(struct heed_node_init){.kind = HEED_NODE_ATTEND,
                                                      .input = {q, k, v, d.mask, d.key_lengths, d.key_bias, d.alibi,
                                                                d.q_pos, d.k_pos, d.distance, d.sinks},
                                                      .desc = &node,
                                                      .desc_bytes = sizeof node,
                                                      .kernel = d.kernel,
                                                      .output = {NULL, d.lse, d.entropy, d.weights}});
}

static struct heed_view view_of(const struct heed_tensor *t)
{
    return (struct heed_view){t->dtype, t->stride[0], t->stride[1], t->stride[2]};
}

/* What heed.h would be asked; o and scratch lie where heed_infer_attend puts them. */
static struct heed_attention_desc attention_desc(const struct heed_graph *g, const struct heed_node *n)
{
    const struct attend *a = heed_node_desc(n);
    const struct heed_attend_desc *d = &a->desc;
    const struct heed_tensor *q = heed_node_input(g, n, Q), *k = heed_node_input(g, n, K),
                             *v = heed_node_input(g, n, V), *mask = heed_node_input(g, n, MASK),
                             *bias = heed_node_input(g, n, KEY_BIAS), *q_pos = heed_node_input(g, n, Q_POS),
                             *k_pos = heed_node_input(g, n, K_POS);
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    if (d->scale != 0.0f)
        desc.scale = d->scale;
    desc.batch = (uint32_t)q->length[0];
    desc.heads_q = (uint32_t)q->length[1];
    desc.heads_kv = (uint32_t)k->length[1];
    desc.len_q = (uint32_t)q->length[2];
    desc.len_kv = (uint32_t)k->length[2];
    desc.dim_qk = (uint32_t)q->length[3];
    desc.dim_v = (uint32_t)v->length[3];
    desc.q = view_of(q);
    desc.k = view_of(k);
    desc.v = view_of(v);
    desc.o = (struct heed_view){d->dtype, (uint64_t)desc.len_q * desc.heads_q * desc.dim_v, desc.dim_v,
                                (uint64_t)desc.heads_q * desc.dim_v};
    desc.softcap = d->softcap;
    desc.softcap_order = d->softcap_order;
    desc.causal = d->causal;
    desc.window = d->window;
    desc.window_left = d->window_left;
    desc.window_right = d->window_right;
    desc.diagonal = d->diagonal;
    desc.path = d->path;
    if (mask) {
        desc.mask = mask->dtype == HEED_BOOL ? HEED_MASK_BOOL : HEED_MASK_ADD;
        desc.mask_dtype = mask->dtype;
        desc.mask_broadcast = (mask->length[0] == 1 ? HEED_BROADCAST_BATCH : 0) |
                              (mask->length[1] == 1 ? HEED_BROADCAST_HEAD : 0) |
                              (mask->length[2] == 1 ? HEED_BROADCAST_ROW : 0);
        desc.mask_stride_batch = mask->stride[0];
        desc.mask_stride_head = mask->stride[1];
        desc.mask_stride_row = mask->stride[2];
    }
    desc.key_lengths = n->input[KEY_LENGTHS] != 0;
    if (bias) {
        desc.key_bias = true;
        desc.key_bias_broadcast =
            (bias->length[0] == 1 ? HEED_BROADCAST_BATCH : 0) | (bias->length[1] == 1 ? HEED_BROADCAST_HEAD : 0);
    }
    desc.alibi = n->input[ALIBI] != 0;
    desc.sinks = n->input[SINKS] != 0;
    if (q_pos) {
        desc.distance_dims = (uint32_t)q_pos->length[2];
        desc.q_pos_broadcast = q_pos->length[0] == 1 ? HEED_BROADCAST_BATCH : 0;
        desc.k_pos_broadcast = k_pos->length[0] == 1 ? HEED_BROADCAST_BATCH : 0;
    }
    desc.lse = a->lse;
    desc.entropy = a->entropy;
    desc.weights = a->weights;
    return desc;
}

/* Length 1 stands for all. */
static uint64_t broadcast(const struct heed_tensor *t, uint32_t axis, uint64_t length)
{
    return t && axis < t->axes && t->length[axis] == 1 ? 1 : length;
}

static enum heed_status check_terms(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_tensor *q = heed_node_input(g, n, Q), *k = heed_node_input(g, n, K),
                             *mask = heed_node_input(g, n, MASK), *bias = heed_node_input(g, n, KEY_BIAS),
                             *q_pos = heed_node_input(g, n, Q_POS), *k_pos = heed_node_input(g, n, K_POS);
    uint64_t batch = q->length[0], heads = q->length[1], rows = q->length[2], keys = k->length[2];
    if (mask &&
        (mask->dtype == HEED_I32 || mask->dtype == HEED_BF16 || mask->axes != 4 ||
         mask->length[0] != broadcast(mask, 0, batch) || mask->length[1] != broadcast(mask, 1, heads) ||
         mask->length[2] != broadcast(mask, 2, rows) || mask->length[3] != keys || (keys > 1 && mask->stride[3] != 1)))
        return heed_node_fail(g, n,
                              "mask %s is not bool, f32 or f16 [%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                              "], where the first three may be 1",
                              heed_tensor_text(mask).text, batch, heads, rows, keys);
    if (!q_pos != !k_pos || !q_pos != !n->input[DISTANCE])
        return heed_node_fail(g, n, "q_pos, k_pos and distance go together");
    uint64_t dims = q_pos ? q_pos->length[q_pos->axes - 1] : 0;
    const struct {
        uint32_t input;
        const char *what;
        enum heed_dtype dtype;
        uint32_t axes;
        uint64_t length[3];
    } rules[] = {
        {KEY_LENGTHS, "key_lengths", HEED_I32, 1, {batch}},
        {KEY_BIAS, "key_bias", HEED_F32, 3, {broadcast(bias, 0, batch), broadcast(bias, 1, heads), keys}},
        {ALIBI, "alibi", HEED_F32, 1, {heads}},
        {Q_POS, "q_pos", HEED_F32, 3, {broadcast(q_pos, 0, batch), rows, dims}},
        {K_POS, "k_pos", HEED_F32, 3, {broadcast(k_pos, 0, batch), keys, dims}},
        {DISTANCE, "distance", HEED_F32, 2, {heads, 2}},
        {SINKS, "sinks", HEED_F32, 1, {heads}},
    };
    enum heed_status status = HEED_OK;
    for (size_t i = 0; status == HEED_OK && i < sizeof rules / sizeof *rules; i++)
        status = heed_node_expect(g, n, rules[i].input, rules[i].what, rules[i].dtype, rules[i].axes, rules[i].length);
    return status;
}

enum heed_status heed_infer_attend(struct heed_graph *g, struct heed_node *n)
{
    static const char *const names[] = {"q", "k", "v"};
    const struct attend *a = heed_node_desc(n);
    enum heed_status status = heed_node_expect_output(g, n, a->desc.dtype);
    for (uint32_t i = Q; status == HEED_OK && i <= V; i++) {
        status = heed_node_expect_float(g, n, i, names[i]);
        const struct heed_tensor *t = heed_node_input(g, n, i);
        if (status == HEED_OK && (t->axes != 4 || (t->length[3] > 1 && t->stride[3] != 1)))
            return heed_node_fail(g, n, "%s %s is not [batch][heads][row][feature] with adjacent features", names[i],
                                  heed_tensor_text(t).text);
    }
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *q = heed_node_input(g, n, Q), *k = heed_node_input(g, n, K),
                             *v = heed_node_input(g, n, V);
    if (q->length[0] != k->length[0] || q->length[3] != k->length[3] || k->length[0] != v->length[0] ||
        k->length[1] != v->length[1] || k->length[2] != v->length[2])
        return heed_node_fail(g, n, "q %s, k %s and v %s do not belong together", heed_tensor_text(q).text,
                              heed_tensor_text(k).text, heed_tensor_text(v).text);
    status = check_terms(g, n);
    if (status != HEED_OK)
        return status;
    /* The rules of heed.h, once; it logs what breaks them. */
    const struct heed_attention_desc desc = attention_desc(g, n);
    struct heed_attention_problem *problem = heed_alloc(g->context, 1, sizeof *problem);
    if (!problem)
        return heed_fail_memory(g->context);
    status = heed_attention_problem_init(g->context, &desc, problem);
    n->flops = problem->flops;
    heed_free(g->context, problem);
    if (status != HEED_OK)
        return heed_node_fail(g, n, "q %s, k %s, v %s: attention is not legal", heed_tensor_text(q).text,
                              heed_tensor_text(k).text, heed_tensor_text(v).text);
    const uint64_t o_length[] = {desc.batch, desc.heads_q, desc.len_q, desc.dim_v};
    const uint64_t o_stride[] = {desc.o.stride_batch, desc.o.stride_head, desc.o.stride_row, 1};
    const uint64_t row_length[] = {desc.batch, desc.heads_q, desc.len_q, desc.len_kv};
    status = heed_node_output_strided(g, n, O, a->desc.dtype, 4, o_length, o_stride);
    if (status == HEED_OK && a->lse)
        status = heed_node_output(g, n, LSE, HEED_F32, 3, row_length);
    if (status == HEED_OK && a->entropy)
        status = heed_node_output(g, n, ENTROPY, HEED_F32, 3, row_length);
    if (status == HEED_OK && a->weights)
        status = heed_node_output(g, n, WEIGHTS, HEED_F32, 4, row_length);
    return status;
}

enum heed_status heed_lower_attend(struct heed_node_lowering *l)
{
    struct places places = {{0}, {0}};
    for (uint32_t i = 0; i < ATTEND_INPUTS; i++)
        place(&places, attend_inputs[i], heed_node_input(l->graph, l->node, i));
    for (uint32_t i = 0; i < ATTEND_OUTPUTS; i++)
        place(&places, attend_outputs[i], l->node->output[i] ? &l->graph->tensors[l->node->output[i]] : NULL);
    struct heed_attention_desc desc = attention_desc(l->graph, l->node);
    desc.offset_alignment = common_alignment(l);
    return lower_op(l, HEED_OP_ATTENTION, &desc, &places);
}

enum heed_status heed_attend_problem(const struct heed_graph *g, const struct heed_node *n,
                                     struct heed_attention_problem *problem)
{
    const struct heed_attention_desc desc = attention_desc(g, n);
    return heed_attention_problem_init(g->context, &desc, problem);
}

/* ---- deformable attention */

enum { VALUE, COORDINATES, WEIGHT, REFERENCE, SAMPLE_INPUTS };

struct sample {
    size_t struct_size;
    struct heed_deform_desc deform;
    enum heed_dtype dtype;
};
_Static_assert(sizeof(struct sample) <= 8 * HEED_NODE_DESC_WORDS, "the largest descriptor of a node");

heed_value heed_sample(heed_pipeline *pipeline, heed_value value, heed_value coordinates, heed_value weights,
                       const struct heed_deform_desc *deform, const struct heed_sample_desc *desc)
{
    const struct heed_deform_desc none = {.struct_size = 0};
    struct sample node = {.struct_size = sizeof node, .deform = deform ? *deform : none};
    heed_value reference = {0};
    const char *kernel = node.deform.struct_size == sizeof node.deform ? node.deform.kernel : NULL;
    if (desc && desc->struct_size != sizeof *desc)
        return heed_pipeline_add(
            pipeline, &(struct heed_node_init){.kind = HEED_NODE_SAMPLE, .desc = desc, .desc_bytes = sizeof *desc});
    if (desc) {
        reference = desc->reference;
        node.dtype = desc->dtype;
    }
    node.deform.kernel = NULL;
    return heed_pipeline_add(pipeline, &(struct heed_node_init){.kind = HEED_NODE_SAMPLE,
                                                                .input = {value, coordinates, weights, reference},
                                                                .desc = &node,
                                                                .desc_bytes = sizeof node,
                                                                .kernel = kernel});
}

static struct heed_deform_desc deform_desc(const struct heed_graph *g, const struct heed_node *n)
{
    const struct sample *s = heed_node_desc(n);
    const struct heed_tensor *value = heed_node_input(g, n, VALUE), *coordinates = heed_node_input(g, n, COORDINATES);
    struct heed_deform_desc desc = s->deform;
    desc.batch = (uint32_t)value->length[0];
    desc.len_value = (uint32_t)value->length[1];
    desc.heads = (uint32_t)value->length[2];
    desc.dim = (uint32_t)value->length[3];
    desc.len_q = (uint32_t)coordinates->length[1];
    desc.value = (struct heed_view){value->dtype, value->stride[0], value->stride[2], value->stride[1]};
    desc.o = (struct heed_view){.dtype = s->dtype};
    return desc;
}

enum heed_status heed_sample_problem(const struct heed_graph *g, const struct heed_node *n,
                                     struct heed_deform_problem *problem)
{
    const struct heed_deform_desc desc = deform_desc(g, n);
    return heed_deform_problem_init(g->context, &desc, problem);
}

enum heed_status heed_infer_sample(struct heed_graph *g, struct heed_node *n)
{
    static const char *const names[] = {"value", "coordinates", "weights", "reference"};
    const struct sample *s = heed_node_desc(n);
    const struct heed_deform_desc *given = &s->deform;
    if (given->struct_size != sizeof *given || given->batch || given->len_q || given->heads || given->dim ||
        given->len_value || given->value.stride_batch || given->value.stride_row || given->o.stride_batch ||
        given->o.stride_row)
        return heed_node_fail(g, n,
                              "deform does not begin as HEED_DEFORM_DESC_INIT, or has a batch, len_q, heads, dim, "
                              "len_value, value or o, which the values give");
    enum heed_status status = heed_node_expect_output(g, n, s->dtype);
    if (status == HEED_OK && given->unweighted && n->input[WEIGHT])
        return heed_node_fail(g, n, "deform is unweighted, and there are weights");
    for (uint32_t i = 0; status == HEED_OK && i < SAMPLE_INPUTS - (given->input != HEED_DEFORM_OFFSETS); i++) {
        if (i == WEIGHT && given->unweighted)
            continue;
        status = heed_node_expect_float(g, n, i, names[i]);
        const struct heed_tensor *t = heed_node_input(g, n, i);
        if (status == HEED_OK && i != VALUE && (t->dtype != HEED_F32 || !heed_tensor_is_packed(t) || t->axes < 3))
            return heed_node_fail(g, n, "%s %s is not f32 [batch][len_q][...], packed", names[i],
                                  heed_tensor_text(t).text);
    }
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *value = heed_node_input(g, n, VALUE);
    if (value->axes != 4 || (value->length[3] > 1 && value->stride[3] != 1))
        return heed_node_fail(g, n, "value %s is not [batch][len_value][heads][dim] with adjacent features",
                              heed_tensor_text(value).text);
    struct heed_deform_problem *p = heed_alloc(g->context, 1, sizeof *p);
    if (!p)
        return heed_fail_memory(g->context);
    status = heed_sample_problem(g, n, p);
    if (status != HEED_OK) {
        heed_free(g->context, p);
        return heed_node_fail(g, n, "value %s: deformable attention is not legal", heed_tensor_text(value).text);
    }
    const struct heed_deform_desc *d = &p->desc;
    const uint64_t rows = (uint64_t)d->batch * d->len_q, points = (uint64_t)d->heads * p->points;
    const uint64_t wanted[] = {0, rows * points * d->axes, rows * points,
                               rows * p->reference_levels * p->reference_width};
    for (uint32_t i = COORDINATES; status == HEED_OK && i < SAMPLE_INPUTS; i++) {
        const struct heed_tensor *t = heed_node_input(g, n, i);
        if (t == NULL)
            continue;
        if (t->length[0] != d->batch || t->length[1] != d->len_q || heed_tensor_count(t) != wanted[i])
            status = heed_node_fail(g, n, "%s %s is not [%u %u ...] of %" PRIu64 " elements", names[i],
                                    heed_tensor_text(t).text, d->batch, d->len_q, wanted[i]);
    }
    n->flops = p->flops;
    const uint64_t length[] = {d->batch, d->len_q, (uint64_t)d->heads * d->dim};
    heed_free(g->context, p);
    return status == HEED_OK ? heed_node_output(g, n, 0, s->dtype, 3, length) : status;
}

enum heed_status heed_lower_sample(struct heed_node_lowering *l)
{
    const struct sample *s = heed_node_desc(l->node);
    const bool offsets = s->deform.input == HEED_DEFORM_OFFSETS;
    struct places places = {{0}, {0}};
    place(&places, HEED_ARG_VALUE, heed_node_input(l->graph, l->node, VALUE));
    place(&places, offsets ? HEED_ARG_OFFSETS : HEED_ARG_LOCATIONS, heed_node_input(l->graph, l->node, COORDINATES));
    place(&places, offsets ? HEED_ARG_LOGITS : HEED_ARG_WEIGHTS, heed_node_input(l->graph, l->node, WEIGHT));
    place(&places, HEED_ARG_REFERENCE, heed_node_input(l->graph, l->node, REFERENCE));
    place(&places, HEED_ARG_O, &l->graph->tensors[l->node->output[0]]);
    struct heed_deform_desc desc = deform_desc(l->graph, l->node);
    desc.offset_alignment = common_alignment(l);
    return lower_op(l, HEED_OP_DEFORM, &desc, &places);
}
