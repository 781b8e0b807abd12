/* SPDX-License-Identifier: MIT
 * Pipelines as objects: what the builder refuses, what views are, that places in the arena never overlap while they are
 * used and barriers stand exactly where they must, names, threads, memory that runs out. What they compute:
 * pipeline_runs.c. */
#include "check_pipeline.h"

#include <heed/heed_blocks.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

heed_context *context;
heed_device *device;
char last_line[1024];

static void log_line(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    if (level == HEED_LOG_ERROR)
        snprintf(last_line, sizeof last_line, "%s", text);
}

heed_pipeline *begin(void)
{
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    last_line[0] = 0;
    return p;
}

heed_plan *compiled(heed_pipeline **p)
{
    heed_plan *plan;
    ck_assert_msg(heed_pipeline_compile(*p, &plan) == HEED_OK, "%s", last_line);
    heed_pipeline_destroy(p);
    ck_assert_ptr_null(*p);
    return plan;
}

bool is_reference(void)
{
    struct heed_device_info info;
    heed_device_get_info(device, &info);
    return info.backend == HEED_BACKEND_REFERENCE;
}

heed_plan *sized_plan(uint32_t rows, bool sized)
{
    heed_pipeline *p = begin();
    if (sized)
        rows = heed_pipeline_add_size(p, "rows", rows);
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, rows, 64));
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(64, 64));
    heed_value y = heed_linear(p, heed_layer_norm(p, x, NULL), w, HEED_DESC(linear, .activation = HEED_GELU));
    y = heed_combine(p, heed_reshape(p, y, heed_shape_3(1, HEED_LENGTH_REST, 64)), x, NULL);
    heed_pipeline_output(p, "y", y);
    return compiled(&p);
}

void run_sized(heed_plan *plan, float *y, uint32_t rows)
{
    heed_buffer *buffers[3];
    struct heed_arg args[3];
    for (uint32_t i = 0; i < 3; i++) {
        struct heed_arg_info arg;
        ck_assert_int_eq(heed_plan_get_arg(plan, i, &arg), HEED_OK);
        ck_assert_uint_eq(arg.bytes, i == 1 ? 64 * 64 * 4 : rows * 64 * 4);
        ck_assert_int_eq(heed_buffer_create(device, arg.bytes, &buffers[i]), HEED_OK);
        float *data = malloc(arg.bytes);
        for (uint64_t e = 0; e < arg.bytes / 4; e++)
            data[e] = (float)((e * 37 + i) % 19) / 19.0f - 0.4f;
        ck_assert_int_eq(heed_buffer_write(buffers[i], 0, data, arg.bytes), HEED_OK);
        free(data);
        args[i] = (struct heed_arg){arg.name, buffers[i], 0};
    }
    ck_assert_msg(heed_run(plan, args, 3, NULL) == HEED_OK, "%s", last_line);
    ck_assert_int_eq(heed_buffer_read(buffers[2], 0, y, rows * 64 * 4), HEED_OK);
    for (uint32_t i = 0; i < 3; i++)
        heed_buffer_destroy(&buffers[i]);
}

/* ---- the builder */

enum { MISTAKES = 14 };

static void make_mistake(heed_pipeline *p, int mistake)
{
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, 5, 64));
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(32, 60));
    const heed_value b = heed_pipeline_input(p, "b", HEED_F32, heed_shape_1(60));
    switch (mistake) {
    case 0:
        heed_linear(p, x, w, NULL);
        break;
    case 1:
        heed_pipeline_input(p, "x", HEED_F32, heed_shape_1(4));
        break;
    case 2:
        heed_pipeline_input(p, "scratch", HEED_F32, heed_shape_1(4));
        break;
    case 3:
        heed_layer_norm(p, x, HEED_DESC(layer_norm, .gain = b));
        break;
    case 4:
        heed_linear(p, x, none, NULL);
        break;
    case 5:
        heed_combine(p, x, b, NULL);
        break;
    case 6:
        heed_reshape(p, x, heed_shape_2(7, HEED_LENGTH_REST));
        break;
    case 7:
        heed_slice(p, x, 1, 4, 2);
        break;
    case 8:
        heed_split_heads(p, x, 7);
        break;
    case 9:
        heed_linear(p, x, (heed_value){77}, NULL);
        break;
    case 10:
        heed_pipeline_output(p, "y", none);
        break;
    case 11:
        heed_append(p, x, x, none);
        break;
    case 12:
        heed_combine(p, x, none, &(struct heed_combine_desc){.struct_size = 3});
        break;
    case 13:
        heed_pipeline_input(p, "q", HEED_Q8_0, heed_shape_2(4, 33));
        break;
    }
}

