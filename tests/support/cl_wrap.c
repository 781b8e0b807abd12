/* SPDX-License-Identifier: MIT
 * The wrapped functions. Those that are not here are the driver's. */
#include "cl_wrap.h"

#include <string.h>

struct cl_wrap cl_wrap;

static struct heed_cl_functions driver;

/* Whether this call of a function that can fail does. */
static bool fails(const char *name)
{
    const uint32_t call = atomic_fetch_add(&cl_wrap.calls, 1) + 1;
    if (call != cl_wrap.fail_at)
        return false;
    cl_wrap.failed = name;
    return true;
}

/* ---- objects */

#define MADE(made)                                                                                                     \
    do {                                                                                                               \
        if (made)                                                                                                      \
            atomic_fetch_add(&cl_wrap.live, 1);                                                                        \
        return made;                                                                                                   \
    } while (0)
#define FAIL_TO_MAKE(name)                                                                                             \
    do {                                                                                                               \
        if (fails(name)) {                                                                                             \
            *result = cl_wrap.fail_with;                                                                               \
            return NULL;                                                                                               \
        }                                                                                                              \
    } while (0)

static cl_context CL_API_CALL create_context(const cl_context_properties *properties, cl_uint count,
                                             const cl_device_id *devices,
                                             void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                                             void *user, cl_int *result)
{
    FAIL_TO_MAKE("clCreateContext");
    const cl_context made = driver.CreateContext(properties, count, devices, notify, user, result);
    MADE(made);
}

static cl_command_queue CL_API_CALL create_queue(cl_context context, cl_device_id device,
                                                 cl_command_queue_properties properties, cl_int *result)
{
    FAIL_TO_MAKE("clCreateCommandQueue");
    const cl_command_queue made = driver.CreateCommandQueue(context, device, properties, result);
    MADE(made);
}

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host,
                                        cl_int *result)
{
    atomic_fetch_add(&cl_wrap.allocations, 1);
    FAIL_TO_MAKE("clCreateBuffer");
    const cl_mem made = driver.CreateBuffer(context, flags, bytes, host, result);
    MADE(made);
}

static cl_program CL_API_CALL create_source(cl_context context, cl_uint count, const char **texts, const size_t *bytes,
                                            cl_int *result)
{
    FAIL_TO_MAKE("clCreateProgramWithSource");
    atomic_fetch_add(&cl_wrap.from_source, 1);
    const cl_program made = driver.CreateProgramWithSource(context, count, texts, bytes, result);
    if (made == cl_wrap.of_binary) /* that one is gone, and its address in use again */
        cl_wrap.of_binary = NULL;
    MADE(made);
}

static cl_program CL_API_CALL create_binary(cl_context context, cl_uint count, const cl_device_id *devices,
                                            const size_t *bytes, const unsigned char **binaries, cl_int *status,
                                            cl_int *result)
{
    *status = CL_SUCCESS;
    FAIL_TO_MAKE("clCreateProgramWithBinary");
    if (cl_wrap.refuse_binaries) {
        *result = *status = CL_INVALID_BINARY;
        return NULL;
    }
    atomic_fetch_add(&cl_wrap.from_binary, 1);
    const cl_program made = driver.CreateProgramWithBinary(context, count, devices, bytes, binaries, status, result);
    cl_wrap.of_binary = made;
    MADE(made);
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *result)
{
    FAIL_TO_MAKE("clCreateKernel");
    const cl_kernel made = driver.CreateKernel(program, name, result);
    MADE(made);
}

#define RELEASE(function, type, name, counter)                                                                         \
    static cl_int CL_API_CALL function(type object)                                                                    \
    {                                                                                                                  \
        atomic_fetch_sub(&cl_wrap.counter, 1);                                                                         \
        return driver.name(object);                                                                                    \
    }
RELEASE(release_context, cl_context, ReleaseContext, live)
RELEASE(release_queue, cl_command_queue, ReleaseCommandQueue, live)
RELEASE(release_buffer, cl_mem, ReleaseMemObject, live)
RELEASE(release_program, cl_program, ReleaseProgram, live)
RELEASE(release_kernel, cl_kernel, ReleaseKernel, live)
RELEASE(release_event, cl_event, ReleaseEvent, events)

/* ---- what a driver tells */

