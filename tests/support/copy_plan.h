/* SPDX-License-Identifier: MIT
 * A plan that needs no op, for tests of backends: o = q, of i32 [WORDS], by way of the scratch, in parts of unequal
 * length, with two pipelines and one barrier. */
#ifndef HEED_TESTS_COPY_PLAN_H
#define HEED_TESTS_COPY_PLAN_H

#include "plan.h"

enum { WORDS = 1009, PARTS = 5, STEPS = 2 * PARTS };
void plan_init(heed_plan *plan, heed_device *device);
/* Released and emptied; nothing when it was not initialised. */
void plan_clear(heed_plan *plan);
uint32_t part_begin(uint32_t part);

void fill(uint32_t *words, uint32_t count, uint32_t seed);

#endif
