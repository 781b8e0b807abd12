/* SPDX-License-Identifier: MIT
 * f16 and bf16 on the host: every bit pattern against what the format's definition says, and every place where rounding
 * turns. */
#include "dtype.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct format {
    enum heed_dtype dtype;
    int exponent_bits, mantissa_bits;
    float (*widen)(uint16_t bits);
    uint16_t (*narrow)(double value);
};

static const struct format formats[] = {
    {HEED_F16, 5, 10, heed_f16_to_f32, heed_f64_to_f16},
    {HEED_BF16, 8, 7, heed_bf16_to_f32, heed_f64_to_bf16},
};

/* (-1)^sign 2^(exponent - bias) 1.mantissa, or 2^(1 - bias) 0.mantissa: IEEE 754's own words. */
static double defined_value(const struct format *f, uint16_t bits)
{
    int bias = (1 << (f->exponent_bits - 1)) - 1, all_ones = (1 << f->exponent_bits) - 1;
    int exponent = bits >> f->mantissa_bits & all_ones;
    double fraction = ldexp(bits & ((1 << f->mantissa_bits) - 1), -f->mantissa_bits);
    double sign = bits >> 15 ? -1 : 1;
    if (exponent == all_ones)
        return fraction == 0 ? sign * INFINITY : NAN;
    return sign * (exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, exponent - bias));
}

static uint16_t largest_finite(const struct format *f)
{
    return (uint16_t)((((1 << f->exponent_bits) - 1) << f->mantissa_bits) - 1);
}

static bool is_nan_bits(const struct format *f, uint16_t bits)
{
    return (bits & 0x7fff) > largest_finite(f) + 1;
}

START_TEST(every_pattern_widens_to_its_value)
{
    const struct format *f = &formats[_i];
    for (uint32_t bits = 0; bits < 65536; bits++) {
        double expected = defined_value(f, (uint16_t)bits);
        float got = f->widen((uint16_t)bits);
        ck_assert_msg(isnan(expected) ? isnan(got) != 0 : (double)got == expected, "%s 0x%04x is %g, not %g",
                      heed_dtype_name(f->dtype), bits, expected, (double)got);
        ck_assert_msg(isnan(expected) || !signbit(got) == !(bits >> 15), "%s 0x%04x lost its sign",
                      heed_dtype_name(f->dtype), bits);
    }
}
END_TEST

START_TEST(every_value_narrows_to_itself)
{
    const struct format *f = &formats[_i];
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t got = f->narrow(defined_value(f, (uint16_t)bits));
        if (is_nan_bits(f, (uint16_t)bits))
            ck_assert_msg(is_nan_bits(f, got), "%s NaN 0x%04x became 0x%04x", heed_dtype_name(f->dtype), bits, got);
        else
            ck_assert_msg(got == bits, "%s 0x%04x became 0x%04x", heed_dtype_name(f->dtype), bits, got);
    }
}
END_TEST

/* Between two neighbours: the middle goes to the even one, a hair more or less to the nearer one. The middle and its
 * neighbours in double are exact, so this also sees a conversion that rounds twice. */
START_TEST(rounds_to_nearest_even)
{
    const struct format *f = &formats[_i];
    for (uint32_t bits = 0; bits < largest_finite(f); bits++) {
        double low = defined_value(f, (uint16_t)bits), high = defined_value(f, (uint16_t)(bits + 1));
        double middle = low + (high - low) / 2;
        uint16_t even = (uint16_t)(bits & 1 ? bits + 1 : bits);
        ck_assert_msg(f->narrow(middle) == even, "middle above 0x%04x", bits);
        ck_assert_msg(f->narrow(nextafter(middle, 0)) == bits, "below the middle above 0x%04x", bits);
        ck_assert_msg(f->narrow(nextafter(middle, INFINITY)) == bits + 1, "above the middle above 0x%04x", bits);
        ck_assert_msg(f->narrow(-middle) == (even | 0x8000), "negative middle above 0x%04x", bits);
    }
}
END_TEST

