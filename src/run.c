/* SPDX-License-Identifier: MIT
 * Buffers, fences and runs: the checks of own mode, before any backend sees a call. */
#include "dtype.h"
#include "plan.h"
#include "select.h"

#include <inttypes.h>

/* Bytes that a kernel may touch: it works on whole 32-bit words. */
static uint64_t whole_words(uint64_t bytes)
{
    return (bytes + 3) / 4 * 4;
}

static uint32_t scratch_of(const heed_plan *plan)
{
    return plan->arg_count - 1;
}

static enum heed_status check_one(const heed_plan *plan, uint32_t arg, const struct heed_named_arg *named)
{
    heed_context *context = plan->device->context;
    const char *op = heed_op_name(plan->op), *name = heed_plan_arg_name(plan, arg);
    uint64_t needed = whole_words(named->offset + heed_plan_arg_bytes(plan, arg)) - named->offset;
    uint64_t element = arg == scratch_of(plan) ? HEED_SCRATCH_ALIGNMENT : heed_dtype_alignment(plan->args[arg].dtype);
    uint64_t alignment = plan->offset_alignment > element ? plan->offset_alignment : element;
    if (named->offset % alignment != 0)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "%s: offset %" PRIu64 " of \"%s\" is not a multiple of %" PRIu64
                         " (offset_alignment or its element)",
                         op, named->offset, name, alignment);
    if (named->bytes != 0 && named->bytes < needed)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "%s: \"%s\" needs %" PRIu64 " bytes and its buffer has %" PRIu64 " from offset %" PRIu64, op,
                         name, needed, named->bytes, named->offset);
    return HEED_OK;
}

static bool is_wanted(const heed_plan *plan, uint32_t arg, bool scratch_is_named)
{
    return arg == scratch_of(plan) ? scratch_is_named && plan->scratch_bytes > 0 : plan->args[arg].present;
}

static bool is_written(const heed_plan *plan, uint32_t arg)
{
    return arg == scratch_of(plan) || plan->args[arg].output;
}

/* Do the arguments at a and b touch the same bytes, with one of them written? */
static bool clash(const heed_plan *plan, const struct heed_named_arg *named, const uint32_t *position, uint32_t a,
                  uint32_t b)
{
    if (position[a] == UINT32_MAX || position[b] == UINT32_MAX)
        return false;
    const struct heed_named_arg *x = &named[position[a]], *y = &named[position[b]];
    if ((!is_written(plan, a) && !is_written(plan, b)) || x->buffer == 0 || x->buffer != y->buffer)
        return false;
    if (plan->op == HEED_OP_SOFTMAX && a == HEED_ARG_SCORES && b == HEED_ARG_WEIGHTS && x->offset == y->offset)
        return false;
    return x->offset < y->offset + heed_plan_arg_bytes(plan, b) && y->offset < x->offset + heed_plan_arg_bytes(plan, a);
}

enum heed_status heed_args_check(const heed_plan *plan, const struct heed_named_arg *named, uint32_t count,
                                 bool scratch_is_named, uint32_t *position)
{
    heed_context *context = plan->device->context;
    const char *op = heed_op_name(plan->op);
    for (uint32_t arg = 0; arg < plan->arg_count; arg++)
        position[arg] = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t arg = heed_plan_find_arg(plan, named[i].name);
        if (arg == plan->arg_count || !is_wanted(plan, arg, scratch_is_named))
            return heed_fail(context, HEED_ERR_ARGUMENT, "%s: \"%s\" is no argument of this plan", op,
                             named[i].name ? named[i].name : "(null)");
        if (position[arg] != UINT32_MAX)
            return heed_fail(context, HEED_ERR_ARGUMENT, "%s: argument \"%s\" is given twice", op, named[i].name);
        enum heed_status status = check_one(plan, arg, &named[i]);
        if (status != HEED_OK)
            return status;
        position[arg] = i;
    }
    for (uint32_t arg = 0; arg < plan->arg_count; arg++) {
        if (is_wanted(plan, arg, scratch_is_named) && position[arg] == UINT32_MAX)
            return heed_fail(context, HEED_ERR_ARGUMENT, "%s: argument \"%s\" is missing", op,
                             heed_plan_arg_name(plan, arg));
        for (uint32_t other = arg + 1; other < plan->arg_count; other++)
            if (clash(plan, named, position, arg, other))
                return heed_fail(context, HEED_ERR_ARGUMENT,
                                 "%s: \"%s\" and \"%s\" overlap, and one of them is written", op,
                                 heed_plan_arg_name(plan, arg), heed_plan_arg_name(plan, other));
    }
    return HEED_OK;
}