START_TEST(mistakes)
{
    static const char *const lines[MISTAKES] = {
        "pipeline: linear 1: weight \"w\" [32 60] f32 is not [out][in] for x \"x\" [1 5 64] f32",
        "pipeline: an argument \"x\" is there already",
        "pipeline: argument name \"scratch\" is not 1 to 63 characters, or it is \"scratch\"",
        "pipeline: layer_norm 1: gain \"b\" [60] f32 is not [64] f32",
        "pipeline: linear 1: weight is no value",
        "pipeline: combine 1: \"x\" [1 5 64] f32 and \"b\" [60] f32 differ in an axis that is 1 in neither",
        "pipeline: reshape 1: \"x\" [1 5 64] f32 has 320 elements, and the new shape 315",
        "pipeline: slice 1: elements 4 .. + 2 of axis 1 are not in \"x\" [1 5 64] f32",
        "pipeline: split_heads 1: the features of \"x\" [1 5 64] f32 are not a multiple of 7 heads",
        "pipeline: linear 1: value 77 is none of this pipeline's",
        "pipeline: output \"y\" is no value of this pipeline",
        "pipeline: append 1: \"x\" [1 5 64] f32 is no heed_pipeline_state",
        NULL,
        "pipeline: argument \"q\" [4 33] q8_0 has no whole blocks of 32",
    };
    heed_pipeline *p = begin();
    make_mistake(p, _i);
    if (lines[_i])
        ck_assert_str_eq(last_line, lines[_i]);
    else
        ck_assert_ptr_nonnull(strstr(last_line, "struct_size 3 is not sizeof(struct heed_combine_desc)"));
    ck_assert_int_eq(heed_pipeline_get_status(p), HEED_ERR_ARGUMENT);
    /* It stays failed, and says nothing more. */
    last_line[0] = 0;
    const heed_value more = heed_pipeline_input(p, "more", HEED_F32, heed_shape_1(4));
    ck_assert_uint_eq(more.id, 0);
    ck_assert_uint_eq(heed_combine(p, more, none, NULL).id, 0);
    ck_assert_uint_eq(heed_block_attention(p, more, none, NULL).id, 0);
    heed_pipeline_output(p, "y", more);
    ck_assert_str_eq(last_line, "");
    heed_plan *plan;
    ck_assert_int_eq(heed_pipeline_compile(p, &plan), HEED_ERR_ARGUMENT);
    ck_assert_ptr_null(plan);
    heed_pipeline_destroy(&p);
}
END_TEST

START_TEST(one_product_for_three)
{
    static const char *const why[] = {"there is one of these", "there is one of these", "there is one of these",
                                      "wqkv makes 3 axes with 11 features", "not a multiple of 3 heads"};
    for (int i = 0; i < 5; i++) {
        heed_pipeline *p = begin();
        const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, 2, 4)),
                         w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(i == 3 ? 11 : 12, 4)),
                         wo = heed_pipeline_input(p, "wo", HEED_F32, heed_shape_2(4, 4));
        struct heed_block_attention_desc d = {.struct_size = sizeof d, .heads = i == 4 ? 3 : 2};
        d.weights = (struct heed_projections){.wqkv = w, .wo = wo, .wk = i == 0 ? wo : none};
        d.x_pos = i == 1 ? x : none;
        ck_assert_uint_eq(heed_block_attention(p, x, i == 2 ? x : none, &d).id, 0);
        ck_assert_msg(strstr(last_line, why[i]), "\"%s\" has no \"%s\"", last_line, why[i]);
        ck_assert_int_eq(heed_pipeline_get_status(p), HEED_ERR_ARGUMENT);
        heed_pipeline_destroy(&p);
    }
}
END_TEST

