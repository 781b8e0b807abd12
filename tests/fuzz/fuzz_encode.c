/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the byte-pair encoder of the demo choose: whatever bytes a text has and whatever the vocabulary
 * holds beside the single bytes, the text is refused with one line or its tokens are the text again.
 *
 *     E=examples; clang -g -O1 -fsanitize=fuzzer,address,undefined -I$E/choose -I$E/transcribe
 *         -D_POSIX_C_SOURCE=200809L tests/fuzz/fuzz_encode.c $E/choose/encode.c $E/transcribe/tokens.c
 *         $E/transcribe/trouble.c -lpcre2-8 -o fuzz_encode && ./fuzz_encode
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES = 256, MORE = 64, VOCABULARY = 51865 };

static void check(const struct encoder *encoder, const struct ggml_token *vocabulary, const char *text)
{
    static uint32_t tokens[ENCODE_BYTES_MAX];
    uint32_t count = 0;
    struct trouble trouble = {""};
    if (!encoder_encode(encoder, text, tokens, &count, &trouble)) {
        if (trouble.text[0] == '\0' || strchr(trouble.text, '\n'))
            abort();
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct ggml_token *token = &vocabulary[tokens[i]];
        if (strncmp(text, token->text, token->length) != 0)
            abort();
        text += token->length;
    }
    if (*text != '\0')
        abort();
}

/* How many tokens, each as its length and its bytes, without 0; then the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[BYTES];
    struct ggml_token vocabulary[BYTES + MORE];
    struct trouble trouble;
    struct encoder *encoder;
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    copy[size] = '\0';
    for (int i = 0; i < BYTES; i++) {
        bytes[i] = (char)i;
        vocabulary[i] = (struct ggml_token){&bytes[i], 1};
    }
    uint32_t count = BYTES;
    size_t at = size > 0 ? 1 : 0;
    for (uint32_t wanted = at > 0 ? data[0] % MORE : 0; wanted > 0 && at < size; wanted--) {
        const size_t length = data[at++] % 9;
        if (length > size - at || memchr(data + at, 0, length) != NULL)
            break;
        vocabulary[count++] = (struct ggml_token){copy + at, (uint32_t)length};
        at += length;
    }
    const struct ggml_model model = {.vocabulary = VOCABULARY, .tokens = vocabulary, .token_count = count};
    if (encoder_create(&model, &encoder, &trouble))
        check(encoder, vocabulary, copy + at);
    encoder_destroy(&encoder);
    free(copy);
    return 0;
}

#ifdef HEED_FUZZ_MAIN
int main(int count, char **paths)
{
    for (int i = 1; i < count; i++) {
        static uint8_t data[1 << 20];
        FILE *file = fopen(paths[i], "rb");
        if (file == NULL)
            return 1;
        LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
        fclose(file);
    }
    return 0;
}
#endif
