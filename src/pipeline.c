/* SPDX-License-Identifier: MIT
 * Building a pipeline: values, arguments, sizes, and the graph that they end up in. */
#include "pipeline.h"
#include "dtype.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SIZE_FLAG UINT32_C(0x80000000)

/* ---- the graph's arrays */

/* Room for `more` entries behind `count`. */
static bool reserve(heed_context *context, void **array, size_t size, uint32_t count, uint32_t more, uint32_t *capacity)
{
    if (more <= *capacity - count)
        return true;
    uint32_t wanted = count + more > 2 * *capacity ? count + more : 2 * *capacity;
    void *grown = heed_alloc(context, wanted, size);
    if (!grown)
        return false;
    if (count > 0)
        memcpy(grown, *array, count * size);
    heed_free(context, *array);
    *array = grown;
    *capacity = wanted;
    return true;
}

#define RESERVE(graph, what, more)                                                                                     \
    reserve((graph)->context, (void **)&(graph)->what##s, sizeof *(graph)->what##s, (graph)->what##_count, more,       \
            &(graph)->what##_capacity)

enum heed_status heed_graph_copy(const struct heed_graph *from, struct heed_graph *to)
{
    *to = *from;
    to->tensors = NULL;
    to->storages = NULL;
    to->nodes = NULL;
    to->tensor_capacity = to->storage_capacity = to->node_capacity = 0;
    to->tensor_count = to->storage_count = to->node_count = 0;
    if (!RESERVE(to, tensor, from->tensor_count) || !RESERVE(to, storage, from->storage_count + 1) ||
        !RESERVE(to, node, from->node_count + 1)) {
        heed_graph_clear(to);
        return heed_fail_memory(from->context);
    }
    to->tensor_count = from->tensor_count;
    to->storage_count = from->storage_count;
    to->node_count = from->node_count;
    memcpy(to->tensors, from->tensors, from->tensor_count * sizeof *from->tensors);
    if (from->storage_count > 0)
        memcpy(to->storages, from->storages, from->storage_count * sizeof *from->storages);
    if (from->node_count > 0)
        memcpy(to->nodes, from->nodes, from->node_count * sizeof *from->nodes);
    return HEED_OK;
}

void heed_graph_clear(struct heed_graph *graph)
{
    heed_free(graph->context, graph->tensors);
    heed_free(graph->context, graph->storages);
    heed_free(graph->context, graph->nodes);
    graph->tensors = NULL;
    graph->storages = NULL;
    graph->nodes = NULL;
}

/* ---- tensors */

uint64_t heed_graph_length(const struct heed_graph *graph, uint32_t length)
{
    return length & SIZE_FLAG ? graph->sizes[length & ~SIZE_FLAG].length : length;
}

uint64_t heed_tensor_count(const struct heed_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->axes; i++)
        count *= tensor->length[i];
    return count;
}

bool heed_tensor_is_packed(const struct heed_tensor *tensor)
{
    uint64_t stride = 1;
    for (uint32_t i = tensor->axes; i-- > 0;) {
        if (tensor->length[i] > 1 && tensor->stride[i] != stride)
            return false;
        stride *= tensor->length[i];
    }
    return true;
}

bool heed_tensors_as_rows(const struct heed_tensor *const *tensors, uint32_t count, struct heed_rows *rows)
{
    uint32_t outer = tensors[0]->axes - 1, groups = 0;
    uint64_t length[2] = {1, 1}, stride[2][HEED_ROWS_TENSORS] = {{0}};
    for (uint32_t n = 0; n < count; n++)
        if (tensors[n]->length[outer] > 1 && tensors[n]->stride[outer] != 1)
            return false;
    for (uint32_t axis = outer; axis-- > 0;) { /* groups[0] is the innermost */
        if (tensors[0]->length[axis] == 1)
            continue;
        bool joins = groups > 0;
        for (uint32_t n = 0; joins && n < count; n++)
            joins = tensors[n]->stride[axis] == length[groups - 1] * stride[groups - 1][n];
        if (joins) {
            length[groups - 1] *= tensors[0]->length[axis];
            continue;
        }
        if (groups == 2)
            return false;
        length[groups] = tensors[0]->length[axis];
        for (uint32_t n = 0; n < count; n++)
            stride[groups][n] = tensors[n]->stride[axis];
        groups++;
    }
    rows->rows = length[0];
    rows->batches = length[1];
    for (uint32_t n = 0; n < count; n++) {
        rows->of[n].stride_row = stride[0][n];
        rows->of[n].stride_batch = stride[1][n];
        rows->of[n].features = tensors[n]->length[outer];
    }
    return true;
}

