/* SPDX-License-Identifier: MIT
 * For the eye: heat maps, one picture out of several, a preview in the terminal. */
#include "show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t viridis[][3] = {
    {68, 1, 84},    {72, 26, 108},  {71, 47, 125},  {65, 68, 135},  {57, 86, 140},  {49, 104, 142},
    {42, 120, 142}, {35, 136, 142}, {31, 152, 139}, {34, 168, 132}, {53, 183, 121}, {84, 197, 104},
    {122, 209, 81}, {165, 219, 54}, {210, 226, 27}, {253, 231, 37},
};

bool show_heat(const struct picture *numbers, float largest, struct picture *colours)
{
    const int last = (int)(sizeof viridis / sizeof *viridis) - 1;
    if (!picture_create(numbers->width, numbers->height, 3, colours))
        return false;
    for (size_t i = 0; i < (size_t)numbers->width * numbers->height; i++) {
        float place = fminf(fmaxf(numbers->data[i] / largest, 0), 1) * (float)last;
        int below = (int)place < last ? (int)place : last - 1;
        const uint8_t *low = viridis[below], *high = viridis[below + 1];
        for (int c = 0; c < 3; c++)
            colours->data[3 * i + c] = ((float)low[c] + (place - (float)below) * (float)(high[c] - low[c])) / 255;
    }
    return true;
}

bool show_row(const struct picture *const *pictures, uint32_t count, uint32_t width, struct picture *row)
{
    const uint32_t gap = 4;
    uint32_t height = (uint32_t)((uint64_t)width * pictures[0]->height / pictures[0]->width);
    if (!picture_create(count * (width + gap) - gap, height, 3, row))
        return false;
    for (size_t i = 0; i < (size_t)3 * row->width * height; i++)
        row->data[i] = 1;
    for (uint32_t i = 0; i < count; i++) {
        struct picture small;
        if (!picture_shrink(pictures[i], width, height, &small)) {
            picture_destroy(row);
            return false;
        }
        for (uint32_t y = 0; y < height; y++)
            memcpy(picture_at(row, i * (width + gap), y), picture_at(&small, 0, y), 3 * width * sizeof(float));
        picture_destroy(&small);
    }
    return true;
}

static void print_colour(int ground, const float *rgb)
{
    printf("\033[%d;2;%d;%d;%dm", ground, (int)(rgb[0] * 255), (int)(rgb[1] * 255), (int)(rgb[2] * 255));
}

void show_preview(const struct picture *left, const struct picture *right)
{
    enum { COLUMNS = 78, FOREGROUND = 38, BACKGROUND = 48 };
    const char *no_color = getenv("NO_COLOR");
    struct picture row;
    if (!isatty(STDOUT_FILENO) || (no_color != NULL && *no_color != '\0') || left->width < COLUMNS ||
        !show_row((const struct picture *[]){left, right}, 2, (COLUMNS - 4) / 2, &row))
        return;
    putchar('\n');
    for (uint32_t y = 0; y + 1 < row.height; y += 2) {
        for (uint32_t x = 0; x < row.width; x++) {
            print_colour(FOREGROUND, picture_at(&row, x, y));
            print_colour(BACKGROUND, picture_at(&row, x, y + 1));
            fputs("\xe2\x96\x80", stdout); /* upper half block */
        }
        puts("\033[0m");
    }
    picture_destroy(&row);
}
