/* SPDX-License-Identifier: MIT
 * A pipeline inside: a graph of nodes over tensors, the table of ops that nodes are of, and what an op's functions get.
 * An op is one row of heed_pipeline_ops: infer checks the inputs and shapes the outputs, evaluate is the oracle in
 * double precision, lower makes steps. Barriers, scratch offsets and lifetimes are no op's business. */
#ifndef HEED_PIPELINE_H
#define HEED_PIPELINE_H

#include "plan.h"

#include <heed/heed_pipeline.h>

enum {
    HEED_NODE_INPUTS = 12,
    HEED_NODE_OUTPUTS = 4,
    HEED_NODE_DESC_WORDS = 96, /* of 8 bytes: the largest descriptor is heed_deform_desc */
    HEED_LABEL_BYTES = 64,
};

/* Where elements lie: an argument of the plan, or a place in the arena. */
struct heed_storage {
    char name[HEED_LABEL_BYTES]; /* of an argument; empty: in the arena */
    uint32_t arg;                /* which argument it is, in the order of naming; UINT32_MAX: in the arena */
    bool input, output;          /* of an argument: read before it is written, written */
    enum heed_dtype dtype;
    uint64_t bytes;
};

/* A value: part of a storage. */
struct heed_tensor {
    uint32_t storage;
    enum heed_dtype dtype;
    uint32_t axes;
    uint64_t length[HEED_MAX_AXES], stride[HEED_MAX_AXES]; /* elements; q8_0 is always packed */
    uint64_t offset;                                       /* elements, from the storage's start */
    uint32_t node;                                         /* that made it; UINT32_MAX: an argument */
    struct heed_shape shape;                               /* of an argument as the caller said it, with sizes */
    char label[HEED_LABEL_BYTES];
};

struct heed_node {
    enum heed_node_kind {
        HEED_NODE_RESHAPE,
        HEED_NODE_PERMUTE,
        HEED_NODE_SLICE,
        HEED_NODE_SPLIT_HEADS,
        HEED_NODE_MERGE_HEADS,
        HEED_NODE_LINEAR,
        HEED_NODE_LAYER_NORM,
        HEED_NODE_RMS_NORM,
        HEED_NODE_COMBINE,
        HEED_NODE_ATTEND,
        HEED_NODE_SAMPLE,
        HEED_NODE_APPEND,
        HEED_NODE_CONV,
        HEED_NODE_EMBED,
        HEED_NODE_CONCAT,
        HEED_NODE_ROPE,
        HEED_NODE_SINUSOID,
        HEED_NODE_POOL,
        HEED_NODE_RESIZE,
        HEED_NODE_TOP_K,
        HEED_NODE_KIND_COUNT,
    } kind;
    uint32_t input[HEED_NODE_INPUTS], output[HEED_NODE_OUTPUTS]; /* values by id; 0: none */
    uint64_t desc[HEED_NODE_DESC_WORDS];                         /* the op's own struct, by heed_node_desc */
    char kernel[64]; /* asked for; in a plan the one that was chosen; empty: the best */
    uint64_t flops;  /* set by infer */
};

struct heed_graph {
    heed_context *context;
    uint32_t offset_alignment;   /* of every argument */
    struct heed_tensor *tensors; /* by value id; 0 is none */
    struct heed_storage *storages;
    struct heed_node *nodes; /* in the order in which they run */
    uint32_t tensor_count, tensor_capacity, storage_count, storage_capacity, node_count, node_capacity;
    uint32_t arg_count;
    struct {
        char name[HEED_LABEL_BYTES];
        uint32_t most, length; /* what it is in this graph */
    } sizes[HEED_MAX_SIZES];
    uint32_t size_count;
};

struct heed_pipeline {
    heed_device *device;
    enum heed_status status; /* the first error */
    struct heed_graph graph;
};

/* ---- what an op's public function does: one call */

/* Adds a node and infers it; returns output 0, or none with the pipeline failed. */
struct heed_node_init {
    enum heed_node_kind kind;
    heed_value input[HEED_NODE_INPUTS]; /* none where an optional one is not given */
    const void *desc;                   /* of desc_bytes, copied; begins with its struct_size; NULL: all defaults */
    size_t desc_bytes;
    const char *kernel;                    /* NULL: the best */
    heed_value *output[HEED_NODE_OUTPUTS]; /* NULL, or where outputs beside the first go */
};
heed_value heed_pipeline_add(heed_pipeline *pipeline, const struct heed_node_init *init);
static inline const void *heed_node_desc(const struct heed_node *node)
{
    return node->desc;
}

/* ---- for infer */

/* NULL where the node has no such input. */
const struct heed_tensor *heed_node_input(const struct heed_graph *graph, const struct heed_node *node, uint32_t i);
/* Output `i` is a new packed tensor. */
enum heed_status heed_node_output(struct heed_graph *graph, struct heed_node *node, uint32_t i, enum heed_dtype dtype,
                                  uint32_t axes, const uint64_t *length);
