/* SPDX-License-Identifier: MIT
 * heed bench: times attention at the shapes of real models. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"
#include "output.h"
#include "plan.h"

struct values {
    const char *shapes, *only, *dtypes, *json, *picture, *compare[2];
    int kernels; /* -1: not given */
    bool list, quick, csv, sweep;
    enum heed_dtype dtype[3]; /* what `dtypes` says */
    uint32_t dtype_count;
    float budget, threshold;
    uint32_t rounds, memory;
    struct device_options device;
};

enum { ALL_KERNELS = 1 };

#define AT(member) offsetof(struct values, member)

static const struct option options[] = {
    {OPTION_HEADING, "what is timed", NULL, NULL, 0},
    {OPTION_TEXT, "shapes", "FILE", "shapes of your own, a line each, instead of those built in", AT(shapes)},
    {OPTION_TEXT, "only", "NAME,...", "of them those with these names, or of these models", AT(only)},
    {OPTION_FLAG, "quick", NULL, "of them a reduced set, for a shorter time each: seconds instead of minutes",
     AT(quick)},
    {OPTION_FLAG, "list", NULL, "print the shapes and time nothing", AT(list)},
    {OPTION_TEXT, "dtype", "T,...", "f32, f16, bf16: each shape in each of them; default: what its line says, else f32",
     AT(dtypes)},
    {OPTION_CHOICE, "kernels", "selected|all", "the one that heed selects (default), or each that can do it",
     AT(kernels)},
    {OPTION_HEADING, "for how long", NULL, NULL, 0},
    {OPTION_NUMBER, "budget", "SECONDS", "for a row of the table; default 1, with --quick 0.3, with --sweep 0.1",
     AT(budget)},
    {OPTION_COUNT, "rounds", "N", "the budget is spent in so many turns around the rows; default 3", AT(rounds)},
    {OPTION_COUNT, "memory", "MIB",
     "skip what needs more; default: an eighth of the machine's, on a discrete GPU what it can allocate", AT(memory)},
    {OPTION_HEADING, "results", NULL, NULL, 0},
    {OPTION_FLAG, "csv", NULL, "print comma-separated values instead of the table, times in ns", AT(csv)},
    {OPTION_TEXT, "json", "FILE", "write everything that is known to a file; - prints it instead of the table",
     AT(json)},
    {OPTION_TEXT, "picture", "FILE.svg", "draw the roofline: rates against operations per byte", AT(picture)},
    {OPTION_HEADING, "instead of shapes of models", NULL, NULL, 0},
    {OPTION_FLAG, "sweep", NULL,
     "find cliffs: sizes around every tile edge, with equal work; status 1 if neighbours differ by more than 2 times",
     AT(sweep)},
    {OPTION_PAIR, "compare", "A.json B.json", "what became slower from A to B, first; status 1 if anything did",
     AT(compare)},
    {OPTION_NUMBER, "threshold", "X", "slower is more than X times the time, and beyond the spread; default 1.1",
     AT(threshold)},
    WHERE_OPTIONS(struct values, device),
    KERNEL_OPTION(struct values, device),
};

const struct command cli_bench = {
    .name = "bench",
    .summary = "how fast it is, at the shapes of real models",
    .about = "Times attention at the shapes of real models and holds it against what the device can do at all.\n"
             "A line of --shapes is a name, then the arguments of heed explain:\n"
             "    my-cross  attention --heads-q 8 --len-q 4096 --len-kv 77 --dim 40\n"
             "    my-deform  deform --len-q 300 --shapes 100x100,50x50 --points 4",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .notes =
        "time is the median of a run on the device's own clock where it has one, else of the whole call; +- is half of "
        "the way from the 10th to the 90th percentile; call adds submission and waiting. first is the plan and its "
        "first run with the driver's compilation, and nothing is kept from one heed bench to the next; a * says that a "
        "row above had already made its pipelines, or some of them.\n"
        "Ceilings (an FMA loop in f32, a copy, a read, and products of f16 on matrix units where there are any) are "
        "measured again in each round. They allow a least time for the shape's operations and bytes; of bound: that as "
        "a share of the time, and which of them it is. Above 100 %: the tensors stayed in a cache, or the kernel has "
        "matrix units that this build has no loop for.\n"
        "Example: heed bench --only whisper,sam --dtype f16 --kernels all",
};

