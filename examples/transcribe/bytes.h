/* SPDX-License-Identifier: MIT
 * A file in memory, and a reader of little-endian numbers that never leaves it. */
#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "trouble.h"

struct bytes {
    uint8_t *data;
    size_t size;
};

/* A regular file of at most `most` bytes. */
bool bytes_read(const char *path, size_t most, struct bytes *bytes, struct trouble *trouble);
void bytes_destroy(struct bytes *bytes);

struct cursor {
    const uint8_t *at;
    size_t left;
};

/* `count` bytes, which are stepped over; NULL where fewer are left. */
const uint8_t *cursor_take(struct cursor *cursor, uint64_t count);
/* False, and *value untouched, where fewer bytes are left. */
bool cursor_u32(struct cursor *cursor, uint32_t *value);

uint16_t bytes_u16(const uint8_t *at);
uint32_t bytes_u32(const uint8_t *at);
float bytes_f32(const uint8_t *at);
double bytes_f64(const uint8_t *at);

#endif
