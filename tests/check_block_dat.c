/* SPDX-License-Identifier: MIT
 * The block of DAT against its formula, written out as its authors' code has it: places from -1 to 1, grid_sample with
 * align_corners. On the reference, whose result is the formula's but for its last rounding; the kernels are measured
 * against the reference (tests/ops/blocks.txt). And what the block refuses. */
#include <heed/heed_blocks.h>

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 2, HEIGHT = 4, WIDTH = 5, QUERIES = HEIGHT * WIDTH, DIM = 8, HEADS = 4, GROUPS = 2 };
enum { PART = DIM / GROUPS, HEAD = DIM / HEADS, GROUP_HEADS = HEADS / GROUPS, KERNEL = 3, STRIDE = 2 };
enum {
    ROWS = (HEIGHT + 2 * (KERNEL / 2) - KERNEL) / STRIDE + 1,
    COLUMNS = (WIDTH + 2 * (KERNEL / 2) - KERNEL) / STRIDE + 1
};
enum { POINTS = ROWS * COLUMNS, TABLE_HEIGHT = 2 * HEIGHT - 1, TABLE_WIDTH = 2 * WIDTH - 1 };

static heed_context *context;
static heed_device *device;
static char last_line[1024];

static const heed_value none = {0};

static void log_line(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    if (level == HEED_LOG_ERROR)
        snprintf(last_line, sizeof last_line, "%s", text);
}

static void open_device(void)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line};
    const struct heed_device_desc wanted = {.struct_size = sizeof wanted, .backend = HEED_BACKEND_REFERENCE};
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
    ck_assert_int_eq(heed_device_create(context, &wanted, &device), HEED_OK);
}

static void close_device(void)
{
    heed_device_destroy(&device);
    heed_context_destroy(&context);
}

/* ---- numbers */

/* In the order of `arguments`. */
static struct {
    float x[BATCH][QUERIES][DIM];
    float wq[DIM][DIM], bq[DIM], wk[DIM][DIM], bk[DIM], wv[DIM][DIM], bv[DIM], wo[DIM][DIM], bo[DIM];
    float conv[PART][KERNEL][KERNEL], conv_bias[PART], gain[PART], shift[PART];
    float w_offset[2][PART]; /* y, x: DAT's order */
    float table[HEADS][TABLE_HEIGHT][TABLE_WIDTH];
} in;

/* What the block is told, by DAT's formulas, with a factor of 2. */
static struct {
    float w_offset[2][PART], range[2], reference[POINTS][2], query_place[QUERIES][2];
} told;

static const double factor = 2;

static void make_numbers(void)
{
    float *numbers = (float *)&in;
    uint32_t state = 7;
    for (size_t i = 0; i < sizeof in / sizeof *numbers; i++) {
        state = state * 1664525 + 1013904223;
        numbers[i] = (float)(state >> 8) / (1 << 23) - 1;
    }
    for (int c = 0; c < PART; c++) {
        told.w_offset[0][c] = in.w_offset[1][c];
        told.w_offset[1][c] = in.w_offset[0][c];
    }
    told.range[0] = (float)(factor / (COLUMNS - 1) / 2);
    told.range[1] = (float)(factor / (ROWS - 1) / 2);
    for (int i = 0; i < POINTS; i++) {
        told.reference[i][0] = (i % COLUMNS + 0.5f) / (COLUMNS - 1);
        told.reference[i][1] = ((float)(i / COLUMNS) + 0.5f) / (ROWS - 1);
    }
    for (int i = 0; i < QUERIES; i++) {
        told.query_place[i][0] = (float)(i % WIDTH) / (WIDTH - 1) / 2 + 0.5f;
        told.query_place[i][1] = (float)(i / WIDTH) / (HEIGHT - 1) / 2 + 0.5f;
    }
}

/* ---- the formula */

static void project(double y[][DIM], double x[][DIM], int rows, float weight[DIM][DIM], const float *bias)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < DIM; o++) {
            y[r][o] = (double)bias[o];
            for (int i = 0; i < DIM; i++)
                y[r][o] += x[r][i] * (double)weight[o][i];
        }
}

