/* SPDX-License-Identifier: MIT
 * A test case on a device: all arguments in one buffer, every byte that is nobody's a canary. */
#ifndef HEED_TEST_RUN_CASE_H
#define HEED_TEST_RUN_CASE_H

#include "test_case.h"

struct test_run {
    heed_buffer *buffer;
    uint64_t bytes, offset[HEED_ARG_COUNT];
    unsigned char *before, *after; /* the whole buffer */
    bool weights16;                /* bound16 is what counts */
    double worst;                  /* the largest error of test_run_check, as a share of its bound */
    char error[512];
};

/* False with run->error. Always test_run_free. Arguments begin at odd multiples of the problem's offset_alignment. */
bool test_run_init(struct test_run *run, heed_device *device, const struct test_case *test, uint32_t alignment);
/* Uploads (canaries included), runs, reads everything back into `after`. */
bool test_run_once(struct test_run *run, const struct test_case *test, heed_plan *plan);
/* Expected values within their bounds, everything else untouched. */
bool test_run_check(struct test_run *run, const struct test_case *test);
void test_run_free(struct test_run *run);

#endif
