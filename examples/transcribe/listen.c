/* SPDX-License-Identifier: MIT
 * Transcribes window by window: the model's numbers, the decoding rules, and where the decoder looked. */
#include "listen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* whisper.cpp: what comes before confuses the model where less sound than this is left, in frames. */
enum { SHORT_REST = 500 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool listener_create(const struct ggml_model *weights, struct model *model, uint32_t language,
                     struct listener *listener, struct trouble *trouble)
{
    *listener = (struct listener){.weights = weights, .model = model, .language = language};
    listener->rules = rules_of(weights);
    listener->head_count = align_heads(weights, NULL);
    size_t look = (size_t)listener->head_count * weights->audio_context, limit = listener->rules.limit;
    listener->heads = malloc(listener->head_count * sizeof *listener->heads);
    listener->window = malloc((size_t)weights->mels * MEL_FRAMES * sizeof(float));
    listener->logits = malloc(weights->vocabulary * sizeof(float));
    listener->attention =
        malloc((size_t)weights->text_layers * weights->text_heads * weights->audio_context * sizeof(float));
    listener->looks = malloc(limit * look * sizeof(float));
    listener->before = malloc(2 * weights->text_context * sizeof *listener->before);
    if (listener->heads == NULL || listener->window == NULL || listener->logits == NULL ||
        listener->attention == NULL || listener->looks == NULL || listener->before == NULL) {
        listener_destroy(listener);
        return trouble_set(trouble, "no memory for %zu steps of the decoder", limit);
    }
    align_heads(weights, listener->heads);
    return true;
}

void listener_destroy(struct listener *listener)
{
    free(listener->heads);
    free(listener->window);
    free(listener->logits);
    free(listener->attention);
    free(listener->looks);
    free(listener->before);
    *listener = (struct listener){0};
}

static bool decode(struct listener *listener, uint32_t token, uint32_t position)
{
    double start = now();
    bool ok = model_decode(listener->model, token, position, listener->logits, listener->attention);
    listener->decode_seconds += now() - start;
    listener->steps++;
    return ok;
}

/* Keeps where the step that made the newest token looked. */
static void keep_look(struct listener *listener)
{
    size_t length = listener->weights->audio_context;
    float *look = listener->looks + (listener->rules.count - 1) * listener->head_count * length;
    for (uint32_t i = 0; i < listener->head_count; i++) {
        size_t head = listener->heads[i].layer * (size_t)listener->weights->text_heads + listener->heads[i].head;
        memcpy(look + i * length, listener->attention + head * length, length * sizeof *look);
    }
}

/* The text of this window goes before the next; no more of it is kept than is ever given. */
static void remember(struct listener *listener)
{
    uint32_t most = listener->weights->text_context, added = listener->rules.count;
    uint32_t kept = listener->before_count < most ? listener->before_count : most;
    memmove(listener->before, listener->before + listener->before_count - kept, kept * sizeof *listener->before);
    memcpy(listener->before + kept, listener->rules.sequence, added * sizeof *listener->before);
    listener->before_count = kept + added;
}

static uint32_t left_of(const struct mel *mel, uint32_t first)
{
    return first < mel->sound ? mel->sound - first : 0;
}

bool listen(struct listener *listener, const struct mel *mel, uint32_t first,
            void (*heard)(void *user, const struct listener *listener), void *user, struct trouble *trouble)
{
    struct rules *rules = &listener->rules;
    uint32_t prompt[RULES_TOKENS_MAX], left = left_of(mel, first), position = 0;
    trouble->text[0] = '\0';
    mel_window(mel, first, listener->window);
    double start = now();
    if (!model_encode(listener->model, listener->window))
        return false;
    listener->encode_seconds += now() - start;
    listener->windows++;

    if (first > 0 && left <= SHORT_REST)
        listener->before_count = 0;
    uint32_t count = rules_begin(rules, listener->before, listener->before_count, listener->language, prompt);
    for (; position < count; position++) {
        if (!decode(listener, prompt[position], position))
            return false;
        if (prompt[position] == rules->tokens.start)
            rules_hear(rules, listener->logits);
    }
    for (;;) {
        if (!rules_choose(rules, listener->logits, trouble))
            return false;
        keep_look(listener);
        heard(user, listener);
        if (!rules_go_on(rules, left))
            break;
        if (!decode(listener, rules->sequence[rules->count - 1], position++))
            return false;
    }
    rules_end(rules, left);
    if (!rules_silent(rules))
        remember(listener);
    return true;
}

struct align_rows listener_rows(const struct listener *listener, const struct mel *mel, uint32_t first)
{
    uint32_t length = listener->weights->audio_context, frames = (left_of(mel, first) + 1) / 2;
    return (struct align_rows){
        .weights = listener->looks,
        .rows = listener->rules.count,
        .heads = listener->head_count,
        .stride = length,
        .frames = frames < length ? frames : length,
    };
}
