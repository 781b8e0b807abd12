/* SPDX-License-Identifier: MIT
 * heed_limits.max_dispatch_ns: plans for made-up devices, whose dispatches must stay below it. What such plans compute
 * is check_kernels' business ("work and groups limited"). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan.h"
#include "rate.h"

static heed_context *context;
static char warning[512];

static void keep_warning(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    if (level <= HEED_LOG_WARN)
        snprintf(warning, sizeof warning, "%s", text);
}

static void setup(void)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = keep_warning, .log_level = HEED_LOG_WARN};
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
    warning[0] = 0;
}

static void teardown(void)
{
    heed_context_destroy(&context);
}

static enum heed_status plan_compile(heed_plan *plan)
{
    (void)plan;
    return HEED_OK;
}

static void plan_release(heed_plan *plan)
{
    (void)plan;
}

static const struct heed_backend_ops ops = {
    .backend = HEED_BACKEND_VULKAN, .plan_compile = plan_compile, .plan_release = plan_release};

static heed_device fake_device(enum heed_device_type type, uint64_t max_dispatch_ns)
{
    return (heed_device){.context = context,
                         .ops = &ops,
                         .process = heed_process_id(),
                         .info = {.backend = HEED_BACKEND_VULKAN,
                                  .type = type,
                                  .limits = {.max_storage_range = UINT64_C(1) << 31,
                                             .max_group_count = 65535,
                                             .max_group_size = 1024,
                                             .max_shared_bytes = 32768,
                                             .max_storage_buffers = 8,
                                             .min_offset_alignment = 16,
                                             .subgroup_size_min = 32,
                                             .subgroup_size_max = 32,
                                             .max_dispatch_ns = max_dispatch_ns}}};
}

static struct heed_attention_desc attention(uint32_t heads, uint32_t len_q, uint32_t len_kv)
{
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = 1;
    desc.heads_q = desc.heads_kv = heads;
    desc.len_q = len_q;
    desc.len_kv = len_kv;
    desc.dim_qk = desc.dim_v = 64;
    return desc;
}

/* The number of dispatches; each is within the budget. */
static uint32_t dispatches_within(const struct heed_attention_desc *desc, uint64_t max_dispatch_ns)
{
    heed_device device = fake_device(HEED_DEVICE_DISCRETE, max_dispatch_ns);
    heed_plan *plan;
    ck_assert_int_eq(heed_plan_create_attention(&device, desc, &plan), HEED_OK);
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    ck_assert_msg(info.longest_dispatch_ns <= max_dispatch_ns, "%llu ns in %u dispatches are over %llu",
                  (unsigned long long)info.longest_dispatch_ns, info.dispatches, (unsigned long long)max_dispatch_ns);
    ck_assert_uint_gt(info.longest_dispatch_ns, 0);
    ck_assert_str_eq(warning, "");
    heed_plan_destroy(&plan);
    return info.dispatches;
}

static const uint64_t budgets[] = {UINT64_MAX, HEED_DISPATCH_NS, 10000000, 1000000, 300000};
enum { BUDGETS = sizeof budgets / sizeof *budgets };

/* Every kernel of the list that takes the problem, over every budget. */
static void check_attention(struct heed_attention_desc desc, uint32_t most_at_default)
{
    uint32_t count;
    const struct heed_candidate *list = heed_attention_candidates(HEED_OP_ATTENTION, &count);
    uint32_t tried = 0;
    for (uint32_t i = 0; i < count; i++) {
        heed_device device = fake_device(HEED_DEVICE_DISCRETE, UINT64_MAX);
        desc.kernel = list[i].name;
        heed_plan *plan;
        if (heed_plan_create_attention(&device, &desc, &plan) != HEED_OK) {
            warning[0] = 0;
            continue;
        }
        heed_plan_destroy(&plan);
        uint32_t before = 0;
        for (int b = 0; b < BUDGETS; b++) {
            uint32_t now = dispatches_within(&desc, budgets[b]);
            ck_assert_msg(now >= before, "%s: %u dispatches at %llu ns, and %u with more time", list[i].name, now,
                          (unsigned long long)budgets[b], before);
            ck_assert_msg(budgets[b] < HEED_DISPATCH_NS || now <= most_at_default, "%s: %u dispatches at %llu ns",
                          list[i].name, now, (unsigned long long)budgets[b]);
            before = now;
        }
        ck_assert_msg(before > 1, "%s: one dispatch at %llu ns", list[i].name,
                      (unsigned long long)budgets[BUDGETS - 1]);
        tried++;
    }
    ck_assert_uint_ge(tried, 4);
}

