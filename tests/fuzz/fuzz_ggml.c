/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the model reader of the demo transcribe: whatever bytes a file has, they are refused with one
 * line or make a model whose tensors lie in them, each as large as its shape.
 *
 *     E=examples/transcribe; clang -g -O1 -fsanitize=fuzzer,address,undefined -I$E -D_POSIX_C_SOURCE=200809L
 *         tests/fuzz/fuzz_ggml.c $E/ggml.c $E/bytes.c $E/trouble.c -lm -o fuzz_ggml && ./fuzz_ggml
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ggml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS = 50257, BINS = 201, MELS = 80, HEAD = 4 + 11 * 4, START = HEAD + 8 + 4 * MELS * BINS + 4 + 4 * TOKENS };

static void check(const uint8_t *data, size_t size)
{
    struct ggml_model model;
    struct trouble trouble = {""};
    if (!ggml_parse(data, size, "fuzz.bin", &model, &trouble)) {
        if (strncmp(trouble.text, "fuzz.bin: ", 10) != 0 || strchr(trouble.text, '\n') || model.tensors || model.tokens)
            abort();
        return;
    }
    for (uint32_t i = 0; i < model.tensor_count; i++) {
        const struct ggml_tensor *t = &model.tensors[i];
        uint64_t count = (uint64_t)t->shape[0] * t->shape[1] * t->shape[2];
        uint64_t bytes = t->type == GGML_F32 ? 4 * count : t->type == GGML_F16 ? 2 * count : count / 32 * 34;
        if (t->bytes != bytes || t->data < data || bytes > size - (size_t)(t->data - data))
            abort();
    }
    for (uint32_t i = 0; i < model.token_count; i++)
        if (model.tokens[i].length > size)
            abort();
    ggml_destroy(&model);
}

static void put(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t head[] = {0x67676d6c, 51865, 1500, 32, 1, 1, 64, 32, 1, 1, MELS, 1};
    check(data, size);
    /* Past the filters and the vocabulary, 0.3 MB that a fuzzer does not write: the input is the tensors. */
    uint8_t *file = calloc(1, START + size);
    if (!file)
        return 0;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        put(file + 4 * i, head[i]);
    put(file + HEAD, MELS);
    put(file + HEAD + 4, BINS);
    put(file + HEAD + 8 + 4 * MELS * BINS, TOKENS);
    if (size > 0)
        memcpy(file + START, data, size);
    check(file, START + size);
    free(file);
    return 0;
}

#include "replay.h"
