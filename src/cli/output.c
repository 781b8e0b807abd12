/* SPDX-License-Identifier: MIT
 * Files that appear all together or not at all: written under temporary names, renamed at the end. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct output_set *volatile guarded;

static void remove_and_die(int signal_number)
{
    struct output_set *set = guarded;
    for (size_t i = 0; set && i < set->count; i++)
        if (set->files[i].temporary)
            unlink(set->files[i].temporary);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
enum { SIGNALS = sizeof signals / sizeof *signals };

void output_guard(struct output_set *set)
{
    guarded = set;
    for (size_t i = 0; i < SIGNALS; i++)
        if (signal(signals[i], set ? remove_and_die : SIG_DFL) == SIG_IGN)
            signal(signals[i], SIG_IGN);
}

/* The file that a rename must replace: a symbolic link stays a link. NULL: out of memory. */
static char *resolve(const char *target)
{
    char *real = realpath(target, NULL);
    if (real)
        return real;
    size_t length = strlen(target) + 1;
    char *copy = malloc(length);
    return copy ? memcpy(copy, target, length) : NULL;
}

bool output_open(struct output_set *set, const char *target, struct fault *fault)
{
    struct stat about;
    if (stat(target, &about) == 0 && !S_ISREG(about.st_mode))
        return fault_failed(fault, "%s: exists and is not a regular file", target);
    struct output_file *file = &set->files[set->count];
    file->target = resolve(target);
    size_t size = file->target ? strlen(file->target) + 48 : 0;
    char *temporary = file->target ? malloc(size) : NULL;
    if (!temporary) {
        free(file->target);
        return fault_failed(fault, "out of host memory");
    }
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->files[i].target, file->target) == 0) {
            free(file->target);
            free(temporary);
            return fault_usage(fault, "%s is named for two outputs", target);
        }
    }
    snprintf(temporary, size, "%s.heed-%ld.part", file->target, (long)getpid());
    file->temporary = temporary;
    /* The file and its place in the set come together, also for a signal. */
    sigset_t blocked, before;
    sigemptyset(&blocked);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&blocked, signals[i]);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    file->stream = fopen(temporary, "wbx");
    int why = errno;
    set->count += file->stream != NULL;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (!file->stream) {
        fault_failed(fault, "%s: %s", target, strerror(why));
        free(file->temporary);
        free(file->target);
        memset(file, 0, sizeof *file);
        return false;
    }
    return true;
}

bool output_write(struct output_file *file, const void *data, size_t bytes, struct fault *fault)
{
    if (fwrite(data, 1, bytes, file->stream) != bytes)
        return fault_failed(fault, "%s: %s", file->target, strerror(errno));
    return true;
}

bool output_commit(struct output_set *set, struct fault *fault)
{
    for (size_t i = 0; i < set->count; i++) {
        struct output_file *file = &set->files[i];
        FILE *stream = file->stream;
        file->stream = NULL;
        if (fclose(stream) != 0) /* a full disk may be noticed only here */
            return fault_failed(fault, "%s: %s", file->target, strerror(errno));
    }
    for (size_t i = 0; i < set->count; i++) {
        struct output_file *file = &set->files[i];
        if (rename(file->temporary, file->target) != 0) {
            fault_failed(fault, "%s: %s", file->target, strerror(errno));
            while (i-- > 0)
                unlink(set->files[i].target);
            return false;
        }
        free(file->temporary);
        file->temporary = NULL;
    }
    return true;
}

void output_close(struct output_set *set)
{
    output_guard(NULL);
    for (size_t i = 0; i < set->count; i++) {
        struct output_file *file = &set->files[i];
        if (file->stream)
            fclose(file->stream);
        if (file->temporary)
            unlink(file->temporary);
        free(file->temporary);
        free(file->target);
    }
    memset(set, 0, sizeof *set);
}
