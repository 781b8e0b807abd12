/* SPDX-License-Identifier: MIT
 * Files for the tests of the demos that run Whisper: bytes that are put together here, a small model among them. */
#ifndef HEED_TEST_WHISPER_FILE_H
#define HEED_TEST_WHISPER_FILE_H

#include "bytes.h"
#include "ggml.h"

/* Of the model: its hyper-parameters, and where its parts begin. */
enum { STATE = 32, MELS = 80, BINS = 201, TOKENS = 50257, VOCABULARY = 51865, TEXT = 64 };
enum { AT_PARAMETERS = 4, AT_FILTERS = 4 + 11 * 4, AT_VOCABULARY = AT_FILTERS + 8 + 4 * MELS * BINS };
/* Its special tokens. */
enum { END = 50257, START = 50258, EN = 50259, TRANSCRIBE = 50359, PREVIOUS = 50361, TIMES = 50364 };

extern struct bytes file;
extern size_t at_tensors;
extern struct ggml_model weights;
extern struct trouble trouble;

/* data NULL: zeros */
void file_put(const void *data, size_t size);
void file_put_u16(uint32_t value);
void file_put_u32(uint32_t value);
void file_put_tensor(const char *name, uint32_t type, uint32_t a, uint32_t b, uint32_t c);
void file_set_u32(size_t at, uint32_t value);
/* A copy that ends where its memory ends, for sanitizers to see who reads on. */
uint8_t *file_cut(size_t size);

/* `file` becomes a model. The text of a token: " w7" and the like, so that each is a word; token 220 is the space of
 * GPT-2's vocabulary. */
void file_make_model(void);
/* The same, and parsed: `weights`, for ggml_destroy. */
void file_read_model(void);

#endif
