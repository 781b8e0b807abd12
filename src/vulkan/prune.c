/* SPDX-License-Identifier: MIT
 * Removes from a SPIR-V module what its constants rule out: branches that are never taken, functions that are never
 * called. Kernels have a branch for everything that an attention can have, and drivers spend more time on reading and
 * dropping those than on the rest. vkCreateComputePipelines with them and without, Mesa 26.1.6, 16x32 tile of 64
 * features: RADV (navi31) 78 and 20 ms, ANV (DG2) 125 and 87, NVK (Turing) 180 and 140; a lane with 2 rows on lavapipe
 * 66 and 33. The tile's module takes 90 kB and 43. */
#include <string.h>

#include "specialise.h"

/* Opcodes and numbers of the SPIR-V specification. */
enum {
    OP_SOURCE_CONTINUED = 2,
    OP_STRING = 7,
    OP_LINE = 8,
    OP_ENTRY_POINT = 15,
    OP_TYPE_BOOL = 20,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_CONSTANT_TRUE = 41,
    OP_CONSTANT_FALSE = 42,
    OP_CONSTANT = 43,
    OP_FUNCTION = 54,
    OP_FUNCTION_PARAMETER = 55,
    OP_FUNCTION_END = 56,
    OP_FUNCTION_CALL = 57,
    OP_VARIABLE = 59,
    OP_LOAD = 61,
    OP_STORE = 62,
    OP_COPY_MEMORY_SIZED = 64,
    OP_DECORATE = 71,
    OP_COPY_OBJECT = 83,
    OP_BITCAST = 124,
    OP_LOGICAL_OR = 166,
    OP_LOGICAL_AND = 167,
    OP_SELECT = 169,
    OP_CONTROL_BARRIER = 224,
    OP_MEMORY_BARRIER = 225,
    OP_ATOMIC_STORE = 228,
    OP_PHI = 245,
    OP_LOOP_MERGE = 246,
    OP_SELECTION_MERGE = 247,
    OP_LABEL = 248,
    OP_BRANCH = 249,
    OP_BRANCH_CONDITIONAL = 250,
    OP_SWITCH = 251,
    OP_UNREACHABLE = 255,
    OP_NO_LINE = 317,
    OP_MODULE_PROCESSED = 330,
    OP_COOPERATIVE_MATRIX_STORE = 4458,
    OP_COOPERATIVE_MATRIX_REDUCE = 5366,
    DECORATION_RELAXED_PRECISION = 0,
    DECORATION_NO_CONTRACTION = 42,
    DECORATION_NON_UNIFORM = 5300,
    STORAGE_FUNCTION = 7,
    HEADER_WORDS = 5,
};

struct id {
    bool scalar;              /* a type of 32 bits, or boolean */
    bool known;               /* has `value` wherever it is used */
    bool reached;             /* a function or block that may run */
    bool gone;                /* a result that is removed */
    bool variable, parameter; /* of a function */
    bool stored, opaque;      /* something is stored in it; it is used in ways not followed here */
    bool agreed, differs;     /* stores and calls give it one known value; or not */
    uint32_t value, given;    /* of what is known; of what was stored or passed */
    uint32_t at;              /* functions, labels: the word where they begin */
    uint32_t merge, end;      /* labels: the words of the merge instruction, or 0, and of the last one */
};

struct pruner {
    const uint32_t *code;
    size_t words, functions; /* where the first function begins */
    struct id *ids;
    uint32_t *stack, depth; /* functions and labels to look at */
};

static uint32_t opcode_at(const struct pruner *p, size_t at)
{
    return p->code[at] & 0xffff;
}

static size_t next(const struct pruner *p, size_t at)
{
    return at + (p->code[at] >> 16);
}

static bool is_debug(uint32_t opcode)
{
    return (opcode >= OP_SOURCE_CONTINUED && opcode <= OP_LINE) || opcode == OP_NO_LINE ||
           opcode == OP_MODULE_PROCESSED;
}

/* Of instructions in functions: those whose second word is no result. */
static bool has_no_result(uint32_t opcode)
{
    return opcode == OP_STORE || (opcode > OP_STORE && opcode <= OP_COPY_MEMORY_SIZED) || opcode == OP_FUNCTION_END ||
           opcode == OP_CONTROL_BARRIER || opcode == OP_MEMORY_BARRIER || opcode == OP_ATOMIC_STORE ||
           (opcode >= OP_LOOP_MERGE && opcode <= OP_UNREACHABLE) || is_debug(opcode) ||
           opcode == OP_COOPERATIVE_MATRIX_STORE;
}

