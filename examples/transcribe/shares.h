/* SPDX-License-Identifier: MIT
 * Which ops the time went to. */
#ifndef SHARES_H
#define SHARES_H

#include <stdbool.h>

#include "model.h"

/* Prints each op's share of the time of so many windows and steps, the largest first: one more of each is measured op by
 * op, with the values of the last. A line that says so where that is not done. False: the log says why. */
bool shares_print(struct model *model, unsigned windows, unsigned steps);

#endif
