/* SPDX-License-Identifier: MIT
 * Benchmark results as a table for people and as comma-separated values. */
#include <inttypes.h>
#include <string.h>

#include "bench.h"
#include "plan.h"

void bench_time_text(double ns, char text[16])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;
    while (unit < 3 && ns >= 999.95) {
        ns /= 1000.0;
        unit++;
    }
    snprintf(text, 16, "%.*f %s", ns < 9.9995 ? 3 : ns < 99.995 ? 2 : 1, ns, units[unit]);
}

/* Three significant digits, in units of a thousandth where it is below 1: "0.53 Gsample/s" is "530 Msample/s". */
static void rate_text(double giga, const char *unit, char text[32])
{
    bool small = giga < 1.0;
    double value = small ? 1000.0 * giga : giga;
    snprintf(text, 32, "%.*f %c%s", value < 10 ? 2 : value < 100 ? 1 : 0, value, small ? 'M' : 'G', unit);
}

static int spread_percent(const struct bench_stat *s)
{
    return s->median > 0 ? (int)(50.0 * (s->high - s->low) / s->median + 0.5) : 0;
}

static double bytes_per_ns(const struct bench_row *row)
{
    return (double)(row->input_bytes + row->output_bytes) / bench_row_time(row)->median;
}

static int shape_width(const struct bench_result *result)
{
    size_t width = strlen("shape");
    for (uint32_t i = 0; i < result->row_count; i++)
        if (strlen(result->rows[i].shape->name) > width)
            width = strlen(result->rows[i].shape->name);
    return (int)width;
}

static int kernel_width(void)
{
    size_t width = strlen("kernel");
    for (int deform = 0; deform < 2; deform++) {
        uint32_t count;
        const struct heed_candidate *list =
            deform ? heed_deform_candidates(&count) : heed_attention_candidates(HEED_OP_ATTENTION, &count);
        for (uint32_t i = 0; i < count; i++)
            if (strlen(list[i].name) > width)
                width = strlen(list[i].name);
    }
    return (int)width;
}

/* enum bench_bound */
static const char *const short_names[] = {"fma", "mma", "mem"}, *const names[] = {"fma", "matrix", "memory"};

static void print_ceilings(const struct bench_ceilings *c)
{
    if (!c->known)
        return;
    static const char *const titles[BENCH_CEILINGS] = {"FMA", "copy", "read", "matrix units (f16)"};
    printf("ceilings:");
    for (int i = 0; i < BENCH_CEILINGS; i++) {
        const struct bench_stat *s = &c->rate[i];
        if (s->median <= 0)
            continue;
        printf("%s %s %.1f", i > 0 ? "," : "", titles[i], s->median);
        if (s->count > 1)
            printf(" (%.1f to %.1f)", s->low, s->high);
        printf(" %s", i == BENCH_FMA || i == BENCH_MATRIX ? "GFLOP/s" : "GB/s");
    }
    putchar('\n');
}

void bench_print_head(const struct bench_result *result)
{
    const struct heed_device_info *d = &result->session->info;
    printf("heed %s on %s (%s)", heed_version(), d->name, d->driver);
    if (d->has_subgroups)
        printf(", subgroups of %" PRIu32, d->limits.subgroup_size_max);
    printf("\n%s; %" PRIu32 " rounds, %.3g s a row\n\n",
           d->has_timestamps ? "time: the device's clock" : "time: wall time, the device has no timestamps",
           result->rounds, result->budget_s);
}

void bench_print_titles(const struct bench_result *result)
{
    printf("%-*s %-4s %-*s %9s %5s %9s %14s %8s %9s %9s\n", shape_width(result), "shape", "type", kernel_width(),
           "kernel", "time", "+-", "call", "rate", "GB/s", "of bound", "first");
    fflush(stdout);
}