/* The place (y, x), -1..1, of an image whose pixels are `step` floats apart: bilinear, 0 outside. */
static double grid_sample(const float *image, int step, int height, int width, const double place[2])
{
    const double y = (place[0] + 1) / 2 * (height - 1), x = (place[1] + 1) / 2 * (width - 1);
    double sum = 0;
    for (int j = (int)floor(y); j <= (int)floor(y) + 1; j++)
        for (int i = (int)floor(x); i <= (int)floor(x) + 1; i++)
            if (j >= 0 && j < height && i >= 0 && i < width)
                sum += (1 - fabs(y - j)) * (1 - fabs(x - i)) * (double)image[(j * width + i) * step];
    return sum;
}

/* Where a group's points are, (y, x), -1..1. */
static void find_points(double place[POINTS][2], double q[QUERIES][DIM], int group)
{
    for (int p = 0; p < POINTS; p++) {
        double h[PART], mean = 0, square = 0;
        for (int c = 0; c < PART; c++) {
            h[c] = (double)in.conv_bias[c];
            for (int j = 0; j < KERNEL; j++)
                for (int i = 0; i < KERNEL; i++) {
                    const int y = p / COLUMNS * STRIDE + j - KERNEL / 2, x = p % COLUMNS * STRIDE + i - KERNEL / 2;
                    if (y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH)
                        h[c] += (double)in.conv[c][j][i] * q[y * WIDTH + x][group * PART + c];
                }
            mean += h[c] / PART;
        }
        for (int c = 0; c < PART; c++)
            square += (h[c] - mean) * (h[c] - mean) / PART;
        const int size[2] = {ROWS, COLUMNS}, at[2] = {p / COLUMNS, p % COLUMNS};
        for (int a = 0; a < 2; a++) {
            double offset = 0;
            for (int c = 0; c < PART; c++) {
                const double n =
                    (h[c] - mean) / sqrt(square + (double)1e-5f) * (double)in.gain[c] + (double)in.shift[c];
                offset += (double)in.w_offset[a][c] * 0.5 * n * (1 + erf(n / sqrt(2)));
            }
            place[p][a] = tanh(offset) * factor / (size[a] - 1) + (at[a] + 0.5) / (size[a] - 1) * 2 - 1;
        }
    }
}

/* y of one image, without its residual. */
static void formula(double y[QUERIES][DIM], float x_in[QUERIES][DIM], bool biased)
{
    double x[QUERIES][DIM], q[QUERIES][DIM], z[POINTS][DIM], k[POINTS][DIM], v[POINTS][DIM], o[QUERIES][DIM] = {{0}};
    double place[GROUPS][POINTS][2];
    for (int i = 0; i < QUERIES * DIM; i++)
        x[i / DIM][i % DIM] = (double)x_in[i / DIM][i % DIM];
    project(q, x, QUERIES, in.wq, in.bq);
    for (int g = 0; g < GROUPS; g++) {
        find_points(place[g], q, g);
        for (int p = 0; p < POINTS; p++)
            for (int c = g * PART; c < (g + 1) * PART; c++)
                z[p][c] = grid_sample(&x_in[0][c], DIM, HEIGHT, WIDTH, place[g][p]);
    }
    project(k, z, POINTS, in.wk, in.bk);
    project(v, z, POINTS, in.wv, in.bv);
    for (int h = 0; h < HEADS; h++)
        for (int r = 0; r < QUERIES; r++) {
            double share[POINTS], sum = 0;
            for (int p = 0; p < POINTS; p++) {
                const double *to = place[h / GROUP_HEADS][p];
                const double apart[2] = {((double)(r / WIDTH) / (HEIGHT - 1) * 2 - 1 - to[0]) / 2,
                                         ((double)(r % WIDTH) / (WIDTH - 1) * 2 - 1 - to[1]) / 2};
                double s = 0;
                for (int d = h * HEAD; d < (h + 1) * HEAD; d++)
                    s += q[r][d] * k[p][d] / sqrt(HEAD);
                if (biased)
                    s += grid_sample(in.table[h][0], 1, TABLE_HEIGHT, TABLE_WIDTH, apart);
                sum += share[p] = exp(s);
            }
            for (int p = 0; p < POINTS; p++)
                for (int d = h * HEAD; d < (h + 1) * HEAD; d++)
                    o[r][d] += share[p] / sum * v[p][d];
        }
    project(y, o, QUERIES, in.wo, in.bo);
}

