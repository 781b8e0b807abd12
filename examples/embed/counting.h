/* SPDX-License-Identifier: MIT
 * A vkGetInstanceProcAddr whose functions count their calls, so that an app can prove what a library does with them. */
#ifndef COUNTING_H
#define COUNTING_H

#include <stdbool.h>

#include <volk.h>

/* Who is calling: set before a call into heed, and back after it. */
enum caller { CALLER_APP, CALLER_PREPARE, CALLER_RECORD, CALLER_COUNT };
extern enum caller counting_caller;

/* Puts the counters before volk's functions, so that the app's own calls count too. After volkLoadInstance. */
void counting_install(void);
/* What the app gives to heed. */
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counting_get_instance_proc_addr(VkInstance instance, const char *name);
/* Prints the table; false if heed called what it must not: memory, submits, waits, or, while recording, anything but
 * commands. False also if the app itself was not seen to submit: a counter that counts nothing proves nothing. */
bool counting_report(void);

#endif
