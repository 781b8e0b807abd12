/* SPDX-License-Identifier: MIT
 * What the tests of src/vulkan share: a context whose last error can be read, and their main function. */
#ifndef HEED_TESTS_VK_TEST_H
#define HEED_TESTS_VK_TEST_H

#include <check.h>

#include "copy_plan.h"
#include "vulkan/vk.h"

/* The loader's, unwrapped. */
extern PFN_vkGetInstanceProcAddr loader_entry;
/* Of the test that runs; errors go to last_line. */
extern heed_context *context;
extern char last_line[512];
void log_line(void *user, enum heed_log_level level, const char *text);

/* The program: its cases, without a process for each; 77 without a device. */
int run_cases(const char *name, void (*add)(TCase *tcase));

#endif
