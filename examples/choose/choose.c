/* SPDX-License-Identifier: MIT
 * Says which of several sentences was spoken in a recording. Whisper does not write down what it hears here: its
 * decoder is made to say each sentence in turn, and tells how likely each of its tokens was, and where in the sound it
 * looked for it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../transcribe/figure.h"
#include "../transcribe/options.h"
#include "../transcribe/output.h"
#include "score.h"

const char *const picture_program = "choose";

static const char help[] =
    "usage: choose FILE.wav... TEXT TEXT... --model MODEL.bin [options]\n"
    "Says which of the texts was spoken in each recording, and by what margin: Whisper, by attention.\n"
    "What ends in .wav is a recording, of at most 30 s; all else is a text, with spaces in quotes.\n"
    "\n"
    "  --model M      weights in whisper.cpp's ggml format: f32, f16 or q8_0\n"
    "  --language L   that is spoken, as its code: en (the default), de, fr, ...\n"
    "  --out FILE     the picture; default: out/choose.png; further recordings get -2, -3, ...\n"
    "  --device D     index, UUID or part of a name (see heed devices); default: the best\n"
    "  --backend B    vulkan, opencl or reference (plain C, slow); default: whichever is there\n";

/* ---------------------------------------------------------------------------------------------------- text */

static void print_chars(const char *text)
{
    output_text((struct ggml_token){text, (uint32_t)strlen(text)});
}

/* "I -0.12  saw -0.50 ...": the sum over the tokens of each word. */
static void print_words(const struct speech *speech, const struct candidate *candidate, const struct align_word *words,
                        uint32_t count)
{
    char text[FIGURE_LABEL];
    printf("%33s", "");
    for (uint32_t w = 0; w < count; w++) {
        double sum = 0;
        for (uint32_t i = 0; i < words[w].count; i++)
            sum += candidate->log_probability[words[w].first + i];
        speech_text(speech, candidate->tokens + words[w].first, words[w].count, text, sizeof text);
        print_chars(text);
        printf(" %.2f  ", sum);
    }
    printf("<end> %.2f\n", candidate->log_probability[candidate->count - 1]);
}

static bool print_candidate(const struct speech *speech, const struct candidate *candidate, bool spoken,
                            struct trouble *trouble)
{
    struct align_word *words = malloc(candidate->count * sizeof *words);
    if (words == NULL)
        return trouble_set(trouble, "no memory for the words of a candidate");
    uint32_t count =
        align_words(&speech->tokens, &speech->weights, candidate->tokens, candidate->count, speech->spaceless, words);
    printf("%9.2f%12.2f%9.1f%%  ", candidate->total, candidate->total / candidate->count, 100 * candidate->alignment);
    print_chars(candidate->text);
    puts(spoken ? "   <- spoken" : "");
    print_words(speech, candidate, words, count);
    free(words);
    return true;
}

/* The likeliest, by how much, and whether the alignment is of the same mind. */
static void print_choice(const struct candidate *candidates, uint32_t count)
{
    uint32_t best = candidates_likeliest(candidates, count), aligned = candidates_best_aligned(candidates, count);
    uint32_t next = best == 0 ? 1 : 0;
    for (uint32_t i = 0; i < count; i++)
        if (i != best && candidates[i].total > candidates[next].total)
            next = i;
    double margin = candidates[best].total - candidates[next].total;
    printf("\nspoken: \"");
    print_chars(candidates[best].text);
    printf("\", exp(%.2f) = %.3g times as likely as \"", margin, exp(margin));
    print_chars(candidates[next].text);
    if (aligned == best) {
        printf("\"; its alignment is the best, too\n");
    } else {
        printf("\"; the alignment is better for \"");
        print_chars(candidates[aligned].text);
        printf("\"\n");
    }
}

/* ---------------------------------------------------------------------------------------------------- pictures */

/* The candidate's looks over the spectrogram; each row has its token and the token's log-probability. */
static bool draw_candidate(const struct speech *speech, const struct candidate *candidate, struct picture *picture,
                           struct trouble *trouble)
{
    const struct align_rows rows = candidate_rows(speech, candidate);
    struct align_word *words = malloc(rows.rows * sizeof *words);
    struct figure_word *said = malloc(rows.rows * sizeof *said);
    char(*labels)[FIGURE_LABEL] = malloc(rows.rows * sizeof *labels);
    bool ok = words != NULL && said != NULL && labels != NULL;
    if (!ok)
        trouble_set(trouble, "no memory for the picture of a candidate");
    uint32_t count = !ok ? 0
                         : align_words(&speech->tokens, &speech->weights, candidate->tokens, candidate->count,
                                       speech->spaceless, words);
    for (uint32_t w = 0; w < count; w++) {
        speech_text(speech, candidate->tokens + words[w].first, words[w].count, said[w].text, FIGURE_LABEL);
        said[w].from = candidate->path[words[w].first];
        said[w].to = candidate->path[words[w].first + words[w].count];
    }
    for (uint32_t r = 0; ok && r < rows.rows; r++) {
        char text[10] = "<end>";
        if (candidate->tokens[r] != speech->tokens.end)
            speech_text(speech, candidate->tokens + r, 1, text, sizeof text);
        snprintf(labels[r], FIGURE_LABEL, "%s %.2f", text, candidate->log_probability[r]);
    }
    const struct figure figure = {&speech->mel,    0,      rows.frames, rows.rows, candidate->mean,
                                  candidate->path, labels, said,        count};
    ok = ok && figure_draw(&figure, picture);
    free(words);
    free(said);
    free(labels);
    return ok;
}

