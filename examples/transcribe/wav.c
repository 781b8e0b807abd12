/* SPDX-License-Identifier: MIT
 * WAV files: a strict reader, mean of the channels, resampling. */
#include "wav.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { FORMAT_PCM = 1, FORMAT_FLOAT = 3, FORMAT_EXTENSIBLE = 0xfffe };

/* ---- the file */

static bool parse_format(const uint8_t *at, uint32_t bytes, const char *name, struct wav *wav, struct trouble *trouble)
{
    /* The last 14 bytes of the GUIDs that stand for the plain formats. */
    static const uint8_t guid[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    uint32_t format = bytes_u16(at), frame = bytes_u16(at + 12);
    wav->channels = bytes_u16(at + 2);
    wav->rate = bytes_u32(at + 4);
    wav->bits = bytes_u16(at + 14);
    if (format == FORMAT_EXTENSIBLE) {
        if (bytes < 40)
            return trouble_set(trouble, "%s: an extensible format of %u bytes is shorter than 40", name, bytes);
        if (memcmp(at + 26, guid, sizeof guid) != 0)
            return trouble_set(trouble, "%s: its extensible format is neither PCM nor float", name);
        format = bytes_u16(at + 24);
    }
    if (format != FORMAT_PCM && format != FORMAT_FLOAT)
        return trouble_set(trouble, "%s: format %u is neither 1 (PCM) nor 3 (float): convert it to PCM", name, format);
    wav->is_float = format == FORMAT_FLOAT;
    if (wav->channels < 1 || wav->channels > WAV_CHANNELS_MAX)
        return trouble_set(trouble, "%s: %u channels are not from 1 to %d", name, wav->channels, WAV_CHANNELS_MAX);
    if (wav->rate < WAV_RATE_MIN || wav->rate > WAV_RATE_MAX)
        return trouble_set(trouble, "%s: a rate of %u Hz is not from %d to %d", name, wav->rate, WAV_RATE_MIN,
                           WAV_RATE_MAX);
    if (wav->is_float ? wav->bits != 32 && wav->bits != 64
                      : wav->bits != 8 && wav->bits != 16 && wav->bits != 24 && wav->bits != 32)
        return trouble_set(trouble, "%s: samples of %u bits are none of %s", name, wav->bits,
                           wav->is_float ? "32, 64 (float)" : "8, 16, 24, 32 (PCM)");
    if (frame != wav->channels * wav->bits / 8)
        return trouble_set(trouble, "%s: %u channels of %u bits take %u bytes, but a block has %u", name, wav->channels,
                           wav->bits, wav->channels * wav->bits / 8, frame);
    return true;
}

/* Programs that write into a pipe know no length: they claim the most, and the samples go on to the end. */
static bool parse_data(struct cursor *cursor, uint32_t bytes, const char *name, struct wav *wav,
                       struct trouble *trouble)
{
    uint32_t frame = wav->channels * wav->bits / 8;
    size_t there = bytes == UINT32_MAX ? cursor->left / frame * frame : bytes;
    if (there > cursor->left)
        return trouble_set(trouble, "%s: it claims %u bytes of samples, but %zu are left of the file", name, bytes,
                           cursor->left);
    if (there % frame != 0)
        return trouble_set(trouble, "%s: %u bytes of samples are no multiple of the block of %u", name, bytes, frame);
    wav->frames = there / frame;
    wav->data = cursor_take(cursor, there);
    if (wav->frames == 0)
        return trouble_set(trouble, "%s: it has no sample", name);
    if (wav->frames / wav->rate >= WAV_SECONDS_MAX)
        return trouble_set(trouble, "%s: %zu s are more than %d", name, wav->frames / wav->rate, WAV_SECONDS_MAX);
    return true;
}

bool wav_parse(const uint8_t *bytes, size_t size, const char *name, struct wav *wav, struct trouble *trouble)
{
    struct cursor cursor = {bytes, size};
    memset(wav, 0, sizeof *wav);
    const uint8_t *riff = cursor_take(&cursor, 12);
    if (riff == NULL || memcmp(riff, "RIFF", 4) != 0 || memcmp(riff + 8, "WAVE", 4) != 0)
        return trouble_set(trouble, "%s: not a WAV file: it does not begin with RIFF and WAVE", name);
    /* What RIFF itself claims is not looked at: many programs leave it wrong, and each chunk is checked. */
    for (;;) {
        uint32_t length = 0;
        const uint8_t *head = cursor_take(&cursor, 4);
        if (head == NULL || !cursor_u32(&cursor, &length))
            return trouble_set(trouble, "%s: the file ends before its %s", name,
                               wav->channels == 0 ? "format" : "samples");
        if (memcmp(head, "data", 4) == 0) {
            if (wav->channels == 0)
                return trouble_set(trouble, "%s: its samples come before their format", name);
            return parse_data(&cursor, length, name, wav, trouble);
        }
        bool format = memcmp(head, "fmt ", 4) == 0;
        const uint8_t *chunk = cursor_take(&cursor, length);
        if (chunk == NULL)
            return trouble_set(trouble, "%s: chunk \"%.4s\" claims %u bytes, but %zu are left of the file", name,
                               (const char *)head, length, cursor.left);
        if (format && wav->channels != 0)
            return trouble_set(trouble, "%s: it has two formats", name);
        if (format && length < 16)
            return trouble_set(trouble, "%s: a format of %u bytes is shorter than 16", name, length);
        if (format && !parse_format(chunk, length, name, wav, trouble))
            return false;
        if (length % 2 != 0)
            cursor_take(&cursor, 1); /* chunks begin at even places */
    }
}

/* ---- the samples */

static double sample(const uint8_t *at, const struct wav *wav)
{
    if (wav->is_float)
        return wav->bits == 32 ? (double)bytes_f32(at) : bytes_f64(at);
    switch (wav->bits) {
    case 8: /* alone without a sign */
        return (at[0] - 128) / 128.0;
    case 16:
        return (bytes_u16(at) ^ 0x8000) / 32768.0 - 1;
    case 24:
        return ((bytes_u16(at) | (uint32_t)at[2] << 16) ^ 0x800000) / 8388608.0 - 1;
    default:
        return (bytes_u32(at) ^ 0x80000000) / 2147483648.0 - 1;
    }
}

bool wav_mono(const struct wav *wav, const char *name, float **samples, struct trouble *trouble)
{
    const uint8_t *at = wav->data;
    *samples = malloc(wav->frames * sizeof **samples);
    if (*samples == NULL)
        return trouble_set(trouble, "%s: no memory for %zu samples", name, wav->frames);
    for (size_t i = 0; i < wav->frames; i++) {
        double sum = 0;
        for (uint32_t c = 0; c < wav->channels; c++, at += wav->bits / 8)
            sum += sample(at, wav);
        (*samples)[i] = (float)(sum / wav->channels);
        if (!isfinite((*samples)[i])) {
            free(*samples);
            *samples = NULL;
            return trouble_set(trouble, "%s: sample %zu is not a finite number", name, i);
        }
    }
    return true;
}

/* ---- the rate */

/* The kernel sinc(x) under Kaiser's window: CROSSINGS zeros on each side, STEPS entries between two. Linear
 * interpolation in the table is off by at most pi^2 / 24 / STEPS^2 = 4e-7. */
enum { CROSSINGS = 64, STEPS = 1024 };
static const double kaiser_beta = 8; /* 80 dB, and with CROSSINGS a transition as wide as 0.076 of the half rate */
static const double pass = 0.96;     /* its middle */

/* Modified Bessel function of the first kind, order 0, by its power series: 25 terms are enough for 8. */
static double bessel(double x)
{
    double sum = 1, term = 1;
    for (int i = 1; i <= 25; i++) {
        term *= x / (2 * i) * (x / (2 * i));
        sum += term;
    }
    return sum;
}

static double *make_kernel(void)
{
    const double pi = 3.14159265358979323846;
    double *kernel = malloc((CROSSINGS * STEPS + 2) * sizeof *kernel);
    for (int i = 0; kernel != NULL && i < CROSSINGS * STEPS + 2; i++) {
        double x = (double)i / STEPS, edge = x / CROSSINGS;
        double window = edge < 1 ? bessel(kaiser_beta * sqrt(1 - edge * edge)) / bessel(kaiser_beta) : 0;
        kernel[i] = window * (i == 0 ? 1 : sin(pi * x) / (pi * x));
    }
    return kernel;
}

bool wav_resample(float **samples, size_t *count, uint32_t from, uint32_t to, struct trouble *trouble)
{
    if (from == to)
        return true;
    uint64_t after = ((uint64_t)*count * to + from - 1) / from;
    double *kernel = make_kernel();
    float *result = after <= SIZE_MAX / sizeof *result ? malloc((size_t)after * sizeof *result) : NULL;
    if (kernel == NULL || result == NULL) {
        free(kernel);
        free(result);
        return trouble_set(trouble, "no memory for %" PRIu64 " samples", after);
    }
    /* In zeros of the kernel per sample of the source. */
    double density = pass * (to < from ? (double)to / from : 1);
    int64_t reach = (int64_t)(CROSSINGS / density);
    for (uint64_t i = 0; i < after; i++) {
        int64_t middle = (int64_t)(i * from / to);
        double part = (double)(i * from % to) / to, sum = 0;
        for (int64_t k = middle - reach; k <= middle + reach + 1; k++) {
            if (k < 0 || k >= (int64_t)*count)
                continue;
            double place = fabs((double)(k - middle) - part) * density * STEPS;
            if (place >= CROSSINGS * STEPS)
                continue;
            size_t entry = (size_t)place;
            sum += (*samples)[k] * (kernel[entry] + (place - (double)entry) * (kernel[entry + 1] - kernel[entry]));
        }
        result[i] = (float)(sum * density);
    }
    free(kernel);
    free(*samples);
    *samples = result;
    *count = (size_t)after;
    return true;
}