START_TEST(two_way_transformer_of_no_layers)
{
    static const struct heed_block_two_way_desc layers[1];
    const struct {
        uint32_t depth;
        const struct heed_block_two_way_desc *layers;
        const char *why;
    } cases[] = {{1, NULL, "depth 1 without layers"}, {65, layers, "depth 65 is over 64"}};
    for (size_t i = 0; i < 2; i++) {
        heed_pipeline *p = begin();
        const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, 2, 4));
        const heed_value y = heed_block_two_way_transformer(
            p, x, x, HEED_DESC(block_two_way_transformer, .depth = cases[i].depth, .layers = cases[i].layers), NULL);
        ck_assert_uint_eq(y.id, 0);
        ck_assert_msg(strstr(last_line, cases[i].why), "\"%s\" has no \"%s\"", last_line, cases[i].why);
        ck_assert_int_eq(heed_pipeline_get_status(p), HEED_ERR_ARGUMENT);
        heed_pipeline_destroy(&p);
    }
}
END_TEST

START_TEST(no_output)
{
    heed_pipeline *p = begin();
    heed_combine(p, heed_pipeline_input(p, "x", HEED_F32, heed_shape_1(4)), none, NULL);
    heed_plan *plan;
    ck_assert_int_eq(heed_pipeline_compile(p, &plan), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "pipeline: there is no output");
    heed_pipeline_destroy(&p);
}
END_TEST

static void check_shape(heed_pipeline *p, heed_value value, struct heed_shape wanted)
{
    struct heed_shape shape;
    ck_assert_msg(heed_pipeline_get_shape(p, value, &shape, NULL) == HEED_OK, "%s", last_line);
    ck_assert_uint_eq(shape.axes, wanted.axes);
    for (uint32_t a = 0; a < shape.axes; a++)
        ck_assert_uint_eq(shape.length[a], wanted.length[a]);
}

START_TEST(shapes)
{
    heed_pipeline *p = begin();
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(2, 5, 64));
    const heed_value heads = heed_split_heads(p, x, 4);
    check_shape(p, heads, heed_shape_4(2, 4, 5, 16));
    check_shape(p, heed_merge_heads(p, heads), heed_shape_3(2, 5, 64));
    check_shape(p, heed_reshape(p, x, heed_shape_2(HEED_LENGTH_REST, 32)), heed_shape_2(20, 32));
    check_shape(p, heed_slice(p, x, 1, 3, 2), heed_shape_3(2, 2, 64));
    check_shape(p, heed_permute(p, heads, (const uint32_t[]){3, 0, 2, 1}), heed_shape_4(16, 2, 5, 4));
    ck_assert_int_eq(heed_pipeline_get_status(p), HEED_OK);
    heed_reshape(p, heads, heed_shape_1(640)); /* not without a copy */
    ck_assert_int_eq(heed_pipeline_get_status(p), HEED_ERR_ARGUMENT);
    heed_pipeline_destroy(&p);
}
END_TEST

/* ---- random graphs */

enum { VALUES = 24, FEATURES = 32 };

