/* SPDX-License-Identifier: MIT
 * The host side of the demo transcribe: its parsers against files that are made here and broken here, resampling and
 * the log-mel spectrogram against their definitions, tokens, decoding rules, alignment, and the loop over windows with
 * a model that says what it is told to. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "align.h"
#include "bytes.h"
#include "figure.h"
#include "listen.h"
#include "rules.h"
#include "wav.h"

const char *const picture_program = "check_transcribe";

static const double pi = 3.14159265358979323846;
static struct trouble trouble;

/* ---- files that are made here */

static struct bytes file;
static size_t room;

static void put(const void *data, size_t size)
{
    if (file.size + size > room) {
        room = 2 * (file.size + size);
        file.data = realloc(file.data, room);
        ck_assert_ptr_nonnull(file.data);
    }
    if (data)
        memcpy(file.data + file.size, data, size);
    else
        memset(file.data + file.size, 0, size);
    file.size += size;
}

static void put_u16(uint32_t value)
{
    put((uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8)}, 2);
}

static void put_u32(uint32_t value)
{
    put_u16(value & 0xffff);
    put_u16(value >> 16);
}

static void set_u32(size_t at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        file.data[at + (size_t)i] = (uint8_t)(value >> 8 * i);
}

/* A copy that ends where its memory ends, for sanitizers to see who reads on. */
static uint8_t *cut(size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, file.data, size);
    return copy;
}

/* ---- models */

enum { STATE = 32, MELS = 80, BINS = 201, TOKENS = 50257, VOCABULARY = 51865, TEXT = 64 };
enum { AT_PARAMETERS = 4, AT_FILTERS = 4 + 11 * 4, AT_VOCABULARY = AT_FILTERS + 8 + 4 * MELS * BINS };

static size_t at_tensors;

static void put_tensor(const char *name, uint32_t type, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t rank = c > 0 ? 3 : b > 0 ? 2 : 1;
    size_t count = (size_t)a * (b > 0 ? b : 1) * (c > 0 ? c : 1);
    put_u32(rank);
    put_u32((uint32_t)strlen(name));
    put_u32(type);
    put_u32(a);
    if (rank > 1)
        put_u32(b);
    if (rank > 2)
        put_u32(c);
    put(name, strlen(name));
    put(NULL, type == GGML_F32 ? 4 * count : type == GGML_F16 ? 2 * count : count / 32 * 34);
}

static void put_layer(const char *part, bool cross)
{
    static const struct {
        const char *name;
        uint32_t type, a, b;
    } all[] = {
        {"attn_ln.weight", 0, STATE, 0},  {"attn_ln.bias", 0, STATE, 0},         {"attn.query.weight", 8, STATE, STATE},
        {"attn.query.bias", 0, STATE, 0}, {"attn.key.weight", 1, STATE, STATE},  {"attn.value.weight", 0, STATE, STATE},
        {"attn.value.bias", 0, STATE, 0}, {"attn.out.weight", 8, STATE, STATE},  {"attn.out.bias", 0, STATE, 0},
        {"mlp_ln.weight", 0, STATE, 0},   {"mlp_ln.bias", 0, STATE, 0},          {"mlp.0.weight", 8, STATE, 4 * STATE},
        {"mlp.0.bias", 0, 4 * STATE, 0},  {"mlp.2.weight", 8, 4 * STATE, STATE}, {"mlp.2.bias", 0, STATE, 0},
    };
    char name[64];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(name, sizeof name, "%s.blocks.0.%s", part, all[i].name);
        put_tensor(name, all[i].type, all[i].a, all[i].b, 0);
    }
    for (size_t i = 0; cross && i < 9; i++) {
        snprintf(name, sizeof name, "%s.blocks.0.cross_%s", part, all[i].name);
        put_tensor(name, all[i].type, all[i].a, all[i].b, 0);
    }
}

