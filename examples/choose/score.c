/* SPDX-License-Identifier: MIT
 * How well a text fits a sound. */
#include "score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../transcribe/rules.h"

enum { PROMPT_MAX = 4 };

/* What the decoder is given before the text: start of transcript, language and task, no times. */
static uint32_t make_prompt(const struct speech *speech, uint32_t prompt[PROMPT_MAX])
{
    const struct tokens *tokens = &speech->tokens;
    uint32_t count = 0;
    prompt[count++] = tokens->start;
    if (tokens_multilingual(tokens)) {
        prompt[count++] = speech->language;
        prompt[count++] = tokens->transcribe;
    }
    prompt[count++] = tokens->no_times;
    return count;
}

/* ---- texts */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The text between spaces around it, with one space before it where words have spaces; which the caller frees. */
static char *spaced(const char *text, bool spaceless)
{
    while (is_space(*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && is_space(text[length - 1]))
        length--;
    char *copy = malloc(length + 2);
    if (copy != NULL)
        snprintf(copy, length + 2, "%s%.*s", spaceless ? "" : " ", (int)length, text);
    return copy;
}

/* "candidate 2: WHY" */
static bool refuse(struct trouble *trouble, uint32_t number, const char *why)
{
    char text[sizeof trouble->text];
    snprintf(text, sizeof text, "%s", why);
    return trouble_set(trouble, "candidate %u: %s", number, text);
}

static bool encode(const struct speech *speech, const struct encoder *encoder, struct candidate *candidate,
                   uint32_t number, struct trouble *trouble)
{
    uint32_t prompt[PROMPT_MAX], room = speech->weights.text_context - make_prompt(speech, prompt);
    if (strlen(candidate->text) > ENCODE_BYTES_MAX - 1)
        return trouble_set(trouble, "candidate %u: %zu bytes are more than %d", number, strlen(candidate->text),
                           ENCODE_BYTES_MAX - 1);
    char *text = spaced(candidate->text, speech->spaceless);
    candidate->tokens = malloc((ENCODE_BYTES_MAX + 1) * sizeof *candidate->tokens);
    if (text == NULL || candidate->tokens == NULL) {
        free(text);
        return refuse(trouble, number, "no memory for its tokens");
    }
    bool empty = text[0] == '\0' || strcmp(text, " ") == 0;
    bool ok = !empty && encoder_encode(encoder, text, candidate->tokens, &candidate->count, trouble);
    free(text);
    if (!ok)
        return refuse(trouble, number, empty ? "there is no text in it" : trouble->text);
    candidate->tokens[candidate->count++] = speech->tokens.end;
    if (candidate->count > room)
        return trouble_set(trouble,
                           "candidate %u: %u tokens with the end are more than the decoder's %u leave after its prompt,"
                           " %u",
                           number, candidate->count, speech->weights.text_context, room);
    return true;
}

static bool are_the_same(const struct candidate *a, const struct candidate *b)
{
    return a->count == b->count && memcmp(a->tokens, b->tokens, a->count * sizeof *a->tokens) == 0;
}

static bool make_room(const struct speech *speech, struct candidate *candidate, uint32_t number,
                      struct trouble *trouble)
{
    size_t length = speech->weights.audio_context, look = align_heads(&speech->weights, NULL) * length;
    candidate->log_probability = malloc(candidate->count * sizeof *candidate->log_probability);
    candidate->looks = malloc(candidate->count * look * sizeof *candidate->looks);
    candidate->mean = malloc(candidate->count * length * sizeof *candidate->mean);
    candidate->path = malloc((candidate->count + 1) * sizeof *candidate->path);
    return (candidate->log_probability != NULL && candidate->looks != NULL && candidate->mean != NULL &&
            candidate->path != NULL) ||
           refuse(trouble, number, "no memory for its scores");
}

bool candidates_create(const struct speech *speech, const char **texts, uint32_t count, struct candidate *candidates,
                       struct trouble *trouble)
{
    struct encoder *encoder = NULL;
    for (uint32_t i = 0; i < count; i++)
        candidates[i] = (struct candidate){.text = texts[i]};
    bool ok = encoder_create(&speech->weights, &encoder, trouble);
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = encode(speech, encoder, &candidates[i], i + 1, trouble);
        for (uint32_t j = 0; ok && j < i; j++)
            if (are_the_same(&candidates[i], &candidates[j]))
                ok = trouble_set(trouble, "candidates %u and %u are the same text: there is nothing to choose", j + 1,
                                 i + 1);
        ok = ok && make_room(speech, &candidates[i], i + 1, trouble);
    }
    encoder_destroy(&encoder);
    return ok;
}

void candidates_destroy(struct candidate *candidates, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(candidates[i].tokens);
        free(candidates[i].log_probability);
        free(candidates[i].looks);
        free(candidates[i].mean);
        free(candidates[i].path);
        candidates[i] = (struct candidate){0};
    }
}

/* ---- scores */

/* The decoder's answers; the first are those to the prompt, which all candidates share. */
struct decoder {
    struct model *model;
    const struct ggml_model *weights;
    struct align_head *heads;
    uint32_t head_count;
    float *logits, *attention; /* [vocabulary], [layers][heads][audio context] */
};

