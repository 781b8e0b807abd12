/* SPDX-License-Identifier: MIT
 * heed_explain: which kernels could solve a problem, which one does, and its steps, as text for people. */
#include "select.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *text;
    size_t capacity, length;
};

static void append(struct text *t, const char *format, ...) HEED_PRINTF(2, 3);
static void append(struct text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t left = t->length < t->capacity ? t->capacity - t->length : 0;
    int n = vsnprintf(left ? t->text + t->length : NULL, left, format, list);
    va_end(list);
    if (n > 0)
        t->length += (size_t)n;
}

static void append_view(struct text *t, const char *name, const struct heed_view *v)
{
    append(t, "  %s %s, strides %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", name, heed_dtype_name(v->dtype),
           v->stride_batch, v->stride_head, v->stride_row);
}

static void append_attention(struct text *t, const struct heed_attention_problem *p)
{
    const struct heed_attention_desc *d = &p->desc;
    append(t, "  batch %u, heads %u over %u, rows %u, keys %u, dims %u and %u, scale %g\n", d->batch,
           d->heads_q * p->folded, d->heads_kv, d->len_q / p->folded, d->len_kv, d->dim_qk, d->dim_v, (double)d->scale);
    if (p->folded > 1)
        append(t, "  the %u heads of a key head are taken as %u rows of one\n", p->folded, d->len_q);
    append_view(t, "q", &d->q);
    append_view(t, "k", &d->k);
    append_view(t, "v", &d->v);
    append_view(t, "o", &d->o);
}

static void append_deform(struct text *t, const struct heed_deform_problem *p)
{
    const struct heed_deform_desc *d = &p->desc;
    append(t, "  batch %u, queries %u, heads %u of %u features, %u points on %u levels:", d->batch, d->len_q, d->heads,
           d->dim, p->points, d->level_count);
    for (uint32_t i = 0; i < d->level_count; i++) {
        if (d->axes == 3)
            append(t, " %ux", d->levels[i].depth);
        append(t, "%s%ux%u", d->axes == 3 ? "" : " ", d->levels[i].height, d->levels[i].width);
    }
    append(t, "\n");
    append_view(t, "value", &d->value);
    append_view(t, "o", &d->o);
}

/* Kernels declare more bindings than most steps use; the rest repeat one that is used. */
static bool is_repeated(const struct heed_step *s, uint32_t binding)
{
    for (uint32_t b = 0; b < binding; b++)
        if (s->bindings[b].arg == s->bindings[binding].arg && s->bindings[b].offset == s->bindings[binding].offset &&
            s->bindings[b].bytes == s->bindings[binding].bytes)
            return true;
    return false;
}

static void append_steps(struct text *t, const heed_plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct heed_step *s = &plan->steps[i];
        append(t, "  %s%u. %s, %u x %u x %u groups of %u invocations", s->barrier ? "-- barrier --\n  " : "", i + 1,
               heed_kernel_name(s->kernel), s->groups[0], s->groups[1], s->groups[2], s->spec[0]);
        if (plan->device->info.limits.max_dispatch_ns < UINT64_MAX)
            append(t, ", at most %.3f ms", 1e-6 * (double)s->ns);
        append(t, "\n");
        for (uint32_t b = 0; b < s->binding_count; b++)
            if (!is_repeated(s, b))
                append(t, "       %-13s + %" PRIu64 ", %" PRIu64 " bytes\n",
                       heed_plan_arg_name(plan, s->bindings[b].arg), s->bindings[b].offset, s->bindings[b].bytes);
    }
    append(t, "  scratch: %" PRIu64 " bytes\n", plan->scratch_bytes);
}

static enum heed_status explain(heed_device *device, enum heed_op op, const void *desc, const char *kernel,
                                struct text *t)
{
    heed_plan *plan = heed_alloc(device->context, 1, sizeof *plan);
    if (!plan)
        return heed_fail_memory(device->context);
    enum heed_status status = heed_plan_init(plan, device, op, desc);
    if (status != HEED_OK) {
        heed_free(device->context, plan);
        return status;
    }
    append(t, "%s on %s (%s)\n", heed_op_name(plan->op), device->info.name, device->info.driver);
    if (op == HEED_OP_DEFORM)
        append_deform(t, &plan->problem.deform);
    else
        append_attention(t, &plan->problem.attention);

    append(t, "kernels, best first:\n");
    uint32_t count = 0;
    if (device->ops->direct_kernel) {
        append(t, "  %-28s yes\n", device->ops->direct_kernel);
    } else {
        const struct heed_candidate *list = heed_plan_candidates(plan, &count);
        for (uint32_t i = 0; i < count; i++) {
            char why[256] = "";
            bool yes = list[i].accepts(&list[i], plan, why, sizeof why);
            bool preferred = yes && (!list[i].prefers || list[i].prefers(&list[i], plan));
            append(t, "  %-28s %s%s\n", list[i].name, preferred ? "yes" : yes ? "if asked for by name" : "no: ", why);
        }
    }
    status = heed_plan_select(plan, kernel);
    if (status == HEED_OK) {
        append(t, "plan: %s\n", plan->kernel);
        append_steps(t, plan);
    } else if (status == HEED_ERR_UNSUPPORTED) {
        append(t, "plan: none\n");
        status = HEED_OK;
    }
    heed_plan_clear(plan);
    heed_free(device->context, plan);
    return status;
}

enum heed_status heed_explain_attention(heed_device *device, const struct heed_attention_desc *desc, char *text,
                                        size_t capacity, size_t *length)
{
    if (!device || (!text && capacity > 0))
        return HEED_ERR_ARGUMENT;
    struct text t = {text, capacity, 0};
    const char *kernel = desc && desc->struct_size == sizeof *desc ? desc->kernel : NULL;
    enum heed_status status = explain(device, HEED_OP_ATTENTION, desc, kernel, &t);
    if (length)
        *length = t.length;
    return status;
}

enum heed_status heed_explain_deform(heed_device *device, const struct heed_deform_desc *desc, char *text,
                                     size_t capacity, size_t *length)
{
    if (!device || (!text && capacity > 0))
        return HEED_ERR_ARGUMENT;
    struct text t = {text, capacity, 0};
    const char *kernel = desc && desc->struct_size == sizeof *desc ? desc->kernel : NULL;
    enum heed_status status = explain(device, HEED_OP_DEFORM, desc, kernel, &t);
    if (length)
        *length = t.length;
    return status;
}