/* ---- what is asked for */

static bool parse_dtypes(struct values *values, struct fault *fault)
{
    const char *text = values->dtypes;
    static const enum heed_dtype known[] = {HEED_F32, HEED_F16, HEED_BF16};
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t length = strcspn(at, ","), i = 0;
        while (i < 3 &&
               (strlen(heed_dtype_name(known[i])) != length || memcmp(heed_dtype_name(known[i]), at, length) != 0))
            i++;
        if (i == 3)
            return fault_usage(fault, "--dtype \"%s\": \"%.*s\" is not one of f32, f16, bf16", text, (int)length, at);
        for (uint32_t j = 0; j < values->dtype_count; j++)
            if (values->dtype[j] == known[i])
                return fault_usage(fault, "--dtype \"%s\" names %s twice", text, heed_dtype_name(known[i]));
        values->dtype[values->dtype_count++] = known[i];
    }
    return true;
}

static bool read_shapes(const struct values *values, struct bench_shapes *shapes, struct fault *fault)
{
    if (!bench_shapes_read(shapes, values->shapes, fault) ||
        (values->only && !bench_shapes_keep(shapes, values->only, fault)))
        return false;
    if (!values->quick)
        return true;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shapes->count; i++)
        if (shapes->shape[i].quick)
            shapes->shape[kept++] = shapes->shape[i];
    shapes->count = kept;
    return kept > 0 || fault_usage(fault, "--quick: none of the shapes is marked with --quick");
}

static void print_list(const struct bench_shapes *shapes)
{
    for (uint32_t i = 0; i < shapes->count; i++) {
        if (i == 0 || strcmp(shapes->shape[i].model, shapes->shape[i - 1].model) != 0)
            printf("%s%s\n", i > 0 ? "\n" : "", shapes->shape[i].model);
        printf("  %-32s %s\n", shapes->shape[i].name, shapes->shape[i].text);
    }
}

/* ---- rows */

static uint64_t memory_limit(const struct values *values, const struct session *session)
{
    if (values->memory)
        return (uint64_t)values->memory << 20;
    if (session->info.type == HEED_DEVICE_DISCRETE)
        return UINT64_MAX;
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 8;
}

static uint64_t row_bytes(const struct bench_row *row)
{
    return row->input_bytes + row->output_bytes + row->scratch_bytes;
}

/* What cannot fit, by memory or by the time that the ceilings allow at best. */
static void check_size(const struct bench_result *result, struct bench_row *row, uint64_t memory)
{
    enum bench_bound by;
    double bound = bench_bound_ns(&result->ceilings, row, &by);
    if (row_bytes(row) > memory)
        snprintf(row->skipped, sizeof row->skipped, "needs %.0f MiB, more than %.0f (--memory)",
                 (double)row_bytes(row) / 1048576.0, (double)memory / 1048576.0);
    else if (bound > result->budget_s * 1e9)
        snprintf(row->skipped, sizeof row->skipped,
                 "takes %.1f s a run even at the device's ceiling, more than the budget of %.3g s", bound * 1e-9,
                 result->budget_s);
    else if (result->session->info.backend == HEED_BACKEND_REFERENCE && (double)row->flops > 1e8 * result->budget_s)
        /* The reference does 0.1 to 0.2 GFLOP/s on the CPUs at hand. */
        snprintf(row->skipped, sizeof row->skipped, "%.2f GFLOP are more than the reference does in a budget of %.3g s",
                 (double)row->flops * 1e-9, result->budget_s);
}