/* The same with strides of one's own (elements, covering a storage without holes). */
enum heed_status heed_node_output_strided(struct heed_graph *graph, struct heed_node *node, uint32_t i,
                                          enum heed_dtype dtype, uint32_t axes, const uint64_t *length,
                                          const uint64_t *stride);
/* Output `i` is a view of the storage of input `of`: `view` has axes, length, stride, offset. */
enum heed_status heed_node_view(struct heed_graph *graph, struct heed_node *node, uint32_t i, uint32_t of,
                                const struct heed_tensor *view);
/* A length out of a descriptor: a number, or a size of the pipeline. */
uint64_t heed_graph_length(const struct heed_graph *graph, uint32_t length);
/* "linear 3: bias b [384] is not [512]": logs and returns HEED_ERR_ARGUMENT. */
enum heed_status heed_node_fail(const struct heed_graph *graph, const struct heed_node *node, const char *format, ...)
    HEED_PRINTF(3, 4);
/* "x [1 1500 384] f32", for messages. */
struct heed_text64 {
    char text[HEED_LABEL_BYTES + 96];
};
struct heed_text64 heed_tensor_text(const struct heed_tensor *tensor);
/* Fails unless there is an input `i`. `what`: "weight". */
enum heed_status heed_node_require(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                   const char *what);
/* Fails unless input `i`, when there is one, is packed and has this type and these lengths. */
enum heed_status heed_node_expect(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                  const char *what, enum heed_dtype dtype, uint32_t axes, const uint64_t *length);
/* Fails unless input `i` is there and f32, f16 or bf16, and unless `dtype`, of an output, is. */
enum heed_status heed_node_expect_float(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                        const char *what);
enum heed_status heed_node_expect_output(const struct heed_graph *graph, const struct heed_node *node,
                                         enum heed_dtype dtype);
bool heed_tensor_is_packed(const struct heed_tensor *tensor);
uint64_t heed_tensor_count(const struct heed_tensor *tensor);

/* Tensors of the same lengths but of the last axis, seen as batches of rows of adjacent features. */
enum { HEED_ROWS_TENSORS = 4 };
struct heed_rows {
    uint64_t batches, rows;
    struct {
        uint64_t stride_batch, stride_row, features;
    } of[HEED_ROWS_TENSORS];
};
/* False: the features of one are not adjacent, or more than two strides are needed. */
bool heed_tensors_as_rows(const struct heed_tensor *const *tensors, uint32_t count, struct heed_rows *rows);

/* ---- for evaluate: tensors in host memory, always seen with 4 axes, the missing ones in front with length 1 */