enum heed_status heed_arg_table_make(const heed_plan *plan, uint32_t arg_count, struct heed_arg_table *table)
{
    heed_context *context = plan->device->context;
    *table = (struct heed_arg_table){NULL, NULL};
    if (arg_count > plan->arg_count)
        return heed_fail(context, HEED_ERR_ARGUMENT, "%s: %u arguments are more than the plan has",
                         heed_op_name(plan->op), arg_count);
    table->named = heed_alloc(context, plan->arg_count, sizeof *table->named);
    table->position = heed_alloc(context, plan->arg_count, sizeof *table->position);
    if (table->named && table->position)
        return HEED_OK;
    heed_arg_table_free(context, table);
    return heed_fail_memory(context);
}

void heed_arg_table_free(heed_context *context, struct heed_arg_table *table)
{
    heed_free(context, table->named);
    heed_free(context, table->position);
}

static enum heed_status name_args(const heed_plan *plan, const struct heed_arg *args, uint32_t arg_count,
                                  struct heed_named_arg *named)
{
    heed_device *device = plan->device;
    for (uint32_t i = 0; i < arg_count; i++) {
        const heed_buffer *buffer = args[i].buffer;
        if (!buffer || buffer->device != device || args[i].offset > buffer->bytes)
            return heed_fail(device->context, HEED_ERR_ARGUMENT, "run: argument \"%s\" %s",
                             args[i].name ? args[i].name : "(null)",
                             !buffer                    ? "has no buffer"
                             : buffer->device != device ? "is a buffer of another device"
                                                        : "starts behind the end of its buffer");
        named[i] = (struct heed_named_arg){args[i].name, args[i].offset, whole_words(buffer->bytes) - args[i].offset,
                                           (uint64_t)(uintptr_t)buffer};
        uint32_t arg = heed_plan_find_arg(plan, args[i].name);
        if (named[i].bytes == 0 && arg < scratch_of(plan) && plan->args[arg].bytes > 0)
            return heed_fail(device->context, HEED_ERR_ARGUMENT, "run: argument \"%s\" starts at the end of its buffer",
                             args[i].name);
    }
    return HEED_OK;
}

/* The plan's arguments in its own order, plan->arg_count of them, for the caller to free. */
static enum heed_status bind_args(heed_plan *plan, const struct heed_arg *args, uint32_t arg_count,
                                  struct heed_bound_arg **result)
{
    heed_device *device = plan->device;
    enum heed_status status = heed_device_check(device);
    if (status != HEED_OK)
        return status;
    if (!device->ops->run)
        return heed_fail(device->context, HEED_ERR_UNSUPPORTED,
                         "run: the device was imported, and heed submits nothing there; record the plan instead");
    struct heed_arg_table table;
    status = heed_arg_table_make(plan, arg_count, &table);
    if (status != HEED_OK)
        return status;
    struct heed_bound_arg *bound = heed_alloc(device->context, plan->arg_count, sizeof *bound);
    status = bound ? name_args(plan, args, arg_count, table.named) : heed_fail_memory(device->context);
    if (status == HEED_OK)
        status = heed_args_check(plan, table.named, arg_count, false, table.position);
    for (uint32_t arg = 0; status == HEED_OK && arg < plan->arg_count; arg++)
        if (table.position[arg] != UINT32_MAX)
            bound[arg] = (struct heed_bound_arg){args[table.position[arg]].buffer, args[table.position[arg]].offset};
    heed_arg_table_free(device->context, &table);
    if (status != HEED_OK)
        heed_free(device->context, bound);
    else
        *result = bound;
    return status;
}

enum heed_status heed_run(heed_plan *plan, const struct heed_arg *args, uint32_t arg_count, heed_fence **fence)
{
    if (fence)
        *fence = NULL;
    if (!plan || (!args && arg_count > 0))
        return HEED_ERR_ARGUMENT;
    const struct heed_backend_ops *ops = plan->device->ops;
    struct heed_bound_arg *bound;
    enum heed_status status = bind_args(plan, args, arg_count, &bound);
    if (status != HEED_OK)
        return status;
    heed_fence *submitted = NULL;
    status = ops->run(plan, bound, fence != NULL, &submitted);
    heed_free(plan->device->context, bound);
    if (status != HEED_OK || fence) {
        if (fence)
            *fence = submitted;
        return status;
    }
    status = ops->fence_wait(submitted, UINT64_MAX);
    ops->fence_destroy(submitted);
    return status;
}

