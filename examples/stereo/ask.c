/* SPDX-License-Identifier: MIT
 * heed in own mode on host arrays: open a device, run a plan once, tell how long it took. */
#include "ask.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TENSORS_MAX = 8 };

static void print_log(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "stereo: %s\n", text);
}

bool asker_open(struct asker *asker, enum heed_backend backend, const char *device)
{
    struct heed_context_desc context = {.struct_size = sizeof context, .log = print_log};
    struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = backend, .select = device};
    struct heed_device_info info;
    *asker = (struct asker){0};
    if (heed_context_create(&context, &asker->context) != HEED_OK ||
        heed_device_create(asker->context, &desc, &asker->device) != HEED_OK) {
        asker_close(asker);
        return false;
    }
    heed_device_get_info(asker->device, &info);
    printf("device   %s (%s)\n", info.name, info.driver);
    /* Measured on llvmpipe without a disk cache: 8 s of the first attention op are LLVM's. PoCL does the same. */
    bool compiles_late = info.backend != HEED_BACKEND_REFERENCE && info.type == HEED_DEVICE_CPU;
    printf("times    from %s clock%s\n", info.has_timestamps ? "the device's" : "the host's",
           compiles_late ? "; a software driver compiles at first use, which counts" : "");
    printf("\n%-21s%-29s%-38s%9s\n", "step", "kernel", "shape", "time");
    return true;
}

void asker_close(struct asker *asker)
{
    heed_device_destroy(&asker->device);
    heed_context_destroy(&asker->context);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* What the plan wants to know about the tensor of that name. */
static bool find_arg(const heed_plan *plan, const char *name, struct heed_arg_info *arg)
{
    for (uint32_t i = 0; heed_plan_get_arg(plan, i, arg) == HEED_OK; i++)
        if (strcmp(arg->name, name) == 0)
            return true;
    fprintf(stderr, "stereo: the plan has no argument %s\n", name);
    return false;
}

static bool run(heed_plan *plan, const struct heed_arg *args, uint32_t count, double *seconds)
{
    heed_fence *fence;
    uint64_t ns;
    double start = now();
    if (heed_run(plan, args, count, &fence) != HEED_OK)
        return false;
    bool ok = heed_fence_wait(fence, UINT64_MAX) == HEED_OK;
    *seconds = now() - start;
    if (ok && heed_fence_get_device_ns(fence, &ns) == HEED_OK)
        *seconds = 1e-9 * (double)ns;
    heed_fence_destroy(&fence);
    return ok;
}

bool ask(struct asker *asker, const char *step, const char *shape, enum heed_status created, heed_plan *plan,
         const struct tensor *tensors, uint32_t count)
{
    struct heed_arg args[TENSORS_MAX] = {{0}};
    struct heed_arg_info arg;
    double seconds = 0;
    bool ok = created == HEED_OK && count <= TENSORS_MAX;
    for (uint32_t i = 0; ok && i < count; i++) {
        args[i].name = tensors[i].name;
        ok = find_arg(plan, tensors[i].name, &arg) &&
             heed_buffer_create(asker->device, (arg.bytes + 3) / 4 * 4, &args[i].buffer) == HEED_OK &&
             (arg.output || heed_buffer_write(args[i].buffer, 0, tensors[i].data, arg.bytes) == HEED_OK);
    }
    ok = ok && run(plan, args, count, &seconds);
    for (uint32_t i = 0; ok && i < count; i++)
        ok = find_arg(plan, tensors[i].name, &arg) &&
             (!arg.output || heed_buffer_read(args[i].buffer, 0, tensors[i].data, arg.bytes) == HEED_OK);
    if (ok) {
        struct heed_plan_info info;
        heed_plan_get_info(plan, &info);
        printf("%-21s%-29s%-38s%6.0f ms\n", step, info.kernel, shape, 1e3 * seconds);
        fflush(stdout);
        asker->seconds += seconds;
    }
    for (uint32_t i = 0; i < count && i < TENSORS_MAX; i++)
        heed_buffer_destroy(&args[i].buffer);
    heed_plan_destroy(&plan);
    return ok;
}
