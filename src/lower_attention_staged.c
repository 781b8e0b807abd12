/* SPDX-License-Identifier: MIT
 * The staged path: scores, softmax and aggregate of a part, with the matrix between them. */
#include "lower_attention.h"
#include "preferences.h"

static uint32_t floor_power(uint32_t n)
{
    uint32_t power = 1;
    while (power <= n / 2)
        power *= 2;
    return power;
}

/* Registers of a lane: 8 keys of 64 features. More keys are more products for a load of a query, until the compiler's
 * time counts: lavapipe 26.1, 1024 x 1024 keys of 64 features, GFLOP per CPU second and first run: 1 key 10 (0.13 s),
 * 4 keys 31, 8 keys 41 (0.25 s), 16 keys 45 (0.40 s). Keys behind the last are multiplied and stored like others, so a
 * row is parted evenly, and one of up to 10 keys a lane is left to one subgroup: 20 heads of 4096 x 77 keys, an EPYC,
 * 8 lanes 48 ms by 16 x 8 keys, 40 by 16 x 5, 26 by 8 x 10; 16 lanes 30 ms by 16 x 8, 23 by 16 x 5.
 * Words of 32 against 64 bits, 8 heads of 1024 x 1024 keys, Zen 3, 8 and 16 lanes: 31 : 27 and 47 : 33 ms, the first
 * run 5.8 : 4.2 and 28 : 20 s.
 * By address against staged, 26.1.6 on a Zen 3, 8 lanes, beside other work, ms (first run in s): 8 heads of 1024 x 1024
 * keys of 64 features 84 : 54 (5.8 : 4.5), 20 of 4096 x 78 74 : 29. */
enum { LANES_FEATURES = 512, LANES_COLUMNS = 8, LANES_GROUP = 32, LANES_SHARED = 16384 };

static struct stage lanes_scores(const struct heed_plan *plan, enum stage_kernels kernels)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_limits *limits = &plan->device->info.limits;
    const bool long_code = (heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE) == 0;
    uint32_t vectors = ceil_div(d->dim_qk, 4),
             keys = floor_power(min_u32(LANES_FEATURES / (4 * vectors), LANES_COLUMNS));
    uint32_t group = limits->subgroup_size_max > 8 ? limits->subgroup_size_max : 8;
    if (long_code && d->len_kv > 0 && ceil_div(d->len_kv, group) <= keys + keys / 4)
        keys = ceil_div(d->len_kv, group);
    while (group < LANES_GROUP && group * keys < d->len_kv)
        group *= 2;
    if (d->len_kv > 0)
        keys = ceil_div(d->len_kv, group * ceil_div(d->len_kv, group * keys));
    const bool int64 = kernels >= STAGES_LANES_INT64, address = kernels >= STAGES_LANES_ADDRESS;
    if (int64) /* pairs */
        keys += keys & 1;
    uint32_t rows = floor_power(LANES_SHARED / (16 * vectors));
    return (struct stage){
        .kernel = address ? HEED_KERNEL_ATTN_SCORES_LANES_ADDRESS
                  : int64 ? HEED_KERNEL_ATTN_SCORES_LANES_INT64
                          : HEED_KERNEL_ATTN_SCORES_LANES,
        .group = group,
        .br = rows,
        .bc = keys,
        .rows = rows,
        .columns = group * keys,
        .shared_bytes = address ? 0 : 16 * rows * vectors + 4 * group + 12,
    };
}

enum { LEAST_KEYS = 16, MOST_KEYS = 80 };

/* Keys of a block, a multiple of four: what is left of the last one is waste, and o is read and written once a block,
 * which costs what 12 keys do. 20 heads of 4096 x 77 keys of 64 features, 8 and 16 lanes: 47 and 35 ms with 32 keys, 35
 * and 28 with 40, 27 and 21 with 80 (first run 0.6, 0.55 and 1.1 s: the compiler's). */