static heed_pipeline *random_graph(uint64_t seed)
{
    struct test_random random = test_random_for("graph", seed);
    heed_pipeline *p = begin();
    heed_value values[VALUES];
    uint32_t rows[VALUES], count = 0;
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(FEATURES, FEATURES));
    const heed_value state = heed_pipeline_state(p, "state", HEED_F32, heed_shape_3(1, 64, FEATURES));
    for (; count < 3; count++) {
        char name[16];
        snprintf(name, sizeof name, "x%u", count);
        rows[count] = 4 + 7 * count;
        values[count] = heed_pipeline_input(p, name, HEED_F32, heed_shape_3(1, rows[count], FEATURES));
    }
    for (; count < VALUES; count++) {
        const uint32_t a = test_random_below(&random, count), b = test_random_below(&random, count);
        const enum heed_dtype dtype = test_random_chance(&random, 0.3) ? HEED_F16 : HEED_F32;
        rows[count] = rows[a];
        switch (test_random_below(&random, 6)) {
        case 0:
            values[count] = heed_linear(
                p, values[a], w, HEED_DESC(linear, .dtype = dtype, .residual = rows[a] == rows[b] ? values[b] : none));
            break;
        case 1:
            values[count] = heed_layer_norm(p, values[a], HEED_DESC(layer_norm, .dtype = dtype));
            break;
        case 2:
            values[count] = heed_combine(p, values[a], rows[a] == rows[b] ? values[b] : none,
                                         HEED_DESC(combine, .activation = HEED_SILU, .dtype = dtype));
            break;
        case 3:
            rows[count] = 1 + test_random_below(&random, rows[a]);
            values[count] = heed_slice(p, values[a], 1, rows[a] - rows[count], rows[count]);
            break;
        case 4:
            values[count] = heed_slice(p, heed_append(p, state, values[a], none), 1, 0, rows[a]);
            break;
        default:
            values[count] =
                heed_merge_heads(p, heed_attend(p, heed_split_heads(p, values[a], 2), heed_split_heads(p, values[b], 2),
                                                heed_split_heads(p, values[b], 2), HEED_DESC(attend, .dtype = dtype)));
            break;
        }
        char name[16];
        snprintf(name, sizeof name, "y%u", count);
        if (count + 1 == VALUES || test_random_chance(&random, 0.1))
            heed_pipeline_output(p, name, values[count]);
    }
    ck_assert_msg(heed_pipeline_get_status(p) == HEED_OK, "%s", last_line);
    return p;
}

/* Do two steps touch the same bytes, with one of them writing? Bytes of a binding are those that it names: what the
 * library adds for words and alignments may only make more barriers. `slack`: bytes added on both sides. */
static bool touch(const heed_plan *plan, uint32_t a, uint32_t b, uint64_t slack)
{
    const struct heed_step *x = &plan->steps[a], *y = &plan->steps[b];
    for (uint32_t i = 0; i < x->binding_count; i++)
        for (uint32_t j = 0; j < y->binding_count; j++) {
            const struct heed_step_binding *m = &x->bindings[i], *n = &y->bindings[j];
            const bool written = (heed_kernel_writes(x->kernel) >> i & 1) || (heed_kernel_writes(y->kernel) >> j & 1);
            if (written && m->arg == n->arg && m->bytes > 0 && n->bytes > 0 &&
                m->offset < n->offset + n->bytes + slack && n->offset < m->offset + m->bytes + slack)
                return true;
        }
    return false;
}

/* Sufficient: nothing between two barriers touches what it must not. Necessary: each separates two steps that touch. */
static void check_barriers(const heed_plan *plan)
{
    const uint64_t slack = plan->device->info.limits.min_offset_alignment + 4;
    uint32_t since = 0;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        bool needed = false;
        for (uint32_t before = since; before < s; before++) {
            ck_assert_msg(plan->steps[s].barrier || !touch(plan, before, s, 0), "steps %u and %u want a barrier",
                          before, s);
            needed |= touch(plan, before, s, slack);
        }
        ck_assert_msg(!plan->steps[s].barrier || needed, "the barrier before step %u separates nothing", s);
        if (plan->steps[s].barrier)
            since = s;
    }
}

/* When a storage of the graph is used, by the nodes that have values in it, and never at the same time as another one
 * in the same bytes. */
