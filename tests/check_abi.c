/* SPDX-License-Identifier: MIT
 * Host and shaders agree: every member of a push block has the offset and the type that the C struct has, bindings and
 * specialisation constants have the numbers of abi.h.  check_abi FILE.spv... */
#include "abi.h"
#include "spirv.h"
#include "vulkan/vk.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The same lists of members once more, now as rows of a table. */
struct member {
    const char *name;
    size_t offset;
    uint32_t elements;
    char type;
};
#undef HEED_U
#undef HEED_I
#undef HEED_F
#undef HEED_U_ARRAY
#define HEED_U(name) {#name, offsetof(struct PUSH, name), 1, 'u'},
#define HEED_I(name) {#name, offsetof(struct PUSH, name), 1, 'i'},
#define HEED_F(name) {#name, offsetof(struct PUSH, name), 1, 'f'},
#define HEED_U_ARRAY(name, n) {#name, offsetof(struct PUSH, name), n, 'u'},

#define PUSH heed_attn_push
static const struct member attn_members[] = {HEED_ATTN_PUSH{0}};
#undef PUSH
#define PUSH heed_attn_address_push
static const struct member attn_address_members[] = {HEED_ATTN_PUSH HEED_ATTN_ADDRESSES{0}};
#undef PUSH
#define PUSH heed_pack_push
static const struct member pack_members[] = {HEED_PACK_PUSH{0}};
#undef PUSH
#define PUSH heed_deform_push
static const struct member deform_members[] = {HEED_DEFORM_PUSH{0}};
#undef PUSH
#define PUSH heed_combine_push
static const struct member combine_members[] = {HEED_COMBINE_PUSH{0}};
#undef PUSH
#define PUSH heed_norm_push
static const struct member norm_members[] = {HEED_NORM_PUSH{0}};
#undef PUSH
#define PUSH heed_linear_push
static const struct member linear_members[] = {HEED_LINEAR_PUSH{0}};
#undef PUSH
#define PUSH heed_conv_push
static const struct member conv_members[] = {HEED_CONV_PUSH{0}};
#undef PUSH
#define PUSH heed_append_push
static const struct member append_members[] = {HEED_APPEND_PUSH{0}};
#undef PUSH
#define PUSH heed_points_push
static const struct member points_members[] = {HEED_POINTS_PUSH{0}};
#undef PUSH

struct number {
    const char *name;
    uint32_t number;
};

/* Constants, as the shaders call them. */
#define SPEC(name)                                                                                                     \
    {                                                                                                                  \
#name, HEED_SPEC_##name                                                                                        \
    }
static const struct number attn_specs[] = {
    SPEC(STAGE),    SPEC(VALUE_ROWS),  SPEC(VALUE_COLUMNS), SPEC(BR),       SPEC(BC),
    SPEC(DIM_QK),   SPEC(DIM_V),       SPEC(FLAGS),         SPEC(DTYPES),   {"HEED_VECTOR", HEED_SPEC_VECTOR},
    SPEC(Q_SHARED), SPEC(DIM_V_SLICE), SPEC(POS_DIMS),      SPEC(MATRIX_M), SPEC(MATRIX_N),
    SPEC(MATRIX_K), SPEC(WIDE),        SPEC(BY_WORD),       SPEC(TOUCH),    SPEC(SUBGROUP), {0},
};
#undef SPEC
#define SPEC(name)                                                                                                     \
    {                                                                                                                  \
#name, HEED_DEFORM_SPEC_##name                                                                                 \
    }
static const struct number deform_specs[] = {SPEC(DIM),    SPEC(BLOCK), SPEC(FLAGS), SPEC(DTYPES), SPEC(VECTOR),
                                             SPEC(POINTS), SPEC(ROWS),  SPEC(CHUNK), {0}};
