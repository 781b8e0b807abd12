/* SPDX-License-Identifier: MIT
 * Devices of all backends: listing, choosing, and the limits that plans are made for. */
#include "backend.h"

#include <ctype.h>
#include <string.h>

#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif

enum { LIST_MAX = 64 };

/* In the order of heed_device_list. */
static const struct backend {
    enum heed_backend backend;
    enum heed_status (*list)(heed_context *context, struct heed_device_info *infos, uint32_t capacity, uint32_t *count);
    enum heed_status (*create)(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                               heed_device **device);
} backends[] = {
#ifdef HEED_HAVE_VULKAN
    {HEED_BACKEND_VULKAN, heed_vulkan_list, heed_vulkan_create},
#endif
#ifdef HEED_HAVE_OPENCL
    {HEED_BACKEND_OPENCL, heed_opencl_list, heed_opencl_create},
#endif
    {HEED_BACKEND_REFERENCE, heed_reference_list, heed_reference_create},
};
enum { BACKENDS = sizeof backends / sizeof *backends };

static bool is_asked_for(enum heed_backend asked, const struct backend *backend)
{
    return asked == HEED_BACKEND_AUTO || asked == backend->backend;
}

static enum heed_status check_backend(heed_context *context, enum heed_backend backend)
{
    if ((unsigned)backend > HEED_BACKEND_OPENCL)
        return heed_fail(context, HEED_ERR_ARGUMENT, "device: backend %d is not one of heed_backend", (int)backend);
    return HEED_OK;
}

enum heed_status heed_device_list(heed_context *context, enum heed_backend backend, struct heed_device_info *infos,
                                  uint32_t *count)
{
    if (!context || !count)
        return HEED_ERR_ARGUMENT;
    enum heed_status status = check_backend(context, backend);
    const uint32_t capacity = infos && status == HEED_OK ? *count : 0;
    *count = 0;
    for (int b = 0; status == HEED_OK && b < BACKENDS; b++)
        if (is_asked_for(backend, &backends[b]))
            status = backends[b].list(context, infos, capacity, count);
    return status;
}

enum { GPU_RANK = 1 };

/* Lower is better; to GPU_RANK it is a GPU. */
static int type_rank(enum heed_device_type type)
{
    switch (type) {
    case HEED_DEVICE_DISCRETE:
        return 0;
    case HEED_DEVICE_INTEGRATED:
        return 1;
    case HEED_DEVICE_VIRTUAL:
        return 2;
    case HEED_DEVICE_OTHER:
        return 3;
    case HEED_DEVICE_CPU:
        return 4;
    }
    return 5;
}

static bool matches_uuid(const uint8_t uuid[16], const char *select)
{
    char digits[33];
    size_t n = 0;
    for (const char *c = select; *c; c++) {
        if (*c == '-')
            continue;
        if (!isxdigit((unsigned char)*c) || n == 32)
            return false;
        digits[n++] = (char)tolower((unsigned char)*c);
    }
    if (n != 32)
        return false;
    for (size_t i = 0; i < 32; i++) {
        uint8_t nibble = i % 2 == 0 ? uuid[i / 2] >> 4 : uuid[i / 2] & 15;
        if (digits[i] != "0123456789abcdef"[nibble])
            return false;
    }
    return true;
}

