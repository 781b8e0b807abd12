/* SPDX-License-Identifier: MIT
 * Pipelines at work: sizes with bounds, where the time goes, and a block against its formula in plain C. */
#include "check_pipeline.h"

#include <heed/heed_blocks.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- sizes */

START_TEST(sizes_share_pipelines)
{
    enum { MOST = 100 };
    static float expected[MOST * 64], got[MOST * 64];
    heed_plan *most = sized_plan(MOST, true), *smaller;
    ck_assert_int_eq(heed_plan_create_resized(most, &(struct heed_size){"rows", MOST + 1}, 1, &smaller),
                     HEED_ERR_ARGUMENT);
    ck_assert_str_eq(last_line, "pipeline: size \"rows\" of 101 is more than 100, its most");
    ck_assert_int_eq(heed_plan_create_resized(most, &(struct heed_size){"columns", 1}, 1, &smaller), HEED_ERR_ARGUMENT);
    static const uint32_t rows[] = {100, 37, 9, 1, 64};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(heed_plan_create_resized(most, &(struct heed_size){"rows", rows[i]}, 1, &smaller) == HEED_OK,
                      "%s", last_line);
        struct heed_plan_info info, most_info;
        heed_plan_get_info(smaller, &info);
        heed_plan_get_info(most, &most_info);
        ck_assert_uint_eq(info.pipelines_shared, info.pipelines); /* nothing is compiled */
        ck_assert_uint_le(info.scratch_bytes, most_info.scratch_bytes);
        run_sized(smaller, got, rows[i]);
        heed_plan_destroy(&smaller);
        run_sized(most, expected, MOST);
        /* Rows depend on themselves alone. The inputs of row r are those of the larger plan's row r. */
        ck_assert_mem_eq(got, expected, rows[i] * 64 * 4);
    }
    ck_assert_int_eq(heed_plan_create_resized(most, &(struct heed_size){"rows", 0}, 1, &smaller), HEED_OK);
    heed_plan_destroy(&smaller);
    heed_plan_destroy(&most);
}
END_TEST

/* Attention of sized rows to sized keys, from one plan for the most. */
static void attend_resized(heed_device *on, uint32_t rows, uint32_t keys, float *o)
{
    heed_device *before = device;
    device = on;
    heed_pipeline *p = begin();
    const uint32_t len_q = heed_pipeline_add_size(p, "rows", 40), len_kv = heed_pipeline_add_size(p, "keys", 70);
    const heed_value q = heed_pipeline_input(p, "q", HEED_F32, heed_shape_3(2, len_q, 48));
    const heed_value kv = heed_pipeline_input(p, "kv", HEED_F32, heed_shape_3(2, len_kv, 48));
    const heed_value keyed = heed_split_heads(p, heed_combine(p, kv, none, NULL), 3);
    heed_pipeline_output(p, "o",
                         heed_merge_heads(p, heed_attend(p, heed_split_heads(p, q, 3), keyed, keyed,
                                                         HEED_DESC(attend, .causal = rows == 3))));
    heed_plan *most = compiled(&p), *plan;
    const struct heed_size sizes[] = {{"rows", rows}, {"keys", keys}};
    ck_assert_msg(heed_plan_create_resized(most, sizes, 2, &plan) == HEED_OK, "%s", last_line);
    heed_plan_destroy(&most);
    const uint64_t counts[3] = {2 * rows * 48, 2 * keys * 48, 2 * rows * 48};
    heed_buffer *buffers[3];
    struct heed_arg args[3];
    for (uint32_t i = 0; i < 3; i++) {
        struct heed_arg_info arg;
        ck_assert_int_eq(heed_plan_get_arg(plan, i, &arg), HEED_OK);
        ck_assert_uint_eq(arg.bytes, 4 * counts[i]);
        float *data = calloc(counts[i], sizeof *data);
        for (uint64_t e = 0; e < counts[i]; e++)
            data[e] = (float)((e * 37 + i) % 23) / 11.0f - 1.0f;
        ck_assert_int_eq(heed_buffer_create(device, arg.bytes, &buffers[i]), HEED_OK);
        ck_assert_int_eq(heed_buffer_write(buffers[i], 0, data, arg.bytes), HEED_OK);
        free(data);
        args[i] = (struct heed_arg){arg.name, buffers[i], 0};
    }
    ck_assert_msg(heed_run(plan, args, 3, NULL) == HEED_OK, "%s", last_line);
    ck_assert_int_eq(heed_buffer_read(buffers[2], 0, o, 4 * counts[2]), HEED_OK);
    for (uint32_t i = 0; i < 3; i++)
        heed_buffer_destroy(&buffers[i]);
    heed_plan_destroy(&plan);
    device = before;
}

