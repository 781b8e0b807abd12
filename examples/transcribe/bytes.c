/* SPDX-License-Identifier: MIT
 * A file in memory, and a reader of little-endian numbers that never leaves it. */
#include "bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool bytes_read(const char *path, size_t most, struct bytes *bytes, struct trouble *trouble)
{
    struct stat about;
    *bytes = (struct bytes){0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return trouble_set(trouble, "%s: %s", path, strerror(errno));
    bool ok = true;
    if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode))
        ok = trouble_set(trouble, "%s: not a regular file", path);
    else if ((uint64_t)about.st_size > most)
        ok = trouble_set(trouble, "%s: %" PRIu64 " bytes are more than the %zu that are read", path,
                         (uint64_t)about.st_size, most);
    size_t size = ok ? (size_t)about.st_size : 0;
    if (ok && (bytes->data = malloc(size > 0 ? size : 1)) == NULL)
        ok = trouble_set(trouble, "%s: no memory for its %zu bytes", path, size);
    if (ok && (bytes->size = fread(bytes->data, 1, size, file)) < size)
        ok = trouble_set(trouble, "%s: %s", path, ferror(file) ? strerror(errno) : "became shorter while it was read");
    fclose(file);
    if (!ok)
        bytes_destroy(bytes);
    return ok;
}

void bytes_destroy(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

const uint8_t *cursor_take(struct cursor *cursor, uint64_t count)
{
    const uint8_t *at = cursor->at;
    if (count > cursor->left)
        return NULL;
    cursor->at += count;
    cursor->left -= (size_t)count;
    return at;
}

bool cursor_u32(struct cursor *cursor, uint32_t *value)
{
    const uint8_t *at = cursor_take(cursor, 4);
    if (at != NULL)
        *value = bytes_u32(at);
    return at != NULL;
}

uint16_t bytes_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

uint32_t bytes_u32(const uint8_t *at)
{
    return bytes_u16(at) | (uint32_t)bytes_u16(at + 2) << 16;
}

float bytes_f32(const uint8_t *at)
{
    uint32_t word = bytes_u32(at);
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

double bytes_f64(const uint8_t *at)
{
    uint64_t word = bytes_u32(at) | (uint64_t)bytes_u32(at + 4) << 32;
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}
