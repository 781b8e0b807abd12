/* SPDX-License-Identifier: MIT
 * Lowering attention: a problem is cut into parts, and each part becomes steps. Shared by lower_attention*.c
 * and select_attention.c. */
#ifndef HEED_LOWER_ATTENTION_H
#define HEED_LOWER_ATTENTION_H

#include "plan.h"
#include "rate.h"

/* Which kernels do the three stages: those for software drivers, with 64-bit integers or without, or the others. */
/* Each what the one before it is, and more. */
enum stage_kernels { STAGES_PLAIN, STAGES_LANES, STAGES_LANES_INT64, STAGES_LANES_ADDRESS };

/* What a lane of a kernel for software drivers keeps to itself. */
enum lane_owns { LANE_OWNS_NOTHING, LANE_OWNS_ROWS, LANE_OWNS_KEYS, LANE_OWNS_FEATURES };

/* Constants of a fused kernel, or which of the staged ones it is. */
struct tile {
    enum heed_kernel kernel;
    uint32_t group; /* invocations */
    uint32_t br;    /* HEED_SPEC_BR: rows of the group, or of a lane where a lane owns rows */
    uint32_t bc;    /* keys */
    uint32_t rows;  /* of the group */
    uint32_t slice; /* features of the output that a group can make */
    /* On matrix units, filled in for the device: group, kernel and slice are too. */
    struct heed_matrix_shape matrix;
    uint32_t subgroup, columns; /* its invocations, if they must be known; how many of them share rows */
    bool held;                  /* attn_held, not attn_matrix: a subgroup has its rows alone */
    bool two_tiles;             /* the next keys and values are stored while these are multiplied */
    /* For processors by OpenCL: of a vector, and how many keys or features are multiplied with one at a time. */
    uint32_t lanes, vectors;
    enum lane_owns owns;
    bool int64;     /* loads words of 64 bits: its rows are vectors */
    bool broadcast; /* attn_lanes: lanes of a subgroup read each other's keys and values */
    bool address;   /* attn_lanes: keys and values, which are f32, by their addresses */
    bool by_word;   /* attn_lanes: HEED_SPEC_BY_WORD, where a load costs what its words do */
    bool touches;   /* attn_keys: HEED_SPEC_TOUCH, where rows are vectors */
    enum stage_kernels stages;
};

/* Constants of one of the three stages. */
struct stage {
    enum heed_kernel kernel;
    uint32_t group, br, bc;
    uint32_t rows, columns; /* of what the stage writes, by a group: keys of the matrix, or features */
    uint32_t shared_bytes;
    uint32_t slice; /* aggregate: features at a time */
};

/* A part of the problem that one step can do. */
struct part {
    uint32_t batch0, batches, head0, heads, row0, rows;
};

enum axis { AXIS_NONE, AXIS_BATCH, AXIS_HEAD, AXIS_ROW, AXIS_STUCK };

/* A tensor as steps see it: any may be cut along batch, head and row. */
struct tensor {
    enum heed_arg_id arg;
    enum heed_dtype dtype;
    uint64_t offset; /* bytes from the argument's start, for scratch */
    uint64_t stride_batch, stride_head, stride_row;
    uint32_t dim;       /* adjacent features */
    bool keys;          /* its rows are keys, its heads key heads */
    bool whole_batches; /* packed sequences: every step sees all rows of it */
    uint64_t whole_rows;
};

struct lowering {
    heed_plan *plan;
    const struct heed_attention_problem *p;
    const struct heed_attention_desc *d;
    const struct heed_limits *limits;
    const struct tile *tile;
    struct tensor q, k, v, o, mask, lse, entropy, matrix;
    uint32_t flags;
    bool vector,
        wide; /* rows of all tensors can be read 4 elements at a time; those of q, k, v 16 bytes of 16-bit ones */
    bool after_pack; /* the next step must see the side table */
    uint64_t side, side_bytes;
    uint32_t key_chunk; /* keys of one split */
    uint32_t step_keys; /* keys of one step: a multiple of key_chunk, or all */
    bool partial;
    uint64_t partial_o, partial_sums; /* scratch */
    bool matrix_scratch;              /* staged, with the matrix in scratch at `matrix.offset` */
    enum stage_kernels stages;        /* staged */
    struct heed_rate rate;
    double pair_flops; /* of a row with a key, in one step */
    enum heed_status (*emit)(struct lowering *l, const struct part *part);
    bool (*fits)(const struct lowering *l, const struct part *part, enum axis *axis);
    uint32_t row_quantum; /* parts begin at multiples of it, so that cutting does not change the tiles */
};

