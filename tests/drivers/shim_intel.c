/* SPDX-License-Identifier: MIT
 * Stands in for the kernel's i915 driver, so that Mesa's Intel drivers start and compile on a machine without such a
 * GPU. LD_PRELOAD=shim_intel.so HEED_SHIM_INTEL=dg2 PROGRAM Mesa brings such a thing for other vendors' GPUs, but
 * Debian's packages have none for Intel's. libdrm's enumeration finds one device; opening its node gives a sparse file
 * in memory, in which every buffer object has a place of its own, so that mmap works; ioctls on it are answered here.
 * Work that is submitted is done at once, that is, never. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <i915_drm.h>
#include <xf86drm.h>

struct gpu {
    const char *name;
    uint16_t pci_id;
    uint8_t subslices, units; /* execution units of each subslice */
    uint8_t vram_gib;
    uint32_t timestamp_hz;
};

static const struct gpu gpus[] = {
    {"ivb", 0x0166, 2, 8, 0, 12500000},    /* HD 4000 */
    {"hsw", 0x0412, 2, 10, 0, 12500000},   /* HD 4600 */
    {"bdw", 0x1616, 3, 8, 0, 12500000},    /* HD 5500 */
    {"skl", 0x1912, 3, 8, 0, 12000000},    /* HD 530 */
    {"icl", 0x8a52, 8, 8, 0, 12000000},    /* Iris Plus G7 */
    {"tgl", 0x9a49, 6, 16, 0, 19200000},   /* Iris Xe */
    {"rpl", 0xa780, 2, 16, 0, 19200000},   /* UHD 770 */
    {"mtl", 0x7d55, 8, 16, 0, 19200000},   /* Arc of Meteor Lake: no matrix units */
    {"arl", 0x7d51, 8, 16, 0, 19200000},   /* Arc of Arrow Lake H */
    {"a380", 0x56a5, 8, 16, 6, 19200000},  /* Arc A380 */
    {"dg2", 0x56a0, 32, 16, 16, 19200000}, /* Arc A770 */
    {"lnl", 0x64a0, 8, 8, 0, 19200000},    /* Arc 140V */
    {"bmg", 0xe20b, 20, 8, 12, 19200000},  /* Arc B580 */
    {"ptl", 0xb080, 12, 8, 0, 19200000},   /* Panther Lake */
};

enum {
    OPEN_MAX_FILES = 256,
    HANDLES = 1 << 16,
    PAGE = 1 << 16, /* the largest alignment that a driver asks of an object */
    SYSTEM_GIB = 16,
};
static const char primary_node[] = "/dev/dri/card0", render_node[] = "/dev/dri/renderD128";

static const struct gpu *gpu;
static struct {
    dev_t device;
    ino_t inode;
} files[OPEN_MAX_FILES]; /* file descriptors may be duplicated; inodes tell what is ours */
static int file_count;
static uint64_t objects[HANDLES]; /* where each begins in the file */
static uint64_t objects_end = PAGE;
static uint32_t last_handle;

/* Other libraries' constructors may open files before this one's runs. */
static const struct gpu *the_gpu(void)
{
    const char *name = getenv("HEED_SHIM_INTEL");
    for (size_t i = 0; !gpu && name && i < sizeof gpus / sizeof *gpus; i++)
        if (strcmp(gpus[i].name, name) == 0)
            gpu = &gpus[i];
    if (!gpu) {
        fprintf(stderr, "shim_intel: HEED_SHIM_INTEL \"%s\" is not one of", name ? name : "");
        for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
            fprintf(stderr, " %s", gpus[i].name);
        fputc('\n', stderr);
        exit(2);
    }
    return gpu;
}

/* ---- libdrm's enumeration */

static drmDevicePtr the_device(void)
{
    static char primary[sizeof primary_node], control[1], render[sizeof render_node];
    static char *nodes[DRM_NODE_MAX] = {
        [DRM_NODE_PRIMARY] = primary, [DRM_NODE_CONTROL] = control, [DRM_NODE_RENDER] = render};
    static drmPciBusInfo bus = {.dev = 2};
    static drmPciDeviceInfo pci = {.vendor_id = 0x8086, .subvendor_id = 0x8086};
    static drmDevice device = {
        .nodes = nodes,
        .available_nodes = 1 << DRM_NODE_PRIMARY | 1 << DRM_NODE_RENDER,
        .bustype = DRM_BUS_PCI,
        .businfo.pci = &bus,
        .deviceinfo.pci = &pci,
    };
    memcpy(primary, primary_node, sizeof primary);
    memcpy(render, render_node, sizeof render);
    pci.device_id = the_gpu()->pci_id;
    return &device;
}