static bool decode(const struct decoder *decoder, uint32_t token, uint32_t position)
{
    return model_decode(decoder->model, token, position, decoder->logits, decoder->attention);
}

static void keep_look(const struct decoder *decoder, float *look)
{
    size_t length = decoder->weights->audio_context;
    for (uint32_t i = 0; i < decoder->head_count; i++) {
        size_t head = decoder->heads[i].layer * (size_t)decoder->weights->text_heads + decoder->heads[i].head;
        memcpy(look + i * length, decoder->attention + head * length, length * sizeof *look);
    }
}

/* `prompt` is the last token of the prompt, at `position`: fed again, because another candidate was there last. */
static bool force(const struct decoder *decoder, uint32_t prompt, uint32_t position, struct candidate *candidate,
                  struct trouble *trouble)
{
    size_t look = decoder->head_count * (size_t)decoder->weights->audio_context;
    candidate->total = 0;
    for (uint32_t i = 0; i < candidate->count; i++) {
        uint32_t token = candidate->tokens[i];
        if (!decode(decoder, i > 0 ? candidate->tokens[i - 1] : prompt, position + i))
            return false;
        candidate->log_probability[i] =
            decoder->logits[token] - rules_log_sum(decoder->logits, 0, decoder->weights->vocabulary);
        if (!isfinite(candidate->log_probability[i]))
            return trouble_set(trouble, "token %u of \"%s\" has no finite logit: the model's weights make no numbers",
                               i + 1, candidate->text);
        candidate->total += candidate->log_probability[i];
        keep_look(decoder, candidate->looks + i * look);
    }
    return true;
}

struct align_rows candidate_rows(const struct speech *speech, const struct candidate *candidate)
{
    uint32_t length = speech->weights.audio_context, frames = (speech->mel.sound + 1) / 2;
    return (struct align_rows){
        .weights = candidate->looks,
        .rows = candidate->count,
        .heads = align_heads(&speech->weights, NULL),
        .stride = length,
        .frames = frames < length ? frames : length,
    };
}

static bool align(const struct speech *speech, struct candidate *candidate, struct trouble *trouble)
{
    const struct align_rows rows = candidate_rows(speech, candidate);
    if (!align_path(&rows, candidate->path, trouble))
        return false;
    align_mean(&rows, candidate->mean);
    double sum = 0;
    for (uint32_t r = 0; r < rows.rows; r++) {
        const float *row = candidate->mean + (size_t)r * rows.frames;
        double inside = 0, all = 0;
        /* The path has a frame in each row, though it may go on to the next row in the same frame. */
        for (uint32_t f = 0; f < rows.frames; f++) {
            all += row[f];
            if (f == candidate->path[r] || (f > candidate->path[r] && f < candidate->path[r + 1]))
                inside += row[f];
        }
        sum += all > 0 ? inside / all : 0;
    }
    candidate->alignment = sum / rows.rows;
    return true;
}

static bool encode_sound(const struct speech *speech, struct model *model, struct trouble *trouble)
{
    float *window = malloc((size_t)speech->weights.mels * MEL_FRAMES * sizeof *window);
    if (window == NULL)
        return trouble_set(trouble, "no memory for a window of %d s", MEL_SECONDS);
    mel_window(&speech->mel, 0, window);
    bool ok = model_encode(model, window);
    free(window);
    return ok;
}

bool candidates_score(const struct speech *speech, struct model *model, struct candidate *candidates, uint32_t count,
                      struct trouble *trouble)
{
    const struct ggml_model *weights = &speech->weights;
    uint32_t prompt[PROMPT_MAX], prompt_count = make_prompt(speech, prompt);
    struct decoder decoder = {.model = model, .weights = weights, .head_count = align_heads(weights, NULL)};
    size_t attention = (size_t)weights->text_layers * weights->text_heads * weights->audio_context;
    trouble->text[0] = '\0';
    if (speech->seconds > MEL_SECONDS)
        return trouble_set(trouble, "%.2f s of sound are more than the %d that a candidate is scored on",
                           speech->seconds, MEL_SECONDS);
    decoder.heads = malloc(decoder.head_count * sizeof *decoder.heads);
    decoder.logits = malloc(weights->vocabulary * sizeof *decoder.logits);
    decoder.attention = malloc(attention * sizeof *decoder.attention);
    bool ok = decoder.heads != NULL && decoder.logits != NULL && decoder.attention != NULL;
    if (!ok)
        trouble_set(trouble, "no memory for the decoder's answers");
    ok = ok && encode_sound(speech, model, trouble);
    if (ok)
        align_heads(weights, decoder.heads);
    for (uint32_t i = 0; ok && i + 1 < prompt_count; i++)
        ok = decode(&decoder, prompt[i], i);
    for (uint32_t i = 0; ok && i < count; i++)
        ok = force(&decoder, prompt[prompt_count - 1], prompt_count - 1, &candidates[i], trouble) &&
             align(speech, &candidates[i], trouble);
    free(decoder.heads);
    free(decoder.logits);
    free(decoder.attention);
    return ok;
}

uint32_t candidates_likeliest(const struct candidate *candidates, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        best = candidates[i].total > candidates[best].total ? i : best;
    return best;
}

uint32_t candidates_best_aligned(const struct candidate *candidates, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        best = candidates[i].alignment > candidates[best].alignment ? i : best;
    return best;
}