/* The text of a token: " w7" and the like, so that each is a word; token 220 is the space of GPT-2's vocabulary. */
static void make_model(void)
{
    const uint32_t parameters[] = {VOCABULARY, 1500, STATE, 2, 1, TEXT, STATE, 2, 1, MELS, 2007};
    file.size = 0;
    put("lmgg", 4);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        put_u32(parameters[i]);
    put_u32(MELS);
    put_u32(BINS);
    for (int m = 0; m < MELS; m++)
        for (int bin = 0; bin < BINS; bin++) {
            float value = bin / 2 == m ? 0.25f + 0.01f * (float)m : 0;
            put(&value, 4);
        }
    put_u32(TOKENS);
    for (uint32_t i = 0; i < TOKENS; i++) {
        char text[16];
        snprintf(text, sizeof text, i == 220 ? " " : i == 13 ? "." : " w%u", i);
        put_u32((uint32_t)strlen(text));
        put(text, strlen(text));
    }
    at_tensors = file.size;
    put_tensor("encoder.positional_embedding", 0, STATE, 1500, 0);
    put_tensor("encoder.conv1.weight", 1, 3, MELS, STATE);
    put_tensor("encoder.conv1.bias", 0, 1, STATE, 0);
    put_tensor("encoder.conv2.weight", 1, 3, STATE, STATE);
    put_tensor("encoder.conv2.bias", 0, 1, STATE, 0);
    put_tensor("encoder.ln_post.weight", 0, STATE, 0, 0);
    put_tensor("encoder.ln_post.bias", 0, STATE, 0, 0);
    put_layer("encoder", false);
    put_tensor("decoder.positional_embedding", 0, STATE, TEXT, 0);
    put_tensor("decoder.token_embedding.weight", 8, STATE, VOCABULARY, 0);
    put_tensor("decoder.ln.weight", 0, STATE, 0, 0);
    put_layer("decoder", true);
    put_tensor("decoder.ln.bias", 0, STATE, 0, 0);
}

static struct ggml_model weights;

static void read_model(void)
{
    make_model();
    ck_assert_msg(ggml_parse(file.data, file.size, "x.bin", &weights, &trouble), "%s", trouble.text);
}

START_TEST(a_model)
{
    read_model();
    ck_assert_uint_eq(weights.tensor_count, 7 + 15 + 4 + 24);
    ck_assert_uint_eq(weights.token_count, TOKENS);
    const struct ggml_tensor *query = ggml_find(&weights, "decoder.blocks.%u.cross_attn.query.weight", 0);
    ck_assert(query && query->type == GGML_Q8_0 && query->rank == 2 && query->bytes == STATE * STATE / 32 * 34);
    ck_assert_ptr_null(ggml_find(&weights, "decoder.blocks.%u.cross_attn.query.weight", 1));
    ck_assert_float_eq(weights.filters[3 * BINS + 7], 0.28f);
    ggml_destroy(&weights);
}
END_TEST

static void refuses(size_t size, const char *why)
{
    uint8_t *copy = cut(size);
    ck_assert_msg(!ggml_parse(copy, size, "x.bin", &weights, &trouble), "accepted, not \"%s\"", why);
    ck_assert_msg(strncmp(trouble.text, "x.bin: ", 7) == 0 && strstr(trouble.text, why), "\"%s\" is not in: %s", why,
                  trouble.text);
    ck_assert(!weights.filters && !weights.tokens && !weights.tensors);
    free(copy);
}

START_TEST(models_that_end)
{
    make_model();
    refuses(0, "does not begin with");
    refuses(3, "does not begin with");
    refuses(AT_FILTERS - 1, "ends inside its hyper-parameters");
    refuses(AT_FILTERS + 7, "ends inside its mel filters");
    refuses(AT_VOCABULARY - 1, "ends inside its mel filters");
    refuses(AT_VOCABULARY + 3, "ends inside its vocabulary");
    refuses(at_tensors - 1, "ends inside its vocabulary");
    refuses(at_tensors, "ends before tensor encoder.positional_embedding");
    for (size_t size = at_tensors + 1; size < at_tensors + 60; size++)
        refuses(size,
                size < at_tensors + 48 ? "ends inside the head of a tensor" : "takes 192000 bytes, but the file has");
    refuses(file.size - 1, "tensor decoder.ln.bias takes 128 bytes, but the file has 127 left");
    refuses(file.size - 128 - 15 - 16, "ends before tensor decoder.ln.bias");
    put("more", 4);
    refuses(file.size, "ends inside the head of a tensor");
}
END_TEST

