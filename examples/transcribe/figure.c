/* SPDX-License-Identifier: MIT
 * The picture of a window: its spectrogram, and under it where the decoder looked, token by token. */
#include "figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../stereo/show.h"
#include "font.h"

enum {
    LABEL_CHARACTERS = 16,
    EDGE = 8,
    LEFT = LABEL_CHARACTERS * FONT_WIDTH + 2 * EDGE,
    BAND = 2, /* pixels of a mel */
    LANES = 3,
    LINE = FONT_HEIGHT + 2,
};

static const float ink[3] = {0.1f, 0.1f, 0.15f}, frame_colour[3] = {1, 0.45f, 0.2f};

static void fill(struct picture *picture, uint32_t x, uint32_t y, uint32_t width, uint32_t height, const float *colour)
{
    for (uint32_t j = y; j < y + height && j < picture->height; j++)
        for (uint32_t i = x; i < x + width && i < picture->width; i++)
            memcpy(picture_at(picture, i, j), colour, 3 * sizeof *colour);
}

/* The next character of UTF-8; 0 at the end, FONT_END for what the font has not, broken UTF-8 too. */
static uint32_t next_character(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    if (at[0] == '\0')
        return 0;
    *text += 1;
    if (at[0] < 0x80)
        return at[0] >= FONT_FIRST && at[0] < 0x7f ? at[0] : FONT_END;
    if ((at[0] == 0xc2 && at[1] >= 0xa1 && at[1] < 0xc0) || (at[0] == 0xc3 && at[1] >= 0x80 && at[1] < 0xc0)) {
        *text += 1;
        return (at[0] & 3u) << 6 | (at[1] & 0x3fu);
    }
    while (((unsigned char)**text & 0xc0) == 0x80)
        *text += 1;
    return FONT_END;
}

/* Returns how many pixels wide it is. Other alphabets' letters are boxes. */
static uint32_t write_text(struct picture *picture, uint32_t x, uint32_t y, const char *text, uint32_t most)
{
    static const uint8_t box[FONT_HEIGHT] = {0, 0, 0x7c, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x7c, 0, 0};
    uint32_t count = 0;
    for (uint32_t c = next_character(&text); c != 0 && count < most; c = next_character(&text), count++) {
        const uint8_t *glyph = c < FONT_END ? font[c - FONT_FIRST] : box;
        for (uint32_t j = 0; j < FONT_HEIGHT; j++)
            for (uint32_t i = 0; i < FONT_WIDTH; i++)
                if ((glyph[j] >> (7 - i) & 1) != 0)
                    fill(picture, x + count * FONT_WIDTH + i, y + j, 1, 1, ink);
    }
    return count * FONT_WIDTH;
}

/* Pixels of 20 ms: short sentences are drawn larger. */
static uint32_t scale_of(uint32_t frames)
{
    return frames <= 250 ? 4 : frames <= 600 ? 2 : 1;
}

/* A panel of numbers, each `width` x `height` pixels, in colours from 0 to 1. */
static bool draw_panel(struct picture *picture, uint32_t y, uint32_t width, uint32_t height,
                       const struct picture *numbers)
{
    struct picture colours;
    if (!show_heat(numbers, 1, &colours))
        return false;
    for (uint32_t j = 0; j < colours.height; j++)
        for (uint32_t i = 0; i < colours.width; i++)
            fill(picture, LEFT + i * width, y + j * height, width, height, picture_at(&colours, i, j));
    picture_destroy(&colours);
    return true;
}

/* The lowest mel at the bottom; black is a factor of 10^7 below the loudest. */
static bool draw_spectrogram(const struct figure *figure, struct picture *picture, uint32_t y)
{
    const struct mel *mel = figure->mel;
    struct picture numbers;
    if (!picture_create(figure->frames, mel->mels, 1, &numbers))
        return false;
    float most = -10;
    for (uint32_t m = 0; m < mel->mels; m++) {
        for (uint32_t f = 0; f < figure->frames; f++) {
            const float *at = mel->data + (size_t)m * mel->frames + figure->first + 2 * f;
            *picture_at(&numbers, f, mel->mels - 1 - m) = (at[0] + at[1]) / 2;
            most = fmaxf(most, (at[0] + at[1]) / 2);
        }
    }
    for (size_t i = 0; i < (size_t)figure->frames * mel->mels; i++)
        numbers.data[i] = (numbers.data[i] - most) / 1.75f + 1;
    bool ok = draw_panel(picture, y, scale_of(figure->frames), BAND, &numbers);
    picture_destroy(&numbers);
    return ok;
}

