/* SPDX-License-Identifier: MIT
 * A line on the terminal that says what takes so long, and for how long it has. */
#ifndef HEED_CLI_PROGRESS_H
#define HEED_CLI_PROGRESS_H

struct progress;

/* From a second on shows `what` with the time that has passed. Only when standard error is a terminal; NULL otherwise.
 */
struct progress *progress_begin(const char *what);
void progress_say(struct progress *progress, const char *what);
/* Clears the line. */
void progress_end(struct progress **progress);

#endif
