/* SPDX-License-Identifier: MIT
 * Own mode on every kind of memory, in threads and forks, and with every call failing once. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/host_memory.h"
#include "support/vk_test.h"
#include "support/vk_wrap.h"

/* A scenario that can be taken up where it failed. */
struct own {
    uint64_t step_ns; /* of each of its STEPS steps, where a submission may take 10000 */
    heed_device *device;
    heed_plan plan;
    heed_buffer *q, *o;
    heed_fence *fence;
    bool written, waited;
};

static enum heed_status own_step(struct own *own)
{
    enum heed_status status = HEED_OK;
    const struct heed_device_desc desc = {.struct_size = sizeof desc,
                                          .limits.max_dispatch_ns = own->step_ns > 0 ? 1000 : 0};
    if (!own->device)
        status = heed_vk_create(context, &desc, 0, vk_wrap_get_instance_proc_addr, NULL, &own->device);
    if (!status && !own->plan.backend) {
        if (!own->plan.device)
            plan_init(&own->plan, own->device);
        for (uint32_t i = 0; i < own->plan.step_count; i++)
            own->plan.steps[i].ns = own->step_ns;
        status = heed_vk_plan_compile(&own->plan);
    }
    if (!status && !own->q)
        status = heed_buffer_create(own->device, 4 * (WORDS + 2), &own->q);
    if (!status && !own->o)
        status = heed_buffer_create(own->device, 4 * (WORDS + 7), &own->o);
    uint32_t words[WORDS];
    fill(words, WORDS, 5);
    if (!status && !own->written) {
        status = heed_buffer_write(own->q, 4, words, sizeof words);
        own->written = !status;
    }
    const struct heed_arg args[] = {{"q", own->q, 4}, {"o", own->o, 12}};
    if (!status && !own->fence)
        status = heed_run(&own->plan, args, 2, &own->fence);
    if (!status && !own->waited) {
        status = heed_fence_wait(own->fence, UINT64_MAX);
        own->waited = !status;
    }
    uint64_t ns;
    if (!status && own->device->info.has_timestamps)
        status = heed_fence_get_device_ns(own->fence, &ns);
    uint32_t seen[WORDS + 7];
    memset(seen, 0x5a, sizeof seen);
    if (!status)
        status = heed_buffer_read(own->o, 0, seen, sizeof seen);
    for (uint32_t i = 0; !status && i < WORDS + 7; i++) {
        const bool inside = i >= 3 && i < 3 + WORDS;
        ck_assert_msg(seen[i] == (inside ? words[i - 3] : 0), "word %u is 0x%08x", i, seen[i]);
    }
    return status;
}

static void own_close(struct own *own)
{
    heed_fence_destroy(&own->fence);
    heed_buffer_destroy(&own->q);
    heed_buffer_destroy(&own->o);
    plan_clear(&own->plan);
    heed_device_destroy(&own->device);
}

START_TEST(own_mode_runs)
{
    vk_wrap.memory = (enum vk_wrap_memory)_i;
    struct own own = {.device = NULL};
    ck_assert_int_eq(own_step(&own), HEED_OK);
    ck_assert_uint_eq(vk_wrap.bad_ranges, 0);
    uint64_t ns = 0;
    if (own.device->info.has_timestamps) {
        ck_assert_int_eq(heed_fence_get_device_ns(own.fence, &ns), HEED_OK);
        ck_assert_uint_lt(ns, UINT64_C(60) * 1000000000);
    }
    /* Odd places and lengths, next to bytes that stay. */
    char text[] = "a wide sea", back[sizeof text + 2];
    ck_assert_int_eq(heed_buffer_write(own.o, 4001, text, sizeof text), HEED_OK);
    ck_assert_int_eq(heed_buffer_read(own.o, 4000, back, sizeof back), HEED_OK);
    ck_assert_mem_eq(back + 1, text, sizeof text);
    own_close(&own);
    ck_assert_int_eq(vk_wrap.live, 0);
    ck_assert_uint_eq(vk_wrap.bad_ranges, 0);
}
END_TEST

