/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define FILE_MAX (64U << 20)

static int dir_open(const char *prefix, const char *name)
{
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", prefix, name) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int root_open(const char *prefix, struct root *ret_root)
{
	_cleanup_close_ int proc = -1;
	int sys;

	*ret_root = (struct root){ -1, -1 };
	proc = dir_open(prefix, "proc");
	if (proc < 0)
		return proc;
	sys = dir_open(prefix, "sys");
	if (sys < 0)
		return sys;
	*ret_root = (struct root){ TAKE_FD(proc), sys };
	return 0;
}

void root_close(struct root *root)
{
	root->proc = close_fd(root->proc);
	root->sys = close_fd(root->sys);
}

static ssize_t read_up_to(int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t r = read(fd, buf + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	return (ssize_t)n;
}

ssize_t file_read(int dirfd, const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read_up_to(fd, buf, size - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

static int fd_read_all(int fd, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *buf = NULL;
	size_t cap = 16384, len = 0;

	for (;;) {
		char *bigger = realloc(buf, cap);
		ssize_t n;

		if (!bigger)
			return -ENOMEM;
		buf = bigger;
		n = read_up_to(fd, buf + len, cap - 1 - len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len < cap - 1)
			break;
		if (cap >= FILE_MAX)
			return -EFBIG;
		cap *= 2;
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

int file_read_all(int dirfd, const char *path, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_read_all(fd, ret, ret_len);
}

int file_read_u64(int dirfd, const char *path, uint64_t *ret)
{
	unsigned long long value;
	char buf[32] = "", *end;
	ssize_t n = file_read(dirfd, path, buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	errno = 0;
	value = strtoull(buf, &end, 10);
	if (errno || end == buf || (*end && *end != '\n') || buf[0] == '-')
		return -EINVAL;
	*ret = value;
	return 0;
}

int file_read_i64(int dirfd, const char *path, int64_t *ret)
{
	char buf[32] = "", *end;
	ssize_t n = file_read(dirfd, path, buf, sizeof(buf));
	long long value;

	if (n < 0)
		return (int)n;
	errno = 0;
	value = strtoll(buf, &end, 10);
	if (errno || end == buf || (*end && *end != '\n'))
		return -EINVAL;
	*ret = value;
	return 0;
}

int file_write(int dirfd, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, path,
					O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int fd_pread_full(int fd, void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)buf + done, size - done,
				  offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		done += (size_t)n;
	}
	return 0;
}
