/* SPDX-License-Identifier: MIT
 * What a pixel says about itself, computed from the photograph alone: nothing here is learned. */
#include "describe.h"

#include <math.h>

static uint32_t clamp(int64_t value, uint32_t length)
{
    return value < 0 ? 0 : value >= length ? length - 1 : (uint32_t)value;
}

/* Means over (2 radius + 1)^2 pixels; beyond the border the picture repeats its last pixel. */
static bool blur(const struct picture *source, int radius, struct picture *picture)
{
    if (!picture_create(source->width, source->height, source->channels, picture))
        return false;
    float area = (float)((2 * radius + 1) * (2 * radius + 1));
    for (uint32_t y = 0; y < source->height; y++) {
        for (uint32_t x = 0; x < source->width; x++) {
            float *mean = picture_at(picture, x, y);
            for (int dy = -radius; dy <= radius; dy++) {
                for (int dx = -radius; dx <= radius; dx++) {
                    const float *near = picture_at(source, clamp((int64_t)x + dx, source->width),
                                                   clamp((int64_t)y + dy, source->height));
                    for (uint32_t c = 0; c < source->channels; c++)
                        mean[c] += near[c] / area;
                }
            }
        }
    }
    return true;
}

static float luminance(const float *rgb)
{
    return 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
}

static float colour_distance(const float *a, const float *b)
{
    return (fabsf(a[0] - b[0]) + fabsf(a[1] - b[1]) + fabsf(a[2] - b[2])) / 3;
}

static void describe_pixel(const struct picture *photo, const struct picture *coarse, uint32_t x, uint32_t y,
                           float *descriptor)
{
    const float colour_reach = 0.08f, reach = 12; /* where the weight has fallen to 1/e: colour in 0..1, pixels */
    const float quiet = 1e-3f;                    /* squared contrast below which a surface has nothing to say */
    const float *centre = picture_at(photo, x, y);
    float weight[DESCRIPTOR_DIM], mean = 0, total = 0, square = 0;
    int n = 0;
    for (int step = 1; step <= 3; step += 2) {
        const struct picture *source = step == 1 ? photo : coarse;
        for (int i = 0; i < 25; i++) {
            if (i == 12)
                continue; /* the pixel itself */
            int dx = step * (i % 5 - 2), dy = step * (i / 5 - 2);
            uint32_t nx = clamp((int64_t)x + dx, photo->width), ny = clamp((int64_t)y + dy, photo->height);
            weight[n] = expf(-colour_distance(centre, picture_at(photo, nx, ny)) / colour_reach -
                             sqrtf((float)(dx * dx + dy * dy)) / reach);
            descriptor[n] = luminance(picture_at(source, nx, ny));
            mean += weight[n] * descriptor[n];
            total += weight[n];
            n++;
        }
    }
    for (n = 0; n < DESCRIPTOR_DIM; n++) {
        descriptor[n] = weight[n] * (descriptor[n] - mean / total);
        square += descriptor[n] * descriptor[n];
    }
    for (n = 0; n < DESCRIPTOR_DIM; n++)
        descriptor[n] /= sqrtf(square + quiet);
}

bool describe_surroundings(const struct picture *photo, struct picture *descriptors)
{
    struct picture coarse = {0};
    *descriptors = (struct picture){0};
    bool ok = blur(photo, 1, &coarse) && picture_create(photo->width, photo->height, DESCRIPTOR_DIM, descriptors);
    for (uint32_t y = 0; ok && y < photo->height; y++)
        for (uint32_t x = 0; x < photo->width; x++)
            describe_pixel(photo, &coarse, x, y, picture_at(descriptors, x, y));
    picture_destroy(&coarse);
    return ok;
}

bool describe_guide(const struct picture *photo, struct picture *guide)
{
    const float colour_unit = 0.05f, pixel_unit = 8;
    struct picture smooth = {0};
    *guide = (struct picture){0};
    bool ok = blur(photo, 2, &smooth) && picture_create(photo->width, photo->height, GUIDE_DIM, guide);
    for (uint32_t y = 0; ok && y < photo->height; y++) {
        for (uint32_t x = 0; x < photo->width; x++) {
            float *feature = picture_at(guide, x, y);
            for (int c = 0; c < 3; c++)
                feature[c] = picture_at(&smooth, x, y)[c] / colour_unit;
            feature[3] = (float)x / pixel_unit;
            feature[4] = (float)y / pixel_unit;
        }
    }
    picture_destroy(&smooth);
    return ok;
}
