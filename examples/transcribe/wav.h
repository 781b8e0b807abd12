/* SPDX-License-Identifier: MIT
 * WAV files: a strict reader, and their samples as mono at the rate of the model. */
#ifndef WAV_H
#define WAV_H

#include <stddef.h>
#include <stdint.h>

#include "trouble.h"

enum {
    WAV_RATE_MIN = 1000,
    WAV_RATE_MAX = 768000,
    WAV_CHANNELS_MAX = 64,
    WAV_SECONDS_MAX = 4 * 3600, /* the log-mel spectrogram of all of it is in memory: 0.5 GB */
};

struct wav {
    uint32_t rate, channels, bits; /* bits of a sample in the file: 8, 16, 24, 32; 64 for floats */
    bool is_float;
    const uint8_t *data; /* in the file's bytes */
    size_t frames;       /* samples of one channel */
};

/* Whether the bytes are a RIFF/WAVE file of integers or floats, plain or as WAVE_FORMAT_EXTENSIBLE, with at least one
 * sample and all that it claims. `name` is for the message. */
bool wav_parse(const uint8_t *bytes, size_t size, const char *name, struct wav *wav, struct trouble *trouble);

/* The mean of the channels, -1..1 (floats as they are; one that is not a finite number is refused), which the caller
 * frees. */
bool wav_mono(const struct wav *wav, const char *name, float **samples, struct trouble *trouble);

/* From one rate to another, by a windowed sinc: what both rates can hold passes, up to 0.92 of the lower one's half,
 * and what the new one cannot hold is gone, by 80 dB. *count is the number of samples, before and after. Replaces
 * *samples. */
bool wav_resample(float **samples, size_t *count, uint32_t from, uint32_t to, struct trouble *trouble);

#endif
