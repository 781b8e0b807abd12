/* SPDX-License-Identifier: MIT
 * When each token was spoken, read off the decoder's cross-attention. */
#include "align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEDIAN = 7 };

static const struct align_head tiny_en[] = {{1, 0}, {2, 0}, {2, 5}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}};
static const struct align_head tiny[] = {{2, 2}, {3, 0}, {3, 2}, {3, 3}, {3, 4}, {3, 5}};
static const struct align_head base_en[] = {{3, 3}, {4, 7}, {5, 1}, {5, 5}, {5, 7}};
static const struct align_head base[] = {{3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6}};

static const struct {
    uint32_t layers, heads;
    bool english;
    const struct align_head *list;
    uint32_t count;
} known[] = {
    {4, 6, true, tiny_en, sizeof tiny_en / sizeof *tiny_en},
    {4, 6, false, tiny, sizeof tiny / sizeof *tiny},
    {6, 8, true, base_en, sizeof base_en / sizeof *base_en},
    {6, 8, false, base, sizeof base / sizeof *base},
};

uint32_t align_heads(const struct ggml_model *model, struct align_head *heads)
{
    struct tokens tokens = tokens_of(model);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].layers != model->text_layers || known[i].heads != model->text_heads ||
            known[i].english == tokens_multilingual(&tokens))
            continue;
        if (heads != NULL)
            memcpy(heads, known[i].list, known[i].count * sizeof *heads);
        return known[i].count;
    }
    uint32_t count = 0;
    for (uint32_t layer = model->text_layers / 2; layer < model->text_layers; layer++)
        for (uint32_t head = 0; head < model->text_heads; head++, count++)
            if (heads != NULL)
                heads[count] = (struct align_head){layer, head};
    return count;
}

static const float *row(const struct align_rows *rows, uint32_t r, uint32_t head)
{
    return rows->weights + ((size_t)r * rows->heads + head) * rows->stride;
}

void align_mean(const struct align_rows *rows, float *mean)
{
    for (uint32_t r = 0; r < rows->rows; r++) {
        for (uint32_t f = 0; f < rows->frames; f++) {
            float sum = 0;
            for (uint32_t head = 0; head < rows->heads; head++)
                sum += row(rows, r, head)[f];
            mean[(size_t)r * rows->frames + f] = sum / (float)rows->heads;
        }
    }
}

static float median(const float *values, uint32_t count, uint32_t middle)
{
    float window[MEDIAN];
    for (int i = 0; i < MEDIAN; i++) {
        /* mirrored at the edges, as torch's reflect is */
        int64_t at = llabs((int64_t)middle + i - MEDIAN / 2);
        if (at >= count)
            at = 2 * ((int64_t)count - 1) - at;
        float value = values[at < 0 ? 0 : at];
        int k = i;
        for (; k > 0 && window[k - 1] > value; k--)
            window[k] = window[k - 1];
        window[k] = value;
    }
    return window[MEDIAN / 2];
}

/* Adds a head to the costs: each frame's weights normalised over the rows, each row smoothed; more attention costs
 * less. */
static void add_head(const struct align_rows *rows, uint32_t head, float *normal, float *cost)
{
    uint32_t frames = rows->frames;
    for (uint32_t f = 0; f < frames; f++) {
        double sum = 0, squares = 0;
        for (uint32_t r = 0; r < rows->rows; r++)
            sum += row(rows, r, head)[f];
        double mean = sum / rows->rows;
        for (uint32_t r = 0; r < rows->rows; r++)
            squares += (row(rows, r, head)[f] - mean) * (row(rows, r, head)[f] - mean);
        double deviation = sqrt(squares / rows->rows);
        for (uint32_t r = 0; r < rows->rows; r++)
            normal[(size_t)r * frames + f] = deviation > 0 ? (float)((row(rows, r, head)[f] - mean) / deviation) : 0.0f;
    }
    for (uint32_t r = 0; r < rows->rows; r++)
        for (uint32_t f = 0; f < frames; f++)
            cost[(size_t)r * frames + f] -= median(normal + (size_t)r * frames, frames, f) / (float)rows->heads;
}

/* In place: the cost of the best way from the first frame of the first row. A way goes to the next frame, the next row,
 * or both. */
static void accumulate(float *cost, uint32_t rows, uint32_t frames)
{
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t f = 0; f < frames; f++) {
            float *here = cost + (size_t)r * frames + f, before = INFINITY;
            if (r > 0)
                before = fminf(before, here[-(ptrdiff_t)frames]);
            if (f > 0)
                before = fminf(before, here[-1]);
            if (r > 0 && f > 0)
                before = fminf(before, here[-(ptrdiff_t)frames - 1]);
            *here += r > 0 || f > 0 ? before : 0;
        }
    }
}

bool align_path(const struct align_rows *rows, uint32_t *first, struct trouble *trouble)
{
    size_t count = (size_t)rows->rows * rows->frames;
    float *cost = calloc(count > 0 ? count : 1, sizeof *cost),
          *normal = malloc((count > 0 ? count : 1) * sizeof *normal);
    if (cost == NULL || normal == NULL) {
        free(cost);
        free(normal);
        return trouble_set(trouble, "no memory to align %u tokens with %u frames", rows->rows, rows->frames);
    }
    for (uint32_t head = 0; head < rows->heads; head++)
        add_head(rows, head, normal, cost);
    accumulate(cost, rows->rows, rows->frames);

    first[rows->rows] = rows->frames;
    uint32_t r = rows->rows, f = rows->frames - 1;
    while (r-- > 0) {
        const float *here = cost + (size_t)r * rows->frames;
        const float *above = here - (r > 0 ? rows->frames : 0);
        /* Back through the row as long as that is cheaper than coming from the one before. */
        while (f > 0 && (r == 0 || here[f - 1] <= fminf(above[f], above[f - 1])))
            f--;
        first[r] = f;
        if (r > 0 && f > 0 && above[f - 1] <= above[f])
            f--;
    }
    free(cost);
    free(normal);
    return true;
}

/* How many bytes of a character that begins in the text are missing from it. */
static uint32_t missing(const struct ggml_token *text, uint32_t still)
{
    for (uint32_t i = 0; i < text->length; i++) {
        unsigned char c = (unsigned char)text->text[i];
        if ((c & 0xc0) == 0x80)
            still -= still > 0;
        else
            still = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    }
    return still;
}

uint32_t align_words(const struct tokens *tokens, const struct ggml_model *model, const uint32_t *sequence,
                     uint32_t count, bool spaceless, struct align_word *words)
{
    uint32_t found = 0, still = 0;
    bool open = false;
    for (uint32_t i = 0; i < count; i++) {
        if (sequence[i] >= tokens->end) {
            open = false;
            still = 0;
            continue;
        }
        struct ggml_token text = tokens_text(tokens, model, sequence[i]);
        bool begins = spaceless ? still == 0 : text.length > 0 && text.text[0] == ' ';
        if (begins || !open)
            words[found++] = (struct align_word){i, 0};
        words[found - 1].count++;
        still = missing(&text, still);
        open = true;
    }
    return found;
}