static bool add_rows(struct bench_result *result, uint32_t *capacity, const struct bench_shape *shape,
                     enum heed_dtype dtype, const struct values *values, struct fault *fault)
{
    uint32_t candidate_count = 0;
    const struct heed_candidate *candidates = NULL;
    if (values->kernels == ALL_KERNELS && result->session->info.backend != HEED_BACKEND_REFERENCE)
        candidates = shape->is_deform ? heed_deform_candidates(&candidate_count)
                                      : heed_attention_candidates(shape->desc.attention.op, &candidate_count);
    for (uint32_t i = 0; i <= candidate_count; i++) {
        if (result->row_count == *capacity) {
            uint32_t wanted = *capacity ? 2 * *capacity : 64;
            struct bench_row *grown = realloc(result->rows, wanted * sizeof *grown);
            if (!grown)
                return fault_failed(fault, "out of host memory");
            result->rows = grown;
            *capacity = wanted;
        }
        struct bench_row *row = &result->rows[result->row_count++];
        memset(row, 0, sizeof *row);
        row->shape = shape;
        row->dtype = dtype;
        row->forced = i > 0 ? candidates[i - 1].name : values->device.kernel;
    }
    return true;
}

/* A group's rows are alive together and take turns; it is printed when it is done. */
enum { GROUP_BYTES = 512 << 20, GROUP_ROWS = 16 };

static bool time_group(struct session *session, struct bench_result *result, uint32_t first, uint32_t count,
                       struct fault *fault)
{
    char doing[160] = "compiling";
    double round_ns = result->budget_s * 1e9 / result->rounds;
    session->progress = progress_begin(doing);
    for (uint32_t i = first; i < first + count; i++) {
        struct bench_row *row = &result->rows[i];
        if (row->skipped[0] || row->dropped)
            continue;
        snprintf(doing, sizeof doing, "%s, %s, compiling and first run", row->shape->name, row->kernel);
        progress_say(session->progress, doing);
        bench_row_begin(session, row, result->budget_s * 1e9);
    }
    bool done = true;
    for (uint32_t round = 0; done && round < result->rounds; round++) {
        done = bench_ceilings_measure(session, &result->ceilings, fault);
        for (uint32_t i = first; done && i < first + count; i++) {
            struct bench_row *row = &result->rows[i];
            if (row->skipped[0] || row->dropped)
                continue;
            snprintf(doing, sizeof doing, "%s, %s, round %" PRIu32 " of %" PRIu32, row->shape->name, row->kernel,
                     round + 1, result->rounds);
            progress_say(session->progress, doing);
            bench_row_measure(session, row, round_ns);
        }
    }
    progress_end(&session->progress); /* before rows are printed */
    return done;
}

static bool time_rows(struct session *session, struct bench_result *result, const struct values *values, bool table,
                      struct fault *fault)
{
    uint64_t memory = memory_limit(values, session);
    const char *selected = "";
    for (uint32_t first = 0, count; first < result->row_count; first += count) {
        uint64_t bytes = 0;
        for (count = 0; first + count < result->row_count && count < GROUP_ROWS; count++) {
            struct bench_row *row = &result->rows[first + count];
            row->dropped = row->forced && strcmp(row->forced, selected) == 0;
            if (row->dropped)
                continue;
            /* The plan may be there from the attempt to put the row into the last group. */
            if (!row->plan && !row->skipped[0] && bench_row_plan(session, row))
                check_size(result, row, memory);
            if (!row->forced)
                selected = row->kernel;
            if (row->skipped[0])
                continue;
            if (count > 0 && bytes + row_bytes(row) > GROUP_BYTES)
                break;
            bytes += row_bytes(row);
        }
        if (!time_group(session, result, first, count, fault))
            return false;
        for (uint32_t i = first; i < first + count; i++) {
            bench_row_end(&result->rows[i]);
            if (table && !result->rows[i].dropped)
                bench_print_row(result, &result->rows[i]);
        }
        fflush(stdout);
    }
    return true;
}

