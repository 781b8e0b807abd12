/* SPDX-License-Identifier: MIT
 * Progress on a terminal: a thread of its own, because the reference backend and pipeline compilers do not return until
 * they are done. */
#include "progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct progress {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    char what[200];
    bool over;
};

static void *show(void *user)
{
    struct progress *p = user;
    struct timespec start, due;
    clock_gettime(CLOCK_MONOTONIC, &start);
    clock_gettime(CLOCK_REALTIME, &due); /* what pthread_cond_timedwait counts in */
    bool shown = false;
    pthread_mutex_lock(&p->lock);
    for (due.tv_sec++; !p->over; due.tv_nsec += 200000000) {
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
        while (!p->over && pthread_cond_timedwait(&p->wake, &p->lock, &due) == 0)
            continue;
        if (p->over)
            break;
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        double seconds = (double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec);
        fprintf(stderr, "\r\x1b[K%s: %.1f s", p->what, seconds);
        fflush(stderr);
        shown = true;
    }
    pthread_mutex_unlock(&p->lock);
    if (shown)
        fputs("\r\x1b[K", stderr);
    return NULL;
}

struct progress *progress_begin(const char *what)
{
    if (!isatty(STDERR_FILENO))
        return NULL;
    struct progress *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    snprintf(p->what, sizeof p->what, "%s", what);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    if (pthread_create(&p->thread, NULL, show, p) != 0) {
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        free(p);
        return NULL;
    }
    return p;
}

void progress_say(struct progress *p, const char *what)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    snprintf(p->what, sizeof p->what, "%s", what);
    pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress **progress)
{
    struct progress *p = *progress;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->over = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *progress = NULL;
}
