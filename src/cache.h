/* SPDX-License-Identifier: MIT
 * What heed puts before a driver's pipeline cache when it gives it to the app to keep, and the checks when it comes
 * back. No Vulkan here: the blob is bytes from a disk, and all that is believed of it is decided in one place. */
#ifndef HEED_CACHE_H
#define HEED_CACHE_H

#include "context.h"

/* The device and driver that a blob is for. */
struct heed_cache_identity {
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint8_t uuid[16]; /* pipelineCacheUUID */
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

/* FNV-1a. */
uint64_t heed_cache_hash(uint64_t hash, const void *data, size_t bytes);
#define HEED_CACHE_HASH UINT64_C(0xcbf29ce484222325) /* where it begins */

#endif
