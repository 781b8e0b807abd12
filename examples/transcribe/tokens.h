/* SPDX-License-Identifier: MIT
 * Whisper's tokens: the special ones that no vocabulary lists, and text. */
#ifndef TOKENS_H
#define TOKENS_H

#include "ggml.h"

/* Ids, in their order: everything below `end` is text, everything from `times` on a time in steps of 20 ms. */
struct tokens {
    uint32_t end, start, language, languages, translate, transcribe, turn, previous, no_speech, no_times, times;
    uint32_t count;
    uint32_t blank; /* a space; `count` if there is none */
};

/* By the vocabulary's size: 51864 English only, 51865 with 99 languages, 51866 with 100. */
struct tokens tokens_of(const struct ggml_model *model);
bool tokens_multilingual(const struct tokens *tokens);

/* The token of an ISO 639 code as openai/whisper has it; `count` if the model does not know it. */
uint32_t tokens_language(const struct tokens *tokens, const char *code);

/* Text as bytes, of which a character may take several tokens; empty for special tokens. */
struct ggml_token tokens_text(const struct tokens *tokens, const struct ggml_model *model, uint32_t id);

#endif