enum heed_status heed_profile(heed_plan *plan, const struct heed_arg *args, uint32_t arg_count,
                              struct heed_op_time *times, uint32_t capacity, uint32_t *count)
{
    if (count)
        *count = 0;
    if (!plan || !count || (!args && arg_count > 0) || (!times && capacity > 0))
        return HEED_ERR_ARGUMENT;
    heed_device *device = plan->device;
    if (!device->ops->run || !device->info.has_timestamps)
        return heed_fail(device->context, HEED_ERR_UNSUPPORTED, "profile: %s",
                         device->ops->run ? "the device has no timestamps"
                                          : "the device was imported, and heed runs nothing there");
    const uint32_t ops = *count = heed_plan_op_count(plan);
    if (capacity == 0)
        return HEED_OK;
    struct heed_bound_arg *bound;
    enum heed_status status = bind_args(plan, args, arg_count, &bound);
    if (status != HEED_OK)
        return status;
    uint64_t *ns = heed_alloc(device->context, ops > 0 ? ops : 1, sizeof *ns);
    status = ns ? device->ops->profile(plan, bound, ns) : heed_fail_memory(device->context);
    for (uint32_t op = 0; status == HEED_OK && op < ops && op < capacity; op++) {
        heed_plan_op(plan, op, &times[op]);
        times[op].ns = ns[op];
    }
    heed_free(device->context, ns);
    heed_free(device->context, bound);
    return status;
}

enum heed_status heed_buffer_create(heed_device *device, uint64_t bytes, heed_buffer **buffer)
{
    if (!device || !buffer)
        return HEED_ERR_ARGUMENT;
    *buffer = NULL;
    enum heed_status status = heed_device_check(device);
    if (status != HEED_OK)
        return status;
    if (!device->ops->buffer_create)
        return heed_fail(device->context, HEED_ERR_UNSUPPORTED,
                         "buffer: the device was imported, and heed allocates no "
                         "device memory there");
    if (bytes == 0 || bytes > INT64_MAX)
        return heed_fail(device->context, HEED_ERR_ARGUMENT, "buffer: %" PRIu64 " bytes are not in 1..2^63-1", bytes);
    return device->ops->buffer_create(device, bytes, buffer);
}

void heed_buffer_destroy(heed_buffer **buffer)
{
    if (!buffer || !*buffer)
        return;
    (*buffer)->device->ops->buffer_destroy(*buffer);
    *buffer = NULL;
}

static enum heed_status check_span(const heed_buffer *buffer, const void *data, uint64_t offset, uint64_t bytes)
{
    if (!buffer || (!data && bytes > 0))
        return HEED_ERR_ARGUMENT;
    if (offset > buffer->bytes || bytes > buffer->bytes - offset)
        return heed_fail(buffer->device->context, HEED_ERR_ARGUMENT,
                         "buffer: %" PRIu64 " bytes at offset %" PRIu64 " do not lie in a buffer of %" PRIu64, bytes,
                         offset, buffer->bytes);
    return heed_device_check(buffer->device);
}

enum heed_status heed_buffer_write(heed_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes)
{
    enum heed_status status = check_span(buffer, data, offset, bytes);
    if (status != HEED_OK || bytes == 0)
        return status;
    return buffer->device->ops->buffer_write(buffer, offset, data, bytes);
}

enum heed_status heed_buffer_read(heed_buffer *buffer, uint64_t offset, void *data, uint64_t bytes)
{
    enum heed_status status = check_span(buffer, data, offset, bytes);
    if (status != HEED_OK || bytes == 0)
        return status;
    return buffer->device->ops->buffer_read(buffer, offset, data, bytes);
}

enum heed_status heed_fence_wait(heed_fence *fence, uint64_t timeout_ns)
{
    return fence ? fence->device->ops->fence_wait(fence, timeout_ns) : HEED_ERR_ARGUMENT;
}

enum heed_status heed_fence_get_device_ns(heed_fence *fence, uint64_t *ns)
{
    return fence && ns ? fence->device->ops->fence_get_device_ns(fence, ns) : HEED_ERR_ARGUMENT;
}

void heed_fence_destroy(heed_fence **fence)
{
    if (!fence || !*fence)
        return;
    (*fence)->device->ops->fence_wait(*fence, UINT64_MAX);
    (*fence)->device->ops->fence_destroy(*fence);
    *fence = NULL;
}