/* Constants 1 to 3 of every kernel of a pipeline. */
#define OP_SPECS                                                                                                       \
    {"FLAGS", HEED_POINTS_SPEC_FLAGS}, {"DTYPES", HEED_POINTS_SPEC_DTYPES},                                            \
    {                                                                                                                  \
        "HEED_VECTOR", HEED_POINTS_SPEC_VECTOR                                                                         \
    }
#define LINEAR_SPECS                                                                                                   \
    OP_SPECS, {"ROWS", HEED_LINEAR_SPEC_ROWS}, {"COLUMNS", HEED_LINEAR_SPEC_COLUMNS},                                  \
    {                                                                                                                  \
        "CHUNK", HEED_LINEAR_SPEC_CHUNK                                                                                \
    }
static const struct number op_specs[] = {OP_SPECS, {0}};
static const struct number norm_specs[] = {OP_SPECS, {"LANES", HEED_NORM_SPEC_LANES}, {0}};
static const struct number linear_specs[] = {LINEAR_SPECS, {0}};
static const struct number conv_specs[] = {LINEAR_SPECS,
                                           {"PADDED", HEED_CONV_SPEC_PADDED},
                                           {"KERNEL_X", HEED_CONV_SPEC_KERNEL_X},
                                           {"TAPS", HEED_CONV_SPEC_TAPS},
                                           {"GROUP_OUT", HEED_CONV_SPEC_GROUP_OUT},
                                           {0}};
static const struct number no_specs[] = {{0}};

/* Blocks, as the shaders call them, in small letters and without "_block..." behind. */
static const struct number attn_bindings[] = {
    {"q", HEED_ATTN_Q},
    {"k", HEED_ATTN_K},
    {"v", HEED_ATTN_V},
    {"o", HEED_ATTN_O},
    {"mask", HEED_ATTN_MASK},
    {"side", HEED_ATTN_SIDE},
    {"lse", HEED_ATTN_LSE},
    {"entropy", HEED_ATTN_ENTROPY},
    {0},
};
static const struct number pack_bindings[] = {{"src", HEED_PACK_SRC}, {"dst", HEED_PACK_DST}, {0}};
static const struct number deform_bindings[] = {
    {"value", HEED_DEFORM_VALUE},
    {"o", HEED_DEFORM_O},
    {"coords", HEED_DEFORM_COORDS},
    {"weights", HEED_DEFORM_WEIGHTS},
    {"reference", HEED_DEFORM_REFERENCE},
    {"table", HEED_DEFORM_TABLE},
    {0},
};
static const struct number combine_bindings[] = {
    {"a", HEED_COMBINE_A}, {"b", HEED_COMBINE_B}, {"o", HEED_COMBINE_O}, {0}};
static const struct number norm_bindings[] = {
    {"x", HEED_NORM_X}, {"gain", HEED_NORM_GAIN}, {"bias", HEED_NORM_BIAS}, {"o", HEED_NORM_O}, {0}};
static const struct number linear_bindings[] = {{"x", HEED_LINEAR_X},       {"w", HEED_LINEAR_W},
                                                {"bias", HEED_LINEAR_BIAS}, {"residual", HEED_LINEAR_RESIDUAL},
                                                {"y", HEED_LINEAR_Y},       {0}};
static const struct number append_bindings[] = {
    {"x", HEED_APPEND_X}, {"at", HEED_APPEND_AT}, {"state", HEED_APPEND_STATE}, {0}};
static const struct number embed_bindings[] = {
    {"table", HEED_EMBED_TABLE}, {"index", HEED_EMBED_INDEX}, {"o", HEED_EMBED_O}, {0}};
static const struct number rope_bindings[] = {
    {"x", HEED_ROPE_X}, {"positions", HEED_ROPE_POSITIONS}, {"o", HEED_ROPE_O}, {0}};
