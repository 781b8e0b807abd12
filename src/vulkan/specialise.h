/* SPDX-License-Identifier: MIT
 * Specialisation before the driver sees the shader: constants become plain ones, and what is computed from them is
 * computed. Drivers may do it late: SwiftShader first compiles all that the constants rule out, in seconds a pipeline
 * (deform: 5 s, and 30 ms this way). */
#ifndef HEED_VULKAN_SPECIALISE_H
#define HEED_VULKAN_SPECIALISE_H

#include "../context.h"

/* `out` has room for `words`, as `code` has; returns how many it takes, 0 when memory ran out. values[i] is the
 * constant with id i. What is not understood stays as it is, for the driver. */
size_t heed_spirv_specialise(heed_context *context, const uint32_t *code, size_t words, const uint32_t *values,
                             uint32_t count, uint32_t *out);

/* The operation on scalars of 32 bits and booleans. False: not one that is folded here, or undefined. */
bool heed_spirv_evaluate(uint32_t opcode, const uint32_t operands[3], uint32_t *result);
bool heed_spirv_evaluates(uint32_t opcode);

/* prune.c: what constants rule out is removed. `out` has room for `words`, as `code` has; returns how many it takes, 0
 * when memory ran out. */
size_t heed_spirv_prune(heed_context *context, const uint32_t *code, size_t words, uint32_t *out);

#endif
