/* SPDX-License-Identifier: MIT
 * Corrects what Mesa's stand-ins for the kernel say of two families of boards. Preloaded before the stand-in:
 *     HEED_SHIM_V3D=42|71           Raspberry Pi 4 or 5. The stand-in knows the older one, and has a render node only,
 *                                   where the driver opens the primary one too
 *     HEED_SHIM_MALI_VARIANT=N      the variant of the core, which the stand-in leaves 0 and the newest Mali need */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* The kernel's own structures and numbers (v3d_drm.h, panthor_drm.h), of which few distributions have new enough ones.
 */
struct v3d_get_param {
    uint32_t param, pad;
    uint64_t value;
};
struct panthor_dev_query {
    uint32_t type, size;
    uint64_t pointer;
};
enum {
    DRM_NUMBER_BASE = 0x40,
    V3D_GET_PARAM = DRM_NUMBER_BASE + 4,
    V3D_PARAM_HUB_IDENT3 = 3,
    V3D_PARAM_CORE0_IDENT0 = 4,
    V3D_PARAM_CORE0_IDENT1 = 5,
    V3D_PARAM_LAST_KNOWN = 11, /* to the stand-in */
    V3D_PARAM_SUPPORTS_CPU_QUEUE = 12,
    PANTHOR_DEV_QUERY = DRM_NUMBER_BASE + 0,
    PANTHOR_DEV_QUERY_GPU_INFO = 0,
    PANTHOR_GPU_INFO_VARIANT = 96, /* offset of a field of 32 bits */
};

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* libdrm found no path for a node that is not there. */
static const char *node(const char *path)
{
    return !path[0] && getenv("HEED_SHIM_V3D") ? "/dev/dri/renderD128" : path;
}

typedef int (*open_fn)(const char *path, int flags, ...);

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, unsigned) : 0;                              \
        va_end(list);                                                                                                  \
        open_fn real;                                                                                                  \
        *(void **)&real = next(#name);                                                                                 \
        return real(node(path), flags, mode);                                                                          \
    }
OPEN(open)
OPEN(open64)

/* 4.2 of the stand-in becomes 7.1. */
static void make_pi5(struct v3d_get_param *get)
{
    if (get->param == V3D_PARAM_CORE0_IDENT0)
        get->value = (get->value & 0x00ffffff) | UINT64_C(7) << 24;
    else if (get->param == V3D_PARAM_CORE0_IDENT1)
        get->value = (get->value & ~UINT64_C(0xf)) | 1;
    else if (get->param == V3D_PARAM_HUB_IDENT3)
        get->value = (get->value & ~UINT64_C(0xff00)) | 7 << 8;
}

int ioctl(int file, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *data = va_arg(list, void *);
    va_end(list);
    int (*real)(int, unsigned long, ...);
    *(void **)&real = next("ioctl");

    const char *v3d = getenv("HEED_SHIM_V3D"), *variant = getenv("HEED_SHIM_MALI_VARIANT");
    const unsigned number = _IOC_NR(request);
    const int is_drm = _IOC_TYPE(request) == 'd';
    if (v3d && is_drm && number == V3D_GET_PARAM && ((struct v3d_get_param *)data)->param > V3D_PARAM_LAST_KNOWN) {
        struct v3d_get_param *get = data;
        get->value = get->param == V3D_PARAM_SUPPORTS_CPU_QUEUE;
        return 0;
    }
    const int result = real(file, request, data);
    if (result != 0 || !is_drm)
        return result;
    if (v3d && number == V3D_GET_PARAM && strcmp(v3d, "71") == 0)
        make_pi5(data);
    if (variant && number == PANTHOR_DEV_QUERY) {
        const struct panthor_dev_query *query = data;
        const uint32_t value = (uint32_t)strtoul(variant, NULL, 10);
        if (query->type == PANTHOR_DEV_QUERY_GPU_INFO && query->pointer &&
            query->size >= PANTHOR_GPU_INFO_VARIANT + sizeof value)
            memcpy((char *)(uintptr_t)query->pointer + PANTHOR_GPU_INFO_VARIANT, &value, sizeof value);
    }
    return 0;
}
