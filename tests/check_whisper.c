/* SPDX-License-Identifier: MIT
 * Whisper with real weights, on real speech: what the encoder gives the decoder, every layer's cross-attention and the
 * logits, on the device against the same pipelines on the reference, by FlashAttention's rule: at most twice the error
 * of a plain f32 evaluation. check_whisper [MODEL.bin SPEECH.wav]        (those that examples/fetch-speech fetched) */
#include "support/naive_pipeline.h"
#include "support/test_case.h"

#include "dtype.h"
#include "reference/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "mel.h"
#include "wav.h"

#include "model.c" /* the pipelines themselves, which are no business of its callers */

const char *const picture_program = "check_whisper";

/* One way to evaluate a pipeline: every argument in its own type, outputs of earlier runs among them. */
enum way { DEVICE, ORACLE, NAIVE, WAYS };

struct values {
    const struct heed_graph *graph;
    const struct block *block;
    void **data[WAYS]; /* by way and argument */
    uint64_t *bytes;
};

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static struct values values_of(const struct block *block)
{
    struct values v = {.graph = &block->plan->pipeline->graph, .block = block};
    v.bytes = must(calloc(v.graph->arg_count, sizeof *v.bytes));
    for (int way = 0; way < WAYS; way++)
        v.data[way] = must(calloc(v.graph->arg_count, sizeof *v.data[way]));
    for (uint32_t i = 0; i < v.graph->storage_count; i++) {
        const struct heed_storage *s = &v.graph->storages[i];
        if (s->arg == UINT32_MAX)
            continue;
        v.bytes[s->arg] = s->bytes;
        for (int way = 0; way < WAYS; way++)
            v.data[way][s->arg] = must(calloc(1, s->bytes + 4));
        if (heed_buffer_read(find_buffer(block, s->name), 0, v.data[ORACLE][s->arg], s->bytes) != HEED_OK)
            abort();
        memcpy(v.data[NAIVE][s->arg], v.data[ORACLE][s->arg], s->bytes);
    }
    return v;
}

static uint32_t arg_of(const struct values *v, const char *name)
{
    for (uint32_t i = 0; i < v->graph->storage_count; i++)
        if (v->graph->storages[i].arg != UINT32_MAX && strcmp(v->graph->storages[i].name, name) == 0)
            return v->graph->storages[i].arg;
    abort();
}

static void set(struct values *v, const char *name, const void *data, size_t bytes)
{
    const uint32_t arg = arg_of(v, name);
    memcpy(v->data[ORACLE][arg], data, bytes);
    memcpy(v->data[NAIVE][arg], data, bytes);
    if (!write_to(v->block, name, data, bytes))
        abort();
}

static bool evaluate(struct values *v)
{
    const struct block *block = v->block;
    const char *why = NULL;
    float **results = must(calloc(v->graph->arg_count, sizeof *results));
    if (heed_run(block->plan, block->args, block->count, NULL) != HEED_OK ||
        !test_naive_pipeline(v->graph, v->data[NAIVE], results, &why) ||
        heed_reference_pipeline(v->graph, v->data[ORACLE], HEED_REFERENCE_STORED_TYPE, NULL) != HEED_OK) {
        fprintf(stderr, "check_whisper: %s\n", why ? why : "a run failed");
        return false;
    }
    for (uint32_t i = 0; i < v->graph->storage_count; i++) {
        const struct heed_storage *s = &v->graph->storages[i];
        if (s->arg == UINT32_MAX || !s->output)
            continue;
        memcpy(v->data[NAIVE][s->arg], results[s->arg], s->bytes);
        free(results[s->arg]);
        if (!read_from(block, s->name, v->data[DEVICE][s->arg], s->bytes))
            abort();
    }
    free(results);
    return true;
}

/* The largest error of a tensor of f32, over all steps of the decoder. */
struct errors {
    char name[NAME];
    double worst[WAYS], square[WAYS], largest;
};

static void gather(struct errors *e, const struct values *v, const char *name)
{
    const uint32_t arg = arg_of(v, name);
    const float *way[WAYS] = {v->data[DEVICE][arg], v->data[ORACLE][arg], v->data[NAIVE][arg]};
    snprintf(e->name, sizeof e->name, "%s", name);
    for (uint64_t i = 0; i < v->bytes[arg] / 4; i++) {
        e->largest = fmax(e->largest, fabs((double)way[ORACLE][i]));
        for (int w = 0; w < WAYS; w++) {
            const double error = isfinite(way[w][i]) ? fabs((double)way[w][i] - (double)way[ORACLE][i]) : INFINITY;
            e->worst[w] = fmax(e->worst[w], error);
            e->square[w] += error * error;
        }
    }
}

static bool is_right(const struct errors *e)
{
    const bool ok = e->worst[DEVICE] <= 2 * e->worst[NAIVE] + 4 * test_half_ulp(HEED_F32, e->largest);
    printf("%s%-9s largest %.3g, error %.3g, plainly %.3g: ratio %.2f, %.2f by mean squares\n", ok ? "" : "FAILED  ",
           e->name, e->largest, e->worst[DEVICE], e->worst[NAIVE], e->worst[DEVICE] / e->worst[NAIVE],
           sqrt(e->square[DEVICE] / e->square[NAIVE]));
    fflush(stdout);
    return ok;
}

