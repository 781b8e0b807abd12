/* SPDX-License-Identifier: MIT
 * The heed command's pipeline cache: files that appear whole, and a folder that cannot be had. */
#define _POSIX_C_SOURCE 200809L
#include "store.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/heed-store-XXXXXX", fresh[sizeof folder];
static struct store store;

static void setup(void)
{
    strcpy(fresh, folder);
    ck_assert_ptr_nonnull(mkdtemp(fresh));
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", fresh, 1), 0);
}

static void teardown(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", fresh);
    ck_assert_int_eq(system(command), 0);
}

static char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fresh, name);
    return path;
}

static void expect_kept(const struct heed_cache *cache, const char *key, const char *text)
{
    char back[64] = "";
    ck_assert_uint_eq(cache->get(cache->user, key, NULL, 0), strlen(text));
    ck_assert_uint_eq(cache->get(cache->user, key, back, strlen(text)), strlen(text));
    ck_assert_str_eq(back, text);
}

START_TEST(kept)
{
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", path_of("deep/er"), 1), 0);
    struct heed_cache cache = store_open(&store, "test", false);
    ck_assert_uint_eq(cache.get(cache.user, "a-1", NULL, 0), 0);
    ck_assert_int_ne(access(path_of("deep"), F_OK), 0); /* nothing is made before there is something to keep */
    cache.put(cache.user, "a-1", "first", 5);
    cache.put(cache.user, "a-2", "another", 7);
    expect_kept(&cache, "a-1", "first");
    cache.put(cache.user, "a-1", "longer than first", 17);
    expect_kept(&cache, "a-1", "longer than first");
    expect_kept(&cache, "a-2", "another");
    struct stat about;
    ck_assert_int_eq(stat(path_of("deep/er/heed/a-1"), &about), 0);
    ck_assert_int_eq(about.st_mode & 0777, 0600);
    /* Two files, and no half-written third one. */
    DIR *files = opendir(path_of("deep/er/heed"));
    int count = 0;
    for (struct dirent *entry; (entry = readdir(files));)
        count += entry->d_name[0] != '.';
    closedir(files);
    ck_assert_int_eq(count, 2);
}
END_TEST

START_TEST(no_folder)
{
    /* A file where the folder should be. */
    FILE *file = fopen(path_of("heed"), "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    struct heed_cache cache = store_open(&store, "test", false);
    cache.put(cache.user, "a", "text", 4);
    ck_assert_uint_eq(cache.get(cache.user, "a", NULL, 0), 0);
    unlink(path_of("heed"));
    /* A folder where the file should be. */
    cache.put(cache.user, "a", "text", 4);
    unlink(path_of("heed/a"));
    ck_assert_int_eq(mkdir(path_of("heed/a"), 0700), 0);
    ck_assert_uint_eq(cache.get(cache.user, "a", NULL, 0), 0);
    cache.put(cache.user, "a", "text", 4);
    char part[64];
    snprintf(part, sizeof part, "heed/a.%ld.part", (long)getpid());
    ck_assert_int_ne(access(path_of(part), F_OK), 0);
    /* Nothing that waits for a writer. */
    ck_assert_int_eq(mkfifo(path_of("heed/b"), 0600), 0);
    ck_assert_uint_eq(cache.get(cache.user, "b", NULL, 0), 0);
}
END_TEST

START_TEST(whose_folder)
{
    setenv("HOME", fresh, 1);
    setenv("XDG_CACHE_HOME", "relative", 1);
    struct heed_cache cache = store_open(&store, "test", false);
    cache.put(cache.user, "a", "text", 4);
    ck_assert_int_eq(access(path_of(".cache/heed/a"), R_OK), 0);
    unsetenv("XDG_CACHE_HOME");
    cache = store_open(&store, "test", false);
    expect_kept(&cache, "a", "text");
    unsetenv("HOME");
    cache = store_open(&store, "test", false);
    ck_assert(!cache.get && !cache.put);
    char *endless = malloc(8192);
    memset(endless, '/', 8191);
    endless[8191] = 0;
    setenv("HOME", endless, 1);
    cache = store_open(&store, "test", false);
    ck_assert(!cache.get && !cache.put);
    free(endless);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("store");
    Suite *suite = suite_create("store");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, kept);
    tcase_add_test(tcase, no_folder);
    tcase_add_test(tcase, whose_folder);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
