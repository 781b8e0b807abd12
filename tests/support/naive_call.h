/* SPDX-License-Identifier: MIT
 * One op evaluated plainly in f32: what the files behind naive_pipeline.h share. */
#ifndef HEED_TEST_NAIVE_CALL_H
#define HEED_TEST_NAIVE_CALL_H

#include "pipeline.h"

/* An input or output of a node, with 4 axes, the missing ones in front. */
struct naive {
    float *data; /* NULL: not there */
    enum heed_dtype dtype;
    uint64_t length[4], stride[4];
};

struct naive_call {
    const struct heed_graph *graph;
    const struct heed_node *node;
    struct naive in[HEED_NODE_INPUTS], out[HEED_NODE_OUTPUTS];
    const char *why; /* it cannot be evaluated here */
};

static inline float *naive_at(const struct naive *t, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return &t->data[a * t->stride[0] + b * t->stride[1] + c * t->stride[2] + d * t->stride[3]];
}

/* Rounds to the type that the value is stored in. */
void naive_set(const struct naive *t, uint64_t a, uint64_t b, uint64_t c, uint64_t d, float x);
float naive_activate(enum heed_activation activation, float x);

#define NAIVE_FOR_ROWS(t, a, b, c)                                                                                     \
    for (uint64_t a = 0; a < (t)->length[0]; a++)                                                                      \
        for (uint64_t b = 0; b < (t)->length[1]; b++)                                                                  \
            for (uint64_t c = 0; c < (t)->length[2]; c++)

/* naive_layers.c */
void naive_conv(struct naive_call *call);
void naive_embed(struct naive_call *call);
void naive_concat(struct naive_call *call);
void naive_rope(struct naive_call *call);
void naive_sinusoid(struct naive_call *call);
void naive_pool(struct naive_call *call);
void naive_resize(struct naive_call *call);
void naive_top_k(struct naive_call *call);

#endif
