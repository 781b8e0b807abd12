/* SPDX-License-Identifier: MIT
 * Writes down what is said in a recording: Whisper from end to end on heed. Sound becomes a log-mel spectrogram on the
 * host; two convolutions and the encoder, once per window of 30 s, and the decoder, once per token, are recordings of
 * heed's; the host chooses tokens, and reads off the cross-attention when each word was said. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figure.h"
#include "listen.h"
#include "options.h"
#include "output.h"
#include "shares.h"
#include "speech.h"

const char *const picture_program = "transcribe";

static const char help[] =
    "usage: transcribe FILE.wav --model MODEL.bin [options]\n"
    "Writes down what is said in a recording, and when each word was said: Whisper, by attention.\n"
    "\n"
    "  --model M      weights in whisper.cpp's ggml format: f32, f16 or q8_0\n"
    "  --language L   that is spoken, as its code: en (the default), de, fr, ...\n"
    "  --out FILE     the picture; default: out/transcribe.png; further windows of 30 s get -2, -3, ...\n"
    "  --device D     index, UUID or part of a name (see heed devices); default: the best\n"
    "  --backend B    vulkan, opencl or reference (plain C, slow); default: whichever is there\n";

static bool print(const struct trouble *trouble)
{
    if (trouble->text[0] != '\0')
        fprintf(stderr, "transcribe: %s\n", trouble->text);
    return false;
}

/* ---------------------------------------------------------------------------------------------------- out */

struct progress {
    uint32_t first; /* frame of the window */
};

/* A sentence a line, as its words come: when it began, the words, when it ended. */
static void heard(void *user, const struct listener *listener)
{
    const struct progress *progress = user;
    const struct rules *rules = &listener->rules;
    uint32_t token = rules->sequence[rules->count - 1], times = rules->tokens.times;
    double seconds = progress->first * 0.01 + (token - times) * 0.02;
    bool begins = rules->count == 1 || rules->sequence[rules->count - 2] >= times;
    if (token >= times)
        printf(begins ? "[%7.2f ]" : " [%7.2f ]\n", seconds);
    else
        output_text(tokens_text(&rules->tokens, listener->weights, token));
    fflush(stdout);
}

static void label_row(const struct speech *speech, uint32_t token, char text[FIGURE_LABEL])
{
    if (token >= speech->tokens.times)
        snprintf(text, FIGURE_LABEL, "<%.2f>", (token - speech->tokens.times) * 0.02);
    else if (token == speech->tokens.end)
        snprintf(text, FIGURE_LABEL, "<end>");
    else
        speech_text(speech, &token, 1, text, FIGURE_LABEL);
}

static void print_words(const struct figure *figure, const struct align_word *words, const struct rules *rules)
{
    double start = figure->first * 0.01;
    printf("\n%9s%9s%8s  word\n", "from", "to", "sure");
    for (uint32_t w = 0; w < figure->word_count; w++) {
        double sure = 0;
        for (uint32_t i = 0; i < words[w].count; i++)
            sure += rules->log_probability[words[w].first + i];
        printf("%8.2fs%8.2fs%7.0f%%  ", start + figure->words[w].from * 0.02, start + figure->words[w].to * 0.02,
               100 * exp(sure / words[w].count));
        output_text((struct ggml_token){figure->words[w].text, (uint32_t)strlen(figure->words[w].text)});
        putchar('\n');
    }
}