/* What would keep the GPU busy for too long is submitted in several pieces. */
START_TEST(many_submissions)
{
    static const struct {
        uint64_t step_ns;
        uint32_t submits;
    } cases[] = {{0, 1}, {1000, 1}, {1001, 2}, {4000, STEPS / 2}, {10000, STEPS}, {UINT64_MAX, STEPS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct own own = {.step_ns = cases[i].step_ns};
        ck_assert_int_eq(own_step(&own), HEED_OK);
        const uint32_t before = vk_wrap.submits;
        const struct heed_arg args[] = {{"q", own.q, 4}, {"o", own.o, 12}};
        ck_assert_int_eq(heed_run(&own.plan, args, 2, NULL), HEED_OK);
        ck_assert_uint_eq(vk_wrap.submits - before, cases[i].submits);
        own_close(&own);
    }
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* Timestamps cost: a run that nobody can ask for its time makes none. */
START_TEST(no_timestamps_without_a_fence)
{
    struct own own = {.device = NULL};
    ck_assert_int_eq(own_step(&own), HEED_OK);
    const struct heed_arg args[] = {{"q", own.q, 4}, {"o", own.o, 12}};
    uint32_t before = vk_wrap.created;
    ck_assert_int_eq(heed_run(&own.plan, args, 2, NULL), HEED_OK);
    const uint32_t without = vk_wrap.created - before;
    heed_fence *fence;
    before = vk_wrap.created;
    ck_assert_int_eq(heed_run(&own.plan, args, 2, &fence), HEED_OK);
    const uint32_t with = vk_wrap.created - before;
    heed_fence_destroy(&fence);
    ck_assert_uint_eq(with - without, own.device->info.has_timestamps ? 1 : 0);
    own_close(&own);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* More than the staging buffer takes at once. */
START_TEST(large_transfers)
{
    vk_wrap.memory = (enum vk_wrap_memory)_i;
    heed_device *device;
    ck_assert_int_eq(heed_vk_create(context, NULL, 0, vk_wrap_get_instance_proc_addr, NULL, &device), HEED_OK);
    const size_t words = (20 << 20) / 4 + 1;
    uint32_t *there = malloc(4 * words), *back = malloc(4 * words);
    ck_assert(there && back);
    fill(there, (uint32_t)words, 1);
    heed_buffer *buffer;
    ck_assert_int_eq(heed_buffer_create(device, 4 * words + 5, &buffer), HEED_OK);
    ck_assert_int_eq(heed_buffer_write(buffer, 5, there, 4 * words), HEED_OK);
    ck_assert_int_eq(heed_buffer_read(buffer, 5, back, 4 * words), HEED_OK);
    ck_assert(memcmp(there, back, 4 * words) == 0);
    ck_assert_int_eq(heed_buffer_read(buffer, 0, back, 8), HEED_OK);
    ck_assert(memcmp(back, "\0\0\0\0\0", 5) == 0);
    heed_buffer_destroy(&buffer);
    /* More than there is: an error, and the device still works. */
    ck_assert_int_eq(heed_buffer_create(device, UINT64_C(1) << 60, &buffer), HEED_ERR_DEVICE_MEMORY);
    ck_assert_int_eq(heed_buffer_create(device, 4, &buffer), HEED_OK);
    heed_buffer_destroy(&buffer);
    free(there);
    free(back);
    heed_device_destroy(&device);
    ck_assert_int_eq(vk_wrap.live, 0);
    ck_assert_uint_eq(vk_wrap.bad_ranges, 0);
}
END_TEST

static const struct fault {
    VkResult result;
    enum heed_status status;
    enum vk_wrap_memory memory;
    uint64_t step_ns;
} faults[] = {
    {VK_ERROR_OUT_OF_HOST_MEMORY, HEED_ERR_HOST_MEMORY, VK_WRAP_MEMORY_AS_IS, 4000},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, HEED_ERR_DEVICE_MEMORY, VK_WRAP_MEMORY_STAGED, 0},
    {VK_ERROR_DEVICE_LOST, HEED_ERR_DEVICE_LOST, VK_WRAP_MEMORY_AS_IS, 4000},
    {VK_ERROR_DEVICE_LOST, HEED_ERR_DEVICE_LOST, VK_WRAP_MEMORY_STAGED, 0},
    {VK_ERROR_UNKNOWN, HEED_ERR_BACKEND, VK_WRAP_MEMORY_NOT_COHERENT, 0},
};

/* Every call fails once. What was made is released, and what was not lost works on. */
START_TEST(every_call_fails_once)
{
    const struct fault *fault = &faults[_i];
    uint32_t tried = 0;
    for (uint32_t n = 1;; n++) {
        vk_wrap_reset(loader_entry);
        vk_wrap.memory = fault->memory;
        vk_wrap.fail_with = fault->result;
        vk_wrap.fail_at = n;
        last_line[0] = 0;
        struct own own = {.step_ns = fault->step_ns};
        enum heed_status status = own_step(&own);
        const char *failed = vk_wrap.failed;
        if (failed) {
            ck_assert_msg(status == fault->status, "%s (call %u) gave %s", failed, n, heed_status_name(status));
            ck_assert_msg(strstr(last_line, failed), "%s (call %u) was logged as: %s", failed, n, last_line);
            tried++;
        } else {
            ck_assert_int_eq(status, HEED_OK);
        }
        if (failed && fault->status == HEED_ERR_DEVICE_LOST && own.device) {
            heed_buffer *buffer;
            ck_assert_int_eq(heed_buffer_create(own.device, 4, &buffer), HEED_ERR_DEVICE_LOST);
            ck_assert_int_eq(own_step(&own), HEED_ERR_DEVICE_LOST);
        } else if (failed) {
            status = own_step(&own);
            ck_assert_msg(status == HEED_OK, "after %s (call %u): %s: %s", failed, n, heed_status_name(status),
                          last_line);
        }
        own_close(&own);
        ck_assert_msg(vk_wrap.live == 0, "%s (call %u) leaves %d objects", failed ? failed : vk_wrap.failed, n,
                      (int)vk_wrap.live);
        if (!vk_wrap.failed)
            break;
    }
    ck_assert_uint_gt(tried, 50);
}
END_TEST

START_TEST(every_host_allocation_fails_once)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line, .allocator = host_allocator};
    heed_context *usual = context;
    for (uint32_t n = 1;; n++) {
        vk_wrap_reset(loader_entry);
        host_fail_at = 0;
        ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
        struct own own = {.device = NULL};
        /* The plan's own steps are the test's. */
        ck_assert_int_eq(heed_vk_create(context, NULL, 0, vk_wrap_get_instance_proc_addr, NULL, &own.device), HEED_OK);
        plan_init(&own.plan, own.device);
        if (n % 2 == 0) {
            plan_clear(&own.plan);
            heed_device_destroy(&own.device);
        }
        host_calls = 0;
        host_fail_at = (n + 1) / 2;
        if (!own.device) { /* even n: making the device */
            enum heed_status status =
                heed_vk_create(context, NULL, 0, vk_wrap_get_instance_proc_addr, NULL, &own.device);
            ck_assert_int_eq(status, host_calls >= host_fail_at ? HEED_ERR_HOST_MEMORY : HEED_OK);
            host_fail_at = 0;
        }
        enum heed_status status = own_step(&own);
        const bool reached = host_fail_at > 0 && host_calls >= host_fail_at;
        ck_assert_int_eq(status, reached ? HEED_ERR_HOST_MEMORY : HEED_OK);
        ck_assert_int_eq(own_step(&own), HEED_OK);
        own_close(&own);
        ck_assert_int_eq(vk_wrap.live, 0);
        heed_context_destroy(&context);
        ck_assert_int_eq(host_live, 0);
        if (n % 2 == 1 && !reached)
            break;
    }
    context = usual;
}
END_TEST

