/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree - an input as a tree of files, so that corpora can be read
 *
 *	=> proc/7/stat
 *	7 (name) S 1 ...
 *	=> proc/7/exe
 *	-> /usr/bin/name
 *	=> sys/kernel/mm/ksm/run
 *	1
 *
 * What stands before the first name is left out. What begins with "-> " is a
 * symbolic link when it is asked for as one. The tree is never on a file
 * system: the linker puts the functions below in the place of libc's
 * (TREE_WRAPS in the Makefile), and they know a descriptor of the tree by its
 * number. One that is still open at the end is a fault, too.
 */
#pragma once

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"

#define TREE_FILES 64
#define TREE_PATH  160
#define TREE_OPEN  32
/* No descriptor of the kernel is so high. */
#define TREE_FD (1 << 28)

struct tree_file {
	char path[TREE_PATH];
	const uint8_t *data;
	size_t len;
};

struct tree_open {
	bool used;
	char path[TREE_PATH]; /* of a directory; the top of all is "" */
	const struct tree_file *file; /* or NULL */
	size_t at; /* in the file, or among the files */
	struct dirent entry;
};

static struct tree_file tree_files[TREE_FILES];
static size_t tree_n;
static struct tree_open tree_opened[TREE_OPEN];

/* What libc does; for all that is not of the tree. */
int __real_openat(int dirfd, const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __real_pread(int fd, void *buf, size_t size, off_t at);
ssize_t __real_readlinkat(int dirfd, const char *path, char *buf, size_t size);
int __real_fstat(int fd, struct stat *st);
int __real_fstatat(int dirfd, const char *path, struct stat *st, int flags);
FILE *__real_fdopen(int fd, const char *mode);
DIR *__real_fdopendir(int fd);
struct dirent *__real_readdir(DIR *dir);
int __real_closedir(DIR *dir);

int __wrap_openat(int dirfd, const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *buf, size_t size);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at);
ssize_t __wrap_readlinkat(int dirfd, const char *path, char *buf, size_t size);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags);
FILE *__wrap_fdopen(int fd, const char *mode);
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t size,
		      struct passwd **ret);

/* --- names ----------------------------------------------------------------- */

static inline struct tree_open *tree_of(int fd)
{
	if (fd < TREE_FD || fd >= TREE_FD + TREE_OPEN)
		return NULL;
	assert(tree_opened[fd - TREE_FD].used);
	return &tree_opened[fd - TREE_FD];
}

static inline bool tree_join(const struct tree_open *dir, const char *path,
			     char ret[TREE_PATH])
{
	if (!strcmp(path, "."))
		path = "";
	return snprintf(ret, TREE_PATH, "%s%s%s", dir->path,
			*dir->path && *path ? "/" : "", path) < TREE_PATH;
}

/* Of two files of one name it is the last. */
static inline const struct tree_file *tree_find(const char *path)
{
	for (size_t i = tree_n; i > 0; i--)
		if (!strcmp(tree_files[i - 1].path, path))
			return &tree_files[i - 1];
	return NULL;
}

/* What of @path lies in the directory @dir, or NULL. */
static inline const char *tree_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (!n)
		return path;
	return !strncmp(path, dir, n) && path[n] == '/' ? path + n + 1 : NULL;
}

static inline bool tree_is_dir(const char *path)
{
	if (!*path || !strcmp(path, "proc") || !strcmp(path, "sys"))
		return true;
	for (size_t i = 0; i < tree_n; i++)
		if (tree_below(tree_files[i].path, path))
			return true;
	return false;
}

static inline int tree_open_path(const char *path, int flags)
{
	const struct tree_file *file = tree_find(path);
	int slot = 0;

	if (!file && !tree_is_dir(path)) {
		errno = ENOENT;
		return -1;
	}
	if (file && (flags & O_DIRECTORY)) {
		errno = ENOTDIR;
		return -1;
	}
	while (tree_opened[slot].used)
		assert(++slot < TREE_OPEN);
	tree_opened[slot] = (struct tree_open){ .used = true, .file = file };
	strcpy(tree_opened[slot].path, path);
	return TREE_FD + slot;
}

static inline bool tree_is_link(const struct tree_file *file)
{
	return file && file->len > 3 && !memcmp(file->data, "-> ", 3);
}

