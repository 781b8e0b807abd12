/* SPDX-License-Identifier: MIT
 * Pictures of the demos: read JPEG and PNG, halve, write PNG. */
#include "picture.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

enum { PICTURE_SIDE_MAX = 16384 };

bool picture_create(uint32_t width, uint32_t height, uint32_t channels, struct picture *picture)
{
    *picture = (struct picture){width, height, channels, calloc((size_t)width * height, channels * sizeof(float))};
    if (picture->data == NULL)
        fprintf(stderr, "%s: no memory for a picture of %u x %u pixels\n", picture_program, width, height);
    return picture->data != NULL;
}

void picture_destroy(struct picture *picture)
{
    free(picture->data);
    *picture = (struct picture){0};
}

static bool refuse(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", picture_program, path, why);
    return false;
}

static bool check_size(const char *path, uint32_t width, uint32_t height)
{
    if (width <= PICTURE_SIDE_MAX && height <= PICTURE_SIDE_MAX)
        return true;
    fprintf(stderr, "%s: %s: %u x %u pixels is more than %d x %d\n", picture_program, path, width, height,
            PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
    return false;
}

static bool from_bytes(const uint8_t *bytes, uint32_t width, uint32_t height, uint32_t channels, float scale,
                       struct picture *picture)
{
    if (!picture_create(width, height, channels, picture))
        return false;
    for (size_t i = 0; i < (size_t)width * height * channels; i++)
        picture->data[i] = (float)bytes[i] * scale;
    return true;
}

static bool read_png(const char *path, bool numbers, struct picture *picture)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path))
        return refuse(path, image.message);
    bool ok = check_size(path, image.width, image.height);
    if (ok && numbers && (image.format & (PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_LINEAR | PNG_FORMAT_FLAG_ALPHA)) != 0)
        ok = refuse(path, "the truth must be a PNG of 8-bit grey");
    uint8_t *bytes = NULL;
    if (ok) {
        image.format = numbers ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
        bytes = malloc(PNG_IMAGE_SIZE(image));
        if (bytes == NULL || !png_image_finish_read(&image, &(png_color){0}, bytes, 0, NULL))
            ok = refuse(path, bytes == NULL ? "not enough memory" : image.message);
    }
    ok = ok && from_bytes(bytes, image.width, image.height, numbers ? 1 : 3, numbers ? 1.0f : 1 / 255.0f, picture);
    free(bytes);
    png_image_free(&image);
    return ok;
}

/* libjpeg ends the process on an error unless its handler jumps out. */
struct jpeg_failure {
    struct jpeg_error_mgr manager;
    jmp_buf where;
    char text[JMSG_LENGTH_MAX];
};

static void jpeg_fail(j_common_ptr jpeg)
{
    struct jpeg_failure *failure = (struct jpeg_failure *)jpeg->err;
    jpeg->err->format_message(jpeg, failure->text);
    longjmp(failure->where, 1);
}

/* A truncated file is only a warning to libjpeg, which goes on with grey. */
static void jpeg_message(j_common_ptr jpeg, int level)
{
    if (level < 0)
        jpeg_fail(jpeg);
}

static bool read_jpeg(const char *path, FILE *file, struct picture *picture)
{
    struct jpeg_failure failure;
    struct jpeg_decompress_struct jpeg;
    uint8_t *volatile bytes = NULL;
    volatile bool ok = false;
    jpeg.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = jpeg_fail;
    failure.manager.emit_message = jpeg_message;
    jpeg_create_decompress(&jpeg);
    if (setjmp(failure.where) != 0) {
        refuse(path, failure.text);
    } else {
        jpeg_stdio_src(&jpeg, file);
        jpeg_read_header(&jpeg, TRUE);
        jpeg.out_color_space = JCS_RGB;
        if (check_size(path, jpeg.image_width, jpeg.image_height)) {
            jpeg_start_decompress(&jpeg);
            size_t stride = (size_t)jpeg.output_width * 3;
            bytes = malloc(stride * jpeg.output_height);
            if (bytes == NULL)
                refuse(path, "not enough memory");
            while (bytes != NULL && jpeg.output_scanline < jpeg.output_height)
                jpeg_read_scanlines(&jpeg, &(JSAMPROW){bytes + stride * jpeg.output_scanline}, 1);
            ok = bytes != NULL && from_bytes(bytes, jpeg.output_width, jpeg.output_height, 3, 1 / 255.0f, picture);
        }
    }
    jpeg_destroy_decompress(&jpeg);
    free(bytes);
    return ok;
}

