/* SPDX-License-Identifier: MIT
 * What Whisper works on: the model's file and what it says, the sound and its spectrogram. */
#include "speech.h"

#include <stdlib.h>
#include <string.h>

#include "wav.h"

enum { MODEL_BYTES_MAX = 1 << 30 }; /* medium, in q8_0, is 0.8 GB */

static bool is_spaceless(const char *language)
{
    static const char *const all[] = {"zh", "ja", "th", "lo", "my", "yue"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i], language) == 0)
            return true;
    return false;
}

bool speech_open(const char *model, const char *language, struct speech *speech, struct trouble *trouble)
{
    if (!bytes_read(model, MODEL_BYTES_MAX, &speech->file, trouble) ||
        !ggml_parse(speech->file.data, speech->file.size, model, &speech->weights, trouble))
        return false;
    speech->tokens = tokens_of(&speech->weights);
    speech->language = tokens_language(&speech->tokens, language);
    speech->spaceless = is_spaceless(language);
    return speech->language < speech->tokens.count ||
           trouble_set(trouble, "%s does not know the language \"%s\"%s", model, language,
                       tokens_multilingual(&speech->tokens) ? "" : ": it is for en alone");
}

bool speech_hear(const char *path, struct speech *speech, struct trouble *trouble)
{
    struct bytes bytes;
    struct wav wav;
    float *samples = NULL;
    mel_destroy(&speech->mel);
    if (!bytes_read(path, SIZE_MAX / 4, &bytes, trouble))
        return false;
    bool ok = wav_parse(bytes.data, bytes.size, path, &wav, trouble) && wav_mono(&wav, path, &samples, trouble);
    bytes_destroy(&bytes);
    size_t count = ok ? wav.frames : 0;
    ok = ok && wav_resample(&samples, &count, wav.rate, MEL_RATE, trouble) &&
         mel_create(&speech->weights, samples, count, &speech->mel, trouble);
    free(samples);
    if (ok && speech->mel.sound <= SPEECH_SHORTEST)
        ok = trouble_set(trouble, "%s: %zu ms of sound are less than %d", path, count * 1000 / MEL_RATE,
                         SPEECH_SHORTEST * 10 + 20);
    speech->seconds = (double)count / MEL_RATE;
    return ok;
}

void speech_close(struct speech *speech)
{
    mel_destroy(&speech->mel);
    ggml_destroy(&speech->weights);
    bytes_destroy(&speech->file);
}

void speech_text(const struct speech *speech, const uint32_t *sequence, uint32_t count, char *text, size_t room)
{
    size_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct ggml_token part = tokens_text(&speech->tokens, &speech->weights, sequence[i]);
        for (uint32_t c = 0; c < part.length && length < room - 1; c++)
            if (length > 0 || part.text[c] != ' ')
                text[length++] = part.text[c];
    }
    text[length] = '\0';
}