/* --- in the place of libc's ------------------------------------------------ */

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
	const struct tree_open *dir = tree_of(dirfd);
	char name[TREE_PATH];
	mode_t mode;
	va_list list;

	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
	va_end(list);
	if (!dir)
		return __real_openat(dirfd, path, flags, mode);
	if (!tree_join(dir, path, name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return tree_open_path(name, flags);
}

int __wrap_close(int fd)
{
	struct tree_open *open = tree_of(fd);

	if (!open)
		return __real_close(fd);
	open->used = false;
	return 0;
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at)
{
	const struct tree_open *open = tree_of(fd);
	size_t left;

	if (!open)
		return __real_pread(fd, buf, size, at);
	if (!open->file) {
		errno = EISDIR;
		return -1;
	}
	left = open->file->len - MIN((size_t)at, open->file->len);
	size = MIN(size, left);
	if (size)
		memcpy(buf, open->file->data + at, size);
	return (ssize_t)size;
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	struct tree_open *open = tree_of(fd);
	ssize_t n;

	if (!open)
		return __real_read(fd, buf, size);
	n = __wrap_pread(fd, buf, size, (off_t)open->at);
	open->at += n > 0 ? (size_t)n : 0;
	return n;
}

ssize_t __wrap_readlinkat(int dirfd, const char *path, char *buf, size_t size)
{
	const struct tree_open *dir = tree_of(dirfd);
	const struct tree_file *file;
	char name[TREE_PATH];

	if (!dir)
		return __real_readlinkat(dirfd, path, buf, size);
	file = tree_join(dir, path, name) ? tree_find(name) : NULL;
	if (!tree_is_link(file)) {
		errno = file ? EINVAL : ENOENT;
		return -1;
	}
	size = MIN(size, file->len - 3);
	/* no path has a null byte in it */
	for (size_t i = 0; i < size; i++)
		buf[i] = (char)(file->data[3 + i] ? file->data[3 + i] : '?');
	size -= buf[size - 1] == '\n' && size > 1;
	return (ssize_t)size;
}

int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	const struct tree_open *dir = tree_of(dirfd);
	const struct tree_file *file;
	char name[TREE_PATH];

	if (!dir)
		return __real_fstatat(dirfd, path, st, flags);
	if (!tree_join(dir, path, name))
		name[0] = '\0';
	file = tree_find(name);
	if (!file && !tree_is_dir(name)) {
		errno = ENOENT;
		return -1;
	}
	*st = (struct stat){
		.st_mode = !file ? S_IFDIR
			   : (flags & AT_SYMLINK_NOFOLLOW) && tree_is_link(file)
				   ? S_IFLNK
				   : S_IFREG,
		.st_size = file ? (off_t)file->len : 0,
		.st_uid = file && file->len ? file->data[0] % 4 : 0,
	};
	return 0;
}

int __wrap_fstat(int fd, struct stat *st)
{
	const struct tree_open *open = tree_of(fd);

	if (!open)
		return __real_fstat(fd, st);
	*st = (struct stat){ .st_mode = open->file ? S_IFREG : S_IFDIR };
	return 0;
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
	struct tree_open *open = tree_of(fd);
	FILE *f;

	if (!open)
		return __real_fdopen(fd, mode);
	f = fmemopen((void *)(open->file ? open->file->data : NULL),
		     open->file ? open->file->len : 0, "r");
	assert(f);
	open->used = false;
	return f;
}

static inline struct tree_open *tree_of_dir(DIR *dir)
{
	struct tree_open *open = (struct tree_open *)(void *)dir;

	return open >= tree_opened && open < tree_opened + TREE_OPEN ? open
								     : NULL;
}

DIR *__wrap_fdopendir(int fd)
{
	struct tree_open *open = tree_of(fd);

	return open ? (DIR *)(void *)open : __real_fdopendir(fd);
}

/* Each name that stands before a '/' or at an end, once. */
struct dirent *__wrap_readdir(DIR *dir)
{
	struct tree_open *open = tree_of_dir(dir);

	if (!open)
		return __real_readdir(dir);
	while (open->at < tree_n) {
		size_t at = open->at++, len;
		const char *name = tree_below(tree_files[at].path, open->path);
		bool known = !name;

		len = name ? strcspn(name, "/") : 0;
		for (size_t i = 0; !known && i < at; i++) {
			const char *other = tree_below(tree_files[i].path,
						       open->path);

			known = other && strcspn(other, "/") == len &&
				!memcmp(other, name, len);
		}
		if (known)
			continue;
		memcpy(open->entry.d_name, name, len);
		open->entry.d_name[len] = '\0';
		return &open->entry;
	}
	return NULL;
}

int __wrap_closedir(DIR *dir)
{
	struct tree_open *open = tree_of_dir(dir);

	if (!open)
		return __real_closedir(dir);
	assert(open->used);
	open->used = false;
	return 0;
}

/* Every second user has a name. */
int __wrap_getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t size,
		      struct passwd **ret)
{
	snprintf(buf, size, "user%u", uid);
	*pw = (struct passwd){ .pw_name = buf, .pw_uid = uid };
	*ret = uid % 2 ? NULL : pw;
	return 0;
}

/* --- what targets call ----------------------------------------------------- */

static inline bool tree_name_is_good(const char *name)
{
	size_t n = strlen(name);

	return n && name[0] != '/' && name[n - 1] != '/' &&
	       !strstr(name, "..") && !strstr(name, "//") &&
	       !strstr(name, "/.");
}

/* The top of the tree. */
static inline int tree_top(void)
{
	return tree_open_path("", O_DIRECTORY);
}

/* Make the tree of @data, which has to stay; tree_end() takes it away. */
static inline void tree_begin(const uint8_t *data, size_t size,
			      struct root *ret)
{
	const uint8_t *at = data, *end = data + size;
	struct tree_file *file = NULL;

	tree_n = 0;
	while (at < end) {
		const uint8_t *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((eol ? eol + 1 : end) - at);

		if (len > 4 && !memcmp(at, "=> ", 3) && len - 3 < TREE_PATH) {
			file = tree_n < TREE_FILES ? &tree_files[tree_n] : NULL;
			if (file) {
				memcpy(file->path, at + 3, len - 4);
				file->path[len - 4] = '\0';
				file->data = at + len;
				file->len = 0;
				if (tree_name_is_good(file->path))
					tree_n++;
				else
					file = NULL;
			}
		} else if (file) {
			file->len += len;
		}
		at += len;
	}
	ret->proc = tree_open_path("proc", O_DIRECTORY);
	ret->sys = tree_open_path("sys", O_DIRECTORY);
}

static inline void tree_end(struct root *root)
{
	root_close(root);
	for (int i = 0; i < TREE_OPEN; i++)
		assert(!tree_opened[i].used);
}