START_TEST(sized_attention)
{
    static const uint32_t sizes[][2] = {{40, 70}, {3, 70}, {17, 1}, {1, 33}, {33, 64}};
    static float expected[2 * 40 * 48], got[2 * 40 * 48];
    heed_device *reference;
    const struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = HEED_BACKEND_REFERENCE};
    ck_assert_int_eq(heed_device_create(context, &desc, &reference), HEED_OK);
    attend_resized(device, sizes[_i][0], sizes[_i][1], got);
    attend_resized(reference, sizes[_i][0], sizes[_i][1], expected);
    for (uint32_t e = 0; e < 2 * sizes[_i][0] * 48; e++)
        ck_assert_msg(fabs((double)got[e] - (double)expected[e]) < 1e-5, "o[%u] is %g, not %g", e, (double)got[e],
                      (double)expected[e]);
    heed_device_destroy(&reference);
}
END_TEST

/* ---- where the time goes */

enum { PROFILED_ARGS = 8, OPS = 3 };

static uint64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A product of 33 million multiplications between two ops of four numbers, and a view, which is no op. */
static heed_plan *product_between_dwarfs(void)
{
    heed_pipeline *p = begin();
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(512, 256));
    const heed_value w = heed_pipeline_input(p, "w", HEED_F32, heed_shape_2(256, 256));
    const heed_value few = heed_pipeline_input(p, "few", HEED_F32, heed_shape_2(1, 4));
    const heed_value dwarf = heed_combine(p, few, none, HEED_DESC(combine, .scale = 2));
    heed_pipeline_output(p, "product", heed_linear(p, heed_reshape(p, x, heed_shape_3(1, 512, 256)), w, NULL));
    heed_pipeline_output(p, "norm", heed_rms_norm(p, dwarf, NULL));
    return compiled(&p);
}

START_TEST(times_of_ops)
{
    static const char *const wanted[OPS] = {"combine", "linear", "rms_norm"};
    static const char *const kernels[OPS] = {"combine", "linear", "norm"};
    heed_plan *plan = product_between_dwarfs();
    struct heed_plan_info info;
    struct heed_arg args[PROFILED_ARGS];
    struct heed_op_time times[OPS + 1] = {{0}};
    uint32_t count;
    heed_plan_get_info(plan, &info);
    ck_assert_uint_le(info.args, PROFILED_ARGS);
    ck_assert_int_eq(heed_profile(plan, NULL, 0, NULL, 0, &count), HEED_OK);
    ck_assert_uint_eq(count, OPS);
    ck_assert_int_eq(heed_profile(plan, NULL, 0, times, OPS, &count), HEED_ERR_ARGUMENT);
    ck_assert_msg(strstr(last_line, "missing") != NULL, "%s", last_line);
    ck_assert_int_eq(heed_profile(plan, NULL, 0, NULL, OPS, &count), HEED_ERR_ARGUMENT);
    ck_assert_int_eq(heed_profile(plan, NULL, 0, times, OPS, NULL), HEED_ERR_ARGUMENT);
    uint32_t given = 0, norm = 0;
    for (uint32_t i = 0; i < info.args; i++) {
        struct heed_arg_info arg;
        ck_assert_int_eq(heed_plan_get_arg(plan, i, &arg), HEED_OK);
        if (strcmp(arg.name, "scratch") == 0)
            continue;
        if (strcmp(arg.name, "norm") == 0)
            norm = given;
        args[given].name = arg.name;
        args[given].offset = 0;
        ck_assert_int_eq(heed_buffer_create(device, arg.bytes, &args[given++].buffer), HEED_OK);
        const float ones[4] = {1, 1, 1, 1};
        ck_assert_int_eq(heed_buffer_write(args[given - 1].buffer, 0, ones, sizeof ones), HEED_OK);
    }
    ck_assert_int_eq(heed_run(plan, args, given, NULL), HEED_OK);

    uint64_t least[OPS] = {UINT64_MAX, UINT64_MAX,
                           UINT64_MAX}; /* of a few runs: other processes want the processor too */
    for (int run = 0; run < 5; run++) {
        const uint64_t start = wall_ns();
        ck_assert_msg(heed_profile(plan, args, given, times, OPS + 1, &count) == HEED_OK, "%s", last_line);
        const uint64_t wall = wall_ns() - start;
        ck_assert_uint_eq(count, OPS);
        ck_assert_uint_le(times[0].ns + times[1].ns + times[2].ns, wall);
        for (int i = 0; i < OPS; i++)
            least[i] = times[i].ns < least[i] ? times[i].ns : least[i];
    }
    for (int i = 0; i < OPS; i++) {
        ck_assert_str_eq(times[i].op, wanted[i]);
        ck_assert_msg(strncmp(times[i].kernel, is_reference() ? "reference" : kernels[i], 4) == 0, "%s",
                      times[i].kernel);
    }
    ck_assert_ptr_null(times[OPS].op);
    ck_assert_uint_gt(least[1], least[0] + least[2]);
    float y[4];
    ck_assert_int_eq(heed_buffer_read(args[norm].buffer, 0, y, sizeof y), HEED_OK);
    ck_assert_float_eq_tol(y[3], 1, 1e-4);

    times[1].op = NULL; /* no more than fits */
    ck_assert_int_eq(heed_profile(plan, args, given, times, 1, &count), HEED_OK);
    ck_assert_uint_eq(count, OPS);
    ck_assert_ptr_null(times[1].op);
    while (given > 0)
        heed_buffer_destroy(&args[--given].buffer);
    heed_plan_destroy(&plan);
}
END_TEST