int drmGetDevices2(uint32_t flags, drmDevicePtr devices[], int count)
{
    (void)flags;
    if (devices && count > 0)
        devices[0] = the_device();
    return 1;
}

int drmGetDevices(drmDevicePtr devices[], int count)
{
    return drmGetDevices2(0, devices, count);
}

int drmGetDevice2(int file, uint32_t flags, drmDevicePtr *device)
{
    (void)file;
    (void)flags;
    *device = the_device();
    return 0;
}

int drmGetDevice(int file, drmDevicePtr *device)
{
    return drmGetDevice2(file, 0, device);
}

int drmGetDeviceFromDevId(dev_t id, uint32_t flags, drmDevicePtr *device)
{
    (void)id;
    return drmGetDevice2(-1, flags, device);
}

void drmFreeDevice(drmDevicePtr *device)
{
    *device = NULL;
}

void drmFreeDevices(drmDevicePtr devices[], int count)
{
    for (int i = 0; i < count; i++)
        devices[i] = NULL;
}

/* ---- the node */

static int open_node(void)
{
    const int file = memfd_create("shim_intel", MFD_CLOEXEC);
    struct stat status;
    if (file < 0 || ftruncate(file, INT64_C(1) << 42) != 0 || fstat(file, &status) != 0 || file_count == OPEN_MAX_FILES)
        return -1;
    files[file_count].device = status.st_dev;
    files[file_count++].inode = status.st_ino;
    return file;
}

static bool is_node(int file)
{
    struct stat status;
    if (file_count == 0 || fstat(file, &status) != 0)
        return false;
    for (int i = 0; i < file_count; i++)
        if (files[i].inode == status.st_ino && files[i].device == status.st_dev)
            return true;
    return false;
}

typedef int (*open_fn)(const char *path, int flags, ...);

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, unsigned) : 0;                              \
        va_end(list);                                                                                                  \
        if (strcmp(path, primary_node) == 0 || strcmp(path, render_node) == 0)                                         \
            return open_node();                                                                                        \
        open_fn real;                                                                                                  \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                     \
        return real(path, flags, mode);                                                                                \
    }
OPEN(open)
OPEN(open64)

/* ---- i915's answers: 0, or an errno */

static uint32_t new_object(uint64_t bytes)
{
    last_handle = last_handle % (HANDLES - 1) + 1;
    objects[last_handle] = objects_end;
    objects_end += (bytes + PAGE - 1) / PAGE * PAGE;
    return last_handle;
}

