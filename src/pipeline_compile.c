/* SPDX-License-Identifier: MIT
 * From a graph to a plan: nodes become steps, hazards between steps become barriers, and lifetimes between barriers
 * become places in one arena. Barriers come first and places are shared only across them, so that sharing never costs a
 * barrier. */
#include "pipeline.h"
#include "dtype.h"
#include "select.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- for the ops' lower */

struct heed_step *heed_node_add_step(struct heed_node_lowering *l, enum heed_kernel kernel, uint32_t group)
{
    struct heed_step *step = heed_plan_add_step(l->plan);
    if (!step)
        return NULL;
    step->kernel = kernel;
    step->spec[HEED_SPEC_GROUP] = group;
    step->spec_count = 1;
    return step;
}

uint32_t heed_node_add_scratch(struct heed_node_lowering *l, uint64_t bytes)
{
    struct heed_pipeline_plan *pp = l->plan->pipeline;
    if (pp->place_count == pp->place_capacity) {
        uint32_t capacity = 2 * pp->place_capacity + 8;
        struct heed_place *places = heed_alloc(pp->graph.context, capacity, sizeof *places);
        if (!places)
            return UINT32_MAX;
        if (pp->place_count > 0)
            memcpy(places, pp->places, pp->place_count * sizeof *places);
        heed_free(pp->graph.context, pp->places);
        pp->places = places;
        pp->place_capacity = capacity;
    }
    uint32_t node = l->node ? (uint32_t)(l->node - pp->graph.nodes) : UINT32_MAX;
    pp->places[pp->place_count] = (struct heed_place){.bytes = bytes, .node = node};
    return pp->place_count++;
}

void heed_node_bind_range(struct heed_step *step, uint32_t slot, uint32_t storage, uint32_t element_bytes,
                          uint64_t offset, uint64_t bytes)
{
    if (slot >= step->binding_count)
        step->binding_count = slot + 1;
    step->bindings[slot] = (struct heed_step_binding){storage, element_bytes, offset, bytes};
}

void heed_node_bind_part(struct heed_step *step, uint32_t slot, const struct heed_tensor *t, uint64_t first,
                         const uint64_t *length)
{
    uint64_t count = 1;
    for (uint32_t a = 0; a < t->axes; a++) {
        if (length[a] == 0)
            count = 0;
        else if (count > 0)
            count += (length[a] - 1) * t->stride[a];
    }
    heed_node_bind_range(step, slot, t->storage, (uint32_t)heed_dtype_alignment(t->dtype),
                         heed_dtype_bytes(t->dtype, t->offset + first), heed_dtype_bytes(t->dtype, count));
}

void heed_node_bind(struct heed_step *step, uint32_t slot, const struct heed_tensor *t)
{
    heed_node_bind_part(step, slot, t, 0, t->length);
}

uint32_t heed_tensor_alignment(const struct heed_graph *g, const struct heed_tensor *t)
{
    uint32_t alignment = 16;
    uint64_t offset = heed_dtype_bytes(t->dtype, t->offset);
    if (g->storages[t->storage].arg != UINT32_MAX && g->offset_alignment < alignment)
        alignment = g->offset_alignment;
    while (offset % alignment != 0)
        alignment /= 2;
    uint32_t element = (uint32_t)heed_dtype_alignment(t->dtype);
    return alignment > element ? alignment : element;
}

bool heed_tensor_is_vector(const struct heed_graph *g, const struct heed_tensor *t)
{
    uint32_t last = t->axes - 1;
    if (t->length[last] % 4 != 0 || heed_tensor_alignment(g, t) % (4 * heed_dtype_alignment(t->dtype)) != 0)
        return false;
    for (uint32_t a = 0; a < last; a++)
        if (t->length[a] > 1 && t->stride[a] % 4 != 0)
            return false;
    return true;
}

/* ---- steps */

static enum heed_status check_kernels(const heed_plan *plan, uint32_t node, uint32_t first_step)
{
    const struct heed_graph *g = &plan->pipeline->graph;
    char why[256];
    for (uint32_t s = first_step; s < plan->step_count; s++)
        if (!heed_plan_has_kernel(plan, plan->steps[s].kernel, why, sizeof why))
            return heed_fail(g->context, HEED_ERR_UNSUPPORTED, "pipeline: %s %u: no kernel for this on %s: %s",
                             heed_pipeline_ops[g->nodes[node].kind].name, (unsigned)node + 1, plan->device->info.name,
                             why);
    return HEED_OK;
}

static enum heed_status lower_nodes(heed_plan *plan)
{
    struct heed_pipeline_plan *pp = plan->pipeline;
    struct heed_graph *g = &pp->graph;
    struct heed_node_lowering l = {.plan = plan, .graph = g};
    for (uint32_t i = 0; i < g->storage_count; i++)
        if (heed_node_add_scratch(&l, g->storages[i].bytes) == UINT32_MAX)
            return heed_fail_memory(g->context);
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct heed_pipeline_op *op = &heed_pipeline_ops[g->nodes[i].kind];
        if (op->view)
            continue;
        l.node = &g->nodes[i];
        uint32_t first = plan->step_count;
        enum heed_status status = op->lower(&l);
        if (status == HEED_OK)
            status = check_kernels(plan, i, first);
        if (status != HEED_OK)
            return status;
        for (uint32_t s = first; s < plan->step_count; s++)
            plan->steps[s].node = i;
    }
    return HEED_OK;
}

