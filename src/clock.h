/* SPDX-License-Identifier: MIT
 * A clock that nobody sets, and a pause: C11 has neither. */
#ifndef HEED_CLOCK_H
#define HEED_CLOCK_H

#include <stdint.h>

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

static inline uint64_t heed_clock_ns(void)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)((double)now.QuadPart * 1e9 / (double)frequency.QuadPart);
}

static inline void heed_sleep_ns(uint64_t ns)
{
    Sleep((DWORD)((ns + 999999) / 1000000));
}

#else
#include <time.h>

static inline uint64_t heed_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Less when a signal comes. */
static inline void heed_sleep_ns(uint64_t ns)
{
    const struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    nanosleep(&pause, NULL);
}

#endif
#endif
