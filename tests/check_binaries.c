/* SPDX-License-Identifier: MIT
 * Binaries of OpenCL's programs: shared between plans, kept by the app between runs, and never one to the driver that
 * it did not make for this device and this source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "select.h"
#include "support/blob_store.h"
#include "support/cl_app.h"
#include "support/host_memory.h"

/* The context of the fixture becomes one with a store; `allocator` may be NULL. */
static void use_store(const struct heed_allocator *allocator)
{
    struct heed_context_desc desc = {
        .struct_size = sizeof desc, .log = log_line, .log_level = HEED_LOG_WARN, .cache = store_cache()};
    if (allocator)
        desc.allocator = *allocator;
    heed_context_destroy(&context);
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
}

static void start(void)
{
    store_reset();
    use_store(NULL);
}

/* Compiles the plan that copies, runs it, and looks at what it copied. */
static void run_plan(heed_device *device, uint32_t cached)
{
    heed_plan plan;
    plan_init(&plan, device);
    ck_assert_msg(device->ops->plan_compile(&plan) == HEED_OK, "%s", last_line);
    ck_assert_uint_eq(plan.pipelines, 2);
    ck_assert_uint_eq(plan.pipelines_cached, cached);
    heed_buffer *q, *o;
    uint32_t words[WORDS], back[WORDS];
    ck_assert_int_eq(heed_buffer_create(device, sizeof words, &q), HEED_OK);
    ck_assert_int_eq(heed_buffer_create(device, sizeof words, &o), HEED_OK);
    fill(words, WORDS, 9);
    ck_assert_int_eq(heed_buffer_write(q, 0, words, sizeof words), HEED_OK);
    const struct heed_arg args[] = {{"q", q, 0}, {"o", o, 0}};
    ck_assert_int_eq(heed_run(&plan, args, 2, NULL), HEED_OK);
    ck_assert_int_eq(heed_buffer_read(o, 0, back, sizeof back), HEED_OK);
    ck_assert_mem_eq(words, back, sizeof back);
    heed_buffer_destroy(&q);
    heed_buffer_destroy(&o);
    plan_clear(&plan);
}

/* A run of an app: `made` programs from source and `cached` from binaries. */
static void run_app(uint32_t made, uint32_t cached)
{
    cl_wrap_reset(loader);
    heed_device *device = open_own();
    run_plan(device, cached);
    ck_assert_uint_eq(cl_wrap.from_source, made);
    ck_assert_uint_eq(cl_wrap.from_binary, cached);
    heed_device_destroy(&device);
    ck_assert_int_eq(cl_wrap.live, 0);
}

static uint32_t count_entries(void)
{
    struct heed_cache_entry entry;
    uint32_t count = 0;
    for (size_t at = HEED_CACHE_HEADER; heed_cache_next(store.data, store.bytes, &at, &entry);)
        count++;
    return count;
}

START_TEST(kept_between_runs)
{
    start();
    run_app(2, 0);
    ck_assert_uint_eq(store.gets, 1);
    ck_assert_uint_eq(store.puts, 1);
    ck_assert_int_eq(strncmp(store.key, "opencl-", 7), 0);
    ck_assert_uint_eq(count_entries(), 2);
    run_app(0, 2);
    ck_assert_uint_eq(store.puts, 1); /* nothing new */

    /* Programs of other constants come beside those. */
    heed_device *device = open_own();
    heed_plan plan;
    plan_init(&plan, device);
    plan.steps[0].spec[0] = 16;
    ck_assert_int_eq(device->ops->plan_compile(&plan), HEED_OK);
    ck_assert_uint_eq(plan.pipelines, 3);
    ck_assert_uint_eq(plan.pipelines_cached, 2);
    ck_assert_int_eq(heed_device_save_cache(device), HEED_OK);
    ck_assert_uint_eq(store.puts, 2);
    ck_assert_uint_eq(count_entries(), 3);
    ck_assert_int_eq(heed_device_save_cache(device), HEED_OK);
    ck_assert_uint_eq(store.puts, 2);
    plan_clear(&plan);
    heed_device_destroy(&device);
    run_app(0, 2);
    ck_assert_str_eq(last_warning, "");
}
END_TEST