/* 16 heads of 4096 x 4096: cut by heads and rows. */
START_TEST(cut_by_rows)
{
    struct heed_attention_desc desc = attention(16, 4096, 4096);
    desc.path = HEED_PATH_FUSED;
    check_attention(desc, 16);
}
END_TEST

/* One row of one head, over a million keys: nothing is left to cut but the keys. */
START_TEST(cut_by_keys)
{
    struct heed_attention_desc desc = attention(1, 1, 1 << 20);
    desc.path = HEED_PATH_FUSED;
    check_attention(desc, 16);
}
END_TEST

START_TEST(cut_by_keys_when_packed)
{
    struct heed_attention_desc desc = attention(1, 3, 1 << 20);
    desc.path = HEED_PATH_FUSED;
    desc.total_q = 3;
    desc.total_kv = 1 << 20;
    check_attention(desc, 16);
}
END_TEST

/* A million keys of which a row attends to 64 are little work. */
START_TEST(windows_are_short)
{
    struct heed_attention_desc desc = attention(1, 16, 1 << 20);
    desc.window = true;
    desc.window_left = desc.window_right = 32;
    heed_device device = fake_device(HEED_DEVICE_DISCRETE, 1000000);
    heed_plan *plan;
    ck_assert_int_eq(heed_plan_create_attention(&device, &desc, &plan), HEED_OK);
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    ck_assert_uint_lt(info.longest_dispatch_ns, 1000000);
    ck_assert_uint_le(info.dispatches, 2);
    heed_plan_destroy(&plan);
}
END_TEST

/* What cannot be cut is done all the same, and said. */
START_TEST(too_long_to_cut)
{
    struct heed_attention_desc desc = attention(1, 1, 1 << 20);
    desc.path = HEED_PATH_STAGED;
    heed_device device = fake_device(HEED_DEVICE_DISCRETE, 1000);
    heed_plan *plan;
    ck_assert_int_eq(heed_plan_create_attention(&device, &desc, &plan), HEED_OK);
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    ck_assert_uint_gt(info.longest_dispatch_ns, 1000);
    ck_assert_msg(strstr(warning, "cannot be cut further") && strstr(warning, "max_dispatch_ns 0.001 ms"), "%s",
                  warning);
    heed_plan_destroy(&plan);
}
END_TEST

/* Matrix units do more in the same time. */
START_TEST(matrix_units)
{
    struct heed_attention_desc desc = attention(64, 4096, 4096);
    desc.q.dtype = desc.k.dtype = desc.v.dtype = desc.o.dtype = HEED_F16;
    uint32_t dispatches[2];
    for (int i = 0; i < 2; i++) {
        heed_device device = fake_device(HEED_DEVICE_DISCRETE, HEED_DISPATCH_NS);
        device.info.has_subgroups = true;
        device.info.matrix_shapes[0] = (struct heed_matrix_shape){HEED_F16, 16, 16, 16};
        device.info.matrix_shape_count = i == 1;
        heed_plan *plan;
        ck_assert_int_eq(heed_plan_create_attention(&device, &desc, &plan), HEED_OK);
        struct heed_plan_info info;
        heed_plan_get_info(plan, &info);
        ck_assert_int_eq(strstr(info.kernel, "matrix") != NULL, i == 1);
        ck_assert_uint_le(info.longest_dispatch_ns, HEED_DISPATCH_NS);
        dispatches[i] = info.dispatches;
        heed_plan_destroy(&plan);
    }
    ck_assert_uint_gt(dispatches[0], dispatches[1]);
}
END_TEST

