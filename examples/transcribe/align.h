/* SPDX-License-Identifier: MIT
 * When each token was spoken, read off the decoder's cross-attention. */
#ifndef ALIGN_H
#define ALIGN_H

#include "tokens.h"

/* Heads of the decoder whose attention follows the sound. */
struct align_head {
    uint32_t layer, head;
};

/* Those that openai/whisper's model cards name for tiny and base, English or not; all of the upper half of the layers
 * for other models, as it does itself. Returns how many; NULL: only counts. */
uint32_t align_heads(const struct ggml_model *model, struct align_head *heads);

/* A step of the decoder each row: the weights by which `heads` heads looked at the sound when it chose a token. */
struct align_rows {
    const float *weights;                 /* [rows][heads][stride] */
    uint32_t rows, heads, stride, frames; /* the first `frames` of a row are sound; steps of 20 ms */
};

/* The mean over the heads, [rows][frames]. */
void align_mean(const struct align_rows *rows, float *mean);

/* first[r] is the frame where row r begins to be spoken, first[rows] = frames; never decreasing. By dynamic time
 * warping (Sakoe and Chiba 1978) through the weights, normalised over the rows, smoothed by a median of 7 frames, mean
 * over the heads: openai/whisper's timing.py. frames is at least 1. */
bool align_path(const struct align_rows *rows, uint32_t *first, struct trouble *trouble);

struct align_word {
    uint32_t first, count; /* tokens */
};

/* Words of a sequence of `count` tokens: text from a space to the next, with its punctuation; whole characters in
 * `spaceless` languages. Times are between words. words has room for `count`. Returns how many. */
uint32_t align_words(const struct tokens *tokens, const struct ggml_model *model, const uint32_t *sequence,
                     uint32_t count, bool spaceless, struct align_word *words);

#endif