static void hand_over(const struct values *encoder, struct values *decoder, const struct model *model)
{
    char name[NAME];
    for (uint32_t i = 0; i < 2 * model->layers; i++) {
        snprintf(name, sizeof name, "sound %u %c", i / 2, "kv"[i % 2]);
        const uint32_t from = arg_of(encoder, name), to = arg_of(decoder, name);
        for (int way = 0; way < WAYS; way++)
            memcpy(decoder->data[way][to], encoder->data[way][from], encoder->bytes[from]);
    }
}

static void values_free(struct values *v)
{
    for (int way = 0; way < WAYS; way++) {
        for (uint32_t i = 0; i < v->graph->arg_count; i++)
            free(v->data[way][i]);
        free(v->data[way]);
    }
    free(v->bytes);
}

/* Start of transcript, English, transcribe, no timestamps, and the words " And Mr". */
static const int32_t tokens[] = {50258, 50259, 50359, 50363, 400, 2221};

static bool check_encoder(const struct values *encoder, const struct model *model)
{
    bool ok = true;
    char name[NAME];
    for (uint32_t i = 0; i < 2 * model->layers; i++) {
        struct errors errors = {{0}};
        snprintf(name, sizeof name, "sound %u %c", i / 2, "kv"[i % 2]);
        gather(&errors, encoder, name);
        ok = is_right(&errors) && ok;
    }
    return ok;
}

static bool check_decoder(struct values *decoder, const struct model *model)
{
    struct errors *looks = must(calloc(model->layers, sizeof *looks)), logits = {{0}};
    bool ok = true;
    for (int32_t at = 0; ok && at < (int32_t)(sizeof tokens / sizeof *tokens); at++) {
        const int32_t length = at + 1;
        set(decoder, "token", &tokens[at], sizeof at);
        set(decoder, "at", &at, sizeof at);
        set(decoder, "length", &length, sizeof length);
        ok = evaluate(decoder);
        for (uint32_t i = 0; ok && i < model->layers; i++) {
            char name[NAME];
            snprintf(name, sizeof name, "look %u", i);
            gather(&looks[i], decoder, name);
        }
        if (ok)
            gather(&logits, decoder, "logits");
    }
    for (uint32_t i = 0; i < model->layers; i++)
        ok = is_right(&looks[i]) && ok;
    free(looks);
    return is_right(&logits) && ok;
}

static bool check(struct model *model, const float *window)
{
    struct values encoder = values_of(&model->encoder), decoder = values_of(&model->decoder);
    set(&encoder, "mel", window, (size_t)model->mels * MEL_FRAMES * sizeof *window);
    bool ok = evaluate(&encoder);
    if (ok) {
        hand_over(&encoder, &decoder, model);
        ok = check_encoder(&encoder, model);
        ok = check_decoder(&decoder, model) && ok;
    }
    values_free(&encoder);
    values_free(&decoder);
    return ok;
}

/* The first 30 s of a recording, [mels][MEL_FRAMES]. */
static float *read_window(const struct ggml_model *weights, const char *path, struct trouble *trouble)
{
    struct bytes bytes;
    struct wav wav;
    struct mel mel = {0};
    float *samples = NULL, *window = NULL;
    if (!bytes_read(path, SIZE_MAX / 4, &bytes, trouble))
        return NULL;
    bool ok = wav_parse(bytes.data, bytes.size, path, &wav, trouble) && wav_mono(&wav, path, &samples, trouble);
    bytes_destroy(&bytes);
    if (ok && wav.rate != MEL_RATE)
        ok = trouble_set(trouble, "%s: %u Hz are not %d", path, (unsigned)wav.rate, MEL_RATE);
    if (ok && mel_create(weights, samples, wav.frames, &mel, trouble)) {
        window = must(malloc((size_t)weights->mels * MEL_FRAMES * sizeof *window));
        mel_window(&mel, 0, window);
        mel_destroy(&mel);
    }
    free(samples);
    return window;
}

/* Where examples/fetch-speech puts a file. */
static void fetched(const char *name, char path[4096])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool given = cache && *cache;
    snprintf(path, 4096, "%s%s/heed/speech/%s", given ? cache : home ? home : "", given ? "" : "/.cache", name);
}

int main(int count, char **words)
{
    struct trouble trouble = {""};
    struct bytes file;
    struct ggml_model weights;
    struct model *model = NULL;
    char paths[2][4096];
    fetched("ggml-tiny-q8_0.bin", paths[0]);
    fetched("sense_and_sensibility_01_austen_64kb-0870.wav", paths[1]);
    if (count != 1 && count != 3) {
        fprintf(stderr, "usage: check_whisper [MODEL.bin SPEECH.wav]\n");
        return 2;
    }
    const char *const model_path = count == 3 ? words[1] : paths[0], *sound = count == 3 ? words[2] : paths[1];
    if (!bytes_read(model_path, SIZE_MAX / 4, &file, &trouble)) {
        printf("skipped: %s (examples/fetch-speech)\n", trouble.text);
        return 77;
    }
    const bool parsed = ggml_parse(file.data, file.size, model_path, &weights, &trouble);
    float *window = parsed ? read_window(&weights, sound, &trouble) : NULL;
    const bool ok = window && model_create(&weights, HEED_BACKEND_VULKAN, NULL, &model) && check(model, window);
    if (trouble.text[0])
        fprintf(stderr, "check_whisper: %s\n", trouble.text);
    free(window);
    model_destroy(&model);
    if (parsed)
        ggml_destroy(&weights);
    bytes_destroy(&file);
    return ok ? 0 : 1;
}
