/* SPDX-License-Identifier: MIT
 * Element types on the host: conversions that round once, to nearest even. */
#ifndef HEED_DTYPE_H
#define HEED_DTYPE_H

#include <heed/heed.h>

/* What f32 is between the ops of a pipeline on the reference: no type of the API. */
#define HEED_F64 ((enum heed_dtype)64)

enum { HEED_Q8_0_NUMBERS = 32, HEED_Q8_0_BYTES = 34 };

/* From double, so that nothing rounds twice; a float argument widens exactly. Too large becomes infinity, NaN stays a
 * (quiet) NaN with its sign, denormals are kept. */
uint16_t heed_f64_to_f16(double value);
uint16_t heed_f64_to_bf16(double value);
/* Every value of these types is a float. */
float heed_f16_to_f32(uint16_t bits);
float heed_bf16_to_f32(uint16_t bits);

/* Bytes that an element, or a block of quantised ones, is aligned to. */
size_t heed_dtype_alignment(enum heed_dtype dtype);
/* Bytes of so many adjacent elements; q8_0: whole blocks. */
uint64_t heed_dtype_bytes(enum heed_dtype dtype, uint64_t count);

/* Element `index` of a tensor of that type, exactly. `tensor` is aligned to its element. */
double heed_dtype_load(const void *tensor, enum heed_dtype dtype, uint64_t index);
/* Rounds to the type: integers to nearest even, clamped (NaN is 0); bool is value != 0. */
void heed_dtype_store(void *tensor, enum heed_dtype dtype, uint64_t index, double value);

#endif
