/* SPDX-License-Identifier: MIT
 * Element conversions between .npy files, which are little endian, and device tensors. */
#include "convert.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "dtype.h"

static uint64_t load_bits(const unsigned char *b, uint32_t bytes)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < bytes; i++)
        bits |= (uint64_t)b[i] << 8 * i;
    return bits;
}

static double load_float(const unsigned char *b, uint32_t bytes)
{
    uint64_t bits = load_bits(b, bytes);
    if (bytes == 2)
        return heed_f16_to_f32((uint16_t)bits);
    if (bytes == 4) {
        uint32_t half = (uint32_t)bits;
        float value;
        memcpy(&value, &half, sizeof value);
        return value;
    }
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double largest(enum heed_dtype dtype)
{
    return dtype == HEED_F16 ? 65504.0 : dtype == HEED_BF16 ? 0x1.fep127 : FLT_MAX;
}

static bool convert_float(const struct npy_file *file, uint64_t number, double value, enum heed_dtype to,
                          enum convert_overflow overflow, void *elements, size_t i, struct fault *fault)
{
    heed_dtype_store(elements, to, i, value);
    if (isfinite(value) && fabs(value) > 65000.0 && isinf(heed_dtype_load(elements, to, i))) {
        if (overflow == CONVERT_REFUSE)
            return fault_failed(fault, "%s: element %" PRIu64 " is %g, beyond the %g of %s", file->name, number, value,
                                largest(to), heed_dtype_name(to));
        heed_dtype_store(elements, to, i, copysign(largest(to), value));
    }
    return true;
}

static bool convert_integer(const struct npy_file *file, uint64_t number, uint64_t bits, enum heed_dtype to,
                            void *elements, size_t i, struct fault *fault)
{
    uint32_t width = 8 * file->npy.item_bytes;
    bool negative = file->npy.kind == 'i' && bits >> (width - 1) & 1;
    if (negative && width < 64)
        bits |= UINT64_MAX << width;
    uint64_t magnitude = negative ? 0 - bits : bits;
    if (magnitude <= UINT64_C(1) << 53) {
        double value = negative ? -(double)magnitude : (double)magnitude;
        heed_dtype_store(elements, to, i, value);
        if (heed_dtype_load(elements, to, i) == value)
            return true;
    }
    return fault_failed(fault, "%s: element %" PRIu64 " is %s%" PRIu64 ", which %s cannot hold exactly", file->name,
                        number, negative ? "-" : "", magnitude, heed_dtype_name(to));
}

bool convert_elements(const struct npy_file *file, uint64_t first, const void *from, size_t count, enum heed_dtype to,
                      enum convert_overflow overflow, void *elements, struct fault *fault)
{
    const unsigned char *b = from;
    uint32_t bytes = file->npy.item_bytes;
    for (size_t i = 0; i < count; i++, b += bytes) {
        switch (file->npy.kind) {
        case 'f':
            if (!convert_float(file, first + i, load_float(b, bytes), to, overflow, elements, i, fault))
                return false;
            break;
        case 'b':
            if (*b > 1)
                return fault_failed(fault, "%s: element %" PRIu64 " is the byte %u; a boolean is 0 or 1", file->name,
                                    first + i, *b);
            heed_dtype_store(elements, to, i, *b);
            break;
        default:
            if (!convert_integer(file, first + i, load_bits(b, bytes), to, elements, i, fault))
                return false;
        }
    }
    return true;
}

uint32_t convert_npy_bytes(enum heed_dtype dtype)
{
    return dtype == HEED_F16 ? 2 : 4;
}

void convert_to_npy(enum heed_dtype from, const void *elements, size_t count, unsigned char *bytes)
{
    uint32_t width = convert_npy_bytes(from);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        if (from == HEED_F16) {
            bits = ((const uint16_t *)elements)[i];
        } else {
            float value = (float)heed_dtype_load(elements, from, i);
            memcpy(&bits, &value, sizeof bits);
        }
        for (uint32_t j = 0; j < width; j++)
            *bytes++ = (unsigned char)(bits >> 8 * j);
    }
}