/* What the window said, word by word, and its picture. */
static bool show_window(const struct options *options, const struct speech *speech, const struct listener *listener,
                        uint32_t first, struct trouble *trouble)
{
    const struct rules *rules = &listener->rules;
    struct align_rows rows = listener_rows(listener, &speech->mel, first);
    struct align_word *words = malloc(rows.rows * sizeof *words);
    struct figure_word *said = malloc(rows.rows * sizeof *said);
    char(*labels)[FIGURE_LABEL] = malloc(rows.rows * sizeof *labels);
    uint32_t *path = malloc((rows.rows + 1) * sizeof *path);
    float *looks = malloc((size_t)rows.rows * rows.frames * sizeof *looks);
    bool ok = words != NULL && said != NULL && labels != NULL && path != NULL && looks != NULL;
    if (!ok)
        trouble_set(trouble, "no memory for the words of a window");
    ok = ok && align_path(&rows, path, trouble);
    if (ok) {
        struct figure figure = {&speech->mel, first, rows.frames, rows.rows, looks, path, labels, said, 0};
        struct picture picture;
        figure.word_count =
            align_words(&rules->tokens, &speech->weights, rules->sequence, rules->count, speech->spaceless, words);
        for (uint32_t w = 0; w < figure.word_count; w++) {
            speech_text(speech, rules->sequence + words[w].first, words[w].count, said[w].text, FIGURE_LABEL);
            said[w].from = path[words[w].first];
            said[w].to = path[words[w].first + words[w].count];
        }
        for (uint32_t r = 0; r < rows.rows; r++)
            label_row(speech, rules->sequence[r], labels[r]);
        align_mean(&rows, looks);
        print_words(&figure, words, rules);
        ok = figure_draw(&figure, &picture);
        ok = ok && output_picture(&picture, options->out, listener->windows,
                                  "the spectrogram; under it where the decoder looked, token by token", trouble);
        picture_destroy(&picture);
    }
    free(words);
    free(said);
    free(labels);
    free(path);
    free(looks);
    return ok;
}

/* ---------------------------------------------------------------------------------------------------- all together */

static bool transcribe(const struct options *options, const struct speech *speech, struct listener *listener,
                       struct trouble *trouble)
{
    struct progress progress = {0};
    while (progress.first + SPEECH_SHORTEST < speech->mel.sound) {
        if (!listen(listener, &speech->mel, progress.first, heard, &progress, trouble))
            return false;
        const struct rules *rules = &listener->rules;
        if (rules->count == 0 || rules->sequence[rules->count - 1] < rules->tokens.times)
            puts(" ...");
        if (rules_silent(rules))
            printf("nobody speaks from %.2f s on\n", progress.first * 0.01);
        else if (rules->count > 0 && !show_window(options, speech, listener, progress.first, trouble))
            return false;
        progress.first += rules->shift > 0 ? rules->shift : MEL_FRAMES;
    }
    double total = listener->encode_seconds + listener->decode_seconds;
    printf("\n%.2f s of sound in %.2f s (%.2f times real time): encoder %.2f s, decoder %.2f s, %.1f tokens/s\n",
           speech->seconds, total, total / speech->seconds, listener->encode_seconds, listener->decode_seconds,
           listener->steps / listener->decode_seconds);
    fflush(stdout);
    return shares_print(listener->model, listener->windows, listener->steps);
}

int main(int count, char **words)
{
    struct options options = options_parse(count, words, help, "out/transcribe.png");
    if (options.word_count == 0)
        options_refuse("a recording", "is missing: FILE.wav");
    if (options.word_count > 1)
        options_refuse(options.words[1], "is one recording too many");
    if (options.model == NULL)
        options_refuse("--model", "is missing: the weights");
    struct speech speech = {0};
    struct listener listener = {0};
    struct trouble trouble = {""};
    struct model *model = NULL;
    bool ok = speech_open(options.model, options.language, &speech, &trouble) &&
              speech_hear(options.words[0], &speech, &trouble) && output_folder(options.out, &trouble) &&
              model_create(&speech.weights, options.backend, options.device, &model) &&
              listener_create(&speech.weights, model, speech.language, &listener, &trouble) &&
              transcribe(&options, &speech, &listener, &trouble);
    if (!ok)
        print(&trouble);
    listener_destroy(&listener);
    model_destroy(&model);
    speech_close(&speech);
    return ok ? 0 : 1;
}
