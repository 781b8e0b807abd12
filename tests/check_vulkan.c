/* SPDX-License-Identifier: MIT
 * Embed mode seen from the driver's side: what heed asks of an app's device, what it records, what it refuses. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <heed/heed_pipeline.h>

#include "support/vk_app.h"
#include "support/vk_test.h"
#include "support/vk_wrap.h"

/* The three arguments, `lead` words into buffers with 64 spare words behind. */
struct tensors {
    struct app_buffer q, o, scratch;
    struct heed_vk_arg args[3];
};

static void tensors_open(struct app *app, struct tensors *t, uint32_t lead)
{
    const uint64_t bytes = 4 * (WORDS + 64 + lead);
    t->q = app_buffer(app, bytes);
    t->o = app_buffer(app, bytes);
    t->scratch = app_buffer(app, 4 * (WORDS + 192));
    t->args[0] = (struct heed_vk_arg){"q", t->q.handle, 4 * lead, 4 * WORDS};
    t->args[1] = (struct heed_vk_arg){"o", t->o.handle, 4 * lead, 4 * WORDS};
    t->args[2] = (struct heed_vk_arg){"scratch", t->scratch.handle, 256, 4 * (WORDS + 128)};
    fill(t->q.words, WORDS + 64 + lead, lead);
}

static void tensors_check(const struct tensors *t, uint32_t lead)
{
    for (uint32_t i = 0; i < WORDS + 64 + lead; i++) {
        const bool inside = i >= lead && i < lead + WORDS;
        ck_assert_msg(t->o.words[i] == (inside ? t->q.words[i] : 0xcdcdcdcdu), "word %u of o is 0x%08x", i,
                      t->o.words[i]);
    }
}

static void tensors_close(struct app *app, struct tensors *t)
{
    app_buffer_free(app, &t->q);
    app_buffer_free(app, &t->o);
    app_buffer_free(app, &t->scratch);
}

