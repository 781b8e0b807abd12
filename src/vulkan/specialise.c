/* SPDX-License-Identifier: MIT
 * Folds specialisation constants in SPIR-V: scalars of 32 bits and booleans, which is what heed's shaders have. */
#include "specialise.h"

#include <string.h>

/* Opcodes and decorations, from the SPIR-V specification. */
enum {
    OP_TYPE_BOOL = 20,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_CONSTANT_TRUE = 41,
    OP_CONSTANT_FALSE = 42,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT_TRUE = 48,
    OP_SPEC_CONSTANT_FALSE = 49,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_SPEC_CONSTANT_OP = 52,
    OP_FUNCTION = 54,
    OP_DECORATE = 71,
    OP_COMPOSITE_EXTRACT = 81,
    OP_I_ADD = 128,
    OP_I_SUB = 130,
    OP_I_MUL = 132,
    OP_U_DIV = 134,
    OP_U_MOD = 137,
    OP_LOGICAL_EQUAL = 164,
    OP_LOGICAL_NOT_EQUAL = 165,
    OP_LOGICAL_OR = 166,
    OP_LOGICAL_AND = 167,
    OP_LOGICAL_NOT = 168,
    OP_SELECT = 169,
    OP_I_EQUAL = 170,
    OP_I_NOT_EQUAL = 171,
    OP_U_GREATER_THAN = 172,
    OP_U_GREATER_THAN_EQUAL = 174,
    OP_U_LESS_THAN = 176,
    OP_U_LESS_THAN_EQUAL = 178,
    OP_SHIFT_RIGHT_LOGICAL = 194,
    OP_SHIFT_LEFT_LOGICAL = 196,
    OP_BITWISE_OR = 197,
    OP_BITWISE_XOR = 198,
    OP_BITWISE_AND = 199,
    OP_NOT = 200,
    OP_EXECUTION_MODE = 16,
    OP_EXECUTION_MODE_ID = 331,
    MODE_LOCAL_SIZE = 17,
    MODE_LOCAL_SIZE_ID = 38,
    DECORATION_SPEC_ID = 1,
    HEADER_WORDS = 5,
};

enum kind { UNKNOWN, TYPE_BOOL, TYPE_WORD, KNOWN, COMPOSITE };

/* What is known of a result id. */
struct id {
    enum kind kind;
    bool has_spec_id;
    uint32_t spec_id;
    uint32_t value;          /* KNOWN; booleans are 0 and 1 */
    const uint32_t *members; /* COMPOSITE: ids of `count` constituents */
    uint32_t count;
};

bool heed_spirv_evaluate(uint32_t opcode, const uint32_t operands[3], uint32_t *result)
{
    const uint32_t a = operands[0], b = operands[1], c = operands[2];
    switch (opcode) {
    case OP_I_ADD:
        *result = a + b;
        return true;
    case OP_I_SUB:
        *result = a - b;
        return true;
    case OP_I_MUL:
        *result = a * b;
        return true;
    case OP_U_DIV:
        *result = b ? a / b : 0;
        return b != 0;
    case OP_U_MOD:
        *result = b ? a % b : 0;
        return b != 0;
    case OP_LOGICAL_EQUAL:
    case OP_I_EQUAL:
        *result = a == b;
        return true;
    case OP_LOGICAL_NOT_EQUAL:
    case OP_I_NOT_EQUAL:
        *result = a != b;
        return true;
    case OP_LOGICAL_NOT:
        *result = !a;
        return true;
    case OP_SELECT:
        *result = a ? b : c;
        return true;
    case OP_U_GREATER_THAN:
        *result = a > b;
        return true;
    case OP_U_GREATER_THAN_EQUAL:
        *result = a >= b;
        return true;
    case OP_U_LESS_THAN:
        *result = a < b;
        return true;
    case OP_U_LESS_THAN_EQUAL:
        *result = a <= b;
        return true;
    case OP_SHIFT_RIGHT_LOGICAL:
        *result = b < 32 ? a >> b : 0;
        return b < 32;
    case OP_SHIFT_LEFT_LOGICAL:
        *result = b < 32 ? a << b : 0;
        return b < 32;
    case OP_LOGICAL_OR:
    case OP_BITWISE_OR:
        *result = a | b;
        return true;
    case OP_BITWISE_XOR:
        *result = a ^ b;
        return true;
    case OP_LOGICAL_AND:
    case OP_BITWISE_AND:
        *result = a & b;
        return true;
    case OP_NOT:
        *result = ~a;
        return true;
    default:
        return false;
    }
}

bool heed_spirv_evaluates(uint32_t opcode)
{
    uint32_t any;
    return heed_spirv_evaluate(opcode, (const uint32_t[]){1, 1, 1}, &any);
}

/* OpSpecConstantOp: type, result, opcode, operands. */
static bool fold(const struct id *ids, const uint32_t *words, uint32_t length, uint32_t *result)
{
    uint32_t operand[3] = {0};
    if (words[3] == OP_COMPOSITE_EXTRACT) {
        const struct id *whole = &ids[words[4]];
        if (length != 6 || whole->kind != COMPOSITE || words[5] >= whole->count)
            return false;
        const struct id *member = &ids[whole->members[words[5]]];
        *result = member->value;
        return member->kind == KNOWN;
    }
    if (length < 5 || length > 7)
        return false;
    for (uint32_t i = 4; i < length; i++) {
        if (ids[words[i]].kind != KNOWN)
            return false;
        operand[i - 4] = ids[words[i]].value;
    }
    return heed_spirv_evaluate(words[3], operand, result);
}

