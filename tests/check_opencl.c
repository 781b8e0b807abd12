/* SPDX-License-Identifier: MIT
 * OpenCL seen from the driver's side: what heed enqueues on an app's queue, what it refuses, and what it leaves behind
 * when a call fails. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <heed/heed_pipeline.h>

#include "select.h"
#include "support/cl_app.h"

/* ---- import */

static const char *missing;

static void *get_all_but_one(void *user, const char *name)
{
    ck_assert_ptr_eq(user, &missing);
    return strcmp(name, missing) == 0 ? NULL : cl_wrap_get_function(NULL, name);
}

START_TEST(import_refuses)
{
    struct app app;
    app_open(&app);
    struct heed_cl_import_desc desc = app_desc(&app);
    heed_device *device;
    ck_assert_int_eq(heed_cl_import(context, NULL, &device), HEED_ERR_ARGUMENT);
    ck_assert_int_eq(heed_cl_import(NULL, &desc, &device), HEED_ERR_ARGUMENT);
    desc.struct_size--;
    ck_assert_int_eq(heed_cl_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_ptr_null(device);
    desc = app_desc(&app);
    desc.context = NULL;
    ck_assert_int_eq(heed_cl_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "import: context is NULL");
    desc = app_desc(&app);
    desc.device = NULL;
    ck_assert_int_eq(heed_cl_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "import: device is NULL");
    desc.device = (cl_device_id)&desc;
    ck_assert_int_eq(heed_cl_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "import: the device is none of the 1 of the context");
    desc = app_desc(&app);
    desc.get_function = get_all_but_one;
    desc.get_function_user = &missing;
    missing = "clEnqueueNDRangeKernel";
    ck_assert_int_eq(heed_cl_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "import: get_function gives no clEnqueueNDRangeKernel");
    missing = "clCreateBuffer"; /* is never called here */
    ck_assert_int_eq(heed_cl_import(context, &desc, &device), HEED_OK);
    heed_device_destroy(&device);
    app_close(&app);
}
END_TEST

START_TEST(import_is_like_own_mode)
{
    struct app app;
    app_open(&app);
    heed_device *own = open_own(), *linked;
    ck_assert_str_eq(app.heed->info.name, own->info.name);
    ck_assert_mem_eq(app.heed->info.uuid, own->info.uuid, 16);
    ck_assert_int_eq(app.heed->info.backend, HEED_BACKEND_OPENCL);
    ck_assert_uint_ge(app.heed->info.api_version, 1u << 22 | 2u << 12);
    ck_assert(!app.heed->info.has_timestamps && own->info.has_timestamps);
    ck_assert_uint_ge(own->info.limits.max_group_size, 1);
    ck_assert_uint_ge(own->info.limits.max_storage_range, 1 << 20);
    heed_device_destroy(&own);

    /* Without functions of the app's, and with limits. */
    struct heed_cl_import_desc desc = app_desc(&app);
    desc.get_function = NULL;
    desc.limits.max_group_size = 2;
    ck_assert_int_eq(heed_cl_import(context, &desc, &linked), HEED_OK);
    ck_assert_uint_eq(linked->info.limits.max_group_size, 2);
    heed_buffer *buffer;
    ck_assert_int_eq(heed_buffer_create(linked, 4, &buffer), HEED_ERR_UNSUPPORTED);
    heed_device_destroy(&linked);
    heed_device_destroy(&app.heed);
    cl_wrap.waits = 0; /* own mode's */
    app_close(&app);
}
END_TEST

/* ---- enqueue */

/* The three arguments, `lead` words into buffers with 64 spare words behind. */
struct tensors {
    uint32_t lead, words[WORDS + 128];
    struct heed_cl_arg args[3];
};

static void tensors_open(struct app *app, struct tensors *t, uint32_t lead)
{
    t->lead = lead;
    t->args[0] = (struct heed_cl_arg){"q", app_buffer(app, WORDS + 64 + lead), 4 * lead};
    t->args[1] = (struct heed_cl_arg){"o", app_buffer(app, WORDS + 64 + lead), 4 * lead};
    t->args[2] = (struct heed_cl_arg){"scratch", app_buffer(app, WORDS + 128), 256};
    fill(t->words, WORDS + 64 + lead, lead);
    app_write(app, t->args[0].buffer, t->words, WORDS + 64 + lead);
}

static void tensors_check(struct app *app, const struct tensors *t)
{
    uint32_t o[WORDS + 128];
    app_read(app, t->args[1].buffer, o, WORDS + 64 + t->lead);
    for (uint32_t i = 0; i < WORDS + 64 + t->lead; i++) {
        const bool inside = i >= t->lead && i < t->lead + WORDS;
        ck_assert_msg(o[i] == (inside ? t->words[i] : 0xcdcdcdcdu), "word %u of o is 0x%08x", i, o[i]);
    }
}

static void tensors_close(struct app *app, struct tensors *t)
{
    for (int i = 0; i < 3; i++)
        app->cl.ReleaseMemObject(t->args[i].buffer);
}

static void plan_make(heed_plan *plan, heed_device *device)
{
    plan_init(plan, device);
    ck_assert_msg(device->ops->plan_compile(plan) == HEED_OK, "%s", last_line);
    ck_assert_uint_eq(plan->pipelines, 2);
}

static cl_int state_of(const struct app *app, cl_event event)
{
    cl_int state = CL_QUEUED;
    app->cl.GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    return state;
}

static void release(struct app *app, cl_event event)
{
    app->cl.ReleaseEvent(event);
    atomic_fetch_sub(&cl_wrap.events, 1);
}

/* An event that the app completes. */
struct gate {
    cl_event event;
    cl_int(CL_API_CALL *set)(cl_event, cl_int);
};

static struct gate gate_open(const struct app *app)
{
    cl_event(CL_API_CALL * create)(cl_context, cl_int *);
    struct gate gate;
    cl_int result;
    void *object = heed_cl_loader_symbol(loader, "clCreateUserEvent");
    memcpy(&create, &object, sizeof object);
    object = heed_cl_loader_symbol(loader, "clSetUserEventStatus");
    memcpy(&gate.set, &object, sizeof object);
    gate.event = create(app->context, &result);
    ck_assert_int_eq(result, CL_SUCCESS);
    return gate;
}

START_TEST(in_order)
{
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_make(&plan, app.heed);
    static const uint32_t leads[] = {0, 1, 17, 63}; /* words: no offset here needs to be one of the device's */
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        struct tensors t;
        tensors_open(&app, &t, leads[i]);
        cl_wrap.enqueue_count = 0;
        cl_event event;
        const struct gate gate = gate_open(&app);
        ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, t.args, 3, 1, &gate.event, &event), HEED_OK);
        /* The order is the queue's: one step waits, one has an event. */
        ck_assert_uint_eq(cl_wrap.enqueue_count, STEPS);
        for (uint32_t e = 0; e < STEPS; e++) {
            ck_assert_uint_eq(cl_wrap.enqueues[e].wait_count, e == 0);
            ck_assert(cl_wrap.enqueues[e].event == (e + 1 == STEPS ? event : NULL));
        }
        ck_assert(cl_wrap.enqueues[0].waits[0] == gate.event);
        ck_assert_int_ne(state_of(&app, event), CL_COMPLETE);
        ck_assert_int_eq(gate.set(gate.event, CL_COMPLETE), CL_SUCCESS);
        ck_assert_int_eq(app.cl.WaitForEvents(1, &event), CL_SUCCESS);
        tensors_check(&app, &t);
        release(&app, event);
        app.cl.ReleaseEvent(gate.event);
        /* Again, without events. */
        ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, t.args, 3, 0, NULL, NULL), HEED_OK);
        tensors_check(&app, &t);
        tensors_close(&app, &t);
    }
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

