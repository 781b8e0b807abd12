/* SPDX-License-Identifier: MIT
 * Attention's list of kernels in the order of preference. A family of kernels is a section with what it accepts, what
 * it is for, and a macro that makes a row of the list; a variant is a row. */
#include "lower_attention.h"
#include "preferences.h"

#include <stdio.h>

static bool within_limits(const struct heed_limits *limits, uint32_t group, uint32_t shared, char *why, size_t why_size)
{
    if (group > limits->max_group_size)
        snprintf(why, why_size, "%u invocations are more than %u", group, limits->max_group_size);
    else if (shared > limits->max_shared_bytes)
        snprintf(why, why_size, "%u bytes of shared memory are more than %u", shared, limits->max_shared_bytes);
    else if (HEED_MAX_BINDINGS > limits->max_storage_buffers)
        snprintf(why, why_size, "%d storage buffers are more than %u", HEED_MAX_BINDINGS, limits->max_storage_buffers);
    else
        return true;
    return false;
}

static uint32_t shared_bytes(const heed_plan *plan, const struct tile *tile)
{
    if (tile->kernel != HEED_KERNEL_ATTN_FUSED && tile->kernel != HEED_KERNEL_ATTN_FUSED_SUBGROUP)
        return 0;
    return heed_lower_tile_layout(tile, &plan->problem.attention.desc, &plan->device->info).shared_bytes;
}

static bool accepts_fused_path(const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    if (d->path == HEED_PATH_STAGED)
        snprintf(why, why_size, "the path asked for is staged");
    else if (d->path == HEED_PATH_AUTO && d->weights)
        snprintf(why, why_size, "weights are asked for, and staged makes them on the way");
    else
        return true;
    return false;
}

/* What every fused kernel asks for. */
static bool accepts_fused(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct tile *tile = self->tile;
    return accepts_fused_path(plan, why, why_size) &&
           within_limits(&plan->device->info.limits, tile->group, shared_bytes(plan, tile), why, why_size);
}

/* ---- rows: a lane owns rows; software drivers */

enum {
    ROWS_SLICE = 128, /* lanes that own rows keep slice / 4 vec4 a row: beyond this they live in memory anyway */
    ROWS_DIM_QK = 256,
};

static bool accepts_rows(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    uint32_t preferences = heed_preferences(&plan->device->info);
    if (d->dim_qk > ROWS_DIM_QK)
        snprintf(why, why_size, "dim_qk %u is more than the %d that a lane keeps", d->dim_qk, ROWS_DIM_QK);
    else if (preferences & HEED_AVOIDS_ROWS)
        snprintf(why, why_size, "this driver takes minutes to compile it");
    else if ((preferences & HEED_AVOIDS_WIDE_ROWS) && d->dim_qk + d->dim_v > HEED_NARROW_ROWS)
        snprintf(why, why_size, "this driver takes minutes to compile it for more than %d features", HEED_NARROW_ROWS);
    else
        return accepts_fused(self, plan, why, why_size);
    return false;
}

static bool prefers_rows(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile; /* half the rows of a group busy */
    return (heed_preferences(&plan->device->info) & HEED_PREFERS_ROWS) &&
           plan->problem.attention.desc.len_q >= tile->group;
}

#define ROWS(name, group, br)                                                                                          \
    {                                                                                                                  \
        name, accepts_rows, heed_lower_fused,                                                                          \
            &(const struct tile){HEED_KERNEL_ATTN_ROWS, group, br, 4, (group) * (br), ROWS_SLICE}, prefers_rows        \
    }

/* ---- tiles: a work group owns rows, scores go through shared memory; GPUs, and what the others refuse */

static bool accepts_subgroup(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    if (plan->device->info.limits.no_subgroups)
        snprintf(why, why_size, "subgroups are switched off");
    else if (!plan->device->info.has_subgroups)
        snprintf(why, why_size, "the device has no subgroup arithmetic in compute shaders");
    else
        return accepts_fused(self, plan, why, why_size);
    return false;
}

