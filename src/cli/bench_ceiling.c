/* SPDX-License-Identifier: MIT
 * Ceilings of the device: an FMA loop, a copy and a read, and what they allow a row. */
#include "bench_ceiling.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 64, PASSES = 3 };

double bench_bound_ns(const struct bench_ceilings *c, const struct bench_row *row, enum bench_bound *by)
{
    *by = BENCH_BY_FMA;
    if (!c->known)
        return 0;
    double flops = c->rate[BENCH_FMA].median, matrix = c->rate[BENCH_MATRIX].median;
    double read = c->rate[BENCH_READ].median, copy = c->rate[BENCH_COPY].median;
    if (row->dtype != HEED_F32 && matrix > flops) {
        flops = matrix;
        *by = BENCH_BY_MATRIX;
    }
    /* A written byte costs what a copied one does less what reading it does. */
    double write_ns = 2.0 / copy - 1.0 / read;
    if (write_ns < 0.5 / copy)
        write_ns = 0.5 / copy;
    double compute = (double)row->flops / flops;
    double move = (double)row->input_bytes / read + (double)row->output_bytes * write_ns;
    if (move <= compute)
        return compute;
    *by = BENCH_BY_MEMORY;
    return move;
}

static const struct ceiling_backend *backend_of(const struct session *session)
{
    switch (session->info.backend) {
#ifdef HEED_HAVE_VULKAN
    case HEED_BACKEND_VULKAN:
        return &bench_ceiling_vk;
#endif
#ifdef HEED_HAVE_OPENCL
    case HEED_BACKEND_OPENCL:
        return &bench_ceiling_cl;
#endif
    default:
        return NULL;
    }
}

enum heed_status bench_ceiling_calibrate(struct ceiling_programs *p, enum bench_ceiling_id id)
{
    double ns = 0;
    enum heed_status status = HEED_OK;
    for (p->steps[id] = 8; !status && ns < 10e6 && p->steps[id] < 1u << 24;) {
        p->steps[id] *= 2;
        status = p->backend->pass(p, id, &ns);
    }
    return status;
}

/* Memory full of zeros is compressed by some GPUs, and multiplying zeros takes less power. */
enum heed_status bench_ceiling_buffers(struct ceiling_programs *p, uint64_t quantum)
{
    enum { CHUNK = 1 << 20 };
    const struct heed_device_info *info = &p->device->info;
    /* More than the last cache of most: 96 MB of "infinity cache" have been sold. */
    uint64_t bytes = UINT64_C(64) << 20;
    if (info->type == HEED_DEVICE_DISCRETE)
        bytes = UINT64_C(256) << 20;
    if (bytes > info->limits.max_storage_range)
        bytes = info->limits.max_storage_range;
    if (bytes / quantum > info->limits.max_group_count)
        bytes = quantum * info->limits.max_group_count;
    p->bytes = bytes / quantum * quantum;
    float *chunk = malloc(CHUNK);
    enum heed_status status = chunk ? HEED_OK : HEED_ERR_HOST_MEMORY;
    uint32_t state = 1;
    for (uint32_t i = 0; chunk && i < CHUNK / sizeof *chunk; i++) {
        state = state * 1664525u + 1013904223u;
        chunk[i] = (float)(state >> 8) * 0x1p-24f;
    }
    for (uint32_t i = 0; i < 2 && !status; i++)
        status = heed_buffer_create(p->device, p->bytes, &p->buffers[i]);
    for (uint64_t at = 0; at < p->bytes && !status; at += CHUNK)
        status = heed_buffer_write(p->buffers[0], at, chunk, p->bytes - at < CHUNK ? p->bytes - at : CHUNK);
    free(chunk);
    return status;
}

bool bench_ceilings_begin(struct session *session, struct bench_ceilings *ceilings, struct fault *fault)
{
    memset(ceilings, 0, sizeof *ceilings);
    const struct ceiling_backend *backend = backend_of(session);
    if (!backend)
        return true;
    struct ceiling_programs *p = ceilings->programs = calloc(1, sizeof *p);
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        ceilings->values[i] = calloc(MAX_VALUES, sizeof *ceilings->values[i]);
    bool made = p != NULL;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        made &= ceilings->values[i] != NULL;
    if (!made)
        return fault_failed(fault, "out of host memory");
    p->backend = backend;
    p->device = session->device;
    session->message[0] = '\0';
    if (!session_ok(session, backend->create(p), "ceilings", fault))
        return false;
    ceilings->known = true;
    return true;
}

bool bench_ceilings_measure(struct session *session, struct bench_ceilings *ceilings, struct fault *fault)
{
    if (!ceilings->known)
        return true;
    struct ceiling_programs *p = ceilings->programs;
    uint32_t slot = ceilings->count % MAX_VALUES;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++) {
        /* The best of a few: a ceiling is what can be reached, and the first pass touches cold memory. */
        double best = 0;
        if (p->work[i] <= 0)
            continue;
        for (uint32_t k = 0; k < PASSES; k++) {
            double ns;
            if (!session_ok(session, p->backend->pass(p, (enum bench_ceiling_id)i, &ns), "ceilings", fault))
                return false;
            double rate = ns > 0 ? p->work[i] * p->steps[i] / ns : 0; /* GFLOP/s, GB/s */
            best = rate > best ? rate : best;
        }
        if (best <= 0)
            return fault_failed(fault, "%s: its clock stood still while it should have worked", session->info.name);
        ceilings->values[i][slot] = best;
    }
    ceilings->count++;
    uint32_t count = ceilings->count < MAX_VALUES ? ceilings->count : MAX_VALUES;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++) {
        double sorted[MAX_VALUES];
        memcpy(sorted, ceilings->values[i], count * sizeof *sorted);
        ceilings->rate[i] = bench_stat(sorted, count);
    }
    return true;
}

void bench_ceilings_end(struct session *session, struct bench_ceilings *ceilings)
{
    (void)session;
    struct ceiling_programs *p = ceilings->programs;
    if (p) {
        p->backend->destroy(p);
        for (uint32_t i = 0; i < 2; i++)
            heed_buffer_destroy(&p->buffers[i]);
    }
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        free(ceilings->values[i]);
    free(p);
    ceilings->programs = NULL;
}