START_TEST(out_of_order)
{
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_make(&plan, app.heed);
    struct tensors t;
    tensors_open(&app, &t, 5);
    const struct gate gate = gate_open(&app);
    cl_event event;
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.out_of_order, t.args, 3, 1, &gate.event, &event), HEED_OK);
    /* Parts, a marker over them, parts behind it, a marker over those. */
    const struct cl_wrap_enqueue *e = cl_wrap.enqueues;
    ck_assert_uint_eq(cl_wrap.enqueue_count, STEPS + 2);
    for (uint32_t i = 0; i < STEPS + 2; i++) {
        const bool marker = i % (PARTS + 1) == PARTS;
        const uint32_t first = i > PARTS ? PARTS + 1 : 0;
        ck_assert_int_eq(e[i].marker, marker);
        ck_assert_uint_eq(e[i].wait_count, marker ? PARTS : 1);
        for (uint32_t w = 0; w < e[i].wait_count; w++)
            ck_assert(e[i].waits[w] == (marker ? e[first + w].event : i > PARTS ? e[PARTS].event : gate.event));
    }
    ck_assert(event == e[STEPS + 1].event);
    ck_assert_int_ne(state_of(&app, event), CL_COMPLETE);
    ck_assert_int_eq(gate.set(gate.event, CL_COMPLETE), CL_SUCCESS);
    ck_assert_int_eq(app.cl.WaitForEvents(1, &event), CL_SUCCESS);
    tensors_check(&app, &t);
    release(&app, event);
    app.cl.ReleaseEvent(gate.event);

    /* Without an event, the next enqueue finds the first behind an event of the app's. */
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.out_of_order, t.args, 3, 0, NULL, NULL), HEED_OK);
    ck_assert_int_eq(app.cl.Finish(app.out_of_order), CL_SUCCESS);
    tensors_check(&app, &t);
    tensors_close(&app, &t);
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

