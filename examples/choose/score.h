/* SPDX-License-Identifier: MIT
 * How well a text fits a sound: what the decoder, made to say it, thinks of each of its tokens, and whether it looks
 * along the sound while it does. */
#ifndef SCORE_H
#define SCORE_H

#include "../transcribe/align.h"
#include "../transcribe/mel.h"
#include "../transcribe/model.h"
#include "../transcribe/speech.h"
#include "encode.h"

/* With T tokens t_1 .. t_T, the last of which is the end of the text:
 *
 *   log_probability  of each token, log p(t_i | t_1 .. t_(i-1), sound) = l_i[t_i] - log sum over v of exp(l_i[v]), by
 *                    the logits l_i of the decoder that was given t_1 .. t_(i-1), whatever it would have said itself:
 *                    teacher forcing (Williams and Zipser 1989)
 *
 *   total            their sum, log p(text | sound); total / T is that of a token on average
 *
 *   alignment        the mean over the tokens of sum over F_i of a_i[f] / sum over all f of a_i[f]
 *
 * where a_i[f] is the weight by which the alignment heads looked at frame f of the sound when t_i was asked for, and
 * the frames F_i are the token's piece of the path that dynamic time warping finds through all of them (align_path). 1:
 * each token looked at its own piece of the sound and nowhere else, one after the other. A text that was not said has
 * no such path. */
struct candidate {
    const char *text;
    uint32_t *tokens, count; /* with the end */
    double *log_probability;
    double total, alignment;
    float *looks;   /* [count][heads][audio context] */
    float *mean;    /* [count][frames]: a_i[f] */
    uint32_t *path; /* [count + 1]: the first frame of each token; the number of frames */
};

/* Encodes the texts, a space before each where words have spaces. False for one that has no character but spaces, is
 * not UTF-8, does not fit into the decoder's text context with its prompt and end, or has the tokens of another one;
 * candidates_destroy is due in any case. */
bool candidates_create(const struct speech *speech, const char **texts, uint32_t count, struct candidate *candidates,
                       struct trouble *trouble);
void candidates_destroy(struct candidate *candidates, uint32_t count);

/* Scores them on the sound, of at most 30 s. trouble->text is empty where the library has already said what failed. */
bool candidates_score(const struct speech *speech, struct model *model, struct candidate *candidates, uint32_t count,
                      struct trouble *trouble);

/* The rows of a scored candidate's looks, over the sound. */
struct align_rows candidate_rows(const struct speech *speech, const struct candidate *candidate);

/* The one of the largest total; of the largest alignment. The first of several. */
uint32_t candidates_likeliest(const struct candidate *candidates, uint32_t count);
uint32_t candidates_best_aligned(const struct candidate *candidates, uint32_t count);

#endif
