/* SPDX-License-Identifier: MIT
 * Whisper's tokens: the special ones that no vocabulary lists, and text. */
#include "tokens.h"

#include <string.h>

/* openai/whisper, tokenizer.py: their order is that of their tokens. */
static const char *const languages[] = {
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt",  "tr", "pl", "ca", "nl", "ar", "sv",  "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro",  "da", "hu", "ta", "no", "th", "ur",  "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv",  "bn", "sr", "az", "sl", "kn", "et",  "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw",  "gl", "mr", "pa", "si", "km", "sn",  "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi",  "lo", "uz", "fo", "ht", "ps", "tk",  "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue",
};

struct tokens tokens_of(const struct ggml_model *model)
{
    struct tokens tokens = {.count = model->vocabulary, .blank = model->vocabulary};
    tokens.end = model->vocabulary >= 51865 ? 50257 : 50256;
    tokens.languages = model->vocabulary >= 51866 ? 100 : 99;
    tokens.start = tokens.end + 1;
    tokens.language = tokens.start + 1;
    tokens.translate = tokens.language + tokens.languages;
    tokens.transcribe = tokens.translate + 1;
    tokens.turn = tokens.translate + 2;
    tokens.previous = tokens.translate + 3;
    tokens.no_speech = tokens.translate + 4;
    tokens.no_times = tokens.translate + 5;
    tokens.times = tokens.translate + 6;
    for (uint32_t i = 0; i < model->token_count && i < tokens.end; i++)
        if (model->tokens[i].length == 1 && model->tokens[i].text[0] == ' ')
            tokens.blank = i;
    return tokens;
}

bool tokens_multilingual(const struct tokens *tokens)
{
    return tokens->count >= 51865;
}

uint32_t tokens_language(const struct tokens *tokens, const char *code)
{
    for (uint32_t i = 0; i < tokens->languages && i < sizeof languages / sizeof *languages; i++)
        if (strcmp(languages[i], code) == 0 && (i == 0 || tokens_multilingual(tokens)))
            return tokens->language + i;
    return tokens->count;
}

struct ggml_token tokens_text(const struct tokens *tokens, const struct ggml_model *model, uint32_t id)
{
    return id < tokens->end && id < model->token_count ? model->tokens[id] : (struct ggml_token){"", 0};
}