START_TEST(imported_devices)
{
    start();
    run_app(2, 0);
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_init(&plan, app.heed);
    cl_wrap.from_source = cl_wrap.from_binary = 0;
    ck_assert_int_eq(app.heed->ops->plan_compile(&plan), HEED_OK);
    ck_assert_uint_eq(cl_wrap.from_source, 0);
    ck_assert_uint_eq(cl_wrap.from_binary, 2);
    plan_clear(&plan);
    cl_wrap.waits = cl_wrap.allocations = 0; /* own mode's */
    app_close(&app);
}
END_TEST

START_TEST(plans_share_programs)
{
    start();
    heed_device *device = open_own();
    heed_plan first, second;
    plan_init(&first, device);
    plan_init(&second, device);
    ck_assert_int_eq(device->ops->plan_compile(&first), HEED_OK);
    ck_assert_int_eq(device->ops->plan_compile(&second), HEED_OK);
    ck_assert_uint_eq(second.pipelines_shared, 2);
    ck_assert_uint_eq(cl_wrap.from_source, 2);
    plan_clear(&first);
    plan_clear(&second);
    run_plan(device, 0);
    ck_assert_uint_eq(cl_wrap.from_source, 2);
    heed_device_destroy(&device);
    ck_assert_int_eq(cl_wrap.live, 0);
}
END_TEST

/* ---- blobs that are not what they say */

/* The driver sees nothing of it, and what is compiled instead replaces it. */
static void expect_unused(const char *part)
{
    last_warning[0] = 0;
    run_app(2, 0);
    ck_assert_msg(strstr(last_warning, part), "\"%s\" is not in: %s", part, last_warning);
}

START_TEST(damaged_blobs)
{
    start();
    run_app(2, 0);
    const size_t bytes = store.bytes;
    store.data[bytes - 1] ^= 1;
    expect_unused("hash 0x");
    run_app(0, 2);
    store.data[HEED_CACHE_HEADER] ^= 1; /* a key */
    expect_unused("hash 0x");
    store.bytes--;
    expect_unused("length 0x");
    store.bytes = 3;
    expect_unused("3 bytes are fewer than its headers, 88");
    store.data[0] = 'H';
    expect_unused("does not begin with");
    store.lie = 4 * store.bytes;
    expect_unused("and now has");
    store.lie = SIZE_MAX;
    expect_unused("more than 1 GiB");
    store.lie = 0;
    run_app(0, 2);
}
END_TEST

START_TEST(binaries_that_the_driver_refuses)
{
    start();
    run_app(2, 0);
    for (int stale = 0; stale < 2; stale++) {
        cl_wrap_reset(loader);
        last_warning[0] = 0;
        cl_wrap.refuse_binaries = !stale;
        cl_wrap.binaries_are_stale = stale;
        heed_device *device = open_own();
        run_plan(device, 0);
        ck_assert_uint_eq(cl_wrap.from_source, 2);
        ck_assert_msg(strstr(last_warning, "refuses"), "%s", last_warning);
        heed_device_destroy(&device);
        ck_assert_int_eq(cl_wrap.live, 0);
    }
}
END_TEST

enum { FIRST = 21, SECOND = 8 };

static const struct heed_cache_identity identity = {.vendor_id = 0x13b5,
                                                    .device_id = 7,
                                                    .driver_id = 0x434c0008,
                                                    .driver_version = 3,
                                                    .uuid = {1, 2, 3, 4},
                                                    .api = HEED_CACHE_OPENCL};

/* Two entries of FIRST and SECOND bytes; its length. */
static size_t make_blob(uint8_t blob[256])
{
    static const uint8_t data[FIRST] = {9, 8, 7};
    size_t at = HEED_CACHE_HEADER;
    memset(blob, 0, 256);
    heed_cache_write_entry(blob, &at, &(struct heed_cache_entry){.key = {1, 2}, .bytes = FIRST, .data = data});
    heed_cache_write_entry(blob, &at, &(struct heed_cache_entry){.key = {3, 4}, .bytes = SECOND, .data = data});
    heed_cache_seal(&identity, blob, at);
    return at;
}

