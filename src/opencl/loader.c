/* SPDX-License-Identifier: MIT
 * Opens the ICD loader at run time, so that heed starts, and lists no device, where there is none; and fills the table
 * of functions. */
#include <string.h>

#include "functions.h"

#ifdef _WIN32
#include <windows.h>

static void *open_library(const char *name)
{
    return (void *)LoadLibraryA(name);
}

void heed_cl_loader_close(void *loader)
{
    if (loader)
        FreeLibrary((HMODULE)loader);
}

void *heed_cl_loader_symbol(void *loader, const char *name)
{
    const FARPROC function = GetProcAddress((HMODULE)loader, name);
    void *object;
    memcpy(&object, &function, sizeof object);
    return object;
}

#else
#include <dlfcn.h>

#ifdef RTLD_NODELETE /* not of POSIX */
#define HEED_NODELETE RTLD_NODELETE
#else
#define HEED_NODELETE 0
#endif

static void *open_library(const char *name)
{
    /* Drivers have threads and state that outlive a loader: once opened, they stay. */
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | HEED_NODELETE);
}

void heed_cl_loader_close(void *loader)
{
    if (loader)
        dlclose(loader);
}

void *heed_cl_loader_symbol(void *loader, const char *name)
{
    return dlsym(loader, name);
}

#endif

void *heed_cl_loader_open(void)
{
    static const char *const names[] = {
#if defined(_WIN32)
        "OpenCL.dll",
#elif defined(__APPLE__)
        "/System/Library/Frameworks/OpenCL.framework/OpenCL",
#else
        "libOpenCL.so.1",
        "libOpenCL.so", /* Android: the driver itself */
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *loader = open_library(names[i]);
        if (loader)
            return loader;
    }
    return NULL;
}

/* ISO C has no cast from an object pointer to a function pointer; POSIX and Windows promise that the bits are the same.
 */
#define LOAD(result, name, parameters)                                                                                 \
    object = get_function(user, "cl" #name);                                                                           \
    if (!object)                                                                                                       \
        return "cl" #name;                                                                                             \
    memcpy(&cl->name, &object, sizeof object);

const char *heed_cl_load(struct heed_cl_functions *cl, heed_cl_get_function_fn get_function, void *user, bool own)
{
    void *object;
    HEED_CL_PLATFORM_FUNCTIONS(LOAD)
    HEED_CL_DEVICE_FUNCTIONS(LOAD)
    if (own) {
        HEED_CL_OWN_FUNCTIONS(LOAD)
    }
    return NULL;
}
