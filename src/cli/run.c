/* SPDX-License-Identifier: MIT
 * Files to buffers, a run, buffers to files. Tensors are streamed: the host never holds one whole. */
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "output.h"
#include "problem.h"

enum { CHUNK = 1 << 16 /* elements */ };

/* ---- files */

bool expect_kind(const struct npy_file *file, const char *option, const char *kinds, struct fault *fault)
{
    if (strchr(kinds, file->npy.kind))
        return true;
    char type[8];
    npy_type_name(&file->npy, type);
    if (strcmp(kinds, "fb") == 0)
        return fault_failed(fault,
                            "%s: --%s holds integers (%s); a mask is boolean (true = may attend) or float "
                            "(added): use a.astype(bool) if 1 means may attend",
                            file->name, option, type);
    return fault_failed(fault, "%s: --%s holds %s; it wants %s", file->name, option, type,
                        strcmp(kinds, "f") == 0    ? "f2, f4 or f8"
                        : strcmp(kinds, "iu") == 0 ? "integers"
                                                   : "numbers");
}

bool expect_axis(const struct npy_file *file, uint32_t axis, uint32_t *length, struct fault *fault)
{
    if (file->npy.shape[axis] > UINT32_MAX)
        return fault_failed(fault, "%s: axis %" PRIu32 " has length %" PRIu64 ", more than 2^32 - 1", file->name, axis,
                            file->npy.shape[axis]);
    *length = (uint32_t)file->npy.shape[axis];
    return true;
}

void *load_whole(struct npy_file *file, enum heed_dtype dtype, struct fault *fault)
{
    size_t count = (size_t)file->npy.count;
    unsigned char *raw = malloc(count * file->npy.item_bytes + 1);
    void *elements = malloc(count * heed_dtype_size(dtype) + 1);
    bool done = (raw && elements) || fault_failed(fault, "%s: out of host memory", file->name);
    done = done && npy_read(file, raw, count, fault) &&
           convert_elements(file, 0, raw, count, dtype, CONVERT_REFUSE, elements, fault);
    free(raw);
    if (done)
        return elements;
    free(elements);
    return NULL;
}

/* ---- jobs */

void run_add_file(struct run_job *job, const char *arg, struct npy_file *file, enum heed_dtype dtype)
{
    job->inputs[job->input_count++] = (struct run_input){.arg = arg, .file = file, .dtype = dtype, .repeat = 1};
}

void run_add_data(struct run_job *job, const char *arg, const void *data, uint64_t count, enum heed_dtype dtype)
{
    job->inputs[job->input_count++] = (struct run_input){.arg = arg, .data = data, .count = count, .dtype = dtype};
}

void run_add_output(struct run_job *job, const char *arg, const char *path, uint32_t rank, uint64_t a, uint64_t b,
                    uint64_t c, uint64_t d)
{
    if (path)
        job->outputs[job->output_count++] = (struct run_output){arg, path, rank, {a, b, c, d}};
}

struct tensors {
    struct heed_arg *args;
    heed_buffer **buffers;
    uint32_t count;
};

static bool upload_file(const struct session *session, const struct run_input *input, heed_buffer *buffer,
                        unsigned char *raw, unsigned char *elements, struct fault *fault)
{
    struct npy_file *file = input->file;
    size_t size = heed_dtype_size(input->dtype);
    uint64_t offset = 0;
    while (file->next < file->npy.count) {
        uint64_t first = file->next, left = file->npy.count - first;
        size_t count = left < CHUNK ? (size_t)left : CHUNK;
        if (!npy_read(file, raw, count, fault) ||
            !convert_elements(file, first, raw, count, input->dtype, input->overflow, elements, fault))
            return false;
        if (input->repeat == 1) {
            if (!session_ok(session, heed_buffer_write(buffer, offset, elements, count * size), input->arg, fault))
                return false;
            offset += count * size;
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            for (uint32_t done = 0; done < input->repeat;) {
                uint32_t now = input->repeat - done < CHUNK ? input->repeat - done : CHUNK;
                for (uint32_t j = 0; j < now; j++)
                    memcpy(raw + j * size, elements + i * size, size);
                if (!session_ok(session, heed_buffer_write(buffer, offset, raw, now * size), input->arg, fault))
                    return false;
                offset += now * size;
                done += now;
            }
        }
    }
    return true;
}

