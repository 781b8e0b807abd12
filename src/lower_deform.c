/* SPDX-License-Identifier: MIT
 * Deformable attention as steps: which kernels there are, and how a problem is cut so that no step breaks a limit of
 * the device. */
#include "plan.h"
#include "preferences.h"
#include "rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    GROUP = 64,
    ENTRY_BYTES = 32, /* of shared memory: where 4 neighbours are and what they weigh */
    /* For a group of 64: 900 invocations are at home on 64 KiB, and 1400 on 100. */
    MOST_SHARED = 4608,
    /* Of an invocation with many channels. PoCL 3.1 on an EPYC, 2 threads, 8 heads of 32 channels, 16 points, us of 300
     * and 5440 queries: 16 220 and 4270, 64 222 and 5790; one query, and points one by one 454 and 10720. */
    MANY_QUERIES = 16,
};

struct tile {
    enum heed_kernel kernel;
    uint32_t block; /* channels of one invocation; 0: 16 bytes of value's */
};

/* What one step does: some batches, heads and queries. Only whole runs of queries have more than one batch, so that a
 * (batch, query) pair numbers the rows of packed tensors. */
struct part {
    uint32_t batch0, batches, head0, heads, query0, queries;
};

/* How a tensor lies, in elements; `dim` adjacent ones for each batch, row and head. */
struct tensor {
    enum heed_arg_id arg;
    enum heed_dtype dtype;
    uint64_t stride_batch, stride_row, stride_head, dim;
    uint32_t rows; /* 0: a row for each query, cut with them */
};

struct lowering {
    heed_plan *plan;
    const struct heed_deform_problem *p;
    const struct heed_device *device;
    const struct heed_limits *limits;
    enum heed_kernel kernel;
    uint32_t block;
    uint32_t rows, chunk;    /* queries of a group, and points at a time; 0: groups are of invocations */
    uint32_t group, queries; /* invocations of a group, and queries of an invocation */
    struct tensor tensors[HEED_DEFORM_TABLE]; /* by binding; without the table */
    uint32_t flags, value_vector, o_vector;
    uint64_t table; /* in scratch */
};

enum { TABLE_BYTES = 4 * HEED_DEFORM_LEVEL_WORDS * HEED_MAX_LEVELS };

static uint64_t part_bytes(const struct tensor *t, const struct part *part, uint64_t *begin)
{
    uint64_t rows = t->rows ? t->rows : part->queries, row0 = t->rows ? 0 : part->query0;
    const uint64_t length[] = {part->batches, rows, t->stride_head ? part->heads : 1, t->dim};
    const uint64_t stride[] = {t->stride_batch, t->stride_row, t->stride_head, 1};
    uint64_t first = part->batch0 * t->stride_batch + row0 * t->stride_row + part->head0 * t->stride_head;
    *begin = first * heed_dtype_size(t->dtype);
    return heed_extent_bytes(t->dtype, 4, length, stride).value;
}

static bool tensor_fits(const struct lowering *l, const struct tensor *t, const struct part *part, uint64_t *bytes)
{
    uint64_t begin;
    *bytes = part_bytes(t, part, &begin);
    /* The binding may begin up to an alignment earlier, and end with its word. */
    return *bytes + l->limits->min_offset_alignment + 3 <= l->limits->max_storage_range;
}

/* NULL, or the tensor of which the part reaches over more than a binding can. */
static const struct tensor *too_large(const struct lowering *l, const struct part *part, uint64_t *bytes)
{
    for (uint32_t i = 0; i < HEED_DEFORM_TABLE; i++)
        if (l->tensors[i].dim > 0 && !tensor_fits(l, &l->tensors[i], part, bytes))
            return &l->tensors[i];
    return NULL;
}