static const struct number sinusoid_bindings[] = {{"positions", HEED_SINUSOID_POSITIONS}, {"o", HEED_SINUSOID_O}, {0}};
static const struct number pool_bindings[] = {{"x", HEED_POOL_X}, {"o", HEED_POOL_O}, {0}};
static const struct number resize_bindings[] = {{"x", HEED_RESIZE_X}, {"o", HEED_RESIZE_O}, {0}};
static const struct number top_k_bindings[] = {
    {"x", HEED_TOP_K_X}, {"values", HEED_TOP_K_VALUES}, {"indices", HEED_TOP_K_INDICES}, {0}};
/* What takes the place of a tensor in the kernels around the matrix of weights. */
static const struct number no_bindings[] = {{0}};
static const struct number scores_bindings[] = {{"scores", HEED_ATTN_O}, {0}};
static const struct number softmax_bindings[] = {{"scores", HEED_ATTN_Q}, {"weights", HEED_ATTN_O}, {0}};
static const struct number aggregate_bindings[] = {{"weights", HEED_ATTN_Q}, {0}};
static const struct number merge_bindings[] = {{"part", HEED_ATTN_Q}, {"sums", HEED_ATTN_K}, {0}};

static const struct family {
    const char *prefix; /* of the kernel's name; the first that fits */
    const struct member *members;
    const struct number *specs, *bindings, *own_bindings;
} families[] = {
    {"attn_scores_lanes_address", attn_address_members, attn_specs, attn_bindings, scores_bindings},
    {"attn_scores", attn_members, attn_specs, attn_bindings, scores_bindings},
    {"attn_softmax_address", attn_address_members, attn_specs, attn_bindings, softmax_bindings},
    {"attn_softmax", attn_members, attn_specs, attn_bindings, softmax_bindings},
    {"attn_aggregate_address", attn_address_members, attn_specs, attn_bindings, aggregate_bindings},
    {"attn_aggregate", attn_members, attn_specs, attn_bindings, aggregate_bindings},
    {"attn_merge", attn_members, attn_specs, attn_bindings, merge_bindings},
    {"attn_fused", attn_members, attn_specs, attn_bindings, no_bindings},
    {"attn_held", attn_members, attn_specs, attn_bindings, no_bindings},
    {"attn_matrix", attn_members, attn_specs, attn_bindings, no_bindings},
    {"attn_features_address", attn_address_members, attn_specs, attn_bindings, no_bindings},
    {"attn_lanes_address", attn_address_members, attn_specs, attn_bindings, no_bindings},
    {"attn_lanes", attn_members, attn_specs, attn_bindings, no_bindings},
    {"attn_keys", attn_members, attn_specs, attn_bindings, no_bindings},
    {"pack", pack_members, no_specs, pack_bindings, no_bindings},
    {"deform", deform_members, deform_specs, deform_bindings, no_bindings},
    {"combine", combine_members, op_specs, combine_bindings, no_bindings},
    {"norm", norm_members, norm_specs, norm_bindings, no_bindings},
    {"linear", linear_members, linear_specs, linear_bindings, no_bindings},
    {"conv", conv_members, conv_specs, linear_bindings, no_bindings},
    {"append", append_members, op_specs, append_bindings, no_bindings},
    {"embed", points_members, op_specs, embed_bindings, no_bindings},
    {"rope", points_members, op_specs, rope_bindings, no_bindings},
    {"sinusoid", points_members, op_specs, sinusoid_bindings, no_bindings},
    {"pool", points_members, op_specs, pool_bindings, no_bindings},
    {"resize", points_members, op_specs, resize_bindings, no_bindings},
    {"top_k", points_members, op_specs, top_k_bindings, no_bindings},
};

static int failures;

#define FAIL(...) (printf(__VA_ARGS__), putchar('\n'), failures++)

