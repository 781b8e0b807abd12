/* SPDX-License-Identifier: MIT
 * An allocator that counts, and fails when it is told to. */
#ifndef HEED_TESTS_HOST_MEMORY_H
#define HEED_TESTS_HOST_MEMORY_H

#include <heed/heed.h>

extern uint32_t host_calls, host_fail_at; /* the call, counted from 1, that fails; 0: none */
extern int host_live;
extern const struct heed_allocator host_allocator;

#endif