static bool contains_ignoring_case(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

bool heed_device_matches(const struct heed_device_info *info, uint32_t index, const char *select)
{
    if (!select)
        return true;
    size_t digits = strspn(select, "0123456789");
    if (digits > 0 && digits < 9 && !select[digits]) {
        uint32_t wanted = 0;
        for (size_t i = 0; i < digits; i++)
            wanted = wanted * 10 + (uint32_t)(select[i] - '0');
        return wanted == index;
    }
    return matches_uuid(info->uuid, select) || (*select && contains_ignoring_case(info->name, select));
}

/* The reference is for those who ask for it, and for machines that have nothing else. */
static bool is_better(const struct heed_device_info *info, const struct heed_device_info *best)
{
    return info->backend != HEED_BACKEND_REFERENCE && type_rank(info->type) < type_rank(best->type);
}

static enum heed_status fail_no_device(heed_context *context, const struct heed_device_desc *desc, uint32_t count)
{
    if (desc->select)
        return heed_fail(context, HEED_ERR_NO_DEVICE,
                         "device: \"%s\" is no index, UUID or part of a name of the %u devices found", desc->select,
                         count);
    return heed_fail(context, HEED_ERR_NO_DEVICE, "device: no %s device found (is a driver installed?)",
                     desc->backend == HEED_BACKEND_OPENCL ? "OpenCL" : "Vulkan");
}

enum heed_status heed_device_create(heed_context *context, const struct heed_device_desc *desc, heed_device **device)
{
    if (!context || !device)
        return HEED_ERR_ARGUMENT;
    *device = NULL;
    const struct heed_device_desc defaults = {.struct_size = sizeof defaults};
    if (!desc)
        desc = &defaults;
    if (desc->struct_size != sizeof *desc)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "device: struct_size %zu is not sizeof(struct heed_device_desc) %zu", desc->struct_size,
                         sizeof *desc);
    enum heed_status status = check_backend(context, desc->backend);
    if (status != HEED_OK)
        return status;

    struct heed_device_info *infos = heed_alloc(context, LIST_MAX, sizeof *infos);
    if (!infos)
        return heed_fail_memory(context);
    uint32_t count = 0, seen = 0, best = UINT32_MAX;
    const struct backend *chosen = NULL;
    for (const struct backend *b = backends; status == HEED_OK && b < backends + BACKENDS; b++) {
        /* Drivers take time to come up, and some to fail. */
        if (!is_asked_for(desc->backend, b) || (chosen && type_rank(infos[best].type) <= GPU_RANK))
            continue;
        status = b->list(context, infos, LIST_MAX, &count);
        for (; status == HEED_OK && seen < count && seen < LIST_MAX; seen++) {
            if (heed_device_matches(&infos[seen], seen, desc->select) &&
                (!chosen || is_better(&infos[seen], &infos[best]))) {
                best = seen;
                chosen = b;
            }
        }
    }
    if (status == HEED_OK)
        status =
            chosen ? chosen->create(context, desc, infos[best].index, device) : fail_no_device(context, desc, count);
    heed_free(context, infos);
    return status;
}

void heed_device_destroy(heed_device **device)
{
    if (!device || !*device)
        return;
    (*device)->ops->device_destroy(*device);
    *device = NULL;
}

enum heed_status heed_device_save_cache(heed_device *device)
{
    if (!device)
        return HEED_ERR_ARGUMENT;
    return device->ops->save_cache ? device->ops->save_cache(device) : HEED_OK;
}

void heed_device_get_info(const heed_device *device, struct heed_device_info *info)
{
    *info = device->info;
}

long heed_process_id(void)
{
    return (long)getpid();
}

enum heed_status heed_device_check(const heed_device *device)
{
    if (device->process != heed_process_id())
        return heed_fail(device->context, HEED_ERR_BACKEND,
                         "device: made in process %ld and used in process %ld; make one after fork()", device->process,
                         heed_process_id());
    return HEED_OK;
}

void heed_limits_lower(struct heed_limits *device, const struct heed_limits *wanted)
{
#define HEED_LOWER(field)                                                                                              \
    if (wanted->field != 0 && wanted->field < device->field)                                                           \
        device->field = wanted->field;
    HEED_LOWER(max_storage_range)
    HEED_LOWER(max_group_count)
    HEED_LOWER(max_group_size)
    HEED_LOWER(max_shared_bytes)
    HEED_LOWER(max_storage_buffers)
    HEED_LOWER(max_dispatch_ns)
#undef HEED_LOWER
    if (wanted->min_offset_alignment > device->min_offset_alignment)
        device->min_offset_alignment = wanted->min_offset_alignment;
    device->no_subgroups |= wanted->no_subgroups;
    device->no_matrix |= wanted->no_matrix;
}
