/* SPDX-License-Identifier: MIT
 * heed in own mode on host arrays: open a device, run a plan once, tell how long it took. */
#ifndef ASK_H
#define ASK_H

#include <heed/heed.h>

struct asker {
    heed_context *context;
    heed_device *device;
    double seconds; /* of all runs so far */
};

/* Opens the device and prints which. `device` is an index, a UUID or part of a name; NULL: the best. */
bool asker_open(struct asker *asker, enum heed_backend backend, const char *device);
void asker_close(struct asker *asker);

/* An argument of a plan, packed, as large as the plan says. */
struct tensor {
    const char *name;
    void *data;
};

/* Uploads the inputs, runs, downloads the outputs, destroys the plan, prints a line of the table. `created` is the
 * status of the heed_plan_create_ call that made the plan. */
bool ask(struct asker *asker, const char *step, const char *shape, enum heed_status created, heed_plan *plan,
         const struct tensor *tensors, uint32_t count);

#endif
