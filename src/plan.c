/* SPDX-License-Identifier: MIT
 * Plans: check the descriptor, take the first kernel that accepts the problem, lower it to steps, compile. */
#include "pipeline.h"
#include "select.h"

#include <stdio.h>
#include <string.h>

#define BIT(binding) (1u << (binding))
#define ATTN_OUT (BIT(HEED_ATTN_O) | BIT(HEED_ATTN_LSE) | BIT(HEED_ATTN_ENTROPY))
static const struct {
    const char *name;
    uint32_t writes;
    bool opencl_only;
    bool int64, broadcast; /* what it has: 64-bit integers, subgroups that read any lane's value */
    uint32_t addresses;    /* bindings that it loads by address */
} kernels[HEED_KERNEL_COUNT] = {
    [HEED_KERNEL_ATTN_FUSED] = {"attn_fused", ATTN_OUT},
    [HEED_KERNEL_ATTN_FUSED_SUBGROUP] = {"attn_fused_subgroup", ATTN_OUT},
    [HEED_KERNEL_ATTN_MATRIX] = {"attn_matrix", ATTN_OUT},
    [HEED_KERNEL_ATTN_MATRIX_BF16] = {"attn_matrix_bf16", ATTN_OUT},
    [HEED_KERNEL_ATTN_HELD] = {"attn_held", ATTN_OUT},
    [HEED_KERNEL_ATTN_HELD_BF16] = {"attn_held_bf16", ATTN_OUT},
    [HEED_KERNEL_ATTN_HELD_NV] = {"attn_held_nv", ATTN_OUT},
    [HEED_KERNEL_ATTN_HELD_NV_BF16] = {"attn_held_nv_bf16", ATTN_OUT},
    [HEED_KERNEL_ATTN_LANES] = {"attn_lanes", ATTN_OUT},
    [HEED_KERNEL_ATTN_LANES_INT64] = {"attn_lanes_int64", ATTN_OUT, .int64 = true},
    [HEED_KERNEL_ATTN_LANES_BROADCAST] = {"attn_lanes_broadcast", ATTN_OUT, .broadcast = true},
    [HEED_KERNEL_ATTN_LANES_ADDRESS] = {"attn_lanes_address", ATTN_OUT, .int64 = true,
                                        .addresses = BIT(HEED_ATTN_K) | BIT(HEED_ATTN_V)},
    [HEED_KERNEL_ATTN_FEATURES_ADDRESS] = {"attn_features_address", ATTN_OUT, .int64 = true,
                                           .addresses = BIT(HEED_ATTN_Q) | BIT(HEED_ATTN_K) | BIT(HEED_ATTN_V)},
    [HEED_KERNEL_ATTN_KEYS] = {"attn_keys", ATTN_OUT},
    [HEED_KERNEL_ATTN_KEYS_INT64] = {"attn_keys_int64", ATTN_OUT, .int64 = true},
    [HEED_KERNEL_ATTN_ROWS] = {"attn_rows", ATTN_OUT, true},
    [HEED_KERNEL_ATTN_FEATURES] = {"attn_features", ATTN_OUT, true},
    [HEED_KERNEL_ATTN_MERGE] = {"attn_merge", ATTN_OUT},
    [HEED_KERNEL_ATTN_SCORES] = {"attn_scores", BIT(HEED_ATTN_O)},
    [HEED_KERNEL_ATTN_SCORES_LANES] = {"attn_scores_lanes", BIT(HEED_ATTN_O)},
    [HEED_KERNEL_ATTN_SCORES_LANES_INT64] = {"attn_scores_lanes_int64", BIT(HEED_ATTN_O), .int64 = true},
    [HEED_KERNEL_ATTN_SCORES_LANES_ADDRESS] = {"attn_scores_lanes_address", BIT(HEED_ATTN_O), .int64 = true,
                                               .addresses = BIT(HEED_ATTN_Q)},
    [HEED_KERNEL_ATTN_SOFTMAX] = {"attn_softmax", ATTN_OUT},
    [HEED_KERNEL_ATTN_SOFTMAX_SUBGROUP] = {"attn_softmax_subgroup", ATTN_OUT},
    [HEED_KERNEL_ATTN_SOFTMAX_SUBGROUP_INT64] = {"attn_softmax_subgroup_int64", ATTN_OUT, .int64 = true},
    [HEED_KERNEL_ATTN_SOFTMAX_ADDRESS] = {"attn_softmax_address", ATTN_OUT, .int64 = true,
                                          .addresses = BIT(HEED_ATTN_Q)},
    [HEED_KERNEL_ATTN_AGGREGATE] = {"attn_aggregate", BIT(HEED_ATTN_O)},
    [HEED_KERNEL_ATTN_AGGREGATE_LANES] = {"attn_aggregate_lanes", BIT(HEED_ATTN_O)},
    [HEED_KERNEL_ATTN_AGGREGATE_LANES_INT64] = {"attn_aggregate_lanes_int64", BIT(HEED_ATTN_O), .int64 = true},
    [HEED_KERNEL_ATTN_AGGREGATE_ADDRESS] = {"attn_aggregate_address", BIT(HEED_ATTN_O), .int64 = true,
                                            .addresses = BIT(HEED_ATTN_Q) | BIT(HEED_ATTN_V)},
    [HEED_KERNEL_PACK] = {"pack", BIT(HEED_PACK_DST)},
    [HEED_KERNEL_DEFORM] = {"deform", BIT(HEED_DEFORM_O)},
    [HEED_KERNEL_DEFORM_INT64] = {"deform_int64", BIT(HEED_DEFORM_O), .int64 = true},
    [HEED_KERNEL_DEFORM_SHARED] = {"deform_shared", BIT(HEED_DEFORM_O)},
    [HEED_KERNEL_LINEAR] = {"linear", BIT(HEED_LINEAR_Y)},
    [HEED_KERNEL_LINEAR_LANES] = {"linear_lanes", BIT(HEED_LINEAR_Y)},
    [HEED_KERNEL_LINEAR_ROWS] = {"linear_rows", BIT(HEED_LINEAR_Y), true},
    [HEED_KERNEL_LINEAR_VECTOR] = {"linear_vector", BIT(HEED_LINEAR_Y)},
    [HEED_KERNEL_CONV] = {"conv", BIT(HEED_LINEAR_Y)},
    [HEED_KERNEL_CONV_LANES] = {"conv_lanes", BIT(HEED_LINEAR_Y)},
    [HEED_KERNEL_CONV_ROWS] = {"conv_rows", BIT(HEED_LINEAR_Y), true},
    [HEED_KERNEL_CONV_DIRECT] = {"conv_direct", BIT(HEED_LINEAR_Y)},
    [HEED_KERNEL_NORM] = {"norm", BIT(HEED_NORM_O)},
    [HEED_KERNEL_COMBINE] = {"combine", BIT(HEED_COMBINE_O)},
    [HEED_KERNEL_APPEND] = {"append", BIT(HEED_APPEND_STATE)},
    [HEED_KERNEL_EMBED] = {"embed", BIT(HEED_EMBED_O)},
    [HEED_KERNEL_ROPE] = {"rope", BIT(HEED_ROPE_O)},
    [HEED_KERNEL_SINUSOID] = {"sinusoid", BIT(HEED_SINUSOID_O)},
    [HEED_KERNEL_POOL] = {"pool", BIT(HEED_POOL_O)},
    [HEED_KERNEL_RESIZE] = {"resize", BIT(HEED_RESIZE_O)},
    [HEED_KERNEL_TOP_K] = {"top_k", BIT(HEED_TOP_K_VALUES) | BIT(HEED_TOP_K_INDICES)},
};