/* ---- barriers */

struct access {
    uint32_t place;
    bool write;
    uint64_t begin, end;
};

/* What the device sees as touched: kernels work on whole words, and bindings begin at offsets that it can bind. Where
 * an argument begins is not known yet. */
static struct access access_of(const heed_plan *plan, const struct heed_step *step, uint32_t slot)
{
    const struct heed_step_binding *b = &step->bindings[slot];
    uint64_t alignment = plan->device->info.limits.min_offset_alignment;
    uint64_t begin = b->offset / alignment * alignment, end = b->offset + (b->bytes + 3) / 4 * 4;
    if (b->arg < plan->pipeline->graph.storage_count && plan->pipeline->graph.storages[b->arg].arg != UINT32_MAX) {
        begin = b->offset > alignment - 1 ? b->offset - (alignment - 1) : 0;
        end = b->offset + b->bytes + 3;
    }
    return (struct access){b->arg, heed_kernel_writes(step->kernel) >> slot & 1, begin, end};
}

static bool collide(const heed_plan *plan, const struct heed_step *a, const struct heed_step *b)
{
    for (uint32_t i = 0; i < a->binding_count; i++) {
        struct access x = access_of(plan, a, i);
        if (a->bindings[i].bytes == 0)
            continue;
        for (uint32_t j = 0; j < b->binding_count; j++) {
            struct access y = access_of(plan, b, j);
            if (b->bindings[j].bytes > 0 && x.place == y.place && (x.write || y.write) && x.begin < y.end &&
                y.begin < x.end)
                return true;
        }
    }
    return false;
}

/* A step that touches what another one since the last barrier has written, or writes what it touches, waits. */
static void place_barriers(heed_plan *plan)
{
    uint32_t since = 0;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        bool waits = false;
        for (uint32_t before = s; !waits && before-- > since;)
            waits = collide(plan, &plan->steps[before], &plan->steps[s]);
        plan->steps[s].barrier = waits;
        if (waits)
            since = s;
    }
}

/* ---- the arena */

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + HEED_SCRATCH_ALIGNMENT - 1) / HEED_SCRATCH_ALIGNMENT * HEED_SCRATCH_ALIGNMENT;
}

static bool in_arena(const struct heed_pipeline_plan *pp, uint32_t place)
{
    return pp->places[place].used && pp->places[place].bytes > 0 &&
           (place >= pp->graph.storage_count || pp->graph.storages[place].arg == UINT32_MAX);
}

static void find_lifetimes(heed_plan *plan)
{
    uint32_t interval = 0;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        interval += plan->steps[s].barrier;
        for (uint32_t b = 0; b < plan->steps[s].binding_count; b++) {
            struct heed_place *place = &plan->pipeline->places[plan->steps[s].bindings[b].arg];
            if (!place->used)
                place->first = interval;
            place->last = interval;
            place->used = true;
        }
    }
}

/* First fit, the largest first: each goes to the lowest gap between those that live at the same time. */
static enum heed_status pack_arena(heed_plan *plan)
{
    struct heed_pipeline_plan *pp = plan->pipeline;
    uint32_t *order = heed_alloc(pp->graph.context, pp->place_count + 1, sizeof *order), count = 0;
    if (!order)
        return heed_fail_memory(pp->graph.context);
    for (uint32_t i = 0; i < pp->place_count; i++) {
        if (!in_arena(pp, i))
            continue;
        uint32_t at = count++;
        for (; at > 0 && pp->places[order[at - 1]].bytes < pp->places[i].bytes; at--)
            order[at] = order[at - 1];
        order[at] = i;
        pp->arena_sum += rounded(pp->places[i].bytes);
    }
    for (uint32_t n = 0; n < count; n++) {
        struct heed_place *place = &pp->places[order[n]];
        bool moved = true;
        for (place->offset = 0; moved;) {
            moved = false;
            for (uint32_t m = 0; m < n; m++) {
                const struct heed_place *other = &pp->places[order[m]];
                uint64_t end = other->offset + rounded(other->bytes);
                if (place->first <= other->last && other->first <= place->last && place->offset < end &&
                    other->offset < place->offset + rounded(place->bytes)) {
                    place->offset = end;
                    moved = true;
                }
            }
        }
        uint64_t end = place->offset + rounded(place->bytes);
        if (end > plan->scratch_bytes)
            plan->scratch_bytes = end;
    }
    heed_free(pp->graph.context, order);
    return HEED_OK;
}