static void check_arena(const heed_plan *plan)
{
    const struct heed_pipeline_plan *pp = plan->pipeline;
    const struct heed_graph *g = &pp->graph;
    int *first = calloc(g->storage_count, sizeof *first), *last = calloc(g->storage_count, sizeof *last), interval = 0;
    for (uint32_t i = 0; i < g->storage_count; i++)
        first[i] = last[i] = -1;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct heed_node *node = &g->nodes[plan->steps[s].node];
        interval += plan->steps[s].barrier;
        for (uint32_t k = 0; k < HEED_NODE_INPUTS + HEED_NODE_OUTPUTS; k++) {
            const uint32_t value = k < HEED_NODE_INPUTS ? node->input[k] : node->output[k - HEED_NODE_INPUTS];
            const uint32_t storage = g->tensors[value].storage;
            if (value == 0)
                continue;
            first[storage] = first[storage] < 0 ? interval : first[storage];
            last[storage] = interval;
        }
    }
    uint64_t sum = 0;
    for (uint32_t a = 0; a < g->storage_count; a++) {
        if (g->storages[a].arg != UINT32_MAX || first[a] < 0)
            continue;
        const uint64_t begin = pp->places[a].offset, end = begin + g->storages[a].bytes;
        ck_assert_uint_le(end, plan->scratch_bytes);
        sum += g->storages[a].bytes;
        for (uint32_t b = 0; b < a; b++)
            if (g->storages[b].arg == UINT32_MAX && first[b] >= 0 && first[a] <= last[b] && first[b] <= last[a])
                ck_assert_msg(begin >= pp->places[b].offset + g->storages[b].bytes || pp->places[b].offset >= end,
                              "values of storages %u and %u lie in the same bytes", a, b);
    }
    ck_assert_uint_ge(pp->arena_sum, sum);
    free(first);
    free(last);
}

START_TEST(random_graphs)
{
    heed_pipeline *p = random_graph((uint64_t)_i);
    heed_plan *plan = compiled(&p);
    check_barriers(plan);
    if (!is_reference())
        check_arena(plan);
    heed_plan_destroy(&plan);
}
END_TEST

/* What the arena shares is what the values would be apart: against the oracle, which has no arena. */
START_TEST(random_graphs_run)
{
    heed_pipeline *p = random_graph(100 + (uint64_t)_i);
    heed_plan *plan;
    ck_assert_msg(heed_pipeline_compile(p, &plan) == HEED_OK, "%s", last_line);
    const struct heed_graph *g = &p->graph;
    heed_buffer *buffers[VALUES];
    struct heed_arg args[VALUES];
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    ck_assert_uint_le(info.args, VALUES);
    heed_device *reference;
    const struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = HEED_BACKEND_REFERENCE};
    ck_assert_int_eq(heed_device_create(context, &desc, &reference), HEED_OK);
    heed_device *devices[2] = {device, reference};
    float *results[2][VALUES];
    for (int d = 0; d < 2; d++) {
        heed_plan *own = plan;
        heed_pipeline *copy = NULL;
        if (d == 1) {
            heed_device *before = device;
            device = reference;
            copy = random_graph(100 + (uint64_t)_i);
            own = compiled(&copy);
            device = before;
        }
        for (uint32_t i = 0; i < info.args; i++) {
            struct heed_arg_info arg;
            ck_assert_int_eq(heed_plan_get_arg(own, i, &arg), HEED_OK);
            ck_assert_int_eq(heed_buffer_create(devices[d], arg.bytes, &buffers[i]), HEED_OK);
            float *data = calloc(arg.bytes / 4 + 1, 4);
            for (uint64_t e = 0; arg.dtype == HEED_F32 && e < arg.bytes / 4; e++)
                data[e] = (float)((e * 7919 + i * 31) % 101) / 100.0f - 0.5f;
            ck_assert_int_eq(heed_buffer_write(buffers[i], 0, data, arg.bytes), HEED_OK);
            free(data);
            args[i] = (struct heed_arg){arg.name, buffers[i], 0};
        }
        ck_assert_msg(heed_run(own, args, info.args, NULL) == HEED_OK, "%s", last_line);
        for (uint32_t i = 0; i < info.args; i++) {
            struct heed_arg_info arg;
            heed_plan_get_arg(own, i, &arg);
            results[d][i] = calloc(arg.bytes / 4 + 1, 4);
            ck_assert_int_eq(heed_buffer_read(buffers[i], 0, results[d][i], arg.bytes), HEED_OK);
            heed_buffer_destroy(&buffers[i]);
        }
        if (d == 1)
            heed_plan_destroy(&own);
    }
    for (uint32_t i = 0; i < info.args; i++) {
        struct heed_arg_info arg;
        heed_plan_get_arg(plan, i, &arg);
        double largest = 0, worst = 0;
        for (uint64_t e = 0; arg.output && arg.dtype == HEED_F32 && e < arg.bytes / 4; e++) {
            largest = fmax(largest, fabs((double)results[1][i][e]));
            worst = fmax(worst, fabs((double)results[0][i][e] - (double)results[1][i][e]));
        }
        /* Another value in a place is an error of the size of the values; f16 between the ops, of a thousandth. */
        ck_assert_msg(worst <= 0.02 * (largest + 1e-3), "\"%s\" is off by %g of %g", arg.name, worst, largest);
        free(results[0][i]);
        free(results[1][i]);
    }
    (void)g;
    heed_plan_destroy(&plan);
    heed_pipeline_destroy(&p);
    heed_device_destroy(&reference);
}
END_TEST

