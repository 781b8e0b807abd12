/* SPDX-License-Identifier: MIT
 * heed bench --sweep: sizes around every tile edge, each with as many batches as make equal work, and the neighbours
 * among them that differ too much: cliffs. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "plan.h"

/* What one point may take at the device's ceilings, so that starting a dispatch costs little beside it. */
static const double point_ns = 1e6;

/* An exponential and what goes with it, as FLOP for each pair of row and key. Without it a small head would look slow.
 */
enum { SOFTMAX_FLOPS = 24 };

enum { MAX_SIZES = 128, MAX_BATCH = 65535 };

struct axis {
    const char *name;
    uint32_t most;
    const char *problem; /* with one %u for the size */
};

static const struct axis axes[] = {
    {"len-q", 256, "attention --heads-q 4 --len-kv 512 --dim 64 --len-q %u"},
    {"len-kv", 1024, "attention --heads-q 4 --len-q 128 --dim 64 --len-kv %u"},
    {"len-kv-of-one-row", 1024, "attention --heads-q 4 --len-q 1 --dim 64 --len-kv %u"},
    {"dim", 256, "attention --heads-q 4 --len-q 256 --len-kv 256 --dim %u"},
    {"dim-v", 256, "attention --heads-q 4 --len-q 256 --len-kv 256 --dim 64 --dim-v %u"},
    {"causal", 256, "attention --heads-q 4 --causal top-left --dim 64 --len-kv 256 --len-q %u"},
    {"deform-dim", 128, "deform --len-q 256 --heads 4 --shapes 32x32,16x16 --points 4 --dim %u"},
    {"deform-points", 32, "deform --len-q 256 --heads 4 --shapes 32x32,16x16 --dim 32 --points %u"},
};

/* ---- sizes */

struct sizes {
    uint32_t size[MAX_SIZES], count;
};

static void add_size(struct sizes *sizes, uint32_t size, uint32_t most)
{
    for (uint32_t i = 0; i < sizes->count; i++)
        if (sizes->size[i] == size)
            return;
    if (size >= 1 && size <= most + 1 && sizes->count < MAX_SIZES)
        sizes->size[sizes->count++] = size;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* One below, at and above every power of two and every number in the name of a kernel: its tile. */
static struct sizes find_sizes(bool deform, uint32_t most)
{
    struct sizes sizes = {{0}, 0};
    for (uint32_t edge = 1; edge <= most; edge *= 2)
        for (uint32_t size = edge - 1; size <= edge + 1; size++)
            add_size(&sizes, size, most);
    uint32_t count;
    const struct heed_candidate *list =
        deform ? heed_deform_candidates(&count) : heed_attention_candidates(HEED_OP_ATTENTION, &count);
    for (uint32_t i = 0; i < count; i++) {
        for (const char *c = list[i].name; *(c += strcspn(c, "0123456789"));) {
            char *end;
            unsigned long edge = strtoul(c, &end, 10);
            for (unsigned long size = edge - 1; edge <= most && size <= edge + 1; size++)
                add_size(&sizes, (uint32_t)size, most);
            c = end;
        }
    }
    qsort(sizes.size, sizes.count, sizeof *sizes.size, ascending);
    return sizes;
}

/* ---- equal work */

/* The least time for the work of a row, softmax included. */
static double work_ns(const struct bench_ceilings *ceilings, const struct bench_row *row)
{
    struct bench_row with_softmax = *row;
    enum bench_bound by;
    if (!row->shape->is_deform) {
        const struct heed_attention_desc *d = &row->shape->desc.attention;
        with_softmax.flops += (uint64_t)SOFTMAX_FLOPS * d->batch * d->heads_q * d->len_q * d->len_kv;
    }
    return bench_bound_ns(ceilings, &with_softmax, &by);
}

/* As many batches as take point_ns. */
static bool add_point(struct session *session, const struct bench_ceilings *ceilings, const struct bench_shape *single,
                      struct bench_shapes *shapes, struct fault *fault)
{
    char line[384];
    struct bench_row row = {.shape = single, .dtype = HEED_F32};
    double least = bench_row_plan(session, &row) ? work_ns(ceilings, &row) : point_ns;
    bench_row_end(&row);
    snprintf(line, sizeof line, "%s %s --batch %.0f", single->name, single->text,
             fmin(fmax(floor(point_ns / least + 0.5), 1), MAX_BATCH));
    return bench_shapes_add(shapes, single->model, line, fault);
}

bool bench_sweep_shapes(struct session *session, const struct bench_ceilings *ceilings, const char *only,
                        struct bench_shapes *shapes, struct fault *fault)
{
    if (!ceilings->known)
        return fault_failed(fault, "--sweep needs a device of Vulkan or OpenCL: equal work is counted by its ceilings");
    struct bench_shapes singles = {NULL, 0}; /* of one batch */
    bool done = true;
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        struct sizes sizes = find_sizes(strncmp(axes[i].problem, "deform", 6) == 0, axes[i].most);
        for (uint32_t s = 0; done && s < sizes.count; s++) {
            char problem[256], line[384];
            snprintf(problem, sizeof problem, axes[i].problem, (unsigned)sizes.size[s]);
            snprintf(line, sizeof line, "%s-%" PRIu32 " %s", axes[i].name, sizes.size[s], problem);
            done = bench_shapes_add(&singles, axes[i].name, line, fault);
        }
    }
    done = done && (!only || bench_shapes_keep(&singles, only, fault));
    for (uint32_t i = 0; done && i < singles.count; i++)
        done = add_point(session, ceilings, &singles.shape[i], shapes, fault);
    bench_shapes_free(&singles);
    return done;
}