void bench_print_row(const struct bench_result *result, const struct bench_row *row)
{
    printf("%-*s %-4s %-*s ", shape_width(result), row->shape->name, heed_dtype_name(row->dtype), kernel_width(),
           row->kernel[0] ? row->kernel
           : row->forced  ? row->forced
                          : "-");
    if (row->skipped[0]) {
        printf("skipped: %s\n", row->skipped);
        return;
    }
    const struct bench_stat *time = bench_row_time(row);
    char median[16], call[16], first[16], spread[16] = "", rate[32], bound[16] = "-";
    bench_time_text(time->median, median);
    bench_time_text(row->wall.median, call);
    bench_time_text(row->plan_ns + row->first_ns, first);
    if (time->count > 1)
        snprintf(spread, sizeof spread, "%d %%", spread_percent(time));
    if (row->shape->is_deform)
        rate_text((double)row->samples / time->median, "sample/s", rate);
    else
        rate_text((double)row->flops / time->median, "FLOP/s", rate);
    enum bench_bound by;
    double least = bench_bound_ns(&result->ceilings, row, &by);
    if (least > 0)
        snprintf(bound, sizeof bound, "%.0f %% %s", 100.0 * least / time->median, short_names[by]);
    printf("%9s %5s %9s %14s %8.2f %9s %9s%s\n", median, spread, call, rate, bytes_per_ns(row), bound, first,
           row->pipelines_shared > 0 ? "*" : "");
}

void bench_print_tail(const struct bench_result *result)
{
    uint32_t skipped = 0, timed = 0;
    for (uint32_t i = 0; i < result->row_count; i++) {
        skipped += !result->rows[i].dropped && result->rows[i].skipped[0];
        timed += !result->rows[i].dropped && !result->rows[i].skipped[0];
    }
    printf("\n%" PRIu32 " timed, %" PRIu32 " skipped\n", timed, skipped);
    print_ceilings(&result->ceilings);
}

/* ---- CSV */

static void print_field(FILE *stream, const char *text)
{
    putc('"', stream);
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            putc('"', stream);
        putc(*c, stream);
    }
    putc('"', stream);
}

static void print_stat(FILE *stream, const struct bench_stat *s)
{
    if (s->count > 0)
        fprintf(stream, ",%.0f,%.0f,%.0f,%" PRIu32, s->median, s->low, s->high, s->count);
    else
        fputs(",,,,", stream);
}

void bench_print_csv(const struct bench_result *result, FILE *stream)
{
    fputs("model,shape,dtype,kernel,selected,device,driver,"
          "device_ns,device_p10_ns,device_p90_ns,device_runs,wall_ns,wall_p10_ns,wall_p90_ns,wall_runs,"
          "cpu_ns,cpu_p10_ns,cpu_p90_ns,cpu_runs,plan_ns,first_run_ns,dispatches,pipelines,pipelines_shared,"
          "flops,samples,input_bytes,output_bytes,scratch_bytes,gflops,gbytes_per_s,gsamples_per_s,bound_ns,bound,"
          "skipped\n",
          stream);
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct bench_row *row = &result->rows[i];
        if (row->dropped)
            continue;
        const char *kernel = row->kernel[0] ? row->kernel : row->forced ? row->forced : "";
        fprintf(stream, "%s,%s,%s,%s,%d,", row->shape->model, row->shape->name, heed_dtype_name(row->dtype), kernel,
                row->selected);
        print_field(stream, result->session->info.name);
        putc(',', stream);
        print_field(stream, result->session->info.driver);
        print_stat(stream, &row->device);
        print_stat(stream, &row->wall);
        print_stat(stream, &row->cpu);
        if (row->skipped[0]) {
            fputs(",,,,,,,,,,,,,,,,", stream);
        } else {
            double ns = bench_row_time(row)->median;
            enum bench_bound by;
            double bound = bench_bound_ns(&result->ceilings, row, &by);
            fprintf(stream,
                    ",%.0f,%.0f,%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                    ",%" PRIu64 ",%.4g,%.4g,%.4g",
                    row->plan_ns, row->first_ns, row->dispatches, row->pipelines, row->pipelines_shared, row->flops,
                    row->samples, row->input_bytes, row->output_bytes, row->scratch_bytes, (double)row->flops / ns,
                    bytes_per_ns(row), (double)row->samples / ns);
            if (bound > 0)
                fprintf(stream, ",%.0f,%s,", bound, names[by]);
            else
                fputs(",,,", stream);
        }
        print_field(stream, row->skipped);
        putc('\n', stream);
    }
}
