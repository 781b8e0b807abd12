/* SPDX-License-Identifier: MIT
 * A reader of the few SPIR-V instructions that describe a compute shader's interface. */
#include "spirv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SPIR-V specification 1.3, sections 3.20 and 3.32. */
enum {
    OP_NAME = 5,
    OP_MEMBER_NAME = 6,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    DECORATION_SPEC_ID = 1,
    DECORATION_ARRAY_STRIDE = 6,
    DECORATION_BINDING = 33,
    DECORATION_DESCRIPTOR_SET = 34,
    DECORATION_OFFSET = 35,
    STORAGE_UNIFORM = 2,
    STORAGE_PUSH_CONSTANT = 9,
    STORAGE_STORAGE_BUFFER = 12,
};

struct words {
    uint32_t *at;
    uint32_t count;
};

/* The next instruction after `at` with this opcode whose operand number `index` (the opcode's word is 0) is `value`;
 * index 0 takes any. NULL: none. */
static const uint32_t *find(const struct words *w, const uint32_t *at, uint32_t opcode, uint32_t index, uint32_t value)
{
    const uint32_t *end = w->at + w->count;
    for (at = at ? at + (*at >> 16) : w->at + 5; at < end; at += *at >> 16) {
        if ((*at & 0xffff) == opcode && (index == 0 || ((*at >> 16) > index && at[index] == value)))
            return at;
    }
    return NULL;
}

/* The operand of a decoration of an id (member UINT32_MAX) or of a struct's member; `missing` without one. */
static uint32_t decoration(const struct words *w, uint32_t id, uint32_t member, uint32_t kind, uint32_t missing)
{
    const bool of_member = member != UINT32_MAX;
    const uint32_t *at = NULL;
    while ((at = find(w, at, of_member ? OP_MEMBER_DECORATE : OP_DECORATE, 1, id))) {
        const uint32_t *kind_at = of_member ? at + 3 : at + 2;
        if ((!of_member || at[2] == member) && *kind_at == kind)
            return kind_at[1];
    }
    return missing;
}

/* Strings are bytes in little-endian words; SPIR-V files are made and read on the same machine here. */
static void copy_name(char to[64], const uint32_t *at, uint32_t first)
{
    to[0] = 0;
    if (at)
        snprintf(to, 64, "%.*s", (int)(4 * ((*at >> 16) - first)), (const char *)(at + first));
}

static void read_member(const struct words *w, uint32_t structure, uint32_t index, uint32_t type,
                        struct spirv_member *member)
{
    const uint32_t *name = NULL;
    while ((name = find(w, name, OP_MEMBER_NAME, 1, structure)) && name[2] != index)
        continue;
    copy_name(member->name, name, 3);
    member->offset = decoration(w, structure, index, DECORATION_OFFSET, UINT32_MAX);
    member->elements = 1;
    const uint32_t *array = find(w, NULL, OP_TYPE_ARRAY, 1, type);
    if (array) {
        const uint32_t *length = find(w, NULL, OP_CONSTANT, 2, array[3]);
        member->elements = length ? length[3] : 0;
        member->stride = decoration(w, type, UINT32_MAX, DECORATION_ARRAY_STRIDE, 0);
        type = array[2];
    }
    const uint32_t *integer = find(w, NULL, OP_TYPE_INT, 1, type), *real = find(w, NULL, OP_TYPE_FLOAT, 1, type);
    member->type = '?';
    if (integer && integer[2] == 32)
        member->type = integer[3] ? 'i' : 'u';
    else if (real && real[2] == 32)
        member->type = 'f';
}

static bool read_variable(const struct words *w, const uint32_t *variable, struct spirv_module *module)
{
    const uint32_t storage = variable[3];
    if (storage != STORAGE_UNIFORM && storage != STORAGE_PUSH_CONSTANT && storage != STORAGE_STORAGE_BUFFER)
        return true;
    const uint32_t *pointer = find(w, NULL, OP_TYPE_POINTER, 1, variable[1]);
    const uint32_t *structure = pointer ? find(w, NULL, OP_TYPE_STRUCT, 1, pointer[3]) : NULL;
    if (!structure)
        return false;
    if (storage == STORAGE_PUSH_CONSTANT) {
        module->member_count = (*structure >> 16) - 2;
        if (module->member_count > SPIRV_MAX_MEMBERS)
            return false;
        for (uint32_t i = 0; i < module->member_count; i++)
            read_member(w, structure[1], i, structure[2 + i], &module->members[i]);
        return true;
    }
    if (module->binding_count == SPIRV_MAX_BINDINGS)
        return false;
    struct spirv_binding *binding = &module->bindings[module->binding_count++];
    copy_name(binding->name, find(w, NULL, OP_NAME, 1, structure[1]), 2);
    binding->set = decoration(w, variable[2], UINT32_MAX, DECORATION_DESCRIPTOR_SET, UINT32_MAX);
    binding->binding = decoration(w, variable[2], UINT32_MAX, DECORATION_BINDING, UINT32_MAX);
    return true;
}

static bool read_module(const struct words *w, struct spirv_module *module)
{
    for (uint32_t i = 5; i < w->count; i += w->at[i] >> 16) {
        if (w->at[i] >> 16 == 0 || w->at[i] >> 16 > w->count - i)
            return false;
    }
    for (const uint32_t *at = NULL; (at = find(w, at, OP_VARIABLE, 0, 0));) {
        if (!read_variable(w, at, module))
            return false;
    }
    for (const uint32_t *at = NULL; (at = find(w, at, OP_DECORATE, 2, DECORATION_SPEC_ID));) {
        if (module->spec_count == SPIRV_MAX_SPEC)
            return false;
        struct spirv_spec *spec = &module->specs[module->spec_count++];
        spec->id = at[3];
        copy_name(spec->name, find(w, NULL, OP_NAME, 1, at[1]), 2);
    }
    return true;
}

bool spirv_read(const char *path, struct spirv_module *module)
{
    *module = (struct spirv_module){0};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(module->name, sizeof module->name, "%.*s", (int)strcspn(name, "."), name);

    FILE *file = fopen(path, "rb");
    long bytes = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        bytes = ftell(file);
    struct words w = {0};
    bool good = bytes >= 20 && bytes % 4 == 0 && fseek(file, 0, SEEK_SET) == 0 && (w.at = malloc((size_t)bytes)) &&
                fread(w.at, 1, (size_t)bytes, file) == (size_t)bytes;
    if (file)
        fclose(file);
    w.count = good ? (uint32_t)(bytes / 4) : 0;
    module->words = w.count;
    good = good && w.at[0] == 0x07230203 && read_module(&w, module);
    if (!good)
        fprintf(stderr, "%s: not a SPIR-V module that this reader understands\n", path);
    free(w.at);
    return good;
}
