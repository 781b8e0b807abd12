/* SPDX-License-Identifier: MIT
 * The ops themselves in double precision: what the reference backend runs, and the oracle of the tests. */
#ifndef HEED_REFERENCE_H
#define HEED_REFERENCE_H

#include "../problem.h"

/* How outputs are stored. Element numbers are the same either way: strides, gaps and unwritten rows stay as they are.
 */
enum heed_reference_store {
    HEED_REFERENCE_STORED_TYPE, /* rounded once, to nearest even, to the argument's own type */
    HEED_REFERENCE_F64,         /* every output is an array of double, of bytes / element size entries */
};

/* `in` and `out` have a pointer to the first element for every argument that problem->args has, by enum heed_arg_id;
 * the other entries are not looked at. Integers that arrive in arguments (lengths) are clamped, never trusted.
 * `context` gives memory for one row. HEED_ERR_HOST_MEMORY. */
enum heed_status heed_reference_attention(heed_context *context, const struct heed_attention_problem *problem,
                                          const void *const in[HEED_ARG_COUNT], void *const out[HEED_ARG_COUNT],
                                          enum heed_reference_store store);
enum heed_status heed_reference_deform(heed_context *context, const struct heed_deform_problem *problem,
                                       const void *const in[HEED_ARG_COUNT], void *const out[HEED_ARG_COUNT],
                                       enum heed_reference_store store);

struct heed_graph;
/* `args`: the first element of every argument of the graph, by its number. With HEED_REFERENCE_F64 arguments that are
 * only written are arrays of double. `ns`: the time of each node that is no view; NULL: not wanted.
 * HEED_ERR_HOST_MEMORY. */
enum heed_status heed_reference_pipeline(const struct heed_graph *graph, void *const *args,
                                         enum heed_reference_store store, uint64_t *ns);

/* Element `index` of an output; inputs are read with heed_dtype_load. */
void heed_reference_put(void *tensor, enum heed_dtype dtype, enum heed_reference_store store, uint64_t index,
                        double value);

#endif