START_TEST(deformable)
{
    struct heed_deform_desc desc = HEED_DEFORM_DESC_INIT;
    desc.batch = 2;
    desc.len_q = 20000;
    desc.heads = 8;
    desc.dim = 32;
    desc.len_value = 128 * 128;
    desc.level_count = 1;
    desc.levels[0] = (struct heed_level){.height = 128, .width = 128, .points = 4};
    uint32_t before = 0;
    for (int b = 0; b < BUDGETS; b++) {
        heed_device device = fake_device(HEED_DEVICE_DISCRETE, budgets[b]);
        heed_plan *plan;
        ck_assert_int_eq(heed_plan_create_deform(&device, &desc, &plan), HEED_OK);
        struct heed_plan_info info;
        heed_plan_get_info(plan, &info);
        ck_assert_uint_le(info.longest_dispatch_ns, budgets[b]);
        ck_assert_uint_ge(info.dispatches, before);
        ck_assert_str_eq(warning, "");
        before = info.dispatches;
        heed_plan_destroy(&plan);
    }
    ck_assert_uint_gt(before, 1);
}
END_TEST

START_TEST(rates)
{
    /* Every device has one, whatever it calls itself. */
    for (uint32_t type = 0; type <= HEED_DEVICE_CPU; type++) {
        const struct heed_device_info info = {.type = (enum heed_device_type)type, .vendor_id = 0x1234};
        const struct heed_rate rate = heed_rate(&info, false);
        ck_assert(rate.group > 0.0 && rate.device >= rate.group);
    }
    const struct heed_rate rate = {.group = 1e9, .device = 1e10};
    ck_assert_uint_eq(heed_rate_ns(&rate, 1e9, 1e6), 100000000);
    ck_assert_uint_eq(heed_rate_ns(&rate, 1e9, 1e9), 1000000000);
    ck_assert_uint_eq(heed_rate_ns(&rate, 1e60, 0.0), UINT64_C(1000000000000000000));
    /* GCN is slower than RDNA, which also has subgroups of 32. */
    struct heed_device_info amd = {.type = HEED_DEVICE_DISCRETE, .vendor_id = 0x1002, .limits.subgroup_size_min = 64};
    double gcn = heed_rate(&amd, false).group;
    amd.limits.subgroup_size_min = 32;
    ck_assert(gcn < heed_rate(&amd, false).group);
    amd.compute_units = 84;
    ck_assert(heed_rate(&amd, false).device == 84 * heed_rate(&amd, false).group);
}
END_TEST

/* A limit lowers, never raises. */
START_TEST(limits_lower)
{
    struct heed_limits limits = {.max_dispatch_ns = HEED_DISPATCH_NS};
    heed_limits_lower(&limits, &(const struct heed_limits){.max_dispatch_ns = UINT64_MAX});
    ck_assert_uint_eq(limits.max_dispatch_ns, HEED_DISPATCH_NS);
    heed_limits_lower(&limits, &(const struct heed_limits){.max_dispatch_ns = 0});
    ck_assert_uint_eq(limits.max_dispatch_ns, HEED_DISPATCH_NS);
    heed_limits_lower(&limits, &(const struct heed_limits){.max_dispatch_ns = 5});
    ck_assert_uint_eq(limits.max_dispatch_ns, 5);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("budget");
    Suite *suite = suite_create("budget");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, cut_by_rows);
    tcase_add_test(tcase, cut_by_keys);
    tcase_add_test(tcase, cut_by_keys_when_packed);
    tcase_add_test(tcase, windows_are_short);
    tcase_add_test(tcase, too_long_to_cut);
    tcase_add_test(tcase, matrix_units);
    tcase_add_test(tcase, deformable);
    tcase_add_test(tcase, rates);
    tcase_add_test(tcase, limits_lower);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
