/* SPDX-License-Identifier: MIT
 * The app of the tests of src/opencl, and their main function. */
#include "cl_app.h"

#include <stdio.h>
#include <stdlib.h>

heed_context *context;
char last_line[512], last_warning[512], last_debug[512];
void *loader;

void log_line(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    char *kept = level == HEED_LOG_ERROR   ? last_line
                 : level == HEED_LOG_WARN  ? last_warning
                 : level == HEED_LOG_DEBUG ? last_debug
                                           : NULL;
    if (kept)
        snprintf(kept, sizeof last_line, "%s", text);
}

static void setup(void)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line, .log_level = HEED_LOG_DEBUG};
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
    last_line[0] = last_warning[0] = last_debug[0] = 0;
    cl_wrap_reset(loader);
}

static void teardown(void)
{
    heed_context_destroy(&context);
}

void app_open(struct app *app)
{
    cl_platform_id platform;
    cl_int result;
    ck_assert_ptr_null(heed_cl_load(&app->cl, heed_cl_loader_symbol, loader, true));
    ck_assert_int_eq(app->cl.GetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    ck_assert_int_eq(app->cl.GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &app->device, NULL), CL_SUCCESS);
    app->context = app->cl.CreateContext(NULL, 1, &app->device, NULL, NULL, &result);
    ck_assert_int_eq(result, CL_SUCCESS);
    app->in_order = app->cl.CreateCommandQueue(app->context, app->device, 0, &result);
    ck_assert_int_eq(result, CL_SUCCESS);
    app->out_of_order =
        app->cl.CreateCommandQueue(app->context, app->device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &result);
    ck_assert_int_eq(result, CL_SUCCESS);
    const struct heed_cl_import_desc desc = app_desc(app);
    ck_assert_msg(heed_cl_import(context, &desc, &app->heed) == HEED_OK, "%s", last_line);
}

void app_close(struct app *app)
{
    heed_device_destroy(&app->heed);
    app->cl.ReleaseCommandQueue(app->in_order);
    app->cl.ReleaseCommandQueue(app->out_of_order);
    app->cl.ReleaseContext(app->context);
    ck_assert_int_eq(cl_wrap.live, 0);
    ck_assert_int_eq(cl_wrap.events, 0);
    /* Embed mode does none of this. */
    ck_assert_uint_eq(cl_wrap.allocations + cl_wrap.waits, 0);
}

struct heed_cl_import_desc app_desc(const struct app *app)
{
    return (struct heed_cl_import_desc){.struct_size = sizeof(struct heed_cl_import_desc),
                                        .context = app->context,
                                        .device = app->device,
                                        .get_function = cl_wrap_get_function};
}

cl_mem app_buffer(struct app *app, uint32_t words)
{
    cl_int result;
    const cl_uint pattern = 0xcdcdcdcd;
    const cl_mem buffer = app->cl.CreateBuffer(app->context, CL_MEM_READ_WRITE, 4 * words, NULL, &result);
    ck_assert_int_eq(result, CL_SUCCESS);
    ck_assert_int_eq(app->cl.EnqueueFillBuffer(app->in_order, buffer, &pattern, 4, 0, 4 * words, 0, NULL, NULL),
                     CL_SUCCESS);
    ck_assert_int_eq(app->cl.Finish(app->in_order), CL_SUCCESS);
    return buffer;
}

void app_write(struct app *app, cl_mem buffer, const uint32_t *words, uint32_t count)
{
    ck_assert_int_eq(app->cl.EnqueueWriteBuffer(app->in_order, buffer, CL_TRUE, 0, 4 * count, words, 0, NULL, NULL),
                     CL_SUCCESS);
}

void app_read(struct app *app, cl_mem buffer, uint32_t *words, uint32_t count)
{
    ck_assert_int_eq(app->cl.EnqueueReadBuffer(app->in_order, buffer, CL_TRUE, 0, 4 * count, words, 0, NULL, NULL),
                     CL_SUCCESS);
}

heed_device *open_own(void)
{
    heed_device *device;
    ck_assert_msg(heed_cl_create(context, NULL, 0, cl_wrap_get_function, NULL, &device) == HEED_OK, "%s", last_line);
    return device;
}

int run_cases(const char *name, void (*add)(TCase *tcase))
{
    loader = heed_cl_loader_open();
    uint32_t devices = 0;
    if (!loader || heed_context_create(NULL, &context) != HEED_OK ||
        heed_device_list(context, HEED_BACKEND_OPENCL, NULL, &devices) != HEED_OK || devices == 0) {
        puts("skipped: no OpenCL device here");
        return 77;
    }
    heed_context_destroy(&context);

    TCase *tcase = tcase_create(name);
    Suite *suite = suite_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    add(tcase);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a device does not survive fork() */
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    heed_cl_loader_close(loader);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
