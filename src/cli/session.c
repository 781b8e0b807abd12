/* SPDX-License-Identifier: MIT
 * A context and a device for a command, and the library's messages turned into faults. */
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"

/* As many as the library itself looks at when it opens one. */
enum { MAX_DEVICES = 64 };

static void keep_message(void *user, enum heed_log_level level, const char *text)
{
    struct session *session = user;
    if (level == HEED_LOG_ERROR)
        snprintf(session->message, sizeof session->message, "%s", text);
    else if (session->verbose)
        fprintf(stderr, "heed %s: %s\n", session->command, text);
}

bool session_ok(const struct session *session, enum heed_status status, const char *what, struct fault *fault)
{
    if (status == HEED_OK)
        return true;
    const char *text = session->message;
    if (!*text)
        return fault_failed(fault, "%s: %s", what, heed_status_name(status));
    /* "heed attention: attention: ..." would say it twice. */
    size_t length = strlen(session->command);
    if (strncmp(text, session->command, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    return fault_failed(fault, "%s", text);
}

bool session_open_context(struct session *session, const char *command, bool keep, bool verbose, struct fault *fault)
{
    memset(session, 0, sizeof *session);
    session->command = command;
    session->verbose = verbose;
    struct heed_context_desc desc = {
        .struct_size = sizeof desc,
        .log = keep_message,
        .log_user = session,
        .log_level = verbose ? HEED_LOG_WARN : HEED_LOG_ERROR,
    };
    if (keep)
        desc.cache = store_open(&session->store, command, verbose);
    return session_ok(session, heed_context_create(&desc, &session->context), "context", fault);
}

bool session_list(struct session *session, enum heed_backend backend, struct heed_device_info **infos, uint32_t *count,
                  struct fault *fault)
{
    uint32_t capacity = MAX_DEVICES;
    *count = capacity;
    *infos = calloc(capacity, sizeof **infos);
    if (!*infos)
        return fault_failed(fault, "out of host memory");
    if (!session_ok(session, heed_device_list(session->context, backend, *infos, count), "devices", fault)) {
        free(*infos);
        *infos = NULL;
        return false;
    }
    if (*count > capacity)
        *count = capacity;
    return true;
}

/* "0 llvmpipe, 1 heed reference", of all entries or of those that match. */
static void name_devices(const struct heed_device_info *infos, uint32_t count, const char *select, char *text,
                         size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < count && length < size; i++)
        if (heed_device_matches(&infos[i], i, select))
            length += (size_t)snprintf(text + length, size - length, "%s%" PRIu32 " %s", length > 0 ? ", " : "", i,
                                       infos[i].name);
}

bool session_choose(const struct heed_device_info *infos, uint32_t count, const char *select, uint32_t *chosen,
                    struct fault *fault)
{
    uint32_t matches = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (heed_device_matches(&infos[i], i, select)) {
            *chosen = i;
            matches++;
        }
    }
    char names[768];
    name_devices(infos, count, matches > 0 ? select : NULL, names, sizeof names);
    if (matches == 0)
        return fault_failed(fault, "--device \"%s\" is no index, UUID or part of a name of: %s", select, names);
    if (matches > 1)
        return fault_failed(fault, "--device \"%s\" fits %" PRIu32 " devices: %s; give an index", select, matches,
                            names);
    return true;
}

bool session_open_device(struct session *session, const struct heed_device_info *info, struct fault *fault)
{
    char index[16];
    snprintf(index, sizeof index, "%" PRIu32, info->index);
    struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = info->backend, .select = index};
    if (!session_ok(session, heed_device_create(session->context, &desc, &session->device), "device", fault))
        return false;
    heed_device_get_info(session->device, &session->info);
    return true;
}

/* By the backends of this build. */
#if defined(HEED_HAVE_VULKAN) && defined(HEED_HAVE_OPENCL)
#define GPU_APIS "Vulkan or OpenCL"
#elif defined(HEED_HAVE_OPENCL)
#define GPU_APIS "OpenCL"
#else
#define GPU_APIS "Vulkan"
#endif

const char *session_no_device(enum heed_backend backend)
{
    static const char *const vulkan =
        "no Vulkan device is here: install the Vulkan loader and the driver of the GPU, or a driver in software "
        "(Debian: libvulkan1 and mesa-vulkan-drivers)";
    static const char *const opencl =
        "no OpenCL device is here: install the ICD loader and the driver of the GPU, or a driver in software "
        "(Debian: ocl-icd-libopencl1 and pocl-opencl-icd)";
    static const char *const any =
        "no " GPU_APIS " device is here: install the loader and the driver of the GPU, or a driver in software "
        "(Debian: libvulkan1 and mesa-vulkan-drivers)";
    bool has_vulkan = false, has_opencl = false;
#ifdef HEED_HAVE_VULKAN
    has_vulkan = true;
#endif
#ifdef HEED_HAVE_OPENCL
    has_opencl = true;
#endif
    switch (backend) {
    case HEED_BACKEND_VULKAN:
        return has_vulkan ? vulkan : "this heed was built without Vulkan";
    case HEED_BACKEND_OPENCL:
        return has_opencl ? opencl : "this heed was built without OpenCL";
    default:
        return has_vulkan || has_opencl ? any : "this heed was built without Vulkan and without OpenCL";
    }
}

static bool nothing_to_run_on(enum heed_backend backend, struct fault *fault)
{
    fault_failed(fault, "%s; or take --backend reference", session_no_device(backend));
    fault->status = EXIT_NOTHING;
    return false;
}

static bool open_device(struct session *session, const struct device_options *options, struct fault *fault)
{
    struct heed_device_info *infos;
    uint32_t count, chosen = 0;
    if (!session_list(session, (enum heed_backend)options->backend, &infos, &count, fault))
        return false;
    bool done = count > 0 || nothing_to_run_on((enum heed_backend)options->backend, fault);
    if (done && options->device) {
        done = session_choose(infos, count, options->device, &chosen, fault) &&
               session_open_device(session, &infos[chosen], fault);
    } else if (done) {
        struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = (enum heed_backend)options->backend};
        done = session_ok(session, heed_device_create(session->context, &desc, &session->device), "device", fault);
        if (done)
            heed_device_get_info(session->device, &session->info);
    }
    free(infos);
    return done;
}

bool session_open(struct session *session, const char *command, const struct device_options *options,
                  struct fault *fault)
{
    if (!session_open_context(session, command, !options->no_cache, options->verbose, fault) ||
        !open_device(session, options, fault))
        return false;
    session->fell_back =
        session->info.backend == HEED_BACKEND_REFERENCE && options->backend == HEED_BACKEND_AUTO && !options->device;
    snprintf(session->computing, sizeof session->computing, "computing on %s", session->info.name);
    if (session->verbose)
        fprintf(stderr, "heed %s: device %s (%s)\n", command, session->info.name, session->info.driver);
    session->progress = progress_begin("compiling");
    return true;
}

void session_close(struct session *session)
{
    progress_end(&session->progress);
    heed_device_destroy(&session->device);
    heed_context_destroy(&session->context);
}
