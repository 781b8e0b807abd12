/* SPDX-License-Identifier: MIT
 * The context and the main function of the tests of src/vulkan. */
#include "vk_test.h"

#include <stdio.h>
#include <stdlib.h>

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
