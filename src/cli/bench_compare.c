/* SPDX-License-Identifier: MIT
 * Two results of heed bench --json against each other: what has become slower, first. */
#include "bench.h"

#ifndef HEED_HAVE_JANSSON

bool bench_compare(const char *const path[2], double threshold, struct fault *fault)
{
    (void)path, (void)threshold;
    return fault_failed(fault, "this heed was built without jansson, which --compare reads JSON with");
}

#else

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum verdict { SLOWER, UNSURE, SAME, FASTER, VERDICTS };

static const char *const verdict_names[VERDICTS] = {"slower", "unsure", "same", "faster"};

struct pair {
    const char *shape, *dtype, *kernel[2];
    struct bench_stat time[2];
    double ratio;
    enum verdict verdict;
};

/* ---- reading */

static json_t *load(const char *path, struct fault *fault)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!root) {
        if (error.line < 0)
            fault_failed(fault, "%s", error.text);
        else
            fault_failed(fault, "%s:%d: %s", path, error.line, error.text);
        return NULL;
    }
    if (json_is_array(json_object_get(root, "rows")) && json_is_object(json_object_get(root, "device")))
        return root;
    json_decref(root);
    fault_failed(fault, "%s: no result of heed bench --json: it has no device or no rows", path);
    return NULL;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

/* count 0: it is not there, or not as heed bench writes it. */
static struct bench_stat stat_of(const json_t *row, const char *key)
{
    const json_t *object = json_object_get(row, key);
    struct bench_stat s = {
        .median = json_number_value(json_object_get(object, "median")),
        .low = json_number_value(json_object_get(object, "p10")),
        .high = json_number_value(json_object_get(object, "p90")),
        .count = (uint32_t)json_number_value(json_object_get(object, "count")),
    };
    if (!(s.low > 0 && s.low <= s.median && s.median <= s.high))
        s.count = 0;
    return s;
}

static bool selected(const json_t *row)
{
    return json_is_true(json_object_get(row, "selected"));
}

/* The same shape in the same type, by what heed selected then and now, or by the same kernel asked for by name. */
static const json_t *counterpart(const json_t *rows, const json_t *row)
{
    size_t i;
    json_t *other;
    json_array_foreach(rows, i, other)
    {
        if (strcmp(text(other, "shape"), text(row, "shape")) == 0 &&
            strcmp(text(other, "dtype"), text(row, "dtype")) == 0 &&
            strcmp(text(other, "problem"), text(row, "problem")) == 0 && selected(other) == selected(row) &&
            (selected(row) || strcmp(text(other, "kernel"), text(row, "kernel")) == 0))
            return other;
    }
    return NULL;
}

/* ---- judging */

/* Fewer runs have no spread to speak of. */
enum { RUNS_WITH_SPREAD = 3 };

static enum verdict judge(const struct pair *p, double threshold)
{
    if (p->ratio <= threshold && p->ratio >= 1.0 / threshold)
        return SAME;
    if (p->time[0].count < RUNS_WITH_SPREAD || p->time[1].count < RUNS_WITH_SPREAD)
        return UNSURE;
    if (p->ratio > threshold)
        return p->time[1].low > p->time[0].high ? SLOWER : UNSURE;
    return p->time[1].high < p->time[0].low ? FASTER : UNSURE;
}

static int slowest_first(const void *a, const void *b)
{
    double x = ((const struct pair *)a)->ratio, y = ((const struct pair *)b)->ratio;
    return (x < y) - (x > y);
}

/* *clock is "device_ns" where every pair has it, else "wall_ns". */
static uint32_t find_pairs(const json_t *a, const json_t *b, const char *clock, double threshold, struct pair *pairs)
{
    uint32_t count = 0;
    size_t i;
    json_t *row;
    json_array_foreach(a, i, row)
    {
        const json_t *other = counterpart(b, row);
        struct pair p = {
            .shape = text(row, "shape"),
            .dtype = text(row, "dtype"),
            .kernel = {text(row, "kernel"), other ? text(other, "kernel") : ""},
            .time = {stat_of(row, clock), other ? stat_of(other, clock) : (struct bench_stat){0, 0, 0, 0}},
        };
        if (p.time[0].count == 0 || p.time[1].count == 0)
            continue;
        p.ratio = p.time[1].median / p.time[0].median;
        p.verdict = judge(&p, threshold);
        pairs[count++] = p;
    }
    qsort(pairs, count, sizeof *pairs, slowest_first);
    return count;
}

/* ---- showing */

static void print_head(const json_t *root, char letter, const char *path)
{
    const json_t *device = json_object_get(root, "device");
    printf("%c  %s: heed %s on %s (%s), %s\n", letter, path, text(root, "heed"), text(device, "name"),
           text(device, "driver"), text(root, "date"));
}

