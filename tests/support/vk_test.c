/* SPDX-License-Identifier: MIT
 * The context, the plan made by hand, and the main function of the tests of src/vulkan. */
#include "vk_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "select.h"
#include "vk_wrap.h"

PFN_vkGetInstanceProcAddr loader_entry;
heed_context *context;
char last_line[512];

void log_line(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    if (level == HEED_LOG_ERROR)
        snprintf(last_line, sizeof last_line, "%s", text);
}

static void setup(void)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line};
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
    last_line[0] = 0;
    vk_wrap_reset(loader_entry);
}

static void teardown(void)
{
    heed_context_destroy(&context);
}

/* ---- a plan made by hand: o = q, by way of the scratch, in parts of unequal length, with two pipelines */

uint32_t part_begin(uint32_t part)
{
    return part * part * WORDS / (PARTS * PARTS);
}

static void add_copy(heed_plan *plan, enum heed_arg_id from, enum heed_arg_id to, uint32_t part, uint32_t group)
{
    const uint32_t begin = part_begin(part), count = part_begin(part + 1) - begin;
    struct heed_step *step = heed_plan_add_step(plan);
    ck_assert_ptr_nonnull(step);
    step->kernel = HEED_KERNEL_PACK;
    step->spec_count = 1;
    step->spec[0] = group;
    step->groups[0] = step->groups[1] = step->groups[2] = 1;
    const struct heed_pack_push push = {.count = count};
    step->push_words = sizeof push / 4;
    memcpy(step->push, &push, sizeof push);
    step->binding_count = 2;
    step->bindings[HEED_PACK_SRC] = (struct heed_step_binding){from, 4, 4 * begin, 4 * count};
    step->bindings[HEED_PACK_DST] = (struct heed_step_binding){to, 4, 4 * begin, 4 * count};
}

void plan_init(heed_plan *plan, heed_device *device)
{
    *plan = (heed_plan){.device = device, .op = HEED_OP_ATTENTION, .offset_alignment = 4};
    struct heed_args *args = &plan->problem.attention.args;
    heed_args_add(args, HEED_ARG_Q, HEED_I32, false, 4 * WORDS);
    heed_args_add(args, HEED_ARG_O, HEED_I32, true, 4 * WORDS);
    plan->args = args->arg;
    plan->arg_count = HEED_ARG_COUNT;
    heed_plan_add_scratch(plan, 4 * WORDS);
    for (uint32_t i = 0; i < PARTS; i++)
        add_copy(plan, HEED_ARG_Q, HEED_ARG_SCRATCH, i, 64);
    for (uint32_t i = 0; i < PARTS; i++)
        add_copy(plan, HEED_ARG_SCRATCH, HEED_ARG_O, i, 32);
    plan->steps[PARTS].barrier = true;
}

void plan_clear(heed_plan *plan)
{
    if (!plan->device)
        return;
    heed_vk_plan_release(plan);
    heed_plan_clear(plan);
    plan->device = NULL;
}

void fill(uint32_t *words, uint32_t count, uint32_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        words[i] = (i + seed) * 2654435761u;
}

int run_cases(const char *name, void (*add)(TCase *tcase))
{
    void *loader = heed_vk_loader_open();
    loader_entry = loader ? heed_vk_loader_entry(loader) : NULL;
    uint32_t devices = 0;
    if (!loader_entry || heed_context_create(NULL, &context) != HEED_OK ||
        heed_device_list(context, HEED_BACKEND_VULKAN, NULL, &devices) != HEED_OK || devices == 0) {
        puts("skipped: no Vulkan device here");
        return 77;
    }
    heed_context_destroy(&context);

    TCase *tcase = tcase_create(name);
    Suite *suite = suite_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    add(tcase);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a device does not survive fork() */
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    heed_vk_loader_close(loader);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