static const struct {
    size_t number; /* of the hyper-parameter */
    uint32_t value;
    const char *why;
} lying[] = {
    {0, 50257, "n_vocab 50257 is not from 51864 to 51866"},
    {0, UINT32_MAX, "n_vocab 4294967295"},
    {1, 3000, "n_audio_ctx 3000 is not from 1500 to 1500"},
    {2, 0, "n_audio_state 0 is not from 32 to 4096"},
    {2, 64, "n_text_state 32 is not from 64 to 64"},
    {3, 0, "n_audio_head 0 is not from 1 to 32"},
    {3, 5, "a state of 32 does not divide into 5 and 2 heads"},
    {4, 1u << 31, "n_audio_layer 2147483648 is not from 1 to 64"},
    {4, 2, "ends before tensor encoder.blocks.1.attn_ln.weight"},
    {5, 65, "tensor decoder.positional_embedding is 32 x 64, but the hyper-parameters make it 32 x 65"},
    {8, 0, "n_text_layer 0 is not from 1 to 64"},
    {9, 128, "mel filters of 80 x 201 are not n_mels 128 x 201"},
    {10, 2, "ftype 2 is none of 0 (f32), 1 (f16), 7 (q8_0)"},
    {10, 2008, "ftype 8 is none of"},
};

START_TEST(models_that_lie)
{
    make_model();
    set_u32(AT_PARAMETERS + 4 * lying[_i].number, lying[_i].value);
    refuses(file.size, lying[_i].why);
}
END_TEST

START_TEST(parts_that_lie)
{
    make_model();
    memcpy(file.data, "GGUF", 4);
    refuses(file.size, "not a whisper.cpp model");
    memcpy(file.data, "lmgg", 4);

    set_u32(AT_FILTERS + 4, 200);
    refuses(file.size, "mel filters of 80 x 200");
    set_u32(AT_FILTERS + 4, BINS);
    set_u32(AT_FILTERS + 8 + 4 * (BINS + 2), 0x7fc00000);
    refuses(file.size, "mel filter 1 has no finite number in bin 2");
    set_u32(AT_FILTERS + 8 + 4 * (BINS + 2), 0);

    set_u32(AT_VOCABULARY, 100);
    refuses(file.size, "a vocabulary of 100 tokens is not from 50256 to n_vocab 51865");
    set_u32(AT_VOCABULARY, UINT32_MAX);
    refuses(file.size, "a vocabulary of 4294967295 tokens");
    set_u32(AT_VOCABULARY, TOKENS);
    set_u32(AT_VOCABULARY + 4, 5000);
    refuses(file.size, "token 0 of 5000 bytes is longer than 1024");
    set_u32(AT_VOCABULARY + 4, 3);

    static const struct {
        uint32_t place, value;
        const char *why;
    } heads[] = {
        {0, 0, "a tensor of 0 axes has not from 1 to 3"},
        {0, UINT32_MAX, "a tensor of 4294967295 axes"},
        {1, 0, "a tensor's name of 0 bytes has not from 1 to 47"},
        {1, UINT32_MAX, "a tensor's name of 4294967295 bytes"},
        {1, 27, "\"encoder.positional_embeddin\" is no tensor of a Whisper model with 1 and 1 layers"},
        {2, 1, "type 1, which is not 0 (f32)"},
        {2, 2, "type 2, which is not 0 (f32)"},
        {3, 33, "tensor encoder.positional_embedding is 33 x 1500, but the hyper-parameters make it 32 x 1500"},
        {4, UINT32_MAX, "is 32 x 4294967295"},
    };
    uint32_t before[] = {2, 28, 0, STATE, 1500};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        set_u32(at_tensors + 4 * heads[i].place, heads[i].value);
        refuses(file.size, heads[i].why);
        set_u32(at_tensors + 4 * heads[i].place, before[heads[i].place]);
    }
    file.data[at_tensors + 25] = '\n';
    refuses(file.size, "?");
    ck_assert_ptr_null(strchr(trouble.text, '\n'));
    file.data[at_tensors + 25] = '\0'; /* a name may not end before its length */
    refuses(file.size, "is no tensor");

    make_model();
    put_tensor("decoder.ln.bias", 0, STATE, 0, 0);
    refuses(file.size, "tensor decoder.ln.bias is there twice");
}
END_TEST