START_TEST(requirements_round_trip)
{
    struct app app;
    app_open(&app, loader_entry, context);
    ck_assert_uint_eq(app.requirements.api_version, VK_API_VERSION_1_1);
    app_import(&app, 0);
    heed_device *own;
    ck_assert_int_eq(heed_vulkan_create(context, NULL, 0, &own), HEED_OK);
    /* Both see the same device. Own mode may have got subgroups through Vulkan 1.3, where the app has the extension. */
    ck_assert_str_eq(app.heed->info.name, own->info.name);
    ck_assert_mem_eq(app.heed->info.uuid, own->info.uuid, 16);
    ck_assert_int_eq(app.heed->info.has_subgroups, own->info.has_subgroups);
    ck_assert(!app.heed->info.has_subgroup_broadcast); /* of Vulkan 1.2 */
    ck_assert_int_eq(own->info.has_subgroup_broadcast, own->info.has_subgroups);
    ck_assert_int_eq(app.heed->info.has_buffer_addresses, own->info.has_buffer_addresses);
    ck_assert_int_eq(app.requirements.buffer_device_address.bufferDeviceAddress == VK_TRUE,
                     own->info.has_buffer_addresses);
    ck_assert_int_eq(app.heed->info.has_int64, own->info.has_int64);
    ck_assert_int_eq(app.requirements.features.features.shaderInt64 == VK_TRUE, own->info.has_int64);
    ck_assert_int_eq(app.requirements.extension_count > 0, own->info.has_subgroups);
    ck_assert(!app.heed->info.has_timestamps);
    ck_assert_uint_eq(app.heed->info.matrix_shape_count, own->info.matrix_shape_count);
    ck_assert_mem_eq(app.heed->info.matrix_shapes, own->info.matrix_shapes, sizeof own->info.matrix_shapes);
    for (uint32_t i = 0; i < own->info.matrix_shape_count; i++) {
        const struct heed_matrix_shape *s = &own->info.matrix_shapes[i];
        ck_assert(s->input == HEED_F16 || s->input == HEED_BF16);
        ck_assert(s->m > 0 && s->n > 0 && s->k > 0);
    }
    heed_device_destroy(&own);
    heed_device_destroy(&app.heed);

    /* What is not declared is not used. */
    struct heed_vk_import_desc desc = app_desc(&app);
    desc.features = NULL;
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert(!app.heed->info.has_subgroups && !app.heed->info.has_int64);
    ck_assert_uint_eq(app.heed->info.matrix_shape_count, 0);
    ck_assert(!app.heed->info.has_buffer_addresses);
    heed_device_destroy(&app.heed);
    desc = app_desc(&app);
    desc.buffers_have_addresses = false; /* enabled for the app's own use */
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert(!app.heed->info.has_buffer_addresses);
    heed_device_destroy(&app.heed);
    desc = app_desc(&app);
    desc.extension_count = 0;
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert(!app.heed->info.has_subgroups);
    ck_assert_uint_eq(app.heed->info.matrix_shape_count, 0);
    heed_device_destroy(&app.heed);
    desc = app_desc(&app);
    desc.limits.no_subgroups = true;
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert(!app.heed->info.has_subgroups);
    ck_assert_uint_eq(app.heed->info.matrix_shape_count, 0);
    heed_device_destroy(&app.heed);
    desc = app_desc(&app);
    desc.limits.no_matrix = true;
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert_uint_eq(app.heed->info.matrix_shape_count, 0);
    heed_device_destroy(&app.heed);
    app.requirements.cooperative_matrix.cooperativeMatrix = VK_FALSE;
    desc = app_desc(&app);
    ck_assert_int_eq(heed_vk_import(context, &desc, &app.heed), HEED_OK);
    ck_assert_uint_eq(app.heed->info.matrix_shape_count, 0);
    ck_assert_int_eq(vk_wrap.live > 0, true);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

START_TEST(import_refuses)
{
    struct app app;
    app_open(&app, loader_entry, context);
    struct heed_vk_import_desc desc = app_desc(&app);
    heed_device *device;
    desc.struct_size--;
    ck_assert_int_eq(heed_vk_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_ptr_null(device);
    desc = app_desc(&app);
    desc.device = VK_NULL_HANDLE;
    ck_assert_int_eq(heed_vk_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "import: device is NULL");
    desc = app_desc(&app);
    desc.api_version = VK_API_VERSION_1_0;
    ck_assert_int_eq(heed_vk_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "import: api_version 1.0 is below 1.1");
    desc = app_desc(&app);
    desc.limits.min_offset_alignment = 384;
    ck_assert_int_eq(heed_vk_import(context, &desc, &device), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "device: min_offset_alignment 384 is not a power of two from 1 to 256");
    ck_assert_int_eq(vk_wrap.live, 0);
    app_close(&app);
}
END_TEST

START_TEST(record_only_records)
{
    struct app app;
    app_open(&app, loader_entry, context);
    app_import(&app, 0);
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    ck_assert_uint_eq(((struct heed_vk_plan *)plan.backend)->pipelines.count, 2);
    ck_assert_uint_gt(plan.compile_ns, 0);
    struct tensors t;
    tensors_open(&app, &t, 0);
    heed_vk_binding *binding;
    ck_assert_int_eq(heed_vk_bind(&plan, t.args, 3, &binding), HEED_OK);

    VkCommandPool pool;
    VkCommandBuffer commands = app_begin(&app, &pool);
    const uint32_t calls = vk_wrap.calls, created = vk_wrap.created;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(heed_vk_record(binding, commands), HEED_OK);
        app_barrier(&app, commands);
    }
    ck_assert_uint_eq(vk_wrap.calls, calls);
    ck_assert_uint_eq(vk_wrap.created, created);
    ck_assert_uint_eq(vk_wrap.dispatches, 2 * STEPS);
    ck_assert_uint_eq(vk_wrap.barriers, 2); /* the one that the plan has */
    ck_assert_uint_eq(vk_wrap.binds, 4);    /* a pipeline that is bound stays bound */
    app_end(&app, commands);
    app.vk.DestroyCommandPool(app.device, pool, NULL);

    commands = app_begin(&app, &pool);
    ck_assert_int_eq(heed_vk_record(binding, commands), HEED_OK);
    app_end(&app, commands);
    app_submit(&app, commands);
    tensors_check(&t, 0);

    ck_assert_uint_eq(vk_wrap.device_memory, 0);
    ck_assert_uint_eq(vk_wrap.submits, 0);
    ck_assert_uint_eq(vk_wrap.waits, 0);
    static const char *const never[] = {"vkAllocateMemory",    "vkQueueSubmit",    "vkQueueWaitIdle",
                                        "vkDeviceWaitIdle",    "vkWaitForFences",  "vkCreateBuffer",
                                        "vkCreateCommandPool", "vkGetDeviceQueue", "vkCreateDevice"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        ck_assert_msg(!vk_wrap_asked(never[i]), "heed asked for %s", never[i]);
    ck_assert(vk_wrap_asked("vkCmdDispatch"));

    heed_vk_binding_destroy(&binding);
    ck_assert_ptr_null(binding);
    heed_vk_binding_destroy(&binding);
    plan_clear(&plan);
    app.vk.DestroyCommandPool(app.device, pool, NULL);
    tensors_close(&app, &t);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* Offsets that the device cannot bind reach the shader as elements to skip. */
START_TEST(odd_offsets)
{
    static const uint32_t leads[] = {0, 1, 3, 63, 64, 65};
    const uint32_t lead = leads[_i];
    struct app app;
    app_open(&app, loader_entry, context);
    app_import(&app, 256);
    ck_assert_uint_eq(app.heed->info.limits.min_offset_alignment, 256);
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    struct tensors t;
    tensors_open(&app, &t, lead);
    heed_vk_binding *binding;
    ck_assert_int_eq(heed_vk_bind(&plan, t.args, 3, &binding), HEED_OK);
    ck_assert_uint_eq(binding->steps[0].residual[0] & 255, lead % 64);
    ck_assert_uint_eq(binding->steps[1].residual[0] & 255, (lead + part_begin(1)) % 64);
    VkCommandPool pool;
    VkCommandBuffer commands = app_begin(&app, &pool);
    ck_assert_int_eq(heed_vk_record(binding, commands), HEED_OK);
    app_end(&app, commands);
    app_submit(&app, commands);
    tensors_check(&t, lead);
    heed_vk_binding_destroy(&binding);
    plan_clear(&plan);
    app.vk.DestroyCommandPool(app.device, pool, NULL);
    tensors_close(&app, &t);
    app_close(&app);
}
END_TEST

/* In pieces, each in a submission of its own. */
START_TEST(record_ranges)
{
    struct app app;
    app_open(&app, loader_entry, context);
    app_import(&app, 0);
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    struct tensors t;
    tensors_open(&app, &t, 0);
    heed_vk_binding *binding;
    ck_assert_int_eq(heed_vk_bind(&plan, t.args, 3, &binding), HEED_OK);
    static const uint32_t counts[] = {1, 0, 3, 2, STEPS - 6};
    for (uint32_t i = 0, first = 0; i < 5; first += counts[i++]) {
        VkCommandPool pool;
        VkCommandBuffer commands = app_begin(&app, &pool);
        ck_assert_int_eq(heed_vk_record_range(binding, commands, first, counts[i]), HEED_OK);
        app_end(&app, commands);
        app_submit(&app, commands);
        app.vk.DestroyCommandPool(app.device, pool, NULL);
    }
    ck_assert_uint_eq(vk_wrap.dispatches, STEPS);
    tensors_check(&t, 0);
    VkCommandPool pool;
    VkCommandBuffer commands = app_begin(&app, &pool);
    static const uint32_t wrong[][2] = {{0, STEPS + 1}, {STEPS, 1}, {STEPS + 1, 0}, {1, UINT32_MAX}};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(heed_vk_record_range(binding, commands, wrong[i][0], wrong[i][1]), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "vulkan: record: 4294967295 dispatches from 1 on are not among the 10 of the plan");
    ck_assert_uint_eq(vk_wrap.dispatches, STEPS);
    app_end(&app, commands);
    heed_vk_binding_destroy(&binding);
    plan_clear(&plan);
    app.vk.DestroyCommandPool(app.device, pool, NULL);
    tensors_close(&app, &t);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

START_TEST(bind_refuses)
{
    struct app app;
    app_open(&app, loader_entry, context);
    app_import(&app, 0);
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    struct tensors t;
    tensors_open(&app, &t, 0);
    const int live = vk_wrap.live;
    static const struct {
        const char *line;
        VkDeviceSize offset, size;
    } cases[] = {
        {"vulkan: bind: \"q\" has size VK_WHOLE_SIZE; say how many bytes", 0, VK_WHOLE_SIZE},
        {"vulkan: bind: \"q\" has size 0; say how many bytes", 0, 0},
        {"vulkan: bind: \"q\" of 4036 bytes at offset 18446744073709551600 ends over 2^63", UINT64_MAX - 15, 4 * WORDS},
        {"attention: \"q\" needs 4036 bytes and its buffer has 4035 from offset 0", 0, 4 * WORDS - 1},
    };
    heed_vk_binding *binding;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct heed_vk_arg args[3];
        memcpy(args, t.args, sizeof args);
        args[0].offset = cases[i].offset;
        args[0].size = cases[i].size;
        ck_assert_int_eq(heed_vk_bind(&plan, args, 3, &binding), HEED_ERR_ARGUMENT);
        ck_assert_str_eq(last_line, cases[i].line);
        ck_assert_ptr_null(binding);
    }
    ck_assert_int_eq(heed_vk_bind(&plan, t.args, 2, &binding), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "attention: argument \"scratch\" is missing");
    struct heed_vk_arg args[3];
    memcpy(args, t.args, sizeof args);
    args[1].buffer = VK_NULL_HANDLE;
    ck_assert_int_eq(heed_vk_bind(&plan, args, 3, &binding), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "vulkan: bind: \"o\" has no buffer");
    ck_assert_int_eq(vk_wrap.live, live);

    /* Own mode has no bindings, and embed mode no runs. */
    heed_device *own;
    ck_assert_int_eq(heed_vulkan_create(context, NULL, 0, &own), HEED_OK);
    heed_plan own_plan;
    plan_init(&own_plan, own);
    ck_assert_int_eq(heed_vk_plan_compile(&own_plan), HEED_OK);
    ck_assert_int_eq(heed_vk_bind(&own_plan, t.args, 3, &binding), HEED_ERR_ARGUMENT);
    plan_clear(&own_plan);
    heed_device_destroy(&own);
    heed_buffer *buffer;
    ck_assert_int_eq(heed_buffer_create(app.heed, 4, &buffer), HEED_ERR_UNSUPPORTED);
    uint32_t ops;
    ck_assert_int_eq(heed_profile(&plan, NULL, 0, NULL, 0, &ops), HEED_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(last_line, "was imported") != NULL, "%s", last_line);

    plan_clear(&plan);
    tensors_close(&app, &t);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

struct recorder {
    struct app *app;
    heed_plan *plan;
    struct tensors tensors;
    heed_vk_binding *binding;
    VkCommandPool pool;
    VkCommandBuffer commands;
    bool ok;
};

static void *record_many(void *user)
{
    struct recorder *r = user;
    r->ok = true;
    for (int i = 0; r->ok && i < 50; i++) {
        heed_vk_binding_destroy(&r->binding);
        r->ok = heed_vk_bind(r->plan, r->tensors.args, 3, &r->binding) == HEED_OK;
    }
    r->ok = r->ok && heed_vk_record(r->binding, r->commands) == HEED_OK;
    return NULL;
}

START_TEST(threads_record)
{
    struct app app;
    app_open(&app, loader_entry, context);
    app_import(&app, 0);
    heed_plan plan;
    plan_init(&plan, app.heed);
    ck_assert_int_eq(heed_vk_plan_compile(&plan), HEED_OK);
    struct recorder r[2];
    pthread_t thread[2];
    for (uint32_t i = 0; i < 2; i++) {
        r[i] = (struct recorder){.app = &app, .plan = &plan};
        tensors_open(&app, &r[i].tensors, 16 * i);
        r[i].commands = app_begin(&app, &r[i].pool);
        ck_assert_int_eq(pthread_create(&thread[i], NULL, record_many, &r[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        ck_assert(r[i].ok);
        app_end(&app, r[i].commands);
        app_submit(&app, r[i].commands);
        tensors_check(&r[i].tensors, 16 * i);
        heed_vk_binding_destroy(&r[i].binding);
        app.vk.DestroyCommandPool(app.device, r[i].pool, NULL);
        tensors_close(&app, &r[i].tensors);
    }
    plan_clear(&plan);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

/* ---- a real plan gives the same bits in both modes */

static enum heed_status make_attention(heed_device *device, enum heed_path path, heed_plan **plan)
{
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = 2;
    desc.heads_q = 4;
    desc.heads_kv = 2;
    desc.len_q = 7;
    desc.len_kv = 33;
    desc.dim_qk = desc.dim_v = 20;
    desc.path = path;
    desc.key_lengths = true;
    desc.lse = true;
    desc.offset_alignment = 4;
    return heed_plan_create_attention(device, &desc, plan);
}

/* Attention between a product and a norm, with its weights as a second result. */
static enum heed_status make_pipeline(heed_device *device, heed_plan **plan)
{
    const struct heed_pipeline_desc desc = {.struct_size = sizeof desc, .offset_alignment = 4};
    heed_pipeline *p;
    if (heed_pipeline_create(device, &desc, &p) != HEED_OK)
        return HEED_ERR_HOST_MEMORY;
    heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(2, 13, 48)), weights;
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(48, 48));
    const heed_value lengths = heed_pipeline_input(p, "lengths", HEED_I32, heed_shape_1(2));
    const heed_value q = heed_split_heads(p, heed_linear(p, x, w, NULL), 3), kv = heed_split_heads(p, x, 3);
    const heed_value o = heed_attend(p, q, kv, kv, HEED_DESC(attend, .key_lengths = lengths, .weights = &weights));
    heed_pipeline_output(p, "y", heed_layer_norm(p, heed_combine(p, heed_merge_heads(p, o), x, NULL), NULL));
    heed_pipeline_output(p, "weights", weights);
    const enum heed_status status = heed_pipeline_compile(p, plan);
    heed_pipeline_destroy(&p);
    return status;
}

static enum heed_status make_plan(heed_device *device, int which, heed_plan **plan)
{
    return which == 2 ? make_pipeline(device, plan)
                      : make_attention(device, which ? HEED_PATH_STAGED : HEED_PATH_FUSED, plan);
}

START_TEST(both_modes_agree)
{
    struct app app;
    app_open(&app, loader_entry, context);
    app_import(&app, 0);
    heed_device *own;
    ck_assert_int_eq(heed_vulkan_create(context, NULL, 0, &own), HEED_OK);
    heed_plan *embed_plan, *own_plan;
    ck_assert_msg(make_plan(app.heed, _i, &embed_plan) == HEED_OK, "%s", last_line);
    ck_assert_msg(make_plan(own, _i, &own_plan) == HEED_OK, "%s", last_line);
    struct heed_plan_info info;
    heed_plan_get_info(embed_plan, &info);
    ck_assert_uint_le(info.args + 1, 8);

    struct app_buffer buffers[8];
    struct heed_vk_arg embed_args[8];
    struct heed_arg own_args[8];
    struct heed_arg_info arg;
    for (uint32_t i = 0; i < info.args; i++) {
        ck_assert_int_eq(heed_plan_get_arg(embed_plan, i, &arg), HEED_OK);
        const uint64_t offset = 4 * (i + 1), bytes = (arg.bytes + 3) / 4 * 4;
        buffers[i] = app_buffer(&app, offset + bytes);
        ck_assert_int_eq(heed_buffer_create(own, offset + bytes, &own_args[i].buffer), HEED_OK);
        for (uint32_t w = 0; !arg.output && w < bytes / 4; w++) {
            const float x = (float)((w * 7919 + i * 31) % 101) / 50.0f - 1.0f;
            if (arg.dtype == HEED_I32)
                buffers[i].words[i + 1 + w] = 20 + w;
            else
                memcpy(&buffers[i].words[i + 1 + w], &x, 4);
        }
        ck_assert_int_eq(heed_buffer_write(own_args[i].buffer, 0, buffers[i].words, offset + bytes), HEED_OK);
        embed_args[i] = (struct heed_vk_arg){arg.name, buffers[i].handle, offset, bytes};
        own_args[i].name = arg.name;
        own_args[i].offset = offset;
    }
    const uint32_t count = info.args + (info.scratch_bytes > 0);
    if (info.scratch_bytes > 0) {
        buffers[info.args] = app_buffer(&app, info.scratch_bytes);
        embed_args[info.args] = (struct heed_vk_arg){"scratch", buffers[info.args].handle, 0, info.scratch_bytes};
    }
    ck_assert_msg(heed_run(own_plan, own_args, info.args, NULL) == HEED_OK, "%s", last_line);
    heed_vk_binding *binding;
    ck_assert_msg(heed_vk_bind(embed_plan, embed_args, count, &binding) == HEED_OK, "%s", last_line);
    VkCommandPool pool;
    VkCommandBuffer commands = app_begin(&app, &pool);
    const uint32_t calls = vk_wrap.calls, created = vk_wrap.created;
    ck_assert_int_eq(heed_vk_record(binding, commands), HEED_OK);
    ck_assert_uint_eq(vk_wrap.calls, calls);
    ck_assert_uint_eq(vk_wrap.created, created);
    ck_assert_uint_eq(vk_wrap.barriers, info.barriers);
    ck_assert_uint_eq(vk_wrap.dispatches, info.dispatches);
    app_end(&app, commands);
    app_submit(&app, commands);

    uint32_t outputs = 0;
    for (uint32_t i = 0; i < info.args; i++) {
        ck_assert_int_eq(heed_plan_get_arg(embed_plan, i, &arg), HEED_OK);
        uint32_t *words = malloc(arg.bytes);
        ck_assert_int_eq(heed_buffer_read(own_args[i].buffer, 4 * (i + 1), words, arg.bytes), HEED_OK);
        ck_assert_msg(memcmp(words, buffers[i].words + i + 1, arg.bytes) == 0, "\"%s\" differs", arg.name);
        if (arg.output) {
            outputs++;
            uint32_t written = 0;
            for (uint32_t w = 0; w < arg.bytes / 4; w++)
                written += words[w] != 0xcdcdcdcdu && words[w] != 0;
            ck_assert_uint_gt(written, arg.bytes / 8);
        }
        free(words);
    }
    ck_assert_uint_eq(outputs, 2);

    heed_vk_binding_destroy(&binding);
    heed_plan_destroy(&embed_plan);
    heed_plan_destroy(&own_plan);
    for (uint32_t i = 0; i < count; i++)
        app_buffer_free(&app, &buffers[i]);
    for (uint32_t i = 0; i < info.args; i++)
        heed_buffer_destroy(&own_args[i].buffer);
    app.vk.DestroyCommandPool(app.device, pool, NULL);
    heed_device_destroy(&own);
    app_close(&app);
    ck_assert_int_eq(vk_wrap.live, 0);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, requirements_round_trip);
    tcase_add_test(tcase, import_refuses);
    tcase_add_test(tcase, record_only_records);
    tcase_add_loop_test(tcase, odd_offsets, 0, 6);
    tcase_add_test(tcase, record_ranges);
    tcase_add_test(tcase, bind_refuses);
    tcase_add_test(tcase, threads_record);
    tcase_add_loop_test(tcase, both_modes_agree, 0, 3);
}

int main(void)
{
    return run_cases("vulkan", add);
}
