/* SPDX-License-Identifier: MIT
 * SplitMix64 (Steele, Lea, Flood 2014): one word of state, no bad seeds. */
#include "random.h"

#include <math.h>

struct test_random test_random_for(const char *text, uint64_t seed)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    struct test_random random = {hash + seed};
    test_random_bits(&random);
    return random;
}

uint64_t test_random_bits(struct test_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t test_random_below(struct test_random *random, uint32_t below)
{
    return (uint32_t)((test_random_bits(random) >> 32) * below >> 32);
}

double test_random_uniform(struct test_random *random, double low, double high)
{
    return low + (high - low) * ((double)(test_random_bits(random) >> 11) * 0x1p-53);
}

bool test_random_chance(struct test_random *random, double probability)
{
    return test_random_uniform(random, 0, 1) < probability;
}

double test_random_normal(struct test_random *random)
{
    double radius = sqrt(-2 * log(1 - test_random_uniform(random, 0, 1)));
    return radius * cos(6.283185307179586 * test_random_uniform(random, 0, 1));
}