/* Large tiles reuse keys more. Their rows must be filled, or their keys be as few, and their output must fit the
 * registers of their lanes; more than 256 features are made in slices, by 16 rows. */
static bool prefers_tile(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    uint32_t most = heed_lower_accumulators(&plan->device->info);
    if (tile->br == 1)
        return true;
    if (tile->bc < 32 && d->len_kv > tile->bc)
        return false;
    if (most < HEED_ACCUMULATORS && tile->br * tile->bc > 8 * tile->group) /* more than 8 scores a lane */
        return false;
    uint32_t features = d->dim_v > 256 && tile->br == 16 ? 256 : d->dim_v;
    return d->len_q > tile->br / 2 && (uint64_t)tile->br * ceil_div(features, 4) <= (uint64_t)most * tile->group;
}

/* Narrow subgroups have little to give. */
static bool prefers_subgroup(const struct heed_candidate *self, const heed_plan *plan)
{
    return plan->device->info.limits.subgroup_size_min >= 32 && prefers_tile(self, plan);
}

/* Rows x keys; a lane makes the scores of 4 keys and at most 4 rows. 128 invocations are what every device has. */
#define TILE_SLICE(group, br) (4 * HEED_ACCUMULATORS * (group) / ((br) < 2 ? 2 : (br)))
#define TILE(name, group, br, bc)                                                                                      \
    {                                                                                                                  \
        name, accepts_fused, heed_lower_fused,                                                                         \
            &(const struct tile){HEED_KERNEL_ATTN_FUSED, group, br, bc, br, TILE_SLICE(group, br)}, prefers_tile       \
    }
#define SUBGROUP_TILE(name, group, br, bc)                                                                             \
    {                                                                                                                  \
        name, accepts_subgroup, heed_lower_fused,                                                                      \
            &(const struct tile){HEED_KERNEL_ATTN_FUSED_SUBGROUP, group, br, bc, br, TILE_SLICE(group, br)},           \
            prefers_subgroup                                                                                           \
    }

/* ---- matrix: tiles on matrix units; f16 and bf16 on GPUs that have them */

enum { MATRIX_LEAST_ROWS = 16 };

static bool accepts_matrix(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile;
    return heed_lower_matrix_tile(plan, self->tile, &tile, why, why_size) && accepts_fused_path(plan, why, why_size) &&
           within_limits(&plan->device->info.limits, tile.group, heed_lower_matrix_shared_bytes(&tile, d), why,
                         why_size);
}

/* Full tiles, or more rows than can be had for less without: one row is faster on lanes (ggml-org/llama.cpp#13554). A
 * CPU has no such units; its driver spells them out. */
static bool prefers_matrix(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    const struct heed_device_info *info = &plan->device->info;
    const uint32_t rows = plan->problem.attention.desc.len_q;
    if (info->type == HEED_DEVICE_CPU || (heed_preferences(info) & HEED_AVOIDS_MATRIX))
        return false;
    return rows > tile->br / 2 || (tile->br == MATRIX_LEAST_ROWS && rows > 4);
}

/* Rows x keys. */
#define MATRIX(name, row_count, keys)                                                                                  \
    {                                                                                                                  \
        name, accepts_matrix, heed_lower_matrix, &(const struct tile){.br = row_count, .bc = keys, .rows = row_count}, \
            prefers_matrix                                                                                             \
    }

/* ---- staged: scores, softmax and aggregate with the matrix between them */

static bool stages_fit(const heed_plan *plan, bool lanes, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    for (enum heed_op stage = HEED_OP_SCORES; stage <= HEED_OP_AGGREGATE; stage++) {
        if (plan->op != HEED_OP_ATTENTION && plan->op != stage)
            continue;
        if (lanes && stage == HEED_OP_SCORES && d->dim_qk > LANES_DIM) {
            snprintf(why, why_size, "dim_qk %u is more than the %d that a lane keeps", d->dim_qk, LANES_DIM);
            return false;
        }
        struct stage s = heed_lower_stage(plan, stage, lanes);
        if (!within_limits(&plan->device->info.limits, s.group, s.shared_bytes, why, why_size))
            return false;
    }
    return true;
}

