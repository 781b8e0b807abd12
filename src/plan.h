/* SPDX-License-Identifier: MIT
 * A plan is a problem lowered to steps: dispatches of a known kernel with known constants over parts of the arguments.
 * Lowering is the same for every API; a backend compiles the kernels, binds buffers and replays the steps. */
#ifndef HEED_PLAN_H
#define HEED_PLAN_H

#include "abi.h"
#include "backend.h"
#include "problem.h"

/* Shader modules. heed_kernel_names in plan.c and the shader list of shaders/meson.build follow this order. */
enum heed_kernel {
    HEED_KERNEL_ATTN_FUSED,          /* attn_fused.comp */
    HEED_KERNEL_ATTN_FUSED_SUBGROUP, /* attn_fused.comp with -DHEED_SUBGROUP */
    HEED_KERNEL_ATTN_MATRIX,         /* attn_matrix.comp */
    HEED_KERNEL_ATTN_MATRIX_BF16,    /* with -DHEED_BF16 */
    HEED_KERNEL_ATTN_HELD,           /* attn_held.comp */
    HEED_KERNEL_ATTN_HELD_BF16,      /* with -DHEED_BF16 */
    HEED_KERNEL_ATTN_HELD_NV,        /* with -DHEED_NV */
    HEED_KERNEL_ATTN_HELD_NV_BF16,   /* with both */
    HEED_KERNEL_ATTN_LANES,
    HEED_KERNEL_ATTN_LANES_INT64,      /* attn_lanes.comp with -DHEED_INT64 */
    HEED_KERNEL_ATTN_LANES_BROADCAST,  /* with -DHEED_BROADCAST */
    HEED_KERNEL_ATTN_LANES_ADDRESS,    /* with -DHEED_ADDRESS */
    HEED_KERNEL_ATTN_FEATURES_ADDRESS, /* attn_features.comp with -DHEED_ADDRESS */
    HEED_KERNEL_ATTN_KEYS,
    HEED_KERNEL_ATTN_KEYS_INT64, /* attn_keys.comp with -DHEED_INT64 */
    HEED_KERNEL_ATTN_ROWS,       /* OpenCL only */
    HEED_KERNEL_ATTN_FEATURES,   /* OpenCL only */
    HEED_KERNEL_ATTN_MERGE,
    HEED_KERNEL_ATTN_SCORES,
    HEED_KERNEL_ATTN_SCORES_LANES,
    HEED_KERNEL_ATTN_SCORES_LANES_INT64,     /* attn_scores_lanes.comp with -DHEED_INT64 */
    HEED_KERNEL_ATTN_SCORES_LANES_ADDRESS,   /* and -DHEED_ADDRESS */
    HEED_KERNEL_ATTN_SOFTMAX,                /* attn_softmax.comp */
    HEED_KERNEL_ATTN_SOFTMAX_SUBGROUP,       /* attn_softmax.comp with -DHEED_SUBGROUP */
    HEED_KERNEL_ATTN_SOFTMAX_SUBGROUP_INT64, /* and -DHEED_INT64 */
    HEED_KERNEL_ATTN_SOFTMAX_ADDRESS,        /* attn_softmax_address.comp with -DHEED_ADDRESS */
    HEED_KERNEL_ATTN_AGGREGATE,
    HEED_KERNEL_ATTN_AGGREGATE_LANES,
    HEED_KERNEL_ATTN_AGGREGATE_LANES_INT64, /* attn_aggregate_lanes.comp with -DHEED_INT64 */
    HEED_KERNEL_ATTN_AGGREGATE_ADDRESS,
    HEED_KERNEL_PACK,
    HEED_KERNEL_DEFORM,
    HEED_KERNEL_DEFORM_INT64, /* deform.comp with -DHEED_INT64 */
    HEED_KERNEL_DEFORM_SHARED,
    HEED_KERNEL_LINEAR, /* from here on those of pipelines only */
    HEED_KERNEL_LINEAR_LANES,
    HEED_KERNEL_LINEAR_ROWS, /* OpenCL only */
    HEED_KERNEL_LINEAR_VECTOR,
    HEED_KERNEL_CONV,       /* linear.comp with -DHEED_CONV */
    HEED_KERNEL_CONV_LANES, /* linear_lanes.comp with -DHEED_CONV */
    HEED_KERNEL_CONV_ROWS,  /* OpenCL only */
    HEED_KERNEL_CONV_DIRECT,
    HEED_KERNEL_NORM,
    HEED_KERNEL_COMBINE,
    HEED_KERNEL_APPEND,
    HEED_KERNEL_EMBED,
    HEED_KERNEL_ROPE,
    HEED_KERNEL_SINUSOID,
    HEED_KERNEL_POOL,
    HEED_KERNEL_RESIZE,
    HEED_KERNEL_TOP_K,
    HEED_KERNEL_COUNT,
};
/* "attn_fused", "attn_fused_subgroup", ...: the name of the .spv without its ending. */
const char *heed_kernel_name(enum heed_kernel kernel);
/* Does the device have it, its API, and this build? False: the NULL-terminated reason is in `why`. */
bool heed_plan_has_kernel(const heed_plan *plan, enum heed_kernel kernel, char *why, size_t why_size);
/* Bit b: the kernel writes to binding b (and may read it); it only reads the others. */
uint32_t heed_kernel_writes(enum heed_kernel kernel);
/* Bit b: it loads binding b by its address, which is pushed behind the step's push words, in the order of bindings. */
uint32_t heed_kernel_addresses(enum heed_kernel kernel);