/* ---- a chain: two places, whatever its length */

START_TEST(chain_shares)
{
    heed_pipeline *p = begin();
    heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(64, 64));
    for (int i = 0; i < 10; i++)
        x = heed_combine(p, x, none, HEED_DESC(combine, .activation = HEED_TANH));
    heed_pipeline_output(p, "y", x);
    heed_plan *plan = compiled(&p);
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    if (!is_reference()) {
        ck_assert_uint_eq(info.scratch_bytes, 2 * 64 * 64 * 4);
        ck_assert_uint_eq(info.scratch_sum, 9 * 64 * 64 * 4);
        ck_assert_uint_eq(info.barriers, 9);
        ck_assert_uint_eq(info.dispatches, 10);
        ck_assert_uint_eq(info.pipelines, 1);
    }
    heed_plan_destroy(&plan);
}
END_TEST

/* Three products of the same input need no barrier between them. */
START_TEST(products_side_by_side)
{
    heed_pipeline *p = begin();
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, 9, 64));
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(64, 64));
    const heed_value q = heed_split_heads(p, heed_linear(p, x, w, NULL), 2);
    const heed_value k = heed_split_heads(p, heed_linear(p, x, w, NULL), 2);
    const heed_value v = heed_split_heads(p, heed_linear(p, x, w, NULL), 2);
    heed_pipeline_output(p, "o", heed_merge_heads(p, heed_attend(p, q, k, v, NULL)));
    heed_plan *plan = compiled(&p);
    for (uint32_t s = 0; s < plan->step_count && s < 3; s++)
        ck_assert(!plan->steps[s].barrier);
    check_barriers(plan);
    heed_plan_destroy(&plan);
}
END_TEST

/* ---- names */

START_TEST(names_are_checked)
{
    heed_plan *plan = sized_plan(4, false);
    heed_buffer *buffer;
    ck_assert_int_eq(heed_buffer_create(device, 65536, &buffer), HEED_OK);
    struct heed_arg args[] = {{"x", buffer, 0}, {"w", buffer, 16384}, {"y", buffer, 40960}, {"x", buffer, 0}};
    ck_assert_msg(heed_run(plan, args, 3, NULL) == HEED_OK, "%s", last_line);
    ck_assert_int_eq(heed_run(plan, args, 2, NULL), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "pipeline: argument \"y\" is missing");
    ck_assert_int_eq(heed_run(plan, args, 4, NULL), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "pipeline: argument \"x\" is given twice");
    args[2].offset = 512;
    ck_assert_int_eq(heed_run(plan, args, 3, NULL), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "pipeline: \"x\" and \"y\" overlap, and one of them is written");
    args[2] = (struct heed_arg){"z", buffer, 40960};
    ck_assert_int_eq(heed_run(plan, args, 3, NULL), HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "pipeline: \"z\" is no argument of this plan");
    args[2] = (struct heed_arg){"y", buffer, 40964};
    ck_assert_int_eq(heed_run(plan, args, 3, NULL), HEED_ERR_ARGUMENT);
    heed_buffer_destroy(&buffer);
    heed_plan_destroy(&plan);
}
END_TEST

