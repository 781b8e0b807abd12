/* SPDX-License-Identifier: MIT
 * Whisper's greedy decoding: which tokens may come next, and when a window of 30 s is done. */
#include "rules.h"

#include <math.h>
#include <string.h>

enum {
    FIRST_TIME_MAX = 50, /* steps of 20 ms: speech begins within a second, or the window is silent */
    TAIL = 10,           /* frames: less sound than this is not looked at */
    WINDOW = 3000,       /* frames */
};
static const double no_speech_threshold = 0.6, log_probability_threshold = -1;

struct rules rules_of(const struct ggml_model *model)
{
    return (struct rules){.tokens = tokens_of(model), .limit = model->text_context / 2 - 4};
}

uint32_t rules_begin(struct rules *rules, const uint32_t *before, uint32_t before_count, uint32_t language,
                     uint32_t *prompt)
{
    const struct tokens *tokens = &rules->tokens;
    uint32_t most = rules->limit + 4, count = 0;
    if (before_count > 0) {
        uint32_t skipped = before_count > most ? before_count - most : 0;
        prompt[count++] = tokens->previous;
        memcpy(prompt + count, before + skipped, (before_count - skipped) * sizeof *prompt);
        count += before_count - skipped;
    }
    prompt[count++] = tokens->start;
    if (tokens_multilingual(tokens)) {
        prompt[count++] = language;
        prompt[count++] = tokens->transcribe;
    }
    rules->count = rules->kept = 0;
    rules->shift = WINDOW;
    rules->timed = rules->failed = false;
    rules->no_speech = 0;
    return count;
}

static void forbid(float *logits, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        logits[i] = -INFINITY;
}

/* The largest in [first, end), or -infinity; its place is the first of several. NaN is never larger. */
static float largest(const float *logits, uint32_t first, uint32_t end, uint32_t *place)
{
    float most = -INFINITY;
    for (uint32_t i = first; i < end; i++) {
        if (logits[i] > most) {
            most = logits[i];
            *place = i;
        }
    }
    return most;
}

double rules_log_sum(const float *logits, uint32_t first, uint32_t end)
{
    uint32_t place = 0;
    double most = largest(logits, first, end, &place), sum = 0;
    if (most == -INFINITY)
        return -INFINITY;
    for (uint32_t i = first; i < end; i++)
        if (logits[i] > -INFINITY)
            sum += exp(logits[i] - most);
    return most + log(sum);
}

void rules_hear(struct rules *rules, const float *logits)
{
    rules->no_speech = exp(logits[rules->tokens.no_speech] - rules_log_sum(logits, 0, rules->tokens.count));
}

static bool is_time(const struct rules *rules, uint32_t back)
{
    return back <= rules->count && rules->sequence[rules->count - back] >= rules->tokens.times;
}

static void forbid_all(const struct rules *rules, float *logits)
{
    const struct tokens *tokens = &rules->tokens;
    bool first = rules->count == 0;
    forbid(logits, tokens->start, tokens->times); /* special tokens are ours to give */
    if (first) {
        logits[tokens->end] = -INFINITY;
        if (tokens->blank < tokens->count)
            logits[tokens->blank] = -INFINITY;
        forbid(logits, tokens->times + FIRST_TIME_MAX + 1, tokens->count);
    }
    /* Times come in pairs, the end of a sentence and the start of the next, but for the first and the last. */
    if (!first && is_time(rules, 1)) {
        if (rules->count < 2 || is_time(rules, 2))
            forbid(logits, tokens->times, tokens->count);
        else
            forbid(logits, 0, tokens->end);
    }
    if (rules->timed) /* time does not go back */
        forbid(logits, tokens->times, tokens->times + rules->shift / 2);
}

bool rules_choose(struct rules *rules, float *logits, struct trouble *trouble)
{
    const struct tokens *tokens = &rules->tokens;
    uint32_t text = tokens->count, time = tokens->count;
    forbid_all(rules, logits);
    float text_most = largest(logits, 0, tokens->times, &text),
          time_most = largest(logits, tokens->times, tokens->count, &time);
    if (!isfinite(fmaxf(text_most, time_most)))
        return trouble_set(trouble, "no token has a finite logit after %u: the model's weights make no numbers",
                           rules->count);
    bool times_win = rules_log_sum(logits, tokens->times, tokens->count) > text_most;
    uint32_t token = times_win ? time : text;
    rules->log_probability[rules->count] = logits[token] - rules_log_sum(logits, 0, tokens->count);
    rules->sequence[rules->count++] = token;
    return true;
}

bool rules_go_on(struct rules *rules, uint32_t left)
{
    uint32_t last = rules->sequence[rules->count - 1];
    if (last > rules->tokens.times) {
        rules->shift = 2 * (last - rules->tokens.times);
        rules->kept = rules->count;
        rules->timed = true;
    }
    bool all_heard = rules->shift + TAIL >= left;
    if (last == rules->tokens.end || (rules->timed && all_heard)) {
        if (rules->kept == 0 && all_heard)
            rules->kept = rules->count;
        rules->failed = rules->kept == 0;
        return false;
    }
    if (rules->count < rules->limit)
        return true;
    rules->failed = rules->kept == 0 || rules->shift < WINDOW / 2; /* it repeats itself */
    return false;
}

void rules_end(struct rules *rules, uint32_t left)
{
    uint32_t times = rules->tokens.times;
    if (!rules->failed)
        rules->count = rules->kept;
    if (rules->count > 1 && rules->sequence[rules->count - 2] < times && rules->sequence[rules->count - 1] > times)
        rules->shift = left < WINDOW ? left : WINDOW;
}

bool rules_silent(const struct rules *rules)
{
    double sum = 0;
    for (uint32_t i = 0; i < rules->count; i++)
        sum += rules->log_probability[i];
    return rules->count > 0 && rules->no_speech > no_speech_threshold && sum / rules->count < log_probability_threshold;
}
