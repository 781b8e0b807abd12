/* SPDX-License-Identifier: MIT
 * Random numbers that are the same on every machine for the same seed. */
#ifndef HEED_TEST_RANDOM_H
#define HEED_TEST_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct test_random {
    uint64_t state;
};

/* A stream for this text (a line of a shape file) and seed. */
struct test_random test_random_for(const char *text, uint64_t seed);
uint64_t test_random_bits(struct test_random *random);
/* In 0..below - 1; below > 0. */
uint32_t test_random_below(struct test_random *random, uint32_t below);
/* True with that probability. */
bool test_random_chance(struct test_random *random, double probability);
/* In [low, high). */
double test_random_uniform(struct test_random *random, double low, double high);
/* Mean 0, deviation 1. */
double test_random_normal(struct test_random *random);

#endif
