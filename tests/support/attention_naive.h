/* SPDX-License-Identifier: MIT
 * What an attention kernel may differ from the oracle by. */
#ifndef HEED_TEST_ATTENTION_NAIVE_H
#define HEED_TEST_ATTENTION_NAIVE_H

#include "test_case.h"

/* Fills `expected` from the oracle and `bound` by FlashAttention's rule, row by row:
 *
 *     |y - y64| <= 2 max |y_naive - y64| + noise
 *
 * y_naive is a straightforward f32 evaluation of the same stored inputs, rounded to the stored type. noise is what the
 * arithmetic of any correct kernel may add, from Vulkan's precision table: exp 3 + 2|x| ULP, log 3 ULP or 2^-21,
 * division 2.5 ULP, everything else half an ULP, and one rounding to the type of the output.
 * The f32 evaluation is written on its own: where it and the oracle differ by more than noise explains, one of the two
 * is wrong, and the case fails with test->error. */
enum heed_status test_attention_expect(heed_context *context, struct test_case *test);

#endif
