/* SPDX-License-Identifier: MIT
 * Reads from a SPIR-V module what the host has to agree with: push block, bindings, specialisation constants. */
#ifndef HEED_TEST_SPIRV_H
#define HEED_TEST_SPIRV_H

#include <stdbool.h>
#include <stdint.h>

enum { SPIRV_MAX_MEMBERS = 64, SPIRV_MAX_BINDINGS = 64, SPIRV_MAX_SPEC = 64 };

struct spirv_member {
    char name[64];
    uint32_t offset, elements; /* elements: 1, or the length of an array of words */
    uint32_t stride;           /* bytes from one element to the next; 0 without an array */
    char type;                 /* 'u', 'i', 'f': 32 bits each; '?': anything else */
};

struct spirv_binding {
    char name[64]; /* of the block's type */
    uint32_t set, binding;
};

struct spirv_spec {
    char name[64];
    uint32_t id;
};

struct spirv_module {
    char name[64]; /* of the file, without folder and ending */
    struct spirv_member members[SPIRV_MAX_MEMBERS];
    uint32_t member_count;
    struct spirv_binding bindings[SPIRV_MAX_BINDINGS];
    uint32_t binding_count;
    struct spirv_spec specs[SPIRV_MAX_SPEC];
    uint32_t spec_count;
    uint32_t words; /* of the file */
};

/* False with a line on stderr when it cannot be read or is not what heed's shaders look like. */
bool spirv_read(const char *path, struct spirv_module *module);

#endif
