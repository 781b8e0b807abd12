/* SPDX-License-Identifier: MIT
 * OpenCL functions between heed and the driver: they count calls and objects, let the Nth call fail, and tell what this
 * machine's driver does not. OpenCL gives them no user pointer, so there is one set per process. */
#ifndef HEED_TESTS_CL_WRAP_H
#define HEED_TESTS_CL_WRAP_H

#include "opencl/cl.h"

enum { CL_WRAP_ENQUEUES = 64, CL_WRAP_WAITS = 8 };

/* A kernel or a marker, as it was enqueued. */
struct cl_wrap_enqueue {
    bool marker;
    cl_uint wait_count;
    cl_event waits[CL_WRAP_WAITS]; /* the first of them */
    cl_event event;                /* NULL: none was asked for */
};

struct cl_wrap {
    /* What to do. */
    uint32_t fail_at; /* the call that can fail, counted from 1, that does; 0 = none */
    cl_int fail_with;
    size_t group_size;       /* what a kernel can have at most; 0: the driver's own */
    cl_ulong local_bytes;    /* what a kernel needs; 0: the driver's own */
    bool refuse_binaries;    /* no program can be made of a binary */
    bool binaries_are_stale; /* it can, and does not build */
    bool build_fails;
    const char *missing; /* there is no function of this name */

    /* What happened. */
    atomic_uint calls;  /* that can fail */
    const char *failed; /* the one that did */
    atomic_int live;    /* objects made and not released, events apart */
    atomic_int events;  /* the same of events */
    atomic_uint from_source, from_binary, flushes, waits, allocations;
    cl_program of_binary; /* the last */
    uint32_t enqueue_count;
    struct cl_wrap_enqueue enqueues[CL_WRAP_ENQUEUES];
};
extern struct cl_wrap cl_wrap;

/* Forgets what happened; `loader` is from heed_cl_loader_open. */
void cl_wrap_reset(void *loader);
/* Of type heed_cl_get_function_fn; `user` is the loader, or NULL. */
void *cl_wrap_get_function(void *user, const char *name);

#endif
