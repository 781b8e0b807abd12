/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the safetensors reader: whatever bytes a file has, it is accepted or refused with one line, and
 * what is accepted has each byte of its data in exactly one tensor.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -Isrc/cli -D_POSIX_C_SOURCE=200809L
 *         -DHEED_VERSION='""' tests/fuzz/fuzz_safetensors.c src/cli/safetensors.c src/cli/fault.c src/context.c
 *         src/problem.c src/dtype.c -ljansson -lm -o fuzz_safetensors && ./fuzz_safetensors
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fault(const struct fault *fault)
{
    if (fault->status != EXIT_FAILED || strncmp(fault->text, "fuzz: ", 6) != 0 || strchr(fault->text, '\n'))
        abort();
}

static void check_tensors(const struct safetensors *s, uint64_t data_bytes)
{
    uint64_t end = 0;
    char text[SAFETENSORS_SHAPE_TEXT];
    for (size_t i = 0; i < s->count; i++) {
        const struct safetensors_tensor *t = &s->tensors[i];
        uint64_t bits = t->type->bits;
        if (t->rank > SAFETENSORS_MAX_RANK)
            abort();
        for (uint32_t a = 0; a < t->rank; a++)
            bits *= t->shape[a];
        if (t->begin != end || bits % 8 != 0 || bits / 8 != t->bytes || bits != t->count * t->type->bits ||
            safetensors_find(s, t->name) != t)
            abort();
        safetensors_shape_text(t->shape, t->rank, text);
        end += t->bytes;
    }
    if (end != data_bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors s;
    struct fault fault = {.status = EXIT_DONE};
    size_t header = 0;
    if (!safetensors_header_bytes(data, size < 8 ? size : 8, size, "fuzz", &header, &fault)) {
        check_fault(&fault);
        return 0;
    }
    const uint64_t data_bytes = size - 8 - header;
    if (!safetensors_parse((const char *)data + 8, header, data_bytes, "fuzz", &s, &fault)) {
        check_fault(&fault);
        return 0;
    }
    check_tensors(&s, data_bytes);
    safetensors_clear(&s);
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