/* How many budgets of a dispatch fit a submission: 1 s, where amdgpu resets a GPU after 2 (lockup_timeout). */
enum { DISPATCHES_OF_A_SUBMISSION = 10 };

const char *heed_kernel_name(enum heed_kernel kernel)
{
    return kernels[kernel].name;
}

uint32_t heed_kernel_writes(enum heed_kernel kernel)
{
    return kernels[kernel].writes;
}

uint32_t heed_kernel_addresses(enum heed_kernel kernel)
{
    return kernels[kernel].addresses;
}

const char *heed_plan_arg_name(const heed_plan *plan, uint32_t arg)
{
    return arg + 1 == plan->arg_count ? "scratch" : plan->args[arg].name;
}

uint32_t heed_plan_find_arg(const heed_plan *plan, const char *name)
{
    uint32_t arg = 0;
    while (arg + 1 < plan->arg_count && (!name || !plan->args[arg].present || strcmp(name, plan->args[arg].name) != 0))
        arg++;
    return arg + 1 < plan->arg_count || (name && strcmp(name, "scratch") == 0) ? arg : plan->arg_count;
}

uint64_t heed_plan_arg_bytes(const heed_plan *plan, uint32_t arg)
{
    return arg + 1 == plan->arg_count ? plan->scratch_bytes : plan->args[arg].bytes;
}

