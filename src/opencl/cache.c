/* SPDX-License-Identifier: MIT
 * Binaries of programs, and the app's callbacks that keep them between runs: one blob for a device, with an entry for
 * each program, found by a hash of its source and of its options. */
#include <inttypes.h>
#include <string.h>

#include "cl.h"

/* What a blob may take; entries that were not used for the longest time are left out. */
enum { CACHE_BYTES = 64 << 20 };

/* ---- the list; the caller holds the mutex where there are other threads */

static bool same_key(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

/* Takes the entry out of the list, so that it can be put first. */
static struct heed_cl_kept *unlink_kept(struct heed_cl_device *device, const uint64_t key[2])
{
    struct heed_cl_kept **link = &device->kept;
    while (*link && !same_key((*link)->entry.key, key))
        link = &(*link)->next;
    struct heed_cl_kept *found = *link;
    if (found)
        *link = found->next;
    return found;
}

static void put_first(struct heed_cl_device *device, struct heed_cl_kept *kept)
{
    kept->next = device->kept;
    device->kept = kept;
}

/* An entry with room for `bytes` behind it; NULL: out of host memory. */
static struct heed_cl_kept *make_kept(heed_context *context, const uint64_t key[2], size_t bytes)
{
    struct heed_cl_kept *kept = heed_alloc(context, sizeof *kept + bytes, 1);
    if (kept)
        kept->entry = (struct heed_cache_entry){.key = {key[0], key[1]}, .bytes = bytes, .data = kept + 1};
    return kept;
}

/* ---- in */

void heed_cl_cache_load(struct heed_cl_device *device)
{
    heed_context *context = device->base.context;
    size_t bytes = 0;
    char *blob = heed_cache_load(context, &device->physical.identity, &bytes);
    if (!blob)
        return;
    struct heed_cl_kept **last = &device->kept;
    struct heed_cache_entry entry;
    for (size_t at = HEED_CACHE_HEADER; heed_cache_next(blob, bytes, &at, &entry);) {
        struct heed_cl_kept *kept = make_kept(context, entry.key, entry.bytes);
        if (!kept)
            break; /* what is not here is compiled */
        memcpy(kept + 1, entry.data, entry.bytes);
        *last = kept;
        last = &kept->next;
    }
    heed_free(context, blob);
}

cl_program heed_cl_cache_find(struct heed_cl_device *device, const uint64_t key[2])
{
    cl_program program = NULL;
    heed_mutex_lock(&device->mutex);
    struct heed_cl_kept *kept = unlink_kept(device, key);
    if (kept) {
        put_first(device, kept);
        const unsigned char *binary = kept->entry.data;
        cl_int binary_status, result;
        program = device->cl.CreateProgramWithBinary(device->context, 1, &device->physical.handle, &kept->entry.bytes,
                                                     &binary, &binary_status, &result);
        if (result != CL_SUCCESS || binary_status != CL_SUCCESS) {
            heed_log(device->base.context, HEED_LOG_WARN,
                     "cache: clCreateProgramWithBinary refuses what the driver once gave (%d): not used", (int)result);
            if (result == CL_SUCCESS)
                device->cl.ReleaseProgram(program);
            program = NULL;
        }
    }
    heed_mutex_unlock(&device->mutex);
    return program;
}

/* ---- out */

/* Of a program for one device. NULL: the driver has none, or out of host memory. */
static struct heed_cl_kept *fetch_binary(struct heed_cl_device *device, const struct heed_cl_pipeline *pipeline)
{
    const struct heed_cl_functions *cl = &device->cl;
    heed_context *context = device->base.context;
    /* An app's context may have several devices, and the program has a place for each. */
    cl_uint count = 0;
    if (cl->GetProgramInfo(pipeline->program, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, NULL) != CL_SUCCESS)
        return NULL;
    cl_device_id *devices = heed_alloc(context, count, sizeof *devices);
    size_t *sizes = heed_alloc(context, count, sizeof *sizes);
    unsigned char **binaries = heed_alloc(context, count, sizeof *binaries);
    struct heed_cl_kept *kept = NULL;
    if (devices && sizes && binaries &&
        cl->GetProgramInfo(pipeline->program, CL_PROGRAM_DEVICES, count * sizeof *devices, devices, NULL) ==
            CL_SUCCESS &&
        cl->GetProgramInfo(pipeline->program, CL_PROGRAM_BINARY_SIZES, count * sizeof *sizes, sizes, NULL) ==
            CL_SUCCESS) {
        cl_uint mine = 0;
        while (mine < count && devices[mine] != device->physical.handle)
            mine++;
        if (mine < count && sizes[mine] > 0)
            kept = make_kept(context, pipeline->key, sizes[mine]);
        if (kept) /* the others stay NULL: not copied */
            binaries[mine] = (unsigned char *)(kept + 1);
        if (kept && cl->GetProgramInfo(pipeline->program, CL_PROGRAM_BINARIES, count * sizeof *binaries, binaries,
                                       NULL) != CL_SUCCESS) {
            heed_free(context, kept);
            kept = NULL;
        }
    }
    heed_free(context, binaries);
    heed_free(context, sizes);
    heed_free(context, devices);
    return kept;
}

/* The caller holds the mutex. */
static void remember(struct heed_cl_device *device, const struct heed_cl_pipeline *pipeline)
{
    struct heed_cl_kept *kept = fetch_binary(device, pipeline);
    if (!kept)
        return;
    struct heed_cl_kept *old = unlink_kept(device, pipeline->key);
    if (!old || old->entry.bytes != kept->entry.bytes || memcmp(old + 1, kept + 1, kept->entry.bytes) != 0)
        device->kept_changed = true;
    heed_free(device->base.context, old);
    put_first(device, kept);
}

void heed_cl_cache_remember(struct heed_cl_device *device, const struct heed_cl_pipeline *pipeline)
{
    if (!device->base.context->cache.put || pipeline->from_cache || device->closing || atomic_load(&device->lost))
        return;
    heed_mutex_lock(&device->mutex);
    remember(device, pipeline);
    heed_mutex_unlock(&device->mutex);
}

/* The caller holds both mutexes. */
static enum heed_status save(struct heed_cl_device *device)
{
    heed_context *context = device->base.context;
    const struct heed_cache *cache = &context->cache;
    /* Again also those that were remembered before: PoCL's have more in them once they have run. */
    for (struct heed_pipeline *p = device->pipelines.first; p; p = p->next)
        if (!((struct heed_cl_pipeline *)p)->from_cache)
            remember(device, (struct heed_cl_pipeline *)p);
    if (!device->kept_changed)
        return HEED_OK;
    size_t bytes = HEED_CACHE_HEADER;
    const struct heed_cl_kept *end = device->kept;
    for (; end && heed_cache_entry_bytes(end->entry.bytes) <= CACHE_BYTES - bytes; end = end->next)
        bytes += heed_cache_entry_bytes(end->entry.bytes);
    char *blob = heed_alloc(context, bytes, 1);
    if (!blob)
        return heed_fail_memory(context);
    size_t at = HEED_CACHE_HEADER;
    for (const struct heed_cl_kept *kept = device->kept; kept != end; kept = kept->next)
        heed_cache_write_entry(blob, &at, &kept->entry);
    char key[HEED_CACHE_KEY];
    heed_cache_key(&device->physical.identity, key);
    heed_cache_seal(&device->physical.identity, blob, bytes);
    heed_log(context, HEED_LOG_INFO, "cache: %zu bytes to keep as \"%s\"", bytes, key);
    cache->put(cache->user, key, blob, bytes);
    device->kept_changed = false;
    heed_free(context, blob);
    return HEED_OK;
}

enum heed_status heed_cl_cache_save(heed_device *base)
{
    struct heed_cl_device *device = (struct heed_cl_device *)base;
    if (!base->context->cache.put || !device->mutex_made || !device->pipelines.mutex_made)
        return HEED_OK;
    enum heed_status status = heed_cl_usable(device);
    if (status)
        return status;
    heed_mutex_lock(&device->pipelines.mutex);
    heed_mutex_lock(&device->mutex);
    status = save(device);
    heed_mutex_unlock(&device->mutex);
    heed_mutex_unlock(&device->pipelines.mutex);
    return status;
}

void heed_cl_cache_free(struct heed_cl_device *device)
{
    while (device->kept) {
        struct heed_cl_kept *kept = device->kept;
        device->kept = kept->next;
        heed_free(device->base.context, kept);
    }
}
