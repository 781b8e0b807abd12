/* SPDX-License-Identifier: MIT
 * Preloaded by tests/on in a sanitizer's build: drivers stay mapped after the loader has closed them, so that a leak's
 * stack has names and tests/lsan.supp can tell a driver's leak from one of heed's. */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
