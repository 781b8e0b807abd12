/* SPDX-License-Identifier: MIT
 * Whisper's front end: the log-mel spectrogram. */
#include "mel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HALF = MEL_WINDOW / 2, BINS = HALF + 1 };

struct tables {
    double cosine[MEL_WINDOW], sine[MEL_WINDOW], hann[MEL_WINDOW];
};

static void make_tables(struct tables *tables)
{
    const double turn = 2 * 3.14159265358979323846 / MEL_WINDOW;
    for (int i = 0; i < MEL_WINDOW; i++) {
        tables->cosine[i] = cos(turn * i);
        tables->sine[i] = sin(turn * i);
        tables->hann[i] = (1 - tables->cosine[i]) / 2;
    }
}

/* The sample at a place that counts from 200 before the first. */
static double sample(const float *samples, size_t count, size_t place)
{
    size_t at = place >= HALF ? place - HALF : HALF - place;
    return at < count ? samples[at] : 0;
}

/* |F|^2 of real samples for bins 0 to 200. The samples k and 400 - k share their cosine, and their sine but for the
 * sign: half the products. 0.15 s for 30 s of sound, a hundredth of what follows: no faster transform is needed. */
static void power_spectrum(const struct tables *tables, const double *in, double *power)
{
    double even[HALF + 1], odd[HALF + 1];
    even[0] = in[0];
    even[HALF] = in[HALF];
    odd[0] = odd[HALF] = 0;
    for (int i = 1; i < HALF; i++) {
        even[i] = in[i] + in[MEL_WINDOW - i];
        odd[i] = in[i] - in[MEL_WINDOW - i];
    }
    for (int bin = 0; bin < BINS; bin++) {
        double real = 0, imaginary = 0;
        for (int i = 0, angle = 0; i <= HALF; i++, angle = (angle + bin) % MEL_WINDOW) {
            real += even[i] * tables->cosine[angle];
            imaginary += odd[i] * tables->sine[angle];
        }
        power[bin] = real * real + imaginary * imaginary;
    }
}

bool mel_create(const struct ggml_model *model, const float *samples, size_t count, struct mel *mel,
                struct trouble *trouble)
{
    *mel = (struct mel){.mels = model->mels};
    size_t frames = count / MEL_HOP + MEL_FRAMES, sound = (count + HALF) / MEL_HOP + 1;
    struct tables *tables = malloc(sizeof *tables);
    if (frames <= UINT32_MAX && frames <= SIZE_MAX / model->mels / sizeof *mel->data)
        mel->data = malloc(frames * model->mels * sizeof *mel->data);
    if (tables == NULL || mel->data == NULL) {
        free(tables);
        mel_destroy(mel);
        return trouble_set(trouble, "no memory for a spectrogram of %zu frames", frames);
    }
    mel->frames = (uint32_t)frames;
    mel->sound = count >= HALF ? (uint32_t)((count - HALF) / MEL_HOP + 1) : 0;
    make_tables(tables);

    float largest = -10;
    for (size_t frame = 0; frame < frames; frame++) {
        double in[MEL_WINDOW], power[BINS] = {0};
        for (size_t i = 0; frame < sound && i < MEL_WINDOW; i++)
            in[i] = tables->hann[i] * sample(samples, count, frame * MEL_HOP + i);
        if (frame < sound)
            power_spectrum(tables, in, power);
        for (uint32_t m = 0; m < model->mels; m++) {
            double sum = 0;
            for (int bin = 0; bin < BINS; bin++)
                sum += power[bin] * (double)model->filters[m * BINS + (uint32_t)bin];
            float log = (float)log10(fmax(sum, 1e-10));
            mel->data[m * frames + frame] = log;
            largest = fmaxf(largest, log);
        }
    }
    for (size_t i = 0; i < frames * model->mels; i++)
        mel->data[i] = (fmaxf(mel->data[i], largest - 8) + 4) / 4;
    free(tables);
    return true;
}

void mel_destroy(struct mel *mel)
{
    free(mel->data);
    *mel = (struct mel){0};
}

void mel_window(const struct mel *mel, uint32_t first, float *window)
{
    uint32_t left = first < mel->frames ? mel->frames - first : 0, count = left < MEL_FRAMES ? left : MEL_FRAMES;
    memset(window, 0, (size_t)mel->mels * MEL_FRAMES * sizeof *window);
    for (uint32_t m = 0; m < mel->mels; m++)
        memcpy(window + (size_t)m * MEL_FRAMES, mel->data + (size_t)m * mel->frames + first, count * sizeof *window);
}