START_TEST(two_queues)
{
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_make(&plan, app.heed);
    struct tensors t, next;
    tensors_open(&app, &t, 0);
    tensors_open(&app, &next, 0);
    /* The first's output is the second's input. */
    const struct heed_cl_arg chained[] = {{"q", t.args[1].buffer, 0}, next.args[1], next.args[2]};
    cl_event first, second;
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, t.args, 3, 0, NULL, &first), HEED_OK);
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.out_of_order, chained, 3, 1, &first, &second), HEED_OK);
    ck_assert_int_eq(app.cl.Flush(app.in_order), CL_SUCCESS);
    ck_assert_int_eq(app.cl.WaitForEvents(1, &second), CL_SUCCESS);
    tensors_check(&app, &next);
    release(&app, first);
    release(&app, second);
    tensors_close(&app, &t);
    tensors_close(&app, &next);
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

START_TEST(nothing_to_enqueue)
{
    struct app app;
    app_open(&app);
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.heads_q = desc.heads_kv = 1;
    desc.len_kv = desc.dim_qk = desc.dim_v = 8;
    desc.batch = 1;
    desc.scale = 1.0f;
    heed_plan *plan;
    ck_assert_msg(heed_plan_create_attention(app.heed, &desc, &plan) == HEED_OK, "%s", last_line);
    const cl_mem some = app_buffer(&app, 64);
    /* q and o have no bytes and may have no buffer. */
    const struct heed_cl_arg args[] = {{"q", NULL, 0}, {"k", some, 0}, {"v", some, 0}, {"o", NULL, 0}};
    const cl_command_queue queues[] = {app.in_order, app.out_of_order};
    for (int i = 0; i < 2; i++) {
        const struct gate gate = gate_open(&app);
        cl_event event;
        ck_assert_msg(heed_cl_enqueue(plan, queues[i], args, 4, 1, &gate.event, &event) == HEED_OK, "%s", last_line);
        ck_assert_int_ne(state_of(&app, event), CL_COMPLETE);
        gate.set(gate.event, CL_COMPLETE);
        ck_assert_int_eq(app.cl.WaitForEvents(1, &event), CL_SUCCESS);
        release(&app, event);
        app.cl.ReleaseEvent(gate.event);
        ck_assert_int_eq(heed_cl_enqueue(plan, queues[i], args, 4, 0, NULL, NULL), HEED_OK);
    }
    app.cl.ReleaseMemObject(some);
    heed_plan_destroy(&plan);
    app_close(&app);
}
END_TEST

static void refuses(const heed_plan *plan, cl_command_queue queue, const struct heed_cl_arg *args, uint32_t count,
                    const char *why)
{
    cl_event event = (cl_event)&event;
    last_line[0] = 0;
    cl_wrap.enqueue_count = 0;
    ck_assert_int_eq(heed_cl_enqueue((heed_plan *)plan, queue, args, count, 0, NULL, &event), HEED_ERR_ARGUMENT);
    ck_assert_ptr_null(event);
    ck_assert_uint_eq(cl_wrap.enqueue_count, 0);
    ck_assert_msg(strstr(last_line, why), "\"%s\" is not in: %s", why, last_line);
}

