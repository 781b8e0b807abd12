/* SPDX-License-Identifier: MIT
 * From the elements of a .npy file to those of a device tensor and back. */
#ifndef HEED_CLI_CONVERT_H
#define HEED_CLI_CONVERT_H

#include "npy.h"

enum convert_overflow {
    CONVERT_REFUSE,   /* a finite number that would become infinite is an error */
    CONVERT_SATURATE, /* it becomes the largest finite one: an additive mask of -1e300 stays "added", not "ruled out" */
};

/* `count` elements, the first of which has number `first` in the file (for messages). Floats round to nearest even;
 * integers must arrive exactly; booleans must be 0 or 1. */
bool convert_elements(const struct npy_file *file, uint64_t first, const void *from, size_t count, enum heed_dtype to,
                      enum convert_overflow overflow, void *elements, struct fault *fault);

/* What a .npy file holds for a tensor of that type: f2 for f16, f4 for f32 and bf16. */
uint32_t convert_npy_bytes(enum heed_dtype dtype);
/* Device elements as bytes of such a file. */
void convert_to_npy(enum heed_dtype from, const void *elements, size_t count, unsigned char *bytes);

#endif