static bool upload(const struct session *session, const struct run_input *input, const struct heed_arg_info *arg,
                   heed_buffer *buffer, struct fault *fault)
{
    uint64_t count = input->file ? input->file->npy.count : input->count;
    struct heed_checked bytes = heed_checked_mul(heed_checked(count), heed_dtype_size(input->dtype));
    if (input->file)
        bytes = heed_checked_mul(bytes, input->repeat);
    if (bytes.overflow || bytes.value != arg->bytes || input->dtype != arg->dtype)
        return fault_failed(fault, "%s of %" PRIu64 " bytes of %s, but the plan wants %" PRIu64 " of %s", arg->name,
                            bytes.value, heed_dtype_name(input->dtype), arg->bytes, heed_dtype_name(arg->dtype));
    if (!input->file)
        return session_ok(session, heed_buffer_write(buffer, 0, input->data, bytes.value), arg->name, fault);
    unsigned char *raw = malloc(CHUNK * NPY_MAX_ITEM), *elements = malloc(CHUNK * sizeof(float));
    bool done = raw && elements ? upload_file(session, input, buffer, raw, elements, fault)
                                : fault_failed(fault, "out of host memory");
    free(raw);
    free(elements);
    return done;
}

static bool upload_input(const struct session *session, void *user, const struct heed_arg_info *arg,
                         heed_buffer *buffer, struct fault *fault)
{
    const struct run_job *job = user;
    for (uint32_t j = 0; j < job->input_count; j++)
        if (strcmp(job->inputs[j].arg, arg->name) == 0)
            return upload(session, &job->inputs[j], arg, buffer, fault);
    return fault_failed(fault, "nothing is given for the argument %s", arg->name);
}

static bool download(const struct session *session, const struct heed_arg_info *arg, heed_buffer *buffer,
                     const struct run_output *output, struct output_file *file, struct fault *fault)
{
    char header[384];
    uint32_t width = convert_npy_bytes(arg->dtype);
    size_t size = heed_dtype_size(arg->dtype);
    uint64_t count = 1;
    for (uint32_t i = 0; i < output->rank; i++)
        count *= output->shape[i]; /* below 2^63: checked when the plan was made */
    if (count * size != arg->bytes)
        return fault_failed(fault, "%s has %" PRIu64 " elements, but the plan gives %" PRIu64 " bytes", arg->name,
                            count, arg->bytes);
    if (!output_write(file, header, npy_header(width, output->shape, output->rank, header), fault))
        return false;
    unsigned char *elements = malloc(CHUNK * sizeof(float)), *bytes = malloc(CHUNK * sizeof(float));
    bool done = (elements && bytes) || fault_failed(fault, "out of host memory");
    for (uint64_t first = 0; done && first < count; first += CHUNK) {
        size_t now = count - first < CHUNK ? (size_t)(count - first) : CHUNK;
        done = session_ok(session, heed_buffer_read(buffer, first * size, elements, now * size), arg->name, fault);
        if (done) {
            convert_to_npy(arg->dtype, elements, now, bytes);
            done = output_write(file, bytes, now * width, fault);
        }
    }
    free(elements);
    free(bytes);
    return done;
}

static bool save_output(const struct session *session, void *user, const struct heed_arg_info *arg, heed_buffer *buffer,
                        struct output_set *files, struct fault *fault)
{
    const struct run_job *job = user;
    for (uint32_t i = 0; i < job->output_count; i++)
        if (strcmp(job->outputs[i].arg, arg->name) == 0)
            return download(session, arg, buffer, &job->outputs[i], &files->files[i], fault);
    return true;
}

static bool open_outputs(void *user, struct output_set *files, struct fault *fault)
{
    const struct run_job *job = user;
    bool done = true;
    for (uint32_t i = 0; done && i < job->output_count; i++)
        done = output_open(files, job->outputs[i].path, fault);
    return done;
}

bool run_job(struct session *session, heed_plan *plan, struct run_job *job, struct fault *fault)
{
    const struct run_io io = {job, open_outputs, upload_input, save_output};
    return run_plan(session, plan, &io, job->time, fault);
}

/* ---- a plan, wherever its tensors come from */