struct heed_text64 heed_tensor_text(const struct heed_tensor *tensor)
{
    struct heed_text64 text;
    int used = snprintf(text.text, sizeof text.text, "\"%s\" [", tensor->label);
    for (uint32_t i = 0; i < tensor->axes; i++)
        used +=
            snprintf(text.text + used, sizeof text.text - (size_t)used, "%s%" PRIu64, i ? " " : "", tensor->length[i]);
    snprintf(text.text + used, sizeof text.text - (size_t)used, "] %s", heed_dtype_name(tensor->dtype));
    return text;
}

/* ---- nodes */

const struct heed_tensor *heed_node_input(const struct heed_graph *graph, const struct heed_node *node, uint32_t i)
{
    return node->input[i] ? &graph->tensors[node->input[i]] : NULL;
}

enum heed_status heed_node_fail(const struct heed_graph *graph, const struct heed_node *node, const char *format, ...)
{
    char text[768];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return heed_fail(graph->context, HEED_ERR_ARGUMENT, "pipeline: %s %u: %s", heed_pipeline_ops[node->kind].name,
                     (unsigned)(node - graph->nodes) + 1, text);
}

static enum heed_status set_output(struct heed_graph *graph, struct heed_node *node, uint32_t i,
                                   const struct heed_tensor *wanted)
{
    if (node->output[i] == 0) { /* heed_pipeline_add has reserved it */
        node->output[i] = graph->tensor_count++;
        struct heed_tensor *made = &graph->tensors[node->output[i]];
        *made = *wanted;
        made->node = (uint32_t)(node - graph->nodes);
        made->label[0] = 0;
        snprintf(made->label, sizeof made->label, "%s %u", heed_pipeline_ops[node->kind].name, made->node + 1);
        return HEED_OK;
    }
    struct heed_tensor *tensor = &graph->tensors[node->output[i]];
    tensor->axes = wanted->axes;
    memcpy(tensor->length, wanted->length, sizeof tensor->length);
    memcpy(tensor->stride, wanted->stride, sizeof tensor->stride);
    tensor->offset = wanted->offset;
    return HEED_OK;
}

enum heed_status heed_node_output_strided(struct heed_graph *graph, struct heed_node *node, uint32_t i,
                                          enum heed_dtype dtype, uint32_t axes, const uint64_t *length,
                                          const uint64_t *stride)
{
    struct heed_tensor tensor = {.dtype = dtype, .axes = axes};
    struct heed_checked count = heed_checked(16);
    for (uint32_t a = 0; a < axes; a++) {
        tensor.length[a] = length[a];
        tensor.stride[a] = stride[a];
        if (length[a] > INT32_MAX)
            return heed_node_fail(graph, node, "axis %u of the result has %" PRIu64 " elements, more than 2^31 - 1", a,
                                  length[a]);
        count = heed_checked_mul(count, length[a] > 0 ? length[a] : 1);
    }
    if (count.overflow || count.value > INT64_MAX)
        return heed_node_fail(graph, node, "the result does not fit 63 bits of bytes");
    if (node->output[i] == 0) {
        tensor.storage = graph->storage_count++;
        graph->storages[tensor.storage] = (struct heed_storage){.arg = UINT32_MAX, .dtype = dtype};
    } else {
        tensor.storage = graph->tensors[node->output[i]].storage;
    }
    graph->storages[tensor.storage].bytes = heed_dtype_bytes(dtype, heed_tensor_count(&tensor));
    return set_output(graph, node, i, &tensor);
}