/* ---- what is where */

static void scan(struct pruner *p)
{
    uint32_t block = 0;
    p->functions = p->words;
    for (size_t at = HEADER_WORDS; at < p->words; at = next(p, at)) {
        const uint32_t *w = p->code + at, opcode = opcode_at(p, at);
        switch (opcode) {
        case OP_TYPE_BOOL:
            p->ids[w[1]].scalar = true;
            break;
        case OP_TYPE_INT:
        case OP_TYPE_FLOAT:
            p->ids[w[1]].scalar = w[2] == 32;
            break;
        case OP_CONSTANT_TRUE:
        case OP_CONSTANT_FALSE:
        case OP_CONSTANT:
            p->ids[w[2]].known = p->ids[w[1]].scalar;
            p->ids[w[2]].value = opcode == OP_CONSTANT ? w[3] : opcode == OP_CONSTANT_TRUE;
            break;
        case OP_FUNCTION:
            p->ids[w[2]].at = (uint32_t)at;
            if (p->functions == p->words)
                p->functions = at;
            break;
        case OP_FUNCTION_PARAMETER:
            p->ids[w[2]].parameter = true;
            break;
        case OP_VARIABLE:
            p->ids[w[2]].variable = w[3] == STORAGE_FUNCTION;
            break;
        case OP_LABEL:
            block = w[1];
            p->ids[block].at = (uint32_t)at;
            break;
        case OP_LOOP_MERGE:
        case OP_SELECTION_MERGE:
            p->ids[block].merge = (uint32_t)at;
            break;
        default:
            if (opcode >= OP_BRANCH && opcode <= OP_UNREACHABLE)
                p->ids[block].end = (uint32_t)at;
        }
    }
}

/* ---- which blocks may run */

/* Whether the choice at the end of a block is known. The one at the head of a loop, or out of it, stays a choice. */
static bool is_decided(const struct pruner *p, const struct id *block)
{
    return opcode_at(p, block->end) == OP_BRANCH_CONDITIONAL && block->merge > 0 &&
           opcode_at(p, block->merge) == OP_SELECTION_MERGE && p->ids[p->code[block->end + 1]].known;
}

static uint32_t decision(const struct pruner *p, const struct id *block)
{
    const uint32_t *w = p->code + block->end;
    return p->ids[w[1]].value ? w[2] : w[3];
}

/* The labels that a block may go to: *count of them, every *step words. */
static const uint32_t *targets(const struct pruner *p, const struct id *block, uint32_t *count, uint32_t *step)
{
    const uint32_t *w = p->code + block->end;
    *step = 1;
    switch (opcode_at(p, block->end)) {
    case OP_BRANCH:
        *count = 1;
        return w + 1;
    case OP_BRANCH_CONDITIONAL:
        *count = is_decided(p, block) ? 1 : 2;
        return *count == 2 || p->ids[w[1]].value ? w + 2 : w + 3;
    case OP_SWITCH:
        *count = (w[0] >> 16) / 2;
        *step = 2;
        return w + 2;
    default:
        *count = 0;
        return w;
    }
}

static bool goes_to(const struct pruner *p, uint32_t from, uint32_t to)
{
    const struct id *block = &p->ids[from];
    uint32_t count, step;
    const uint32_t *label = targets(p, block, &count, &step);
    for (uint32_t i = 0; block->reached && i < count; i++)
        if (label[i * step] == to)
            return true;
    return false;
}

static void reach(struct pruner *p, uint32_t id)
{
    if (!p->ids[id].reached) {
        p->ids[id].reached = true;
        p->stack[p->depth++] = id;
    }
}

