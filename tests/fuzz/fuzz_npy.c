/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the .npy reader: whatever bytes a file has, npy_parse accepts or refuses them, and what it
 * accepts has exactly the data that it claims.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -Isrc/cli -D_POSIX_C_SOURCE=200809L
 *         -DHEED_VERSION='""' tests/fuzz/fuzz_npy.c src/cli/npy.c src/cli/fault.c src/context.c src/problem.c
 *         src/dtype.c -lm -o fuzz_npy && ./fuzz_npy
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <stdlib.h>
#include <string.h>

#include "npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct npy npy;
    struct fault fault = {.status = EXIT_DONE};
    size_t start = size < NPY_MAX_HEADER ? size : NPY_MAX_HEADER;
    if (!npy_parse(data, start, size, "fuzz.npy", &npy, &fault)) {
        if (fault.status != EXIT_FAILED || strncmp(fault.text, "fuzz.npy: ", 10) != 0 || strchr(fault.text, '\n'))
            abort();
        return 0;
    }
    uint64_t count = 1;
    for (uint32_t i = 0; i < npy.rank; i++)
        count *= npy.shape[i];
    if (npy.rank > NPY_MAX_RANK || npy.count != count || npy.data_offset + count * npy.item_bytes != size)
        abort();
    char shape[24 * NPY_MAX_RANK], type[8];
    npy_shape_text(npy.shape, npy.rank, shape);
    npy_type_name(&npy, type);
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
