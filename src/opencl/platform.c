/* SPDX-License-Identifier: MIT
 * Describes a device: what it is, its limits, and by what its binaries are told from others. */
#include <stdio.h>
#include <string.h>

#include "../preferences.h"
#include "../rate.h"
#include "cl.h"

/* Extensions' names for what cl_ext.h of some systems lacks. */
enum {
    WARP_SIZE_NV = 0x4003,
    WAVEFRONT_WIDTH_AMD = 0x4043,
    SUB_GROUP_SIZES_INTEL = 0x4108,
    DEVICE_UUID_KHR = 0x106a,
};

enum { TEXT = 256, EXTENSIONS = 16384, MAX_SUBGROUP_SIZES = 16 };

/* ---- one property; those that are missing stay as they were */

static bool get(const struct heed_cl_functions *cl, cl_device_id device, cl_device_info what, size_t bytes, void *value)
{
    return cl->GetDeviceInfo(device, what, bytes, value, NULL) == CL_SUCCESS;
}

/* Cut at the end of `text`, without spaces around it: Intel's names have some. */
static void get_text(const struct heed_cl_functions *cl, cl_device_id device, cl_device_info what, char text[TEXT])
{
    char all[4 * TEXT] = "";
    size_t bytes = 0;
    text[0] = 0;
    if (cl->GetDeviceInfo(device, what, 0, NULL, &bytes) != CL_SUCCESS || bytes > sizeof all ||
        !get(cl, device, what, bytes, all))
        return;
    all[sizeof all - 1] = 0;
    const char *begin = all + strspn(all, " ");
    size_t length = strlen(begin);
    while (length > 0 && begin[length - 1] == ' ')
        length--;
    snprintf(text, TEXT, "%.*s", (int)(length < TEXT ? length : TEXT - 1), begin);
}

static uint32_t get_uint(const struct heed_cl_functions *cl, cl_device_id device, cl_device_info what)
{
    cl_uint value = 0;
    get(cl, device, what, sizeof value, &value);
    return value;
}

static uint64_t get_ulong(const struct heed_cl_functions *cl, cl_device_id device, cl_device_info what)
{
    cl_ulong value = 0;
    get(cl, device, what, sizeof value, &value);
    return value;
}

static uint64_t get_size(const struct heed_cl_functions *cl, cl_device_id device, cl_device_info what)
{
    size_t value = 0;
    get(cl, device, what, sizeof value, &value);
    return value;
}

static bool get_bool(const struct heed_cl_functions *cl, cl_device_id device, cl_device_info what)
{
    cl_bool value = CL_FALSE;
    get(cl, device, what, sizeof value, &value);
    return value == CL_TRUE;
}

static bool has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

/* The first "a.b" or "a.b.c" of a text as VK_MAKE_API_VERSION packs it; 0: there is none. */
static uint32_t version_in(const char *text)
{
    unsigned major, minor, patch = 0;
    for (const char *at = text; *at; at++)
        if (*at >= '0' && *at <= '9' && (at == text || at[-1] < '0' || at[-1] > '9') &&
            sscanf(at, "%3u.%4u.%4u", &major, &minor, &patch) >= 2)
            return (major & 1023) << 22 | (minor & 1023) << 12 | (patch & 4095);
    return 0;
}

/* ---- parts of the description */

static enum heed_device_type device_type(cl_device_type type, bool unified)
{
    if (type & CL_DEVICE_TYPE_CPU) /* Oclgrind's is all of them */
        return HEED_DEVICE_CPU;
    if (type & CL_DEVICE_TYPE_GPU)
        return unified ? HEED_DEVICE_INTEGRATED : HEED_DEVICE_DISCRETE;
    return HEED_DEVICE_OTHER;
}