static uint32_t *put_constant(uint32_t *out, const struct id *ids, uint32_t type, uint32_t result, uint32_t value)
{
    bool boolean = ids[type].kind == TYPE_BOOL;
    *out++ = boolean ? 3u << 16 | (value ? OP_CONSTANT_TRUE : OP_CONSTANT_FALSE) : 4u << 16 | OP_CONSTANT;
    *out++ = type;
    *out++ = result;
    if (!boolean)
        *out++ = value;
    return out;
}

/* Looks at one instruction before the functions, and writes it, or what it becomes. */
static uint32_t *translate(struct id *ids, const uint32_t *words, const uint32_t *values, uint32_t count, uint32_t *out)
{
    uint32_t opcode = words[0] & 0xffff, length = words[0] >> 16, value = 0;
    bool plain = opcode == OP_CONSTANT || opcode == OP_CONSTANT_TRUE || opcode == OP_CONSTANT_FALSE;
    bool scalar =
        plain || opcode == OP_SPEC_CONSTANT || opcode == OP_SPEC_CONSTANT_TRUE || opcode == OP_SPEC_CONSTANT_FALSE;
    if (opcode == OP_TYPE_BOOL || ((opcode == OP_TYPE_INT || opcode == OP_TYPE_FLOAT) && words[2] == 32)) {
        ids[words[1]].kind = opcode == OP_TYPE_BOOL ? TYPE_BOOL : TYPE_WORD;
    } else if (opcode == OP_DECORATE && words[2] == DECORATION_SPEC_ID && words[3] < count) {
        ids[words[1]].has_spec_id = true;
        ids[words[1]].spec_id = words[3];
        return out;
    } else if (scalar && (ids[words[1]].kind == TYPE_BOOL || ids[words[1]].kind == TYPE_WORD)) {
        struct id *id = &ids[words[2]];
        id->value =
            ids[words[1]].kind == TYPE_WORD ? words[3] : opcode == OP_CONSTANT_TRUE || opcode == OP_SPEC_CONSTANT_TRUE;
        if (id->has_spec_id)
            id->value = ids[words[1]].kind == TYPE_WORD ? values[id->spec_id] : values[id->spec_id] != 0;
        if (plain || id->has_spec_id) {
            id->kind = KNOWN;
            return put_constant(out, ids, words[1], words[2], id->value);
        }
    } else if (opcode == OP_CONSTANT_COMPOSITE || opcode == OP_SPEC_CONSTANT_COMPOSITE) {
        bool known = true;
        for (uint32_t i = 3; i < length; i++)
            known &= ids[words[i]].kind == KNOWN || ids[words[i]].kind == COMPOSITE;
        if (known) {
            ids[words[2]].kind = COMPOSITE;
            ids[words[2]].members = words + 3;
            ids[words[2]].count = length - 3;
            memcpy(out, words, length * sizeof *out);
            *out = length << 16 | OP_CONSTANT_COMPOSITE;
            return out + length;
        }
    } else if (opcode == OP_SPEC_CONSTANT_OP && fold(ids, words, length, &value) &&
               (ids[words[1]].kind == TYPE_BOOL || ids[words[1]].kind == TYPE_WORD)) {
        ids[words[2]].kind = KNOWN;
        ids[words[2]].value = value;
        return put_constant(out, ids, words[1], words[2], value);
    }
    memcpy(out, words, length * sizeof *out);
    return out + length;
}

/* SPIR-V 1.6 names the work group's size by constants, which drivers take with maintenance4 only. */
static void fold_local_size(const struct id *ids, uint32_t *words)
{
    words[0] = 6u << 16 | OP_EXECUTION_MODE;
    words[2] = MODE_LOCAL_SIZE;
    for (uint32_t i = 3; i < 6; i++)
        words[i] = ids[words[i]].value;
}

size_t heed_spirv_specialise(heed_context *context, const uint32_t *code, size_t words, const uint32_t *values,
                             uint32_t count, uint32_t *out)
{
    struct id *ids = heed_alloc(context, code[3], sizeof *ids); /* the module's bound */
    uint32_t *folded = heed_alloc(context, words, sizeof *folded), *to = folded;
    size_t left = 0;
    if (ids && folded) {
        memcpy(to, code, HEADER_WORDS * sizeof *to);
        to += HEADER_WORDS;
        size_t at = HEADER_WORDS;
        uint32_t *local_size = NULL;
        for (; at < words && (code[at] & 0xffff) != OP_FUNCTION; at += code[at] >> 16) {
            if ((code[at] & 0xffff) == OP_EXECUTION_MODE_ID && code[at + 2] == MODE_LOCAL_SIZE_ID)
                local_size = to;
            to = translate(ids, code + at, values, count, to);
        }
        if (local_size)
            fold_local_size(ids, local_size);
        memcpy(to, code + at, (words - at) * sizeof *to);
        to += words - at;
        left = heed_spirv_prune(context, folded, (size_t)(to - folded), out);
    }
    heed_free(context, folded);
    heed_free(context, ids);
    return left;
}