START_TEST(no_pipeline)
{
    vk_wrap.null_pipelines = true;
    struct own own = {.device = NULL};
    ck_assert_int_eq(own_step(&own), HEED_ERR_BACKEND);
    ck_assert_str_eq(last_line, "vulkan: the driver made no pipeline of kernel pack");
    vk_wrap.null_pipelines = false;
    ck_assert_int_eq(own_step(&own), HEED_OK);
    own_close(&own);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

static void *run_many(void *user)
{
    struct own *own = user;
    for (int i = 0; i < 20; i++) {
        const struct heed_arg args[] = {{"q", own->q, 4}, {"o", own->o, 12}};
        if (heed_run(&own->plan, args, 2, NULL) != HEED_OK)
            return user;
    }
    return NULL;
}

START_TEST(threads_run)
{
    struct own own = {.device = NULL};
    ck_assert_int_eq(own_step(&own), HEED_OK);
    /* The same plan and its one scratch, into outputs of their own. */
    struct own other = own;
    other.fence = NULL;
    ck_assert_int_eq(heed_buffer_create(own.device, 4 * (WORDS + 7), &other.o), HEED_OK);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_many, &other), 0);
    ck_assert_ptr_null(run_many(&own));
    void *failed;
    pthread_join(thread, &failed);
    ck_assert_ptr_null(failed);
    uint32_t a[WORDS + 7], b[WORDS + 7];
    ck_assert_int_eq(heed_buffer_read(own.o, 0, a, sizeof a), HEED_OK);
    ck_assert_int_eq(heed_buffer_read(other.o, 0, b, sizeof b), HEED_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    heed_buffer_destroy(&other.o);
    own_close(&own);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* A device must not be used in a child; there it can still be destroyed, without a word to the driver. */
START_TEST(forked_child)
{
    struct own own = {.device = NULL};
    ck_assert_int_eq(own_step(&own), HEED_OK);
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(20); /* a call that reached the driver would hang */
        const struct heed_arg args[] = {{"q", own.q, 4}, {"o", own.o, 12}};
        heed_fence *fence;
        heed_buffer *buffer;
        uint32_t word;
        const int live = vk_wrap.live;
        bool ok = heed_run(&own.plan, args, 2, &fence) == HEED_ERR_BACKEND;
        ok = ok && heed_buffer_create(own.device, 4, &buffer) == HEED_ERR_BACKEND;
        ok = ok && heed_buffer_read(own.q, 0, &word, 4) == HEED_ERR_BACKEND;
        ok = ok && heed_fence_wait(own.fence, 0) == HEED_ERR_BACKEND;
        own_close(&own);
        _exit(ok && vk_wrap.live == live ? 0 : 1);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result));
    ck_assert_int_eq(WEXITSTATUS(result), 0);
    ck_assert_int_eq(own_step(&own), HEED_OK);
    own_close(&own);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* A machine without a driver has no Vulkan device, and that is no error. */
