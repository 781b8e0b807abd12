/* SPDX-License-Identifier: MIT
 * Writes down what is said in a recording: Whisper from end to end on heed. Sound becomes a log-mel spectrogram on the
 * host; two convolutions and the encoder, once per window of 30 s, and the decoder, once per token, are recordings of
 * heed's; the host chooses tokens, and reads off the cross-attention when each word was said. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../stereo/picture.h"
#include "bytes.h"
#include "figure.h"
#include "listen.h"
#include "options.h"
#include "shares.h"
#include "wav.h"

enum {
    MODEL_BYTES_MAX = 1 << 30, /* medium, in q8_0, is 0.8 GB */
    SHORTEST = 10,             /* frames: whisper.cpp looks at no less */
};

const char *const picture_program = "transcribe";

/* The model's file and what it says, the sound and its spectrogram. */
struct speech {
    struct bytes file;
    struct ggml_model weights;
    struct tokens tokens;
    uint32_t language;
    bool spaceless;
    struct mel mel;
    double seconds;
};

static bool print(const struct trouble *trouble)
{
    if (trouble->text[0] != '\0')
        fprintf(stderr, "transcribe: %s\n", trouble->text);
    return false;
}

/* ---------------------------------------------------------------------------------------------------- in */

/* Their words have no spaces between them. */
static bool is_spaceless(const char *language)
{
    static const char *const all[] = {"zh", "ja", "th", "lo", "my", "yue"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i], language) == 0)
            return true;
    return false;
}

static bool read_sound(const char *path, struct speech *speech, struct trouble *trouble)
{
    struct bytes bytes;
    struct wav wav;
    float *samples = NULL;
    if (!bytes_read(path, SIZE_MAX / 4, &bytes, trouble))
        return false;
    bool ok = wav_parse(bytes.data, bytes.size, path, &wav, trouble) && wav_mono(&wav, path, &samples, trouble);
    bytes_destroy(&bytes);
    size_t count = ok ? wav.frames : 0;
    ok = ok && wav_resample(&samples, &count, wav.rate, MEL_RATE, trouble) &&
         mel_create(&speech->weights, samples, count, &speech->mel, trouble);
    free(samples);
    if (ok && speech->mel.sound <= SHORTEST)
        ok = trouble_set(trouble, "%s: %zu ms of sound are less than %d", path, count * 1000 / MEL_RATE,
                         SHORTEST * 10 + 20);
    speech->seconds = (double)count / MEL_RATE;
    return ok;
}

static bool read_all(const struct options *options, struct speech *speech, struct trouble *trouble)
{
    if (!bytes_read(options->model, MODEL_BYTES_MAX, &speech->file, trouble) ||
        !ggml_parse(speech->file.data, speech->file.size, options->model, &speech->weights, trouble))
        return false;
    speech->tokens = tokens_of(&speech->weights);
    speech->language = tokens_language(&speech->tokens, options->language);
    speech->spaceless = is_spaceless(options->language);
    if (speech->language == speech->tokens.count)
        return trouble_set(trouble, "%s does not know the language \"%s\"%s", options->model, options->language,
                           tokens_multilingual(&speech->tokens) ? "" : ": it is for en alone");
    return read_sound(options->wav, speech, trouble);
}

/* ---------------------------------------------------------------------------------------------------- out */

/* Bytes of text for people: nothing that moves a terminal's cursor. */
static void print_text(struct ggml_token text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.text[i];
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
}

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
        print_text(tokens_text(&rules->tokens, listener->weights, token));
    fflush(stdout);
}

static void copy_text(const struct speech *speech, const uint32_t *sequence, uint32_t count, char text[FIGURE_LABEL])
{
    size_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct ggml_token part = tokens_text(&speech->tokens, &speech->weights, sequence[i]);
        for (uint32_t c = 0; c < part.length && length < FIGURE_LABEL - 1; c++)
            if (length > 0 || part.text[c] != ' ')
                text[length++] = part.text[c];
    }
    text[length] = '\0';
}

static void label_row(const struct speech *speech, uint32_t token, char text[FIGURE_LABEL])
{
    if (token >= speech->tokens.times)
        snprintf(text, FIGURE_LABEL, "<%.2f>", (token - speech->tokens.times) * 0.02);
    else if (token == speech->tokens.end)
        snprintf(text, FIGURE_LABEL, "<end>");
    else
        copy_text(speech, &token, 1, text);
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
        print_text((struct ggml_token){figure->words[w].text, (uint32_t)strlen(figure->words[w].text)});
        putchar('\n');
    }
}

/* out/transcribe.png, out/transcribe-2.png, ... */
static bool write_picture(const struct picture *picture, const char *out, uint32_t number, struct trouble *trouble)
{
    char path[4096];
    const char *dot = strrchr(out, '.'), *slash = strrchr(out, '/');
    int stem = (int)(dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - out) : strlen(out));
    int length = number == 1 ? snprintf(path, sizeof path, "%s", out)
                             : snprintf(path, sizeof path, "%.*s-%u%s", stem, out, number, out + stem);
    if (length >= (int)sizeof path)
        return trouble_set(trouble, "%s is too long a name", out);
    if (!picture_write(path, picture))
        return false;
    printf("\npicture in %s: the spectrogram; under it where the decoder looked, token by token\n", path);
    return true;
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
            copy_text(speech, rules->sequence + words[w].first, words[w].count, said[w].text);
            said[w].from = path[words[w].first];
            said[w].to = path[words[w].first + words[w].count];
        }
        for (uint32_t r = 0; r < rows.rows; r++)
            label_row(speech, rules->sequence[r], labels[r]);
        align_mean(&rows, looks);
        print_words(&figure, words, rules);
        ok = figure_draw(&figure, &picture);
        ok = ok && write_picture(&picture, options->out, listener->windows, trouble);
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
    while (progress.first + SHORTEST < speech->mel.sound) {
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

/* The folder of the picture, before the work is done for nothing. */
static bool make_folder(const char *out, struct trouble *trouble)
{
    char folder[4096];
    const char *slash = strrchr(out, '/');
    if (slash == NULL || slash == out)
        return true;
    if (snprintf(folder, sizeof folder, "%.*s", (int)(slash - out), out) >= (int)sizeof folder)
        return trouble_set(trouble, "%s is too long a name", out);
    struct stat status;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return trouble_set(trouble, "%s: %s", folder, strerror(errno));
    return (stat(folder, &status) == 0 && S_ISDIR(status.st_mode)) ||
           trouble_set(trouble, "%s is not a folder", folder);
}

int main(int count, char **words)
{
    struct options options = options_parse(count, words);
    struct speech speech = {0};
    struct listener listener = {0};
    struct trouble trouble = {""};
    struct model *model = NULL;
    bool ok = read_all(&options, &speech, &trouble) && make_folder(options.out, &trouble) &&
              model_create(&speech.weights, options.backend, options.device, &model) &&
              listener_create(&speech.weights, model, speech.language, &listener, &trouble) &&
              transcribe(&options, &speech, &listener, &trouble);
    if (!ok)
        print(&trouble);
    listener_destroy(&listener);
    model_destroy(&model);
    mel_destroy(&speech.mel);
    ggml_destroy(&speech.weights);
    bytes_destroy(&speech.file);
    return ok ? 0 : 1;
}