static bool add_all_rows(struct bench_result *result, const struct bench_shapes *shapes, const struct values *values,
                         struct fault *fault)
{
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < shapes->count; i++) {
        const struct bench_shape *shape = &shapes->shape[i];
        enum heed_dtype own = shape->is_deform ? shape->desc.deform.value.dtype : shape->desc.attention.q.dtype;
        if (values->dtype_count == 0 && !add_rows(result, &capacity, shape, own, values, fault))
            return false;
        for (uint32_t d = 0; d < values->dtype_count; d++)
            if (!add_rows(result, &capacity, shape, values->dtype[d], values, fault))
                return false;
    }
    return true;
}

static bool time_table(struct session *session, struct bench_result *result, const struct bench_shapes *shapes,
                       const struct values *values, bool table, struct fault *fault)
{
    if (!add_all_rows(result, shapes, values, fault))
        return false;
    if (table) {
        bench_print_head(result);
        bench_print_titles(result);
    }
    if (!time_rows(session, result, values, table, fault))
        return false;
    if (table)
        bench_print_tail(result);
    return true;
}

/* Rows that look like a cliff are timed once more, longer, with their neighbours alone: noise does not come back. */
static bool time_suspects(struct session *session, struct bench_result *result, const struct values *values,
                          uint32_t *cliffs, struct fault *fault)
{
    struct bench_result again = *result;
    double ratio;
    again.rows = calloc(2 * result->row_count + 1, sizeof *again.rows);
    again.row_count = 0;
    again.budget_s *= 3;
    if (!again.rows)
        return fault_failed(fault, "out of host memory");
    for (uint32_t i = 1; i < result->row_count; i++) {
        if (!bench_sweep_is_cliff(result, i, &ratio))
            continue;
        for (uint32_t k = i - 1; k <= i; k++)
            again.rows[again.row_count++] = (struct bench_row){
                .shape = result->rows[k].shape, .dtype = result->rows[k].dtype, .forced = result->rows[k].forced};
    }
    bool done = time_rows(session, &again, values, false, fault);
    result->ceilings = again.ceilings;
    *cliffs = 0;
    for (uint32_t i = 1; done && i < again.row_count; i += 2)
        *cliffs += bench_sweep_is_cliff(&again, i, &ratio);
    if (done && again.row_count > 0) {
        printf("\n%" PRIu32 " pairs differ by more than %g; timed once more, alone:\n\n", again.row_count / 2,
               BENCH_CLIFF);
        bench_sweep_print(&again, true);
    }
    for (uint32_t i = 0; i < again.row_count; i++)
        bench_row_end(&again.rows[i]);
    free(again.rows);
    return done;
}

static bool sweep(struct session *session, struct bench_result *result, struct bench_shapes *shapes,
                  const struct values *values, struct fault *fault)
{
    uint32_t cliffs = 0;
    session->progress = progress_begin("counting work");
    bool counted = bench_sweep_shapes(session, &result->ceilings, values->only, shapes, fault);
    progress_end(&session->progress);
    if (!counted || !add_all_rows(result, shapes, values, fault))
        return false;
    bench_print_head(result);
    if (!time_rows(session, result, values, false, fault))
        return false;
    printf("cost: time over what the ceilings allow, softmax counted; step: cost over that of the size before\n\n");
    bench_sweep_print(result, true);
    if (!time_suspects(session, result, values, &cliffs, fault))
        return false;
    printf("\n%" PRIu32 " sizes, %" PRIu32 " cliffs\n", result->row_count, cliffs);
    result->cliffs = cliffs;
    return true;
}

