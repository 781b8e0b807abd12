/* SPDX-License-Identifier: MIT
 * The header of a kept blob, and the entries of OpenCL's. The hash is against damage, not against an enemy: who can
 * write the blob could as well write the app. */
#include "cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct header {
    char magic[8];
    uint32_t heed_version; /* its kernels: another version's would only fill the cache */
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint32_t api;
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

struct entry_header {
    uint64_t key[2], bytes;
};
enum { ENTRY_HEADER = sizeof(struct entry_header) };

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
    snprintf(key, HEED_CACHE_KEY, "%s-%08" PRIx32 "-%08" PRIx32 "-%08" PRIx32,
             identity->api == HEED_CACHE_OPENCL ? "opencl" : "vulkan", identity->vendor_id, identity->device_id,
             identity->driver_id);
}

void heed_cache_seal(const struct heed_cache_identity *identity, void *blob, size_t bytes)
{
    struct header header = {
        .heed_version = version,
        .vendor_id = identity->vendor_id,
        .device_id = identity->device_id,
        .driver_id = identity->driver_id,
        .driver_version = identity->driver_version,
        .api = (uint32_t)identity->api,
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

/* The driver's own header says the same, if it was the driver that wrote it. */
static bool check_driver(const struct heed_cache_identity *identity, const void *blob, size_t bytes, char *why,
                         size_t why_size)
{
    struct driver_header driver;
    memcpy(&driver, (const char *)blob + HEED_CACHE_HEADER, sizeof driver);
    if (driver.bytes < sizeof driver || driver.bytes > bytes - HEED_CACHE_HEADER)
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

static bool check_entries(const void *blob, size_t bytes, char *why, size_t why_size)
{
    struct heed_cache_entry entry;
    size_t at = HEED_CACHE_HEADER;
    while (heed_cache_next(blob, bytes, &at, &entry))
        ;
    return at == bytes || refuse(why, why_size, "the end of its last whole entry", at, bytes);
}

bool heed_cache_check(const struct heed_cache_identity *identity, const void *blob, size_t bytes, char *why,
                      size_t why_size)
{
    struct header header;
    const size_t least =
        HEED_CACHE_HEADER + (identity->api == HEED_CACHE_VULKAN ? (size_t)HEED_CACHE_DRIVER_HEADER : ENTRY_HEADER);
    if (bytes < least) {
        snprintf(why, why_size, "%zu bytes are fewer than its headers, %zu", bytes, least);
        return false;
    }
    memcpy(&header, blob, sizeof header);
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
        {"API", header.api, identity->api},
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
    return identity->api == HEED_CACHE_VULKAN ? check_driver(identity, blob, bytes, why, why_size)
                                              : check_entries(blob, bytes, why, why_size);
}

void *heed_cache_load(heed_context *context, const struct heed_cache_identity *identity, size_t *bytes)
{
    const struct heed_cache *cache = &context->cache;
    char key[HEED_CACHE_KEY], why[160];
    if (!cache->get)
        return NULL;
    heed_cache_key(identity, key);
    *bytes = cache->get(cache->user, key, NULL, 0);
    if (*bytes == 0) {
        heed_log(context, HEED_LOG_INFO, "cache: nothing is kept as \"%s\"", key);
        return NULL;
    }
    void *blob = *bytes <= HEED_CACHE_MOST ? heed_alloc(context, *bytes, 1) : NULL;
    if (!blob) {
        heed_log(context, HEED_LOG_WARN, "cache: \"%s\" is not used: %zu bytes are %s", key, *bytes,
                 *bytes > HEED_CACHE_MOST ? "more than 1 GiB" : "more than there is of host memory");
        return NULL;
    }
    const size_t copied = cache->get(cache->user, key, blob, *bytes);
    if (copied != *bytes) {
        heed_log(context, HEED_LOG_WARN, "cache: \"%s\" had %zu bytes and now has %zu: not used", key, *bytes, copied);
    } else if (!heed_cache_check(identity, blob, *bytes, why, sizeof why)) {
        heed_log(context, HEED_LOG_WARN, "cache: \"%s\" is not used: %s", key, why);
    } else {
        heed_log(context, HEED_LOG_INFO, "cache: %zu bytes of \"%s\"", *bytes, key);
        return blob;
    }
    heed_free(context, blob);
    return NULL;
}

/* ---- OpenCL's entries: key, length, and the binary up to a multiple of 8 bytes */

static size_t padded(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

size_t heed_cache_entry_bytes(size_t bytes)
{
    return ENTRY_HEADER + padded(bytes);
}

bool heed_cache_next(const void *blob, size_t bytes, size_t *at, struct heed_cache_entry *entry)
{
    struct entry_header header;
    if (bytes - *at < sizeof header)
        return false;
    memcpy(&header, (const char *)blob + *at, sizeof header);
    const size_t left = bytes - *at - sizeof header;
    if (header.bytes == 0 || header.bytes > left || padded((size_t)header.bytes) > left)
        return false;
    *entry = (struct heed_cache_entry){.key = {header.key[0], header.key[1]},
                                       .bytes = (size_t)header.bytes,
                                       .data = (const char *)blob + *at + sizeof header};
    *at += heed_cache_entry_bytes(entry->bytes);
    return true;
}

void heed_cache_write_entry(void *blob, size_t *at, const struct heed_cache_entry *entry)
{
    const struct entry_header header = {{entry->key[0], entry->key[1]}, entry->bytes};
    memcpy((char *)blob + *at, &header, sizeof header);
    memcpy((char *)blob + *at + sizeof header, entry->data, entry->bytes);
    *at += heed_cache_entry_bytes(entry->bytes);
}
