/* SPDX-License-Identifier: MIT
 * Files of safetensors (huggingface/safetensors): named tensors behind a JSON header. Read strictly, as the format's
 * own reader does: everything that it refuses is refused here with a sentence. */
#ifndef HEED_CLI_SAFETENSORS_H
#define HEED_CLI_SAFETENSORS_H

#include <heed/heed.h>

#include <stddef.h>
#include <stdio.h>

#include "fault.h"

enum {
    SAFETENSORS_MAX_HEADER = 100000000, /* bytes: the format's own limit */
    SAFETENSORS_MAX_RANK = 8,
    SAFETENSORS_SHAPE_TEXT = 24 * SAFETENSORS_MAX_RANK,
};

/* An element type of the format. */
struct safetensors_type {
    const char *name; /* "BF16" */
    uint32_t bits;
    int dtype; /* enum heed_dtype of the same elements, or -1 */
};

struct safetensors_tensor {
    const char *name;
    const struct safetensors_type *type;
    uint32_t rank;
    uint64_t shape[SAFETENSORS_MAX_RANK];
    uint64_t count; /* of elements */
    uint64_t begin; /* of its data, in bytes from the first byte behind the header */
    uint64_t bytes;
};

struct safetensors {
    struct json_t *header;              /* owns the names */
    struct safetensors_tensor *tensors; /* in the order of their data */
    size_t count;
};

/* How many bytes of JSON follow the first 8 of a file of file_bytes; `bytes` of it are there. `name`, of the file, is
 * for messages. */
bool safetensors_header_bytes(const void *start, size_t bytes, uint64_t file_bytes, const char *name, size_t *header,
                              struct fault *fault);
/* The header, and how many bytes of data follow it. A file that passes has each byte of its data in exactly one tensor,
 * and each tensor as many bytes as its shape and type take. Clear what was parsed. */
bool safetensors_parse(const char *header, size_t header_bytes, uint64_t data_bytes, const char *name,
                       struct safetensors *safetensors, struct fault *fault);
void safetensors_clear(struct safetensors *safetensors);

/* NULL: there is none of that name. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *safetensors, const char *name);

struct safetensors_file {
    const char *name; /* of the file */
    FILE *stream;     /* NULL: not open */
    uint64_t data_offset;
    struct safetensors content;
};

bool safetensors_open(const char *name, struct safetensors_file *file, struct fault *fault);
/* A file that is not open is allowed. */
void safetensors_close(struct safetensors_file *file);
/* Elements first .. first + count - 1 of a tensor of 8, 16 or 32 bits, in the byte order of the host. */
bool safetensors_read(struct safetensors_file *file, const struct safetensors_tensor *tensor, uint64_t first,
                      size_t count, void *elements, struct fault *fault);

/* "[2, 77, 64]", "[]". */
void safetensors_shape_text(const uint64_t *shape, uint32_t rank, char text[SAFETENSORS_SHAPE_TEXT]);

/* What a file begins with that holds these tensors, of f32, f16 or bf16, one behind the other: the length, and the
 * header, padded so that the data begin at a multiple of 8. Sets begin, bytes and count. free() it; NULL: fault is set.
 */
char *safetensors_header(struct safetensors_tensor *tensors, size_t count, size_t *bytes, struct fault *fault);
const struct safetensors_type *safetensors_type_of(enum heed_dtype dtype);

#endif
