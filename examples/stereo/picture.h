/* SPDX-License-Identifier: MIT
 * Pictures of the demos: read JPEG and PNG, halve, write PNG. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Interleaved channels (1 or 3), rows from the top; photographs lie in 0..1. */
struct picture {
    uint32_t width, height, channels;
    float *data;
};

/* Each demo defines its name. Each function that returns false has printed one sentence on stderr that begins with it.
 */
extern const char *const picture_program;

bool picture_create(uint32_t width, uint32_t height, uint32_t channels, struct picture *picture);
void picture_destroy(struct picture *picture);
/* A photograph, three channels. */
bool picture_read(const char *path, struct picture *picture);
/* A PNG of 8-bit grey whose numbers are data: one channel, 0..255. */
bool picture_read_numbers(const char *path, struct picture *picture);
bool picture_write(const char *path, const struct picture *picture);

/* Area means; 1 <= width <= source->width, the same for height. */
bool picture_shrink(const struct picture *source, uint32_t width, uint32_t height, struct picture *picture);
/* Half the width and height, where numbers are distances in pixels (so they halve too), 0 means "unknown", and means
 * across an edge would be nonsense: of 2 x 2 numbers, those within 1 of the largest, the nearest surface. */
bool picture_halve_numbers(const struct picture *source, struct picture *picture);
/* In place; keeps the top left. */
void picture_crop(struct picture *picture, uint32_t width, uint32_t height);
/* Mean of the channels' squared differences over the pixels with mask > 0 (NULL: all), as PSNR in dB against 1; 0
 * without a pixel. */
double picture_psnr(const struct picture *a, const struct picture *b, const float *mask);

static inline float *picture_at(const struct picture *picture, uint32_t x, uint32_t y)
{
    return picture->data + ((size_t)y * picture->width + x) * picture->channels;
}

#endif