static void check_members(const struct spirv_module *m, const struct member *expected)
{
    uint32_t i = 0;
    for (; expected[i].name; i++) {
        const struct member *e = &expected[i];
        const struct spirv_member *s = &m->members[i];
        if (i >= m->member_count)
            FAIL("%s: push.%s is not in the module", m->name, e->name);
        else if (strcmp(s->name, e->name) != 0 || s->offset != e->offset || s->type != e->type ||
                 s->elements != e->elements || (s->elements > 1 && s->stride != 4))
            FAIL("%s: push.%s: shader %s %c[%u] at %u, host %c[%u] at %zu", m->name, e->name, s->name, s->type,
                 s->elements, s->offset, e->type, e->elements, e->offset);
    }
    if (m->member_count > i)
        FAIL("%s: the push block has %u members, the host's %u", m->name, m->member_count, i);
}

static bool same_name(const char *shader, const char *host)
{
    size_t length = strlen(host);
    for (size_t i = 0; i < length; i++) {
        if (tolower((unsigned char)shader[i]) != host[i])
            return false;
    }
    return shader[length] == 0 || strncmp(shader + length, "_block", 6) == 0;
}

static const struct number *find_block(const char *shader, const struct number *list)
{
    while (list->name && !same_name(shader, list->name))
        list++;
    return list->name ? list : NULL;
}

static void check_bindings(const struct spirv_module *m, const struct family *family)
{
    for (uint32_t i = 0; i < m->binding_count; i++) {
        const struct spirv_binding *b = &m->bindings[i];
        const struct number *e = find_block(b->name, family->own_bindings);
        if (!e)
            e = find_block(b->name, family->bindings);
        if (!e)
            FAIL("%s: block %s is not a binding of abi.h", m->name, b->name);
        else if (b->set != 0 || b->binding != e->number)
            FAIL("%s: block %s: shader set %u binding %u, host set 0 binding %u", m->name, b->name, b->set, b->binding,
                 e->number);
    }
    if (m->binding_count == 0)
        FAIL("%s: no binding", m->name);
}

static void check_specs(const struct spirv_module *m, const struct number *expected)
{
    bool sized = false;
    for (uint32_t i = 0; i < m->spec_count; i++) {
        const struct spirv_spec *s = &m->specs[i];
        if (s->id == HEED_SPEC_GROUP) { /* local_size_x_id, and any constant that repeats it */
            sized = true;
            continue;
        }
        const struct number *e = expected;
        while (e->name && strcmp(e->name, s->name) != 0)
            e++;
        if (!e->name || e->number != s->id)
            FAIL("%s: constant %s has id %u; abi.h %s", m->name, s->name, s->id,
                 e->name ? "gives it another" : "has none of that name");
    }
    if (!sized)
        FAIL("%s: the work-group size is not specialisation constant %d", m->name, HEED_SPEC_GROUP);
}

enum { MOST_BYTES = 3 << 19 }; /* 1.5 MiB */

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: check_abi FILE.spv...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        static struct spirv_module module;
        if (!spirv_read(argv[i], &module))
            return 1;
        const struct family *family = NULL;
        for (size_t f = 0; !family && f < sizeof families / sizeof *families; f++) {
            if (strncmp(module.name, families[f].prefix, strlen(families[f].prefix)) == 0)
                family = &families[f];
        }
        if (!family) {
            FAIL("%s: no push block of abi.h is known for it", module.name);
            continue;
        }
        int before = failures;
        check_members(&module, family->members);
        check_bindings(&module, family);
        check_specs(&module, family->specs);
        printf("%s  %s: %u members, %u blocks, %u constants\n", failures == before ? "ok    " : "FAILED", module.name,
               module.member_count, module.binding_count, module.spec_count);
    }
    /* What an app carries for all of heed's kernels. */
    uint64_t bytes = 0;
    for (unsigned k = 0; k < HEED_KERNEL_COUNT; k++)
        bytes += heed_vk_kernel_bytes((enum heed_kernel)k);
    if (bytes > MOST_BYTES)
        FAIL("all modules: %llu bytes are more than %d", (unsigned long long)bytes, MOST_BYTES);
    printf("%s  all modules: %llu of %d bytes\n", bytes > MOST_BYTES ? "FAILED" : "ok    ", (unsigned long long)bytes,
           MOST_BYTES);
    return failures > 0;
}