enum heed_status heed_node_output(struct heed_graph *graph, struct heed_node *node, uint32_t i, enum heed_dtype dtype,
                                  uint32_t axes, const uint64_t *length)
{
    uint64_t stride[HEED_MAX_AXES], step = 1;
    for (uint32_t a = axes; a-- > 0;) {
        stride[a] = step;
        step *= length[a];
    }
    return heed_node_output_strided(graph, node, i, dtype, axes, length, stride);
}

enum heed_status heed_node_view(struct heed_graph *graph, struct heed_node *node, uint32_t i, uint32_t of,
                                const struct heed_tensor *view)
{
    struct heed_tensor tensor = *view;
    tensor.storage = graph->tensors[node->input[of]].storage;
    tensor.dtype = graph->tensors[node->input[of]].dtype;
    return set_output(graph, node, i, &tensor);
}

enum heed_status heed_node_require(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                   const char *what)
{
    return node->input[i] ? HEED_OK : heed_node_fail(graph, node, "%s is no value", what);
}

enum heed_status heed_node_expect(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                  const char *what, enum heed_dtype dtype, uint32_t axes, const uint64_t *length)
{
    const struct heed_tensor *t = heed_node_input(graph, node, i);
    if (!t)
        return HEED_OK;
    struct heed_tensor wanted = {.dtype = dtype, .axes = axes};
    memcpy(wanted.length, length, axes * sizeof *length);
    if (t->dtype != dtype || t->axes != axes || memcmp(t->length, length, axes * sizeof *length) != 0)
        return heed_node_fail(graph, node, "%s %s is not%s", what, heed_tensor_text(t).text,
                              heed_tensor_text(&wanted).text + 2);
    return heed_tensor_is_packed(t)
               ? HEED_OK
               : heed_node_fail(graph, node, "%s %s is not packed", what, heed_tensor_text(t).text);
}

static bool is_float(enum heed_dtype dtype)
{
    return dtype == HEED_F32 || dtype == HEED_F16 || dtype == HEED_BF16;
}

enum heed_status heed_node_expect_float(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                        const char *what)
{
    enum heed_status status = heed_node_require(graph, node, i, what);
    if (status == HEED_OK && !is_float(graph->tensors[node->input[i]].dtype))
        return heed_node_fail(graph, node, "%s %s is not f32, f16 or bf16", what,
                              heed_tensor_text(&graph->tensors[node->input[i]]).text);
    return status;
}

enum heed_status heed_node_expect_output(const struct heed_graph *graph, const struct heed_node *node,
                                         enum heed_dtype dtype)
{
    return is_float(dtype)
               ? HEED_OK
               : heed_node_fail(graph, node, "dtype %s of the result is not f32, f16 or bf16", heed_dtype_name(dtype));
}

static heed_value fail(heed_pipeline *p, enum heed_status status)
{
    p->status = status;
    return (heed_value){0};
}

static bool is_usable(const heed_pipeline *p)
{
    return p && p->status == HEED_OK;
}

heed_value heed_pipeline_add(heed_pipeline *p, const struct heed_node_init *init)
{
    if (!is_usable(p))
        return (heed_value){0};
    struct heed_graph *g = &p->graph;
    const char *op = heed_pipeline_ops[init->kind].name;
    if (!RESERVE(g, node, 1) || !RESERVE(g, tensor, HEED_NODE_OUTPUTS) || !RESERVE(g, storage, HEED_NODE_OUTPUTS))
        return fail(p, heed_fail_memory(g->context));
    struct heed_node *node = &g->nodes[g->node_count];
    *node = (struct heed_node){.kind = init->kind};
    for (uint32_t i = 0; i < HEED_NODE_INPUTS; i++) {
        if (init->input[i].id >= g->tensor_count)
            return fail(p,
                        heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: %s %u: value %u is none of this pipeline's",
                                  op, g->node_count + 1, init->input[i].id));
        node->input[i] = init->input[i].id;
    }
    memcpy(node->desc, &init->desc_bytes, sizeof init->desc_bytes);
    if (init->desc) {
        size_t said;
        memcpy(&said, init->desc, sizeof said);
        if (said != init->desc_bytes)
            return fail(p, heed_fail(g->context, HEED_ERR_ARGUMENT,
                                     "pipeline: %s %u: struct_size %zu is not sizeof(struct heed_%s_desc) %zu", op,
                                     g->node_count + 1, said, op, init->desc_bytes));
        memcpy(node->desc, init->desc, init->desc_bytes);
    }
    if (init->kernel && strlen(init->kernel) >= sizeof node->kernel)
        return fail(p, heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: %s %u: kernel \"%s\" is the name of none",
                                 op, g->node_count + 1, init->kernel));
    snprintf(node->kernel, sizeof node->kernel, "%s", init->kernel ? init->kernel : "");
    g->node_count++;
    enum heed_status status = heed_pipeline_ops[init->kind].infer(g, node);
    if (status != HEED_OK) {
        g->node_count--;
        return fail(p, status);
    }
    for (uint32_t i = 1; i < HEED_NODE_OUTPUTS; i++)
        if (init->output[i])
            *init->output[i] = (heed_value){node->output[i]};
    return (heed_value){node->output[0]};
}

