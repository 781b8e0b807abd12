/* SPDX-License-Identifier: MIT
 * Text as tokens: the byte-level byte-pair encoding of GPT-2 (Radford et al. 2019; Sennrich et al. 2016), which is
 * Whisper's too. */
#ifndef ENCODE_H
#define ENCODE_H

#include "../transcribe/ggml.h"

enum { ENCODE_BYTES_MAX = 4096 }; /* of a text: nobody says more in the 30 s of a window */

struct encoder;

/* Sorts the model's vocabulary, which must outlive the encoder. */
bool encoder_create(const struct ggml_model *model, struct encoder **encoder, struct trouble *trouble);
void encoder_destroy(struct encoder **encoder);

/* The tokens of `text`, UTF-8: it is cut into words, numbers, runs of signs and of spaces as GPT-2 does, each with the
 * space before it; in each piece, which begins as single bytes, the pair of neighbours that together are the token of
 * the smallest id becomes that token, the first of several, until no pair is a token. Ids were given in the order in
 * which training merged pairs, so the smallest id is the merge that GPT-2's own list has first. Special tokens' names,
 * "<|endoftext|>", are text like any other.
 *
 * `tokens` has room for ENCODE_BYTES_MAX. False for text that is longer than that or not UTF-8, and for a byte that the
 * vocabulary has no token of. */
bool encoder_encode(const struct encoder *encoder, const char *text, uint32_t *tokens, uint32_t *count,
                    struct trouble *trouble);

#endif