static uint32_t lanes_keys(uint32_t len_kv, uint32_t most)
{
    enum { READ_AND_WRITE = 12 };
    uint32_t best = most;
    for (uint32_t keys = most - 4; keys >= LEAST_KEYS; keys -= 4)
        if ((uint64_t)ceil_div(len_kv, keys) * (keys + READ_AND_WRITE) <
            (uint64_t)ceil_div(len_kv, best) * (best + READ_AND_WRITE))
            best = keys;
    return best;
}

/* 4 rows and two features at a time: 8 sums, which with what they are made of stay in 16 registers. Work groups of many
 * rows stage the values less often: 8 heads of 1024 x 1024 keys, Zen 3, 16 lanes, 128 and 512 rows 61 : 39 ms. Words of
 * 32 against 64 bits there, 8 and 16 lanes: 47 : 31 and 59 : 34 ms, the first run 3.2 : 1.8 and 10.4 : 4.1 s. Where
 * code is short, loads of values cost more than registers: 4 and 8 rows on lavapipe 22.3 562 : 384 ms, SwiftShader 543
 * : 286. */
enum { AGGREGATE_ROWS = 4, AGGREGATE_SHORT_CODE_ROWS = 8, AGGREGATE_GROUP = 128 };

/* Keys of a step: it costs what two more do, and those that are left are a step each. */
static uint32_t address_keys(uint32_t len_kv)
{
    enum { LEAST = 8, MOST = 32, STEP = 2 };
    uint32_t best = MOST, best_cost = UINT32_MAX;
    for (uint32_t keys = MOST; keys >= LEAST; keys--) {
        uint32_t cost = len_kv / keys * STEP + len_kv % keys * STEP;
        best = cost < best_cost ? keys : best;
        best_cost = cost < best_cost ? cost : best_cost;
    }
    return best;
}

/* 4 rows and two vectors of features at a time stay in registers, and groups of many rows cost little to begin. 26.1.6
 * on a Zen 3, 8 lanes, beside other work, ms (first run in s), words of 64 bits, values by address for lanes that own
 * rows, and this: 8 heads of 1024 x 1024 keys of 64 features 109, 63 (4.2) and 29 (0.3), 20 of 4096 x 78 65, 46 and 31;
 * a step of 16 keys at most 36 and 40. */
static struct stage address_aggregate(const struct heed_plan *plan)
{
    enum { VECTORS = 2, TILE = 4, ROWS = 64 };
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const uint64_t heads = (uint64_t)d->batch * d->heads_q;
    uint32_t lanes = plan->device->info.limits.subgroup_size_max, rows = ROWS;
    lanes = lanes < 4 ? 4 : lanes > 64 ? 64 : lanes;
    while (rows > TILE && heads * ceil_div(d->len_q, rows) < HEED_LANES_GROUPS)
        rows /= 2;
    return (struct stage){
        .kernel = HEED_KERNEL_ATTN_AGGREGATE_ADDRESS,
        .group = lanes,
        .br = rows,
        .bc = address_keys(d->len_kv),
        .rows = rows,
        .columns = UINT32_MAX,
        .slice = VECTORS * lanes,
    };
}

static struct stage lanes_aggregate(const struct heed_plan *plan, enum stage_kernels kernels)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_limits *limits = &plan->device->info.limits;
    const bool short_code = (heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE) != 0;
    if (kernels >= STAGES_LANES_ADDRESS)
        return address_aggregate(plan);
    uint32_t rows = 1, most_rows = short_code ? AGGREGATE_SHORT_CODE_ROWS : AGGREGATE_ROWS, slice = 4;
    uint32_t group = limits->subgroup_size_max > 8 ? limits->subgroup_size_max : 8;
    while (rows < most_rows && group * rows < d->len_q)
        rows *= 2;
    bool sums_in_o = d->o.dtype == HEED_F32; /* else they share shared memory with the values */
    const uint64_t heads = (uint64_t)d->batch * d->heads_q;
    while (sums_in_o && group < AGGREGATE_GROUP && group * rows < d->len_q &&
           (group < LANES_GROUP || heads * ceil_div(d->len_q, 2 * group * rows) >= HEED_LANES_GROUPS))
        group *= 2;
    while (slice < (sums_in_o ? 64 : 32) && slice < d->dim_v)
        slice *= 2;
    uint32_t fixed = 4 * group + 4 + (sums_in_o ? 0 : 4 * slice * group * rows), most = MOST_KEYS;
    while (most > LEAST_KEYS && fixed + 4 * slice * most > limits->max_shared_bytes)
        most -= 4;
    uint32_t keys = short_code ? LEAST_KEYS : lanes_keys(d->len_kv, most);
    return (struct stage){
        .kernel =
            kernels >= STAGES_LANES_INT64 ? HEED_KERNEL_ATTN_AGGREGATE_LANES_INT64 : HEED_KERNEL_ATTN_AGGREGATE_LANES,
        .group = group,
        .br = rows,
        .bc = keys,
        .rows = group * rows,
        .columns = slice,
        .shared_bytes = fixed + 4 * slice * keys,
        .slice = slice,
    };
}

