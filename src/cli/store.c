/* SPDX-License-Identifier: MIT
 * Pipelines kept in files that appear whole or not at all. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 4096 + 64 };

static void say(const struct store *store, const char *format, ...)
{
    if (!store->verbose)
        return;
    va_list list;
    va_start(list, format);
    fprintf(stderr, "heed %s: pipeline cache: ", store->command);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

static size_t get(void *user, const char *key, void *data, size_t capacity)
{
    const struct store *store = user;
    char path[PATH];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s", store->folder, key);
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        say(store, "%s: %s", path, strerror(errno));
        return 0;
    }
    size_t bytes = 0;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        say(store, "%s: is not a regular file", path);
    } else if (!data) {
        bytes = (size_t)about.st_size;
        say(store, "%s: %zu bytes", path, bytes);
    } else {
        ssize_t now = 1;
        while (bytes < capacity && now > 0) {
            now = read(file, (char *)data + bytes, capacity - bytes);
            bytes += now > 0 ? (size_t)now : 0;
        }
    }
    close(file);
    return bytes;
}

/* Each folder on the way that is not there yet. */
static bool make_folders(const struct store *store)
{
    char path[sizeof store->folder];
    snprintf(path, sizeof path, "%s", store->folder);
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            say(store, "%s: %s", path, strerror(errno));
            return false;
        }
        if (!slash)
            return true;
        *slash = '/';
    }
}

static bool write_all(int file, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t now = write(file, data, bytes);
        if (now < 0)
            return false;
        data += now;
        bytes -= (size_t)now;
    }
    return true;
}

static void put(void *user, const char *key, const void *data, size_t bytes)
{
    const struct store *store = user;
    char path[PATH], temporary[PATH + 32];
    snprintf(path, sizeof path, "%s/%s", store->folder, key);
    snprintf(temporary, sizeof temporary, "%s.%ld.part", path, (long)getpid());
    if (!make_folders(store))
        return;
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) {
        say(store, "%s: %s", temporary, strerror(errno));
        return;
    }
    bool done = write_all(file, data, bytes);
    done &= close(file) == 0;
    if (done && rename(temporary, path) == 0) {
        say(store, "%s: %zu bytes written", path, bytes);
        return;
    }
    say(store, "%s: %s", path, strerror(errno));
    unlink(temporary);
}

struct heed_cache store_open(struct store *store, const char *command, bool verbose)
{
    *store = (struct store){.command = command, .verbose = verbose};
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (cache && cache[0] == '/') /* a relative one is to be ignored, says the specification */
        length = snprintf(store->folder, sizeof store->folder, "%s/heed", cache);
    else if (home && home[0] == '/')
        length = snprintf(store->folder, sizeof store->folder, "%s/.cache/heed", home);
    if (length < 0 || (size_t)length >= sizeof store->folder) {
        say(store, "neither XDG_CACHE_HOME nor HOME names a folder");
        return (struct heed_cache){0};
    }
    return (struct heed_cache){get, put, store};
}
