/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * files - small files below a directory descriptor, and whole messages
 *
 * /proc, /sys and the cgroup mounts arrive as directory descriptors in a
 * struct root (no absolute path in logic), so that everything that senses can
 * be tested on a tree made by the test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct root {
	int proc; /* /proc */
	int sys; /* /sys */
};

/*
 * Open /proc and /sys, or @prefix/proc and @prefix/sys for a test's tree.
 * root_close() closes what is open; it accepts a root that failed to open.
 *
 * Return: 0 or negative errno; on failure *ret_root is { -1, -1 }.
 */
int root_open(const char *prefix, struct root *ret_root);
void root_close(struct root *root);

/*
 * Read the whole file @path below @dirfd into @buf and terminate it; what
 * does not fit in @size - 1 bytes is cut off. A trailing newline is kept.
 *
 * Return: the number of bytes in @buf, or negative errno.
 */
ssize_t file_read(int dirfd, const char *path, char *buf, size_t size);

/*
 * As file_read() for files of any length: *ret is allocated, owned by the
 * caller and terminated by a null byte; *ret_len does not count it.
 *
 * Return: 0 or negative errno (-EFBIG above 64 MiB).
 */
int file_read_all(int dirfd, const char *path, char **ret, size_t *ret_len);

/* Read a file that holds one unsigned decimal number. -EINVAL if it doesn't. */
int file_read_u64(int dirfd, const char *path, uint64_t *ret);

/* The same for one that may be below zero. */
int file_read_i64(int dirfd, const char *path, int64_t *ret);

/* Write @text with one write(2) into the existing file @path. */
int file_write(int dirfd, const char *path, const char *text);

/* Read exactly @size bytes at @offset. 0, -ENODATA at a short end, -errno. */
int fd_pread_full(int fd, void *buf, size_t size, off_t offset);
