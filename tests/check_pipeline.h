/* SPDX-License-Identifier: MIT
 * What the tests of pipelines share: the device, and a pipeline begun and compiled on it. */
#ifndef HEED_TESTS_CHECK_PIPELINE_H
#define HEED_TESTS_CHECK_PIPELINE_H

#include "support/op_case.h"

#include <check.h>

extern heed_context *context;
extern heed_device *device;
extern char last_line[1024]; /* the last error; begin() empties it */

static const heed_value none = {0};

heed_pipeline *begin(void);
/* Destroys the pipeline. */
heed_plan *compiled(heed_pipeline **p);
bool is_reference(void);

/* GELU of a product of normed rows of 64, and the rows: x, w and y. Of `sized`, rows are a size with that bound. */
heed_plan *sized_plan(uint32_t rows, bool sized);
/* Runs it on numbers that are always the same. y has 64 floats for each row. */
void run_sized(heed_plan *plan, float *y, uint32_t rows);

/* Adds what pipelines compute: sizes, times of ops, a block against its formula. */
void add_pipeline_runs(TCase *tcase);

#endif