bool picture_read(const char *path, struct picture *picture)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return refuse(path, strerror(errno));
    uint8_t magic[8] = {0};
    size_t length = fread(magic, 1, sizeof magic, file);
    bool ok = false;
    if (length == sizeof magic && png_sig_cmp(magic, 0, sizeof magic) == 0) {
        ok = read_png(path, false, picture);
    } else if (length >= 2 && magic[0] == 0xff && magic[1] == 0xd8) {
        rewind(file);
        ok = read_jpeg(path, file, picture);
    } else {
        ok = refuse(path, "is neither a JPEG nor a PNG picture");
    }
    fclose(file);
    return ok;
}

bool picture_read_numbers(const char *path, struct picture *picture)
{
    return read_png(path, true, picture);
}

bool picture_write(const char *path, const struct picture *picture)
{
    size_t count = (size_t)picture->width * picture->height * picture->channels;
    uint8_t *bytes = malloc(count);
    if (bytes == NULL)
        return refuse(path, "not enough memory");
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(fminf(fmaxf(picture->data[i], 0), 1) * 255 + 0.5f);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = picture->width,
                       .height = picture->height,
                       .format = picture->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    bool ok = png_image_write_to_file(&image, path, 0, bytes, 0, NULL) != 0;
    free(bytes);
    return ok || refuse(path, image.message);
}

bool picture_shrink(const struct picture *source, uint32_t width, uint32_t height, struct picture *picture)
{
    if (!picture_create(width, height, source->channels, picture))
        return false;
    for (uint32_t y = 0; y < height; y++) {
        uint32_t top = (uint32_t)((uint64_t)y * source->height / height);
        uint32_t bottom = (uint32_t)((uint64_t)(y + 1) * source->height / height);
        for (uint32_t x = 0; x < width; x++) {
            uint32_t left = (uint32_t)((uint64_t)x * source->width / width);
            uint32_t right = (uint32_t)((uint64_t)(x + 1) * source->width / width);
            float *mean = picture_at(picture, x, y);
            for (uint32_t sy = top; sy < bottom; sy++)
                for (uint32_t sx = left; sx < right; sx++)
                    for (uint32_t c = 0; c < source->channels; c++)
                        mean[c] += picture_at(source, sx, sy)[c];
            for (uint32_t c = 0; c < source->channels; c++)
                mean[c] /= (float)((bottom - top) * (right - left));
        }
    }
    return true;
}

bool picture_halve_numbers(const struct picture *source, struct picture *picture)
{
    if (!picture_create(source->width / 2, source->height / 2, 1, picture))
        return false;
    for (uint32_t y = 0; y < picture->height; y++) {
        for (uint32_t x = 0; x < picture->width; x++) {
            float largest = 0, sum = 0, count = 0;
            for (uint32_t i = 0; i < 4; i++)
                largest = fmaxf(largest, *picture_at(source, 2 * x + i % 2, 2 * y + i / 2));
            for (uint32_t i = 0; i < 4; i++) {
                float number = *picture_at(source, 2 * x + i % 2, 2 * y + i / 2);
                if (number > 0 && number >= largest - 1) {
                    sum += number;
                    count++;
                }
            }
            *picture_at(picture, x, y) = count > 0 ? sum / count / 2 : 0;
        }
    }
    return true;
}

void picture_crop(struct picture *picture, uint32_t width, uint32_t height)
{
    size_t row = (size_t)width * picture->channels;
    for (uint32_t y = 0; y < height; y++)
        memmove(picture->data + y * row, picture_at(picture, 0, y), row * sizeof(float));
    picture->width = width;
    picture->height = height;
}

double picture_psnr(const struct picture *a, const struct picture *b, const float *mask)
{
    double sum = 0, count = 0;
    for (size_t i = 0; i < (size_t)a->width * a->height; i++) {
        if (mask != NULL && !(mask[i] > 0))
            continue;
        for (uint32_t c = 0; c < a->channels; c++) {
            double difference = (double)a->data[i * a->channels + c] - b->data[i * b->channels + c];
            sum += difference * difference;
        }
        count += a->channels;
    }
    return count > 0 ? -10 * log10(sum / count) : 0;
}