struct heed_operand {
    unsigned char *data;   /* of element 0; NULL: the node has no such input or output */
    enum heed_dtype dtype; /* HEED_F64 for f32 between ops */
    uint64_t length[4], stride[4];
};
double heed_operand_get(const struct heed_operand *o, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
void heed_operand_set(const struct heed_operand *o, uint64_t a, uint64_t b, uint64_t c, uint64_t d, double value);

/* ---- for lower */

struct heed_node_lowering {
    heed_plan *plan;
    const struct heed_graph *graph;
    struct heed_node *node; /* the plan's: lower writes its kernel's name into node->kernel */
};
/* NULL: out of host memory. spec[0] is `group`. */
struct heed_step *heed_node_add_step(struct heed_node_lowering *l, enum heed_kernel kernel, uint32_t group);
/* A place in the arena for the steps of this node; what to bind ranges of. UINT32_MAX: out of host memory. */
uint32_t heed_node_add_scratch(struct heed_node_lowering *l, uint64_t bytes);
/* Binds all of a tensor, or a part of it: `lengths` from element `first` on with the tensor's strides. */
void heed_node_bind(struct heed_step *step, uint32_t slot, const struct heed_tensor *t);
void heed_node_bind_part(struct heed_step *step, uint32_t slot, const struct heed_tensor *t, uint64_t first,
                         const uint64_t *length);
void heed_node_bind_range(struct heed_step *step, uint32_t slot, uint32_t storage, uint32_t element_bytes,
                          uint64_t offset, uint64_t bytes);
/* Rows begin at multiples of 4 elements that can be loaded at once, and are multiples of 4 long. */
bool heed_tensor_is_vector(const struct heed_graph *graph, const struct heed_tensor *t);
/* The power of two of bytes, at most 16, at which the tensor begins wherever the arguments are bound. */
uint32_t heed_tensor_alignment(const struct heed_graph *graph, const struct heed_tensor *t);

/* An op whose work is a box of up to 4 axes, cut in parts that no limit of the device is too small for: heed_box_lower
 * makes a step of each. */
struct heed_box {
    uint64_t first[HEED_MAX_AXES], length[HEED_MAX_AXES];
};
/* A tensor over the axes of a box: with a stride (elements; 0: it is not cut along it), and what it has at each point.
 */
struct heed_boxed {
    const struct heed_tensor *tensor; /* NULL: not there, another one is bound in its place */
    uint64_t stride[HEED_MAX_AXES], inner;
};
struct heed_box_job {
    struct heed_node_lowering *l;
    enum heed_kernel kernel;
    uint32_t group;
    bool together; /* invocations of a group wait for one another; else one may do the work of all */
    struct heed_boxed tensor[HEED_MAX_BINDINGS]; /* by binding */
    uint32_t tensor_count;
    uint64_t quantum[HEED_MAX_AXES]; /* parts begin at multiples of it; 0: the axis is never cut */
    const void *user;
    /* Work groups of a step; false: more invocations than the kernel can count. */
    bool (*grid)(const struct heed_box_job *job, const struct heed_box *box, uint64_t groups[3]);
    double (*flops)(const struct heed_box_job *job, const struct heed_box *box);
    /* Push block and specialisation constants but the first. */
    void (*describe)(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step);
};
/* OpenCL on a processor, unless its driver avoids wide vectors: one work-item does what a group does elsewhere. */
bool heed_box_is_alone(const heed_device *device);
/* Axes matched from the last one; those of length 1 repeat. `tensor` may be NULL. */
struct heed_boxed heed_box_tensor(const struct heed_tensor *tensor);
/* A heed_box_job.grid: four elements of the last axis an invocation, axes 1 to 3 on groups.x, axis 0 on groups.z. */
bool heed_box_grid_quads(const struct heed_box_job *job, const struct heed_box *box, uint64_t groups[3]);
/* Nothing for an empty box. HEED_ERR_UNSUPPORTED where the smallest part is still too much. */
enum heed_status heed_box_lower(const struct heed_box_job *job, const struct heed_box *box);

/* ---- the kernels that an op has, the best first */

struct heed_node_candidate {
    const char *name;
    enum heed_kernel kernel;
    /* False, and why in `why`. */
    bool (*accepts)(const struct heed_node_candidate *self, const struct heed_node_lowering *l, char *why, size_t size);
    /* The first that accepts and prefers is taken, else the first that accepts. NULL: always. */
    bool (*prefers)(const struct heed_node_candidate *self, const struct heed_node_lowering *l);
};
/* A heed_node_candidate.prefers: software drivers. */
bool heed_node_prefers_cpu(const struct heed_node_candidate *self, const struct heed_node_lowering *l);
/* Of linear_rows and conv_rows, OpenCL's kernels for processors: their columns, and what an op's accepts asks. */
uint32_t heed_node_rows_columns(const heed_device *device);
bool heed_node_accepts_rows(const heed_device *device, char *why, size_t size);
/* Takes the one that node->kernel names, or the best, and writes its name there. NULL: the log says why, and *status is
 * HEED_ERR_ARGUMENT (no such name) or HEED_ERR_UNSUPPORTED. */
const struct heed_node_candidate *heed_node_select(const struct heed_node_lowering *l,
                                                   const struct heed_node_candidate *list, uint32_t count,
                                                   enum heed_status *status);

/* ---- the table */

struct heed_pipeline_op {
    const char *name;
    bool view; /* nothing to evaluate or lower */
    enum heed_status (*infer)(struct heed_graph *graph, struct heed_node *node);
    enum heed_status (*evaluate)(const struct heed_graph *graph, const struct heed_node *node,
                                 const struct heed_operand *in, const struct heed_operand *out);
    enum heed_status (*lower)(struct heed_node_lowering *l);
    /* Of ops that have a choice, else NULL: for tests that force each. */
    const struct heed_node_candidate *(*candidates)(uint32_t *count);
};
extern const struct heed_pipeline_op heed_pipeline_ops[HEED_NODE_KIND_COUNT];

/* ---- graphs: pipeline.c */

enum heed_status heed_graph_copy(const struct heed_graph *from, struct heed_graph *to);
void heed_graph_clear(struct heed_graph *graph);
/* Changes sizes and infers all nodes again. */
enum heed_status heed_graph_resize(struct heed_graph *graph, const struct heed_size *sizes, uint32_t count);

/* What heed.h would be asked in place of a node: op_attend.c. */
enum heed_status heed_attend_problem(const struct heed_graph *graph, const struct heed_node *node,
                                     struct heed_attention_problem *problem);
enum heed_status heed_sample_problem(const struct heed_graph *graph, const struct heed_node *node,
                                     struct heed_deform_problem *problem);

/* ---- plans: pipeline_compile.c */

/* What a plan of a pipeline owns beside its steps. */
struct heed_place {
    uint64_t bytes, offset; /* in the arena */
    uint32_t first, last;   /* intervals between barriers in which it is used */
    uint32_t node;          /* that it is scratch of; UINT32_MAX: of a storage */
    bool used;
};
struct heed_pipeline_plan {
    struct heed_graph graph;
    struct heed_arg_slot *slots; /* of arg_count + 1 arguments; the last is the scratch */
    struct heed_place *places;   /* of the graph's storages, then scratch of nodes */
    uint32_t place_count, place_capacity;
    uint64_t arena_sum; /* what the arena would take without sharing */
};
void heed_pipeline_plan_destroy(heed_plan *plan);

#endif
