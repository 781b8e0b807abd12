/* SPDX-License-Identifier: MIT
 * Element types on the host: conversions that round once, to nearest even. */
#ifndef HEED_DTYPE_H
#define HEED_DTYPE_H

#include <heed/heed.h>

/* From double, so that nothing rounds twice; a float argument widens exactly. Too large becomes infinity, NaN stays a
 * (quiet) NaN with its sign, denormals are kept. */
uint16_t heed_f64_to_f16(double value);
uint16_t heed_f64_to_bf16(double value);
/* Every value of these types is a float. */
float heed_f16_to_f32(uint16_t bits);
float heed_bf16_to_f32(uint16_t bits);

/* Element `index` of a tensor of that type, exactly. `tensor` is aligned to its element. */
double heed_dtype_load(const void *tensor, enum heed_dtype dtype, uint64_t index);
/* Rounds to the type: integers to nearest even, clamped (NaN is 0); bool is value != 0. */
void heed_dtype_store(void *tensor, enum heed_dtype dtype, uint64_t index, double value);

#endif