bool heed_lower_softmax_has_terms(const struct heed_attention_desc *d)
{
    return d->mask != HEED_MASK_NONE || d->key_bias || d->alibi || d->distance_dims > 0 || d->softcap > 0.0f;
}

static struct stage address_softmax(const heed_plan *plan)
{
    enum { PAIRS = 4, ROWS = 8, MANY_ROWS = 1024 };
    const uint32_t rows = plan->problem.attention.rows < MANY_ROWS ? 1 : ROWS;
    return (struct stage){
        .kernel = HEED_KERNEL_ATTN_SOFTMAX_ADDRESS,
        .group = plan->device->info.limits.subgroup_size_max,
        .br = rows,
        .bc = PAIRS,
        .rows = rows,
        .columns = UINT32_MAX,
    };
}

/* Subgroups need no barrier, and on software drivers no number of an invocation, which takes divisions: lavapipe 26.1,
 * 8192 rows of 1024 keys, CPU time: 59 ms by work groups of 64, 17 ms by subgroups, 21 ms with one row a group. Keys
 * that are kept in registers are read once, others three times. 26.1.6 on a Zen 3, ms (first run in s) with 16 keys a
 * lane at most against 128, in words of 64 bits: 8 lanes, 32768 rows of 256 keys 72 : 26 (0.2 : 0.5), 16384 of 512 40 :
 * 21 (0.4 : 0.9), 8192 of 1024 57 : 30 (0.4 : 2.7); 16 lanes 8192 of 1024 58 : 23 (0.8 : 2.1). Words of 32 against 64
 * bits, neither keeping any, 8 lanes: 8192 of 1024 85 : 58. */
static struct stage softmax_stage(const heed_plan *plan, bool lanes, bool int64)
{
    enum { KEPT_LOADS = 64, SHORT_CODE_LOADS = 16, ROWS = 8, MANY_ROWS = 1024 };
    const bool short_code = (heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE) != 0;
    const uint32_t most = short_code ? SHORT_CODE_LOADS : int64 ? 2 * KEPT_LOADS : KEPT_LOADS;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_limits *limits = &plan->device->info.limits;
    if (!lanes || !plan->device->info.has_subgroups || limits->no_subgroups)
        return (struct stage){HEED_KERNEL_ATTN_SOFTMAX, 64, 1, 0, 1, UINT32_MAX, 8 * 64, 0};
    uint32_t rows = plan->problem.attention.rows < MANY_ROWS ? 1 : ROWS, kept = 2;
    while (kept < most && kept * limits->subgroup_size_min < d->len_kv)
        kept *= 2;
    if (kept * limits->subgroup_size_min < d->len_kv)
        kept = 0;
    return (struct stage){int64 ? HEED_KERNEL_ATTN_SOFTMAX_SUBGROUP_INT64 : HEED_KERNEL_ATTN_SOFTMAX_SUBGROUP,
                          limits->subgroup_size_max,
                          rows,
                          kept,
                          rows,
                          UINT32_MAX,
                          0,
                          0};
}

