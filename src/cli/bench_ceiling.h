/* SPDX-License-Identifier: MIT
 * What bench_ceiling.c shares with its backends: programs that the device runs on its queue, by the library's memory,
 * and timed by the clock that its kernels are timed by; but they are no kernels of the library. */
#ifndef HEED_CLI_BENCH_CEILING_H
#define HEED_CLI_BENCH_CEILING_H

#include "bench.h"
#include "plan.h"

struct ceiling_programs;

struct ceiling_backend {
    /* Makes the programs and fills groups, work and steps, of those that there are. */
    enum heed_status (*create)(struct ceiling_programs *p);
    /* Runs one, and how long that took on the device. */
    enum heed_status (*pass)(struct ceiling_programs *p, enum bench_ceiling_id id, double *ns);
    /* Also of what is only half made. */
    void (*destroy)(struct ceiling_programs *p);
};
extern const struct ceiling_backend bench_ceiling_vk, bench_ceiling_cl;

struct ceiling_programs {
    const struct ceiling_backend *backend;
    heed_device *device;
    void *own;               /* the backend's */
    heed_buffer *buffers[2]; /* what is read, and what is written */
    uint64_t bytes;          /* of each */
    uint32_t groups[BENCH_CEILINGS], steps[BENCH_CEILINGS];
    double work[BENCH_CEILINGS]; /* of a step, or of a pass without steps: FLOP, bytes; 0: there is no such program */
};

/* Two buffers of that size, as far as the device has bindings for them, the first full of numbers from 0 to 1. */
enum heed_status bench_ceiling_buffers(struct ceiling_programs *p, uint64_t quantum);
/* As many steps as take about 20 ms. */
enum heed_status bench_ceiling_calibrate(struct ceiling_programs *p, enum bench_ceiling_id id);

#endif