static void reach_all(struct pruner *p)
{
    for (uint32_t i = 0; i < p->code[3]; i++)
        p->ids[i].reached = false;
    for (size_t at = HEADER_WORDS; at < p->functions; at = next(p, at))
        if (opcode_at(p, at) == OP_ENTRY_POINT)
            reach(p, p->code[at + 2]);
    while (p->depth > 0) {
        const struct id *id = &p->ids[p->stack[--p->depth]];
        size_t at = id->at;
        if (opcode_at(p, at) == OP_FUNCTION) {
            while (opcode_at(p, at) != OP_LABEL && opcode_at(p, at) != OP_FUNCTION_END)
                at = next(p, at);
            if (opcode_at(p, at) == OP_LABEL)
                reach(p, p->code[at + 1]);
            continue;
        }
        for (; at < id->end; at = next(p, at))
            if (opcode_at(p, at) == OP_FUNCTION_CALL)
                reach(p, p->code[at + 3]);
            else if (opcode_at(p, at) == OP_COOPERATIVE_MATRIX_REDUCE)
                reach(p, p->code[at + 5]);
        uint32_t count, step;
        const uint32_t *label = targets(p, id, &count, &step);
        for (uint32_t i = 0; i < count; i++)
            reach(p, label[i * step]);
    }
}

/* ---- what is known */

/* glslang passes every argument through a variable of its own. A variable or parameter is known when all that is stored
 * in it, or passed to it, is one known value, and nothing else is done with it but to load and to pass it. */
static bool pointer_known(const struct id *pointer)
{
    return (pointer->variable || pointer->parameter) && pointer->agreed && !pointer->differs && !pointer->opaque;
}

static void give(struct id *pointer, bool known, uint32_t value)
{
    if (!known || (pointer->agreed && pointer->given != value))
        pointer->differs = true;
    pointer->agreed = true;
    pointer->given = value;
}

static void follow_pointers(struct pruner *p, size_t at)
{
    const uint32_t *w = p->code + at, length = w[0] >> 16;
    switch (opcode_at(p, at)) {
    case OP_VARIABLE:
        if (length > 4)
            give(&p->ids[w[2]], p->ids[w[4]].known, p->ids[w[4]].value);
        return;
    case OP_STORE:
        p->ids[w[1]].stored = true;
        give(&p->ids[w[1]], p->ids[w[2]].known, p->ids[w[2]].value);
        p->ids[w[2]].opaque = true;
        return;
    case OP_LOAD:
    case OP_FUNCTION_CALL:
        return;
    default:
        for (uint32_t i = 1; i < length; i++) /* literals too, which only costs knowledge */
            if (w[i] < p->code[3])
                p->ids[w[i]].opaque = true;
    }
}

/* The arguments of a call and their parameters. `back`: what the callee does to a parameter, it does to the argument.
 */
static void follow_call(struct pruner *p, size_t at, bool back)
{
    const uint32_t *w = p->code + at, length = w[0] >> 16;
    size_t parameter = next(p, p->ids[w[3]].at);
    for (uint32_t i = 4; i < length; i++, parameter = next(p, parameter)) {
        struct id *argument = &p->ids[w[i]], *inner = &p->ids[p->code[parameter + 2]];
        if (back)
            argument->opaque |= inner->stored || inner->opaque;
        else if (argument->known)
            give(inner, true, argument->value);
        else /* what a parameter has is only known after the walk */
            give(inner, argument->variable && pointer_known(argument), argument->given);
    }
}

static bool learn(struct id *id, bool known, uint32_t value)
{
    if (!known || id->known)
        return false;
    id->known = true;
    id->value = value;
    return true;
}

static bool learn_phi(struct pruner *p, size_t at, uint32_t block)
{
    const uint32_t *w = p->code + at, length = w[0] >> 16;
    bool one = false;
    uint32_t value = 0;
    for (uint32_t i = 3; i + 1 < length; i += 2) {
        if (!goes_to(p, w[i + 1], block))
            continue;
        const struct id *from = &p->ids[w[i]];
        if (!from->known || (one && from->value != value))
            return false;
        one = true;
        value = from->value;
    }
    return learn(&p->ids[w[2]], one, value);
}