START_TEST(overflows_to_infinity_and_underflows_to_zero)
{
    const struct format *f = &formats[_i];
    uint16_t top = largest_finite(f), infinity = (uint16_t)(top + 1);
    double largest = defined_value(f, top), previous = defined_value(f, (uint16_t)(top - 1));
    double edge =
        largest + (largest - previous) / 2; /* where the next number would begin to be nearer: even, infinity */
    ck_assert_uint_eq(f->narrow(nextafter(edge, 0)), top);
    ck_assert_uint_eq(f->narrow(edge), infinity);
    ck_assert_uint_eq(f->narrow(-1e300), infinity | 0x8000);
    ck_assert_uint_eq(f->narrow(INFINITY), infinity);
    double half_smallest = defined_value(f, 1) / 2;
    ck_assert_uint_eq(f->narrow(half_smallest), 0);
    ck_assert_uint_eq(f->narrow(nextafter(half_smallest, 1)), 1);
    ck_assert_uint_eq(f->narrow(5e-324), 0);
    ck_assert_uint_eq(f->narrow(-1e-300), 0x8000);
    ck_assert_uint_eq(f->narrow(-0.0), 0x8000);
    ck_assert(is_nan_bits(f, f->narrow(-NAN)));
}
END_TEST

START_TEST(known_patterns)
{
    ck_assert_uint_eq(heed_f64_to_f16(1.0), 0x3c00);
    ck_assert_uint_eq(heed_f64_to_f16(65504.0), 0x7bff);
    ck_assert_uint_eq(heed_f64_to_f16(65520.0), 0x7c00);
    ck_assert_uint_eq(heed_f64_to_f16(0.1), 0x2e66);
    ck_assert_uint_eq(heed_f64_to_f16(6.103515625e-05), 0x0400); /* 2^-14 */
    ck_assert_uint_eq(heed_f64_to_bf16(1.0), 0x3f80);
    ck_assert_uint_eq(heed_f64_to_bf16(3.140625), 0x4049);
    ck_assert_uint_eq(heed_f64_to_bf16(-2.5), 0xc020);
    /* 1 + 2^-11 + 2^-40 is above the middle of 1 and 1 + 2^-10; rounded to f32 first it would be the middle. */
    ck_assert_uint_eq(heed_f64_to_f16(1 + 0x1p-11 + 0x1p-40), 0x3c01);
}
END_TEST

START_TEST(tensors_load_and_store)
{
    union {
        float f32[4];
        uint16_t u16[4];
        uint8_t u8[4];
        int32_t i32[4];
    } tensor;
    static const double values[] = {1.5, -2.0, 0.0, 3.25};
    static const enum heed_dtype floats[] = {HEED_F32, HEED_F16, HEED_BF16};
    for (int t = 0; t < 3; t++) {
        memset(&tensor, 0xff, sizeof tensor);
        for (uint64_t i = 0; i < 4; i++)
            heed_dtype_store(&tensor, floats[t], i, values[i]);
        for (uint64_t i = 0; i < 4; i++)
            ck_assert_double_eq(heed_dtype_load(&tensor, floats[t], i), values[i]);
    }
    for (uint64_t i = 0; i < 4; i++)
        heed_dtype_store(&tensor, HEED_BOOL, i, values[i]);
    ck_assert_mem_eq(tensor.u8, ((uint8_t[]){1, 1, 0, 1}), 4);
    static const double integers[] = {2.5, -1e30, 1e30, NAN};
    for (uint64_t i = 0; i < 4; i++)
        heed_dtype_store(&tensor, HEED_I32, i, integers[i]);
    ck_assert_int_eq(tensor.i32[0], 2);
    ck_assert_int_eq(tensor.i32[1], INT32_MIN);
    ck_assert_int_eq(tensor.i32[2], INT32_MAX);
    ck_assert_int_eq(tensor.i32[3], 0);
}
END_TEST

START_TEST(names_and_sizes)
{
    static const struct {
        enum heed_dtype dtype;
        size_t size;
        const char *name;
    } types[] = {
        {HEED_F32, 4, "f32"},   {HEED_F16, 2, "f16"}, {HEED_BF16, 2, "bf16"},
        {HEED_BOOL, 1, "bool"}, {HEED_I32, 4, "i32"},
    };
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(heed_dtype_size(types[i].dtype), types[i].size);
        ck_assert_str_eq(heed_dtype_name(types[i].dtype), types[i].name);
    }
    ck_assert_uint_eq(heed_dtype_size((enum heed_dtype)5), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dtype");
    TCase *tests = tcase_create("conversions");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, every_pattern_widens_to_its_value, 0, 2);
    tcase_add_loop_test(tests, every_value_narrows_to_itself, 0, 2);
    tcase_add_loop_test(tests, rounds_to_nearest_even, 0, 2);
    tcase_add_loop_test(tests, overflows_to_infinity_and_underflows_to_zero, 0, 2);
    tcase_add_test(tests, known_patterns);
    tcase_add_test(tests, tensors_load_and_store);
    tcase_add_test(tests, names_and_sizes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