static bool accepts_path(const heed_plan *plan, bool lanes, char *why, size_t why_size)
{
    if (plan->op != HEED_OP_ATTENTION || plan->problem.attention.desc.path != HEED_PATH_FUSED)
        return stages_fit(plan, lanes, why, why_size);
    snprintf(why, why_size, "the path asked for is fused");
    return false;
}

static bool accepts_staged(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    (void)self;
    return accepts_path(plan, false, why, why_size);
}

static bool accepts_staged_lanes(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    (void)self;
    return accepts_path(plan, true, why, why_size);
}

static bool prefers_staged_lanes(const struct heed_candidate *self, const heed_plan *plan)
{
    (void)self;
    return plan->device->info.type == HEED_DEVICE_CPU;
}

bool heed_lower_prefers_lanes(const heed_plan *plan)
{
    char why[256];
    return prefers_staged_lanes(NULL, plan) && stages_fit(plan, true, why, sizeof why);
}

#define STAGED_PLAIN(name)                                                                                             \
    {                                                                                                                  \
        name "__plain", accepts_staged, heed_lower_staged, NULL, NULL                                                  \
    }
#define STAGED_LANES(name)                                                                                             \
    {                                                                                                                  \
        name "__lanes", accepts_staged_lanes, heed_lower_staged_lanes, NULL, prefers_staged_lanes                      \
    }
#define STAGED(name) STAGED_LANES(name), STAGED_PLAIN(name)

/* ---- the list */

static const struct heed_candidate attention[] = {
    MATRIX("attn_fused__matrix_64x32", 64, 32),
    MATRIX("attn_fused__matrix_32x32", 32, 32),
    MATRIX("attn_fused__matrix_16x32", 16, 32),
    /* 2 rows a lane: 15.1 GFLOP per CPU second on lavapipe 26.1 (512 x 512 keys of 64 features); 4 rows: 10.9. */
    ROWS("attn_fused__rows_2x4", 8, 2),
    TILE("attn_fused__plain_64x8", 64, 64, 8),
    TILE("attn_fused__plain_64x16", 128, 64, 16),
    TILE("attn_fused__plain_64x32", 128, 64, 32),
    TILE("attn_fused__plain_32x64", 128, 32, 64),
    TILE("attn_fused__plain_16x128", 128, 16, 128),
    TILE("attn_fused__plain_32x32", 128, 32, 32),
    TILE("attn_fused__plain_16x64", 128, 16, 64),
    TILE("attn_fused__plain_8x64", 128, 8, 64),
    SUBGROUP_TILE("attn_fused__subgroup_4x256", 64, 4, 256),
    SUBGROUP_TILE("attn_fused__subgroup_1x256", 64, 1, 256),
    TILE("attn_fused__plain_4x128", 128, 4, 128),
    TILE("attn_fused__plain_1x256", 64, 1, 256),
    STAGED("attn_staged"),
};
static const struct heed_candidate scores[] = {STAGED("attn_scores")};
static const struct heed_candidate softmax[] = {STAGED("attn_softmax")};
static const struct heed_candidate aggregate[] = {STAGED("attn_aggregate")};

#define LIST(rows) (*count = sizeof(rows) / sizeof *(rows), (rows))

const struct heed_candidate *heed_attention_candidates(enum heed_op op, uint32_t *count)
{
    switch (op) {
    case HEED_OP_SCORES:
        return LIST(scores);
    case HEED_OP_SOFTMAX:
        return LIST(softmax);
    case HEED_OP_AGGREGATE:
        return LIST(aggregate);
    default:
        return LIST(attention);
    }
}