/* A plan of one op has one time. */
START_TEST(time_of_attention)
{
    struct heed_attention_desc d = HEED_ATTENTION_DESC_INIT;
    d.batch = d.heads_q = d.heads_kv = 1;
    d.len_q = d.len_kv = 64;
    d.dim_qk = d.dim_v = 32;
    heed_plan *plan;
    ck_assert_int_eq(heed_plan_create_attention(device, &d, &plan), HEED_OK);
    struct heed_arg args[] = {{.name = "q"}, {.name = "k"}, {.name = "v"}, {.name = "o"}};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(heed_buffer_create(device, 64 * 32 * 4, &args[i].buffer), HEED_OK);
    struct heed_op_time time;
    struct heed_plan_info info;
    uint32_t count;
    heed_plan_get_info(plan, &info);
    ck_assert_msg(heed_profile(plan, args, 4, &time, 1, &count) == HEED_OK, "%s", last_line);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(time.op, "attention");
    ck_assert_str_eq(time.kernel, info.kernel);
    ck_assert_uint_gt(time.ns, 0);
    for (int i = 0; i < 4; i++)
        heed_buffer_destroy(&args[i].buffer);
    heed_plan_destroy(&plan);
}
END_TEST

/* ---- a block against its formula, written out */

enum { ROWS = 3, KEYS = 5, DIM = 8, HEADS = 2, HEAD = DIM / HEADS };

static double weight_of(int which, int out, int in)
{
    return ((which * 13 + out * 7 + in * 5) % 17 - 8) / 16.0;
}

static double input_of(int which, int row, int d)
{
    return ((which * 3 + row * 11 + d * 7) % 23 - 11) / 8.0;
}

static void project(double y[][DIM], double x[][DIM], int rows, int which)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < DIM; o++) {
            y[r][o] = 0;
            for (int i = 0; i < DIM; i++)
                y[r][o] += x[r][i] * weight_of(which, o, i);
        }
}

