/* SPDX-License-Identifier: MIT
 * Which ops the time went to, as a table. */
#include "shares.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 32 }; /* more than heed has ops */

struct share {
    const char *op;
    double encoder, decoder; /* ns */
};

struct table {
    struct share shares[NAMES];
    unsigned count;
};

static struct share *find(struct table *table, const char *op)
{
    for (unsigned i = 0; i < table->count; i++)
        if (strcmp(table->shares[i].op, op) == 0)
            return &table->shares[i];
    table->shares[table->count] = (struct share){op, 0, 0};
    return &table->shares[table->count++];
}

static bool measure(struct model *model, enum model_part part, double times, struct table *table)
{
    uint32_t count;
    struct heed_op_time *ops = NULL;
    bool ok = model_profile(model, part, NULL, 0, &count) && (ops = malloc(count * sizeof *ops)) != NULL &&
              model_profile(model, part, ops, count, &count);
    for (uint32_t i = 0; ok && i < count; i++) {
        struct share *share = find(table, ops[i].op);
        *(part == MODEL_ENCODER ? &share->encoder : &share->decoder) += times * (double)ops[i].ns;
    }
    free(ops);
    return ok;
}

static int most_first(const void *left, const void *right)
{
    const struct share *a = left, *b = right;
    double x = a->encoder + a->decoder, y = b->encoder + b->decoder;
    return (x < y) - (x > y);
}

bool shares_print(struct model *model, unsigned windows, unsigned steps)
{
    struct table table = {.count = 0};
    double encoder = 0, decoder = 0;
    if (!model_can_profile(model)) {
        printf("\nthe share of each op is not measured on this device\n");
        return true;
    }
    if (!measure(model, MODEL_ENCODER, windows, &table) || !measure(model, MODEL_DECODER, steps, &table))
        return false;
    for (unsigned i = 0; i < table.count; i++) {
        encoder += table.shares[i].encoder;
        decoder += table.shares[i].decoder;
    }
    qsort(table.shares, table.count, sizeof *table.shares, most_first);
    printf("\n%12s%9s%9s%9s  of %.2f s on the device, all compiled\n", "op", "encoder", "decoder", "both",
           1e-9 * (encoder + decoder));
    for (unsigned i = 0; i < table.count; i++) {
        const struct share *share = &table.shares[i];
        printf("%12s%8.1f%%%8.1f%%%8.1f%%\n", share->op, 100 * share->encoder / encoder, 100 * share->decoder / decoder,
               100 * (share->encoder + share->decoder) / (encoder + decoder));
    }
    return true;
}
