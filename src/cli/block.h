/* SPDX-License-Identifier: MIT
 * heed block: blocks of heed_blocks.h, made of the tensors of a safetensors file.
 *
 * A type of block is a row of block_types.c: its keys, and a function that takes each tensor by its name and shape and
 * adds the block to a pipeline. The same function, without a file, prints the tensors for the help. */
#ifndef HEED_CLI_BLOCK_H
#define HEED_CLI_BLOCK_H

#include <heed/heed_blocks.h>

#include "config.h"
#include "safetensors.h"

/* ---- configuration */

enum block_norm { BLOCK_NORM_NONE, BLOCK_NORM_POST, BLOCK_NORM_PRE };

struct block_config {
    uint32_t heads, depth;
    int norm;                           /* enum block_norm */
    int activation;                     /* enum heed_activation, from HEED_RELU on: 0 is HEED_RELU */
    int causal;                         /* 0: not; else enum heed_diagonal + 1 */
    int dtype;                          /* enum heed_dtype */
    float epsilon, scale, offset_scale; /* scale 0: 1 / sqrt(dim of a head) */
    bool bias, gate, gated, first, feed_forward, residual, position_bias;
    uint32_t height, width, groups, stride, padding; /* padding UINT32_MAX: half the kernel */
    float offset_range_factor;
    uint32_t level_count, point_count, points[HEED_MAX_LEVELS];
    struct heed_level levels[HEED_MAX_LEVELS];
};

/* ---- types */

struct block_build;

struct block_type {
    const char *name, *summary;
    const struct config_key *keys;
    size_t key_count;
    void (*build)(struct block_build *build);
    const char *notes; /* how models call these tensors */
};

/* DAT has a file of its own. */
enum { BLOCK_DAT_KEYS = 10 };
extern const struct config_key block_dat_keys[BLOCK_DAT_KEYS];
void block_build_dat(struct block_build *build);

extern const struct block_type block_types[];
extern const size_t block_type_count;

/* ---- taking tensors */

enum block_take {
    BLOCK_FLOATS, /* f32, f16, bf16: as they are */
    BLOCK_F32,    /* f32, f16, bf16: as f32 */
    BLOCK_MASK,   /* bool, f32, f16 as they are; bf16 as f32 */
};

/* A tensor that is there for some configurations: which key says so, and what the help says of it. key NULL: for all.
 */
struct block_when {
    bool holds;
    const char *key, *text;
};

struct block_length {
    char symbol[48];
    uint64_t length;
    char tensor[64]; /* that had it first; empty: the configuration */
};

/* An argument of the plan: a tensor of the file, all of it or one of `parts` equal parts, or f32 that were made here.
 */
struct block_source {
    char arg[64];
    const struct safetensors_tensor *tensor; /* or NULL: */
    float *data;
    uint64_t count; /* of elements */
    uint32_t part, parts;
    enum heed_dtype dtype;
};

enum { BLOCK_MAX_TENSORS = 4096, BLOCK_MAX_LENGTHS = 512, BLOCK_MAX_OUTPUTS = 4 };

struct block_output {
    const char *name;
    enum heed_dtype dtype;
    struct heed_shape shape;
};

struct block_build {
    const struct block_type *type;
    const struct block_config *config;
    struct safetensors_file *file; /* NULL: names, shapes and types are printed instead */
    heed_pipeline *pipeline;       /* NULL where file is */
    struct fault *fault;
    bool failed;
    struct block_length lengths[BLOCK_MAX_LENGTHS];
    uint32_t length_count;
    struct block_source sources[BLOCK_MAX_TENSORS];
    uint32_t source_count;
    struct block_output outputs[BLOCK_MAX_OUTPUTS];
    uint32_t output_count;
};

/* The tensor `prefix``name`, whose axes have the lengths of `shape`: words, each a symbol, a number, or two of them
 * with | between, which allow either. A symbol stands for the length that the first tensor with it has; one that begins
 * with a dot belongs to the prefix. Not there: fails where it holds, and none where it does not. */
heed_value block_tensor(struct block_build *b, enum block_take take, const char *prefix, const char *name,
                        const char *shape, struct block_when when);
/* The same for one that may be missing: none. */
heed_value block_optional(struct block_build *b, enum block_take take, const char *prefix, const char *name,
                          const char *shape, const char *meaning);
/* Part `part` of `parts` along the first axis of a tensor, whose length is that many times the first symbol. */
heed_value block_part(struct block_build *b, const char *prefix, const char *name, const char *shape, uint32_t part,
                      uint32_t parts);
/* f32 that the configuration makes: `data`, of malloc, is the builder's from here on; NULL fails. */
heed_value block_made(struct block_build *b, const char *name, struct heed_shape shape, float *data);
/* Whether the file has it; false without a file. */
bool block_has(const struct block_build *b, const char *prefix, const char *name);

/* Makes a symbol a length that the configuration gives. */
void block_set_length(struct block_build *b, const char *symbol, uint64_t length);
/* The length of a symbol that has one already; 0 without a file. */
uint64_t block_get_length(const struct block_build *b, const char *prefix, const char *symbol);
/* The length must be a multiple of that of `of`. */
void block_expect_multiple(struct block_build *b, const char *prefix, const char *symbol, const char *of);
void block_output(struct block_build *b, const char *name, heed_value value, const char *shape);
/* Every tensor of the file must have been taken. */
void block_finish(struct block_build *b);
/* Fails with a sentence about the file; the first one stays. */
void block_fail(struct block_build *b, const char *format, ...) HEED_PRINTF(2, 3);
/* Frees what was made. */
void block_clear(struct block_build *b);

#endif