static int get_parameter(const struct drm_i915_getparam *get)
{
    const struct gpu *g = the_gpu();
    static const int present[] = {
        I915_PARAM_HAS_GEM,
        I915_PARAM_HAS_BLT,
        I915_PARAM_HAS_EXECBUF2,
        I915_PARAM_HAS_RELAXED_FENCING,
        I915_PARAM_HAS_RELAXED_DELTA,
        I915_PARAM_HAS_GEN7_SOL_RESET,
        I915_PARAM_HAS_PRIME_VMAP_FLUSH,
        I915_PARAM_HAS_SECURE_BATCHES,
        I915_PARAM_HAS_WAIT_TIMEOUT,
        I915_PARAM_HAS_EXEC_SOFTPIN,
        I915_PARAM_HAS_EXEC_ASYNC,
        I915_PARAM_HAS_EXEC_FENCE,
        I915_PARAM_HAS_EXEC_FENCE_ARRAY,
        I915_PARAM_HAS_EXEC_CAPTURE,
        I915_PARAM_HAS_EXEC_BATCH_FIRST,
        I915_PARAM_HAS_EXEC_TIMELINE_FENCES,
        I915_PARAM_HAS_COHERENT_PHYS_GTT,
        I915_PARAM_HAS_CONTEXT_ISOLATION,
        I915_PARAM_HAS_GPU_RESET,
        I915_PARAM_MMAP_VERSION,
        I915_PARAM_SLICE_MASK,
    };
    const struct {
        int parameter, value;
    } values[] = {
        {I915_PARAM_CHIPSET_ID, g->pci_id},
        {I915_PARAM_REVISION, 0},
        {I915_PARAM_CMD_PARSER_VERSION, 10},
        {I915_PARAM_CS_TIMESTAMP_FREQUENCY, (int)g->timestamp_hz},
        {I915_PARAM_EU_TOTAL, g->subslices * g->units},
        {I915_PARAM_HAS_ALIASING_PPGTT, 3}, /* full, of 48 bits */
        {I915_PARAM_HAS_LLC, g->vram_gib == 0},
        {I915_PARAM_HAS_USERPTR_PROBE, 0},
        {I915_PARAM_MMAP_GTT_VERSION, 4},
        {I915_PARAM_NUM_FENCES_AVAIL, 32},
        {I915_PARAM_PERF_REVISION, 0},
        {I915_PARAM_SUBSLICE_MASK, (int)((UINT64_C(1) << g->subslices) - 1)},
        {I915_PARAM_SUBSLICE_TOTAL, g->subslices},
    };
    for (size_t i = 0; i < sizeof present / sizeof *present; i++) {
        if (get->param == present[i]) {
            *get->value = 1;
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (get->param == values[i].parameter) {
            *get->value = values[i].value;
            return 0;
        }
    }
    return EINVAL;
}

/* Each gives the bytes of its answer, and the answer where there is room for it. */

static int answer_topology(void *data, int room)
{
    const struct gpu *g = the_gpu();
    const int subslice_bytes = (g->subslices + 7) / 8, unit_bytes = (g->units + 7) / 8;
    struct drm_i915_query_topology_info *topology = data;
    const int bytes = (int)sizeof *topology + 1 + subslice_bytes + g->subslices * unit_bytes;
    if (room < bytes)
        return room == 0 ? bytes : -EINVAL;
    *topology = (struct drm_i915_query_topology_info){.max_slices = 1,
                                                      .max_subslices = g->subslices,
                                                      .max_eus_per_subslice = g->units,
                                                      .subslice_offset = 1,
                                                      .subslice_stride = (uint16_t)subslice_bytes,
                                                      .eu_offset = (uint16_t)(1 + subslice_bytes),
                                                      .eu_stride = (uint16_t)unit_bytes};
    uint8_t *masks = topology->data;
    memset(masks, 0, (size_t)bytes - sizeof *topology);
    masks[0] = 1;
    for (int s = 0; s < g->subslices; s++) {
        masks[1 + s / 8] |= (uint8_t)(1 << s % 8);
        for (int u = 0; u < g->units; u++)
            masks[1 + subslice_bytes + s * unit_bytes + u / 8] |= (uint8_t)(1 << u % 8);
    }
    return bytes;
}

static int answer_engines(void *data, int room)
{
    static const uint16_t classes[] = {I915_ENGINE_CLASS_RENDER, I915_ENGINE_CLASS_COPY};
    struct drm_i915_query_engine_info *info = data;
    const int bytes = (int)(sizeof *info + 2 * sizeof info->engines[0]);
    if (room < bytes)
        return room == 0 ? bytes : -EINVAL;
    memset(info, 0, (size_t)bytes);
    info->num_engines = 2;
    for (int i = 0; i < 2; i++)
        info->engines[i].engine.engine_class = classes[i];
    return bytes;
}

static int answer_memory(void *data, int room)
{
    const uint64_t gib[] = {SYSTEM_GIB, the_gpu()->vram_gib};
    const uint32_t count = gib[1] ? 2 : 1;
    struct drm_i915_query_memory_regions *memory = data;
    const int bytes = (int)(sizeof *memory + count * sizeof memory->regions[0]);
    if (room < bytes)
        return room == 0 ? bytes : -EINVAL;
    memset(memory, 0, (size_t)bytes);
    memory->num_regions = count;
    for (uint32_t i = 0; i < count; i++) {
        struct drm_i915_memory_region_info *region = &memory->regions[i];
        region->region.memory_class = i == 0 ? I915_MEMORY_CLASS_SYSTEM : I915_MEMORY_CLASS_DEVICE;
        region->probed_size = region->unallocated_size = gib[i] << 30;
    }
    return bytes;
}

static int query(const struct drm_i915_query *q)
{
    struct drm_i915_query_item *items = (void *)(uintptr_t)q->items_ptr;
    for (uint32_t i = 0; i < q->num_items; i++) {
        void *data = (void *)(uintptr_t)items[i].data_ptr;
        switch (items[i].query_id) {
        case DRM_I915_QUERY_TOPOLOGY_INFO:
        case DRM_I915_QUERY_GEOMETRY_SUBSLICES:
            items[i].length = answer_topology(data, items[i].length);
            break;
        case DRM_I915_QUERY_ENGINE_INFO:
            items[i].length = answer_engines(data, items[i].length);
            break;
        case DRM_I915_QUERY_MEMORY_REGIONS:
            items[i].length = answer_memory(data, items[i].length);
            break;
        default:
            items[i].length = -EINVAL;
        }
    }
    return 0;
}

static int i915_ioctl(unsigned number, size_t bytes, void *data)
{
    switch (number) {
    case DRM_I915_GETPARAM:
        return get_parameter(data);
    case DRM_I915_QUERY:
        return query(data);
    case DRM_I915_GEM_CREATE:
    case DRM_I915_GEM_CREATE_EXT: /* the same number, with more behind */
        if (bytes >= sizeof(struct drm_i915_gem_create_ext)) {
            struct drm_i915_gem_create_ext *create = data;
            create->handle = new_object(create->size);
        } else {
            struct drm_i915_gem_create *create = data;
            create->handle = new_object(create->size);
        }
        return 0;
    case DRM_I915_GEM_USERPTR: {
        struct drm_i915_gem_userptr *user = data;
        user->handle = new_object(user->user_size);
        return 0;
    }
    case DRM_I915_GEM_MMAP_GTT: { /* and MMAP_OFFSET, which has handle and offset in the same places */
        struct drm_i915_gem_mmap_offset *map = data;
        map->offset = objects[map->handle % HANDLES];
        return 0;
    }
    case DRM_I915_GEM_CONTEXT_CREATE:
        ((struct drm_i915_gem_context_create *)data)->ctx_id = 1;
        return 0;
    case DRM_I915_GEM_CONTEXT_GETPARAM: {
        struct drm_i915_gem_context_param *get = data;
        get->value = get->param == I915_CONTEXT_PARAM_GTT_SIZE ? UINT64_C(1) << 48 : 0;
        return 0;
    }
    case DRM_I915_GEM_VM_CREATE:
        ((struct drm_i915_gem_vm_control *)data)->vm_id = 1;
        return 0;
    case DRM_I915_GEM_GET_APERTURE: {
        struct drm_i915_gem_get_aperture *aperture = data;
        aperture->aper_size = aperture->aper_available_size = UINT64_C(1) << 48;
        return 0;
    }
    case DRM_I915_GEM_GET_TILING:
    case DRM_I915_GEM_SET_TILING: /* no such thing beside own memory */
        return the_gpu()->vram_gib ? EOPNOTSUPP : 0;
    case DRM_I915_GEM_BUSY:
        ((struct drm_i915_gem_busy *)data)->busy = 0;
        return 0;
    case DRM_I915_REG_READ:
        ((struct drm_i915_reg_read *)data)->val = 0;
        return 0;
    case DRM_I915_GEM_CONTEXT_DESTROY:
    case DRM_I915_GEM_CONTEXT_SETPARAM:
    case DRM_I915_GEM_EXECBUFFER2:
    case DRM_I915_GEM_GET_CACHING:
    case DRM_I915_GEM_MADVISE:
    case DRM_I915_GEM_SET_CACHING:
    case DRM_I915_GEM_SET_DOMAIN:
    case DRM_I915_GEM_VM_DESTROY:
    case DRM_I915_GEM_WAIT:
    case DRM_I915_GET_RESET_STATS:
        return 0;
    }
    return EINVAL;
}

static void copy_text(char *target, __kernel_size_t *length, const char *text)
{
    if (target && *length >= strlen(text))
        memcpy(target, text, strlen(text));
    *length = strlen(text);
}

/* What all of the kernel's graphics drivers share. */
static int drm_ioctl(unsigned long request, void *data)
{
    const unsigned number = _IOC_NR(request);
    if (number >= DRM_COMMAND_BASE && number < DRM_COMMAND_END)
        return i915_ioctl(number - DRM_COMMAND_BASE, _IOC_SIZE(request), data);
    switch (number) {
    case _IOC_NR(DRM_IOCTL_VERSION): {
        struct drm_version *version = data;
        version->version_major = 1;
        version->version_minor = 6;
        version->version_patchlevel = 0;
        copy_text(version->name, &version->name_len, "i915");
        copy_text(version->date, &version->date_len, "20230929");
        copy_text(version->desc, &version->desc_len, "Intel Graphics");
        return 0;
    }
    case _IOC_NR(DRM_IOCTL_GET_CAP): {
        struct drm_get_cap *get = data;
        const bool has = get->capability == DRM_CAP_SYNCOBJ || get->capability == DRM_CAP_SYNCOBJ_TIMELINE ||
                         get->capability == DRM_CAP_TIMESTAMP_MONOTONIC;
        get->value = get->capability == DRM_CAP_PRIME ? DRM_PRIME_CAP_IMPORT | DRM_PRIME_CAP_EXPORT : has;
        return 0;
    }
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_CREATE):
        ((struct drm_syncobj_create *)data)->handle = 1;
        return 0;
    case _IOC_NR(DRM_IOCTL_GEM_CLOSE):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_DESTROY):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_WAIT):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_RESET):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_SIGNAL):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_QUERY):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_TRANSFER):
    case _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL):
        return 0;
    }
    return EINVAL;
}

int ioctl(int file, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *data = va_arg(list, void *);
    va_end(list);
    if (!is_node(file)) {
        int (*real)(int, unsigned long, ...);
        *(void **)&real = dlsym(RTLD_NEXT, "ioctl");
        return real(file, request, data);
    }
    const int error = drm_ioctl(request, data);
    errno = error ? error : errno;
    return error ? -1 : 0;
}