START_TEST(enqueue_refuses)
{
    struct app app, other;
    app_open(&app);
    app_open(&other);
    heed_plan plan;
    plan_make(&plan, app.heed);
    struct tensors t;
    tensors_open(&app, &t, 0);
    struct heed_cl_arg args[5];
#define RESET() memcpy(args, t.args, sizeof t.args)
    RESET();
    ck_assert_int_eq(heed_cl_enqueue(NULL, app.in_order, args, 3, 0, NULL, NULL), HEED_ERR_ARGUMENT);
    ck_assert_int_eq(heed_cl_enqueue(&plan, NULL, args, 3, 0, NULL, NULL), HEED_ERR_ARGUMENT);
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, NULL, 3, 0, NULL, NULL), HEED_ERR_ARGUMENT);
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, args, 3, 1, NULL, NULL), HEED_ERR_ARGUMENT);
    refuses(&plan, app.in_order, args, 2, "\"scratch\" is missing");
    refuses(&plan, app.in_order, args, 1000, "1000 arguments are more than the plan has");
    args[1].name = "q";
    refuses(&plan, app.in_order, args, 3, "\"q\" is given twice");
    args[1].name = "out";
    refuses(&plan, app.in_order, args, 3, "\"out\" is no argument");
    args[1].name = NULL;
    refuses(&plan, app.in_order, args, 3, "is no argument");
    RESET();
    args[0].buffer = NULL;
    refuses(&plan, app.in_order, args, 3, "\"q\" has no buffer");
    RESET();
    args[2].buffer = NULL;
    refuses(&plan, app.in_order, args, 3, "\"scratch\" has no buffer");
    RESET();
    args[0].offset = 4 * (WORDS + 64);
    refuses(&plan, app.in_order, args, 3, "\"q\" starts at the end of its buffer");
    args[0].offset += 4;
    refuses(&plan, app.in_order, args, 3, "of a buffer of");
    args[0].offset = SIZE_MAX;
    refuses(&plan, app.in_order, args, 3, "of a buffer of");
    args[0].offset = 2;
    refuses(&plan, app.in_order, args, 3, "offset 2 of \"q\" is not a multiple of 4");
    args[0].offset = 4 * 65;
    refuses(&plan, app.in_order, args, 3, "\"q\" needs 4036 bytes and its buffer has 4032");
    RESET();
    args[2].offset = 128;
    refuses(&plan, app.in_order, args, 3, "not a multiple of 256");
    RESET();
    args[1].buffer = args[0].buffer;
    refuses(&plan, app.in_order, args, 3, "\"q\" and \"o\" overlap");

    /* Sub-buffers of one buffer overlap like offsets into it. */
    cl_mem(CL_API_CALL * create_sub)(cl_mem, cl_mem_flags, cl_buffer_create_type, const void *, cl_int *);
    void *object = heed_cl_loader_symbol(loader, "clCreateSubBuffer");
    memcpy(&create_sub, &object, sizeof object);
    const cl_mem whole = app_buffer(&app, 4 * WORDS);
    cl_buffer_region halves[2] = {{0, 8192}, {4096, 8192}};
    cl_int result;
    RESET();
    for (int i = 0; i < 2; i++) {
        args[i].buffer = create_sub(whole, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &halves[i], &result);
        ck_assert_int_eq(result, CL_SUCCESS);
    }
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, args, 3, 0, NULL, NULL), HEED_OK);
    args[0].offset = 4096;
    refuses(&plan, app.in_order, args, 3, "\"q\" and \"o\" overlap");
    ck_assert_int_eq(app.cl.Finish(app.in_order), CL_SUCCESS);
    app.cl.ReleaseMemObject(args[0].buffer);
    app.cl.ReleaseMemObject(args[1].buffer);
    app.cl.ReleaseMemObject(whole);

    RESET();
    refuses(&plan, other.in_order, args, 3, "the queue is of another context");
    args[1].buffer = app_buffer(&other, WORDS);
    refuses(&plan, app.in_order, args, 3, "\"o\" is of another context");
    app.cl.ReleaseMemObject(args[1].buffer);

    heed_device *own = open_own();
    heed_plan own_plan;
    plan_make(&own_plan, own);
    RESET();
    refuses(&own_plan, app.in_order, args, 3, "was not imported");
    plan_clear(&own_plan);
    heed_device_destroy(&own);
    cl_wrap.waits = 0;

    tensors_close(&app, &t);
    plan_clear(&plan);
    heed_device_destroy(&other.heed);
    heed_device_destroy(&app.heed);
    app_close(&other);
    app_close(&app);
}
END_TEST

/* ---- threads: one plan, a queue and buffers for each */

struct worker {
    struct app *app;
    heed_plan *plan;
    struct tensors t;
    bool failed;
};

static void *work(void *user)
{
    struct worker *w = user;
    struct app *app = w->app;
    cl_int result;
    const cl_command_queue queue = app->cl.CreateCommandQueue(app->context, app->device, 0, &result);
    for (int i = 0; i < 30; i++)
        w->failed |= heed_cl_enqueue(w->plan, queue, w->t.args, 3, 0, NULL, NULL) != HEED_OK;
    w->failed |= app->cl.Finish(queue) != CL_SUCCESS;
    app->cl.ReleaseCommandQueue(queue);
    return NULL;
}

START_TEST(threads_share_a_plan)
{
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_make(&plan, app.heed);
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    static struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.app = &app, .plan = &plan};
        tensors_open(&app, &workers[i].t, 7 * i);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(!workers[i].failed);
        tensors_check(&app, &workers[i].t);
        tensors_close(&app, &workers[i].t);
    }
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

/* In own mode all of them share the plan's scratch. */
struct runner {
    heed_plan *plan;
    heed_buffer *q, *o;
    uint32_t words[WORDS];
    bool failed;
};

