/* SPDX-License-Identifier: MIT
 * The OpenCL functions that heed calls, as a table per device: no global pointers, no link to the ICD loader. */
#ifndef HEED_OPENCL_FUNCTIONS_H
#define HEED_OPENCL_FUNCTIONS_H

#include <heed/heed_opencl.h>

/* X(result, name without cl, parameters): cl.h has no types for its functions. */
#define HEED_CL_PLATFORM_FUNCTIONS(X) \
    X(cl_int, GetPlatformIDs, (cl_uint, cl_platform_id *, cl_uint *)) \
    X(cl_int, GetPlatformInfo, (cl_platform_id, cl_platform_info, size_t, void *, size_t *)) \
    X(cl_int, GetDeviceIDs, (cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *)) \
    X(cl_int, GetDeviceInfo, (cl_device_id, cl_device_info, size_t, void *, size_t *))

/* All that an imported device needs: nothing here allocates device memory or waits. */
#define HEED_CL_DEVICE_FUNCTIONS(X) \
    X(cl_int, GetContextInfo, (cl_context, cl_context_info, size_t, void *, size_t *)) \
    X(cl_int, GetCommandQueueInfo, (cl_command_queue, cl_command_queue_info, size_t, void *, size_t *)) \
    X(cl_int, GetMemObjectInfo, (cl_mem, cl_mem_info, size_t, void *, size_t *)) \
    X(cl_program, CreateProgramWithSource, (cl_context, cl_uint, const char **, const size_t *, cl_int *)) \
    X(cl_program, CreateProgramWithBinary, \
      (cl_context, cl_uint, const cl_device_id *, const size_t *, const unsigned char **, cl_int *, cl_int *)) \
    X(cl_int, BuildProgram, \
      (cl_program, cl_uint, const cl_device_id *, const char *, void(CL_CALLBACK *)(cl_program, void *), void *)) \
    X(cl_int, GetProgramInfo, (cl_program, cl_program_info, size_t, void *, size_t *)) \
    X(cl_int, GetProgramBuildInfo, (cl_program, cl_device_id, cl_program_build_info, size_t, void *, size_t *)) \
    X(cl_int, ReleaseProgram, (cl_program)) \
    X(cl_kernel, CreateKernel, (cl_program, const char *, cl_int *)) \
    X(cl_int, GetKernelWorkGroupInfo, \
      (cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t, void *, size_t *)) \
    X(cl_int, SetKernelArg, (cl_kernel, cl_uint, size_t, const void *)) \
    X(cl_int, ReleaseKernel, (cl_kernel)) \
    X(cl_int, EnqueueNDRangeKernel, \
      (cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint, \
       const cl_event *, cl_event *)) \
    X(cl_int, EnqueueMarkerWithWaitList, (cl_command_queue, cl_uint, const cl_event *, cl_event *)) \
    X(cl_int, Flush, (cl_command_queue)) \
    X(cl_int, ReleaseEvent, (cl_event))

/* Own mode: context, queue, memory, time. */
#define HEED_CL_OWN_FUNCTIONS(X) \
    X(cl_context, CreateContext, \
      (const cl_context_properties *, cl_uint, const cl_device_id *, \
       void(CL_CALLBACK *)(const char *, const void *, size_t, void *), void *, cl_int *)) \
    X(cl_int, ReleaseContext, (cl_context)) \
    X(cl_command_queue, CreateCommandQueue, (cl_context, cl_device_id, cl_command_queue_properties, cl_int *)) \
    X(cl_int, ReleaseCommandQueue, (cl_command_queue)) \
    X(cl_int, Finish, (cl_command_queue)) \
    X(cl_mem, CreateBuffer, (cl_context, cl_mem_flags, size_t, void *, cl_int *)) \
    X(cl_int, ReleaseMemObject, (cl_mem)) \
    X(cl_int, EnqueueFillBuffer, \
      (cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint, const cl_event *, cl_event *)) \
    X(cl_int, EnqueueReadBuffer, \
      (cl_command_queue, cl_mem, cl_bool, size_t, size_t, void *, cl_uint, const cl_event *, cl_event *)) \
    X(cl_int, EnqueueWriteBuffer, \
      (cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *, cl_uint, const cl_event *, cl_event *)) \
    X(cl_int, WaitForEvents, (cl_uint, const cl_event *)) \
    X(cl_int, GetEventInfo, (cl_event, cl_event_info, size_t, void *, size_t *)) \
    X(cl_int, GetEventProfilingInfo, (cl_event, cl_profiling_info, size_t, void *, size_t *))

struct heed_cl_functions {
#define HEED_CL_MEMBER(result, name, parameters) result(CL_API_CALL *name) parameters;
    HEED_CL_PLATFORM_FUNCTIONS(HEED_CL_MEMBER)
    HEED_CL_DEVICE_FUNCTIONS(HEED_CL_MEMBER)
    HEED_CL_OWN_FUNCTIONS(HEED_CL_MEMBER)
#undef HEED_CL_MEMBER
};

/* NULL when there is no ICD loader. */
void *heed_cl_loader_open(void);
void heed_cl_loader_close(void *loader);
/* Of type heed_cl_get_function_fn; `loader` is what heed_cl_loader_open gave. */
void *heed_cl_loader_symbol(void *loader, const char *name);

/* Fills the table, for an imported device without what own mode needs beyond. NULL, or the name of the first function
 * that is missing. */
const char *heed_cl_load(struct heed_cl_functions *cl, heed_cl_get_function_fn get_function, void *user, bool own);

#endif
