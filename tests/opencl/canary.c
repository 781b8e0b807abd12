/* SPDX-License-Identifier: MIT
 * Runs a kernel with a planted bug, for tests/opencl/run to see that Oclgrind finds it:  cl_canary none|outside|race */
#include <heed/heed_opencl.h>

#include <stdio.h>
#include <string.h>

static const char *const source = "kernel void canary(global uint *out, uint outside, uint race)\n"
                                  "{\n"
                                  "    local uint shared[8];\n"
                                  "    uint i = get_local_id(0);\n"
                                  "    shared[race ? 0 : i] = 3 * i;\n"
                                  "    barrier(CLK_LOCAL_MEM_FENCE);\n"
                                  "    out[i + outside] = shared[race ? 0 : i];\n"
                                  "}\n";

int main(int argc, char **argv)
{
    const cl_uint outside = argc > 1 && strcmp(argv[1], "outside") == 0,
                  race = argc > 1 && strcmp(argv[1], "race") == 0;
    const size_t items = 8;
    cl_platform_id platform;
    cl_device_id device;
    cl_int result;
    if (clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS) {
        puts("cl_canary: no OpenCL device here");
        return 77;
    }
    const cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &result);
    const cl_command_queue queue = clCreateCommandQueue(context, device, 0, &result);
    const char *text = source;
    const cl_program program = clCreateProgramWithSource(context, 1, &text, NULL, &result);
    result = clBuildProgram(program, 1, &device, "-w", NULL, NULL);
    const cl_kernel kernel = clCreateKernel(program, "canary", NULL);
    const cl_mem out = clCreateBuffer(context, CL_MEM_READ_WRITE, 4 * items, NULL, NULL);
    clSetKernelArg(kernel, 0, sizeof out, &out);
    clSetKernelArg(kernel, 1, sizeof outside, &outside);
    clSetKernelArg(kernel, 2, sizeof race, &race);
    result = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, &items, 0, NULL, NULL);
    clFinish(queue);
    clReleaseMemObject(out);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return result == CL_SUCCESS ? 0 : 1;
}
