/* SPDX-License-Identifier: MIT
 * Makes the program of a step, and asks what the driver made of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cl.h"

/* The standard without warnings (PoCL prints them on the app's stderr), the constants, and the end:
 * "-DHEED_CONSTANT_15=4294967295u " is 31 characters. */
enum { OPTIONS = 64 + 32 * HEED_MAX_SPEC };

static void write_options(const struct heed_step *step, char options[OPTIONS])
{
    size_t used = (size_t)snprintf(options, OPTIONS, "-cl-std=CL1.2 -w");
    for (uint32_t i = 0; i < step->spec_count; i++)
        if (heed_cl_compiled(step->kernel) >> i & 1)
            used += (size_t)snprintf(options + used, OPTIONS - used, " -DHEED_CONSTANT_%u=%uu", (unsigned)i,
                                     (unsigned)step->spec[i]);
}

static void make_key(const struct heed_cl_source *source, const char *options, uint64_t key[2])
{
    key[0] = HEED_CACHE_HASH;
    key[1] = ~HEED_CACHE_HASH;
    for (int h = 0; h < 2; h++) {
        for (cl_uint i = 0; i < source->count; i++)
            key[h] = heed_cache_hash(key[h], source->texts[i], source->bytes[i]);
        key[h] = heed_cache_hash(key[h], options, strlen(options));
    }
}

/* What the compiler said, line by line: for those who write kernels, and drivers. */
static void log_build(struct heed_cl_device *device, cl_program program)
{
    heed_context *context = device->base.context;
    const struct heed_cl_functions *cl = &device->cl;
    size_t bytes = 0;
    if (cl->GetProgramBuildInfo(program, device->physical.handle, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) != CL_SUCCESS)
        return;
    char *text = heed_alloc(context, bytes + 1, 1);
    if (text && cl->GetProgramBuildInfo(program, device->physical.handle, CL_PROGRAM_BUILD_LOG, bytes, text, NULL) ==
                    CL_SUCCESS) {
        for (char *line = text; *line;) {
            const size_t length = strcspn(line, "\n");
            const bool more = line[length] != 0;
            line[length] = 0;
            heed_log(context, HEED_LOG_DEBUG, "opencl: %s", line);
            line += length + more;
        }
    }
    heed_free(context, text);
}

static cl_int build(struct heed_cl_device *device, cl_program program, const char *options)
{
    return device->cl.BuildProgram(program, 1, &device->physical.handle, options, NULL, NULL);
}

static enum heed_status build_source(struct heed_cl_device *device, const struct heed_step *step,
                                     const struct heed_cl_source *source, const char *options, cl_program *program,
                                     char why[HEED_REFUSAL])
{
    const struct heed_cl_functions *cl = &device->cl;
    cl_int result;
    /* OpenCL takes the pointers as const char **, which it does not write. */
    const char **texts = heed_alloc(device->base.context, source->count, sizeof *texts);
    if (!texts)
        return heed_fail_memory(device->base.context);
    memcpy(texts, source->texts, source->count * sizeof *texts);
    *program = cl->CreateProgramWithSource(device->context, source->count, texts, source->bytes, &result);
    heed_free(device->base.context, texts);
    enum heed_status status = heed_cl_check(device, result, "clCreateProgramWithSource");
    if (status)
        return status;
    result = build(device, *program, options);
    if (result == CL_SUCCESS)
        return HEED_OK;
    log_build(device, *program);
    if (result == CL_OUT_OF_RESOURCES) {
        snprintf(why, HEED_REFUSAL, "the device has too few resources for %s with %u invocations",
                 heed_kernel_name(step->kernel), (unsigned)step->spec[0]);
        return HEED_ERR_UNSUPPORTED;
    }
    if (result == CL_BUILD_PROGRAM_FAILURE)
        return heed_fail(device->base.context, HEED_ERR_BACKEND,
                         "opencl: the driver does not compile %s %s; its messages are logged as HEED_LOG_DEBUG",
                         heed_kernel_name(step->kernel), options);
    return heed_cl_check(device, result, "clBuildProgram");
}