static cl_int CL_API_CALL build_program(cl_program program, cl_uint count, const cl_device_id *devices,
                                        const char *options, void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    if (fails("clBuildProgram"))
        return cl_wrap.fail_with;
    if (cl_wrap.binaries_are_stale && program == cl_wrap.of_binary)
        return CL_INVALID_BINARY;
    return driver.BuildProgram(program, count, devices, cl_wrap.build_fails ? "-DHEED_CONSTANT_0=" : options, notify,
                               user);
}

static cl_int CL_API_CALL get_work_group(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what,
                                         size_t bytes, void *value, size_t *returned)
{
    if (fails("clGetKernelWorkGroupInfo"))
        return cl_wrap.fail_with;
    const cl_int result = driver.GetKernelWorkGroupInfo(kernel, device, what, bytes, value, returned);
    if (what == CL_KERNEL_WORK_GROUP_SIZE && cl_wrap.group_size > 0)
        memcpy(value, &cl_wrap.group_size, sizeof cl_wrap.group_size);
    if (what == CL_KERNEL_LOCAL_MEM_SIZE && cl_wrap.local_bytes > 0)
        memcpy(value, &cl_wrap.local_bytes, sizeof cl_wrap.local_bytes);
    return result;
}

/* ---- work */

static cl_int CL_API_CALL set_arg(cl_kernel kernel, cl_uint index, size_t bytes, const void *value)
{
    return fails("clSetKernelArg") ? cl_wrap.fail_with : driver.SetKernelArg(kernel, index, bytes, value);
}

static void note(bool marker, cl_uint wait_count, const cl_event *waits, const cl_event *event)
{
    if (event && *event)
        atomic_fetch_add(&cl_wrap.events, 1);
    if (cl_wrap.enqueue_count == CL_WRAP_ENQUEUES)
        return;
    struct cl_wrap_enqueue *e = &cl_wrap.enqueues[cl_wrap.enqueue_count++];
    *e = (struct cl_wrap_enqueue){.marker = marker, .wait_count = wait_count, .event = event ? *event : NULL};
    for (cl_uint i = 0; i < wait_count && i < CL_WRAP_WAITS; i++)
        e->waits[i] = waits[i];
}

static cl_int CL_API_CALL enqueue_kernel(cl_command_queue queue, cl_kernel kernel, cl_uint axes, const size_t *offset,
                                         const size_t *global, const size_t *local, cl_uint wait_count,
                                         const cl_event *waits, cl_event *event)
{
    if (fails("clEnqueueNDRangeKernel"))
        return cl_wrap.fail_with;
    const cl_int result =
        driver.EnqueueNDRangeKernel(queue, kernel, axes, offset, global, local, wait_count, waits, event);
    if (result == CL_SUCCESS)
        note(false, wait_count, waits, event);
    return result;
}

static cl_int CL_API_CALL enqueue_marker(cl_command_queue queue, cl_uint wait_count, const cl_event *waits,
                                         cl_event *event)
{
    if (fails("clEnqueueMarkerWithWaitList"))
        return cl_wrap.fail_with;
    const cl_int result = driver.EnqueueMarkerWithWaitList(queue, wait_count, waits, event);
    if (result == CL_SUCCESS)
        note(true, wait_count, waits, event);
    return result;
}

static cl_int CL_API_CALL flush(cl_command_queue queue)
{
    if (fails("clFlush"))
        return cl_wrap.fail_with;
    atomic_fetch_add(&cl_wrap.flushes, 1);
    return driver.Flush(queue);
}

static cl_int CL_API_CALL finish(cl_command_queue queue)
{
    if (fails("clFinish"))
        return cl_wrap.fail_with;
    atomic_fetch_add(&cl_wrap.waits, 1);
    return driver.Finish(queue);
}

static cl_int CL_API_CALL wait_for_events(cl_uint count, const cl_event *events)
{
    if (fails("clWaitForEvents"))
        return cl_wrap.fail_with;
    atomic_fetch_add(&cl_wrap.waits, 1);
    return driver.WaitForEvents(count, events);
}

static cl_int CL_API_CALL fill_buffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_bytes,
                                      size_t offset, size_t bytes, cl_uint wait_count, const cl_event *waits,
                                      cl_event *event)
{
    if (fails("clEnqueueFillBuffer"))
        return cl_wrap.fail_with;
    return driver.EnqueueFillBuffer(queue, buffer, pattern, pattern_bytes, offset, bytes, wait_count, waits, event);
}

