/* SPDX-License-Identifier: MIT
 * A row of the benchmark: its plan, its data, its runs. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "dtype.h"

enum { CHUNK = 1 << 16 /* elements */ };

uint64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_stat bench_stat(double *values, uint32_t count)
{
    if (count == 0)
        return (struct bench_stat){0, 0, 0, 0};
    qsort(values, count, sizeof *values, ascending);
    uint32_t low = (count - 1) / 10;
    return (struct bench_stat){
        .median = 0.5 * (values[(count - 1) / 2] + values[count / 2]),
        .low = values[low],
        .high = values[count - 1 - low],
        .count = count,
    };
}

const struct bench_stat *bench_row_time(const struct bench_row *row)
{
    return row->device.count > 0 ? &row->device : &row->wall;
}

/* ---- data like that of a model */

static uint64_t random_bits(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double random_unit(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

/* Of deviation 1, bounded by 3: close to a normal distribution, and cheap. */
static double random_normal(uint64_t *state)
{
    double sum = 0;
    for (uint64_t bits = random_bits(state); bits; bits >>= 16)
        sum += (double)(bits & 0xffff) * 0x1p-16 - 0.5;
    return sum * 1.7320508075688772;
}

/* Where a query of a deformable attention is, 0..1: an encoder's at its own pixel of the levels end to end, another's
 * on a square grid. */
static void query_place(const struct heed_deform_desc *d, uint64_t query, uint32_t axis, double *place)
{
    if (d->len_q == d->len_value) {
        for (uint32_t l = 0; l < d->level_count; l++) {
            const struct heed_level *level = &d->levels[l];
            uint64_t depth = level->depth ? level->depth : 1, pixels = depth * level->height * level->width;
            if (query >= pixels) {
                query -= pixels;
                continue;
            }
            uint64_t x = query % level->width, y = query / level->width % level->height,
                     z = query / level->width / level->height;
            *place = axis == 0   ? ((double)x + 0.5) / level->width
                     : axis == 1 ? ((double)y + 0.5) / level->height
                                 : ((double)z + 0.5) / (double)depth;
            return;
        }
    }
    uint64_t side = (uint64_t)ceil(sqrt((double)d->len_q));
    *place = axis == 0 ? ((double)(query % side) + 0.5) / (double)side : ((double)(query / side) + 0.5) / (double)side;
}

/* Offsets as Deformable DETR begins with them: a direction for each head, 1 to P pixels along it. */
static double initial_offset(uint32_t head, uint32_t heads, uint32_t point, uint32_t axis)
{
    double angle = 2.0 * 3.14159265358979323846 * head / heads;
    double x = cos(angle), y = sin(angle), longest = fmax(fabs(x), fabs(y));
    return (axis == 0 ? x : axis == 1 ? y : 0.0) / longest * (point + 1);
}

static double deform_value(const struct bench_shape *shape, const char *arg, uint64_t index, uint64_t *state)
{
    const struct heed_deform_desc *d = &shape->desc.deform;
    uint32_t axes = d->axes ? d->axes : 2, points = 0;
    for (uint32_t l = 0; l < d->level_count; l++)
        points += d->levels[l].points;
    if (strcmp(arg, "weights") == 0)
        return 2.0 * random_unit(state) / points;
    if (strcmp(arg, "reference") == 0) {
        uint32_t width = d->reference_boxes ? 2 * axes : axes, component = (uint32_t)(index % width);
        uint64_t query = index / width / (d->reference_per_level ? d->level_count : 1) % d->len_q;
        double place;
        if (component >= axes)
            return 0.05 + 0.2 * random_unit(state); /* the size of a box */
        if (shape->anywhere)
            return random_unit(state);
        query_place(d, query, component, &place);
        return place;
    }
    bool locations = strcmp(arg, "locations") == 0;
    if (!locations && strcmp(arg, "offsets") != 0)
        return random_normal(state);
    if (shape->anywhere)
        return locations ? random_unit(state) : 8.0 * random_unit(state) - 4.0;
    uint32_t axis = (uint32_t)(index % axes), point = (uint32_t)(index / axes % points), level = 0;
    uint32_t head = (uint32_t)(index / axes / points % d->heads);
    uint64_t query = index / axes / points / d->heads % d->len_q;
    while (point >= d->levels[level].points)
        point -= d->levels[level++].points;
    double offset = initial_offset(head, d->heads, point, axis) + 0.2 * (random_unit(state) - 0.5);
    if (!locations)
        return offset;
    const struct heed_level *l = &d->levels[level];
    double place;
    query_place(d, query, axis, &place);
    return place + offset / (axis == 0 ? l->width : axis == 1 ? l->height : l->depth);
}

static double attention_value(const struct bench_shape *shape, const struct heed_arg_info *arg, uint64_t index,
                              uint64_t *state)
{
    const struct heed_attention_desc *d = &shape->desc.attention;
    const char *name = arg->name;
    if (arg->dtype == HEED_BOOL)
        return random_unit(state) < 0.75;
    if (strcmp(name, "key_lengths") == 0)
        return floor(d->len_kv * (0.5 + 0.5 * random_unit(state)));
    if (strcmp(name, "cu_seqlens_q") == 0)
        return floor((double)d->total_q * (double)index / d->batch);
    if (strcmp(name, "cu_seqlens_kv") == 0)
        return floor((double)d->total_kv * (double)index / d->batch);
    if (strcmp(name, "alibi") == 0)
        return exp2(-8.0 * (double)(index + 1) / d->heads_q);
    if (strcmp(name, "distance") == 0)
        return index % 2 == 0 ? 0.1 : 1.0;
    if (strcmp(name, "weights") == 0)
        return 2.0 * random_unit(state) / (d->len_kv > 0 ? d->len_kv : 1);
    return random_normal(state);
}

static bool fill(struct session *session, const struct bench_shape *shape, const struct heed_arg_info *arg,
                 heed_buffer *buffer, struct fault *fault)
{
    size_t size = heed_dtype_size(arg->dtype);
    uint64_t count = arg->bytes / size, state = UINT64_C(0x9e3779b97f4a7c15);
    for (const char *c = arg->name; *c; c++)
        state = (state ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    void *data = malloc(CHUNK * sizeof(float));
    bool done = data || fault_failed(fault, "out of host memory");
    for (uint64_t first = 0; done && first < count; first += CHUNK) {
        uint64_t now = count - first < CHUNK ? count - first : CHUNK;
        for (uint64_t i = 0; i < now; i++)
            heed_dtype_store(data, arg->dtype, i,
                             shape->is_deform ? deform_value(shape, arg->name, first + i, &state)
                                              : attention_value(shape, arg, first + i, &state));
        done = session_ok(session, heed_buffer_write(buffer, first * size, data, now * size), arg->name, fault);
    }
    free(data);
    return done;
}

/* ---- the plan */

static bool skip(struct bench_row *row, const struct fault *fault)
{
    /* The row names op, device and kernel already. */
    const char *reason = row->forced ? strstr(fault->text, " refuses: ") : NULL;
    snprintf(row->skipped, sizeof row->skipped, "%.300s", reason ? reason + 1 : fault->text);
    return false;
}

static enum heed_status create_plan(struct session *session, const struct bench_row *row, const char *kernel,
                                    heed_plan **plan)
{
    session->message[0] = '\0';
    if (row->shape->is_deform) {
        struct heed_deform_desc desc = row->shape->desc.deform;
        desc.value.dtype = desc.o.dtype = row->dtype;
        desc.kernel = kernel;
        return heed_plan_create_deform(session->device, &desc, plan);
    }
    struct heed_attention_desc desc = row->shape->desc.attention;
    desc.q.dtype = desc.k.dtype = desc.v.dtype = desc.o.dtype = row->dtype;
    desc.kernel = kernel;
    return heed_plan_create_attention(session->device, &desc, plan);
}

bool bench_row_plan(struct session *session, struct bench_row *row)
{
    struct fault fault;
    struct heed_plan_info info;
    uint64_t start = bench_now_ns();
    if (!session_ok(session, create_plan(session, row, row->forced, &row->plan), "plan", &fault))
        return skip(row, &fault);
    row->plan_ns = (double)(bench_now_ns() - start);
    heed_plan_get_info(row->plan, &info);
    snprintf(row->kernel, sizeof row->kernel, "%s", info.kernel);
    row->selected = !row->forced;
    row->on_cpu = session->info.type == HEED_DEVICE_CPU;
    row->dispatches = info.dispatches;
    row->pipelines = info.pipelines;
    row->pipelines_shared = info.pipelines_shared;
    row->flops = info.flops;
    row->scratch_bytes = info.scratch_bytes;
    row->arg_count = info.args;
    for (uint32_t i = 0; i < info.args; i++) {
        struct heed_arg_info arg;
        if (!session_ok(session, heed_plan_get_arg(row->plan, i, &arg), "arguments", &fault))
            return skip(row, &fault);
        *(arg.output ? &row->output_bytes : &row->input_bytes) += arg.bytes;
    }
    if (row->shape->is_deform) {
        const struct heed_deform_desc *d = &row->shape->desc.deform;
        uint64_t points = 0;
        for (uint32_t l = 0; l < d->level_count; l++)
            points += d->levels[l].points;
        row->samples = (uint64_t)d->batch * d->len_q * d->heads * points;
    }
    return true;
}

/* ---- runs */

static double clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Times go to place `slot`: those of a call that waits, as apps make it, and the device's, by a second run, since
 * timestamps take time themselves (0.08 of 0.18 ms on lavapipe). */
static bool run_once(struct session *session, struct bench_row *row, uint32_t slot, struct fault *fault)
{
    heed_fence *fence = NULL;
    uint64_t ns = 0;
    double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    bool done = session_ok(session, heed_run(row->plan, row->args, row->arg_count, NULL), "run", fault);
    row->wall_ns[slot] = clock_ns(CLOCK_MONOTONIC) - wall;
    row->cpu_ns[slot] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (done && session->info.has_timestamps) {
        done = session_ok(session, heed_run(row->plan, row->args, row->arg_count, &fence), "run", fault) &&
               session_ok(session, heed_fence_wait(fence, UINT64_MAX), "run", fault);
        if (done && heed_fence_get_device_ns(fence, &ns) != HEED_OK)
            ns = 0;
        heed_fence_destroy(&fence);
    }
    row->device_ns[slot] = (double)ns;
    return done;
}

bool bench_row_begin(struct session *session, struct bench_row *row, double budget_ns)
{
    struct fault fault;
    row->wall_ns = malloc(BENCH_MAX_RUNS * sizeof *row->wall_ns);
    row->device_ns = malloc(BENCH_MAX_RUNS * sizeof *row->device_ns);
    row->cpu_ns = malloc(BENCH_MAX_RUNS * sizeof *row->cpu_ns);
    if (!row->wall_ns || !row->device_ns || !row->cpu_ns) {
        fault_failed(&fault, "out of host memory");
        return skip(row, &fault);
    }
    for (uint32_t i = 0; i < row->arg_count; i++) {
        struct heed_arg_info arg;
        session->message[0] = '\0';
        uint64_t bytes;
        if (!session_ok(session, heed_plan_get_arg(row->plan, i, &arg), "arguments", &fault))
            return skip(row, &fault);
        bytes = arg.bytes > 0 ? (arg.bytes + 3) / 4 * 4 : 4;
        if (!session_ok(session, heed_buffer_create(session->device, bytes, &row->buffers[i]), arg.name, &fault) ||
            (!arg.output && !fill(session, row->shape, &arg, row->buffers[i], &fault)))
            return skip(row, &fault);
        row->args[i] = (struct heed_arg){arg.name, row->buffers[i], 0};
    }
    /* What the first run takes is part of the story; the second tells whether more are affordable. */
    if (!run_once(session, row, 0, &fault))
        return skip(row, &fault);
    row->first_ns = row->wall_ns[0];
    if (!run_once(session, row, 0, &fault))
        return skip(row, &fault);
    row->run_count = 1;
    row->slow = row->wall_ns[0] > 3.0 * budget_ns;
    return true;
}

/* A GPU that idled while the host compiled runs at a fraction of its clock at first: an H100 at 345 of 1980 MHz, and
 * five times as long. */
static bool wake_up(struct session *session, struct bench_row *row, struct fault *fault)
{
    const double wake_ns = 100e6;
    uint64_t start = bench_now_ns();
    do {
        if (!run_once(session, row, row->run_count, fault))
            return false;
    } while (!row->on_cpu && (double)(bench_now_ns() - start) < wake_ns);
    return true;
}

bool bench_row_measure(struct session *session, struct bench_row *row, double ns)
{
    struct fault fault;
    if (row->slow || row->run_count == BENCH_MAX_RUNS)
        return true;
    if (row->wall_ns[0] < ns && !wake_up(session, row, &fault))
        return skip(row, &fault);
    uint64_t start = bench_now_ns();
    do {
        if (!run_once(session, row, row->run_count, &fault))
            return skip(row, &fault);
        row->run_count++;
    } while (row->run_count < BENCH_MAX_RUNS && (double)(bench_now_ns() - start) < ns);
    return true;
}

void bench_row_end(struct bench_row *row)
{
    bool timestamps = row->run_count > 0;
    for (uint32_t i = 0; i < row->run_count; i++)
        timestamps &= row->device_ns[i] > 0;
    if (row->run_count > 0 && !row->skipped[0]) {
        row->wall = bench_stat(row->wall_ns, row->run_count);
        if (row->on_cpu)
            row->cpu = bench_stat(row->cpu_ns, row->run_count);
        if (timestamps)
            row->device = bench_stat(row->device_ns, row->run_count);
    }
    for (uint32_t i = 0; i < row->arg_count; i++)
        heed_buffer_destroy(&row->buffers[i]);
    heed_plan_destroy(&row->plan);
    free(row->wall_ns);
    free(row->device_ns);
    free(row->cpu_ns);
    row->wall_ns = row->device_ns = row->cpu_ns = NULL;
    row->run_count = 0;
}
