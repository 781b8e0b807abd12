/* SPDX-License-Identifier: MIT
 * heed_explain: which kernels could solve a problem, which one does, and its steps, as text for people. */
#include "select.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>

static void append_view(struct heed_text *t, const char *name, const struct heed_view *v)
{
    heed_text_append(t, "  %s %s, strides %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", name, heed_dtype_name(v->dtype),
                     v->stride_batch, v->stride_head, v->stride_row);
}

static void append_attention(struct heed_text *t, const struct heed_attention_problem *p)
{
    const struct heed_attention_desc *d = &p->desc;
    heed_text_append(t, "  batch %u, heads %u over %u, rows %u, keys %u, dims %u and %u, scale %g\n", d->batch,
                     d->heads_q * p->folded, d->heads_kv, d->len_q / p->folded, d->len_kv, d->dim_qk, d->dim_v,
                     (double)d->scale);
    if (p->folded > 1)
        heed_text_append(t, "  the %u heads of a key head are taken as %u rows of one\n", p->folded, d->len_q);
    append_view(t, "q", &d->q);
    append_view(t, "k", &d->k);
    append_view(t, "v", &d->v);
    append_view(t, "o", &d->o);
}

static void append_deform(struct heed_text *t, const struct heed_deform_problem *p)
{
    const struct heed_deform_desc *d = &p->desc;
    heed_text_append(t, "  batch %u, queries %u, heads %u of %u features, %u points on %u levels:", d->batch, d->len_q,
                     d->heads, d->dim, p->points, d->level_count);
    for (uint32_t i = 0; i < d->level_count; i++) {
        if (d->axes == 3)
            heed_text_append(t, " %ux", d->levels[i].depth);
        heed_text_append(t, "%s%ux%u", d->axes == 3 ? "" : " ", d->levels[i].height, d->levels[i].width);
    }
    heed_text_append(t, "\n");
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

void heed_explain_steps(struct heed_text *t, const heed_plan *plan, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const struct heed_step *s = &plan->steps[i];
        heed_text_append(t, "  %s%u. %s, %u x %u x %u groups of %u invocations", s->barrier ? "-- barrier --\n  " : "",
                         i + 1, heed_kernel_name(s->kernel), s->groups[0], s->groups[1], s->groups[2], s->spec[0]);
        if (plan->device->info.limits.max_dispatch_ns < UINT64_MAX)
            heed_text_append(t, ", at most %.3f ms", 1e-6 * (double)s->ns);
        heed_text_append(t, "\n");
        for (uint32_t b = 0; b < s->binding_count; b++)
            if (!is_repeated(s, b))
                heed_text_append(t, "       %-13s + %" PRIu64 ", %" PRIu64 " bytes\n",
                                 heed_plan_arg_name(plan, s->bindings[b].arg), s->bindings[b].offset,
                                 s->bindings[b].bytes);
    }
}

static enum heed_status explain(heed_device *device, enum heed_op op, const void *desc, const char *kernel,
                                struct heed_text *t)
{
    heed_plan *plan = heed_alloc(device->context, 1, sizeof *plan);
    if (!plan)
        return heed_fail_memory(device->context);
    enum heed_status status = heed_plan_init(plan, device, op, desc);
    if (status != HEED_OK) {
        heed_free(device->context, plan);
        return status;
    }
    heed_text_append(t, "%s on %s (%s)\n", heed_op_name(plan->op), device->info.name, device->info.driver);
    if (op == HEED_OP_DEFORM)
        append_deform(t, &plan->problem.deform);
    else
        append_attention(t, &plan->problem.attention);

    status = device->ops->compile_refuses ? heed_plan_make(plan, kernel) : heed_plan_select(plan, kernel);
    heed_text_append(t, "kernels, best first:\n");
    uint32_t count = 0;
    if (device->ops->direct_kernel) {
        heed_text_append(t, "  %-28s yes\n", device->ops->direct_kernel);
    } else {
        const struct heed_candidate *list = heed_plan_candidates(plan, &count);
        for (uint32_t i = 0; i < count; i++) {
            char why[256] = "";
            bool yes = list[i].accepts(&list[i], plan, why, sizeof why);
            if (yes && plan->refusals && plan->refusals[i][0]) {
                yes = false;
                snprintf(why, sizeof why, "%s", plan->refusals[i]);
            }
            bool preferred = yes && (!list[i].prefers || list[i].prefers(&list[i], plan));
            heed_text_append(t, "  %-28s %s%s\n", list[i].name,
                             preferred ? "yes"
                             : yes     ? "if asked for by name"
                                       : "no: ",
                             why);
        }
    }
    if (status == HEED_OK) {
        heed_text_append(t, "plan: %s\n", plan->kernel);
        heed_explain_steps(t, plan, 0, plan->step_count);
        heed_text_append(t, "  scratch: %" PRIu64 " bytes\n", plan->scratch_bytes);
    } else if (status == HEED_ERR_UNSUPPORTED) {
        heed_text_append(t, "plan: none\n");
        status = HEED_OK;
    }
    device->ops->plan_release(plan);
    heed_plan_clear(plan);
    heed_free(device->context, plan);
    return status;
}

enum heed_status heed_explain_attention(heed_device *device, const struct heed_attention_desc *desc, char *text,
                                        size_t capacity, size_t *length)
{
    if (!device || (!text && capacity > 0))
        return HEED_ERR_ARGUMENT;
    struct heed_text t = {text, capacity, 0};
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
    struct heed_text t = {text, capacity, 0};
    const char *kernel = desc && desc->struct_size == sizeof *desc ? desc->kernel : NULL;
    enum heed_status status = explain(device, HEED_OP_DEFORM, desc, kernel, &t);
    if (length)
        *length = t.length;
    return status;
}