/* ---- arguments */

static enum heed_status check_name(const struct heed_graph *g, const char *what, const char *name)
{
    if (!name || !*name || strlen(name) >= HEED_LABEL_BYTES || strcmp(name, "scratch") == 0)
        return heed_fail(g->context, HEED_ERR_ARGUMENT,
                         "pipeline: %s name \"%.80s\" is not 1 to 63 characters, or it is \"scratch\"", what,
                         name ? name : "(null)");
    for (uint32_t i = 0; i < g->storage_count; i++)
        if (strcmp(g->storages[i].name, name) == 0)
            return heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: an argument \"%s\" is there already", name);
    return HEED_OK;
}

/* Lengths and strides of an argument out of its shape. */
static enum heed_status shape_argument(struct heed_graph *g, struct heed_tensor *t)
{
    struct heed_checked count = heed_checked(16); /* and room for the largest element */
    for (uint32_t a = t->axes; a-- > 0;) {
        t->length[a] = heed_graph_length(g, t->shape.length[a]);
        t->stride[a] = count.value / 16;
        count = heed_checked_mul(count, t->length[a]);
    }
    if (count.overflow || count.value > INT64_MAX)
        return heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: argument %s does not fit 63 bits of bytes",
                         heed_tensor_text(t).text);
    if (t->dtype == HEED_Q8_0 && t->length[t->axes - 1] % HEED_Q8_0_NUMBERS != 0)
        return heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: argument %s has no whole blocks of %d",
                         heed_tensor_text(t).text, HEED_Q8_0_NUMBERS);
    g->storages[t->storage].bytes = heed_dtype_bytes(t->dtype, count.value / 16);
    return HEED_OK;
}

static heed_value add_argument(heed_pipeline *p, const char *name, enum heed_dtype dtype, struct heed_shape shape,
                               bool state)
{
    if (!is_usable(p))
        return (heed_value){0};
    struct heed_graph *g = &p->graph;
    enum heed_status status = check_name(g, "argument", name);
    if (status != HEED_OK)
        return fail(p, status);
    if ((unsigned)dtype > HEED_Q8_0 || (state && !is_float(dtype)))
        return fail(p, heed_fail(g->context, HEED_ERR_ARGUMENT,
                                 "pipeline: argument \"%s\" has type %s, which is no type %s", name,
                                 heed_dtype_name(dtype), state ? "of a state" : "of an input"));
    if (shape.axes < 1 || shape.axes > HEED_MAX_AXES)
        return fail(p, heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: argument \"%s\" has %u axes, not 1..%d",
                                 name, shape.axes, HEED_MAX_AXES));
    for (uint32_t a = 0; a < shape.axes; a++)
        if (shape.length[a] & SIZE_FLAG && (shape.length[a] & ~SIZE_FLAG) >= g->size_count)
            return fail(p, heed_fail(g->context, HEED_ERR_ARGUMENT,
                                     "pipeline: argument \"%s\": length %u of axis %u is over 2^31 - 1 and no size",
                                     name, shape.length[a], a));
    if (!RESERVE(g, tensor, 1) || !RESERVE(g, storage, 1))
        return fail(p, heed_fail_memory(g->context));
    struct heed_tensor *t = &g->tensors[g->tensor_count];
    *t = (struct heed_tensor){
        .storage = g->storage_count, .dtype = dtype, .axes = shape.axes, .node = UINT32_MAX, .shape = shape};
    snprintf(t->label, sizeof t->label, "%s", name);
    struct heed_storage *s = &g->storages[g->storage_count];
    *s = (struct heed_storage){.arg = g->arg_count, .input = true, .output = state, .dtype = dtype};
    snprintf(s->name, sizeof s->name, "%s", name);
    status = shape_argument(g, t);
    if (status != HEED_OK)
        return fail(p, status);
    g->arg_count++;
    g->storage_count++;
    return (heed_value){g->tensor_count++};
}

