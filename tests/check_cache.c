/* SPDX-License-Identifier: MIT
 * Compiled pipelines: shared between plans, kept by the app between runs, and never a blob to the driver that it did
 * not make for this device. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/blob_store.h"
#include "support/host_memory.h"
#include "support/vk_app.h"
#include "support/vk_test.h"
#include "support/vk_wrap.h"

static char warning[512];

static void keep_log(void *user, enum heed_log_level level, const char *text)
{
    if (level == HEED_LOG_WARN)
        snprintf(warning, sizeof warning, "%s", text);
    log_line(user, level, text);
}

/* The context of the fixture becomes one with a store; `allocator` may be NULL. */
static void use_store(const struct heed_allocator *allocator)
{
    struct heed_context_desc desc = {
        .struct_size = sizeof desc, .log = keep_log, .log_level = HEED_LOG_WARN, .cache = store_cache()};
    if (allocator)
        desc.allocator = *allocator;
    heed_context_destroy(&context);
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
}

static void start(void)
{
    store_reset();
    warning[0] = 0;
    vk_wrap_reset(loader_entry);
    vk_wrap.cache_bytes = 100;
    vk_wrap.cache_fill = 7;
    use_store(NULL);
}

static heed_device *open_device(void)
{
    heed_device *device;
    ck_assert_msg(heed_vk_create(context, NULL, 0, vk_wrap_get_instance_proc_addr, NULL, &device) == HEED_OK, "%s",
                  last_line);
    return device;
}

/* One blob from an app's run. */
static void fill_store(void)
{
    start();
    heed_device *device = open_device();
    heed_device_destroy(&device);
    ck_assert_uint_eq(store.puts, 1);
    ck_assert_uint_eq(store.bytes, HEED_CACHE_HEADER + HEED_CACHE_DRIVER_HEADER + 100);
}

START_TEST(kept_between_runs)
{
    start();
    heed_device *device = open_device();
    ck_assert_uint_eq(store.gets, 1);
    ck_assert_uint_eq(vk_wrap.cache_given, 0);
    ck_assert_uint_eq(store.puts, 0);
    heed_device_destroy(&device);
    ck_assert_uint_eq(store.puts, 1);

    device = open_device();
    ck_assert_uint_eq(store.gets, 3);
    ck_assert_uint_eq(vk_wrap.cache_given, HEED_CACHE_DRIVER_HEADER + 100);
    heed_device_destroy(&device);
    ck_assert_uint_eq(store.puts, 1); /* nothing new */

    device = open_device();
    vk_wrap.cache_fill = 8;
    vk_wrap.cache_grows = true;
    ck_assert_int_eq(heed_device_save_cache(device), HEED_OK);
    ck_assert_uint_eq(store.puts, 2);
    ck_assert_uint_eq(store.bytes, HEED_CACHE_HEADER + HEED_CACHE_DRIVER_HEADER + 101);
    ck_assert_int_eq(heed_device_save_cache(device), HEED_OK);
    heed_device_destroy(&device);
    ck_assert_uint_eq(store.puts, 2);
    ck_assert_str_eq(warning, "");
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

START_TEST(nothing_to_keep)
{
    start();
    vk_wrap.cache_bytes = 0; /* software drivers give the header alone */
    heed_device *device = open_device();
    size_t bytes = 0;
    struct heed_vk_device *vk = (struct heed_vk_device *)device;
    ck_assert_int_eq(vk->vk.GetPipelineCacheData(vk->device, vk->pipeline_cache, &bytes, NULL), VK_SUCCESS);
    heed_device_destroy(&device);
    ck_assert_uint_eq(store.puts, bytes > HEED_CACHE_DRIVER_HEADER);

    const struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = HEED_BACKEND_REFERENCE};
    ck_assert_int_eq(heed_device_create(context, &desc, &device), HEED_OK);
    ck_assert_int_eq(heed_device_save_cache(device), HEED_OK);
    heed_device_destroy(&device);
    ck_assert_int_eq(heed_device_save_cache(NULL), HEED_ERR_ARGUMENT);
    const struct heed_context_desc half = {.struct_size = sizeof half, .cache = {.put = store_cache().put}};
    heed_context *none;
    ck_assert_int_eq(heed_context_create(&half, &none), HEED_ERR_ARGUMENT);
}
END_TEST

/* ---- blobs that are not what they say */