/* ---- WAV files */

static void make_wav(uint32_t format, uint32_t channels, uint32_t bits, uint32_t rate, bool extensible)
{
    static const uint8_t guid[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    file.size = 0;
    put("RIFF????WAVELIST", 16);
    put_u32(3);
    put("odd\0fmt ", 8);
    put_u32(extensible ? 40 : 16);
    put_u16(extensible ? 0xfffe : format);
    put_u16(channels);
    put_u32(rate);
    put_u32(rate * channels * bits / 8);
    put_u16(channels * bits / 8);
    put_u16(bits);
    if (extensible) {
        put_u16(22);
        put_u16(bits);
        put_u32(3);
        put_u16(format);
        put(guid, sizeof guid);
    }
    put("data", 4);
    put_u32(0);
}

static void put_samples(const void *data, size_t size)
{
    set_u32(file.size - 4, (uint32_t)size);
    put(data, size);
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
    uint8_t *copy = cut(size);
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
        set_u32(lies[i].at, lies[i].value);
        if (lies[i].at == AT_DATA) {
            set_u32(AT_DATA + 4, 9);
            refuses_wav(file.size, "chunk \"HURF\" claims 9 bytes, but 8 are left");
            set_u32(AT_DATA + 4, 8);
            refuses_wav(file.size, "ends before its samples");
        } else {
            refuses_wav(file.size, lies[i].why);
        }
        set_u32(lies[i].at, before);
    }
    /* A program that wrote into a pipe. */
    struct wav wav;
    set_u32(AT_DATA + 4, UINT32_MAX);
    put("i", 1);
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
    read_model();
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

/* ---- tokens: whisper.cpp's numbers */

static const struct tokens special[] = {
    {50256, 50257, 50258, 99, 50357, 50358, 50359, 50360, 50361, 50362, 50363, 51864, 51864},
    {50257, 50258, 50259, 99, 50358, 50359, 50360, 50361, 50362, 50363, 50364, 51865, 51865},
    {50257, 50258, 50259, 100, 50359, 50360, 50361, 50362, 50363, 50364, 50365, 51866, 51866},
};

START_TEST(special_tokens)
{
    struct ggml_model model = {.vocabulary = 51864 + (uint32_t)_i};
    struct tokens tokens = tokens_of(&model);
    ck_assert_mem_eq(&tokens, &special[_i], sizeof tokens);
    ck_assert_uint_eq(tokens_language(&tokens, "en"), tokens.language);
    ck_assert_uint_eq(tokens_language(&tokens, "su"), _i > 0 ? tokens.language + 98 : tokens.count);
    ck_assert_uint_eq(tokens_language(&tokens, "yue"), _i > 1 ? tokens.language + 99 : tokens.count);
    ck_assert_uint_eq(tokens_language(&tokens, "tlh"), tokens.count);
    ck_assert_uint_eq(tokens_language(&tokens, ""), tokens.count);
}
END_TEST

/* ---- rules */

enum { END = 50257, START = 50258, EN = 50259, TRANSCRIBE = 50359, PREVIOUS = 50361, TIMES = 50364 };

static struct rules rules;
static float logits[VOCABULARY];

static void flat(void)
{
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = 0;
}

static uint32_t choose(void)
{
    ck_assert_msg(rules_choose(&rules, logits, &trouble), "%s", trouble.text);
    return rules.sequence[rules.count - 1];
}

/* Text, or a time, that is by far the likeliest, and wished for. */
static uint32_t wish(uint32_t token)
{
    flat();
    logits[token] = 50;
    return choose();
}

static void begin(void)
{
    uint32_t prompt[8];
    read_model();
    rules = rules_of(&weights);
    ck_assert_uint_eq(rules.limit, TEXT / 2 - 4);
    ck_assert_uint_eq(rules_begin(&rules, NULL, 0, EN, prompt), 3);
    ck_assert(prompt[0] == START && prompt[1] == EN && prompt[2] == TRANSCRIBE);
}

START_TEST(first_token)
{
    for (uint32_t token = END; token < VOCABULARY; token++) {
        if (token < TIMES || token > TIMES + 50) { /* special, or later than a second */
            begin();
            flat();
            logits[token] = 50;
            logits[TIMES + 7] = 40;
            ck_assert_uint_eq(choose(), TIMES + 7);
            ggml_destroy(&weights);
            token += token > TIMES + 50 ? 500 : 20; /* a sample of them */
        }
    }
    begin();
    flat();
    logits[220] = 50; /* a blank */
    logits[7] = 40;
    ck_assert_uint_eq(choose(), 7);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(times_come_in_pairs)
{
    begin();
    ck_assert_uint_eq(wish(TIMES), TIMES);
    ck_assert(rules_go_on(&rules, 3000));
    flat(); /* after the first time: text, though a time is wished for */
    logits[TIMES + 10] = 50;
    logits[11] = 40;
    ck_assert_uint_eq(choose(), 11);
    ck_assert(rules_go_on(&rules, 3000));
    ck_assert_uint_eq(wish(TIMES + 100), TIMES + 100);
    ck_assert(rules_go_on(&rules, 3000) && rules.shift == 200 && rules.kept == 3);
    flat(); /* after the time that ends a sentence: no text, and no earlier time */
    logits[11] = 50;
    logits[TIMES + 99] = 45;
    logits[TIMES + 101] = 40;
    ck_assert_uint_eq(choose(), TIMES + 101);
    ck_assert(rules_go_on(&rules, 3000));
    flat(); /* after the pair: no time */
    logits[TIMES + 120] = 50;
    logits[12] = 40;
    ck_assert_uint_eq(choose(), 12);
    ck_assert(rules_go_on(&rules, 3000));
    ck_assert_uint_eq(wish(END), END);
    ck_assert(!rules_go_on(&rules, 3000) && !rules.failed);
    rules_end(&rules, 3000); /* the words after the last time are for the next window */
    ck_assert(rules.count == 4 && rules.shift == 202);
    ggml_destroy(&weights);
}
END_TEST

/* A time is taken when all times together are likelier than each text, though each time is not. */
START_TEST(times_together)
{
    begin();
    ck_assert_uint_eq(wish(TIMES), TIMES);
    ck_assert(rules_go_on(&rules, 3000));
    ck_assert_uint_eq(wish(11), 11);
    ck_assert(rules_go_on(&rules, 3000));
    for (int together = 0; together < 2; together++) {
        for (int i = 0; i < VOCABULARY; i++)
            logits[i] = -100;
        logits[12] = 1;
        for (int i = 0; i < (together ? 4 : 2); i++)
            logits[TIMES + 40 + i] = i == 1 ? 0.01f : 0; /* e < 4 */
        ck_assert_uint_eq(choose(), together ? TIMES + 41 : 12);
        double total = exp(1) + (together ? 3 : 1) + exp(0.01f);
        ck_assert_double_eq_tol(rules.log_probability[rules.count - 1], (together ? 0.01f : 1) - log(total), 1e-6);
        ck_assert(rules_go_on(&rules, 3000));
    }
    ggml_destroy(&weights);
}
END_TEST

START_TEST(windows_end)
{
    begin(); /* all that was heard is said: a time near its end is enough */
    wish(TIMES);
    ck_assert(rules_go_on(&rules, 300));
    wish(11);
    ck_assert(rules_go_on(&rules, 300));
    wish(TIMES + 145);
    ck_assert(!rules_go_on(&rules, 300));
    rules_end(&rules, 300); /* a single time at the end: the next window begins where this one ends */
    ck_assert(rules.count == 3 && rules.shift == 300 && !rules.failed);
    ggml_destroy(&weights);

    begin(); /* no time at all, and more sound than the window: whisper.cpp would try again */
    wish(11);
    ck_assert(rules_go_on(&rules, 5000));
    wish(END);
    ck_assert(!rules_go_on(&rules, 5000) && rules.failed);
    rules_end(&rules, 5000);
    ck_assert(rules.count == 2 && rules.shift == 3000);
    ggml_destroy(&weights);

    begin(); /* the same, but there is no more sound */
    wish(11);
    ck_assert(rules_go_on(&rules, 2000));
    wish(END);
    ck_assert(!rules_go_on(&rules, 2000) && !rules.failed && rules.kept == 2);
    ggml_destroy(&weights);

    begin(); /* the same word for ever */
    wish(TIMES);
    ck_assert(rules_go_on(&rules, 3000));
    while (rules.count < rules.limit - 1) {
        wish(11);
        ck_assert(rules_go_on(&rules, 3000));
    }
    wish(11);
    ck_assert(!rules_go_on(&rules, 3000) && rules.failed);
    rules_end(&rules, 3000);
    ck_assert_uint_eq(rules.count, rules.limit);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(no_numbers)
{
    begin();
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = NAN;
    ck_assert(!rules_choose(&rules, logits, &trouble));
    ck_assert_ptr_nonnull(strstr(trouble.text, "no token has a finite logit after 0"));
    flat();
    logits[300] = NAN; /* one of many is never taken */
    logits[7] = 1;
    choose();
    ck_assert_uint_ne(rules.sequence[0], 300);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(silence)
{
    begin();
    flat();
    logits[50362] = 20;
    rules_hear(&rules, logits);
    ck_assert_double_gt(rules.no_speech, 0.99);
    flat();
    choose();
    ck_assert(rules_silent(&rules)); /* none of 51865 is sure */
    rules.count = 0;
    wish(11);
    ck_assert(!rules_silent(&rules)); /* sure of what was said */
    ggml_destroy(&weights);
}
END_TEST

START_TEST(text_before)
{
    uint32_t before[100], prompt[128];
    begin();
    for (uint32_t i = 0; i < 100; i++)
        before[i] = i;
    ck_assert_uint_eq(rules_begin(&rules, before, 5, EN, prompt), 1 + 5 + 3);
    ck_assert(prompt[0] == PREVIOUS && prompt[1] == 0 && prompt[5] == 4 && prompt[6] == START);
    ck_assert_uint_eq(rules_begin(&rules, before, 100, EN, prompt), 1 + TEXT / 2 + 3);
    ck_assert(prompt[1] == 100 - TEXT / 2 && prompt[TEXT / 2] == 99);
    ggml_destroy(&weights);
}
END_TEST

/* ---- alignment */

START_TEST(a_path)
{
    enum { ROWS = 6, HEADS = 3, STRIDE = 90, FRAMES = 80 };
    static const uint32_t begins[ROWS + 1] = {0, 12, 20, 41, 60, 71, FRAMES};
    static float looks[ROWS * HEADS * STRIDE], mean[ROWS * FRAMES];
    for (int r = 0; r < ROWS; r++)
        for (int h = 0; h < HEADS; h++)
            for (uint32_t f = 0; f < STRIDE; f++) /* frames beyond the sound do not count */
                looks[(r * HEADS + h) * STRIDE + (int)f] = f >= FRAMES ? 9.0f * (float)r
                                                           : f >= begins[r] && f < begins[r + 1]
                                                               ? 0.05f * (float)(h + 1)
                                                               : 0.001f;
    struct align_rows rows = {looks, ROWS, HEADS, STRIDE, FRAMES};
    uint32_t first[ROWS + 1];
    ck_assert(align_path(&rows, first, &trouble));
    for (int r = 0; r <= ROWS; r++)
        ck_assert_uint_eq(first[r], begins[r]);
    align_mean(&rows, mean);
    ck_assert_float_eq_tol(mean[1 * FRAMES + 15], 0.1f, 1e-6f);
    ck_assert_float_eq_tol(mean[1 * FRAMES + 25], 0.001f, 1e-6f);

    /* One row, one frame; rows that are all the same; more rows than frames. */
    static const struct align_rows odd[] = {{looks, 1, 1, STRIDE, 1}, {mean, 3, 1, 0, 5}, {looks, 6, 1, STRIDE, 2}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        ck_assert(align_path(&odd[i], first, &trouble));
        ck_assert(first[0] == 0 && first[odd[i].rows] == odd[i].frames);
        for (uint32_t r = 0; r < odd[i].rows; r++)
            ck_assert_uint_le(first[r], first[r + 1]);
    }
}
END_TEST

START_TEST(alignment_heads)
{
    struct align_head heads[64];
    struct ggml_model model = {.vocabulary = 51865, .text_layers = 4, .text_heads = 6};
    ck_assert_uint_eq(align_heads(&model, heads), 6);
    ck_assert(heads[0].layer == 2 && heads[0].head == 2 && heads[5].layer == 3 && heads[5].head == 5);
    model.vocabulary = 51864;
    ck_assert_uint_eq(align_heads(&model, heads), 8);
    model.text_layers = 5;
    ck_assert_uint_eq(align_heads(&model, NULL), 3 * 6);
    ck_assert_uint_eq(align_heads(&model, heads), 3 * 6);
    ck_assert(heads[0].layer == 2 && heads[17].layer == 4 && heads[17].head == 5);
}
END_TEST

START_TEST(words)
{
    struct align_word found[8];
    read_model();
    struct tokens tokens = tokens_of(&weights);
    const uint32_t sequence[] = {TIMES, 11, 12, 13, TIMES + 9, TIMES + 9, 13, END};
    ck_assert_uint_eq(align_words(&tokens, &weights, sequence, 8, false, found), 3);
    ck_assert(found[0].first == 1 && found[0].count == 1);
    ck_assert(found[1].first == 2 && found[1].count == 2); /* with its full stop */
    ck_assert(found[2].first == 6 && found[2].count == 1); /* a sentence of a full stop */
    /* Without spaces: whole characters, here of three bytes in two tokens, and of one. */
    weights.tokens[11] = (struct ggml_token){"\xe4\xbd", 2};
    weights.tokens[12] = (struct ggml_token){"\xa0", 1};
    ck_assert_uint_eq(align_words(&tokens, &weights, sequence, 8, true, found), 3);
    ck_assert(found[0].first == 1 && found[0].count == 2 && found[1].first == 3 && found[1].count == 1);
    ggml_destroy(&weights);
}
END_TEST

/* ---- windows, with a model that says what it is told to */

struct model {
    const uint32_t *script; /* tokens, END ends a window */
    uint32_t at, position, windows;
    uint32_t fed[256], fed_count;
};

bool model_encode(struct model *model, const float *window)
{
    (void)window;
    model->windows++;
    model->position = 0;
    return model->windows < 9;
}

/* The prompt ends with the task; whatever comes after it is answered by the next token of the script. */
bool model_decode(struct model *model, uint32_t token, uint32_t position, float *answer, float *attention)
{
    ck_assert_uint_eq(position, model->position++);
    ck_assert_uint_lt(position, TEXT);
    model->fed[model->fed_count++] = token;
    bool prompt = token == START || token == EN || token == PREVIOUS || position < model->fed[255];
    for (int i = 0; i < VOCABULARY; i++)
        answer[i] = 0;
    if (!prompt)
        answer[model->script[model->at++]] = 50;
    for (uint32_t i = 0; i < 2 * 1500; i++)
        attention[i] = (float)(i % 1500 == 10 * model->at);
    return true;
}

static uint32_t heard_count;

static void count_heard(void *user, const struct listener *listener)
{
    ck_assert_ptr_eq(user, &heard_count);
    heard_count++;
    ck_assert_uint_gt(listener->rules.count, 0);
}

START_TEST(two_windows)
{
    static const uint32_t script[] = {TIMES, 11, 12, TIMES + 1000, TIMES + 1000, 13, END, TIMES, 14, TIMES + 1049};
    static float samples[16000 * 41];
    struct model model = {.script = script};
    struct listener listener;
    struct mel mel;
    read_model();
    ck_assert(mel_create(&weights, samples, 16000 * 41, &mel, &trouble));
    ck_assert_msg(listener_create(&weights, &model, EN, &listener, &trouble), "%s", trouble.text);
    ck_assert_msg(listen(&listener, &mel, 0, count_heard, &heard_count, &trouble), "%s", trouble.text);
    ck_assert_uint_eq(heard_count, 7);
    ck_assert(listener.rules.count == 5 && listener.rules.shift == 2000 && model.fed_count == 3 + 6);
    struct align_rows rows = listener_rows(&listener, &mel, 0);
    ck_assert(rows.rows == 5 && rows.frames == 1500 && rows.heads == 2);
    ck_assert_float_eq(rows.weights[(1 * 2 + 0) * 1500 + 20], 1); /* of the step that chose token 11 */

    model.fed_count = 0;
    model.fed[255] = 1 + 5;
    ck_assert_msg(listen(&listener, &mel, 2000, count_heard, &heard_count, &trouble), "%s", trouble.text);
    static const uint32_t fed[] = {PREVIOUS, TIMES,      11,    12, TIMES + 1000, TIMES + 1000, START,
                                   EN,       TRANSCRIBE, TIMES, 14};
    ck_assert_uint_eq(model.fed_count, sizeof fed / sizeof *fed);
    ck_assert_mem_eq(model.fed, fed, sizeof fed);
    ck_assert(listener.rules.count == 3 && listener.rules.shift == mel.sound - 2000);
    rows = listener_rows(&listener, &mel, 2000);
    ck_assert_uint_eq(rows.frames, (mel.sound - 2000 + 1) / 2);
    ck_assert_uint_eq(listener.steps, 9 + 11);
    listener_destroy(&listener);
    mel_destroy(&mel);
    ggml_destroy(&weights);
}
END_TEST

/* ---- the picture */

START_TEST(a_picture)
{
    static float samples[16000 * 3], looks[3 * 150];
    static char labels[3][FIGURE_LABEL] = {"<0.00>", "na\xc3\xafve", "\xe4\xbd\xa0\xff a long label, cut"};
    static const struct figure_word said[] = {{"na\xc3\xafve", 0, 50}, {"\xe4\xbd\xa0", 51, 149}, {"", 149, 149}};
    static const uint32_t path[] = {0, 10, 60, 149};
    struct mel mel;
    struct picture picture;
    read_model();
    for (int i = 0; i < 3 * 150; i++)
        looks[i] = (float)(i % 7);
    ck_assert(mel_create(&weights, samples, 16000 * 3, &mel, &trouble));
    struct figure figure = {&mel, 0, 149, 3, looks, path, labels, said, 3};
    ck_assert(figure_draw(&figure, &picture));
    ck_assert_uint_gt(picture.width, 4 * 149);
    ck_assert_uint_gt(picture.height, 2 * MELS + 3 * 15);
    /* Each row's largest is yellow, and its zeros are the darkest colour. */
    float yellow = 0;
    for (size_t i = 0; i < (size_t)picture.width * picture.height; i++)
        yellow += picture.data[3 * i] > 0.98f && picture.data[3 * i + 2] < 0.2f;
    ck_assert_float_gt(yellow, 1000);
    picture_destroy(&picture);
    mel_destroy(&mel);
    ggml_destroy(&weights);
}
END_TEST

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

int main(void)
{
    Suite *suite = suite_create("transcribe");
    TCase *files = tcase_create("files"), *sound = tcase_create("sound"), *text = tcase_create("text");
    tcase_add_test(files, a_model);
    tcase_add_test(files, models_that_end);
    tcase_add_loop_test(files, models_that_lie, 0, LENGTH(lying));
    tcase_add_test(files, parts_that_lie);
    tcase_add_loop_test(files, wav_formats, 0, LENGTH(formats));
    tcase_add_test(files, wavs_that_end_or_lie);
    tcase_add_loop_test(sound, rates_in_common, 0, LENGTH(rates));
    tcase_add_test(sound, the_same_rate);
    tcase_add_test(sound, a_spectrogram);
    tcase_add_loop_test(text, special_tokens, 0, LENGTH(special));
    tcase_add_test(text, first_token);
    tcase_add_test(text, times_come_in_pairs);
    tcase_add_test(text, times_together);
    tcase_add_test(text, windows_end);
    tcase_add_test(text, no_numbers);
    tcase_add_test(text, silence);
    tcase_add_test(text, text_before);
    tcase_add_test(text, a_path);
    tcase_add_test(text, alignment_heads);
    tcase_add_test(text, words);
    tcase_add_test(text, two_windows);
    tcase_add_test(text, a_picture);
    tcase_set_timeout(files, 60);
    tcase_set_timeout(sound, 60);
    tcase_set_timeout(text, 60);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, sound);
    suite_add_tcase(suite, text);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(file.data);
    return failed > 0;
}