heed_value heed_pipeline_input(heed_pipeline *pipeline, const char *name, enum heed_dtype dtype,
                               struct heed_shape shape)
{
    return add_argument(pipeline, name, dtype, shape, false);
}

heed_value heed_pipeline_state(heed_pipeline *pipeline, const char *name, enum heed_dtype dtype,
                               struct heed_shape shape)
{
    return add_argument(pipeline, name, dtype, shape, true);
}

/* Whether the value is, at any size, all that an op writes to its storage, in order. */
static bool owns_storage(const struct heed_graph *g, const struct heed_tensor *t)
{
    if (!heed_tensor_is_packed(t) || g->storages[t->storage].arg != UINT32_MAX)
        return false;
    uint32_t node = t->node;
    if (g->nodes[node].kind == HEED_NODE_SPLIT_HEADS)
        return false;
    while (g->nodes[node].kind == HEED_NODE_RESHAPE || g->nodes[node].kind == HEED_NODE_MERGE_HEADS ||
           g->nodes[node].kind == HEED_NODE_SPLIT_HEADS)
        node = g->tensors[g->nodes[node].input[0]].node;
    return !heed_pipeline_ops[g->nodes[node].kind].view;
}

void heed_pipeline_output(heed_pipeline *p, const char *name, heed_value value)
{
    if (!is_usable(p))
        return;
    struct heed_graph *g = &p->graph;
    enum heed_status status = check_name(g, "output", name);
    if (status == HEED_OK && (value.id == 0 || value.id >= g->tensor_count))
        status = heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: output \"%s\" is no value of this pipeline", name);
    if (status != HEED_OK) {
        fail(p, status);
        return;
    }
    if (!owns_storage(g, &g->tensors[value.id])) {
        const struct heed_combine_desc desc = {.struct_size = sizeof desc, .dtype = g->tensors[value.id].dtype};
        value = heed_combine(p, value, (heed_value){0}, &desc);
        if (value.id == 0)
            return;
    }
    struct heed_tensor *t = &g->tensors[value.id];
    struct heed_storage *s = &g->storages[t->storage];
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(t->label, sizeof t->label, "%s", name);
    s->arg = g->arg_count++;
    s->output = true;
}

void heed_pipeline_label(heed_pipeline *p, heed_value value, const char *label)
{
    if (!is_usable(p) || !label || value.id == 0 || value.id >= p->graph.tensor_count)
        return;
    snprintf(p->graph.tensors[value.id].label, HEED_LABEL_BYTES, "%s", label);
}

enum heed_status heed_pipeline_get_shape(const heed_pipeline *p, heed_value value, struct heed_shape *shape,
                                         enum heed_dtype *dtype)
{
    if (!p || value.id == 0 || value.id >= p->graph.tensor_count)
        return HEED_ERR_ARGUMENT;
    const struct heed_tensor *t = &p->graph.tensors[value.id];
    if (shape) {
        *shape = (struct heed_shape){.axes = t->axes};
        for (uint32_t a = 0; a < t->axes; a++)
            shape->length[a] = (uint32_t)t->length[a];
    }
    if (dtype)
        *dtype = t->dtype;
    return HEED_OK;
}