struct stage heed_lower_stage(const heed_plan *plan, enum heed_op stage, enum stage_kernels kernels)
{
    enum { GROUP = 64, ROWS = 4, KEYS = 32 };
    switch (stage) {
    case HEED_OP_SCORES:
        if (kernels != STAGES_PLAIN)
            return lanes_scores(plan, kernels);
        return (struct stage){HEED_KERNEL_ATTN_SCORES, GROUP, ROWS, 1, ROWS, GROUP, 0, 0};
    case HEED_OP_SOFTMAX:
        if (kernels >= STAGES_LANES_ADDRESS && heed_lower_shuffles(plan) &&
            !heed_lower_softmax_has_terms(&plan->problem.attention.desc) &&
            (plan->op == HEED_OP_SOFTMAX || plan->problem.attention.desc.len_kv >= HEED_LANES_LONG_ROW))
            return address_softmax(plan);
        return softmax_stage(plan, kernels != STAGES_PLAIN, kernels >= STAGES_LANES_INT64);
    default:
        if (kernels != STAGES_PLAIN)
            return lanes_aggregate(plan, kernels);
        return (struct stage){HEED_KERNEL_ATTN_AGGREGATE, GROUP, ROWS, KEYS, ROWS, 4 * GROUP, 4 * ROWS * KEYS, 0};
    }
}

static bool has_stage(const heed_plan *plan, enum heed_op stage)
{
    return plan->op == HEED_OP_ATTENTION || plan->op == stage;
}

uint32_t heed_lower_stage_rows(const struct lowering *l)
{
    uint32_t rows = 1;
    for (enum heed_op stage = HEED_OP_SCORES; stage <= HEED_OP_AGGREGATE; stage++)
        if (has_stage(l->plan, stage)) {
            struct stage s = heed_lower_stage(l->plan, stage, l->stages);
            rows = s.rows > rows ? s.rows : rows; /* powers of two */
        }
    return rows;
}

static uint64_t group_count(const struct lowering *l, const struct part *part, enum heed_op stage)
{
    struct stage s = heed_lower_stage(l->plan, stage, l->stages);
    uint32_t columns = stage == HEED_OP_AGGREGATE ? l->d->dim_v : stage == HEED_OP_SCORES ? l->d->len_kv : 1;
    return (uint64_t)ceil_div(part->rows, s.rows) * ceil_div(columns, s.columns);
}

bool heed_lower_staged_fits(const struct lowering *l, const struct part *part, enum axis *axis)
{
    if ((has_stage(l->plan, HEED_OP_SCORES) &&
         !(heed_lower_tensor_fits(l, &l->q, part, axis) && heed_lower_tensor_fits(l, &l->k, part, axis))) ||
        (has_stage(l->plan, HEED_OP_AGGREGATE) &&
         !(heed_lower_tensor_fits(l, &l->v, part, axis) && heed_lower_tensor_fits(l, &l->o, part, axis))) ||
        !heed_lower_tensor_fits(l, &l->mask, part, axis) || !heed_lower_tensor_fits(l, &l->matrix, part, axis))
        return false;
    uint64_t most = l->limits->max_group_count;
    *axis = part->heads > most ? AXIS_HEAD : part->batches > most ? AXIS_BATCH : AXIS_NONE;
    for (enum heed_op stage = HEED_OP_SCORES; stage <= HEED_OP_AGGREGATE; stage++)
        if (has_stage(l->plan, stage) && group_count(l, part, stage) > most)
            *axis = AXIS_ROW;
    if (*axis != AXIS_NONE)
        return false;
    return heed_lower_time_fits(l, part, axis);
}