bool heed_plan_has_kernel(const heed_plan *plan, enum heed_kernel kernel, char *why, size_t why_size)
{
    const struct heed_backend_ops *ops = plan->device->ops;
    bool opencl = ops->backend == HEED_BACKEND_OPENCL;
    if (!opencl && kernels[kernel].opencl_only)
        snprintf(why, why_size, "%s is for OpenCL, and the device is not driven by it", heed_kernel_name(kernel));
    else if (ops->has_kernel && !ops->has_kernel(kernel))
        snprintf(why, why_size,
                 opencl ? "%s is not for OpenCL, by which the device is driven"
                        : "%s was left out of this build, whose shader compiler is too old for it",
                 heed_kernel_name(kernel));
    else if (kernels[kernel].int64 && !plan->device->info.has_int64)
        snprintf(why, why_size, "the device has no 64-bit integers in shaders, or needs none");
    else if (kernels[kernel].broadcast && !plan->device->info.has_subgroup_broadcast)
        snprintf(why, why_size,
                 "the device has no subgroups that read the value of any lane, or they are switched off");
    else if (kernels[kernel].addresses && !plan->device->info.has_buffer_addresses)
        snprintf(why, why_size, "the device's buffers have no addresses that heed knows of, or it needs none");
    else
        return true;
    return false;
}

struct heed_step *heed_plan_add_step(heed_plan *plan)
{
    heed_context *context = plan->device->context;
    if (plan->step_count == plan->step_capacity) {
        uint32_t capacity = plan->step_capacity ? 2 * plan->step_capacity : 8;
        struct heed_step *steps = heed_alloc(context, capacity, sizeof *steps);
        if (!steps)
            return NULL;
        if (plan->step_count > 0)
            memcpy(steps, plan->steps, plan->step_count * sizeof *steps);
        heed_free(context, plan->steps);
        plan->steps = steps;
        plan->step_capacity = capacity;
    }
    struct heed_step *step = &plan->steps[plan->step_count++];
    *step = (struct heed_step){0};
    return step;
}

uint64_t heed_plan_add_scratch(heed_plan *plan, uint64_t bytes)
{
    uint64_t offset = plan->scratch_bytes;
    plan->scratch_bytes += (bytes + HEED_SCRATCH_ALIGNMENT - 1) / HEED_SCRATCH_ALIGNMENT * HEED_SCRATCH_ALIGNMENT;
    return offset;
}

uint32_t heed_plan_submission(const heed_plan *plan, uint32_t first)
{
    const uint64_t budget = plan->device->info.limits.max_dispatch_ns;
    const uint64_t most =
        budget > UINT64_MAX / DISPATCHES_OF_A_SUBMISSION ? UINT64_MAX : budget * DISPATCHES_OF_A_SUBMISSION;
    uint64_t ns = 0;
    uint32_t count = 0;
    while (first + count < plan->step_count) {
        const uint64_t step_ns = plan->steps[first + count].ns;
        if (count > 0 && (ns > most || step_ns > most - ns))
            break;
        ns = step_ns > UINT64_MAX - ns ? UINT64_MAX : ns + step_ns;
        count++;
    }
    return count;
}

const struct heed_candidate *heed_plan_candidates(const heed_plan *plan, uint32_t *count)
{
    return plan->op == HEED_OP_DEFORM ? heed_deform_candidates(count) : heed_attention_candidates(plan->op, count);
}

const char *heed_op_name(enum heed_op op)
{
    static const char *const names[] = {"attention", "scores", "softmax", "aggregate", "deform", "pipeline"};
    return names[op];
}

/* The names that could have been meant, for a message about one that is none of them. */
static enum heed_status fail_name(const heed_plan *plan, const char *name, const struct heed_candidate *list,
                                  uint32_t count)
{
    char names[768];
    size_t used = 0;
    names[0] = 0;
    for (uint32_t i = 0; i < count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", list[i].name);
    return heed_fail(plan->device->context, HEED_ERR_ARGUMENT, "%s: kernel \"%s\" is not one of: %s",
                     heed_op_name(plan->op), name, names);
}

static uint64_t longest_dispatch_ns(const heed_plan *plan)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < plan->step_count; i++)
        longest = plan->steps[i].ns > longest ? plan->steps[i].ns : longest;
    return longest;
}

