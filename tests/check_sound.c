/* SPDX-License-Identifier: MIT
 * What the demos transcribe and choose make of a recording: the reader of WAV files against files that are made here
 * and broken here, resampling and the log-mel spectrogram against their definitions. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mel.h"
#include "wav.h"
#include "whisper_file.h"

static const double pi = 3.14159265358979323846;

/* ---- WAV files */

static void make_wav(uint32_t format, uint32_t channels, uint32_t bits, uint32_t rate, bool extensible)
{
    static const uint8_t guid[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    file.size = 0;
    file_put("RIFF????WAVELIST", 16);
    file_put_u32(3);
    file_put("odd\0fmt ", 8);
    file_put_u32(extensible ? 40 : 16);
    file_put_u16(extensible ? 0xfffe : format);
    file_put_u16(channels);
    file_put_u32(rate);
    file_put_u32(rate * channels * bits / 8);
    file_put_u16(channels * bits / 8);
    file_put_u16(bits);
    if (extensible) {
        file_put_u16(22);
        file_put_u16(bits);
        file_put_u32(3);
        file_put_u16(format);
        file_put(guid, sizeof guid);
    }
    file_put("data", 4);
    file_put_u32(0);
}

static void put_samples(const void *data, size_t size)
{
    file_set_u32(file.size - 4, (uint32_t)size);
    file_put(data, size);
}

/* -1, 0, 0.5 in each format. */
static const struct {
    uint32_t format, bits;
    const char *data;
} formats[] = {
    {1, 8, "\x00\x80\xc0"},
    {1, 16, "\x00\x80\x00\x00\x00\x40"},
    {1, 24, "\x00\x00\x80\x00\x00\x00\x00\x00\x40"},
    {1, 32, "\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x40"},
    {3, 32, "\x00\x00\x80\xbf\x00\x00\x00\x00\x00\x00\x00\x3f"},
    {3, 64, "\x00\x00\x00\x00\x00\x00\xf0\xbf\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe0\x3f"},
};

START_TEST(wav_formats)
{
    static const float expected[3] = {-1, 0, 0.5f};
    uint32_t bits = formats[_i].bits;
    for (int extensible = 0; extensible < 2; extensible++) {
        struct wav wav;
        float *samples;
        make_wav(formats[_i].format, 1, bits, 8000, extensible);
        put_samples(formats[_i].data, 3 * bits / 8);
        ck_assert_msg(wav_parse(file.data, file.size, "x.wav", &wav, &trouble), "%s", trouble.text);
        ck_assert(wav.frames == 3 && wav.rate == 8000 && wav.channels == 1);
        ck_assert(wav_mono(&wav, "x.wav", &samples, &trouble));
        for (int i = 0; i < 3; i++)
            ck_assert_float_eq(samples[i], expected[i]);
        free(samples);

        /* Three channels of one sample: their mean. */
        make_wav(formats[_i].format, 3, bits, 8000, extensible);
        put_samples(formats[_i].data, 3 * bits / 8);
        ck_assert(wav_parse(file.data, file.size, "x.wav", &wav, &trouble) && wav.frames == 1);
        ck_assert(wav_mono(&wav, "x.wav", &samples, &trouble));
        ck_assert_float_eq_tol(samples[0], -0.5f / 3, 1e-7f);
        free(samples);
    }
}
END_TEST

static void refuses_wav(size_t size, const char *why)
{
    struct wav wav;
    uint8_t *copy = file_cut(size);
    ck_assert_msg(!wav_parse(copy, size, "x.wav", &wav, &trouble), "accepted, not \"%s\"", why);
    ck_assert_msg(strncmp(trouble.text, "x.wav: ", 7) == 0 && strstr(trouble.text, why), "\"%s\" is not in: %s", why,
                  trouble.text);
    free(copy);
}

START_TEST(wavs_that_end_or_lie)
{
    enum { AT_FORMAT = 32, AT_DATA = AT_FORMAT + 16 };
    make_wav(1, 2, 16, 44100, false);
    put_samples("abcdefgh", 8);
    for (size_t size = 0; size < file.size; size++)
        refuses_wav(size, size < 12            ? "not a WAV file"
                          : size < 20          ? "ends before its format"
                          : size < 23          ? "chunk \"LIST\" claims 3 bytes"
                          : size < 32          ? "ends before its format"
                          : size < AT_DATA     ? "chunk \"fmt \" claims 16 bytes"
                          : size < AT_DATA + 8 ? "ends before its samples"
                                               : "claims 8 bytes of samples, but");
    static const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } lies[] = {
        {AT_FORMAT - 4, 0x66666666, "chunk \"fmt \" claims 1717986918 bytes, but"}, /* pocketsphinx's bad.wav */
        {AT_FORMAT - 4, 12, "a format of 12 bytes is shorter than 16"},
        {AT_FORMAT, 0x20002, "format 2 is neither 1 (PCM) nor 3 (float)"},
        {AT_FORMAT, 0x00001, "0 channels are not from 1 to 64"},
        {AT_FORMAT, 0xffff0001, "65535 channels"},
        {AT_FORMAT, 0x2fffe, "an extensible format of 16 bytes is shorter than 40"},
        {AT_FORMAT, 0x20003, "samples of 16 bits are none of 32, 64 (float)"},
        {AT_FORMAT, 0x10001, "1 channels of 16 bits take 2 bytes, but a block has 4"},
        {AT_FORMAT + 4, 0, "a rate of 0 Hz is not from 1000 to 768000"},
        {AT_FORMAT + 4, 1091652, "a rate of 1091652 Hz"}, /* its awful.wav */
        {AT_FORMAT + 12, 0x00000004, "samples of 0 bits are none of 8, 16, 24, 32 (PCM)"},
        {AT_DATA, 0x46525548, "chunk \"HURF\" claims 8 bytes"}, /* its evil.wav, further on */
        {AT_DATA + 4, 9, "claims 9 bytes of samples, but 8 are left of the file"},
        {AT_DATA + 4, 6, "6 bytes of samples are no multiple of the block of 4"},
        {AT_DATA + 4, 0, "it has no sample"},
        {12, 0x61746164, "its samples come before their format"},
        {12, 0x20746d66, "a format of 3 bytes is shorter than 16"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint32_t before = bytes_u32(file.data + lies[i].at);
        file_set_u32(lies[i].at, lies[i].value);
        if (lies[i].at == AT_DATA) {
            file_set_u32(AT_DATA + 4, 9);
            refuses_wav(file.size, "chunk \"HURF\" claims 9 bytes, but 8 are left");
            file_set_u32(AT_DATA + 4, 8);
            refuses_wav(file.size, "ends before its samples");
        } else {
            refuses_wav(file.size, lies[i].why);
        }
        file_set_u32(lies[i].at, before);
    }
    /* A program that wrote into a pipe. */
    struct wav wav;
    file_set_u32(AT_DATA + 4, UINT32_MAX);
    file_put("i", 1);
    ck_assert_msg(wav_parse(file.data, file.size, "x.wav", &wav, &trouble), "%s", trouble.text);
    ck_assert_uint_eq(wav.frames, 2);
    /* Not a number. */
    float *samples;
    make_wav(3, 1, 32, 16000, false);
    put_samples("\0\0\0\0\0\0\xc0\x7f", 8);
    ck_assert(wav_parse(file.data, file.size, "x.wav", &wav, &trouble));
    ck_assert(!wav_mono(&wav, "x.wav", &samples, &trouble) && !samples);
    ck_assert_ptr_nonnull(strstr(trouble.text, "sample 1 is not a finite number"));
}
END_TEST

/* ---- resampling */

static float *tone(double hz, uint32_t rate, size_t count)
{
    float *samples = malloc(count * sizeof *samples);
    ck_assert_ptr_nonnull(samples);
    for (size_t i = 0; i < count; i++)
        samples[i] = (float)sin(2 * pi * hz * (double)i / rate);
    return samples;
}

static const uint32_t rates[] = {1000, 8000, 11025, 22050, 44100, 44101, 48000, 96000, 768000};

/* In the middle of the sound what is left of the tone at another rate is that tone, or nothing. */
static double worst(double hz, uint32_t rate, bool there)
{
    size_t count = rate / 4;
    float *samples = tone(hz, rate, count);
    ck_assert(wav_resample(&samples, &count, rate, 16000, &trouble));
    ck_assert_uint_eq(count, (rate / 4 * 16000ull + rate - 1) / rate);
    double most = 0;
    for (size_t i = count / 3; i < 2 * count / 3; i++)
        most = fmax(most, fabs(samples[i] - (there ? sin(2 * pi * hz * (double)i / 16000) : 0)));
    free(samples);
    return most;
}

START_TEST(rates_in_common)
{
    double half = fmin(rates[_i], 16000) / 2;
    ck_assert_double_lt(worst(0.3 * half, rates[_i], true), 2e-4);
    ck_assert_double_lt(worst(0.9 * half, rates[_i], true), 3e-4);
    if (rates[_i] > 2.2 * 8000) {
        ck_assert_double_lt(worst(8100, rates[_i], false), 2e-4);
        ck_assert_double_lt(worst(fmin(0.45 * rates[_i], 30000), rates[_i], false), 2e-4);
    }
}
END_TEST

START_TEST(the_same_rate)
{
    size_t count = 100;
    float *samples = tone(440, 16000, count), *before = samples;
    ck_assert(wav_resample(&samples, &count, 16000, 16000, &trouble));
    ck_assert(samples == before && count == 100);
    free(samples);
}
END_TEST

/* ---- the spectrogram */

/* A frame by its definition: the padded signal, and a Fourier transform of complex exponentials. */
static void mel_frame(const float *samples, size_t count, size_t frame, double *logarithms)
{
    double windowed[400], power[BINS];
    for (size_t i = 0; i < 400; i++) {
        int64_t at = (int64_t)(frame * 160 + i) - 200;
        at = at < 0 ? -at : at;
        windowed[i] = at < (int64_t)count ? samples[at] * 0.5 * (1 - cos(2 * pi * (double)i / 400)) : 0;
    }
    for (int bin = 0; bin < BINS; bin++) {
        double real = 0, imaginary = 0;
        for (int i = 0; i < 400; i++) {
            real += windowed[i] * cos(2 * pi * bin * i / 400);
            imaginary -= windowed[i] * sin(2 * pi * bin * i / 400);
        }
        power[bin] = real * real + imaginary * imaginary;
    }
    for (uint32_t m = 0; m < MELS; m++) {
        double sum = 0;
        for (uint32_t bin = 0; bin < BINS; bin++)
            sum += power[bin] * weights.filters[m * BINS + bin];
        logarithms[m] = log10(fmax(sum, 1e-10));
    }
}

START_TEST(a_spectrogram)
{
    enum { COUNT = 3 * 1600 + 77 };
    static float samples[COUNT];
    struct mel mel;
    file_read_model();
    uint32_t state = 1;
    for (int i = 0; i < COUNT; i++) {
        state = state * 1664525 + 1013904223;
        samples[i] = (float)((double)state / UINT32_MAX - 0.5) * (i < COUNT / 2 ? 1 : 1e-3f);
    }
    ck_assert(mel_create(&weights, samples, COUNT, &mel, &trouble));
    ck_assert_uint_eq(mel.mels, MELS);
    ck_assert_uint_eq(mel.frames, 3000 + COUNT / 160);
    ck_assert_uint_eq(mel.sound, 1 + (COUNT - 200) / 160);
    /* Sound ends in frame 31; the last of the silence. */
    enum { FRAMES = 34 };
    static double expected[FRAMES][MELS];
    double largest = -10;
    for (size_t f = 0; f < FRAMES; f++) {
        mel_frame(samples, COUNT, f == FRAMES - 1 ? mel.frames - 1 : f, expected[f]);
        for (int m = 0; m < MELS; m++)
            largest = fmax(largest, expected[f][m]);
    }
    for (size_t f = 0; f < FRAMES; f++)
        for (uint32_t m = 0; m < MELS; m++)
            ck_assert_double_eq_tol(mel.data[m * mel.frames + (f == FRAMES - 1 ? mel.frames - 1 : f)],
                                    (fmax(expected[f][m], largest - 8) + 4) / 4, 1e-6);

    float *window = malloc(sizeof(float) * MELS * MEL_FRAMES);
    ck_assert_ptr_nonnull(window);
    mel_window(&mel, 20, window);
    ck_assert_float_eq(window[3 * MEL_FRAMES + 5], mel.data[3 * mel.frames + 25]);
    mel_window(&mel, 40, window);
    ck_assert_float_eq(window[3 * MEL_FRAMES + 2989], mel.data[3 * mel.frames + 3029]);
    ck_assert_float_eq(window[3 * MEL_FRAMES + 2990], 0);
    free(window);
    mel_destroy(&mel);

    /* Shorter than what is mirrored before it, and silence. */
    for (size_t count = 1; count < 402; count += 50) {
        memset(samples, 0, sizeof samples);
        ck_assert(mel_create(&weights, samples, count, &mel, &trouble));
        for (size_t i = 0; i < (size_t)mel.mels * mel.frames; i++)
            ck_assert_float_eq(mel.data[i], -1.5f);
        mel_destroy(&mel);
    }
    ggml_destroy(&weights);
}
END_TEST

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

int main(void)
{
    Suite *suite = suite_create("sound");
    TCase *tests = tcase_create("sound");
    tcase_add_loop_test(tests, wav_formats, 0, LENGTH(formats));
    tcase_add_test(tests, wavs_that_end_or_lie);
    tcase_add_loop_test(tests, rates_in_common, 0, LENGTH(rates));
    tcase_add_test(tests, the_same_rate);
    tcase_add_test(tests, a_spectrogram);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(file.data);
    return failed > 0;
}
