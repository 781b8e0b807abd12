/* SPDX-License-Identifier: MIT
 * Opens the Vulkan loader at run time, so that heed starts, and lists no device, where there is none. */
#include "vk.h"

#ifdef _WIN32
#include <windows.h>

static void *open_library(const char *name)
{
    return (void *)LoadLibraryA(name);
}

void heed_vk_loader_close(void *loader)
{
    if (loader)
        FreeLibrary((HMODULE)loader);
}

static PFN_vkVoidFunction find_symbol(void *loader, const char *name)
{
    return (PFN_vkVoidFunction)GetProcAddress((HMODULE)loader, name);
}

#else
#include <dlfcn.h>
#include <string.h>

static void *open_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

void heed_vk_loader_close(void *loader)
{
    if (loader)
        dlclose(loader);
}

static PFN_vkVoidFunction find_symbol(void *loader, const char *name)
{
    /* ISO C has no cast from an object pointer to a function pointer; POSIX promises that the bits are the same. */
    void *object = dlsym(loader, name);
    PFN_vkVoidFunction function;
    memcpy(&function, &object, sizeof function);
    return function;
}

#endif

void *heed_vk_loader_open(void)
{
    static const char *const names[] = {
#if defined(_WIN32)
        "vulkan-1.dll",
#elif defined(__APPLE__)
        "libvulkan.1.dylib",
        "libvulkan.dylib",
        "libMoltenVK.dylib",
#else
        "libvulkan.so.1",
        "libvulkan.so",
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *loader = open_library(names[i]);
        if (loader)
            return loader;
    }
    return NULL;
}

PFN_vkGetInstanceProcAddr heed_vk_loader_entry(void *loader)
{
    return (PFN_vkGetInstanceProcAddr)find_symbol(loader, "vkGetInstanceProcAddr");
}
