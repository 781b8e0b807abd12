/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the checks of a kept pipeline cache: whatever bytes come back from the app, only those are taken
 * whose headers name this device, and of OpenCL's entries none reaches behind the end.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -DHEED_VERSION='"0"' tests/fuzz/fuzz_cache.c
 *         src/cache.c src/context.c -o fuzz_cache && ./fuzz_cache
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct heed_cache_identity identity = {0x10de, 0x2684, 4, 77, {1, 2, 3}, HEED_CACHE_VULKAN};
static const struct heed_cache_identity opencl = {0x10de, 0x2684, 4, 77, {1, 2, 3}, HEED_CACHE_OPENCL};

static bool is_taken(const struct heed_cache_identity *of, const uint8_t *blob, size_t size)
{
    char why[160] = "";
    const bool taken = heed_cache_check(of, blob, size, why, sizeof why);
    if (!taken && (!why[0] || strchr(why, '\n')))
        abort();
    return taken;
}

static void check_entries(const uint8_t *blob, size_t size)
{
    struct heed_cache_entry entry;
    if (!is_taken(&opencl, blob, size))
        return;
    size_t at = HEED_CACHE_HEADER, begin = at;
    for (; heed_cache_next(blob, size, &at, &entry); begin = at) {
        const uint8_t *data = entry.data;
        if (entry.bytes == 0 || at <= begin || at > size || data < blob + begin || data + entry.bytes > blob + at)
            abort();
    }
    if (at != size)
        abort();
}

static void check(const uint8_t *blob, size_t size)
{
    if (!is_taken(&identity, blob, size))
        return;
    uint32_t words[4];
    if (size < HEED_CACHE_HEADER + HEED_CACHE_DRIVER_HEADER)
        abort();
    memcpy(words, blob + HEED_CACHE_HEADER, sizeof words);
    if (words[0] < HEED_CACHE_DRIVER_HEADER || words[0] > size - HEED_CACHE_HEADER || words[1] != 1 ||
        words[2] != identity.vendor_id || words[3] != identity.device_id ||
        memcmp(blob + HEED_CACHE_HEADER + 16, identity.uuid, 16) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    check_entries(data, size);
    if (size < HEED_CACHE_HEADER)
        return 0;
    /* Past the hash, which a fuzzer does not guess. */
    uint8_t *blob = malloc(size);
    if (!blob)
        return 0;
    memcpy(blob, data, size);
    heed_cache_seal(&identity, blob, size);
    check(blob, size);
    heed_cache_seal(&opencl, blob, size);
    check_entries(blob, size);
    free(blob);
    return 0;
}

#include "replay.h"