/* True: the result of the instruction is known now, and was not before. */
static bool learn_result(struct pruner *p, size_t at, uint32_t block)
{
    const uint32_t *w = p->code + at, opcode = opcode_at(p, at), length = w[0] >> 16;
    const bool followed = opcode == OP_PHI || opcode == OP_LOAD || opcode == OP_COPY_OBJECT || opcode == OP_BITCAST ||
                          heed_spirv_evaluates(opcode);
    if (!followed || !p->ids[w[1]].scalar || p->ids[w[2]].known)
        return false;
    struct id *result = &p->ids[w[2]];
    if (opcode == OP_PHI)
        return learn_phi(p, at, block);
    if (opcode == OP_LOAD)
        return learn(result, pointer_known(&p->ids[w[3]]), p->ids[w[3]].given);
    const struct id *a = &p->ids[w[3]], *b = length > 4 ? &p->ids[w[4]] : NULL;
    if (opcode == OP_COPY_OBJECT || opcode == OP_BITCAST)
        return learn(result, a->known, a->value);
    if (opcode == OP_LOGICAL_AND || opcode == OP_LOGICAL_OR) {
        const uint32_t absorbing = opcode == OP_LOGICAL_OR;
        if ((a->known && a->value == absorbing) || (b->known && b->value == absorbing))
            return learn(result, true, absorbing);
    }
    if (opcode == OP_SELECT && a->known) {
        const struct id *chosen = a->value ? b : &p->ids[w[5]];
        return learn(result, chosen->known, chosen->value);
    }
    uint32_t operands[3] = {0}, value;
    for (uint32_t i = 3; i < length; i++) {
        if (!p->ids[w[i]].known)
            return false;
        operands[i - 3] = p->ids[w[i]].value;
    }
    return heed_spirv_evaluate(opcode, operands, &value) && learn(result, true, value);
}

enum walk { POINTERS, CALLS_BACK, CALLS, RESULTS };

/* One walk over all that may run. */
static bool walk(struct pruner *p, enum walk what)
{
    bool learned = false, running = false;
    uint32_t block = 0;
    for (size_t at = p->functions; at < p->words; at = next(p, at)) {
        const uint32_t opcode = opcode_at(p, at);
        if (opcode == OP_LABEL) {
            block = p->code[at + 1];
            running = p->ids[block].reached;
        } else if (opcode == OP_FUNCTION) {
            running = false;
        } else if (!running) {
            continue;
        } else if (what == POINTERS) {
            follow_pointers(p, at);
        } else if (what == RESULTS) {
            learned |= learn_result(p, at, block);
        } else if (opcode == OP_FUNCTION_CALL) {
            follow_call(p, at, what == CALLS_BACK);
        }
    }
    return learned;
}

/* Knows less than it could at first, and more with every round: what never runs no longer stands in the way. */
static void find_out(struct pruner *p)
{
    do {
        reach_all(p);
        for (uint32_t i = 0; i < p->code[3]; i++)
            p->ids[i].stored = p->ids[i].opaque = p->ids[i].agreed = p->ids[i].differs = false;
        walk(p, POINTERS);
        walk(p, CALLS_BACK);
        walk(p, CALLS);
    } while (walk(p, RESULTS));
}

/* ---- what is left */

static void mark_gone(struct pruner *p)
{
    bool running = false;
    for (size_t at = p->functions; at < p->words; at = next(p, at)) {
        const uint32_t opcode = opcode_at(p, at);
        if (opcode == OP_FUNCTION)
            running = p->ids[p->code[at + 2]].reached;
        else if (opcode == OP_LABEL)
            running = p->ids[p->code[at + 1]].reached;
        else if (!running && !has_no_result(opcode) && p->code[at] >> 16 > 2)
            p->ids[p->code[at + 2]].gone = true;
    }
}

static bool is_dropped(const struct pruner *p, size_t at)
{
    const uint32_t *w = p->code + at, opcode = opcode_at(p, at);
    return is_debug(opcode) || (opcode == OP_DECORATE && p->ids[w[1]].gone &&
                                (w[2] == DECORATION_RELAXED_PRECISION || w[2] == DECORATION_NO_CONTRACTION ||
                                 w[2] == DECORATION_NON_UNIFORM));
}

static uint32_t *copy(const struct pruner *p, size_t at, uint32_t *out)
{
    const size_t length = p->code[at] >> 16;
    memcpy(out, p->code + at, length * sizeof *out);
    return out + length;
}

