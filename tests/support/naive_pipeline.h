/* SPDX-License-Identifier: MIT
 * A pipeline evaluated plainly in f32, op by op: the measure of what error f32 makes by itself. */
#ifndef HEED_TEST_NAIVE_PIPELINE_H
#define HEED_TEST_NAIVE_PIPELINE_H

#include "pipeline.h"

/* `args`: the first element of every argument of the graph, in its own type. results[n] becomes f32 of all elements of
 * argument n where it is an output, the caller's to free; NULL for the others. False: an op, or a form of it, has no
 * plain evaluation here, and `why` names it. */
bool test_naive_pipeline(const struct heed_graph *graph, void *const *args, float **results, const char **why);

#endif