/* The most elements, up to `most`, that can be moved at once wherever a row of the tensor begins. */
static uint32_t vector_width(const struct heed_deform_desc *d, const struct heed_view *view, uint32_t rows,
                             uint32_t most)
{
    uint64_t size = heed_dtype_size(view->dtype);
    for (uint32_t n = most; n > 1; n /= 2)
        if (d->dim % n == 0 && d->offset_alignment % (n * size) == 0 && (d->heads == 1 || view->stride_head % n == 0) &&
            (d->batch == 1 || view->stride_batch % n == 0) && (rows == 1 || view->stride_row % n == 0))
            return n;
    return 1;
}

static uint32_t blocks_of(const struct lowering *l)
{
    return (l->p->desc.dim + l->block - 1) / l->block;
}

/* Entries of a point. */
static uint32_t entries_of(const struct heed_deform_desc *d)
{
    return d->axes == 3 && d->interpolation != HEED_INTERPOLATION_NEAREST ? 2 : 1;
}

static uint32_t shared_bytes(const struct lowering *l)
{
    const struct heed_deform_desc *d = &l->p->desc;
    uint32_t pitch = l->chunk * entries_of(d) | 1;
    return l->rows * pitch * ENTRY_BYTES + (d->input == HEED_DEFORM_OFFSETS ? l->group : 1) * 4;
}

/* deform_shared: 64 invocations, the blocks of as many queries as that makes, and as many points at a time as fit. */
static void prepare_shared(struct lowering *l)
{
    uint32_t blocks = blocks_of(l);
    l->rows = blocks < l->group ? l->group / blocks : 1;
    l->group = l->rows * blocks;
    uint32_t most = MOST_SHARED / (l->rows * ENTRY_BYTES), entries = entries_of(&l->p->desc);
    l->chunk = most > entries ? (most - 1) / entries : 1;
    if (l->chunk >= blocks)
        l->chunk -= l->chunk % blocks;
    if (l->chunk > l->p->points)
        l->chunk = l->p->points;
}

