/* SPDX-License-Identifier: MIT
 * Whisper's front end: the log-mel spectrogram. */
#ifndef MEL_H
#define MEL_H

#include "ggml.h"

enum {
    MEL_RATE = 16000, /* Hz */
    MEL_WINDOW = 400,
    MEL_HOP = 160,    /* 10 ms */
    MEL_SECONDS = 30, /* of silence after the sound, and what the encoder looks at in one go */
    MEL_FRAMES = MEL_SECONDS * MEL_RATE / MEL_HOP,
};

struct mel {
    uint32_t mels, frames; /* with the silence */
    uint32_t sound;        /* frames that have sound in them, as whisper.cpp counts them */
    float *data;           /* [mels][frames] */
};

/* As whisper.cpp computes it (and openai/whisper's audio.py): 30 s of silence after the samples, 200 samples mirrored
 * before them; Hann windows of 400 every 160; power spectrum, the model's filters; log10, at least 1e-10; clamped to 8
 * below the largest of all frames; (x + 4) / 4. The sums are in double precision. */
bool mel_create(const struct ggml_model *model, const float *samples, size_t count, struct mel *mel,
                struct trouble *trouble);
void mel_destroy(struct mel *mel);

/* MEL_FRAMES of them from `first` on, as [mels][MEL_FRAMES]; 0 beyond the end, as in whisper.cpp. */
void mel_window(const struct mel *mel, uint32_t first, float *window);

#endif
