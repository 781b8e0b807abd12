/* SPDX-License-Identifier: MIT
 * An app that owns a cl_context, and what its tests share: a heed_context whose last lines can be read. */
#ifndef HEED_TESTS_CL_APP_H
#define HEED_TESTS_CL_APP_H

#include <check.h>

#include "cl_wrap.h"
#include "copy_plan.h"

/* Of the test that runs. */
extern heed_context *context;
extern char last_line[512], last_warning[512], last_debug[512];
void log_line(void *user, enum heed_log_level level, const char *text);

/* heed_cl_loader_open's. */
extern void *loader;

struct app {
    struct heed_cl_functions cl; /* the driver's own */
    cl_device_id device;
    cl_context context;
    cl_command_queue in_order, out_of_order;
    heed_device *heed; /* the context, imported with wrapped functions */
};
void app_open(struct app *app);
void app_close(struct app *app);
struct heed_cl_import_desc app_desc(const struct app *app);
/* A buffer of so many words, each 0xcdcdcdcd. */
cl_mem app_buffer(struct app *app, uint32_t words);
void app_write(struct app *app, cl_mem buffer, const uint32_t *words, uint32_t count);
void app_read(struct app *app, cl_mem buffer, uint32_t *words, uint32_t count);

/* Own mode with wrapped functions. */
heed_device *open_own(void);

/* The program: its cases, without a process for each; 77 without a device. */
int run_cases(const char *name, void (*add)(TCase *tcase));

#endif