START_TEST(texts)
{
    static char text[65536], dot[65536];
    size_t length;
    heed_pipeline *p = random_graph(7);
    ck_assert_int_eq(heed_pipeline_dot(p, dot, sizeof dot, &length), HEED_OK);
    ck_assert_uint_eq(length, strlen(dot));
    ck_assert_ptr_nonnull(strstr(dot, "digraph heed {"));
    ck_assert_ptr_nonnull(strstr(dot, "layer_norm"));
    heed_plan *plan = compiled(&p);
    ck_assert_int_eq(heed_explain_plan(plan, text, sizeof text, &length), HEED_OK);
    ck_assert_uint_eq(length, strlen(text));
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%u dispatches, %u barriers", info.dispatches, info.barriers);
    ck_assert_ptr_nonnull(strstr(text, wanted));
    size_t again;
    ck_assert_int_eq(heed_explain_plan(plan, dot, 10, &again), HEED_OK);
    ck_assert_uint_eq(again, length);
    ck_assert_uint_eq(strlen(dot), 9);
    heed_plan_destroy(&plan);
}
END_TEST

/* ---- threads: each builds, compiles and runs its own, and one plan is run by all */

struct worker {
    heed_plan *shared;
    float *expected;
    bool ok;
};

static void *work(void *user)
{
    struct worker *w = user;
    float *y = calloc(16 * 64, sizeof *y);
    w->ok = true;
    for (int i = 0; i < 3 && w->ok; i++) {
        heed_plan *own = sized_plan(16, false);
        run_sized(i % 2 ? own : w->shared, y, 16);
        w->ok = memcmp(y, w->expected, 16 * 64 * sizeof *y) == 0;
        heed_plan_destroy(&own);
    }
    free(y);
    return NULL;
}

START_TEST(threads)
{
    static float expected[16 * 64];
    heed_plan *shared = sized_plan(16, false);
    run_sized(shared, expected, 16);
    struct worker workers[3];
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        workers[i] = (struct worker){shared, expected, false};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        ck_assert(workers[i].ok);
    }
    heed_plan_destroy(&shared);
}
END_TEST

/* ---- host memory that runs out, at every allocation in turn */

struct memory {
    uint32_t allocations, fail_at; /* 0: none fails */
    int live;
};

static void *alloc_counted(void *user, size_t bytes)
{
    struct memory *memory = user;
    if (++memory->allocations == memory->fail_at)
        return NULL;
    memory->live++;
    return malloc(bytes);
}

static void free_counted(void *user, void *block)
{
    struct memory *memory = user;
    memory->live -= block != NULL;
    free(block);
}

/* Everything that allocates, once; the first error ends it. */
static enum heed_status build_and_compile(heed_device *on)
{
    heed_pipeline *p;
    heed_plan *plan = NULL, *smaller = NULL;
    enum heed_status status = heed_pipeline_create(on, NULL, &p);
    if (status != HEED_OK)
        return status;
    const uint32_t rows = heed_pipeline_add_size(p, "rows", 9);
    heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, rows, 32));
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(32, 32));
    for (int i = 0; i < 6; i++)
        x = heed_linear(p, heed_layer_norm(p, x, NULL), w, HEED_DESC(linear, .residual = x));
    const heed_value heads = heed_split_heads(p, x, 2);
    heed_pipeline_output(p, "y", heed_merge_heads(p, heed_attend(p, heads, heads, heads, NULL)));
    status = heed_pipeline_compile(p, &plan);
    heed_pipeline_destroy(&p);
    if (status == HEED_OK)
        status = heed_plan_create_resized(plan, &(struct heed_size){"rows", 4}, 1, &smaller);
    heed_plan_destroy(&smaller);
    heed_plan_destroy(&plan);
    return status;
}