static void *run_many(void *user)
{
    struct runner *r = user;
    const struct heed_arg args[] = {{"q", r->q, 0}, {"o", r->o, 0}};
    uint32_t back[WORDS];
    for (int i = 0; i < 20; i++) {
        memset(back, 0, sizeof back);
        r->failed |= heed_run(r->plan, args, 2, NULL) != HEED_OK;
        r->failed |= heed_buffer_read(r->o, 0, back, sizeof back) != HEED_OK;
        r->failed |= memcmp(back, r->words, sizeof back) != 0;
        r->failed |= heed_buffer_write(r->o, 0, (uint32_t[WORDS]){0}, sizeof back) != HEED_OK;
    }
    return NULL;
}

START_TEST(threads_run_a_plan)
{
    heed_device *device = open_own();
    heed_plan plan;
    plan_make(&plan, device);
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    static struct runner runners[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        struct runner *r = &runners[i];
        *r = (struct runner){.plan = &plan};
        ck_assert_int_eq(heed_buffer_create(device, sizeof r->words, &r->q), HEED_OK);
        ck_assert_int_eq(heed_buffer_create(device, sizeof r->words, &r->o), HEED_OK);
        fill(r->words, WORDS, 100 * i);
        ck_assert_int_eq(heed_buffer_write(r->q, 0, r->words, sizeof r->words), HEED_OK);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_many, &runners[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(!runners[i].failed);
        heed_buffer_destroy(&runners[i].q);
        heed_buffer_destroy(&runners[i].o);
    }
    plan_clear(&plan);
    heed_device_destroy(&device);
    ck_assert_int_eq(cl_wrap.live, 0);
}
END_TEST

/* ---- failures */

START_TEST(every_call_of_an_enqueue_fails_once)
{
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_make(&plan, app.heed);
    struct tensors t;
    tensors_open(&app, &t, 0);
    const cl_command_queue queues[] = {app.in_order, app.out_of_order};
    for (int q = 0; q < 2; q++) {
        enum heed_status status = HEED_ERR_BACKEND;
        for (uint32_t n = 1; status != HEED_OK; n++) {
            cl_event event;
            cl_wrap.calls = 0;
            cl_wrap.fail_at = n;
            cl_wrap.fail_with = n % 2 ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES;
            status = heed_cl_enqueue(&plan, queues[q], t.args, 3, 0, NULL, &event);
            if (status == HEED_OK)
                ck_assert_uint_lt(cl_wrap.calls, n);
            else
                ck_assert_int_eq(status, n % 2 ? HEED_ERR_HOST_MEMORY : HEED_ERR_DEVICE_MEMORY);
            cl_wrap.fail_at = 0;
            ck_assert_int_eq(app.cl.Finish(queues[q]), CL_SUCCESS);
            if (status == HEED_OK)
                release(&app, event);
            else
                ck_assert_ptr_null(event);
            ck_assert_int_eq(cl_wrap.events, 0);
        }
        tensors_check(&app, &t);
    }
    tensors_close(&app, &t);
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

/* A device, a plan, buffers and a run of own mode; what was made is gone afterwards, whatever failed. */
static enum heed_status own_life(void)
{
    heed_device *device;
    heed_plan plan = {.device = NULL};
    heed_buffer *q = NULL, *o = NULL;
    heed_fence *fence = NULL;
    static uint32_t words[WORDS], back[WORDS];
    uint64_t ns = 0;
    fill(words, WORDS, 5);
    enum heed_status status = heed_cl_create(context, NULL, 0, cl_wrap_get_function, NULL, &device);
    if (status)
        return status;
    plan_init(&plan, device);
    status = device->ops->plan_compile(&plan);
    status = status ? status : heed_buffer_create(device, sizeof words, &q);
    status = status ? status : heed_buffer_create(device, sizeof words, &o);
    status = status ? status : heed_buffer_write(q, 0, words, sizeof words);
    const struct heed_arg args[] = {{"q", q, 0}, {"o", o, 0}};
    status = status ? status : heed_run(&plan, args, 2, &fence);
    status = status ? status : heed_fence_wait(fence, UINT64_MAX);
    status = status ? status : heed_fence_get_device_ns(fence, &ns);
    status = status ? status : heed_buffer_read(o, 0, back, sizeof back);
    if (status == HEED_OK) {
        ck_assert_mem_eq(words, back, sizeof back);
        ck_assert_uint_gt(ns, 0);
    }
    heed_fence_destroy(&fence);
    heed_buffer_destroy(&q);
    heed_buffer_destroy(&o);
    plan_clear(&plan);
    heed_device_destroy(&device);
    return status;
}

START_TEST(every_call_of_own_mode_fails_once)
{
    enum heed_status status = HEED_ERR_BACKEND;
    for (uint32_t n = 1; status != HEED_OK; n++) {
        cl_wrap_reset(loader);
        cl_wrap.fail_at = n;
        cl_wrap.fail_with = CL_OUT_OF_HOST_MEMORY;
        status = own_life();
        ck_assert_msg(status == HEED_OK || status == HEED_ERR_HOST_MEMORY, "%s: %s", cl_wrap.failed,
                      heed_status_name(status));
        ck_assert_msg(cl_wrap.live == 0 && cl_wrap.events == 0, "after %s: %d objects and %d events", cl_wrap.failed,
                      cl_wrap.live, cl_wrap.events);
    }
}
END_TEST

START_TEST(a_lost_device)
{
    heed_device *device = open_own();
    cl_wrap.fail_at = cl_wrap.calls + 1;
    cl_wrap.fail_with = CL_DEVICE_NOT_AVAILABLE;
    heed_buffer *buffer;
    ck_assert_int_eq(heed_buffer_create(device, 4, &buffer), HEED_ERR_DEVICE_LOST);
    ck_assert_int_eq(heed_buffer_create(device, 4, &buffer), HEED_ERR_DEVICE_LOST);
    ck_assert_str_eq(last_line, "opencl: the device was lost");
    heed_device_destroy(&device);
    ck_assert_int_eq(cl_wrap.live, 0);
}
END_TEST

START_TEST(loaders_without_a_function)
{
    heed_device *device;
    cl_wrap.missing = "clEnqueueFillBuffer"; /* OpenCL 1.1 */
    ck_assert_int_eq(heed_cl_create(context, NULL, 0, cl_wrap_get_function, NULL, &device), HEED_ERR_NO_DEVICE);
    ck_assert_str_eq(last_line, "opencl: the ICD loader has no clEnqueueFillBuffer");
    cl_wrap.missing = NULL;
    ck_assert_int_eq(heed_cl_create(context, NULL, 1000, cl_wrap_get_function, NULL, &device), HEED_ERR_NO_DEVICE);
}
END_TEST

/* ---- own mode */

START_TEST(fences)
{
    heed_device *device = open_own();
    heed_plan plan;
    plan_make(&plan, device);
    heed_buffer *q, *o;
    ck_assert_int_eq(heed_buffer_create(device, 4 * WORDS, &q), HEED_OK);
    ck_assert_int_eq(heed_buffer_create(device, 4 * WORDS, &o), HEED_OK);
    const struct heed_arg args[] = {{"q", q, 0}, {"o", o, 0}};
    heed_fence *fence[8];
    uint64_t ns;
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(heed_run(&plan, args, 2, &fence[i]), HEED_OK);
    enum heed_status status = heed_fence_wait(fence[7], 0);
    ck_assert(status == HEED_OK || status == HEED_NOT_READY);
    ck_assert_int_eq(heed_fence_wait(fence[7], UINT64_C(60000000000)), HEED_OK);
    for (int i = 0; i < 8; i++) { /* runs of one device happen one after another */
        ck_assert_int_eq(heed_fence_wait(fence[i], 0), HEED_OK);
        ck_assert_int_eq(heed_fence_get_device_ns(fence[i], &ns), HEED_OK);
        ck_assert(ns > 0 && ns < UINT64_C(60000000000));
        heed_fence_destroy(&fence[i]);
    }
    heed_buffer *none;
    ck_assert_int_eq(heed_buffer_create(device, INT64_MAX, &none), HEED_ERR_DEVICE_MEMORY);
    heed_buffer_destroy(&q);
    heed_buffer_destroy(&o);
    plan_clear(&plan);
    heed_device_destroy(&device);
    ck_assert_int_eq(cl_wrap.live, 0);
    ck_assert_int_eq(cl_wrap.events, 0);
}
END_TEST

START_TEST(long_plans_are_flushed_on_the_way)
{
    struct app app;
    app_open(&app);
    heed_plan plan;
    plan_make(&plan, app.heed);
    app.heed->info.limits.max_dispatch_ns = 1000;
    for (uint32_t i = 0; i < STEPS; i++)
        plan.steps[i].ns = 4000; /* 2 of them fit 10 times that */
    struct tensors t;
    tensors_open(&app, &t, 0);
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.in_order, t.args, 3, 0, NULL, NULL), HEED_OK);
    ck_assert_uint_eq(cl_wrap.flushes, STEPS / 2 - 1);
    tensors_check(&app, &t);
    ck_assert_int_eq(heed_cl_enqueue(&plan, app.out_of_order, t.args, 3, 0, NULL, NULL), HEED_OK);
    ck_assert_uint_eq(cl_wrap.flushes, 2 * (STEPS / 2 - 1));
    ck_assert_int_eq(app.cl.Finish(app.out_of_order), CL_SUCCESS);
    tensors_check(&app, &t);
    tensors_close(&app, &t);
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

START_TEST(forked_children_touch_nothing)
{
    heed_device *device = open_own();
    heed_plan plan;
    plan_make(&plan, device);
    heed_buffer *buffer, *none;
    ck_assert_int_eq(heed_buffer_create(device, 4, &buffer), HEED_OK);
    const uint32_t calls = cl_wrap.calls;
    const pid_t child = fork();
    if (child == 0) {
        bool ok = heed_buffer_create(device, 4, &none) == HEED_ERR_BACKEND;
        heed_buffer_destroy(&buffer);
        plan_clear(&plan);
        heed_device_destroy(&device);
        _exit(ok && cl_wrap.calls == calls ? 0 : 1);
    }
    int state = 0;
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    heed_buffer_destroy(&buffer);
    plan_clear(&plan);
    heed_device_destroy(&device);
    ck_assert_int_eq(cl_wrap.live, 0);
}
END_TEST

/* ---- what the driver makes of a kernel */

static void attention(struct heed_attention_desc *desc, uint32_t rows)
{
    *desc = (struct heed_attention_desc)HEED_ATTENTION_DESC_INIT;
    desc->batch = 1;
    desc->heads_q = desc->heads_kv = 2;
    desc->len_q = rows;
    desc->len_kv = 77;
    desc->dim_qk = desc->dim_v = 32;
    desc->scale = 0.2f;
}

START_TEST(a_kernel_that_does_not_fit)
{
    struct app app;
    app_open(&app);
    struct heed_attention_desc desc;
    heed_plan *plan;
    static char text[16384];
    size_t length;
    char chosen[64], wanted[128];
    attention(&desc, 64);
    ck_assert_msg(heed_plan_create_attention(app.heed, &desc, &plan) == HEED_OK, "%s", last_line);
    snprintf(chosen, sizeof chosen, "%s", plan->kernel);
    heed_plan_destroy(&plan);
    heed_device_destroy(&app.heed);

    /* By name it is refused, with what the driver said; without a name the next that fits is taken. */
    const struct heed_cl_import_desc import = app_desc(&app);
    ck_assert_int_eq(heed_cl_import(context, &import, &app.heed), HEED_OK);
    cl_wrap.local_bytes = UINT32_MAX;
    desc.kernel = chosen;
    ck_assert_int_eq(heed_plan_create_attention(app.heed, &desc, &plan), HEED_ERR_UNSUPPORTED);
    snprintf(wanted, sizeof wanted, "attention: %s refuses: ", chosen);
    ck_assert_msg(strncmp(last_line, wanted, strlen(wanted)) == 0 && strstr(last_line, "4294967295 bytes of local"),
                  "%s", last_line);
    desc.kernel = NULL;
    last_line[0] = 0;
    ck_assert_int_eq(heed_plan_create_attention(app.heed, &desc, &plan), HEED_ERR_UNSUPPORTED);
    ck_assert_ptr_null(plan);
    ck_assert_ptr_nonnull(strstr(last_line, "no kernel for this"));
    ck_assert_int_eq(heed_explain_attention(app.heed, &desc, text, sizeof text, &length), HEED_OK);
    snprintf(wanted, sizeof wanted, "%s", "bytes of local memory, more than");
    ck_assert_msg(strstr(text, wanted) && strstr(text, "plan: none"), "%s", text);
    heed_device_destroy(&app.heed);

    ck_assert_int_eq(heed_cl_import(context, &import, &app.heed), HEED_OK);
    cl_wrap.local_bytes = 0;
    cl_wrap.group_size = 1;
    const enum heed_status status = heed_plan_create_attention(app.heed, &desc, &plan);
    if (status == HEED_OK) {
        for (uint32_t i = 0; i < plan->step_count; i++)
            ck_assert_uint_eq(plan->steps[i].spec[0], 1);
        ck_assert_uint_gt(cl_wrap.from_source, 0);
        heed_plan_destroy(&plan);
    } else {
        ck_assert_int_eq(status, HEED_ERR_UNSUPPORTED);
        ck_assert_msg(strstr(last_line, "work groups of 1 at most, fewer than"), "%s", last_line);
    }
    app_close(&app);
}
END_TEST

START_TEST(a_compiler_that_fails)
{
    struct app app;
    app_open(&app);
    cl_wrap.build_fails = true;
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(app.heed->ops->plan_compile(&plan), HEED_ERR_BACKEND);
    ck_assert_ptr_null(plan.backend);
    ck_assert_msg(strstr(last_line, "does not compile pack -cl-std=CL1.2 -w -DHEED_CONSTANT_0=64u"), "%s", last_line);
    ck_assert_msg(strncmp(last_debug, "opencl: ", 8) == 0, "%s", last_debug);
    plan_clear(&plan);
    app_close(&app);
}
END_TEST

/* Their constants are arguments: nodes of other types and flags share a program, also while both are enqueued. */
START_TEST(nodes_share_a_program)
{
    enum { ROWS = 4, FEATURES = 32, COUNT = ROWS * FEATURES };
    struct app app;
    app_open(&app);
    heed_pipeline *pipeline;
    heed_plan *plan;
    ck_assert_int_eq(heed_pipeline_create(app.heed, NULL, &pipeline), HEED_OK);
    const heed_value x = heed_pipeline_input(pipeline, "x", HEED_F32, heed_shape_2(ROWS, FEATURES));
    const heed_value tripled =
        heed_combine(pipeline, x, (heed_value){0}, HEED_DESC(combine, .scale = 3.0f, .dtype = HEED_F16));
    heed_pipeline_output(pipeline, "y",
                         heed_combine(pipeline, tripled, x, HEED_DESC(combine, .activation = HEED_RELU)));
    heed_pipeline_output(pipeline, "z", heed_combine(pipeline, x, x, HEED_DESC(combine, .combination = HEED_MULTIPLY)));
    ck_assert_msg(heed_pipeline_compile(pipeline, &plan) == HEED_OK, "%s", last_line);
    ck_assert_uint_eq(plan->step_count, 3);
    ck_assert_uint_eq(plan->pipelines, 1);
    const struct heed_cl_arg args[] = {{"x", app_buffer(&app, COUNT), 0},
                                       {"y", app_buffer(&app, COUNT), 0},
                                       {"z", app_buffer(&app, COUNT), 0},
                                       {"scratch", app_buffer(&app, (uint32_t)(plan->scratch_bytes / 4)), 0}};
    float in[COUNT], y[COUNT], z[COUNT];
    uint32_t words[COUNT];
    for (int i = 0; i < COUNT; i++)
        in[i] = (float)(i - COUNT / 2);
    memcpy(words, in, sizeof words);
    app_write(&app, args[0].buffer, words, COUNT);
    const cl_command_queue queues[] = {app.in_order, app.out_of_order};
    for (int q = 0; q < 2; q++) {
        ck_assert_msg(heed_cl_enqueue(plan, queues[q], args, 4, 0, NULL, NULL) == HEED_OK, "%s", last_line);
        ck_assert_int_eq(app.cl.Finish(queues[q]), CL_SUCCESS);
        app_read(&app, args[1].buffer, words, COUNT);
        memcpy(y, words, sizeof y);
        app_read(&app, args[2].buffer, words, COUNT);
        memcpy(z, words, sizeof z);
        for (int i = 0; i < COUNT; i++) {
            ck_assert_float_eq(y[i], (in[i] > 0.0f ? 3.0f * in[i] : 0.0f) + in[i]);
            ck_assert_float_eq(z[i], in[i] * in[i]);
        }
    }
    for (int i = 0; i < 4; i++)
        app.cl.ReleaseMemObject(args[i].buffer);
    heed_plan_destroy(&plan);
    heed_pipeline_destroy(&pipeline);
    app_close(&app);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, import_refuses);
    tcase_add_test(tcase, import_is_like_own_mode);
    tcase_add_test(tcase, in_order);
    tcase_add_test(tcase, out_of_order);
    tcase_add_test(tcase, two_queues);
    tcase_add_test(tcase, nothing_to_enqueue);
    tcase_add_test(tcase, enqueue_refuses);
    tcase_add_test(tcase, threads_share_a_plan);
    tcase_add_test(tcase, threads_run_a_plan);
    tcase_add_test(tcase, every_call_of_an_enqueue_fails_once);
    tcase_add_test(tcase, every_call_of_own_mode_fails_once);
    tcase_add_test(tcase, a_lost_device);
    tcase_add_test(tcase, loaders_without_a_function);
    tcase_add_test(tcase, fences);
    tcase_add_test(tcase, long_plans_are_flushed_on_the_way);
    tcase_add_test(tcase, forked_children_touch_nothing);
    tcase_add_test(tcase, a_kernel_that_does_not_fit);
    tcase_add_test(tcase, a_compiler_that_fails);
    tcase_add_test(tcase, nodes_share_a_program);
}

int main(void)
{
    return run_cases("opencl", add);
}
