/* SPDX-License-Identifier: MIT
 * Ceilings by OpenCL: kernels of the command's own. On a processor a work-item is a group of its own, with vectors as
 * long as the processor's. */
#include "bench_ceiling.h"
#include "opencl/cl.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHAINS = 8, FMA_OF_A_CHAIN = 16, GPU_GROUP = 64, GPU_EACH = 16, CPU_EACH = 4096 };

/* REAL: float4, 8 or 16. `each` vectors of an item; RUN: they lie side by side, else neighbours read neighbours. */
static const char text[] =
    "kernel void fma_loop(global const REAL *source, global REAL *target, uint steps, uint each)\n"
    "{\n"
    "    REAL m = source[0], c = source[1], a[8];\n"
    "    for (int k = 0; k < 8; k++)\n"
    "        a[k] = source[2] + (float)get_local_id(0) + (float)k;\n"
    "    for (uint i = 0; i < steps; i++)\n"
    "        for (int j = 0; j < 16; j++) {\n"
    "            a[0] = fma(a[0], m, c); a[1] = fma(a[1], m, c); a[2] = fma(a[2], m, c); a[3] = fma(a[3], m, c);\n"
    "            a[4] = fma(a[4], m, c); a[5] = fma(a[5], m, c); a[6] = fma(a[6], m, c); a[7] = fma(a[7], m, c);\n"
    "        }\n"
    "    target[get_global_id(0)] = a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];\n"
    "}\n"
    "#define FIRST (get_group_id(0) * get_local_size(0) * each + get_local_id(0) * (RUN ? each : 1u))\n"
    "#define NEXT (RUN ? 1u : get_local_size(0))\n"
    "kernel void copy(global const REAL *source, global REAL *target, uint steps, uint each)\n"
    "{\n"
    "    size_t at = FIRST, next = NEXT;\n"
    "    for (uint i = 0; i < each; i++)\n"
    "        target[at + i * next] = source[at + i * next];\n"
    "}\n"
    "kernel void read(global const REAL *source, global REAL *target, uint steps, uint each)\n"
    "{\n"
    "    size_t at = FIRST, next = NEXT;\n"
    "    REAL a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;\n"
    "    for (uint i = 0; i < each; i += 4) {\n"
    "        a += source[at + i * next];\n"
    "        b += source[at + (i + 1) * next];\n"
    "        c += source[at + (i + 2) * next];\n"
    "        d += source[at + (i + 3) * next];\n"
    "    }\n"
    "    target[get_global_id(0)] = a + b + c + d;\n"
    "}\n";

struct cl_programs {
    cl_program program;
    cl_kernel kernel[BENCH_CEILINGS];
    uint32_t group, each;
};

static struct heed_cl_device *cl_device(const struct ceiling_programs *p)
{
    return (struct heed_cl_device *)p->device;
}

static enum heed_status set_arguments(struct ceiling_programs *p, enum bench_ceiling_id id)
{
    struct heed_cl_device *device = cl_device(p);
    const struct cl_programs *own = p->own;
    const cl_uint numbers[] = {p->steps[id], own->each};
    cl_int result = CL_SUCCESS;
    for (cl_uint i = 0; i < 4 && result == CL_SUCCESS; i++)
        result = i < 2 ? device->cl.SetKernelArg(own->kernel[id], i, sizeof(cl_mem),
                                                 &((const struct heed_cl_buffer *)p->buffers[i])->handle)
                       : device->cl.SetKernelArg(own->kernel[id], i, sizeof *numbers, &numbers[i - 2]);
    return heed_cl_check(device, result, "clSetKernelArg");
}

