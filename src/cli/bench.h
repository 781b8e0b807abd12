/* SPDX-License-Identifier: MIT
 * heed bench in parts: shapes from text, rows that are timed, ceilings of the device, and what is made of the numbers.
 */
#ifndef HEED_CLI_BENCH_H
#define HEED_CLI_BENCH_H

#include <stdio.h>

#include "problem.h"
#include "run.h"

/* ---- bench_shapes.c: lines of text */

struct bench_shape {
    char name[48], model[48]; /* the model is the name of the file, without its folder and .txt */
    char text[256];           /* the line without its name */
    bool quick;               /* belongs to the reduced set */
    bool is_deform;
    bool anywhere; /* deform: samples fall anywhere, not near where their query is */
    union {
        struct heed_attention_desc attention;
        struct heed_deform_desc deform;
    } desc;
};

struct bench_shapes {
    struct bench_shape *shape;
    uint32_t count;
};

/* Adds the shapes of a file, or with path NULL those that the program brings. */
bool bench_shapes_read(struct bench_shapes *shapes, const char *path, struct fault *fault);
bool bench_shapes_add(struct bench_shapes *shapes, const char *model, const char *line, struct fault *fault);
/* Keeps those whose name or model is in the list; each word of it must name something. */
bool bench_shapes_keep(struct bench_shapes *shapes, const char *only, struct fault *fault);
void bench_shapes_free(struct bench_shapes *shapes);

/* ---- bench_row.c: one shape, type and kernel */

enum { BENCH_MAX_RUNS = 1024 };

struct bench_stat {
    double median, low, high; /* low, high: the 10th and 90th percentile */
    uint32_t count;
};

/* Sorts the values. */
struct bench_stat bench_stat(double *values, uint32_t count);

struct bench_row {
    const struct bench_shape *shape;
    enum heed_dtype dtype;
    const char *forced; /* the kernel asked for; NULL: what heed selects */
    char skipped[320];  /* why it was not measured; empty: it was */
    bool dropped;       /* asked for by name, but selected already: no row of its own */

    char kernel[64];
    bool selected; /* it is what heed selects */
    bool on_cpu;
    uint32_t dispatches, pipelines, pipelines_shared; /* shared: an earlier row had made them */
    uint64_t flops, samples, scratch_bytes, input_bytes, output_bytes;
    double plan_ns, first_ns; /* making the plan, and its first run, in which some drivers compile */
    /* ns of a run. device.count 0: no timestamps; cpu, of all threads of the process: only where a CPU is the device */
    struct bench_stat device, wall, cpu;

    heed_plan *plan;
    struct heed_arg args[HEED_ARG_COUNT];
    heed_buffer *buffers[HEED_ARG_COUNT];
    uint32_t arg_count, run_count;
    bool slow; /* a run takes longer than three budgets: one has to do */
    double *device_ns, *wall_ns, *cpu_ns;
};

/* The time that rates are computed from: the device's, where it has a clock. */
const struct bench_stat *bench_row_time(const struct bench_row *row);

/* Makes the plan and counts what it needs. False: row->skipped says why. */
bool bench_row_plan(struct session *session, struct bench_row *row);
/* Buffers, data, the first run. */
bool bench_row_begin(struct session *session, struct bench_row *row, double budget_ns);
/* Runs for that long, at least once; a run that does not count comes before where there is time for it. */
bool bench_row_measure(struct session *session, struct bench_row *row, double ns);
/* The statistics; frees plan, buffers and samples. */
void bench_row_end(struct bench_row *row);
uint64_t bench_now_ns(void);

/* ---- bench_ceiling.c: what the device can do at all */

enum bench_ceiling_id {
    BENCH_FMA,  /* 2 FLOP for each fma() of f32, GFLOP/s */
    BENCH_COPY, /* bytes read and bytes written, GB/s */
    BENCH_READ,
    BENCH_MATRIX, /* f16 into f32 on the matrix units, GFLOP/s; 0: there are none, or none that the build knows */
    BENCH_CEILINGS,
};

struct bench_ceilings {
    bool known;
    struct bench_stat rate[BENCH_CEILINGS]; /* GFLOP/s, GB/s */
    double *values[BENCH_CEILINGS];
    uint32_t count;
    struct ceiling_programs *programs;
};

/* The reference has none: true, and known is false. */
bool bench_ceilings_begin(struct session *session, struct bench_ceilings *ceilings, struct fault *fault);
/* Adds a measurement of each and updates the statistics. */
bool bench_ceilings_measure(struct session *session, struct bench_ceilings *ceilings, struct fault *fault);
void bench_ceilings_end(struct session *session, struct bench_ceilings *ceilings);

enum bench_bound { BENCH_BY_FMA, BENCH_BY_MATRIX, BENCH_BY_MEMORY };

/* The time that the ceilings allow for a row, ns, and which of them is the limit. 0: unknown. */
double bench_bound_ns(const struct bench_ceilings *ceilings, const struct bench_row *row, enum bench_bound *by);

/* ---- the whole, and how it is shown */

struct bench_result {
    const struct session *session;
    struct bench_ceilings ceilings;
    struct bench_row *rows;
    uint32_t row_count;
    uint32_t rounds, cliffs;
    double budget_s;
    int argc;
    char *const *argv; /* the arguments, for the record */
};

/* bench_print.c */
/* Four significant digits and the unit: "12.35 ms". */
void bench_time_text(double ns, char text[16]);
void bench_print_head(const struct bench_result *result);
void bench_print_titles(const struct bench_result *result);
void bench_print_row(const struct bench_result *result, const struct bench_row *row);
void bench_print_tail(const struct bench_result *result);
void bench_print_csv(const struct bench_result *result, FILE *stream);
/* bench_sweep.c: sizes around tile edges, with batches for equal work by the ceilings. */
#define BENCH_CLIFF 2.0 /* what neighbours of equal work may differ by */
bool bench_sweep_shapes(struct session *session, const struct bench_ceilings *ceilings, const char *only,
                        struct bench_shapes *shapes, struct fault *fault);
/* Is the row too far from the one before it, whose size is one less? *ratio: of their costs. */
bool bench_sweep_is_cliff(const struct bench_result *result, uint32_t index, double *ratio);
void bench_sweep_print(const struct bench_result *result, bool all);
/* bench_json.c */
void bench_write_json(const struct bench_result *result, FILE *stream);
/* bench_picture.c: an SVG. */
bool bench_write_picture(const struct bench_result *result, FILE *stream, struct fault *fault);
/* bench_compare.c: prints what two files of bench_write_json differ in. False also when something is slower. */
bool bench_compare(const char *const path[2], double threshold, struct fault *fault);

#endif
