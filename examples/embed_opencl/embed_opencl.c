/* SPDX-License-Identifier: MIT
 * heed inside an app that owns its cl_context, buffers and queue.
 *
 * The app has 1000 things, each known by a code of 32 signs and with a number of four digits. A kernel of the app makes
 * 300 codes with one sign wrong (the queries), attention finds whose they are (the keys) and brings the digits (the
 * values), a second kernel makes numbers of them: three steps on one queue without order, tied by events. */
#include "code.h"
#include "embed_opencl.h"

#include <heed/heed_opencl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_log(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "embed_opencl: %s\n", text);
}

static void heed_must(enum heed_status status, const char *what)
{
    if (status == HEED_OK)
        return;
    fprintf(stderr, "embed_opencl: %s: %s\n", what, heed_status_name(status));
    exit(1);
}

static void must(cl_int result, const char *what)
{
    if (result == CL_SUCCESS)
        return;
    fprintf(stderr, "embed_opencl: %s failed: %d\n", what, (int)result);
    exit(1);
}

static cl_mem create_buffer(cl_context context, size_t bytes, void *data)
{
    cl_int result;
    const cl_mem buffer = clCreateBuffer(context, data ? CL_MEM_COPY_HOST_PTR : 0, bytes, data, &result);
    must(result, "clCreateBuffer");
    return buffer;
}

static cl_kernel create_kernel(cl_program program, const char *name, const cl_mem *buffers, cl_uint count)
{
    cl_int result;
    const cl_kernel kernel = clCreateKernel(program, name, &result);
    must(result, "clCreateKernel");
    for (cl_uint i = 0; i < count; i++)
        must(clSetKernelArg(kernel, i, sizeof buffers[i], &buffers[i]), "clSetKernelArg");
    return kernel;
}

int main(void)
{
    cl_platform_id platform;
    cl_device_id id;
    cl_int result;
    if (clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &id, NULL) != CL_SUCCESS) {
        fprintf(stderr, "embed_opencl: there is no OpenCL device\n");
        return 77;
    }
    const cl_context context = clCreateContext(NULL, 1, &id, NULL, NULL, &result);
    must(result, "clCreateContext");
    const cl_command_queue queue = clCreateCommandQueue(context, id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &result);
    must(result, "clCreateCommandQueue");

    /* 1. Import the context, plan the problem. */
    const struct heed_context_desc heed_desc = {.struct_size = sizeof heed_desc, .log = print_log};
    const struct heed_cl_import_desc import = {.struct_size = sizeof import, .context = context, .device = id};
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = desc.heads_q = desc.heads_kv = 1;
    desc.len_q = QUESTIONS;
    desc.len_kv = THINGS;
    desc.dim_qk = CODE_DIM;
    desc.dim_v = DIGITS;
    desc.scale = 8; /* sharp: each sign that agrees more weighs e^16 times more */
    heed_context *heed;
    heed_device *device;
    heed_plan *plan;
    struct heed_device_info about;
    struct heed_plan_info info;
    heed_must(heed_context_create(&heed_desc, &heed), "heed_context_create");
    heed_must(heed_cl_import(heed, &import, &device), "heed_cl_import");
    heed_must(heed_plan_create_attention(device, &desc, &plan), "heed_plan_create_attention");
    heed_device_get_info(device, &about);
    heed_plan_get_info(plan, &info);
    printf("%s: %s, %u kernels, %llu bytes of scratch\n", about.name, info.kernel, info.dispatches,
           (unsigned long long)info.scratch_bytes);

    /* 2. The app's own buffers, with what it knows in them, and its own kernels. */
    static float codes[THINGS * CODE_DIM], digits[THINGS * DIGITS];
    for (uint32_t thing = 0; thing < THINGS; thing++) {
        for (uint32_t d = 0; d < CODE_DIM; d++)
            codes[thing * CODE_DIM + d] = CODE_SIGN(code_bits(thing), d);
        for (uint32_t d = 0, rest = NUMBER(thing); d < DIGITS; d++, rest /= 10)
            digits[thing * DIGITS + DIGITS - 1 - d] = (float)(rest % 10);
    }
    const cl_mem q = create_buffer(context, QUESTIONS * CODE_DIM * sizeof(float), NULL);
    const cl_mem k = create_buffer(context, sizeof codes, codes);
    const cl_mem v = create_buffer(context, sizeof digits, digits);
    const cl_mem o = create_buffer(context, QUESTIONS * DIGITS * sizeof(float), NULL);
    const cl_mem answers = create_buffer(context, QUESTIONS * sizeof(uint32_t), NULL);
    const cl_mem scratch = create_buffer(context, info.scratch_bytes > 0 ? info.scratch_bytes : 4, NULL);
    const char *pieces[sizeof source_app / sizeof *source_app];
    memcpy(pieces, source_app, sizeof pieces);
    const cl_program program =
        clCreateProgramWithSource(context, sizeof pieces / sizeof *pieces, pieces, source_app_bytes, &result);
    must(result, "clCreateProgramWithSource");
    must(clBuildProgram(program, 1, &id, "", NULL, NULL), "clBuildProgram");
    const cl_kernel ask = create_kernel(program, "ask", &q, 1);
    const cl_kernel answer = create_kernel(program, "answer", (const cl_mem[]){o, answers}, 2);

    /* 3. Enqueue: the app, heed, the app. Wait once. */
    const struct heed_cl_arg args[] = {{"q", q, 0}, {"k", k, 0}, {"v", v, 0}, {"o", o, 0}, {"scratch", scratch, 0}};
    const size_t questions = QUESTIONS;
    static uint32_t numbers[QUESTIONS];
    cl_event asked, attended, answered;
    must(clEnqueueNDRangeKernel(queue, ask, 1, NULL, &questions, NULL, 0, NULL, &asked), "clEnqueueNDRangeKernel");
    heed_must(heed_cl_enqueue(plan, queue, args, info.scratch_bytes > 0 ? 5 : 4, 1, &asked, &attended),
              "heed_cl_enqueue");
    must(clEnqueueNDRangeKernel(queue, answer, 1, NULL, &questions, NULL, 1, &attended, &answered),
         "clEnqueueNDRangeKernel");
    must(clEnqueueReadBuffer(queue, answers, CL_TRUE, 0, sizeof numbers, numbers, 1, &answered, NULL),
         "clEnqueueReadBuffer");

    /* 4. Is it right? */
    uint32_t right = 0;
    for (uint32_t i = 0; i < QUESTIONS; i++)
        right += numbers[i] == NUMBER(ASKED(i));
    printf("%u of %u answers are right\n", (unsigned)right, (unsigned)QUESTIONS);

    heed_plan_destroy(&plan);
    heed_device_destroy(&device);
    heed_context_destroy(&heed);
    const cl_event events[] = {asked, attended, answered};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        clReleaseEvent(events[i]);
    const cl_mem buffers[] = {q, k, v, o, answers, scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        clReleaseMemObject(buffers[i]);
    clReleaseKernel(ask);
    clReleaseKernel(answer);
    clReleaseProgram(program);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return right == QUESTIONS ? 0 : 1;
}