/* Part of an argument (or of the scratch) that a step sees as binding number i. `offset` and `bytes` count from the
 * argument's own start. The device may want offsets aligned more than the caller's are: the backend binds from the
 * aligned offset below and tells the shader the rest, in elements of `element_bytes`, in 8 bits of the push block:
 * word i / 4, bits 8 (i % 4). */
struct heed_step_binding {
    uint32_t arg; /* index into heed_plan.args: enum heed_arg_id in a plan of one op */
    uint32_t element_bytes;
    uint64_t offset, bytes;
};

struct heed_step {
    enum heed_kernel kernel;
    uint64_t ns;                              /* what the dispatch takes at most, by heed_rate */
    uint32_t node;                            /* of a pipeline's graph */
    bool barrier;                             /* sees what all earlier steps wrote, and may overwrite what they read */
    uint32_t subgroup_size;                   /* > 0: full subgroups of this size */
    uint32_t spec_count, spec[HEED_MAX_SPEC]; /* specialisation constants 0, 1, ...; 0 is always the work-group size */
    uint32_t groups[3];
    uint32_t push_words, push[HEED_PUSH_WORDS]; /* words 0 and 1 are the residuals, filled by the backend */
    uint32_t binding_count;
    struct heed_step_binding bindings[HEED_MAX_BINDINGS];
};

/* Words that a step pushes, with the addresses behind push_words. */
static inline uint32_t heed_step_push_words(const struct heed_step *step)
{
    return step->push_words + (heed_kernel_addresses(step->kernel) ? HEED_ADDRESS_WORDS : 0);
}

enum { HEED_REFUSAL = 192 };

struct heed_plan {
    heed_device *device;
    enum heed_op op;
    union {
        struct heed_attention_problem attention; /* op < HEED_OP_DEFORM */
        struct heed_deform_problem deform;
    } problem;
    struct heed_pipeline_plan *pipeline; /* op HEED_OP_PIPELINE: its graph and its arguments; else NULL */
    const struct heed_arg_slot *args;    /* those of the problem or pipeline; the last of arg_count is the scratch */
    uint32_t arg_count;
    uint32_t offset_alignment; /* of every argument */
    char kernel[64];
    uint32_t candidate;             /* in the op's list, which has the name */
    char refusal[HEED_REFUSAL];     /* why plan_compile returned HEED_ERR_UNSUPPORTED */
    char (*refusals)[HEED_REFUSAL]; /* that of each candidate, "" if none; NULL: plan_compile refused nothing */
    struct heed_step *steps;        /* none on a backend that runs problems directly */
    uint32_t step_count, step_capacity;
    uint64_t scratch_bytes;
    uint64_t compile_ns;
    uint32_t pipelines, pipelines_shared, pipelines_cached; /* as in heed_plan_info */
    void *backend;                                          /* the backend's own: pipelines */
};

/* Scratch regions and the scratch argument itself are aligned to this: the largest minStorageBufferOffsetAlignment. */
enum { HEED_SCRATCH_ALIGNMENT = 256 };

/* The name of argument `arg` of plan->args, "scratch" for the last; and the other way round: plan->arg_count when the
 * plan has no such argument. */
const char *heed_plan_arg_name(const heed_plan *plan, uint32_t arg);
uint32_t heed_plan_find_arg(const heed_plan *plan, const char *name);
/* Bytes that argument `arg` takes; the scratch too. */
uint64_t heed_plan_arg_bytes(const heed_plan *plan, uint32_t arg);

/* The ops of a plan for heed_profile: of a pipeline its nodes that are no views, in the order in which they run. */
uint32_t heed_plan_op_count(const heed_plan *plan);
/* Op `op`: its name and kernel; returns how many steps are over when it is. */
uint32_t heed_plan_op(const heed_plan *plan, uint32_t op, struct heed_op_time *time);

/* For lowering: append a zeroed step (NULL: out of host memory), or reserve scratch (its offset, 256-byte aligned). */
struct heed_step *heed_plan_add_step(heed_plan *plan);
uint64_t heed_plan_add_scratch(heed_plan *plan, uint64_t bytes);

/* The steps from `first` on that a backend gives to the driver at once, so that none takes too long. 0: there are no
 * more. */
uint32_t heed_plan_submission(const heed_plan *plan, uint32_t first);

/* A way to solve a problem: a row of an op's list, in the order of preference. */
struct heed_candidate {
    const char *name;
    /* NULL-terminated reason in `why` and false, or true. */
    bool (*accepts)(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size);
    /* Adds steps and scratch. HEED_ERR_HOST_MEMORY, or HEED_ERR_UNSUPPORTED with the reason logged. */
    enum heed_status (*lower)(const struct heed_candidate *self, heed_plan *plan);
    const void *tile; /* constants of this row, owned by the op's file */
    /* Is this what the row is for? The first that accepts and prefers is taken, else the first that accepts.
     * NULL: always. */
    bool (*prefers)(const struct heed_candidate *self, const heed_plan *plan);
};
/* The list for the plan's op: select_attention.c, lower_deform.c. */
const struct heed_candidate *heed_attention_candidates(enum heed_op op, uint32_t *count);
const struct heed_candidate *heed_deform_candidates(uint32_t *count);

#endif
