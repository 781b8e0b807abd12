/* SPDX-License-Identifier: MIT
 * Element types on the host: names, sizes and conversions. */
#include "dtype.h"

#include <math.h>
#include <string.h>

size_t heed_dtype_size(enum heed_dtype dtype)
{
    switch (dtype) {
    case HEED_F32:
    case HEED_I32:
        return 4;
    case HEED_F16:
    case HEED_BF16:
        return 2;
    case HEED_BOOL:
        return 1;
    case HEED_Q8_0:
        break;
    }
    return 0;
}

const char *heed_dtype_name(enum heed_dtype dtype)
{
    switch (dtype) {
    case HEED_F32:
        return "f32";
    case HEED_F16:
        return "f16";
    case HEED_BF16:
        return "bf16";
    case HEED_BOOL:
        return "bool";
    case HEED_I32:
        return "i32";
    case HEED_Q8_0:
        return "q8_0";
    }
    return "unknown";
}

size_t heed_dtype_alignment(enum heed_dtype dtype)
{
    return dtype == HEED_Q8_0 ? 2 : dtype == HEED_F64 ? 8 : heed_dtype_size(dtype);
}

uint64_t heed_dtype_bytes(enum heed_dtype dtype, uint64_t count)
{
    return dtype == HEED_Q8_0 ? count / HEED_Q8_0_NUMBERS * HEED_Q8_0_BYTES : count * heed_dtype_alignment(dtype);
}

/* A binary float of 16 bits with that many exponent and mantissa bits, nearest to value, ties to even. */
static uint16_t narrow(double value, int exponent_bits, int mantissa_bits)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 63 << 15);
    uint64_t infinity = ((UINT64_C(1) << exponent_bits) - 1) << mantissa_bits;
    if (isnan(value))
        return (uint16_t)(sign | infinity | UINT64_C(1) << (mantissa_bits - 1));
    int biased = (int)(bits >> 52 & 2047);
    if (biased == 0)
        return sign; /* zero, or a denormal double: far below half of the smallest result */

    int exponent = biased - 1023;
    int exponent_min = 2 - (1 << (exponent_bits - 1)); /* of normal results */
    uint64_t significand = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    int shift = 52 - mantissa_bits + (exponent < exponent_min ? exponent_min - exponent : 0);
    if (shift > 53)
        return sign; /* below half of the smallest denormal */
    uint64_t rounded = significand >> shift;
    uint64_t rest = significand & ((UINT64_C(1) << shift) - 1);
    uint64_t half = UINT64_C(1) << (shift - 1);
    if (rest > half || (rest == half && (rounded & 1)))
        rounded++;
    /* The leading one of a normal significand adds the last 1 to the exponent field; so does a carry from rounding. */
    if (exponent > exponent_min)
        rounded += (uint64_t)(exponent - exponent_min) << mantissa_bits;
    return (uint16_t)(sign | (rounded < infinity ? rounded : infinity));
}

uint16_t heed_f64_to_f16(double value)
{
    return narrow(value, 5, 10);
}

uint16_t heed_f64_to_bf16(double value)
{
    return narrow(value, 8, 7);
}

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float heed_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = bits >> 10 & 31;
    uint32_t mantissa = bits & 1023;
    if (exponent == 0) /* mantissa * 2^-24; exact, and signed zeros stay */
        return sign ? -(float)mantissa * 0x1p-24f : (float)mantissa * 0x1p-24f;
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000 | mantissa << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

float heed_bf16_to_f32(uint16_t bits)
{
    return float_from_bits((uint32_t)bits << 16);
}

/* ggml's block_q8_0: the scale, then the numbers. */
static double load_q8_0(const unsigned char *tensor, uint64_t index)
{
    const unsigned char *block = tensor + index / HEED_Q8_0_NUMBERS * HEED_Q8_0_BYTES;
    uint16_t scale;
    int8_t number;
    memcpy(&scale, block, sizeof scale);
    memcpy(&number, block + 2 + index % HEED_Q8_0_NUMBERS, sizeof number);
    return (double)heed_f16_to_f32(scale) * number;
}

double heed_dtype_load(const void *tensor, enum heed_dtype dtype, uint64_t index)
{
    if (dtype == HEED_F64)
        return ((const double *)tensor)[index];
    switch (dtype) {
    case HEED_F32:
        return ((const float *)tensor)[index];
    case HEED_F16:
        return heed_f16_to_f32(((const uint16_t *)tensor)[index]);
    case HEED_BF16:
        return heed_bf16_to_f32(((const uint16_t *)tensor)[index]);
    case HEED_BOOL:
        return ((const uint8_t *)tensor)[index] != 0;
    case HEED_I32:
        return ((const int32_t *)tensor)[index];
    case HEED_Q8_0:
        return load_q8_0(tensor, index);
    }
    return NAN;
}

static int32_t round_to_i32(double value)
{
    if (isnan(value))
        return 0;
    value = nearbyint(value);
    return value <= INT32_MIN ? INT32_MIN : value >= INT32_MAX ? INT32_MAX : (int32_t)value;
}

void heed_dtype_store(void *tensor, enum heed_dtype dtype, uint64_t index, double value)
{
    if (dtype == HEED_F64) {
        ((double *)tensor)[index] = value;
        return;
    }
    switch (dtype) {
    case HEED_F32:
        ((float *)tensor)[index] = (float)value;
        break;
    case HEED_F16:
        ((uint16_t *)tensor)[index] = heed_f64_to_f16(value);
        break;
    case HEED_BF16:
        ((uint16_t *)tensor)[index] = heed_f64_to_bf16(value);
        break;
    case HEED_BOOL:
        ((uint8_t *)tensor)[index] = value != 0;
        break;
    case HEED_I32:
        ((int32_t *)tensor)[index] = round_to_i32(value);
        break;
    case HEED_Q8_0: /* never an output */
        break;
    }
}