static inline uint32_t ceil_div(uint64_t a, uint64_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static inline uint32_t min_u32(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

/* Can rows of all tensors be read n elements at a time? n is 4 or 8; 8: of q, k and v. */
bool heed_lower_is_vector(const struct heed_attention_desc *d, uint32_t n);

/* ---- heed_candidate.lower: lower_attention.c */

enum heed_status heed_lower_fused(const struct heed_candidate *self, heed_plan *plan);
enum heed_status heed_lower_staged(const struct heed_candidate *self, heed_plan *plan);

/* ---- matrix units: lower_attention_matrix.c */

enum heed_status heed_lower_matrix(const struct heed_candidate *self, heed_plan *plan); /* in lower_attention.c */
/* Makes of a row of the list what it is on this device, or false and why not. */
bool heed_lower_matrix_tile(const heed_plan *plan, const struct tile *row, struct tile *tile, char *why,
                            size_t why_size);
uint32_t heed_lower_matrix_shared_bytes(const struct tile *tile, const struct heed_attention_desc *d);
void heed_lower_matrix_describe(const struct lowering *l, struct heed_step *step);

/* ---- parts: lower_attention_parts.c */

/* Does a part of the tensor fit a binding? If not, *axis is where to cut; AXIS_STUCK: nowhere, and the log says so. */
bool heed_lower_tensor_fits(const struct lowering *l, const struct tensor *t, const struct part *part, enum axis *axis);
/* What a pair costs: `dims` multiplications and additions, mask and softmax. */
double heed_lower_pair_flops(uint64_t dims);
/* Is a step over the part short enough for one dispatch? */
bool heed_lower_time_fits(const struct lowering *l, const struct part *part, enum axis *axis);
/* How many keys the busiest work group and the smallest step may have, in multiples of `quantum`. */
void heed_lower_limit_keys(const struct lowering *l, uint32_t quantum, uint64_t *chunk, uint64_t *step_keys);
/* Any axis that can still be cut. */
enum axis heed_lower_any_axis(const struct lowering *l, const struct part *part);
/* Cuts a part in two until l->fits, and emits the steps of each by l->emit. */
enum heed_status heed_lower_cut(struct lowering *l, const struct part *part);

/* Copies the small tensors behind one header into scratch. */
enum heed_status heed_lower_side_table(struct lowering *l);
/* NULL: out of host memory. */
struct heed_step *heed_lower_add_step(struct lowering *l, enum heed_kernel kernel, uint32_t group, bool barrier);
/* What every attention kernel is told; q and o give the strides of what is bound there. */
void heed_lower_describe(const struct lowering *l, struct heed_step *step, const struct part *part, uint32_t key0,
                         uint32_t keys, const struct tensor *q, const struct tensor *o, uint32_t br, uint32_t bc);
void heed_lower_set_splits(struct heed_step *step, uint32_t key_chunk, uint32_t row_total);
void heed_lower_bind(struct heed_step *step, uint32_t slot, enum heed_arg_id arg, uint32_t element_bytes,
                     uint64_t offset, uint64_t bytes);
void heed_lower_bind_part(const struct lowering *l, struct heed_step *step, uint32_t slot, const struct tensor *t,
                          const struct part *part, uint32_t key0, uint32_t keys);
/* The mask, the side table and, if wanted, lse and entropy. */
void heed_lower_bind_terms(const struct lowering *l, struct heed_step *step, const struct part *part, uint32_t key0,
                           uint32_t keys, bool row_results);
/* Sets have no holes: what a kernel declares and this step does not use is bound to something of the step that is
 * accessed in the same way. False: the step uses nothing at all. */
bool heed_lower_fill_holes(struct heed_step *step);

/* ---- the fused path: lower_attention_fused.c */

/* Features of the output that one group makes. */
uint32_t heed_lower_slice(const struct tile *tile, uint32_t dim_v);
/* attn_lanes, where each work group stages all the keys of its split: how many groups keep the processors of a machine
 * busy to the end, and from how many keys on they come from splitting the keys rather than the rows. */
enum { HEED_LANES_GROUPS = 8, HEED_LANES_MANY_KEYS = 8192 };

/* What lavapipe reads of another lane it reads in one instruction where there are 8, and else lane by lane: 8 heads of
 * 1024 x 1024 keys of 64 features, ms of 26.1.6 on a Zen 3, lanes that own rows against lanes that share them, 4 lanes
 * 57 : 290, 8 lanes 31 : 31, 16 lanes 54 : 1137. */
enum { HEED_SHUFFLED_LANES = 8 };

static inline bool heed_lower_shuffles(const heed_plan *plan)
{
    const struct heed_limits *limits = &plan->device->info.limits;
    return limits->subgroup_size_min == HEED_SHUFFLED_LANES && limits->subgroup_size_max == HEED_SHUFFLED_LANES;
}

/* Keys from which on a row's softmax loads its scores twice by address and keeps none. 26.1.6 on a Zen 3, 8 lanes, ms
 * (first run in s), words of 64 bits against addresses: 81920 rows of 78 keys 12.6 : 14.1, 32768 of 256 14.0 : 13.4
 * (0.4 : 0.01), 8192 of 1024 16.9 : 12.7 (2.1 : 0.16), 2048 of 4096 18.5 : 12.0. */
enum { HEED_LANES_LONG_ROW = 256 };

/* How many keys one split and one step take. */
enum heed_status heed_lower_choose_splits(struct lowering *l);
bool heed_lower_fused_fits(const struct lowering *l, const struct part *part, enum axis *axis);
enum heed_status heed_lower_emit_fused(struct lowering *l, const struct part *part);

/* ---- tiles of attn_fused: lower_attention_tile.c */

struct tile_layout {
    uint32_t stage; /* features of a key that are staged in shared memory at a time; 0: keys and values are not */
    bool q_shared;
    uint32_t value_rows, value_columns; /* rows and vec4 of the output in a lane */
    uint32_t shared_bytes;
};
/* vec4 of the output that a lane can hold: HEED_ACCUMULATORS, fewer on devices with few registers. */
enum { HEED_ACCUMULATORS = 8 };
uint32_t heed_lower_accumulators(const struct heed_device_info *info);
struct tile_layout heed_lower_tile_layout(const struct tile *tile, const struct heed_attention_desc *d,
                                          const struct heed_device_info *info);

/* ---- the staged path, and the stages as ops: lower_attention_staged.c */

enum { LANES_DIM = 256 }; /* features that the kernels for software drivers take at most */

/* Is there more to a logit than its score and whether it is ruled out by its place? */
bool heed_lower_softmax_has_terms(const struct heed_attention_desc *d);
/* What is chosen for a stage of this problem on this device. */
struct stage heed_lower_stage(const heed_plan *plan, enum heed_op stage, enum stage_kernels kernels);
/* Rows at which the stages of the op can be cut. */
uint32_t heed_lower_stage_rows(const struct lowering *l);
/* The first that are preferred, and can: select_attention.c. */
enum stage_kernels heed_lower_preferred_stages(const heed_plan *plan);
bool heed_lower_staged_fits(const struct lowering *l, const struct part *part, enum axis *axis);
enum heed_status heed_lower_emit_staged(struct lowering *l, const struct part *part);
/* The weights beside a fused output: the first two stages, into the caller's tensor. */
enum heed_status heed_lower_emit_weights(struct lowering *l, const struct part *part);

#endif