static enum heed_status emit_stage(struct lowering *l, const struct part *part, enum heed_op stage, bool row_results)
{
    const struct heed_attention_desc *d = l->d;
    const struct stage s = heed_lower_stage(l->plan, stage, l->stages);
    struct tensor matrix = l->matrix, input = l->matrix;
    if (l->plan->op == HEED_OP_SOFTMAX)
        input.arg = HEED_ARG_SCORES;
    if (l->matrix_scratch && d->total_q == 0) { /* in scratch only this part's rows are kept */
        matrix.stride_head = (uint64_t)part->rows * d->len_kv;
        matrix.stride_batch = part->heads * matrix.stride_head;
        input = matrix;
    }
    const struct tensor *in = stage == HEED_OP_SCORES ? &l->q : &input,
                        *out = stage == HEED_OP_AGGREGATE ? &l->o : &matrix;
    /* Parts of a matrix in scratch follow one another in the same room. */
    bool barrier = l->plan->op == HEED_OP_ATTENTION || l->plan->step_count > 0;
    struct heed_step *step = heed_lower_add_step(l, s.kernel, s.group, barrier);
    if (!step)
        return heed_fail_memory(l->plan->device->context);
    heed_lower_describe(l, step, part, 0, d->len_kv, in, out, s.br, s.bc);
    if (stage == HEED_OP_AGGREGATE && s.kernel != HEED_KERNEL_ATTN_AGGREGATE)
        step->spec[HEED_SPEC_DIM_V_SLICE] = s.slice;
    struct part place = *part;
    if (l->matrix_scratch && d->total_q == 0)
        place.batch0 = place.head0 = place.row0 = 0;
    heed_lower_bind_part(l, step, HEED_ATTN_Q, in, in == &l->q ? part : &place, 0, 0);
    if (stage == HEED_OP_SCORES && d->len_kv > 0)
        heed_lower_bind_part(l, step, HEED_ATTN_K, &l->k, part, 0, d->len_kv);
    if (stage == HEED_OP_AGGREGATE && d->len_kv > 0)
        heed_lower_bind_part(l, step, HEED_ATTN_V, &l->v, part, 0, d->len_kv);
    heed_lower_bind_part(l, step, HEED_ATTN_O, out, out == &l->o ? part : &place, 0, 0);
    if (stage == HEED_OP_SOFTMAX)
        heed_lower_bind_terms(l, step, part, 0, d->len_kv, row_results);
    else if (l->side_bytes > 0)
        heed_lower_bind(step, HEED_ATTN_SIDE, HEED_ARG_SCRATCH, 4, l->side, l->side_bytes);
    if (stage != HEED_OP_SOFTMAX) /* only where sequences lie concerns the other two */
        step->spec[HEED_SPEC_FLAGS] &= HEED_ATTN_PACKED_Q | HEED_ATTN_PACKED_KV;
    else if (!row_results)
        step->spec[HEED_SPEC_FLAGS] &= ~(HEED_ATTN_WRITE_LSE | HEED_ATTN_WRITE_ENTROPY);
    if (!heed_lower_fill_holes(step)) { /* a row without keys, and nobody asks for its lse */
        l->plan->step_count--;
        return HEED_OK;
    }
    step->groups[0] = (uint32_t)group_count(l, part, stage);
    step->groups[1] = part->heads;
    step->groups[2] = part->batches;
    return HEED_OK;
}

enum heed_status heed_lower_emit_staged(struct lowering *l, const struct part *part)
{
    const struct heed_attention_desc *d = l->d;
    enum heed_op op = l->plan->op;
    if (op != HEED_OP_ATTENTION)
        return emit_stage(l, part, op, true);
    if (l->matrix_scratch) {
        uint64_t rows =
            d->total_q > 0 ? (uint64_t)d->heads_q * d->total_q : (uint64_t)part->batches * part->heads * part->rows;
        uint64_t wanted = l->matrix.offset + rows * d->len_kv * 4;
        if (wanted > l->plan->scratch_bytes)
            heed_plan_add_scratch(l->plan, wanted - l->plan->scratch_bytes);
    }
    enum heed_status status = HEED_OK;
    if (d->len_kv > 0)
        status = emit_stage(l, part, HEED_OP_SCORES, false);
    if (status == HEED_OK)
        status = emit_stage(l, part, HEED_OP_SOFTMAX, true);
    if (status == HEED_OK)
        status = emit_stage(l, part, HEED_OP_AGGREGATE, false);
    return status;
}

enum heed_status heed_lower_emit_weights(struct lowering *l, const struct part *part)
{
    enum heed_status status = emit_stage(l, part, HEED_OP_SCORES, false);
    return status == HEED_OK ? emit_stage(l, part, HEED_OP_SOFTMAX, false) : status;
}
