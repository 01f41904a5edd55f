/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faketree - a /proc and a /sys made of files
 *
 * One tree at a time, in a temporary directory. What goes wrong is a failed
 * assertion of the test. To be included below <cmocka.h>.
 */
#pragma once

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char faketree_top[64];

static inline int faketree_remove_one(const char *path, const struct stat *st,
				      int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void faketree_begin(void)
{
	snprintf(faketree_top, sizeof(faketree_top), "%s",
		 "/tmp/ksmd-plus-test-XXXXXX");
	assert_non_null(mkdtemp(faketree_top));
}

static inline void faketree_end(void)
{
	nftw(faketree_top, faketree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void faketree_path(const char *path, char *ret, size_t size)
{
	assert_true((size_t)snprintf(ret, size, "%s/%s", faketree_top, path) <
		    size);
}

/* The directories that lead to @path, which itself is none of them. */
static inline void faketree_parents(const char *path)
{
	char full[4096];

	faketree_path(path, full, sizeof(full));
	for (char *p = full + strlen(faketree_top) + 1; (p = strchr(p, '/'));
	     p++) {
		*p = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
}

/* Make the file @path, or replace what is in it. */
__attribute__((format(printf, 2, 3))) static inline void
faketree_file(const char *path, const char *fmt, ...)
{
	char full[4096];
	va_list ap;
	FILE *f;

	faketree_parents(path);
	faketree_path(path, full, sizeof(full));
	f = fopen(full, "we");
	assert_non_null(f);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
}

static inline void faketree_link(const char *path, const char *target)
{
	char full[4096];

	faketree_parents(path);
	faketree_path(path, full, sizeof(full));
	assert_int_equal(symlink(target, full), 0);
}

static inline void faketree_drop(const char *path)
{
	char full[4096];

	faketree_path(path, full, sizeof(full));
	assert_int_equal(remove(full), 0);
}

static inline void faketree_chmod(const char *path, unsigned int mode)
{
	char full[4096];

	faketree_path(path, full, sizeof(full));
	assert_int_equal(chmod(full, mode), 0);
}

/* What the file @path holds now, without a newline at its end. */
static inline const char *faketree_text(const char *path)
{
	static char text[4096];
	char full[4096];
	size_t n;
	FILE *f;

	faketree_path(path, full, sizeof(full));
	f = fopen(full, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}
