/* SPDX-License-Identifier: MIT
 * Deformable attention: the rules of struct heed_deform_desc, checked once, and its defaults, resolved once. */
#include "problem.h"

#include <inttypes.h>
#include <math.h>

#define FAIL(...) heed_fail(context, HEED_ERR_ARGUMENT, "deform: " __VA_ARGS__)

/* As in attention: rows are counted in 32 bits with a sign, heads and dims in 16. */
enum { MAX_HEADS = 65535, MAX_DIM = 65535, MAX_SIZE = 65535 };
static const uint32_t max_length = INT32_MAX;

static enum heed_status check_fields(heed_context *context, struct heed_deform_desc *d)
{
    const struct heed_range ranges[] = {
        {"batch", d->batch, 0, max_length},
        {"heads", d->heads, 1, MAX_HEADS},
        {"dim", d->dim, 1, MAX_DIM},
        {"len_q", d->len_q, 0, max_length},
        {"len_value", d->len_value, 1, max_length},
        {"level_count", d->level_count, 1, HEED_MAX_LEVELS},
        {"input", (uint64_t)d->input, 0, HEED_DEFORM_OFFSETS},
        {"interpolation", (uint64_t)d->interpolation, 0, HEED_INTERPOLATION_NEAREST},
        {"padding", (uint64_t)d->padding, 0, HEED_PADDING_BORDER},
    };
    enum heed_status status = heed_check_ranges(context, "deform", ranges, sizeof ranges / sizeof *ranges);
    if (status != HEED_OK)
        return status;
    if (d->axes != 0 && d->axes != 2 && d->axes != 3)
        return FAIL("axes %u is not 2 or 3", d->axes);
    if (d->input != HEED_DEFORM_OFFSETS && d->reference_boxes)
        return FAIL("reference_boxes is set, but input %d has no reference", (int)d->input);
    if (d->input != HEED_DEFORM_OFFSETS && d->reference_per_level)
        return FAIL("reference_per_level is set, but input %d has no reference", (int)d->input);
    if (d->input != HEED_DEFORM_LOCATIONS && d->unweighted)
        return FAIL("unweighted is set, but input %d makes its weights of logits", (int)d->input);
    if (!isfinite(d->offset_scale))
        return FAIL("offset_scale %g is not finite", (double)d->offset_scale);
    if (d->offset_scale != 0.0f && !d->reference_boxes)
        return FAIL("offset_scale %g is set, but only boxes have a size to scale", (double)d->offset_scale);
    return heed_resolve_offset_alignment(context, "deform", &d->offset_alignment);
}

static uint64_t level_rows(const struct heed_level *level)
{
    return (uint64_t)level->depth * level->height * level->width; /* below 2^48 */
}

static enum heed_status resolve_levels(heed_context *context, struct heed_deform_problem *p)
{
    struct heed_deform_desc *d = &p->desc;
    uint64_t rows = 0;
    for (uint32_t l = 0; l < d->level_count; l++) {
        struct heed_level *level = &d->levels[l];
        if (d->axes == 2 && level->depth == 0)
            level->depth = 1;
        const struct {
            const char *name;
            uint32_t value, most;
        } ranges[] = {
            {"depth", level->depth, d->axes == 2 ? 1 : MAX_SIZE},
            {"height", level->height, MAX_SIZE},
            {"width", level->width, MAX_SIZE},
            {"points", level->points, HEED_MAX_POINTS},
        };
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
            if (ranges[i].value < 1 || ranges[i].value > ranges[i].most)
                return FAIL("levels[%u].%s %u is not in 1..%u with %u axes", l, ranges[i].name, ranges[i].value,
                            ranges[i].most, d->axes);
        if (!d->explicit_starts)
            level->start = rows;
        else if (level->start > d->len_value || level_rows(level) > d->len_value - level->start)
            return FAIL("levels[%u].start %" PRIu64 " + %" PRIu64 " rows is beyond len_value %u", l, level->start,
                        level_rows(level), d->len_value);
        rows += level_rows(level);
        p->points += level->points;
    }
    if (!d->explicit_starts && rows != d->len_value)
        return FAIL("the levels hold %" PRIu64 " rows together, but len_value is %u", rows, d->len_value);
    for (uint32_t l = 0; l < d->level_count; l++)
        for (uint32_t m = 0; m < l; m++)
            if (d->levels[l].start < d->levels[m].start + level_rows(&d->levels[m]) &&
                d->levels[m].start < d->levels[l].start + level_rows(&d->levels[l]))
                return FAIL(
                    "levels[%u].start %" PRIu64 " lies so that it overlaps levels[%u], rows %" PRIu64 "..%" PRIu64, l,
                    d->levels[l].start, m, d->levels[m].start, d->levels[m].start + level_rows(&d->levels[m]) - 1);
    return HEED_OK;
}