/* ---- the block */

static const struct argument {
    const char *name;
    struct heed_shape shape;
    void *data;
} arguments[] = {
    {"x", {3, {BATCH, QUERIES, DIM}}, in.x},
    {"wq", {2, {DIM, DIM}}, in.wq},
    {"bq", {1, {DIM}}, in.bq},
    {"wk", {2, {DIM, DIM}}, in.wk},
    {"bk", {1, {DIM}}, in.bk},
    {"wv", {2, {DIM, DIM}}, in.wv},
    {"bv", {1, {DIM}}, in.bv},
    {"wo", {2, {DIM, DIM}}, in.wo},
    {"bo", {1, {DIM}}, in.bo},
    {"conv", {4, {PART, 1, KERNEL, KERNEL}}, in.conv},
    {"conv_bias", {1, {PART}}, in.conv_bias},
    {"gain", {1, {PART}}, in.gain},
    {"shift", {1, {PART}}, in.shift},
    {"w_offset", {2, {2, PART}}, told.w_offset},
    {"range", {1, {2}}, told.range},
    {"reference", {2, {POINTS, 2}}, told.reference},
    {"table", {3, {HEADS, TABLE_HEIGHT, TABLE_WIDTH}}, in.table},
    {"query_place", {2, {QUERIES, 2}}, told.query_place},
};
enum { ARGUMENTS = sizeof arguments / sizeof *arguments };

static struct heed_block_dat_desc describe(heed_pipeline *p, heed_value *x, bool biased)
{
    heed_value v[ARGUMENTS] = {{0}};
    for (int i = 0; i < ARGUMENTS - 2 * !biased; i++)
        v[i] = heed_pipeline_input(p, arguments[i].name, HEED_F32, arguments[i].shape);
    *x = v[0];
    return (struct heed_block_dat_desc){
        .struct_size = sizeof(struct heed_block_dat_desc),
        .height = HEIGHT,
        .width = WIDTH,
        .heads = HEADS,
        .groups = GROUPS,
        .stride = STRIDE,
        .padding = KERNEL / 2,
        .weights = {v[1], v[3], v[5], v[7], v[2], v[4], v[6], v[8]},
        .conv = v[9],
        .conv_bias = v[10],
        .norm = {v[11], v[12], 0},
        .w_offset = v[13],
        .range = v[14],
        .reference = v[15],
        .table = v[16],
        .query_place = v[17],
    };
}

static uint64_t bytes_of(const struct heed_shape *shape)
{
    uint64_t bytes = sizeof(float);
    for (uint32_t a = 0; a < shape->axes; a++)
        bytes *= shape->length[a];
    return bytes;
}

static void run(heed_pipeline *p, int inputs, float *y)
{
    heed_plan *plan = NULL;
    heed_buffer *buffers[ARGUMENTS + 1];
    struct heed_arg args[ARGUMENTS + 1];
    ck_assert_msg(heed_pipeline_compile(p, &plan) == HEED_OK, "%s", last_line);
    for (int i = 0; i <= inputs; i++) {
        const uint64_t bytes = i < inputs ? bytes_of(&arguments[i].shape) : sizeof in.x;
        ck_assert_int_eq(heed_buffer_create(device, bytes, &buffers[i]), HEED_OK);
        if (i < inputs)
            ck_assert_int_eq(heed_buffer_write(buffers[i], 0, arguments[i].data, bytes), HEED_OK);
        args[i] = (struct heed_arg){i < inputs ? arguments[i].name : "y", buffers[i], 0};
    }
    ck_assert_msg(heed_run(plan, args, (uint32_t)inputs + 1, NULL) == HEED_OK, "%s", last_line);
    ck_assert_int_eq(heed_buffer_read(buffers[inputs], 0, y, sizeof in.x), HEED_OK);
    for (int i = 0; i <= inputs; i++)
        heed_buffer_destroy(&buffers[i]);
    heed_plan_destroy(&plan);
}

