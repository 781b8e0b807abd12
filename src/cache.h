/* SPDX-License-Identifier: MIT
 * What heed puts before what drivers compiled when it gives that to the app to keep, and the checks when it comes back:
 * Vulkan's pipeline cache, or OpenCL's binaries. Neither API here: the blob is bytes from a disk, and all that is
 * believed of it is decided in one place. */
#ifndef HEED_CACHE_H
#define HEED_CACHE_H

#include "context.h"

enum heed_cache_api {
    HEED_CACHE_VULKAN = 0, /* one VkPipelineCache follows the header */
    HEED_CACHE_OPENCL = 1, /* entries follow it, see below */
};

/* The device and driver that a blob is for. */
struct heed_cache_identity {
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint8_t uuid[16]; /* pipelineCacheUUID; OpenCL: a hash of all names and versions */
    enum heed_cache_api api;
};

enum {
    HEED_CACHE_HEADER = 64,        /* bytes before the driver's */
    HEED_CACHE_DRIVER_HEADER = 32, /* of VkPipelineCacheHeaderVersionOne: without anything behind it a cache is empty */
    HEED_CACHE_KEY = 48,
    HEED_CACHE_MOST = 1 << 30,
};

/* The key under which a device's blob is kept. Not of the driver's version: a new driver's blob replaces the old one.
 */
void heed_cache_key(const struct heed_cache_identity *identity, char key[HEED_CACHE_KEY]);

/* Writes the header of a blob of `bytes`, whose first HEED_CACHE_HEADER are for it. */
void heed_cache_seal(const struct heed_cache_identity *identity, void *blob, size_t bytes);

/* Whether what follows the header may be given to the driver. False: `why` says, in one line. */
bool heed_cache_check(const struct heed_cache_identity *identity, const void *blob, size_t bytes, char *why,
                      size_t why_size);

/* The blob that the app keeps for the device, checked, for heed_free. NULL: there is none that can be used, which is
 * logged. */
void *heed_cache_load(heed_context *context, const struct heed_cache_identity *identity, size_t *bytes);

/* OpenCL: the binary of a program. */
struct heed_cache_entry {
    uint64_t key[2]; /* a hash of source and options */
    size_t bytes;
    const void *data; /* where it lies in the blob */
};
/* The entry at *at, which begins as HEED_CACHE_HEADER and moves on; false: there is no more, or not all of it is there.
 */
bool heed_cache_next(const void *blob, size_t bytes, size_t *at, struct heed_cache_entry *entry);
/* What an entry of so many bytes takes. */
size_t heed_cache_entry_bytes(size_t bytes);
void heed_cache_write_entry(void *blob, size_t *at, const struct heed_cache_entry *entry);

/* FNV-1a. */
uint64_t heed_cache_hash(uint64_t hash, const void *data, size_t bytes);
#define HEED_CACHE_HASH UINT64_C(0xcbf29ce484222325) /* where it begins */

#endif