/* ---- the verdict */

static uint32_t size_of(const struct bench_row *row)
{
    return (uint32_t)strtoul(strrchr(row->shape->name, '-') + 1, NULL, 10);
}

/* The 10th percentile: a cliff is there in every run, what else happens on the machine is not. */
static double cost(const struct bench_result *result, const struct bench_row *row)
{
    return bench_row_time(row)->low / work_ns(&result->ceilings, row);
}

bool bench_sweep_is_cliff(const struct bench_result *result, uint32_t index, double *ratio)
{
    const struct bench_row *row = &result->rows[index], *before = row - 1;
    *ratio = 1;
    if (index == 0 || row->skipped[0] || before->skipped[0] || before->dtype != row->dtype ||
        strcmp(before->shape->model, row->shape->model) != 0 || size_of(row) != size_of(before) + 1)
        return false;
    *ratio = cost(result, row) / cost(result, before);
    return fmax(*ratio, 1 / *ratio) > BENCH_CLIFF;
}

void bench_sweep_print(const struct bench_result *result, bool all)
{
    int width = 28;
    for (uint32_t i = 0; i < result->row_count; i++)
        width = (int)fmax(width, (double)strlen(result->rows[i].kernel));
    printf("%-24s %-4s %-*s %6s %9s %6s %6s\n", "size", "type", width, "kernel", "batch", "p10", "cost", "step");
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct bench_row *row = &result->rows[i];
        double ratio;
        bool cliff = bench_sweep_is_cliff(result, i, &ratio);
        if (!all && !cliff)
            continue;
        printf("%-24s %-4s %-*s ", row->shape->name, heed_dtype_name(row->dtype), width, row->kernel);
        if (row->skipped[0]) {
            printf("skipped: %s\n", row->skipped);
            continue;
        }
        char time[16];
        bench_time_text(bench_row_time(row)->low, time);
        printf("%6" PRIu32 " %9s %6.2f",
               row->shape->is_deform ? row->shape->desc.deform.batch : row->shape->desc.attention.batch, time,
               cost(result, row));
        if (ratio != 1)
            printf(" %6.2f%s", ratio, cliff ? "  <- cliff" : "");
        putchar('\n');
    }
}
