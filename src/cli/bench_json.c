/* SPDX-License-Identifier: MIT
 * Benchmark results as JSON: everything that a comparison or a picture needs. */
#include <inttypes.h>
#include <time.h>

#include "bench.h"
#include "json.h"

static void write_stat(FILE *out, const char *name, const struct bench_stat *s)
{
    if (s->count > 0)
        fprintf(out, ",\n      \"%s\": {\"median\": %.6g, \"p10\": %.6g, \"p90\": %.6g, \"count\": %" PRIu32 "}", name,
                s->median, s->low, s->high, s->count);
}

static void write_ceilings(FILE *out, const struct bench_ceilings *c)
{
    static const char *const names[BENCH_CEILINGS] = {"fma_gflops", "copy_gbytes_per_s", "read_gbytes_per_s",
                                                      "matrix_f16_gflops"};
    if (!c->known)
        return;
    fputs("  \"ceilings\": {", out);
    for (int i = 0; i < BENCH_CEILINGS; i++)
        if (c->rate[i].median > 0)
            fprintf(out, "%s\n    \"%s\": {\"median\": %.6g, \"p10\": %.6g, \"p90\": %.6g, \"count\": %" PRIu32 "}",
                    i > 0 ? "," : "", names[i], c->rate[i].median, c->rate[i].low, c->rate[i].high, c->rate[i].count);
    fputs("\n  },\n", out);
}

static void write_member(FILE *out, const char *before, const char *value)
{
    fputs(before, out);
    json_string(out, value);
}

static void write_row(FILE *out, const struct bench_result *result, const struct bench_row *row)
{
    write_member(out, "    {\n      \"shape\": ", row->shape->name);
    write_member(out, ",\n      \"model\": ", row->shape->model);
    write_member(out, ",\n      \"problem\": ", row->shape->text);
    fprintf(out, ",\n      \"dtype\": \"%s\"", heed_dtype_name(row->dtype));
    if (row->kernel[0] || row->forced)
        write_member(out, ",\n      \"kernel\": ", row->kernel[0] ? row->kernel : row->forced);
    fprintf(out, ",\n      \"selected\": %s", row->selected ? "true" : "false");
    if (row->skipped[0]) {
        write_member(out, ",\n      \"skipped\": ", row->skipped);
        fputs("\n    }", out);
        return;
    }
    double ns = bench_row_time(row)->median;
    write_stat(out, "device_ns", &row->device);
    write_stat(out, "wall_ns", &row->wall);
    write_stat(out, "cpu_ns", &row->cpu);
    fprintf(out,
            ",\n      \"plan_ns\": %.0f,\n      \"first_run_ns\": %.0f,\n      \"dispatches\": %" PRIu32
            ",\n      \"pipelines\": %" PRIu32 ",\n      \"pipelines_shared\": %" PRIu32 ",\n      \"flops\": %" PRIu64
            ",\n      \"input_bytes\": %" PRIu64 ",\n      \"output_bytes\": %" PRIu64
            ",\n      \"scratch_bytes\": %" PRIu64 ",\n      \"gflops\": %.6g,\n      \"gbytes_per_s\": %.6g",
            row->plan_ns, row->first_ns, row->dispatches, row->pipelines, row->pipelines_shared, row->flops,
            row->input_bytes, row->output_bytes, row->scratch_bytes, (double)row->flops / ns,
            (double)(row->input_bytes + row->output_bytes) / ns);
    if (row->samples > 0)
        fprintf(out, ",\n      \"samples\": %" PRIu64 ",\n      \"gsamples_per_s\": %.6g", row->samples,
                (double)row->samples / ns);
    static const char *const names[] = {"fma", "matrix", "memory"};
    enum bench_bound by;
    double bound = bench_bound_ns(&result->ceilings, row, &by);
    if (bound > 0)
        fprintf(out, ",\n      \"bound_ns\": %.6g,\n      \"bound\": \"%s\"", bound, names[by]);
    fputs("\n    }", out);
}

void bench_write_json(const struct bench_result *result, FILE *out)
{
    char date[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(out, "{\n  \"heed\": \"%s\",\n  \"date\": \"%s\",\n  \"arguments\": [", heed_version(), date);
    for (int i = 0; i < result->argc; i++)
        write_member(out, i > 0 ? ", " : "", result->argv[i]);
    fprintf(out, "],\n  \"rounds\": %" PRIu32 ",\n  \"budget_s\": %g,\n  \"device\":\n", result->rounds,
            result->budget_s);
    device_json(out, &result->session->info, result->session->info.index);
    fputs(",\n", out);
    write_ceilings(out, &result->ceilings);
    fputs("  \"rows\": [\n", out);
    bool first = true;
    for (uint32_t i = 0; i < result->row_count; i++) {
        if (result->rows[i].dropped)
            continue;
        fputs(first ? "" : ",\n", out);
        first = false;
        write_row(out, result, &result->rows[i]);
    }
    fputs("\n  ]\n}\n", out);
}