static bool run(const struct values *values, struct bench_result *result, struct bench_shapes *shapes,
                struct fault *fault)
{
    struct session session = {0};
    struct output_set files = {.count = 0};
    bool json_to_stdout = values->json && strcmp(values->json, "-") == 0, table = !values->csv && !json_to_stdout;
    output_guard(&files);
    bool done = (!values->json || json_to_stdout || output_open(&files, values->json, fault)) &&
                (!values->picture || output_open(&files, values->picture, fault)) &&
                session_open(&session, cli_bench.name, &values->device, fault);
    result->session = &session;
    if (done) {
        progress_say(session.progress, "ceilings of the device");
        done = bench_ceilings_begin(&session, &result->ceilings, fault) &&
               bench_ceilings_measure(&session, &result->ceilings, fault);
        progress_end(&session.progress); /* each group of rows has its own */
    }
    if (values->sweep)
        done = done && sweep(&session, result, shapes, values, fault);
    else
        done = done && time_table(&session, result, shapes, values, table, fault);
    if (done && values->csv)
        bench_print_csv(result, stdout);
    if (done && values->json)
        bench_write_json(result, json_to_stdout ? stdout : files.files[0].stream);
    if (done && values->picture)
        done = bench_write_picture(result, files.files[files.count - 1].stream, fault);
    done = done && output_commit(&files, fault);
    if (done && result->cliffs > 0)
        done = fault_failed(fault, "%" PRIu32 " pairs of neighbours differ by more than %g times", result->cliffs,
                            BENCH_CLIFF);
    for (uint32_t i = 0; i < result->row_count; i++)
        bench_row_end(&result->rows[i]);
    bench_ceilings_end(&session, &result->ceilings);
    session_close(&session);
    output_close(&files);
    free(result->rows);
    return done;
}

bool cli_run_bench(int argc, char *const *argv, struct fault *fault)
{
    struct values values = {
        .budget = NAN, .threshold = NAN, .kernels = -1, .device.no_cache = true /* what compiling takes is measured */};
    struct bench_shapes shapes = {NULL, 0};
    bool help;
    if (!options_parse(&cli_bench, argc, argv, &values, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_bench);
        return true;
    }
    if (!isnan(values.threshold) && !values.compare[0])
        return fault_usage(fault, "--threshold needs --compare");
    if (values.threshold < 1.0f)
        return fault_usage(fault, "--threshold %g is below 1", (double)values.threshold);
    if (values.compare[0] && argc > (isnan(values.threshold) ? 3 : 5))
        return fault_usage(fault, "--compare reads two files and times nothing: only --threshold goes with it");
    if (values.compare[0])
        return bench_compare(values.compare, isnan(values.threshold) ? 1.1 : (double)values.threshold, fault);
    if (values.kernels >= 0 && values.device.kernel)
        return fault_usage(fault, "--kernel and --kernels both say which kernels");
    if (values.budget <= 0.0f || values.budget > 3600.0f)
        return fault_usage(fault, "--budget %g is not more than 0 and at most 3600 seconds", (double)values.budget);
    if (values.sweep && (values.shapes || values.quick || values.list || values.csv || values.picture ||
                         values.kernels == ALL_KERNELS || (values.json && strcmp(values.json, "-") == 0)))
        return fault_usage(fault,
                           "--sweep has shapes and a table of its own: --only, --dtype, --kernel, --budget, --rounds, "
                           "--memory and --json FILE go with it");
    if (values.csv && values.json && strcmp(values.json, "-") == 0)
        return fault_usage(fault, "--csv and --json - both print on standard output");
    if (values.dtypes && !parse_dtypes(&values, fault))
        return false;
    struct bench_result result = {
        .rounds = values.rounds ? values.rounds : 3,
        .budget_s = !isnan(values.budget) ? (double)values.budget
                    : values.quick        ? 0.3
                    : values.sweep        ? 0.1
                                          : 1.0,
        .argc = argc,
        .argv = argv,
    };
    bool done = values.sweep || read_shapes(&values, &shapes, fault);
    if (done && values.list)
        print_list(&shapes);
    else if (done)
        done = run(&values, &result, &shapes, fault);
    bench_shapes_free(&shapes);
    return done;
}
