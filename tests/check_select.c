/* SPDX-License-Identifier: MIT
 * Which kernel is chosen for attention of real models, on devices that are not here: from what they tell of themselves.
 */
#include "plan.h"
#include "test_case.h"

#include <stdio.h>
#include <string.h>

static enum heed_status compile_nothing(heed_plan *plan)
{
    (void)plan;
    return HEED_OK;
}

static void release_nothing(heed_plan *plan)
{
    (void)plan;
}

static bool has_kernel(unsigned kernel)
{
    (void)kernel;
    return true;
}

static const struct heed_backend_ops ops = {.backend = HEED_BACKEND_VULKAN,
                                            .has_kernel = has_kernel,
                                            .plan_compile = compile_nothing,
                                            .plan_release = release_nothing};

/* VkDriverId. */
enum { INTEL_MESA = 6, MESA_V3DV = 19, MESA_PANVK = 20 };

static const struct {
    const char *name;
    uint32_t driver_id, group_size, shared, subgroup_min, subgroup_max, units;
    bool subgroups;
    int column; /* of the cases: many registers, few, fewer, least */
} devices[] = {
    {"nvidia", 0, 1024, 49152, 32, 32, 46, true, 0},      {"amd", 0, 1024, 65536, 32, 64, 60, true, 0},
    {"adreno", 0, 1024, 32768, 64, 128, 0, true, 0},      {"intel", 0, 1024, 49152, 8, 32, 0, true, 1},
    {"xe2", INTEL_MESA, 1024, 49152, 16, 32, 0, true, 1}, {"mali", MESA_PANVK, 1024, 32768, 16, 16, 10, true, 2},
    {"pi5", MESA_V3DV, 256, 16384, 16, 16, 0, true, 3},   {"floor", 0, 128, 16384, 1, 1, 0, false, 1},
};

static const struct {
    const char *line, *kernels[4];
} cases[] = {
    {"sd15-cross-64 batch=2 heads=8 len=4096x77 dim=40", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_8x64"}},
    {"sd15-cross-32 batch=2 heads=8 len=1024x77 dim=80", {"plain_32x64", "plain_16x64", "plain_8x64", "plain_4x128"}},
    {"sdxl-cross batch=2 heads=10 len=4096x77 dim=64", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_8x64"}},
    {"whisper-decoder heads=20 len=1x1500 dim=64", {"subgroup_1x256", "plain_1x256", "plain_1x256", "plain_1x256"}},
    {"whisper-encoder heads=20 len=1500 dim=64", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_8x64"}},
    {"detr-decoder heads=8 len=100x1050 dim=32", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_16x32"}},
    {"sam-to-image batch=64 heads=8 len=7x4096 dim=16", {"plain_8x64", "plain_8x64", "plain_8x64", "plain_8x64"}},
    {"sam-from-image batch=64 heads=8 len=4096x7 dim=16", {"plain_64x8", "plain_64x8", "plain_16x32", "plain_16x32"}},
    {"a-dozen-keys heads=8 len=4096x12 dim=32", {"plain_64x16", "plain_64x16", "plain_16x32", "plain_16x32"}},
    {"qformer heads=12 len=32x257 dim=64", {"plain_32x64", "plain_32x32", "plain_16x32", "plain_8x64"}},
    {"perceiver len=512x50176 dim=261", {"plain_16x128", "plain_4x128", "plain_1x256", "plain_1x256"}},
    {"mask2former heads=8 len=100x4096 dim=32 mask=bool", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_16x32"}},
    {"grounding heads=4 len=22223x256 dim=256", {"plain_16x128", "plain_8x64", "plain_4x128", "plain_1x256"}},
    {"t5-self heads=12 len=128x512 dim=64 mask=f32", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_8x64"}},
    {"alphafold batch=64 heads=8 len=256 dim=32 mask=f32",
     {"plain_64x32", "plain_32x32", "plain_16x32", "plain_16x32"}},
    {"swin batch=64 heads=3 len=49 dim=32 mask=f32", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_16x32"}},
    {"dat heads=2 len=3136x49 dim=32 mask=f32", {"plain_64x32", "plain_32x32", "plain_16x32", "plain_16x32"}},
    {"llama-prefill heads=32/8 len=512 dim=128 causal", {"plain_32x64", "plain_16x64", "plain_8x64", "plain_4x128"}},
    {"llama-decode heads=32/8 len=1x4096 dim=128 causal",
     {"subgroup_4x256", "plain_4x128", "plain_4x128", "plain_4x128"}},
    {"decode-by-8 heads=64/8 len=1x4096 dim=128 causal", {"plain_8x64", "plain_8x64", "plain_8x64", "plain_4x128"}},
};

int main(void)
{
    heed_context *context;
    const struct heed_context_desc desc = {.struct_size = sizeof desc};
    if (heed_context_create(&desc, &context) != HEED_OK)
        return 1;
    int failures = 0;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        static struct test_case test;
        char line[256];
        snprintf(line, sizeof line, "attention %s", cases[c].line);
        if (!test_case_parse(context, &test, line, 1)) {
            printf("%s: %s\n", line, test.error);
            return 1;
        }
        for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
            static heed_device device;
            device = (heed_device){.context = context, .ops = &ops, .process = heed_process_id()};
            device.info.backend = HEED_BACKEND_VULKAN;
            device.info.type = HEED_DEVICE_DISCRETE;
            device.info.driver_id = devices[i].driver_id;
            device.info.compute_units = devices[i].units;
            device.info.has_subgroups = devices[i].subgroups;
            device.info.limits = (struct heed_limits){
                .max_storage_range = 1u << 30,
                .max_group_count = 65535,
                .max_group_size = devices[i].group_size,
                .max_shared_bytes = devices[i].shared,
                .max_storage_buffers = 8,
                .min_offset_alignment = 16,
                .subgroup_size_min = devices[i].subgroup_min,
                .subgroup_size_max = devices[i].subgroup_max,
                .max_dispatch_ns = UINT64_C(1000000000),
            };
            const char *expected = cases[c].kernels[devices[i].column];
            heed_plan *plan = NULL;
            struct heed_plan_info info = {.kernel = "none"};
            if (test.op->plan(&device, &test, NULL, &plan) == HEED_OK)
                heed_plan_get_info(plan, &info);
            if (strncmp(info.kernel, "attn_fused__", 12) != 0 || strcmp(info.kernel + 12, expected) != 0) {
                printf("%s on %s: %s; expected attn_fused__%s\n", line, devices[i].name, info.kernel, expected);
                failures++;
            }
            heed_plan_destroy(&plan);
        }
        test_case_free(&test);
    }
    heed_context_destroy(&context);
    return failures > 0;
}
