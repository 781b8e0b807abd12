/* SPDX-License-Identifier: MIT
 * The table of rates. They are for the slowest kernel on the slowest device of a row: a few percent of what the
 * hardware can do, so that no dispatch outlasts the 2 s after which Windows (TdrDelay) and amdgpu (lockup_timeout)
 * reset a GPU. */
#include "rate.h"

enum { VENDOR_AMD = 0x1002, VENDOR_APPLE = 0x106b, VENDOR_ARM = 0x13b5, MESA_V3DV = 19, MESA_HONEYKRISP = 26 };

static const struct row {
    uint32_t vendor_id, driver_id; /* 0: any */
    int type;                      /* heed_device_type; -1: any */
    uint32_t subgroup_size_min;    /* 0: any */
    double group_gflops;           /* of one work group, and so of a compute unit */
    uint32_t units;                /* where the driver does not tell how many there are */
} table[] = {
    /* 512 x 512 keys of 64 features, tile kernels on one core: SwiftShader 0.7, lavapipe 22.3 1.7, 26.1 2.5. */
    {0, 0, HEED_DEVICE_CPU, 0, 0.5, 2},
    /* Raspberry Pi 4: 32 GFLOP/s at most; 384 spills in the larger tiles. */
    {0, MESA_V3DV, -1, 0, 0.5, 4},
    /* GCN. ggml caps a submission at 0.5 GFLOP a compute unit, after a ring timeout of 2 s on a Renoir APU
     * (ggml-org/llama.cpp#21724, #25240) and, with 200 GFLOP, on the 36 units of an RX 580 (#26813). */
    {VENDOR_AMD, 0, -1, 64, 5, 8},
    /* A core of a Mali-G52 is 24 lanes at 0.85 GHz: 41 GFLOP/s at most. */
    {VENDOR_ARM, 0, -1, 0, 2, 2},
    /* RDNA: ggml's cap for its small ones is 2 GFLOP a unit (ggml-org/llama.cpp#25240). */
    {VENDOR_AMD, 0, -1, 0, 20, 8},
    /* A core of an M1 does 325 GFLOP/s at most, and it has 7 or 8 of them. Mesa's driver has a vendor id of Mesa's own.
     */
    {VENDOR_APPLE, 0, -1, 0, 20, 7},
    {0, MESA_HONEYKRISP, -1, 0, 20, 7},
    /* A multiprocessor of a GT 1030 does 380 GFLOP/s at most. Those that do not count their units are Intel's: 8 in an
     * A380. */
    {0, 0, HEED_DEVICE_DISCRETE, 0, 20, 8},
    /* The rest is integrated, and it tells nothing: an Adreno 618, a UHD Graphics 600 (12 units, 130 GFLOP/s at most).
     */
    {0, 0, -1, 0, 2.5, 4},
};

/* RDNA 3 does 2 times as much on them as on its vector units, Xe 2 and later 8, NVIDIA 8 to 16. */
static const double matrix_factor = 4;

struct heed_rate heed_rate(const struct heed_device_info *info, bool on_matrix_units)
{
    const struct row *row = table;
    while ((row->vendor_id && row->vendor_id != info->vendor_id) ||
           (row->driver_id && row->driver_id != info->driver_id) || (row->type >= 0 && row->type != (int)info->type) ||
           row->subgroup_size_min > info->limits.subgroup_size_min)
        row++;
    uint32_t units = info->compute_units > 0 ? info->compute_units : row->units;
    double group = 1e9 * row->group_gflops * (on_matrix_units ? matrix_factor : 1.0);
    return (struct heed_rate){.group = group, .device = group * units};
}

uint64_t heed_rate_ns(const struct heed_rate *rate, double total, double group)
{
    double all = total / rate->device, one = group / rate->group;
    double ns = 1e9 * (all > one ? all : one);
    return ns < 1e18 ? (uint64_t)ns : UINT64_C(1000000000000000000);
}