START_TEST(no_driver)
{
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        setenv("VK_ICD_FILENAMES", "/dev/null", 1);
        setenv("VK_DRIVER_FILES", "/dev/null", 1);
        uint32_t count = 7;
        heed_device *device;
        bool ok = heed_device_list(context, HEED_BACKEND_VULKAN, NULL, &count) == HEED_OK && count == 0;
        const struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = HEED_BACKEND_VULKAN};
        ok = ok && heed_device_create(context, &desc, &device) == HEED_ERR_NO_DEVICE && !device;
        ok = ok && heed_vulkan_create(context, &desc, 0, &device) == HEED_ERR_NO_DEVICE && !device;
        _exit(ok ? 0 : 1);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result));
    ck_assert_int_eq(WEXITSTATUS(result), 0);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, own_mode_runs, 0, 3);
    tcase_add_loop_test(tcase, large_transfers, 0, 3);
    tcase_add_test(tcase, many_submissions);
    tcase_add_test(tcase, no_timestamps_without_a_fence);
    tcase_add_test(tcase, threads_run);
    tcase_add_test(tcase, forked_child);
    tcase_add_test(tcase, no_driver);
    tcase_add_test(tcase, no_pipeline);
    tcase_add_loop_test(tcase, every_call_fails_once, 0, (int)(sizeof faults / sizeof *faults));
    tcase_add_test(tcase, every_host_allocation_fails_once);
}

int main(void)
{
    return run_cases("vulkan_own", add);
}