/* `lower` under `upper`, which it becomes; both are as wide, because the sound is the same. */
static bool put_under(struct picture *upper, const struct picture *lower)
{
    struct picture both;
    if (!picture_create(upper->width, upper->height + lower->height, 3, &both))
        return false;
    size_t above = (size_t)upper->width * upper->height * 3, below = (size_t)lower->width * lower->height * 3;
    memcpy(both.data, upper->data, above * sizeof *both.data);
    memcpy(both.data + above, lower->data, below * sizeof *both.data);
    picture_destroy(upper);
    *upper = both;
    return true;
}

static bool draw(const struct speech *speech, const struct candidate *candidates, uint32_t count, const char *out,
                 uint32_t number, struct trouble *trouble)
{
    struct picture all;
    if (!draw_candidate(speech, &candidates[0], &all, trouble))
        return false;
    bool ok = true;
    for (uint32_t i = 1; ok && i < count; i++) {
        struct picture picture;
        ok = draw_candidate(speech, &candidates[i], &picture, trouble);
        if (ok) {
            ok = put_under(&all, &picture);
            picture_destroy(&picture);
        }
    }
    ok = ok && output_picture(&all, out, number,
                              "each text's tokens with their log-probabilities, and where the decoder looked for them",
                              trouble);
    picture_destroy(&all);
    return ok;
}

/* ---------------------------------------------------------------------------------------------------- all together */

static bool is_recording(const char *word)
{
    size_t length = strlen(word);
    return length >= 4 && strcasecmp(word + length - 4, ".wav") == 0;
}

/* Recordings first, both in their order. Returns how many there are. */
static uint32_t sort_words(const struct options *options, const char **words)
{
    uint32_t count = 0;
    for (int texts = 0; texts < 2; texts++)
        for (uint32_t i = 0; i < options->word_count; i++)
            if (is_recording(options->words[i]) == (texts == 0))
                words[count++] = options->words[i];
    uint32_t recordings = 0;
    while (recordings < count && is_recording(words[recordings]))
        recordings++;
    return recordings;
}

static bool choose(const struct options *options, const char *wav, uint32_t number, struct speech *speech,
                   struct model *model, struct candidate *candidates, uint32_t count, struct trouble *trouble)
{
    if (!speech_hear(wav, speech, trouble))
        return false;
    printf("\n%s: %.2f s of sound\n\n%9s%12s%10s  candidate, and the log P of its words\n", wav, speech->seconds,
           "log P", "per token", "alignment");
    if (!candidates_score(speech, model, candidates, count, trouble))
        return false;
    uint32_t best = candidates_likeliest(candidates, count);
    for (uint32_t i = 0; i < count; i++)
        if (!print_candidate(speech, &candidates[i], i == best, trouble))
            return false;
    print_choice(candidates, count);
    return draw(speech, candidates, count, options->out, number, trouble);
}

/* `words` are the recordings, then the texts. */
static bool run(const struct options *options, const char **words, uint32_t recordings, struct candidate *candidates,
                uint32_t count)
{
    struct speech speech = {0};
    struct trouble trouble = {""};
    struct model *model = NULL;
    bool ok = speech_open(options->model, options->language, &speech, &trouble) &&
              candidates_create(&speech, words + recordings, count, candidates, &trouble);
    for (uint32_t i = 0; ok && i < recordings; i++) /* what is no recording is found before the model is compiled */
        ok = speech_hear(words[i], &speech, &trouble);
    ok = ok && output_folder(options->out, &trouble) &&
         model_create(&speech.weights, options->backend, options->device, &model);
    for (uint32_t i = 0; ok && i < recordings; i++)
        ok = choose(options, words[i], i + 1, &speech, model, candidates, count, &trouble);
    if (!ok && trouble.text[0] != '\0')
        fprintf(stderr, "choose: %s\n", trouble.text);
    candidates_destroy(candidates, count);
    model_destroy(&model);
    speech_close(&speech);
    return ok;
}

int main(int count, char **words)
{
    struct options options = options_parse(count, words, help, "out/choose.png");
    const char **sorted = malloc((options.word_count + 1) * sizeof *sorted);
    struct candidate *candidates = calloc(options.word_count + 1, sizeof *candidates);
    if (sorted == NULL || candidates == NULL) {
        fprintf(stderr, "choose: no memory for %u words\n", options.word_count);
        free(sorted);
        free(candidates);
        return 1;
    }
    uint32_t recordings = sort_words(&options, sorted), texts = options.word_count - recordings;
    if (recordings == 0)
        options_refuse("a recording", "is missing: FILE.wav");
    if (texts < 2)
        options_refuse(texts == 0 ? "no text" : "one text", "is too few: two or more are needed to choose");
    if (options.model == NULL)
        options_refuse("--model", "is missing: the weights");
    bool ok = run(&options, sorted, recordings, candidates, texts);
    free(sorted);
    free(candidates);
    return ok ? 0 : 1;
}