static void expect_unused(const char *part)
{
    warning[0] = 0;
    heed_device *device = open_device();
    ck_assert_msg(vk_wrap.cache_given == 0, "the driver was given %zu bytes", vk_wrap.cache_given);
    ck_assert_msg(strstr(warning, part), "\"%s\" is not in: %s", part, warning);
    heed_device_destroy(&device);
    ck_assert_int_eq(vk_wrap.live, 0);
}

START_TEST(damaged_blobs)
{
    fill_store();
    store.data[store.bytes - 1] ^= 1;
    expect_unused("hash 0x");
    fill_store();
    store.bytes--;
    expect_unused("length 0x84 is not 0x83");
    fill_store();
    store.bytes = 3;
    expect_unused("3 bytes are fewer than its headers, 96");
    fill_store();
    store.data[0] = 'H';
    expect_unused("does not begin with");
    fill_store();
    store.data[40] ^= 0x80;
    expect_unused("pipelineCacheUUID");
    fill_store();
    store.lie = 4 * store.bytes;
    expect_unused("had 784 bytes and now has 196");
    fill_store();
    store.lie = SIZE_MAX;
    expect_unused("more than 1 GiB");
    fill_store();
    vk_wrap.cache_refuses_data = true;
    warning[0] = 0;
    heed_device *device = open_device();
    ck_assert_ptr_nonnull(strstr(warning, "the driver refuses"));
    ck_assert_uint_eq(vk_wrap.cache_given, 0);
    heed_device_destroy(&device);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

enum { BLOB = HEED_CACHE_HEADER + HEED_CACHE_DRIVER_HEADER + 50 };

static const struct heed_cache_identity identity = {
    .vendor_id = 0x10de, .device_id = 0x2684, .driver_id = 4, .driver_version = 0x8b8240c0, .uuid = {1, 2, 3, 4}};

/* What a driver of `of` gives, sealed for a device of `identity`. */
static void make_blob(const struct heed_cache_identity *of, uint8_t blob[BLOB])
{
    for (int i = 0; i < BLOB; i++)
        blob[i] = (uint8_t)(i * 37);
    const uint32_t words[] = {HEED_CACHE_DRIVER_HEADER, 1, of->vendor_id, of->device_id};
    memcpy(blob + HEED_CACHE_HEADER, words, sizeof words);
    memcpy(blob + HEED_CACHE_HEADER + 16, of->uuid, 16);
    heed_cache_seal(&identity, blob, BLOB);
}

START_TEST(headers)
{
    uint8_t blob[BLOB + 8];
    char why[160];
    make_blob(&identity, blob);
    ck_assert(heed_cache_check(&identity, blob, BLOB, why, sizeof why));
    for (size_t bytes = 0; bytes < BLOB; bytes++)
        ck_assert_msg(!heed_cache_check(&identity, blob, bytes, why, sizeof why), "%zu bytes are taken", bytes);
    memset(blob + BLOB, 0, 8);
    ck_assert(!heed_cache_check(&identity, blob, BLOB + 8, why, sizeof why));
    for (int bit = 0; bit < 8 * BLOB; bit++) {
        blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(!heed_cache_check(&identity, blob, BLOB, why, sizeof why), "bit %d of byte %d", bit % 8, bit / 8);
        blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* Sealed well, for another device; and a driver's data of another device, sealed for this one. */
    struct heed_cache_identity others[5] = {identity, identity, identity, identity, identity};
    others[0].vendor_id++;
    others[1].device_id++;
    others[2].uuid[15]++;
    others[3].driver_id++;
    others[4].driver_version++;
    for (int i = 0; i < 5; i++) {
        ck_assert(!heed_cache_check(&others[i], blob, BLOB, why, sizeof why));
        uint8_t foreign[BLOB];
        make_blob(&others[i], foreign);
        ck_assert(heed_cache_check(&identity, foreign, BLOB, why, sizeof why) == (i > 2));
    }
    /* Lengths and versions of the driver's own header. */
    static const struct {
        int word;
        uint32_t value;
    } lies[] = {{0, 0}, {0, 31}, {0, 83}, {0, UINT32_MAX}, {1, 0}, {1, 2}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        make_blob(&identity, blob);
        memcpy(blob + HEED_CACHE_HEADER + 4 * lies[i].word, &lies[i].value, 4);
        heed_cache_seal(&identity, blob, BLOB);
        ck_assert_msg(!heed_cache_check(&identity, blob, BLOB, why, sizeof why), "word %d, %u", lies[i].word,
                      lies[i].value);
        ck_assert_ptr_nonnull(strstr(why, "driver's header"));
    }
}
END_TEST

START_TEST(keys)
{
    char key[HEED_CACHE_KEY], other[HEED_CACHE_KEY];
    const struct heed_cache_identity most = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, {0}};
    heed_cache_key(&most, key);
    ck_assert_str_eq(key, "vulkan-ffffffff-ffffffff-ffffffff");
    heed_cache_key(&identity, key);
    ck_assert_uint_eq(strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(key));
    struct heed_cache_identity next = identity;
    next.driver_version++;
    next.uuid[3]++;
    heed_cache_key(&next, other);
    ck_assert_str_eq(key, other); /* the old driver's blob is replaced */
    next.device_id++;
    heed_cache_key(&next, other);
    ck_assert_str_ne(key, other);
}
END_TEST

/* ---- failures */

/* The blob is worth less than the device: without memory for it the device is made all the same. */
START_TEST(every_host_allocation_fails_once)
{
    for (uint32_t n = 1, reached = n; reached + 1 >= n; n++) {
        host_fail_at = 0;
        fill_store();
        use_store(&host_allocator);
        vk_wrap.cache_fill++;
        host_calls = 0;
        host_fail_at = n;
        heed_device *device;
        enum heed_status status = heed_vk_create(context, NULL, 0, vk_wrap_get_instance_proc_addr, NULL, &device);
        ck_assert(status == HEED_OK || (status == HEED_ERR_HOST_MEMORY && host_calls >= n));
        if (status == HEED_OK) {
            status = heed_device_save_cache(device);
            ck_assert(status == HEED_OK || status == HEED_ERR_HOST_MEMORY);
        }
        reached = host_calls;
        host_fail_at = 0;
        const uint32_t puts = store.puts;
        if (device && status != HEED_OK) {
            ck_assert_int_eq(heed_device_save_cache(device), HEED_OK);
            ck_assert_uint_eq(store.puts, puts + 1);
        }
        heed_device_destroy(&device);
        heed_context_destroy(&context);
        ck_assert_int_eq(host_live, 0);
        ck_assert_int_eq(vk_wrap.live, 0);
        ck_assert_int_eq(heed_context_create(NULL, &context), HEED_OK);
    }
}
END_TEST

START_TEST(save_fails)
{
    start();
    heed_device *device = open_device();
    for (uint32_t n = 1; n <= 2; n++) {
        vk_wrap.fail_at = vk_wrap.calls + n;
        vk_wrap.fail_with = VK_ERROR_OUT_OF_HOST_MEMORY;
        ck_assert_int_eq(heed_device_save_cache(device), HEED_ERR_HOST_MEMORY);
        ck_assert_uint_eq(store.puts, 0);
    }
    vk_wrap.fail_at = vk_wrap.calls + 1;
    vk_wrap.fail_with = VK_ERROR_DEVICE_LOST;
    ck_assert_int_eq(heed_device_save_cache(device), HEED_ERR_DEVICE_LOST);
    ck_assert_int_eq(heed_device_save_cache(device), HEED_ERR_DEVICE_LOST);
    heed_device_destroy(&device); /* asks a lost device for nothing */
    ck_assert_uint_eq(store.puts, 0);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* ---- the app's own device */

START_TEST(imported_devices)
{
    start();
    struct app app;
    app_open(&app, loader_entry, context);
    const VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    struct heed_vk_import_desc desc = app_desc(&app);
    ck_assert_int_eq(app.vk.CreatePipelineCache(app.device, &info, NULL, &desc.pipeline_cache), VK_SUCCESS);
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    ck_assert(vk_wrap.cache_used == desc.pipeline_cache);
    plan_clear(&plan);
    ck_assert_int_eq(heed_device_save_cache(app.heed), HEED_OK);
    heed_device_destroy(&app.heed);
    ck_assert_uint_eq(store.gets + store.puts, 0); /* the app keeps its cache itself */
    app.vk.DestroyPipelineCache(app.device, desc.pipeline_cache, NULL);

    desc.pipeline_cache = VK_NULL_HANDLE;
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert_uint_eq(store.gets, 1);
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    ck_assert(vk_wrap.cache_used != VK_NULL_HANDLE);
    plan_clear(&plan);
    ck_assert_int_eq(heed_device_save_cache(app.heed), HEED_OK);
    ck_assert_uint_eq(store.puts, 1);
    ck_assert_uint_eq(vk_wrap.device_memory + vk_wrap.submits + vk_wrap.waits, 0);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* ---- pipelines of several plans */

START_TEST(plans_share_pipelines)
{
    start();
    heed_device *device = open_device();
    heed_plan first, second;
    plan_init(&first, device);
    plan_init(&second, device);
    ck_assert_int_eq(heed_vk_plan_compile(&first), HEED_OK);
    ck_assert_uint_eq(first.pipelines, 2);
    ck_assert_uint_eq(first.pipelines_shared, 0);
    ck_assert_uint_eq(first.pipelines_cached, 0);
    const uint32_t created = vk_wrap.created;
    ck_assert_int_eq(heed_vk_plan_compile(&second), HEED_OK);
    ck_assert_uint_eq(vk_wrap.created, created);
    ck_assert_uint_eq(second.pipelines_shared, 2);
    plan_clear(&first);

    /* The second's are still there. */
    heed_buffer *q, *o;
    ck_assert_int_eq(heed_buffer_create(device, 4 * WORDS, &q), HEED_OK);
    ck_assert_int_eq(heed_buffer_create(device, 4 * WORDS, &o), HEED_OK);
    uint32_t words[WORDS], back[WORDS];
    fill(words, WORDS, 3);
    ck_assert_int_eq(heed_buffer_write(q, 0, words, sizeof words), HEED_OK);
    const struct heed_arg args[] = {{"q", q, 0}, {"o", o, 0}};
    ck_assert_int_eq(heed_run(&second, args, 2, NULL), HEED_OK);
    ck_assert_int_eq(heed_buffer_read(o, 0, back, sizeof back), HEED_OK);
    ck_assert_mem_eq(words, back, sizeof back);
    heed_buffer_destroy(&q);
    heed_buffer_destroy(&o);
    plan_clear(&second);

    /* Nobody's, and there for the next one. */
    plan_init(&first, device);
    ck_assert_int_eq(heed_vk_plan_compile(&first), HEED_OK);
    ck_assert_uint_eq(first.pipelines_shared, 2);
    plan_clear(&first);
    heed_device_destroy(&device);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

START_TEST(idle_pipelines_are_few)
{
    start();
    heed_device *device = open_device();
    const int live = vk_wrap.live;
    for (uint32_t group = 1; group <= 2 * HEED_IDLE_PIPELINES; group++) {
        heed_plan plan;
        plan_init(&plan, device);
        for (uint32_t i = 0; i < plan.step_count; i++)
            plan.steps[i].spec[0] = group;
        ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
        ck_assert_uint_eq(plan.pipelines, 1);
        ck_assert_uint_eq(plan.pipelines_shared, 0);
        plan_clear(&plan);
        ck_assert_int_le(vk_wrap.live - live, HEED_IDLE_PIPELINES);
    }
    /* The last ones are those that are kept. */
    heed_plan plan;
    plan_init(&plan, device);
    for (uint32_t i = 0; i < plan.step_count; i++)
        plan.steps[i].spec[0] = 2 * HEED_IDLE_PIPELINES - i % 2;
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    ck_assert_uint_eq(plan.pipelines_shared, 2);
    plan_clear(&plan);
    heed_device_destroy(&device);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

static void *compile_many(void *user)
{
    for (int i = 0; i < 20; i++) {
        heed_plan plan;
        plan_init(&plan, user);
        if (heed_vk_plan_compile(&plan) != HEED_OK)
            return user;
        plan_clear(&plan);
    }
    return NULL;
}

START_TEST(threads_share_pipelines)
{
    start();
    heed_device *device = open_device();
    const int live = vk_wrap.live;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, compile_many, device), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(vk_wrap.live - live, 2);
    heed_device_destroy(&device);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, headers);
    tcase_add_test(tcase, keys);
    tcase_add_test(tcase, kept_between_runs);
    tcase_add_test(tcase, nothing_to_keep);
    tcase_add_test(tcase, damaged_blobs);
    tcase_add_test(tcase, every_host_allocation_fails_once);
    tcase_add_test(tcase, save_fails);
    tcase_add_test(tcase, imported_devices);
    tcase_add_test(tcase, plans_share_pipelines);
    tcase_add_test(tcase, idle_pipelines_are_few);
    tcase_add_test(tcase, threads_share_pipelines);
}

int main(void)
{
    return run_cases("cache", add);
}
