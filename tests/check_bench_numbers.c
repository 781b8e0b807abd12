/* SPDX-License-Identifier: MIT
 * The arithmetic of heed bench: percentiles, bounds by the ceilings, cliffs. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

START_TEST(percentiles)
{
    double few[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, many[101];
    struct bench_stat s = bench_stat(few, 3);
    ck_assert_double_eq(s.median, 2);
    ck_assert_double_eq(s.low, 1);
    ck_assert_double_eq(s.high, 3);
    ck_assert_double_eq(bench_stat(even, 4).median, 2.5);
    for (int i = 0; i <= 100; i++)
        many[i] = 100 - i;
    s = bench_stat(many, 101);
    ck_assert_double_eq(s.median, 50);
    ck_assert_double_eq(s.low, 10);
    ck_assert_double_eq(s.high, 90);
    ck_assert_uint_eq(s.count, 101);
    ck_assert_uint_eq(bench_stat(many, 0).count, 0);
}
END_TEST

static struct bench_ceilings ceilings(double fma, double copy, double read)
{
    struct bench_ceilings c = {.known = true};
    c.rate[BENCH_FMA].median = fma;
    c.rate[BENCH_COPY].median = copy;
    c.rate[BENCH_READ].median = read;
    return c;
}

START_TEST(bounds)
{
    struct bench_ceilings c = ceilings(100, 20, 20), unknown = {.known = false};
    struct bench_row row = {.flops = 1000000, .input_bytes = 40000, .output_bytes = 40000};
    enum bench_bound by;
    ck_assert_double_eq_tol(bench_bound_ns(&c, &row, &by), 10000, 1e-6);
    ck_assert_int_eq(by, BENCH_BY_FMA);
    c.rate[BENCH_MATRIX].median = 200;
    ck_assert_double_eq_tol(bench_bound_ns(&c, &row, &by), 10000, 1e-6); /* f32 does not run there */
    row.dtype = HEED_BF16;
    ck_assert_double_eq_tol(bench_bound_ns(&c, &row, &by), 5000, 1e-6);
    ck_assert_int_eq(by, BENCH_BY_MATRIX);
    row.flops = 10;
    /* At 20 GB/s for a copy and for a read, a byte in and a byte out take 0.05 ns each. */
    ck_assert_double_eq_tol(bench_bound_ns(&c, &row, &by), 4000, 1e-6);
    ck_assert_int_eq(by, BENCH_BY_MEMORY);
    /* A read at 40 GB/s leaves 0.1 - 0.025 ns for a written byte. */
    c = ceilings(100, 20, 40);
    ck_assert_double_eq_tol(bench_bound_ns(&c, &row, &by), 4000, 1e-6);
    row.output_bytes = 0;
    ck_assert_double_eq_tol(bench_bound_ns(&c, &row, &by), 1000, 1e-6);
    ck_assert_double_eq(bench_bound_ns(&unknown, &row, &by), 0);
}
END_TEST

START_TEST(cliffs)
{
    struct bench_shape shapes[4];
    struct bench_row rows[4];
    struct bench_result result = {.ceilings = ceilings(1, 20, 20), .rows = rows, .row_count = 4};
    double ratio;
    memset(shapes, 0, sizeof shapes);
    memset(rows, 0, sizeof rows);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"dim-63", "dim-64", "dim-65", "dim-67"};
        strcpy(shapes[i].name, names[i]);
        strcpy(shapes[i].model, "dim");
        shapes[i].is_deform = true;
        rows[i].shape = &shapes[i];
        rows[i].flops = 1000;
        rows[i].device = (struct bench_stat){.median = 5000, .low = 1000, .high = 9000, .count = 9};
    }
    rows[1].device.low = 1900;
    rows[2].device.low = 4000;
    rows[3].device.low = 90000;
    ck_assert(!bench_sweep_is_cliff(&result, 0, &ratio));
    ck_assert(!bench_sweep_is_cliff(&result, 1, &ratio));
    ck_assert_double_eq_tol(ratio, 1.9, 1e-9);
    ck_assert(bench_sweep_is_cliff(&result, 2, &ratio));
    ck_assert(!bench_sweep_is_cliff(&result, 3, &ratio)); /* 65 and 67 are no neighbours */
    rows[2].flops = 2000;                                 /* twice the work may take twice the time */
    ck_assert(!bench_sweep_is_cliff(&result, 2, &ratio));
    rows[2].flops = 1000;
    rows[2].device.low = 900; /* it is the smaller one that is too slow */
    ck_assert(bench_sweep_is_cliff(&result, 2, &ratio));
    strcpy(rows[1].skipped, "a reason");
    ck_assert(!bench_sweep_is_cliff(&result, 2, &ratio));
    rows[1].skipped[0] = '\0';
    rows[1].dtype = HEED_F16;
    ck_assert(!bench_sweep_is_cliff(&result, 2, &ratio));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_bench_numbers");
    TCase *tcase = tcase_create("numbers");
    tcase_add_test(tcase, percentiles);
    tcase_add_test(tcase, bounds);
    tcase_add_test(tcase, cliffs);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
