/* SPDX-License-Identifier: MIT
 * The header of a kept pipeline cache. The hash is against damage, not against an enemy: who can write the blob could
 * as well write the app. */
#include "cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct header {
    char magic[8];
    uint32_t heed_version; /* its kernels: another version's would only fill the cache */
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint32_t zero;
    uint8_t uuid[16];
    uint64_t bytes; /* of what follows the header */
    uint64_t hash;  /* of the header up to here, and of what follows it */
};
_Static_assert(sizeof(struct header) == HEED_CACHE_HEADER, "no padding");

/* VkPipelineCacheHeaderVersionOne, little-endian on every device that is known. */
struct driver_header {
    uint32_t bytes, version, vendor_id, device_id;
    uint8_t uuid[16];
};
_Static_assert(sizeof(struct driver_header) == HEED_CACHE_DRIVER_HEADER, "no padding");

static const char magic[8] = "heedpipe";
static const uint32_t version = HEED_VERSION_MAJOR << 22 | HEED_VERSION_MINOR << 12 | HEED_VERSION_PATCH;

uint64_t heed_cache_hash(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t blob_hash(const void *blob, size_t bytes)
{
    uint64_t hash = heed_cache_hash(HEED_CACHE_HASH, blob, offsetof(struct header, hash));
    return heed_cache_hash(hash, (const char *)blob + HEED_CACHE_HEADER, bytes - HEED_CACHE_HEADER);
}

void heed_cache_key(const struct heed_cache_identity *identity, char key[HEED_CACHE_KEY])
{
    snprintf(key, HEED_CACHE_KEY, "vulkan-%08" PRIx32 "-%08" PRIx32 "-%08" PRIx32, identity->vendor_id,
             identity->device_id, identity->driver_id);
}

void heed_cache_seal(const struct heed_cache_identity *identity, void *blob, size_t bytes)
{
    struct header header = {
        .heed_version = version,
        .vendor_id = identity->vendor_id,
        .device_id = identity->device_id,
        .driver_id = identity->driver_id,
        .driver_version = identity->driver_version,
        .bytes = bytes - HEED_CACHE_HEADER,
    };
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.uuid, identity->uuid, sizeof header.uuid);
    memcpy(blob, &header, sizeof header);
    header.hash = blob_hash(blob, bytes);
    memcpy(blob, &header, sizeof header);
}

static bool refuse(char *why, size_t why_size, const char *what, uint64_t is, uint64_t wanted)
{
    snprintf(why, why_size, "%s 0x%" PRIx64 " is not 0x%" PRIx64, what, is, wanted);
    return false;
}

bool heed_cache_check(const struct heed_cache_identity *identity, const void *blob, size_t bytes, char *why,
                      size_t why_size)
{
    struct header header;
    struct driver_header driver;
    if (bytes < HEED_CACHE_HEADER + HEED_CACHE_DRIVER_HEADER) {
        snprintf(why, why_size, "%zu bytes are fewer than its headers, %d", bytes,
                 HEED_CACHE_HEADER + HEED_CACHE_DRIVER_HEADER);
        return false;
    }
    memcpy(&header, blob, sizeof header);
    memcpy(&driver, (const char *)blob + HEED_CACHE_HEADER, sizeof driver);
    if (memcmp(header.magic, magic, sizeof magic) != 0) {
        snprintf(why, why_size, "it does not begin with \"heedpipe\"");
        return false;
    }
    const struct {
        const char *what;
        uint64_t is, wanted;
    } numbers[] = {
        {"heed's version", header.heed_version, version},
        {"vendor", header.vendor_id, identity->vendor_id},
        {"device", header.device_id, identity->device_id},
        {"driver", header.driver_id, identity->driver_id},
        {"the driver's version", header.driver_version, identity->driver_version},
        {"length", header.bytes, bytes - HEED_CACHE_HEADER},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].is != numbers[i].wanted)
            return refuse(why, why_size, numbers[i].what, numbers[i].is, numbers[i].wanted);
    if (memcmp(header.uuid, identity->uuid, sizeof header.uuid) != 0) {
        snprintf(why, why_size, "it is of another pipelineCacheUUID");
        return false;
    }
    const uint64_t hash = blob_hash(blob, bytes);
    if (header.hash != hash)
        return refuse(why, why_size, "hash", header.hash, hash);
    /* The driver's own header says the same, if it was the driver that wrote it. */
    if (driver.bytes < sizeof driver || driver.bytes > header.bytes)
        return refuse(why, why_size, "length of the driver's header", driver.bytes, sizeof driver);
    if (driver.version != 1)
        return refuse(why, why_size, "version of the driver's header", driver.version, 1);
    if (driver.vendor_id != identity->vendor_id)
        return refuse(why, why_size, "vendor of the driver's header", driver.vendor_id, identity->vendor_id);
    if (driver.device_id != identity->device_id)
        return refuse(why, why_size, "device of the driver's header", driver.device_id, identity->device_id);
    if (memcmp(driver.uuid, identity->uuid, sizeof driver.uuid) != 0) {
        snprintf(why, why_size, "the driver's header is of another pipelineCacheUUID");
        return false;
    }
    return true;
}