START_TEST(entries)
{
    uint8_t blob[256];
    char why[160];
    struct heed_cache_entry entry;
    const size_t bytes = make_blob(blob);
    ck_assert_uint_eq(bytes, HEED_CACHE_HEADER + heed_cache_entry_bytes(FIRST) + heed_cache_entry_bytes(SECOND));
    ck_assert(heed_cache_check(&identity, blob, bytes, why, sizeof why));
    size_t at = HEED_CACHE_HEADER;
    ck_assert(heed_cache_next(blob, bytes, &at, &entry));
    ck_assert(entry.key[0] == 1 && entry.key[1] == 2 && entry.bytes == FIRST && ((const uint8_t *)entry.data)[2] == 7);
    ck_assert(heed_cache_next(blob, bytes, &at, &entry));
    ck_assert(entry.key[0] == 3 && entry.key[1] == 4 && entry.bytes == SECOND);
    ck_assert(!heed_cache_next(blob, bytes, &at, &entry));

    for (size_t i = 0; i < bytes; i++)
        ck_assert_msg(!heed_cache_check(&identity, blob, i, why, sizeof why), "%zu bytes are taken", i);
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(!heed_cache_check(&identity, blob, bytes, why, sizeof why), "bit %zu", bit);
        blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* Sealed well, with lengths that lie. */
    static const uint64_t lies[] = {0, FIRST + 4, FIRST + 100, UINT64_MAX, UINT64_MAX - 6, UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        make_blob(blob);
        memcpy(blob + HEED_CACHE_HEADER + 16, &lies[i], 8);
        heed_cache_seal(&identity, blob, bytes);
        ck_assert_msg(!heed_cache_check(&identity, blob, bytes, why, sizeof why), "length %llu",
                      (unsigned long long)lies[i]);
        ck_assert_ptr_nonnull(strstr(why, "last whole entry"));
    }
    make_blob(blob);
    heed_cache_seal(&identity, blob, bytes + 8); /* something behind the last */
    ck_assert(!heed_cache_check(&identity, blob, bytes + 8, why, sizeof why));

    /* Of another device, driver or API. */
    struct heed_cache_identity others[6] = {identity, identity, identity, identity, identity, identity};
    others[0].vendor_id++;
    others[1].device_id++;
    others[2].driver_id++;
    others[3].driver_version++;
    others[4].uuid[15]++;
    others[5].api = HEED_CACHE_VULKAN;
    make_blob(blob);
    for (int i = 0; i < 6; i++)
        ck_assert(!heed_cache_check(&others[i], blob, bytes, why, sizeof why));
    char key[HEED_CACHE_KEY];
    heed_cache_key(&identity, key);
    ck_assert_str_eq(key, "opencl-000013b5-00000007-434c0008");
}
END_TEST

/* ---- failures */

/* A device, a plan of a new program and two kept ones, and a save. */
START_TEST(every_host_allocation_fails_once)
{
    start();
    run_app(2, 0);
    for (uint32_t n = 1, reached = n; reached + 1 >= n; n++) {
        cl_wrap_reset(loader);
        use_store(&host_allocator);
        host_calls = 0;
        host_fail_at = n;
        heed_device *device;
        heed_plan plan = {.device = NULL};
        enum heed_status status = heed_cl_create(context, NULL, 0, cl_wrap_get_function, NULL, &device);
        ck_assert(status == HEED_OK || (status == HEED_ERR_HOST_MEMORY && host_calls >= n));
        if (status == HEED_OK) {
            host_fail_at = 0; /* the test's own */
            plan_init(&plan, device);
            host_fail_at = n;
            plan.steps[0].spec[0] = 16;
            status = device->ops->plan_compile(&plan);
            ck_assert(status == HEED_OK || status == HEED_ERR_HOST_MEMORY);
            if (status == HEED_OK)
                status = heed_device_save_cache(device);
            ck_assert(status == HEED_OK || status == HEED_ERR_HOST_MEMORY);
        }
        reached = host_calls;
        host_fail_at = 0;
        plan_clear(&plan);
        heed_device_destroy(&device);
        heed_context_destroy(&context);
        ck_assert_int_eq(host_live, 0);
        ck_assert_int_eq(cl_wrap.live, 0);
        ck_assert_int_eq(heed_context_create(NULL, &context), HEED_OK);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, entries);
    tcase_add_test(tcase, kept_between_runs);
    tcase_add_test(tcase, imported_devices);
    tcase_add_test(tcase, plans_share_programs);
    tcase_add_test(tcase, damaged_blobs);
    tcase_add_test(tcase, binaries_that_the_driver_refuses);
    tcase_add_test(tcase, every_host_allocation_fails_once);
}

int main(void)
{
    return run_cases("binaries", add);
}
