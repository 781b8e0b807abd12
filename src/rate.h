/* SPDX-License-Identifier: MIT
 * How fast a device is at least: what turns heed_limits.max_dispatch_ns into an amount of work. */
#ifndef HEED_RATE_H
#define HEED_RATE_H

#include <heed/heed.h>

enum { HEED_DISPATCH_NS = 100000000 }; /* the default budget */

/* f32 operations a second: of one work group alone, and of the whole device. */
struct heed_rate {
    double group, device;
};
struct heed_rate heed_rate(const struct heed_device_info *info, bool on_matrix_units);

/* The time of a dispatch of `total` operations whose busiest work group has `group` of them. */
uint64_t heed_rate_ns(const struct heed_rate *rate, double total, double group);

#endif