START_TEST(dat_is_its_formula)
{
    const bool biased = _i & 1, alone = _i & 2;
    static float y[BATCH][QUERIES][DIM];
    heed_pipeline *p;
    heed_value x;
    make_numbers();
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    struct heed_block_dat_desc d = describe(p, &x, biased);
    d.no_residual = alone;
    heed_pipeline_output(p, "y", heed_block_dat(p, x, &d));
    run(p, biased ? ARGUMENTS : ARGUMENTS - 2, y[0][0]);
    heed_pipeline_destroy(&p);
    double largest = 0;
    for (int b = 0; b < BATCH; b++) {
        double expected[QUERIES][DIM];
        formula(expected, in.x[b], biased);
        for (int i = 0; i < QUERIES * DIM; i++) {
            const double e = expected[i / DIM][i % DIM] + (alone ? 0 : (double)in.x[b][i / DIM][i % DIM]);
            /* y is rounded to f32, and so are the grids: 2^-24 of a place moves a sample by that much of its slope. */
            ck_assert_double_eq_tol((double)y[b][i / DIM][i % DIM], e, ldexp(fabs(e) + 2, -24));
            largest = fmax(largest, fabs(e));
        }
    }
    ck_assert_double_gt(largest, 1);
}
END_TEST

/* ---- what is refused */

static void no_size(struct heed_block_dat_desc *d)
{
    d->struct_size = 8;
}
static void other_height(struct heed_block_dat_desc *d)
{
    d->height++;
}
static void no_heads(struct heed_block_dat_desc *d)
{
    d->heads = 0;
}
static void three_groups(struct heed_block_dat_desc *d)
{
    d->groups = 3;
}
static void no_reference(struct heed_block_dat_desc *d)
{
    d->reference = none;
}
static void no_place(struct heed_block_dat_desc *d)
{
    d->query_place = none;
}
static void other_stride(struct heed_block_dat_desc *d)
{
    d->stride = 1;
}

static const struct {
    void (*change)(struct heed_block_dat_desc *d);
    const char *line;
} refused[] = {
    {no_size, "block dat: struct_size 8 is not that of its descriptor"},
    {other_height, "block dat: x of 3 axes is not [batch][height 5 * width 5][features]"},
    {no_heads, "block dat: 0 heads and 8 features are not both a multiple of 2 groups"},
    {three_groups, "block dat: 4 heads and 8 features are not both a multiple of 3 groups"},
    {no_reference, "reshape"},
    {no_place, "reshape"},
    {other_stride, "has 12 elements, and the new shape 40"},
};

START_TEST(dat_refuses)
{
    heed_pipeline *p;
    heed_plan *plan = NULL;
    heed_value x;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    struct heed_block_dat_desc d = describe(p, &x, true);
    refused[_i].change(&d);
    ck_assert_uint_eq(heed_block_dat(p, x, &d).id, 0);
    ck_assert_msg(strstr(last_line, refused[_i].line) != NULL, "\"%s\" is not in: %s", refused[_i].line, last_line);
    ck_assert_int_eq(heed_pipeline_compile(p, &plan), HEED_ERR_ARGUMENT);
    ck_assert_ptr_null(plan);
    heed_pipeline_destroy(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("block_dat");
    TCase *test = tcase_create("block_dat");
    tcase_add_checked_fixture(test, open_device, close_device);
    tcase_add_loop_test(test, dat_is_its_formula, 0, 4);
    tcase_add_loop_test(test, dat_refuses, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(suite, test);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