static cl_int CL_API_CALL read_buffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                                      size_t bytes, void *data, cl_uint wait_count, const cl_event *waits,
                                      cl_event *event)
{
    if (fails("clEnqueueReadBuffer"))
        return cl_wrap.fail_with;
    return driver.EnqueueReadBuffer(queue, buffer, blocking, offset, bytes, data, wait_count, waits, event);
}

static cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                                       size_t bytes, const void *data, cl_uint wait_count, const cl_event *waits,
                                       cl_event *event)
{
    if (fails("clEnqueueWriteBuffer"))
        return cl_wrap.fail_with;
    return driver.EnqueueWriteBuffer(queue, buffer, blocking, offset, bytes, data, wait_count, waits, event);
}

#define QUERY(function, type, what_type, name)                                                                         \
    static cl_int CL_API_CALL function(type object, what_type what, size_t bytes, void *value, size_t *returned)       \
    {                                                                                                                  \
        return fails("cl" #name) ? cl_wrap.fail_with : driver.name(object, what, bytes, value, returned);              \
    }
QUERY(get_context_info, cl_context, cl_context_info, GetContextInfo)
QUERY(get_queue_info, cl_command_queue, cl_command_queue_info, GetCommandQueueInfo)
QUERY(get_buffer_info, cl_mem, cl_mem_info, GetMemObjectInfo)
QUERY(get_program_info, cl_program, cl_program_info, GetProgramInfo)
QUERY(get_event_info, cl_event, cl_event_info, GetEventInfo)
QUERY(get_profiling_info, cl_event, cl_profiling_info, GetEventProfilingInfo)

/* ---- the table */

void cl_wrap_reset(void *loader)
{
    memset(&cl_wrap, 0, sizeof cl_wrap);
    heed_cl_load(&driver, heed_cl_loader_symbol, loader, true);
}

void *cl_wrap_get_function(void *user, const char *name)
{
    (void)user;
    if (cl_wrap.missing && strcmp(name, cl_wrap.missing) == 0)
        return NULL;
    struct heed_cl_functions wrapped = driver;
    wrapped.CreateContext = create_context;
    wrapped.CreateCommandQueue = create_queue;
    wrapped.CreateBuffer = create_buffer;
    wrapped.CreateProgramWithSource = create_source;
    wrapped.CreateProgramWithBinary = create_binary;
    wrapped.CreateKernel = create_kernel;
    wrapped.ReleaseContext = release_context;
    wrapped.ReleaseCommandQueue = release_queue;
    wrapped.ReleaseMemObject = release_buffer;
    wrapped.ReleaseProgram = release_program;
    wrapped.ReleaseKernel = release_kernel;
    wrapped.ReleaseEvent = release_event;
    wrapped.BuildProgram = build_program;
    wrapped.GetKernelWorkGroupInfo = get_work_group;
    wrapped.SetKernelArg = set_arg;
    wrapped.EnqueueNDRangeKernel = enqueue_kernel;
    wrapped.EnqueueMarkerWithWaitList = enqueue_marker;
    wrapped.Flush = flush;
    wrapped.Finish = finish;
    wrapped.WaitForEvents = wait_for_events;
    wrapped.EnqueueFillBuffer = fill_buffer;
    wrapped.EnqueueReadBuffer = read_buffer;
    wrapped.EnqueueWriteBuffer = write_buffer;
    wrapped.GetContextInfo = get_context_info;
    wrapped.GetCommandQueueInfo = get_queue_info;
    wrapped.GetMemObjectInfo = get_buffer_info;
    wrapped.GetProgramInfo = get_program_info;
    wrapped.GetEventInfo = get_event_info;
    wrapped.GetEventProfilingInfo = get_profiling_info;
    /* POSIX promises that an object pointer holds the bits of a function pointer. */
    void *object = NULL;
#define FIND(result, function, parameters)                                                                             \
    if (strcmp(name, "cl" #function) == 0)                                                                             \
        memcpy(&object, &wrapped.function, sizeof object);
    HEED_CL_PLATFORM_FUNCTIONS(FIND)
    HEED_CL_DEVICE_FUNCTIONS(FIND)
    HEED_CL_OWN_FUNCTIONS(FIND)
    return object;
}