static enum heed_status run_pass(struct ceiling_programs *p, enum bench_ceiling_id id, double *ns)
{
    struct heed_cl_device *device = cl_device(p);
    const struct heed_cl_functions *cl = &device->cl;
    const struct cl_programs *own = p->own;
    enum heed_status status = set_arguments(p, id);
    if (status)
        return status;
    const size_t local = own->group, global = (size_t)p->groups[id] * own->group;
    cl_event event;
    cl_ulong begin = 0, end = 0;
    const uint64_t start = bench_now_ns();
    heed_mutex_lock(&device->queue_mutex);
    cl_int result = cl->EnqueueNDRangeKernel(device->queue, own->kernel[id], 1, NULL, &global, &local, 0, NULL, &event);
    heed_mutex_unlock(&device->queue_mutex);
    status = heed_cl_check(device, result, "clEnqueueNDRangeKernel");
    if (status)
        return status;
    status = heed_cl_check(device, cl->WaitForEvents(1, &event), "clWaitForEvents");
    *ns = (double)(bench_now_ns() - start);
    if (!status && device->base.info.has_timestamps) {
        result = cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL);
        if (result == CL_SUCCESS)
            result = cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        status = heed_cl_check(device, result, "clGetEventProfilingInfo");
        *ns = (double)(end - begin);
    }
    cl->ReleaseEvent(event);
    return status;
}

static enum heed_status build(struct ceiling_programs *p, uint32_t lanes, bool cpu)
{
    static const char *const names[] = {[BENCH_FMA] = "fma_loop", [BENCH_COPY] = "copy", [BENCH_READ] = "read"};
    struct heed_cl_device *device = cl_device(p);
    struct cl_programs *own = p->own;
    const char *source = text;
    char options[64];
    snprintf(options, sizeof options, "-DREAL=float%u -DRUN=%d", lanes, cpu);
    cl_int result;
    own->program = device->cl.CreateProgramWithSource(device->context, 1, &source, NULL, &result);
    if (result == CL_SUCCESS)
        result = device->cl.BuildProgram(own->program, 1, &device->physical.handle, options, NULL, NULL);
    enum heed_status status = heed_cl_check(device, result, "clBuildProgram");
    for (uint32_t i = 0; i < sizeof names / sizeof *names && !status; i++) {
        own->kernel[i] = device->cl.CreateKernel(own->program, names[i], &result);
        status = heed_cl_check(device, result, "clCreateKernel");
    }
    return status;
}

static enum heed_status create(struct ceiling_programs *p)
{
    struct cl_programs *own = p->own = calloc(1, sizeof *own);
    if (!own)
        return HEED_ERR_HOST_MEMORY;
    const struct heed_device_info *info = &p->device->info;
    const bool cpu = info->type == HEED_DEVICE_CPU;
    const uint32_t width = info->limits.subgroup_size_max, lanes = !cpu || width < 8 ? 4 : width < 16 ? 8 : 16;
    own->each = cpu ? CPU_EACH : GPU_EACH;
    own->group = cpu ? 1 : info->limits.max_group_size < GPU_GROUP ? info->limits.max_group_size : GPU_GROUP;
    const uint64_t vector = 4 * lanes, group_bytes = vector * own->each * own->group;
    enum heed_status status = bench_ceiling_buffers(p, group_bytes);
    if (!status)
        status = build(p, lanes, cpu);
    for (uint32_t i = BENCH_FMA; i <= BENCH_READ; i++) {
        p->groups[i] = (uint32_t)(p->bytes / group_bytes);
        p->steps[i] = 1;
    }
    p->work[BENCH_COPY] = 2.0 * (double)p->bytes;
    p->work[BENCH_READ] = (double)p->bytes * (1.0 + 1.0 / own->each);
    p->work[BENCH_FMA] = 2.0 * FMA_OF_A_CHAIN * CHAINS * lanes * own->group * p->groups[BENCH_FMA];
    return status ? status : bench_ceiling_calibrate(p, BENCH_FMA);
}

static void destroy(struct ceiling_programs *p)
{
    const struct heed_cl_functions *cl = &cl_device(p)->cl;
    struct cl_programs *own = p->own;
    if (!own)
        return;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        if (own->kernel[i])
            cl->ReleaseKernel(own->kernel[i]);
    if (own->program)
        cl->ReleaseProgram(own->program);
    free(own);
}

const struct ceiling_backend bench_ceiling_cl = {create, run_pass, destroy};