/* Until here bindings name places: from now on, arguments and offsets in the arena. */
static void bind_places(heed_plan *plan)
{
    struct heed_pipeline_plan *pp = plan->pipeline;
    for (uint32_t s = 0; s < plan->step_count; s++)
        for (uint32_t b = 0; b < plan->steps[s].binding_count; b++) {
            struct heed_step_binding *binding = &plan->steps[s].bindings[b];
            uint32_t place = binding->arg;
            if (place < pp->graph.storage_count && pp->graph.storages[place].arg != UINT32_MAX) {
                binding->arg = pp->graph.storages[place].arg;
                continue;
            }
            binding->arg = plan->arg_count - 1;
            binding->offset += pp->places[place].offset;
        }
}

/* ---- plans */

void heed_pipeline_plan_destroy(heed_plan *plan)
{
    struct heed_pipeline_plan *pp = plan->pipeline;
    if (!pp)
        return;
    heed_context *context = pp->graph.context;
    heed_graph_clear(&pp->graph);
    heed_free(context, pp->slots);
    heed_free(context, pp->places);
    heed_free(context, pp);
    plan->pipeline = NULL;
}

static enum heed_status make_slots(heed_plan *plan)
{
    struct heed_pipeline_plan *pp = plan->pipeline;
    const struct heed_graph *g = &pp->graph;
    plan->arg_count = g->arg_count + 1;
    pp->slots = heed_alloc(g->context, plan->arg_count, sizeof *pp->slots);
    if (!pp->slots)
        return heed_fail_memory(g->context);
    for (uint32_t i = 0; i < g->storage_count; i++) {
        const struct heed_storage *s = &g->storages[i];
        if (s->arg != UINT32_MAX)
            pp->slots[s->arg] = (struct heed_arg_slot){s->name, true, s->output, s->dtype, s->bytes};
    }
    plan->args = pp->slots;
    return HEED_OK;
}

/* The plan of plan->pipeline->graph. */
static enum heed_status compile_graph(heed_plan *plan)
{
    const char *direct = plan->device->ops->direct_kernel;
    enum heed_status status = make_slots(plan);
    snprintf(plan->kernel, sizeof plan->kernel, "%s", direct ? direct : "pipeline");
    if (status == HEED_OK && !direct) {
        status = lower_nodes(plan);
        if (status == HEED_OK) {
            place_barriers(plan);
            find_lifetimes(plan);
            status = pack_arena(plan);
        }
        if (status == HEED_OK) {
            bind_places(plan);
            heed_plan_warn_of_long_dispatch(plan);
        }
    }
    return status == HEED_OK ? plan->device->ops->plan_compile(plan) : status;
}

static enum heed_status create(heed_device *device, const struct heed_graph *graph, const struct heed_size *sizes,
                               uint32_t size_count, heed_plan **result)
{
    heed_context *context = device->context;
    heed_plan *plan = heed_alloc(context, 1, sizeof *plan);
    if (!plan)
        return heed_fail_memory(context);
    *plan = (heed_plan){.device = device, .op = HEED_OP_PIPELINE, .offset_alignment = graph->offset_alignment};
    plan->pipeline = heed_alloc(context, 1, sizeof *plan->pipeline);
    enum heed_status status = plan->pipeline ? HEED_OK : heed_fail_memory(context);
    if (status == HEED_OK)
        status = heed_graph_copy(graph, &plan->pipeline->graph);
    if (status == HEED_OK && size_count > 0)
        status = heed_graph_resize(&plan->pipeline->graph, sizes, size_count);
    if (status == HEED_OK)
        status = compile_graph(plan);
    if (status != HEED_OK) {
        heed_pipeline_plan_destroy(plan);
        heed_plan_clear(plan);
        heed_free(context, plan);
        return status;
    }
    *result = plan;
    return HEED_OK;
}

enum heed_status heed_pipeline_compile(heed_pipeline *p, heed_plan **plan)
{
    if (!p || !plan)
        return HEED_ERR_ARGUMENT;
    *plan = NULL;
    if (p->status != HEED_OK)
        return p->status;
    enum heed_status status = heed_device_check(p->device);
    if (status != HEED_OK)
        return status;
    bool writes = false;
    for (uint32_t i = 0; i < p->graph.storage_count; i++)
        writes |= p->graph.storages[i].arg != UINT32_MAX && p->graph.storages[i].output;
    if (!writes)
        return heed_fail(p->device->context, HEED_ERR_ARGUMENT, "pipeline: there is no output");
    return create(p->device, &p->graph, NULL, 0, plan);
}

enum heed_status heed_plan_create_resized(heed_plan *plan, const struct heed_size *sizes, uint32_t size_count,
                                          heed_plan **resized)
{
    if (!plan || !resized || (!sizes && size_count > 0))
        return HEED_ERR_ARGUMENT;
    *resized = NULL;
    enum heed_status status = heed_device_check(plan->device);
    if (status != HEED_OK)
        return status;
    if (!plan->pipeline)
        return heed_fail(plan->device->context, HEED_ERR_ARGUMENT, "%s: the plan is of one op, which has no sizes",
                         heed_op_name(plan->op));
    return create(plan->device, &plan->pipeline->graph, sizes, size_count, resized);
}