/* A packed f32 argument [batch][len_q][per_query]. */
static enum heed_status add_packed(heed_context *context, struct heed_deform_problem *p, enum heed_arg_id id,
                                   uint64_t per_query)
{
    const struct heed_deform_desc *d = &p->desc;
    struct heed_checked bytes = heed_checked_mul(heed_checked_mul(heed_checked(d->batch), d->len_q), 4 * per_query);
    if (bytes.overflow || bytes.value > INT64_MAX)
        return FAIL("%s of batch %u x len_q %u x %" PRIu64 " numbers does not fit 63 bits of bytes", heed_arg_name(id),
                    d->batch, d->len_q, per_query);
    heed_args_add(&p->args, id, HEED_F32, false, bytes.value);
    return HEED_OK;
}

enum heed_status heed_deform_problem_init(heed_context *context, const struct heed_deform_desc *desc,
                                          struct heed_deform_problem *problem)
{
    *problem = (struct heed_deform_problem){0};
    if (!desc)
        return FAIL("the descriptor is NULL");
    if (desc->struct_size != sizeof *desc)
        return FAIL("struct_size %zu is not sizeof(struct heed_deform_desc) %zu; start from HEED_DEFORM_DESC_INIT",
                    desc->struct_size, sizeof *desc);
    problem->desc = *desc;
    struct heed_deform_desc *d = &problem->desc;
    d->kernel = NULL;
    enum heed_status status = check_fields(context, d);
    if (status != HEED_OK)
        return status;
    if (d->axes == 0)
        d->axes = 2;
    if (d->offset_scale == 0.0f)
        d->offset_scale = 0.5f;
    problem->reference_levels = d->reference_per_level ? d->level_count : 1;
    problem->reference_width = d->reference_boxes ? 2 * d->axes : d->axes;
    status = resolve_levels(context, problem);
    const struct heed_viewed value = {HEED_ARG_VALUE, &d->value, d->batch, d->heads, d->len_value,
                                      d->dim,         true,      false,    true};
    const struct heed_viewed o = {HEED_ARG_O, &d->o, d->batch, d->heads, d->len_q, d->dim, true, true, true};
    if (status == HEED_OK)
        status = heed_resolve_view(context, "deform", &value, &problem->args);
    if (status == HEED_OK)
        status = heed_resolve_view(context, "deform", &o, &problem->args);
    if (status != HEED_OK)
        return status;

    bool offsets = d->input == HEED_DEFORM_OFFSETS;
    uint64_t points = (uint64_t)d->heads * problem->points;
    status = add_packed(context, problem, offsets ? HEED_ARG_OFFSETS : HEED_ARG_LOCATIONS, points * d->axes);
    if (status == HEED_OK && !d->unweighted)
        status = add_packed(context, problem, offsets ? HEED_ARG_LOGITS : HEED_ARG_WEIGHTS, points);
    if (status == HEED_OK && offsets)
        status = add_packed(context, problem, HEED_ARG_REFERENCE,
                            (uint64_t)problem->reference_levels * problem->reference_width);
    if (status != HEED_OK)
        return status;

    uint64_t neighbours = d->interpolation == HEED_INTERPOLATION_NEAREST ? 1 : UINT64_C(1) << d->axes;
    struct heed_checked samples = heed_checked_mul(heed_checked_mul(heed_checked(d->batch), d->len_q), points);
    struct heed_checked flops = heed_checked_mul(samples, 2 * neighbours * d->dim);
    if (samples.overflow || flops.overflow)
        return FAIL("batch %u x len_q %u x heads %u x %u points x dim %u is more work than 64 bits count", d->batch,
                    d->len_q, d->heads, problem->points, d->dim);
    problem->flops = flops.value;
    return HEED_OK;
}