/* A machine that is slower as a whole says nothing about the kernels. */
static void print_ceilings(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"fma_gflops", "copy_gbytes_per_s", "read_gbytes_per_s", "matrix_f16_gflops"};
    static const char *const names[] = {"FMA", "copy", "read", "matrix units (f16)"}, *const units[] = {"GFLOP/s",
                                                                                                        "GB/s", "GB/s",
                                                                                                        "GFLOP/s"};
    const json_t *of_a = json_object_get(a, "ceilings"), *of_b = json_object_get(b, "ceilings");
    if (!of_a || !of_b)
        return;
    printf("ceilings, A to B:");
    for (int i = 0; i < 4; i++)
        if (json_object_get(of_a, keys[i]) || json_object_get(of_b, keys[i]))
            printf("%s %s %.1f to %.1f %s", i > 0 ? "," : "", names[i], stat_of(of_a, keys[i]).median,
                   stat_of(of_b, keys[i]).median, units[i]);
    putchar('\n');
}

static void print_pairs(const struct pair *pairs, uint32_t count)
{
    int width = 5;
    for (uint32_t i = 0; i < count; i++)
        if ((int)strlen(pairs[i].shape) > width)
            width = (int)strlen(pairs[i].shape);
    printf("\n%-7s %-*s %-4s %9s %9s %6s %15s  %s\n", "", width, "shape", "type", "time A", "time B", "B / A",
           "p10 to p90", "kernel");
    for (uint32_t i = 0; i < count; i++) {
        const struct pair *p = &pairs[i];
        char a[16], b[16], range[32];
        bench_time_text(p->time[0].median, a);
        bench_time_text(p->time[1].median, b);
        snprintf(range, sizeof range, "%.2f to %.2f", p->time[1].low / p->time[0].high,
                 p->time[1].high / p->time[0].low);
        printf("%-7s %-*s %-4s %9s %9s %6.2f %15s  %s", verdict_names[p->verdict], width, p->shape, p->dtype, a, b,
               p->ratio, range, p->kernel[0]);
        if (strcmp(p->kernel[0], p->kernel[1]) != 0)
            printf(" -> %s", p->kernel[1]);
        putchar('\n');
    }
}

/* Rows of `rows` without a measured counterpart in `others`. */
static void print_alone(const json_t *rows, const json_t *others, char letter)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const json_t *other = counterpart(others, row);
        if (json_object_get(row, "skipped") || (other && !json_object_get(other, "skipped")))
            continue;
        printf("only %c  %s %s %s%s%s\n", letter, text(row, "shape"), text(row, "dtype"), text(row, "kernel"),
               other ? ": the other skipped it, " : "", other ? text(other, "skipped") : "");
    }
}

static bool compare(json_t *const root[2], const char *const path[2], double threshold, struct fault *fault)
{
    const json_t *rows[2] = {json_object_get(root[0], "rows"), json_object_get(root[1], "rows")};
    struct pair *pairs = calloc(json_array_size(rows[0]) + 1, sizeof *pairs);
    if (!pairs)
        return fault_failed(fault, "out of host memory");
    const char *clock = "device_ns";
    uint32_t count = find_pairs(rows[0], rows[1], "wall_ns", threshold, pairs);
    if (find_pairs(rows[0], rows[1], clock, threshold, pairs) < count) {
        clock = "wall_ns";
        find_pairs(rows[0], rows[1], clock, threshold, pairs);
    }
    uint32_t tally[VERDICTS] = {0};
    for (uint32_t i = 0; i < count; i++)
        tally[pairs[i].verdict]++;
    print_head(root[0], 'A', path[0]);
    print_head(root[1], 'B', path[1]);
    print_ceilings(root[0], root[1]);
    printf("times: %s\n", strcmp(clock, "wall_ns") == 0 ? "wall" : "the device's clock");
    if (count > 0)
        print_pairs(pairs, count);
    print_alone(rows[0], rows[1], 'A');
    print_alone(rows[1], rows[0], 'B');
    printf("\n%" PRIu32 " slower by more than %.3g and beyond the spread, %" PRIu32 " faster, %" PRIu32
           " the same, %" PRIu32 " unsure: beyond %.3g, but within the "
           "spread or of fewer than %d runs\n",
           tally[SLOWER], threshold, tally[FASTER], tally[SAME], tally[UNSURE], threshold, RUNS_WITH_SPREAD);
    free(pairs);
    if (count == 0)
        return fault_failed(fault, "%s and %s have no shape, type and kernel in common", path[0], path[1]);
    return tally[SLOWER] == 0 || fault_failed(fault, "%" PRIu32 " of %" PRIu32 " rows of %s are slower than in %s",
                                              tally[SLOWER], count, path[1], path[0]);
}

bool bench_compare(const char *const path[2], double threshold, struct fault *fault)
{
    json_t *root[2] = {load(path[0], fault), NULL};
    root[1] = root[0] ? load(path[1], fault) : NULL;
    bool done = root[1] && compare(root, path, threshold, fault);
    json_decref(root[0]);
    json_decref(root[1]);
    return done;
}

#endif
