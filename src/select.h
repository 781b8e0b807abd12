/* SPDX-License-Identifier: MIT
 * The steps of making a plan, for plan.c and explain.c. */
#ifndef HEED_SELECT_H
#define HEED_SELECT_H

#include "plan.h"

const char *heed_op_name(enum heed_op op);
const struct heed_candidate *heed_plan_candidates(const heed_plan *plan, uint32_t *count);

/* Checks the descriptor into plan->problem. The plan holds nothing to free yet. */
enum heed_status heed_plan_init(heed_plan *plan, heed_device *device, enum heed_op op, const void *desc);
/* Chooses (name NULL: the first that accepts) and lowers. */
enum heed_status heed_plan_select(heed_plan *plan, const char *name);
/* The same, and compiles: where the driver refuses a kernel of no name, the next of the list. */
enum heed_status heed_plan_make(heed_plan *plan, const char *name);
/* Where a step may take longer than max_dispatch_ns. */
void heed_plan_warn_of_long_dispatch(const heed_plan *plan);
/* Frees what heed_plan_select made. */
void heed_plan_clear(heed_plan *plan);

#endif