static uint32_t *copy_phi(const struct pruner *p, size_t at, uint32_t block, uint32_t *out)
{
    const uint32_t *w = p->code + at, length = w[0] >> 16;
    uint32_t kept = 3;
    for (uint32_t i = 3; i + 1 < length; i += 2) {
        if (goes_to(p, w[i + 1], block)) {
            out[kept++] = w[i];
            out[kept++] = w[i + 1];
        }
    }
    out[0] = kept << 16 | OP_PHI;
    out[1] = w[1];
    out[2] = w[2];
    return out + kept;
}

static uint32_t *copy_block(const struct pruner *p, uint32_t label, uint32_t *out)
{
    const struct id *block = &p->ids[label];
    const bool decided = is_decided(p, block);
    for (size_t at = block->at; at < block->end; at = next(p, at)) {
        if (opcode_at(p, at) == OP_PHI)
            out = copy_phi(p, at, label, out);
        else if (!is_debug(opcode_at(p, at)) && !(decided && at == block->merge))
            out = copy(p, at, out);
    }
    if (!decided)
        return copy(p, block->end, out);
    *out++ = 2u << 16 | OP_BRANCH;
    *out++ = decision(p, block);
    return out;
}

/* A block that nothing runs but that a loop or selection must still name: `header` of the loop whose continue target it
 * is, else 0. */
static uint32_t *copy_stub(uint32_t label, uint32_t header, uint32_t *out)
{
    *out++ = 2u << 16 | OP_LABEL;
    *out++ = label;
    if (header == 0) {
        *out++ = 1u << 16 | OP_UNREACHABLE;
        return out;
    }
    *out++ = 2u << 16 | OP_BRANCH;
    *out++ = header;
    return out;
}

/* Loops, by their header's id in `value` of the continue target; false: a loop that this cannot keep whole. */
static bool mark_named(struct pruner *p)
{
    for (uint32_t i = 0; i < p->code[3]; i++)
        p->ids[i].agreed = p->ids[i].differs = false; /* from here on: named as a merge block, as a continue target */
    for (uint32_t i = 0; i < p->code[3]; i++) {
        const struct id *block = &p->ids[i];
        if (!block->reached || block->end == 0 || block->merge == 0 || is_decided(p, block))
            continue;
        const uint32_t *w = p->code + block->merge;
        p->ids[w[1]].agreed = true;
        if ((w[0] & 0xffff) != OP_LOOP_MERGE)
            continue;
        p->ids[w[2]].differs = true;
        p->ids[w[2]].given = i;
        if (!p->ids[w[2]].reached && opcode_at(p, next(p, block->at)) == OP_PHI)
            return false;
    }
    return true;
}

static size_t write_pruned(struct pruner *p, uint32_t *out)
{
    if (!mark_named(p))
        return 0;
    mark_gone(p);
    uint32_t *to = out;
    memcpy(to, p->code, HEADER_WORDS * sizeof *to);
    to += HEADER_WORDS;
    size_t at = HEADER_WORDS;
    for (; at < p->functions; at = next(p, at))
        if (!is_dropped(p, at))
            to = copy(p, at, to);
    bool running = false;
    while (at < p->words) {
        const uint32_t opcode = opcode_at(p, at), id = opcode == OP_LABEL ? p->code[at + 1] : 0;
        if (opcode == OP_FUNCTION)
            running = p->ids[p->code[at + 2]].reached;
        if (running && opcode == OP_LABEL) {
            const struct id *block = &p->ids[id];
            if (block->reached)
                to = copy_block(p, id, to);
            else if (block->agreed || block->differs)
                to = copy_stub(id, block->differs ? block->given : 0, to);
            at = block->end;
        } else if (running && !is_debug(opcode)) {
            to = copy(p, at, to);
        }
        at = next(p, at);
    }
    return (size_t)(to - out);
}

size_t heed_spirv_prune(heed_context *context, const uint32_t *code, size_t words, uint32_t *out)
{
    struct pruner p = {.code = code, .words = words};
    p.ids = heed_alloc(context, code[3], sizeof *p.ids); /* the module's bound */
    p.stack = heed_alloc(context, code[3], sizeof *p.stack);
    size_t left = 0;
    if (p.ids && p.stack) {
        scan(&p);
        find_out(&p);
        left = write_pruned(&p, out);
        if (left == 0) {
            memcpy(out, code, words * sizeof *out);
            left = words;
        }
    }
    heed_free(context, p.stack);
    heed_free(context, p.ids);
    return left;
}
