/* SPDX-License-Identifier: MIT
 * Ops whose invocations make 4 features of one place of the result each: what their lowering shares. */
#ifndef HEED_OP_POINTS_H
#define HEED_OP_POINTS_H

#include "pipeline_ops.h"

struct heed_points {
    enum heed_kernel kernel;
    /* By binding; strides along the axes of the result, 0 for what is bound whole with `inner` elements. The result is
     * the last one, as heed_box_tensor sees it. */
    struct heed_boxed tensor[HEED_MAX_BINDINGS];
    uint32_t tensor_count;
    uint32_t flags, x;            /* x: the binding of which type and strides are told */
    uint64_t x_strides[4];        /* beside those of the box */
    bool vector;                  /* all that is loaded four at a time can be */
    double flops;                 /* of 4 features */
    struct heed_points_push push; /* own, a, b, c: the op's */
};

/* Steps for all of output 0. */
enum heed_status heed_points_lower(struct heed_node_lowering *l, struct heed_points *points);

#endif