uint32_t heed_pipeline_add_size(heed_pipeline *p, const char *name, uint32_t most)
{
    if (!is_usable(p))
        return 0;
    struct heed_graph *g = &p->graph;
    enum heed_status status = HEED_OK;
    if (!name || !*name || strlen(name) >= HEED_LABEL_BYTES || most == 0 || most > INT32_MAX)
        status = heed_fail(g->context, HEED_ERR_ARGUMENT,
                           "pipeline: size \"%.80s\" of at most %u: the name is not 1 to 63 characters, or the most is "
                           "not 1..2^31 - 1",
                           name ? name : "(null)", most);
    else if (g->size_count == HEED_MAX_SIZES)
        status =
            heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: size \"%s\" is one more than %d", name, HEED_MAX_SIZES);
    for (uint32_t i = 0; status == HEED_OK && i < g->size_count; i++)
        if (strcmp(g->sizes[i].name, name) == 0)
            status = heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: a size \"%s\" is there already", name);
    if (status != HEED_OK) {
        fail(p, status);
        return 0;
    }
    snprintf(g->sizes[g->size_count].name, HEED_LABEL_BYTES, "%s", name);
    g->sizes[g->size_count].most = g->sizes[g->size_count].length = most;
    return SIZE_FLAG | g->size_count++;
}

enum heed_status heed_graph_resize(struct heed_graph *g, const struct heed_size *sizes, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = 0;
        while (i < g->size_count && (!sizes[n].name || strcmp(g->sizes[i].name, sizes[n].name) != 0))
            i++;
        if (i == g->size_count)
            return heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: size \"%.80s\" is none of this plan's",
                             sizes[n].name ? sizes[n].name : "(null)");
        if (sizes[n].length > g->sizes[i].most)
            return heed_fail(g->context, HEED_ERR_ARGUMENT, "pipeline: size \"%s\" of %u is more than %u, its most",
                             sizes[n].name, sizes[n].length, g->sizes[i].most);
        g->sizes[i].length = sizes[n].length;
    }
    enum heed_status status = HEED_OK;
    for (uint32_t i = 1; status == HEED_OK && i < g->tensor_count; i++)
        if (g->tensors[i].node == UINT32_MAX)
            status = shape_argument(g, &g->tensors[i]);
    for (uint32_t i = 0; status == HEED_OK && i < g->node_count; i++)
        status = heed_pipeline_ops[g->nodes[i].kind].infer(g, &g->nodes[i]);
    return status;
}

/* ---- the pipeline itself */

enum heed_status heed_pipeline_create(heed_device *device, const struct heed_pipeline_desc *desc,
                                      heed_pipeline **pipeline)
{
    if (!device || !pipeline)
        return HEED_ERR_ARGUMENT;
    *pipeline = NULL;
    heed_context *context = device->context;
    uint32_t alignment = 0;
    if (desc) {
        if (desc->struct_size != sizeof *desc)
            return heed_fail(context, HEED_ERR_ARGUMENT,
                             "pipeline: struct_size %zu is not sizeof(struct heed_pipeline_desc) %zu",
                             desc->struct_size, sizeof *desc);
        alignment = desc->offset_alignment;
    }
    enum heed_status status = heed_resolve_offset_alignment(context, "pipeline", &alignment);
    if (status != HEED_OK)
        return status;
    heed_pipeline *p = heed_alloc(context, 1, sizeof *p);
    if (!p)
        return heed_fail_memory(context);
    p->device = device;
    p->graph.context = context;
    p->graph.offset_alignment = alignment;
    if (!RESERVE(&p->graph, tensor, 1)) {
        heed_free(context, p);
        return heed_fail_memory(context);
    }
    p->graph.tensor_count = 1; /* 0 is none */
    *pipeline = p;
    return HEED_OK;
}

void heed_pipeline_destroy(heed_pipeline **pipeline)
{
    if (!pipeline || !*pipeline)
        return;
    heed_context *context = (*pipeline)->device->context;
    heed_graph_clear(&(*pipeline)->graph);
    heed_free(context, *pipeline);
    *pipeline = NULL;
}

enum heed_status heed_pipeline_get_status(const heed_pipeline *pipeline)
{
    return pipeline ? pipeline->status : HEED_ERR_ARGUMENT;
}