START_TEST(out_of_host_memory)
{
    struct memory memory = {0};
    const struct heed_context_desc desc = {.struct_size = sizeof desc,
                                           .allocator = {alloc_counted, free_counted, &memory}};
    const struct heed_device_desc reference = {.struct_size = sizeof reference, .backend = HEED_BACKEND_REFERENCE};
    heed_context *own;
    heed_device *on;
    ck_assert_int_eq(heed_context_create(&desc, &own), HEED_OK);
    /* Lowering has allocations that the reference has not; the driver compiles once, and then shares. */
    ck_assert_int_eq(heed_device_create(own, _i ? NULL : &reference, &on), HEED_OK);
    ck_assert_int_eq(build_and_compile(on), HEED_OK);
    const int live = memory.live;
    memory.allocations = 0;
    ck_assert_int_eq(build_and_compile(on), HEED_OK);
    const uint32_t count = memory.allocations;
    ck_assert_uint_gt(count, 10);
    for (uint32_t n = 1; n <= count; n++) {
        memory.allocations = 0;
        memory.fail_at = n;
        ck_assert_msg(build_and_compile(on) == HEED_ERR_HOST_MEMORY, "allocation %u of %u", n, count);
        memory.fail_at = 0;
        ck_assert_msg(memory.live == live, "allocation %u of %u leaves %d blocks", n, count, memory.live - live);
    }
    heed_device_destroy(&on);
    heed_context_destroy(&own);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

/* Runs a chain of which one barrier was taken away: the validation layer has to see it. */
static int run_without_barrier(void)
{
    heed_pipeline *p;
    heed_plan *plan = NULL;
    heed_buffer *buffer = NULL;
    if (heed_pipeline_create(device, NULL, &p) != HEED_OK)
        return EXIT_FAILURE;
    heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(64, 64));
    for (int i = 0; i < 4; i++)
        x = heed_combine(p, x, none, HEED_DESC(combine, .activation = HEED_TANH));
    heed_pipeline_output(p, "y", x);
    bool ok = heed_pipeline_compile(p, &plan) == HEED_OK && plan->step_count == 4 && plan->steps[2].barrier &&
              heed_buffer_create(device, 2 * 64 * 64 * 4, &buffer) == HEED_OK;
    const struct heed_arg args[] = {{"x", buffer, 0}, {"y", buffer, 64 * 64 * 4}};
    if (ok)
        plan->steps[2].barrier = false;
    ok = ok && heed_run(plan, args, 2, NULL) == HEED_OK;
    heed_buffer_destroy(&buffer);
    heed_plan_destroy(&plan);
    heed_pipeline_destroy(&p);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line};
    if (heed_context_create(&desc, &context) != HEED_OK || heed_device_create(context, NULL, &device) != HEED_OK)
        return EXIT_FAILURE;
    if (argc > 1 && strcmp(argv[1], "without_barrier") == 0) {
        const int status = run_without_barrier();
        heed_device_destroy(&device);
        heed_context_destroy(&context);
        return status;
    }
    Suite *suite = suite_create("pipeline");
    TCase *tcase = tcase_create("pipeline");
    tcase_add_loop_test(tcase, mistakes, 0, MISTAKES);
    tcase_add_test(tcase, one_product_for_three);
    tcase_add_test(tcase, two_way_transformer_of_no_layers);
    tcase_add_test(tcase, no_output);
    tcase_add_test(tcase, shapes);
    tcase_add_loop_test(tcase, random_graphs, 0, 40);
    tcase_add_loop_test(tcase, random_graphs_run, 0, 6);
    tcase_add_test(tcase, chain_shares);
    tcase_add_test(tcase, products_side_by_side);
    tcase_add_test(tcase, names_are_checked);
    tcase_add_test(tcase, texts);
    tcase_add_test(tcase, threads);
    tcase_add_loop_test(tcase, out_of_host_memory, 0, 2);
    add_pipeline_runs(tcase);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a device does not survive fork() */
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    heed_device_destroy(&device);
    heed_context_destroy(&context);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