/* Square roots, as shares of the row's largest: a row is as bright whether it looks at one frame or at twenty. */
static bool draw_looks(const struct figure *figure, struct picture *picture, uint32_t y)
{
    uint32_t scale = scale_of(figure->frames);
    struct picture numbers;
    if (!picture_create(figure->frames, figure->rows, 1, &numbers))
        return false;
    for (uint32_t r = 0; r < figure->rows; r++) {
        const float *row = figure->looks + (size_t)r * figure->frames;
        float most = 1e-20f;
        for (uint32_t f = 0; f < figure->frames; f++)
            most = fmaxf(most, row[f]);
        for (uint32_t f = 0; f < figure->frames; f++)
            *picture_at(&numbers, f, r) = sqrtf(row[f] / most);
    }
    bool ok = draw_panel(picture, y, scale, LINE, &numbers);
    picture_destroy(&numbers);
    for (uint32_t r = 0; r < figure->rows; r++) {
        uint32_t x = LEFT + figure->path[r] * scale, width = (figure->path[r + 1] - figure->path[r]) * scale;
        fill(picture, x, y + r * LINE, width, 1, frame_colour);
        fill(picture, x, y + (r + 1) * LINE - 1, width, 1, frame_colour);
        write_text(picture, EDGE, y + r * LINE + 1, figure->labels[r], LABEL_CHARACTERS);
    }
    return ok;
}

/* Under the spectrogram, each where it is said, in the first lane that is free there, or the one that is free first. */
static void write_words(const struct figure *figure, struct picture *picture, uint32_t spectrogram, uint32_t y)
{
    uint32_t free_from[LANES] = {0}, scale = scale_of(figure->frames);
    for (uint32_t w = 0; w < figure->word_count; w++) {
        const struct figure_word *word = &figure->words[w];
        uint32_t x = LEFT + word->from * scale, lane = 0;
        for (uint32_t i = LANES; i-- > 0;)
            if (free_from[i] <= x || (free_from[lane] > x && free_from[i] < free_from[lane]))
                lane = i;
        fill(picture, x, spectrogram, 1, y + lane * LINE - spectrogram, frame_colour);
        x = free_from[lane] > x ? free_from[lane] : x;
        free_from[lane] = x + write_text(picture, x, y + lane * LINE + 1, word->text, FIGURE_LABEL) + FONT_WIDTH;
    }
}

static void write_seconds(const struct figure *figure, struct picture *picture, uint32_t y)
{
    uint32_t scale = scale_of(figure->frames);
    for (uint32_t f = 0; f <= figure->frames; f += 50) {
        char text[16];
        snprintf(text, sizeof text, "%u s", (figure->first / 2 + f) / 50);
        fill(picture, LEFT + f * scale, y, 1, 4, ink);
        write_text(picture, LEFT + f * scale + 3, y + 3, text, sizeof text);
    }
}

bool figure_draw(const struct figure *figure, struct picture *picture)
{
    static const float white[3] = {1, 1, 1};
    uint32_t width = LEFT + figure->frames * scale_of(figure->frames) + EDGE + 4 * FONT_WIDTH;
    uint32_t words = EDGE + figure->mel->mels * BAND + 2, looks = words + LANES * LINE + 4;
    uint32_t seconds = looks + figure->rows * LINE + 1;
    if (!picture_create(width, seconds + LINE + EDGE, 3, picture))
        return false;
    fill(picture, 0, 0, picture->width, picture->height, white);
    bool ok = draw_spectrogram(figure, picture, EDGE) && draw_looks(figure, picture, looks);
    if (!ok) {
        picture_destroy(picture);
        return false;
    }
    write_words(figure, picture, EDGE, words);
    write_seconds(figure, picture, seconds);
    return true;
}
