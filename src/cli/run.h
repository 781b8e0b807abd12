/* SPDX-License-Identifier: MIT
 * What the commands share: a device by the user's words, .npy files into buffers, a plan run, buffers into files. */
#ifndef HEED_CLI_RUN_H
#define HEED_CLI_RUN_H

#include <stdio.h>

#include <heed/heed.h>

#include "convert.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "store.h"

/* ---- options that every command with a device has */

struct device_options {
    int backend; /* enum heed_backend */
    const char *device, *kernel;
    bool no_cache, verbose;
};

/* clang-format off */
#define WHERE_OPTIONS(type, member) \
    {OPTION_HEADING, "where it runs", NULL, NULL, 0}, \
    {OPTION_TEXT, "device", "D", "index, UUID or part of the name, as heed devices prints them; default: the best", \
     offsetof(type, member.device)}, \
    {OPTION_CHOICE, "backend", "auto|reference|vulkan|opencl", "default: auto, see heed devices", \
     offsetof(type, member.backend)}, \
    {OPTION_FLAG, "verbose", NULL, "say on stderr what was chosen", offsetof(type, member.verbose)}
#define KERNEL_OPTION(type, member) \
    {OPTION_TEXT, "kernel", "NAME", "exactly this kernel; heed explain lists them", offsetof(type, member.kernel)}
#define CACHE_OPTION(type, member) \
    {OPTION_FLAG, "no-cache", NULL, "neither use nor keep compiled pipelines (in ~/.cache/heed)", \
     offsetof(type, member.no_cache)}
#define DEVICE_OPTIONS(type, member) \
    WHERE_OPTIONS(type, member), \
    KERNEL_OPTION(type, member), \
    CACHE_OPTION(type, member)
/* clang-format on */

/* ---- a context, a device, and the last message of the library */

struct session {
    heed_context *context;
    heed_device *device;
    struct heed_device_info info;
    const char *command; /* its name, which messages do not repeat */
    bool verbose;
    bool fell_back; /* nobody asked for the reference, but there was nothing else */
    char message[1024];
    char computing[300]; /* what the progress line says meanwhile */
    struct progress *progress;
    struct store store;
};

bool session_open(struct session *session, const char *command, const struct device_options *options,
                  struct fault *fault);
void session_close(struct session *session);
/* True for HEED_OK; else the fault is what the library said, or `what` with the status' name. */
bool session_ok(const struct session *session, enum heed_status status, const char *what, struct fault *fault);

/* A context whose messages go to session->message, without a device: all that session_close needs. `keep`: its devices'
 * pipelines are kept between commands. */
bool session_open_context(struct session *session, const char *command, bool keep, bool verbose, struct fault *fault);
/* Devices in the order of their indices; free() them. */
bool session_list(struct session *session, enum heed_backend backend, struct heed_device_info **infos, uint32_t *count,
                  struct fault *fault);
/* Narrows a list to what --device means: *chosen is its index. */
bool session_choose(const struct heed_device_info *infos, uint32_t count, const char *select, uint32_t *chosen,
                    struct fault *fault);
/* A device as a JSON object with everything that is known of it (devices.c). */
void device_json(FILE *stream, const struct heed_device_info *info, uint32_t index);
/* Why there is no device of the backend (HEED_BACKEND_AUTO: none but the reference), and what to do about it. */
const char *session_no_device(enum heed_backend backend);
bool session_open_device(struct session *session, const struct heed_device_info *info, struct fault *fault);

/* ---- files */

/* The elements of the file must be of one of these kinds ("f", "iu", "fb"). */
bool expect_kind(const struct npy_file *file, const char *option, const char *kinds, struct fault *fault);
/* An axis as a uint32_t. */
bool expect_axis(const struct npy_file *file, uint32_t axis, uint32_t *length, struct fault *fault);
/* The whole of a small file as elements of that type; free() it. NULL: fault is set. */
void *load_whole(struct npy_file *file, enum heed_dtype dtype, struct fault *fault);

/* ---- a run */

struct run_input {
    const char *arg;       /* of the plan */
    struct npy_file *file; /* streamed and converted to dtype, or NULL: */
    const void *data;      /* elements of dtype that were made on the host, `count` of them */
    uint64_t count;
    enum heed_dtype dtype;
    enum convert_overflow overflow;
    uint32_t repeat; /* each element of the file that many times */
};

struct run_output {
    const char *arg, *path;
    uint32_t rank;
    uint64_t shape[4];
};

enum { RUN_MAX_INPUTS = 16, RUN_MAX_OUTPUTS = 4 };

struct run_job {
    struct run_input inputs[RUN_MAX_INPUTS];
    struct run_output outputs[RUN_MAX_OUTPUTS];
    uint32_t input_count, output_count;
    bool time; /* print the device's time on stdout */
};

void run_add_file(struct run_job *job, const char *arg, struct npy_file *file, enum heed_dtype dtype);
void run_add_data(struct run_job *job, const char *arg, const void *data, uint64_t count, enum heed_dtype dtype);
/* path NULL: not wanted, nothing is added. */
void run_add_output(struct run_job *job, const char *arg, const char *path, uint32_t rank, uint64_t a, uint64_t b,
                    uint64_t c, uint64_t d);
/* "2 pipelines in 31 ms, 2 of them from the cache" */
void run_pipelines_text(const struct session *session, const struct heed_plan_info *info, char text[96]);
bool run_job(struct session *session, heed_plan *plan, struct run_job *job, struct fault *fault);

/* Where the tensors of a plan come from, and where they go. */
struct run_io {
    void *user;
    bool (*open)(void *user, struct output_set *files, struct fault *fault); /* everything that will be written */
    bool (*upload)(const struct session *session, void *user, const struct heed_arg_info *arg, heed_buffer *buffer,
                   struct fault *fault);
    /* An output of the plan; not to be written is no error. */
    bool (*save)(const struct session *session, void *user, const struct heed_arg_info *arg, heed_buffer *buffer,
                 struct output_set *files, struct fault *fault);
};
/* `time`: the device's time is printed on stdout. */
bool run_plan(struct session *session, heed_plan *plan, const struct run_io *io, bool time, struct fault *fault);

#endif
