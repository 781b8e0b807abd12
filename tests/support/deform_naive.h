/* SPDX-License-Identifier: MIT
 * A plain f32 evaluation of deformable attention, beside which kernels and the oracle must lie. */
#ifndef HEED_TEST_DEFORM_NAIVE_H
#define HEED_TEST_DEFORM_NAIVE_H

#include "test_case.h"

/* Sets expected (from the oracle) and bound of "o". */
enum heed_status test_deform_expect(heed_context *context, struct test_case *test);

#endif