/* y = x + tanh(1/2) * (attention(norm(x), memory) Wo): the formula of heed_blocks.h. */
static void formula(double y[ROWS][DIM])
{
    double x[ROWS][DIM], from[ROWS][DIM], memory[KEYS][DIM], q[ROWS][DIM], k[KEYS][DIM], v[KEYS][DIM],
        o[ROWS][DIM] = {{0}}, projected[ROWS][DIM];
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, square = 0;
        for (int d = 0; d < DIM; d++)
            mean += (x[r][d] = input_of(0, r, d)) / DIM;
        for (int d = 0; d < DIM; d++)
            square += (x[r][d] - mean) * (x[r][d] - mean) / DIM;
        for (int d = 0; d < DIM; d++)
            from[r][d] = (x[r][d] - mean) / sqrt(square + (double)1e-5f) * (1 + d / 8.0);
    }
    for (int r = 0; r < KEYS; r++)
        for (int d = 0; d < DIM; d++)
            memory[r][d] = input_of(1, r, d);
    project(q, from, ROWS, 0);
    project(k, memory, KEYS, 1);
    project(v, memory, KEYS, 2);
    for (int h = 0; h < HEADS; h++)
        for (int r = 0; r < ROWS; r++) {
            double p[KEYS], sum = 0;
            for (int j = 0; j < KEYS; j++) {
                double s = 0;
                for (int d = h * HEAD; d < (h + 1) * HEAD; d++)
                    s += q[r][d] * k[j][d];
                sum += p[j] = exp(s / sqrt(HEAD));
            }
            for (int j = 0; j < KEYS; j++)
                for (int d = h * HEAD; d < (h + 1) * HEAD; d++)
                    o[r][d] += p[j] / sum * v[j][d];
        }
    project(projected, o, ROWS, 3);
    for (int r = 0; r < ROWS; r++)
        for (int d = 0; d < DIM; d++)
            y[r][d] = x[r][d] + tanh(0.5) * projected[r][d];
}

START_TEST(block_is_its_formula)
{
    static const char *const names[] = {"x", "memory", "w0", "w1", "w2", "w3", "gain", "gate", "y"};
    enum { COUNT = sizeof names / sizeof *names };
    heed_pipeline *p = begin();
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, ROWS, DIM));
    const heed_value memory = heed_pipeline_input(p, "memory", HEED_F32, heed_shape_3(1, KEYS, DIM));
    heed_value w[4];
    for (int i = 0; i < 4; i++)
        w[i] = heed_pipeline_input(p, names[2 + i], HEED_F32, heed_shape_2(DIM, DIM));
    const heed_value gain = heed_pipeline_input(p, "gain", HEED_F32, heed_shape_1(DIM));
    const heed_value gate = heed_pipeline_input(p, "gate", HEED_F32, heed_shape_1(1));
    heed_pipeline_output(p, "y",
                         heed_block_attention(p, x, memory,
                                              HEED_DESC(block_attention, .heads = HEADS, .pre = {gain, none, 0},
                                                        .gate = gate, .weights = {w[0], w[1], w[2], w[3]})));
    heed_plan *plan = compiled(&p);
    float data[COUNT][DIM * DIM] = {{0}};
    for (int i = 0; i < DIM * DIM; i++) {
        data[0][i] = i < ROWS * DIM ? (float)input_of(0, i / DIM, i % DIM) : 0;
        data[1][i] = i < KEYS * DIM ? (float)input_of(1, i / DIM, i % DIM) : 0;
        for (int n = 0; n < 4; n++)
            data[2 + n][i] = (float)weight_of(n, i / DIM, i % DIM);
        data[6][i] = 1 + (float)(i % DIM) / 8;
    }
    data[7][0] = 0.5f;
    heed_buffer *buffers[COUNT];
    struct heed_arg args[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(heed_buffer_create(device, sizeof data[i], &buffers[i]), HEED_OK);
        ck_assert_int_eq(heed_buffer_write(buffers[i], 0, data[i], sizeof data[i]), HEED_OK);
        args[i] = (struct heed_arg){names[i], buffers[i], 0};
    }
    ck_assert_msg(heed_run(plan, args, COUNT, NULL) == HEED_OK, "%s", last_line);
    float y[ROWS][DIM];
    double expected[ROWS][DIM];
    ck_assert_int_eq(heed_buffer_read(buffers[COUNT - 1], 0, y, sizeof y), HEED_OK);
    formula(expected);
    for (int r = 0; r < ROWS; r++)
        for (int d = 0; d < DIM; d++)
            ck_assert_msg(fabs((double)y[r][d] - expected[r][d]) < 1e-5, "y[%d][%d] is %g, not %g", r, d,
                          (double)y[r][d], expected[r][d]);
    for (int i = 0; i < COUNT; i++)
        heed_buffer_destroy(&buffers[i]);
    heed_plan_destroy(&plan);
}
END_TEST

void add_pipeline_runs(TCase *tcase)
{
    tcase_add_test(tcase, sizes_share_pipelines);
    tcase_add_loop_test(tcase, sized_attention, 0, 5);
    tcase_add_test(tcase, times_of_ops);
    tcase_add_test(tcase, time_of_attention);
    tcase_add_test(tcase, block_is_its_formula);
}
