/* SPDX-License-Identifier: MIT
 * What the tests of src/vulkan share: a context whose last error can be read, and a plan that needs no op. */
#ifndef HEED_TESTS_VK_TEST_H
#define HEED_TESTS_VK_TEST_H

#include <check.h>

#include "vulkan/vk.h"

/* The loader's, unwrapped. */
extern PFN_vkGetInstanceProcAddr loader_entry;
/* Of the test that runs; errors go to last_line. */
extern heed_context *context;
extern char last_line[512];
void log_line(void *user, enum heed_log_level level, const char *text);

/* o = q, of i32 [WORDS], by way of the scratch: in parts of unequal length, with two pipelines and one barrier. */
enum { WORDS = 1009, PARTS = 5, STEPS = 2 * PARTS };
void plan_init(heed_plan *plan, heed_device *device);
/* Released and emptied; nothing when it was not initialised. */
void plan_clear(heed_plan *plan);
uint32_t part_begin(uint32_t part);

void fill(uint32_t *words, uint32_t count, uint32_t seed);

/* The program: its cases, without a process for each; 77 without a device. */
int run_cases(const char *name, void (*add)(TCase *tcase));

#endif