void heed_plan_warn_of_long_dispatch(const heed_plan *plan)
{
    uint64_t longest = longest_dispatch_ns(plan), most = plan->device->info.limits.max_dispatch_ns;
    if (longest > most)
        heed_log(plan->device->context, HEED_LOG_WARN,
                 "%s: a dispatch of %s that cannot be cut further may take %.3f ms, more than max_dispatch_ns %.3f ms",
                 heed_op_name(plan->op), plan->kernel, 1e-6 * (double)longest, 1e-6 * (double)most);
}

enum heed_status heed_plan_select(heed_plan *plan, const char *name)
{
    heed_context *context = plan->device->context;
    const char *direct = plan->device->ops->direct_kernel, *op = heed_op_name(plan->op);
    if (direct) {
        if (name && strcmp(name, direct) != 0)
            return heed_fail(context, HEED_ERR_ARGUMENT, "%s: kernel \"%s\" is not one of: %s", op, name, direct);
        snprintf(plan->kernel, sizeof plan->kernel, "%s", direct);
        return HEED_OK;
    }
    uint32_t count;
    const struct heed_candidate *list = heed_plan_candidates(plan, &count);
    const struct heed_candidate *chosen = NULL, *fallback = NULL;
    bool known = false;
    char why[256] = "no kernel was built";
    for (uint32_t i = 0; i < count && !chosen; i++) {
        if (name && strcmp(name, list[i].name) != 0)
            continue;
        known = true;
        if (plan->refusals && plan->refusals[i][0])
            snprintf(why, sizeof why, "%s", plan->refusals[i]);
        else if (!list[i].accepts(&list[i], plan, why, sizeof why))
            heed_log(context, HEED_LOG_DEBUG, "%s: %s refuses: %s", op, list[i].name, why);
        else if (name || !list[i].prefers || list[i].prefers(&list[i], plan))
            chosen = &list[i];
        else if (!fallback)
            fallback = &list[i];
    }
    if (!chosen)
        chosen = fallback;
    if (chosen) {
        snprintf(plan->kernel, sizeof plan->kernel, "%s", chosen->name);
        plan->candidate = (uint32_t)(chosen - list);
        enum heed_status status = chosen->lower(chosen, plan);
        if (status == HEED_OK)
            heed_plan_warn_of_long_dispatch(plan);
        return status;
    }
    if (name && !known)
        return fail_name(plan, name, list, count);
    /* The last of the list is the one that asks for the least, so its reason is the one that counts. */
    return heed_fail(context, HEED_ERR_UNSUPPORTED, "%s: no kernel for this on %s: %s refuses: %s", op,
                     plan->device->info.name, name ? name : list[count - 1].name, why);
}

static void clear_steps(heed_plan *plan)
{
    heed_free(plan->device->context, plan->steps);
    plan->steps = NULL;
    plan->step_count = plan->step_capacity = 0;
    plan->scratch_bytes = 0;
}

void heed_plan_clear(heed_plan *plan)
{
    clear_steps(plan);
    heed_free(plan->device->context, plan->refusals);
    plan->refusals = NULL;
}

enum heed_status heed_plan_make(heed_plan *plan, const char *name)
{
    heed_context *context = plan->device->context;
    for (;;) {
        enum heed_status status = heed_plan_select(plan, name);
        if (status == HEED_OK)
            status = plan->device->ops->plan_compile(plan);
        if (status != HEED_ERR_UNSUPPORTED || !plan->refusal[0])
            return status;
        const char *op = heed_op_name(plan->op);
        if (name)
            return heed_fail(context, status, "%s: %s refuses: %s", op, name, plan->refusal);
        uint32_t count;
        heed_plan_candidates(plan, &count);
        if (!plan->refusals)
            plan->refusals = heed_alloc(context, count, sizeof *plan->refusals);
        if (!plan->refusals)
            return heed_fail_memory(context);
        heed_log(context, HEED_LOG_DEBUG, "%s: %s refuses: %s", op, plan->kernel, plan->refusal);
        memcpy(plan->refusals[plan->candidate], plan->refusal, sizeof plan->refusal);
        plan->refusal[0] = 0;
        clear_steps(plan);
    }
}

enum heed_status heed_plan_init(heed_plan *plan, heed_device *device, enum heed_op op, const void *desc)
{
    *plan = (struct heed_plan){.device = device, .op = op, .arg_count = HEED_ARG_COUNT};
    enum heed_status status = heed_device_check(device);
    if (status != HEED_OK)
        return status;
    if (op == HEED_OP_DEFORM) {
        struct heed_deform_problem *p = &plan->problem.deform;
        status = heed_deform_problem_init(device->context, desc, p);
        plan->args = p->args.arg;
        plan->offset_alignment = p->desc.offset_alignment;
    } else {
        struct heed_attention_problem *p = &plan->problem.attention;
        status = heed_attention_problem_init(device->context, desc, p);
        if (status == HEED_OK && !device->ops->direct_kernel)
            heed_attention_problem_simplify(p);
        plan->op = p->desc.op;
        plan->args = p->args.arg;
        plan->offset_alignment = p->desc.offset_alignment;
    }
    return status;
}