static void prepare(struct lowering *l, const struct heed_candidate *self, const heed_plan *plan)
{
    const struct heed_deform_problem *p = &plan->problem.deform;
    const struct heed_deform_desc *d = &p->desc;
    const struct heed_limits *limits = &plan->device->info.limits;
    const struct tile *tile = self->tile;
    *l = (struct lowering){.p = p, .device = plan->device, .limits = limits, .kernel = tile->kernel};
    bool offsets = d->input == HEED_DEFORM_OFFSETS;
    uint64_t points = p->points, head = points * d->heads;
    l->tensors[HEED_DEFORM_VALUE] = (struct tensor){
        HEED_ARG_VALUE,       d->value.dtype, d->value.stride_batch, d->value.stride_row,
        d->value.stride_head, d->dim,         d->len_value,
    };
    l->tensors[HEED_DEFORM_O] = (struct tensor){
        HEED_ARG_O, d->o.dtype, d->o.stride_batch, d->o.stride_row, d->o.stride_head, d->dim, 0,
    };
    l->tensors[HEED_DEFORM_COORDS] = (struct tensor){
        offsets ? HEED_ARG_OFFSETS : HEED_ARG_LOCATIONS,
        HEED_F32,
        head * d->axes * d->len_q,
        head * d->axes,
        points * d->axes,
        points * d->axes,
        0,
    };
    if (!d->unweighted)
        l->tensors[HEED_DEFORM_WEIGHTS] = (struct tensor){
            offsets ? HEED_ARG_LOGITS : HEED_ARG_WEIGHTS, HEED_F32, head * d->len_q, head, points, points, 0,
        };
    uint64_t reference = (uint64_t)p->reference_levels * p->reference_width;
    if (offsets)
        l->tensors[HEED_DEFORM_REFERENCE] = (struct tensor){
            HEED_ARG_REFERENCE, HEED_F32, reference * d->len_q, reference, 0, reference, 0,
        };

    l->flags = (d->axes == 3 ? HEED_DEFORM_3D : 0) |
               (d->interpolation == HEED_INTERPOLATION_NEAREST ? HEED_DEFORM_NEAREST : 0) |
               (d->padding == HEED_PADDING_BORDER ? HEED_DEFORM_BORDER : 0) |
               (d->align_corners ? HEED_DEFORM_ALIGN_CORNERS : 0) | (d->unweighted ? HEED_DEFORM_UNWEIGHTED : 0) |
               (offsets ? HEED_DEFORM_FROM_OFFSETS : 0) | (d->reference_boxes ? HEED_DEFORM_BOXES : 0) |
               (d->reference_per_level ? HEED_DEFORM_REFERENCE_PER_LEVEL : 0) |
               (d->level_count > HEED_DEFORM_PUSH_LEVELS ? HEED_DEFORM_LEVEL_TABLE : 0);
    l->value_vector = vector_width(d, &d->value, d->len_value, d->value.dtype == HEED_F32 ? 4 : 8);
    l->o_vector = vector_width(d, &d->o, d->len_q, 4);
    if (l->value_vector < 4)
        l->value_vector = 1;
    if (l->o_vector < 4)
        l->o_vector = 1;

    l->block = tile->block ? tile->block : l->value_vector >= 4 ? l->value_vector : 4;
    l->group = limits->max_group_size < GROUP ? limits->max_group_size : GROUP;
    l->queries = 1;
    if (l->kernel == HEED_KERNEL_DEFORM_SHARED)
        prepare_shared(l);
    if (l->block > 16) { /* processors */
        l->group = 1;
        l->queries = MANY_QUERIES;
    }
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static uint64_t groups_x(const struct lowering *l, const struct part *part)
{
    uint64_t work = l->rows ? part->queries : ceil_div(part->queries, l->queries) * blocks_of(l);
    return ceil_div(work, l->rows ? l->rows : l->group);
}

static bool grid_fits(const struct lowering *l, const struct part *part)
{
    uint32_t most = l->limits->max_group_count;
    return groups_x(l, part) <= most && groups_x(l, part) * l->group <= UINT32_MAX && part->heads <= most &&
           part->batches <= most;
}

/* Samples are gathered: lavapipe 26.1 does 4.5 GFLOP per CPU second here and 15 in attention. */
static uint64_t part_ns(const struct lowering *l, const struct part *part)
{
    const struct heed_deform_desc *d = &l->p->desc;
    double one = 4.0 * (double)l->p->flops / d->batch / d->len_q / d->heads;
    const struct heed_rate rate = heed_rate(&l->device->info, false);
    return heed_rate_ns(&rate, one * part->batches * part->queries * part->heads, 0.0);
}

static bool accepts(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_deform_desc *d = &plan->problem.deform.desc;
    struct lowering l;
    prepare(&l, self, plan);
    if (!heed_plan_has_kernel(plan, l.kernel, why, why_size))
        return false;
    if (l.block > 16 && plan->device->ops->backend != HEED_BACKEND_OPENCL) {
        snprintf(why, why_size, "%u channels are for OpenCL, and the device is not driven by it", l.block);
        return false;
    }
    if (l.block > 16 &&
        (plan->device->info.type != HEED_DEVICE_CPU || (heed_preferences(&plan->device->info) & HEED_AVOIDS_VECTORS))) {
        snprintf(why, why_size,
                 "%u channels are for processors and compilers with long vectors, and the device has none", l.block);
        return false;
    }
    if (l.block > 4 && d->dim <= l.block / 2) {
        snprintf(why, why_size, "dim %u leaves half of its %u channels idle", d->dim, l.block);
        return false;
    }
    if (l.kernel == HEED_KERNEL_DEFORM_INT64 && l.value_vector * heed_dtype_size(d->value.dtype) < 16) {
        snprintf(why, why_size, "rows of value are not aligned to 16 bytes");
        return false;
    }
    if (l.limits->max_storage_buffers < HEED_DEFORM_BINDINGS) {
        snprintf(why, why_size, "it binds %u storage buffers, and the device has %u", (unsigned)HEED_DEFORM_BINDINGS,
                 l.limits->max_storage_buffers);
        return false;
    }
    const struct part least = {0, 1, 0, 1, 0, 1};
    uint64_t bytes;
    const struct tensor *t = too_large(&l, &least, &bytes);
    if (t) {
        snprintf(why, why_size, "one head of one batch of \"%s\" spans %" PRIu64 " bytes, and a binding %" PRIu64,
                 heed_arg_name(t->arg), bytes, l.limits->max_storage_range);
        return false;
    }
    if (l.rows && l.group > l.limits->max_group_size) {
        snprintf(why, why_size, "dim %u needs %u invocations, which are more than %u", d->dim, l.group,
                 l.limits->max_group_size);
        return false;
    }
    if (l.rows && shared_bytes(&l) > l.limits->max_shared_bytes) {
        snprintf(why, why_size, "%u bytes of shared memory are more than %u", shared_bytes(&l),
                 l.limits->max_shared_bytes);
        return false;
    }
    if (!grid_fits(&l, &least)) {
        snprintf(why, why_size, "dim %u of one head needs more than %u work groups", d->dim, l.limits->max_group_count);
        return false;
    }
    return true;
}

static struct heed_step_binding bind_part(const struct tensor *t, const struct part *part)
{
    struct heed_step_binding binding = {.arg = t->arg, .element_bytes = (uint32_t)heed_dtype_size(t->dtype)};
    binding.bytes = part_bytes(t, part, &binding.offset);
    return binding;
}

/* Of an axis that is not stepped along the stride may be anything, also more than 32 bits. */
static uint32_t stride_of(uint64_t stride, uint32_t length)
{
    return length > 1 ? (uint32_t)stride : 0;
}

static void level_words(const struct heed_deform_desc *d, uint32_t words[HEED_DEFORM_LEVEL_WORDS * HEED_MAX_LEVELS])
{
    for (uint32_t i = 0; i < d->level_count; i++) {
        const struct heed_level *level = &d->levels[i];
        words[HEED_DEFORM_LEVEL_WORDS * i] = level->width | level->height << 16;
        words[HEED_DEFORM_LEVEL_WORDS * i + 1] = level->depth | level->points << 16;
        words[HEED_DEFORM_LEVEL_WORDS * i + 2] = (uint32_t)level->start;
    }
}

/* The levels travel to scratch through the push blocks of as many steps as it takes. */
static enum heed_status add_table(struct lowering *l)
{
    uint32_t words[HEED_DEFORM_LEVEL_WORDS * HEED_MAX_LEVELS];
    uint32_t count = HEED_DEFORM_LEVEL_WORDS * l->p->desc.level_count;
    level_words(&l->p->desc, words);
    l->table = heed_plan_add_scratch(l->plan, TABLE_BYTES);
    for (uint32_t first = 0; first < count; first += HEED_PACK_INLINE_WORDS) {
        struct heed_step *step = heed_plan_add_step(l->plan);
        if (!step)
            return heed_fail_memory(l->plan->device->context);
        uint32_t n = count - first < HEED_PACK_INLINE_WORDS ? count - first : HEED_PACK_INLINE_WORDS;
        struct heed_pack_push push = {.inline_count = n};
        memcpy(push.inline_words, words + first, n * sizeof *words);
        memcpy(step->push, &push, sizeof push);
        step->kernel = HEED_KERNEL_PACK;
        step->barrier = first > 0;
        step->spec_count = 1;
        step->spec[HEED_SPEC_GROUP] = l->group;
        step->groups[0] = step->groups[1] = step->groups[2] = 1;
        step->push_words = sizeof push / 4;
        step->binding_count = 2;
        step->bindings[HEED_PACK_DST] =
            (struct heed_step_binding){HEED_ARG_SCRATCH, 4, l->table + 4 * first, 4 * (uint64_t)n};
        step->bindings[HEED_PACK_SRC] = step->bindings[HEED_PACK_DST];
    }
    return HEED_OK;
}

static enum heed_status add_part(struct lowering *l, const struct part *part)
{
    const struct heed_deform_desc *d = &l->p->desc;
    bool first = l->plan->step_count == 0;
    struct heed_step *step = heed_plan_add_step(l->plan);
    if (!step)
        return heed_fail_memory(l->plan->device->context);
    step->kernel = l->kernel;
    step->ns = part_ns(l, part);
    /* Parts may share words of o, and devices align the beginning of a binding back into the part before. */
    step->barrier = !first;

    struct heed_deform_push push = {
        .queries = part->queries,
        .heads = part->heads,
        .heads_total = d->heads,
        .counts = d->level_count | l->p->points << 16,
        .value_stride_batch = stride_of(d->value.stride_batch, part->batches),
        .value_stride_head = stride_of(d->value.stride_head, part->heads),
        .value_stride_row = stride_of(d->value.stride_row, d->len_value),
        .o_stride_batch = stride_of(d->o.stride_batch, part->batches),
        .o_stride_head = stride_of(d->o.stride_head, part->heads),
        .o_stride_row = stride_of(d->o.stride_row, part->queries),
        .offset_scale = d->offset_scale,
    };
    if (!(l->flags & HEED_DEFORM_LEVEL_TABLE)) {
        uint32_t words[HEED_DEFORM_LEVEL_WORDS * HEED_MAX_LEVELS] = {0};
        level_words(d, words);
        memcpy(push.levels, words, sizeof push.levels);
    }
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;

    step->spec_count = HEED_DEFORM_SPEC_COUNT;
    step->spec[HEED_SPEC_GROUP] = l->group;
    step->spec[HEED_DEFORM_SPEC_DIM] = d->dim;
    step->spec[HEED_DEFORM_SPEC_BLOCK] = l->block;
    step->spec[HEED_DEFORM_SPEC_FLAGS] = l->flags;
    step->spec[HEED_DEFORM_SPEC_DTYPES] = (uint32_t)d->value.dtype | (uint32_t)d->o.dtype << 4;
    step->spec[HEED_DEFORM_SPEC_VECTOR] = l->value_vector | l->o_vector << 4;
    step->spec[HEED_DEFORM_SPEC_POINTS] = l->p->points;
    step->spec[HEED_DEFORM_SPEC_ROWS] = l->rows;
    step->spec[HEED_DEFORM_SPEC_CHUNK] = l->chunk;
    step->spec[HEED_DEFORM_SPEC_QUERIES] = l->queries;

    /* Sets have no holes: what this problem does not use is bound to value. */
    step->binding_count = HEED_DEFORM_BINDINGS;
    for (uint32_t i = 0; i < HEED_DEFORM_TABLE; i++)
        step->bindings[i] = bind_part(&l->tensors[l->tensors[i].dim > 0 ? i : HEED_DEFORM_VALUE], part);
    step->bindings[HEED_DEFORM_TABLE] = step->bindings[HEED_DEFORM_VALUE];
    if (l->flags & HEED_DEFORM_LEVEL_TABLE)
        step->bindings[HEED_DEFORM_TABLE] = (struct heed_step_binding){
            HEED_ARG_SCRATCH, 4, l->table, 4 * HEED_DEFORM_LEVEL_WORDS * (uint64_t)d->level_count};
    step->groups[0] = (uint32_t)groups_x(l, part);
    step->groups[1] = part->heads;
    step->groups[2] = part->batches;
    return HEED_OK;
}

/* Cuts a part in two until it fits: batches first, then queries, then heads. */
static enum heed_status cut(struct lowering *l, const struct part *part)
{
    uint64_t bytes;
    const struct tensor *t = too_large(l, part, &bytes);
    /* Longer than the limit is only what cannot be cut. */
    if (!t && grid_fits(l, part) &&
        (part_ns(l, part) <= l->limits->max_dispatch_ns ||
         (part->batches == 1 && part->queries == 1 && part->heads == 1)))
        return add_part(l, part);
    struct part a = *part, b = *part;
    if (part->batches > 1) {
        a.batches /= 2;
        b.batch0 += a.batches;
        b.batches -= a.batches;
    } else if (part->queries > 1 && !(t && t->rows) &&
               part->heads <= l->limits->max_group_count) { /* fewer queries do not make value smaller */
        a.queries /= 2;
        b.query0 += a.queries;
        b.queries -= a.queries;
    } else {
        a.heads /= 2;
        b.head0 += a.heads;
        b.heads -= a.heads;
    }
    enum heed_status status = cut(l, &a);
    return status == HEED_OK ? cut(l, &b) : status;
}

static enum heed_status lower(const struct heed_candidate *self, heed_plan *plan)
{
    struct lowering l;
    prepare(&l, self, plan);
    l.plan = plan;
    const struct heed_deform_desc *d = &l.p->desc;
    if (d->batch == 0 || d->len_q == 0)
        return HEED_OK;
    if (l.flags & HEED_DEFORM_LEVEL_TABLE) {
        enum heed_status status = add_table(&l);
        if (status != HEED_OK)
            return status;
    }
    const struct part whole = {0, d->batch, 0, d->heads, 0, d->len_q};
    return cut(&l, &whole);
}

static const struct tile tile_16 = {HEED_KERNEL_DEFORM, 16}, tile_8 = {HEED_KERNEL_DEFORM, 8},
                         tile_64 = {HEED_KERNEL_DEFORM, 64}, tile_32 = {HEED_KERNEL_DEFORM, 32},
                         tile_4 = {HEED_KERNEL_DEFORM, 4}, tile_shared = {HEED_KERNEL_DEFORM_SHARED, 0},
                         tile_int64 = {HEED_KERNEL_DEFORM_INT64, 16};

/* Loads of single lanes dwarf all else on software drivers; the more channels a lane has, the fewer work out the same
 * locations, and loads of 64 bits are half as many. 5440 queries, 8 heads of 32 channels, 16 points, f32, milliseconds
 * with 2 threads, 64 bits : 16 : 8 channels : 4. lavapipe 26.1.6, 512 bits wide 12.6 : 16.2 : 20 : 28, 256 bits 17.0 :
 * 17.8 : 22 : 31; 300 queries on 22.3.6 2.3 : 2.5 : 3.0 : 3.6, on SwiftShader - : 7.0 : 7.7 : 8.7. PoCL 3.1 on Zen 3,
 * CPU time, 32 : 16 channels 39 : 89. */
static bool is_cpu(const struct heed_candidate *self, const heed_plan *plan)
{
    (void)self;
    return plan->device->info.type == HEED_DEVICE_CPU;
}

/* Where several invocations share a query. D 32, 16 points, vector instructions on Navi 31 (Mesa 26.1.6) for all
 * channels of a sample, here : 8 channels of an invocation, each on its own : 4 channels. f32 328 : 616 : 960, f16 310
 * : 756. Devices with 16 KiB keep it in memory (V3D), or spill (Adreno 702: 4 to 46 stores, none with 8 channels). */
static bool prefers_shared(const struct heed_candidate *self, const heed_plan *plan)
{
    struct lowering l;
    prepare(&l, self, plan);
    return plan->device->info.type != HEED_DEVICE_CPU && blocks_of(&l) >= 4 && l.group > GROUP / 2 &&
           l.limits->max_shared_bytes >= 32768;
}

static const struct heed_candidate candidates[] = {
    {.name = "deform__shared", .accepts = accepts, .lower = lower, .tile = &tile_shared, .prefers = prefers_shared},
    {.name = "deform__int64_16", .accepts = accepts, .lower = lower, .tile = &tile_int64, .prefers = is_cpu},
    {.name = "deform__plain_64", .accepts = accepts, .lower = lower, .tile = &tile_64, .prefers = is_cpu},
    {.name = "deform__plain_32", .accepts = accepts, .lower = lower, .tile = &tile_32, .prefers = is_cpu},
    {.name = "deform__plain_16", .accepts = accepts, .lower = lower, .tile = &tile_16, .prefers = is_cpu},
    {.name = "deform__plain_8", .accepts = accepts, .lower = lower, .tile = &tile_8},
    {.name = "deform__plain_4", .accepts = accepts, .lower = lower, .tile = &tile_4},
};

const struct heed_candidate *heed_deform_candidates(uint32_t *count)
{
    *count = sizeof candidates / sizeof *candidates;
    return candidates;
}
