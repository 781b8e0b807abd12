/* SPDX-License-Identifier: MIT
 * A mutex, because C11's <threads.h> is missing on some systems that have Vulkan. */
#ifndef HEED_MUTEX_H
#define HEED_MUTEX_H

#include <stdbool.h>

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN /* its sockets have a bind() */
#endif
#include <windows.h>

typedef SRWLOCK heed_mutex;

static inline bool heed_mutex_init(heed_mutex *mutex)
{
    InitializeSRWLock(mutex);
    return true;
}

static inline void heed_mutex_destroy(heed_mutex *mutex)
{
    (void)mutex;
}

static inline void heed_mutex_lock(heed_mutex *mutex)
{
    AcquireSRWLockExclusive(mutex);
}

static inline void heed_mutex_unlock(heed_mutex *mutex)
{
    ReleaseSRWLockExclusive(mutex);
}

#else
#include <pthread.h>

typedef pthread_mutex_t heed_mutex;

static inline bool heed_mutex_init(heed_mutex *mutex)
{
    return pthread_mutex_init(mutex, NULL) == 0;
}

static inline void heed_mutex_destroy(heed_mutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

static inline void heed_mutex_lock(heed_mutex *mutex)
{
    pthread_mutex_lock(mutex);
}

static inline void heed_mutex_unlock(heed_mutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

#endif
#endif
