/* SPDX-License-Identifier: MIT
 * Rows of op_rows.c that are blocks. */
#ifndef HEED_TEST_OP_ROWS_BLOCKS_H
#define HEED_TEST_OP_ROWS_BLOCKS_H

#include "op_case.h"

void op_block_attention(struct op_case *c, struct test_words *words);
void op_block_decoder_layer(struct op_case *c, struct test_words *words);
void op_block_co_attention(struct op_case *c, struct test_words *words);
void op_block_pooling(struct op_case *c, struct test_words *words);
void op_block_two_way(struct op_case *c, struct test_words *words);
void op_block_deform_decoder(struct op_case *c, struct test_words *words);
void op_block_dat(struct op_case *c, struct test_words *words);

#endif
