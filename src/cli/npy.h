/* SPDX-License-Identifier: MIT
 * NumPy's .npy files, versions 1 to 3: little endian, C order, floats, booleans and integers. Everything else is
 * refused with a sentence. */
#ifndef HEED_CLI_NPY_H
#define HEED_CLI_NPY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fault.h"

enum { NPY_MAX_RANK = 8, NPY_MAX_HEADER = 16384, NPY_MAX_ITEM = 8 };

struct npy {
    char kind; /* 'f', 'b' (boolean), 'i' or 'u', as NumPy has it */
    uint32_t item_bytes, rank;
    uint64_t shape[NPY_MAX_RANK];
    uint64_t count; /* of elements; count * item_bytes is what the file holds after its header */
    uint32_t data_offset;
};

/* `start` holds the first `bytes` bytes of a file of file_bytes: all of it, or at least NPY_MAX_HEADER. Sizes are
 * checked before anything is made of them, so a file that passes has exactly the data that its header claims. `name` is
 * for the message. */
bool npy_parse(const void *start, size_t bytes, uint64_t file_bytes, const char *name, struct npy *npy,
               struct fault *fault);

struct npy_file {
    const char *name; /* of the file; NULL: not open */
    FILE *stream;
    struct npy npy;
    uint64_t next; /* element that npy_read gives next */
};

bool npy_open(const char *name, struct npy_file *file, struct fault *fault);
/* A file that is not open is allowed. */
void npy_close(struct npy_file *file);
/* The next `count` elements, as they are in the file. */
bool npy_read(struct npy_file *file, void *elements, size_t count, struct fault *fault);

/* "f4", "b1", "i8". */
void npy_type_name(const struct npy *npy, char text[8]);
/* "(2, 8, 77, 64)", "()", "(5,)": as Python writes it. */
void npy_shape_text(const uint64_t *shape, uint32_t rank, char text[24 * NPY_MAX_RANK]);

/* A version 1 header for float data of that size, padded so that the data begin at a multiple of 64. Gives its length.
 */
size_t npy_header(uint32_t item_bytes, const uint64_t *shape, uint32_t rank, char header[384]);

#endif