/* The driver knows only now how many registers and how much local memory the kernel takes. */
static enum heed_status check_resources(struct heed_cl_device *device, const struct heed_step *step, cl_kernel kernel,
                                        char why[HEED_REFUSAL])
{
    const struct heed_cl_functions *cl = &device->cl;
    size_t group = 0;
    cl_ulong local = 0;
    const uint64_t local_most = device->base.info.limits.max_shared_bytes;
    cl_int result = cl->GetKernelWorkGroupInfo(kernel, device->physical.handle, CL_KERNEL_WORK_GROUP_SIZE, sizeof group,
                                               &group, NULL);
    if (result == CL_SUCCESS)
        result = cl->GetKernelWorkGroupInfo(kernel, device->physical.handle, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local,
                                            &local, NULL);
    if (result != CL_SUCCESS)
        return heed_cl_check(device, result, "clGetKernelWorkGroupInfo");
    if (group < step->spec[0])
        snprintf(why, HEED_REFUSAL, "the driver runs %s with work groups of %zu at most, fewer than %u",
                 heed_kernel_name(step->kernel), group, (unsigned)step->spec[0]);
    else if (local > local_most)
        snprintf(why, HEED_REFUSAL, "%s takes %" PRIu64 " bytes of local memory, more than %" PRIu64,
                 heed_kernel_name(step->kernel), (uint64_t)local, local_most);
    else
        return HEED_OK;
    return HEED_ERR_UNSUPPORTED;
}

static enum heed_status create(struct heed_cl_device *device, const struct heed_step *step,
                               struct heed_cl_pipeline *made, char why[HEED_REFUSAL])
{
    const struct heed_cl_functions *cl = &device->cl;
    heed_context *context = device->base.context;
    const struct heed_cl_source source = heed_cl_kernel_source(step->kernel);
    char options[OPTIONS];
    if (source.count == 0) {
        snprintf(why, HEED_REFUSAL, "its kernel %s is not for OpenCL", heed_kernel_name(step->kernel));
        return HEED_ERR_UNSUPPORTED;
    }
    write_options(step, options);
    make_key(&source, options, made->key);
    enum heed_status status = HEED_OK;
    made->program = heed_cl_cache_find(device, made->key);
    made->from_cache = made->program && build(device, made->program, options) == CL_SUCCESS;
    if (!made->from_cache) {
        if (made->program) {
            heed_log(context, HEED_LOG_WARN, "cache: the driver refuses its binary of %s: compiled again",
                     heed_kernel_name(step->kernel));
            cl->ReleaseProgram(made->program);
            made->program = NULL;
        }
        status = build_source(device, step, &source, options, &made->program, why);
    }
    cl_int result;
    if (!status) {
        made->kernel = cl->CreateKernel(made->program, heed_kernel_name(step->kernel), &result);
        status = heed_cl_check(device, result, "clCreateKernel");
    }
    return status ? status : check_resources(device, step, made->kernel, why);
}

static void release(struct heed_cl_device *device, struct heed_cl_pipeline *pipeline)
{
    if (pipeline->kernel)
        device->cl.ReleaseKernel(pipeline->kernel);
    if (pipeline->program)
        device->cl.ReleaseProgram(pipeline->program);
}

/* ---- for src/pipelines.c */

enum heed_status heed_cl_pipeline_make(heed_device *base, const struct heed_step *step, struct heed_pipeline **result,
                                       bool *cached, char why[HEED_REFUSAL])
{
    struct heed_cl_device *device = (struct heed_cl_device *)base;
    struct heed_cl_pipeline *made = heed_alloc(base->context, 1, sizeof *made);
    if (!made)
        return heed_fail_memory(base->context);
    enum heed_status status = create(device, step, made, why);
    *cached = made->from_cache;
    if (status) {
        release(device, made);
        heed_free(base->context, made);
        return status;
    }
    *result = &made->base;
    return HEED_OK;
}

void heed_cl_pipeline_destroy(heed_device *base, struct heed_pipeline *pipeline)
{
    struct heed_cl_device *device = (struct heed_cl_device *)base;
    struct heed_cl_pipeline *mine = (struct heed_cl_pipeline *)pipeline;
    if (!heed_cl_in_child(device)) {
        heed_cl_cache_remember(device, mine);
        release(device, mine);
    }
    heed_free(base->context, mine);
}

/* ---- plans */

enum heed_status heed_cl_plan_compile(heed_plan *plan)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    heed_context *context = device->base.context;
    enum heed_status status = heed_cl_usable(device);
    if (status)
        return status;
    struct heed_cl_plan *compiled = heed_alloc(context, 1, sizeof *compiled);
    if (!compiled)
        return heed_fail_memory(context);
    status = heed_pipelines_obtain(&device->pipelines, plan, &compiled->pipelines);
    if (status)
        heed_free(context, compiled);
    else
        plan->backend = compiled;
    return status;
}

void heed_cl_plan_release(heed_plan *plan)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    struct heed_cl_plan *compiled = plan->backend;
    if (!compiled)
        return;
    heed_pipelines_release(&device->pipelines, &compiled->pipelines);
    if (compiled->scratch && !heed_cl_in_child(device))
        device->cl.ReleaseMemObject(compiled->scratch);
    heed_free(device->base.context, compiled);
    plan->backend = NULL;
}