static bool prepare(const struct session *session, heed_plan *plan, const struct run_io *io, struct tensors *tensors,
                    struct fault *fault)
{
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    tensors->args = calloc(info.args + 1, sizeof *tensors->args);
    tensors->buffers = calloc(info.args + 1, sizeof(heed_buffer *));
    if (!tensors->args || !tensors->buffers)
        return fault_failed(fault, "out of host memory");
    for (uint32_t i = 0; i < info.args; i++) {
        struct heed_arg_info arg;
        if (!session_ok(session, heed_plan_get_arg(plan, i, &arg), "arguments", fault))
            return false;
        heed_buffer **buffer = &tensors->buffers[i];
        uint64_t bytes = arg.bytes > 0 ? (arg.bytes + 3) / 4 * 4 : 4;
        if (!session_ok(session, heed_buffer_create(session->device, bytes, buffer), arg.name, fault))
            return false;
        tensors->args[tensors->count++] = (struct heed_arg){arg.name, *buffer, 0};
        if (!arg.output && !io->upload(session, io->user, &arg, *buffer, fault))
            return false;
    }
    return true;
}

static bool compute(const struct session *session, heed_plan *plan, const struct tensors *tensors, bool time,
                    struct fault *fault)
{
    heed_fence *fence = NULL;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (!session_ok(session, heed_run(plan, tensors->args, tensors->count, &fence), "run", fault))
        return false;
    bool done = session_ok(session, heed_fence_wait(fence, UINT64_MAX), "run", fault);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (done && session->verbose)
        fprintf(stderr, "heed %s: ran for %.3f ms, with what the driver compiles only now\n", session->command,
                1e3 * (double)(end.tv_sec - start.tv_sec) + 1e-6 * (double)(end.tv_nsec - start.tv_nsec));
    uint64_t ns;
    if (done && time) {
        if (heed_fence_get_device_ns(fence, &ns) == HEED_OK)
            printf("device time %.3f ms on %s\n", (double)ns * 1e-6, session->info.name);
        else
            printf("device time unknown: %s has no timestamps\n", session->info.name);
    }
    heed_fence_destroy(&fence);
    return done;
}

static bool save(const struct session *session, heed_plan *plan, const struct run_io *io, const struct tensors *tensors,
                 struct output_set *files, struct fault *fault)
{
    for (uint32_t i = 0; i < tensors->count; i++) {
        struct heed_arg_info arg;
        if (!session_ok(session, heed_plan_get_arg(plan, i, &arg), "arguments", fault) ||
            (arg.output && !io->save(session, io->user, &arg, tensors->buffers[i], files, fault)))
            return false;
    }
    return output_commit(files, fault);
}

void run_pipelines_text(const struct session *session, const struct heed_plan_info *info, char text[96])
{
    int length =
        snprintf(text, 96, "%" PRIu32 " pipelines in %.0f ms", info->pipelines, (double)info->compile_ns * 1e-6);
    if (session->info.has_pipeline_feedback)
        snprintf(text + length, 96 - (size_t)length, ", %" PRIu32 " of them from the cache", info->pipelines_cached);
}

static void tell_plan(const struct session *session, const heed_plan *plan)
{
    struct heed_plan_info info;
    char pipelines[96];
    heed_plan_get_info(plan, &info);
    run_pipelines_text(session, &info, pipelines);
    fprintf(stderr,
            "heed %s: kernel %s, %" PRIu32 " dispatches, %.3f GFLOP, %.3f MB of tensors, %.3f MB of scratch, "
            "%s\n",
            session->command, info.kernel, info.dispatches, (double)info.flops * 1e-9, (double)info.bytes * 1e-6,
            (double)info.scratch_bytes * 1e-6, pipelines);
}

bool run_plan(struct session *session, heed_plan *plan, const struct run_io *io, bool time, struct fault *fault)
{
    struct tensors tensors = {.count = 0};
    struct output_set files = {.count = 0};
    if (session->verbose)
        tell_plan(session, plan);
    output_guard(&files);
    bool done = io->open(io->user, &files, fault);
    progress_say(session->progress, "reading");
    done = done && prepare(session, plan, io, &tensors, fault);
    progress_say(session->progress, session->computing);
    done = done && compute(session, plan, &tensors, time, fault);
    progress_say(session->progress, "writing");
    done = done && save(session, plan, io, &tensors, &files, fault);
    for (uint32_t i = 0; i < tensors.count; i++)
        heed_buffer_destroy(&tensors.buffers[i]);
    free(tensors.args);
    free(tensors.buffers);
    output_close(&files);
    if (done && session->fell_back)
        fprintf(stderr, "heed %s: no Vulkan device is here; computed by the (slow) reference\n", session->command);
    return done;
}
