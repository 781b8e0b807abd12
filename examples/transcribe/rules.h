/* SPDX-License-Identifier: MIT
 * Whisper's greedy decoding: which tokens may come next, and when a window of 30 s is done. The rules are those of
 * openai/whisper's decoding.py as whisper.cpp applies them by default, at temperature 0 and without its fallback to
 * others (whisper-cli --beam-size 1 --best-of 1 --no-fallback). */
#ifndef RULES_H
#define RULES_H

#include "tokens.h"

enum { RULES_TOKENS_MAX = 2048 };

struct rules {
    struct tokens tokens;
    uint32_t limit; /* of tokens in a window: half of the model's text context, less 4 */
    /* ---- the window */
    uint32_t sequence[RULES_TOKENS_MAX]; /* what has been taken */
    double log_probability[RULES_TOKENS_MAX];
    uint32_t count;
    uint32_t kept;  /* tokens up to the last time, which are the result */
    uint32_t shift; /* to the next window, in frames of 10 ms */
    bool timed;     /* a time after the start has come */
    bool failed;    /* whisper.cpp would try again at another temperature; all tokens are the result */
    double no_speech;
};

struct rules rules_of(const struct ggml_model *model);

/* Starts a window. `prompt` gets what the decoder is fed before the first choice: text that came before, at most half
 * of the text context of it (none: NULL, 0), then start of transcript, language and task. Returns how many;
 * RULES_TOKENS_MAX are enough. */
uint32_t rules_begin(struct rules *rules, const uint32_t *before, uint32_t before_count, uint32_t language,
                     uint32_t *prompt);

/* The probability that nobody speaks, from the logits after the start of transcript. */
void rules_hear(struct rules *rules, const float *logits);

/* The next token: sets the logits of those that may not come to -infinity, and takes the likeliest, or a time if times
 * are together likelier than any text. False where no logit is a finite number. */
bool rules_choose(struct rules *rules, float *logits, struct trouble *trouble);

/* After a choice: whether the window goes on. `left` is the sound from the window's start on, in frames of 10 ms. */
bool rules_go_on(struct rules *rules, uint32_t left);

/* When the window is done: cuts what comes after the last time, and moves `shift` to the end of a window that ended
 * with a single time. */
void rules_end(struct rules *rules, uint32_t left);

/* log(sum(exp(logits))) over [first, end), in double precision; -infinity where there is nothing else. */
double rules_log_sum(const float *logits, uint32_t first, uint32_t end);

/* Nobody speaks in it: openai/whisper's thresholds. */
bool rules_silent(const struct rules *rules);

#endif