static enum heed_status create(heed_device *device, enum heed_op op, const void *desc, const char *kernel,
                               heed_plan **result)
{
    heed_plan *plan = heed_alloc(device->context, 1, sizeof *plan);
    if (!plan)
        return heed_fail_memory(device->context);
    enum heed_status status = heed_plan_init(plan, device, op, desc);
    if (status == HEED_OK)
        status = heed_plan_make(plan, kernel);
    if (status != HEED_OK) {
        heed_plan_clear(plan);
        heed_free(device->context, plan);
        return status;
    }
    *result = plan;
    return HEED_OK;
}

enum heed_status heed_plan_create_attention(heed_device *device, const struct heed_attention_desc *desc,
                                            heed_plan **plan)
{
    if (!device || !plan)
        return HEED_ERR_ARGUMENT;
    *plan = NULL;
    /* Nothing of a descriptor of unknown size is looked at before heed_plan_init has checked the size. */
    const char *kernel = desc && desc->struct_size == sizeof *desc ? desc->kernel : NULL;
    return create(device, HEED_OP_ATTENTION, desc, kernel, plan);
}

enum heed_status heed_plan_create_deform(heed_device *device, const struct heed_deform_desc *desc, heed_plan **plan)
{
    if (!device || !plan)
        return HEED_ERR_ARGUMENT;
    *plan = NULL;
    const char *kernel = desc && desc->struct_size == sizeof *desc ? desc->kernel : NULL;
    return create(device, HEED_OP_DEFORM, desc, kernel, plan);
}

void heed_plan_destroy(heed_plan **plan)
{
    if (!plan || !*plan)
        return;
    heed_context *context = (*plan)->device->context;
    (*plan)->device->ops->plan_release(*plan);
    heed_pipeline_plan_destroy(*plan);
    heed_plan_clear(*plan);
    heed_free(context, *plan);
    *plan = NULL;
}

static uint64_t flops_of(const heed_plan *plan)
{
    if (plan->op == HEED_OP_DEFORM)
        return plan->problem.deform.flops;
    if (plan->op != HEED_OP_PIPELINE)
        return plan->problem.attention.flops;
    uint64_t flops = 0;
    for (uint32_t i = 0; i < plan->pipeline->graph.node_count; i++)
        flops += plan->pipeline->graph.nodes[i].flops;
    return flops;
}

static uint32_t barrier_count(const heed_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->step_count; i++)
        count += plan->steps[i].barrier;
    return count;
}

void heed_plan_get_info(const heed_plan *plan, struct heed_plan_info *info)
{
    *info = (struct heed_plan_info){
        .kernel = plan->kernel,
        .scratch_bytes = plan->scratch_bytes,
        .scratch_alignment = HEED_SCRATCH_ALIGNMENT,
        .flops = flops_of(plan),
        .dispatches = plan->step_count,
        .compile_ns = plan->compile_ns,
        .pipelines = plan->pipelines,
        .pipelines_shared = plan->pipelines_shared,
        .pipelines_cached = plan->pipelines_cached,
        .longest_dispatch_ns = longest_dispatch_ns(plan),
        .scratch_sum = plan->pipeline ? plan->pipeline->arena_sum : plan->scratch_bytes,
        .barriers = barrier_count(plan),
    };
    for (uint32_t arg = 0; arg + 1 < plan->arg_count; arg++) {
        info->args += plan->args[arg].present;
        info->bytes += plan->args[arg].bytes;
    }
}

enum heed_status heed_plan_get_arg(const heed_plan *plan, uint32_t index, struct heed_arg_info *info)
{
    uint32_t seen = 0;
    for (uint32_t arg = 0; arg + 1 < plan->arg_count; arg++) {
        const struct heed_arg_slot *slot = &plan->args[arg];
        if (!slot->present || seen++ != index)
            continue;
        *info = (struct heed_arg_info){slot->name, slot->dtype, slot->output, slot->bytes};
        return HEED_OK;
    }
    return heed_fail(plan->device->context, HEED_ERR_ARGUMENT, "plan: argument index %u is not below %u", index, seen);
}
