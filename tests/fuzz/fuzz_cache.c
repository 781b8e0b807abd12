/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the checks of a kept pipeline cache: whatever bytes come back from the app, only those are taken
 * whose headers name this device.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -DHEED_VERSION='"0"' tests/fuzz/fuzz_cache.c
 *         src/cache.c -o fuzz_cache && ./fuzz_cache
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct heed_cache_identity identity = {0x10de, 0x2684, 4, 77, {1, 2, 3}};

static void check(const uint8_t *blob, size_t size)
{
    char why[160] = "";
    if (!heed_cache_check(&identity, blob, size, why, sizeof why)) {
        if (!why[0] || strchr(why, '\n'))
            abort();
        return;
    }
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
    if (size < HEED_CACHE_HEADER)
        return 0;
    /* Past the hash, which a fuzzer does not guess. */
    uint8_t *blob = malloc(size);
    if (!blob)
        return 0;
    memcpy(blob, data, size);
    heed_cache_seal(&identity, blob, size);
    check(blob, size);
    free(blob);
    return 0;
}

#ifdef HEED_FUZZ_MAIN
int main(int argc, char **argv)
{
    static uint8_t data[1 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file)
            return 1;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    return 0;
}
#endif
