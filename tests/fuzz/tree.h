/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree - an input as a tree of files, so that corpora can be read
 *
 *	=> proc/7/stat
 *	7 (name) S 1 ...
 *	=> sys/kernel/mm/ksm/run
 *	1
 *
 * What stands before the first name is left out. Only names of the letters
 * that the kernel uses here are made; the rest of such a file is left out.
 */
#pragma once

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define TREE_FILES 64
#define TREE_PATH  128

static char tree_top[64];

static inline int tree_remove_one(const char *path, const struct stat *st,
				  int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void tree_remove(void)
{
	if (*tree_top)
		nftw(tree_top, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline bool tree_name_is_good(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.:/!";

	return (!strncmp(name, "proc/", 5) || !strncmp(name, "sys/", 4)) &&
	       name[strspn(name, letters)] == '\0' && !strstr(name, "..") &&
	       !strstr(name, "//") && !strstr(name, "/.") &&
	       name[strlen(name) - 1] != '/';
}

static inline int tree_file(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", tree_top, name);
	for (char *p = path + strlen(tree_top) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

/* Make the tree and open it; tree_end() takes both away. */
static inline void tree_begin(const uint8_t *data, size_t size,
			      struct root *ret)
{
	const uint8_t *at = data, *end = data + size;
	int fd = -1, n = 0;

	strcpy(tree_top, "/dev/shm/ksmd-plus-fuzz-XXXXXX");
	assert(mkdtemp(tree_top));
	close(tree_file("proc/none"));
	close(tree_file("sys/none"));
	while (at < end) {
		const uint8_t *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((eol ? eol + 1 : end) - at);
		char name[TREE_PATH];

		if (len > 4 && !memcmp(at, "=> ", 3) &&
		    len - 4 < sizeof(name)) {
			memcpy(name, at + 3, len - 4);
			name[len - 4] = '\0';
			if (fd >= 0)
				close(fd);
			fd = tree_name_is_good(name) && n++ < TREE_FILES
				     ? tree_file(name)
				     : -1;
		} else if (fd >= 0) {
			assert(write(fd, at, len) == (ssize_t)len);
		}
		at += len;
	}
	if (fd >= 0)
		close(fd);
	assert(root_open(tree_top, ret) == 0);
}

static inline void tree_end(struct root *root)
{
	root_close(root);
	tree_remove();
	*tree_top = '\0';
}
