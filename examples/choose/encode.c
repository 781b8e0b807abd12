/* SPDX-License-Identifier: MIT
 * Text as tokens: the byte-level byte-pair encoding of GPT-2. */
#include "encode.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "../transcribe/tokens.h"

/* openai/gpt-2, encoder.py */
static const char pieces[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct entry {
    struct ggml_token text;
    uint32_t id;
};

struct encoder {
    struct entry *entries; /* by text, then by id */
    uint32_t count;
    pcre2_code *pattern;
};

static int compare_text(const struct ggml_token *a, const struct ggml_token *b)
{
    uint32_t length = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = compare_text(&a->text, &b->text);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

bool encoder_create(const struct ggml_model *model, struct encoder **out, struct trouble *trouble)
{
    struct encoder *encoder = *out = calloc(1, sizeof *encoder);
    struct tokens tokens = tokens_of(model);
    int error = 0;
    size_t at = 0;
    if (encoder != NULL) {
        encoder->entries = malloc((model->token_count > 0 ? model->token_count : 1) * sizeof *encoder->entries);
        encoder->pattern =
            pcre2_compile((PCRE2_SPTR)pieces, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    }
    if (encoder == NULL || encoder->entries == NULL || encoder->pattern == NULL) {
        encoder_destroy(out);
        return trouble_set(trouble, "no memory to sort %u tokens", model->token_count);
    }
    for (uint32_t i = 0; i < model->token_count && i < tokens.end; i++)
        if (model->tokens[i].length > 0)
            encoder->entries[encoder->count++] = (struct entry){model->tokens[i], i};
    qsort(encoder->entries, encoder->count, sizeof *encoder->entries, compare_entries);
    return true;
}

void encoder_destroy(struct encoder **out)
{
    struct encoder *encoder = *out;
    if (encoder == NULL)
        return;
    free(encoder->entries);
    pcre2_code_free(encoder->pattern);
    free(encoder);
    *out = NULL;
}

/* The smallest id of a token of this text; UINT32_MAX: there is none. */
static uint32_t find(const struct encoder *encoder, const char *text, uint32_t length)
{
    const struct ggml_token wanted = {text, length};
    uint32_t first = 0, end = encoder->count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (compare_text(&encoder->entries[middle].text, &wanted) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first < encoder->count && compare_text(&encoder->entries[first].text, &wanted) == 0
               ? encoder->entries[first].id
               : UINT32_MAX;
}

/* A piece while it is merged: part i is the bytes from start[i] to start[i + 1], and with the part after it the token
 * pair[i]. */
struct parts {
    uint32_t start[ENCODE_BYTES_MAX + 1], pair[ENCODE_BYTES_MAX];
    uint32_t count;
};

static void look_up(const struct encoder *encoder, const char *piece, struct parts *parts, uint32_t i)
{
    parts->pair[i] = i + 1 < parts->count
                         ? find(encoder, piece + parts->start[i], parts->start[i + 2] - parts->start[i])
                         : UINT32_MAX;
}

static bool encode_piece(const struct encoder *encoder, const char *piece, uint32_t length, struct parts *parts,
                         uint32_t *tokens, uint32_t *count, struct trouble *trouble)
{
    parts->count = length;
    for (uint32_t i = 0; i <= length; i++)
        parts->start[i] = i;
    for (uint32_t i = 0; i < length; i++)
        look_up(encoder, piece, parts, i);
    for (;;) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < parts->count; i++)
            least = parts->pair[i] < parts->pair[least] ? i : least;
        if (parts->pair[least] == UINT32_MAX)
            break;
        uint32_t after = parts->count - least - 1;
        memmove(parts->start + least + 1, parts->start + least + 2, after * sizeof *parts->start);
        memmove(parts->pair + least + 1, parts->pair + least + 2, (after - 1) * sizeof *parts->pair);
        parts->count--;
        look_up(encoder, piece, parts, least);
        if (least > 0)
            look_up(encoder, piece, parts, least - 1);
    }
    for (uint32_t i = 0; i < parts->count; i++, ++*count) {
        const char *part = piece + parts->start[i];
        tokens[*count] = find(encoder, part, parts->start[i + 1] - parts->start[i]);
        if (tokens[*count] == UINT32_MAX)
            return trouble_set(trouble, "the model's vocabulary has no token of the byte 0x%02x", (unsigned char)*part);
    }
    return true;
}

bool encoder_encode(const struct encoder *encoder, const char *text, uint32_t *tokens, uint32_t *count,
                    struct trouble *trouble)
{
    size_t length = strlen(text);
    *count = 0;
    if (length > ENCODE_BYTES_MAX)
        return trouble_set(trouble, "%zu bytes are more than %d", length, ENCODE_BYTES_MAX);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    struct parts *parts = malloc(sizeof *parts);
    bool ok = match != NULL && parts != NULL;
    if (!ok)
        trouble_set(trouble, "no memory to encode %zu bytes", length);
    for (size_t at = 0; ok && at < length;) {
        /* Each character is in one of the alternatives, so that each match begins where the last one ended. */
        int found = pcre2_match(encoder->pattern, (PCRE2_SPTR)text, length, at, PCRE2_ANCHORED, match, NULL);
        if (found < 0) {
            size_t wrong = pcre2_get_startchar(match);
            ok = trouble_set(trouble, "the byte 0x%02x after %zu others is not UTF-8", (unsigned char)text[wrong],
                             wrong);
            break;
        }
        size_t end = pcre2_get_ovector_pointer(match)[1];
        ok = encode_piece(encoder, text + at, (uint32_t)(end - at), parts, tokens, count, trouble);
        at = end;
    }
    free(parts);
    pcre2_match_data_free(match);
    return ok;
}
