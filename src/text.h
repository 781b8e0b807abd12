/* SPDX-License-Identifier: MIT
 * Text that grows in the caller's memory and counts on when that is full. */
#ifndef HEED_TEXT_H
#define HEED_TEXT_H

#include "plan.h"

struct heed_text {
    char *text;
    size_t capacity, length;
};
void heed_text_append(struct heed_text *t, const char *format, ...) HEED_PRINTF(2, 3);

/* The dispatches first .. end - 1 of a plan: explain.c. */
void heed_explain_steps(struct heed_text *t, const heed_plan *plan, uint32_t first, uint32_t end);

#endif
