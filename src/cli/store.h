/* SPDX-License-Identifier: MIT
 * Where compiled pipelines are kept between commands: a file for each GPU and driver. */
#ifndef HEED_CLI_STORE_H
#define HEED_CLI_STORE_H

#include <heed/heed.h>

struct store {
    const char *command; /* begins the lines on stderr */
    bool verbose;
    char folder[4096]; /* empty: there is none */
};

/* Finds the folder, $XDG_CACHE_HOME/heed or ~/.cache/heed; nothing is made before there is something to keep. The store
 * must outlive the context that the result goes to. Whatever fails is said if `verbose`, and nothing else happens. */
struct heed_cache store_open(struct store *store, const char *command, bool verbose);

#endif