/* Who wrote the driver, by the platform's name: OpenCL has no number for it. */
static uint32_t driver_id(const char *platform)
{
    static const struct {
        const char *name;
        uint32_t id;
    } known[] = {
        {"Portable Computing Language", HEED_DRIVER_CL_POCL},
        {"rusticl", HEED_DRIVER_CL_RUSTICL},
        {"Clover", HEED_DRIVER_CL_CLOVER},
        {"clvk", HEED_DRIVER_CL_CLVK},
        {"NVIDIA CUDA", HEED_DRIVER_CL_NVIDIA},
        {"AMD Accelerated Parallel Processing", HEED_DRIVER_CL_AMD},
        {"Intel(R) OpenCL", HEED_DRIVER_CL_INTEL}, /* and "... Graphics", "... HD Graphics" */
        {"ARM Platform", HEED_DRIVER_CL_ARM},
        {"QUALCOMM Snapdragon(TM)", HEED_DRIVER_CL_QUALCOMM},
        {"Apple", HEED_DRIVER_CL_APPLE},
        {"Oclgrind", HEED_DRIVER_CL_OCLGRIND},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(platform, known[i].name, strlen(known[i].name)) == 0)
            return known[i].id;
    return 0;
}

static void describe_lanes(const struct heed_cl_functions *cl, cl_device_id device, const char *extensions,
                           struct heed_device_info *info)
{
    struct heed_limits *limits = &info->limits;
    size_t sizes[MAX_SUBGROUP_SIZES];
    size_t bytes = 0;
    uint32_t one = 1;
    limits->subgroup_size_min = limits->subgroup_size_max = 1;
    if (has_word(extensions, "cl_intel_required_subgroup_size") &&
        cl->GetDeviceInfo(device, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) == CL_SUCCESS && bytes > 0) {
        limits->subgroup_size_min = UINT32_MAX;
        for (size_t i = 0; i < bytes / sizeof *sizes; i++) {
            limits->subgroup_size_min =
                sizes[i] < limits->subgroup_size_min ? (uint32_t)sizes[i] : limits->subgroup_size_min;
            limits->subgroup_size_max =
                sizes[i] > limits->subgroup_size_max ? (uint32_t)sizes[i] : limits->subgroup_size_max;
        }
        return;
    }
    if (has_word(extensions, "cl_nv_device_attribute_query"))
        one = get_uint(cl, device, WARP_SIZE_NV);
    else if (has_word(extensions, "cl_amd_device_attribute_query"))
        one = get_uint(cl, device, WAVEFRONT_WIDTH_AMD);
    else if (info->type == HEED_DEVICE_CPU)
        one = get_uint(cl, device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    limits->subgroup_size_min = limits->subgroup_size_max = one > 0 ? one : 1;
}

static void describe_limits(const struct heed_cl_functions *cl, cl_device_id device, struct heed_device_info *info,
                            uint64_t *max_allocation)
{
    struct heed_limits *limits = &info->limits;
    const uint64_t group = get_size(cl, device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    const uint64_t shared = get_ulong(cl, device, CL_DEVICE_LOCAL_MEM_SIZE);
    const uint64_t arguments = get_size(cl, device, CL_DEVICE_MAX_PARAMETER_SIZE);
    size_t items[16] = {0};
    get(cl, device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items);
    *max_allocation = get_ulong(cl, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    /* Kernels count elements in 32 bits. */
    limits->max_storage_range = *max_allocation < UINT32_MAX ? *max_allocation : UINT32_MAX;
    limits->max_group_count = 65535; /* OpenCL has no limit; GPUs have this one on two of three axes */
    limits->max_group_size = (uint32_t)(items[0] > 0 && items[0] < group ? items[0] : group);
    limits->max_shared_bytes = shared < UINT32_MAX ? (uint32_t)shared : UINT32_MAX;
    /* A binding is an address and an offset, beside the push block. */
    limits->max_storage_buffers =
        arguments > 4 * HEED_PUSH_WORDS ? (uint32_t)(arguments - 4 * HEED_PUSH_WORDS) / 16 : 0;
    limits->min_offset_alignment = 1;
    limits->max_dispatch_ns = info->type == HEED_DEVICE_CPU ? UINT64_MAX : HEED_DISPATCH_NS;
    limits->no_subgroups = limits->no_matrix = true;
}

/* What identifies a driver and a device, as two hashes. */
static void hash_texts(const char *const *texts, size_t count, uint64_t hash[2])
{
    hash[0] = HEED_CACHE_HASH;
    hash[1] = ~HEED_CACHE_HASH;
    for (size_t i = 0; i < count; i++)
        for (int h = 0; h < 2; h++)
            hash[h] = heed_cache_hash(hash[h], texts[i], strlen(texts[i]) + 1);
}

/* Why heed cannot use the device. */
static void find_fault(const struct heed_cl_functions *cl, struct heed_cl_physical *physical, const char *version)
{
    const struct heed_device_info *info = &physical->info;
    char *why = physical->unusable;
    const size_t size = sizeof physical->unusable;
    const cl_device_fp_config wanted = CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST;
    cl_device_fp_config floats = 0;
    get(cl, physical->handle, CL_DEVICE_SINGLE_FP_CONFIG, sizeof floats, &floats);
    if (info->api_version < (1u << 22 | 2u << 12))
        snprintf(why, size, "is one of \"%.40s\"; OpenCL 1.2 is the least", version);
    else if (!get_bool(cl, physical->handle, CL_DEVICE_AVAILABLE))
        snprintf(why, size, "is not available");
    else if (!get_bool(cl, physical->handle, CL_DEVICE_COMPILER_AVAILABLE))
        snprintf(why, size, "has no compiler");
    else if (!get_bool(cl, physical->handle, CL_DEVICE_ENDIAN_LITTLE))
        snprintf(why, size, "is big-endian");
    else if ((floats & wanted) != wanted)
        snprintf(why, size, "has no infinities, or does not round to nearest");
    else if (info->limits.max_storage_buffers < HEED_MAX_BINDINGS)
        snprintf(why, size, "takes arguments of too few bytes for %d buffers", HEED_MAX_BINDINGS);
}

enum heed_status heed_cl_physical_init(heed_context *context, const struct heed_cl_functions *cl, cl_device_id handle,
                                       struct heed_cl_physical *physical)
{
    memset(physical, 0, sizeof *physical);
    physical->handle = handle;
    cl_device_type type = 0;
    cl_int result = cl->GetDeviceInfo(handle, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if (result == CL_SUCCESS)
        result = cl->GetDeviceInfo(handle, CL_DEVICE_PLATFORM, sizeof physical->platform, &physical->platform, NULL);
    if (result != CL_SUCCESS)
        return heed_cl_result(context, result, "clGetDeviceInfo");
    struct heed_device_info *info = &physical->info;
    char platform[TEXT] = "", platform_version[TEXT] = "", version[TEXT], driver[TEXT];
    cl->GetPlatformInfo(physical->platform, CL_PLATFORM_NAME, sizeof platform - 1, platform, NULL);
    cl->GetPlatformInfo(physical->platform, CL_PLATFORM_VERSION, sizeof platform_version - 1, platform_version, NULL);
    get_text(cl, handle, CL_DEVICE_VERSION, version);
    get_text(cl, handle, CL_DRIVER_VERSION, driver);
    get_text(cl, handle, CL_DEVICE_NAME, info->name);
    char *extensions = heed_alloc(context, EXTENSIONS, 1);
    if (!extensions)
        return heed_fail_memory(context);
    get(cl, handle, CL_DEVICE_EXTENSIONS, EXTENSIONS - 1, extensions);

    info->backend = HEED_BACKEND_OPENCL;
    info->type = device_type(type, get_bool(cl, handle, CL_DEVICE_HOST_UNIFIED_MEMORY));
    info->vendor_id = get_uint(cl, handle, CL_DEVICE_VENDOR_ID);
    info->api_version = version_in(version);
    info->driver_id = driver_id(platform);
    info->driver_version = version_in(driver);
    info->compute_units = get_uint(cl, handle, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->has_timestamps = true;
    snprintf(info->driver, sizeof info->driver, "%.120s, %.120s", platform, driver);
    describe_limits(cl, handle, info, &physical->max_allocation);
    describe_lanes(cl, handle, extensions, info);

    const char *const texts[] = {platform, platform_version, info->name, version, driver};
    uint64_t hash[2];
    hash_texts(texts, sizeof texts / sizeof *texts, hash);
    physical->identity = (struct heed_cache_identity){.api = HEED_CACHE_OPENCL,
                                                      .vendor_id = info->vendor_id,
                                                      .driver_id = info->driver_id,
                                                      .driver_version = info->driver_version};
    memcpy(physical->identity.uuid, hash, sizeof physical->identity.uuid);
    /* The key under which the app keeps it must not change with a version. */
    const uint64_t name = heed_cache_hash(HEED_CACHE_HASH, info->name, strlen(info->name));
    physical->identity.device_id = (uint32_t)(name ^ name >> 32);
    if (!has_word(extensions, "cl_khr_device_uuid") ||
        !get(cl, handle, DEVICE_UUID_KHR, sizeof info->uuid, info->uuid)) {
        hash_texts((const char *const[]){platform, info->name}, 2, hash);
        memcpy(info->uuid, hash, sizeof info->uuid);
    }
    heed_free(context, extensions);
    find_fault(cl, physical, version);
    return HEED_OK;
}

/* ---- all of them */

static enum heed_status enumerate_platform(heed_context *context, const struct heed_cl_functions *cl,
                                           cl_platform_id platform, struct heed_device_info *infos, uint32_t capacity,
                                           uint32_t *count, uint32_t *next, uint32_t index,
                                           struct heed_cl_physical *wanted)
{
    cl_uint device_count = 0;
    cl_int result = cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &device_count);
    if (result == CL_DEVICE_NOT_FOUND || (result == CL_SUCCESS && device_count == 0))
        return HEED_OK;
    cl_device_id *devices = result == CL_SUCCESS ? heed_alloc(context, device_count, sizeof *devices) : NULL;
    if (result == CL_SUCCESS && !devices)
        return heed_fail_memory(context);
    if (result == CL_SUCCESS)
        result = cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, device_count, devices, NULL);
    if (result != CL_SUCCESS) { /* one broken driver does not hide the others */
        heed_log(context, HEED_LOG_WARN, "opencl: clGetDeviceIDs of a platform: %d: its devices are not listed",
                 (int)result);
        heed_free(context, devices);
        return HEED_OK;
    }
    enum heed_status status = HEED_OK;
    for (cl_uint i = 0; !status && i < device_count && !(wanted && wanted->handle); i++) {
        struct heed_cl_physical physical;
        status = heed_cl_physical_init(context, cl, devices[i], &physical);
        if (!status && physical.unusable[0]) {
            heed_log(context, HEED_LOG_INFO, "opencl: \"%s\" %s", physical.info.name, physical.unusable);
        } else if (!status) {
            physical.info.index = (*next)++;
            if (wanted && physical.info.index == index)
                *wanted = physical;
            if (*count < capacity)
                infos[*count] = physical.info;
            (*count)++;
        }
    }
    heed_free(context, devices);
    return status;
}

enum heed_status heed_cl_enumerate(heed_context *context, const struct heed_cl_functions *cl,
                                   struct heed_device_info *infos, uint32_t capacity, uint32_t *count, uint32_t index,
                                   struct heed_cl_physical *wanted)
{
    cl_uint platform_count = 0;
    const cl_int result = cl->GetPlatformIDs(0, NULL, &platform_count);
    if (result != CL_SUCCESS || platform_count == 0) {
        /* CL_PLATFORM_NOT_FOUND_KHR, or what a loader says instead */
        heed_log(context, HEED_LOG_INFO, "opencl: there is no driver (clGetPlatformIDs: %d)", (int)result);
        return HEED_OK;
    }
    cl_platform_id *platforms = heed_alloc(context, platform_count, sizeof *platforms);
    if (!platforms)
        return heed_fail_memory(context);
    enum heed_status status =
        heed_cl_result(context, cl->GetPlatformIDs(platform_count, platforms, NULL), "clGetPlatformIDs");
    uint32_t next = 0;
    for (cl_uint i = 0; !status && i < platform_count && !(wanted && wanted->handle); i++)
        status = enumerate_platform(context, cl, platforms[i], infos, capacity, count, &next, index, wanted);
    heed_free(context, platforms);
    return status;
}
