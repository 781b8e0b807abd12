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
        HEED_NODE_KIND_COUNT,
    } kind;
    uint32_t input[HEED_NODE_INPUTS], output[HEED_NODE_OUTPUTS]; /* values by id; 0: none */
    uint64_t desc[HEED_NODE_DESC_WORDS];                         /* the op's own struct, by heed_node_desc */
    char kernel[64]; /* asked for; in a plan the one that was chosen; empty: the best */
    uint64_t flops;  /* set by infer */
};

struct heed_graph {
    heed_context *context;
    uint32_t offset_alignment; /* of every argument */
    struct heed_tensor *tensors; /* by value id; 0 is none */
    struct heed_storage *storages;
    struct heed_node *nodes; /* in the order in which they run */
    uint32_t tensor_count, tensor_capacity, storage_count, storage_capacity, node_count, node_capacity;
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

/* Adds a node and infers it; returns output 0, or none with the pipeline failed. `desc` of `bytes` is copied (NULL: the
 * struct zeroed with its struct_size). `kernel` may be NULL. Outputs are as many as infer makes: *outputs[1..] get them. */
heed_value heed_pipeline_add(heed_pipeline *pipeline, enum heed_node_kind kind, const heed_value *inputs,
                             uint32_t input_count, const void *desc, size_t bytes, const char *kernel,
                             heed_value *outputs);
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
/* Fails unless input `i`, when there is one, has this type and these lengths. `what`: "bias". */
enum heed_status heed_node_expect(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                  const char *what, enum heed_dtype dtype, uint32_t axes, const uint64_t *length);
enum heed_status heed_node_expect_float(const struct heed_graph *graph, const struct heed_node *node, uint32_t i,
                                        const char *what);
/* The last axis has adjacent elements, the axes before it can be taken as `outer` ones: rows of features. */
struct heed_rows {
    uint64_t length[2], stride[2]; /* outermost first: batches and rows */
    uint64_t features;
};
/* False: more than two strides are needed. */
bool heed_tensor_rows(const struct heed_tensor *tensor, struct heed_rows *rows);
/* Both over the same rows: the axes in front are split alike. */
bool heed_tensor_rows_pair(const struct heed_tensor *a, const struct heed_tensor *b, struct heed_rows *rows_a,
                           struct heed_rows *rows_b);

/* ---- for evaluate: tensors in host memory, always seen with 4 axes, the missing ones in front with length 1 */

struct heed_operand {
    unsigned char *data; /* of element 0; NULL: the node has no such input or output */
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
void heed_node_bind(struct heed_node_lowering *l, struct heed_step *step, uint32_t slot, const struct heed_tensor *t);
void heed_node_bind_part(struct heed_node_lowering *l, struct heed_step *step, uint32_t slot,
                         const struct heed_tensor *t, uint64_t first, const uint64_t *length);
void heed_node_bind_range(struct heed_step *step, uint32_t slot, uint32_t storage, uint32_t element_bytes,
                          uint64_t offset, uint64_t bytes);
/* Rows begin at multiples of 4 elements that can be loaded at once, and are multiples of 4 long. */
bool heed_tensor_is_vector(const struct heed_graph *graph, const struct heed_tensor *t);
/* The power of two of bytes, at most 16, at which the tensor begins wherever the arguments are bound. */
uint32_t heed_tensor_alignment(const struct heed_graph *graph, const struct heed_tensor *t);

/* ---- the table */

struct heed_pipeline_op {
    const char *name;
    bool view; /* nothing to evaluate or lower */
    enum heed_status (*infer)(struct heed_graph *graph, struct heed_node *node);
    enum heed_status (*evaluate)(heed_context *context, const struct heed_node *node, const struct heed_operand *in,
                                 const struct heed_operand *out);
    enum heed_status (*lower)(struct heed_node_lowering *l);
};
extern const struct heed_pipeline_op heed_pipeline_ops[HEED_NODE_KIND_COUNT];

/* ---- graphs: pipeline.c */

enum heed_status heed_graph_copy(const struct heed_graph *from, struct heed_graph *to);
void heed_graph_clear(struct heed_graph *graph);
/* Infers all nodes again, after sizes have changed. */
enum heed_status heed_graph_infer(struct heed_graph *graph);

/* ---- plans: pipeline_compile.c */

/* Runs the graph on the host, in double precision: src/reference/pipeline.c. `args` by argument: the first element. */
enum heed_status heed_reference_pipeline(heed_context *context, const struct heed_graph *graph, void *const *args);

#endif
