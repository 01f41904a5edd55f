/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tenant.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "files.h"

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* From @fd, which is closed, out to the last namespace before @own. */
static int outermost(int fd, const struct stat *own, struct stat *ret)
{
	struct stat st;
	int parent;

	while ((parent = ioctl(fd, NS_GET_PARENT)) >= 0) {
		if (fstat(parent, &st) < 0 || is_same(&st, own)) {
			close_fd(parent);
			break;
		}
		close_fd(fd);
		fd = parent;
	}
	if (fstat(fd, ret) == 0)
		return fd;
	close_fd(fd);
	return -EIO;
}

int tenant_of(const struct root *root, pid_t pid, struct tenant *ret)
{
	_cleanup_close_ int fd = -1;
	struct stat own, ns, st;
	char path[32];
	uid_t owner = 0;

	snprintf(path, sizeof(path), "%d", pid);
	if (fstatat(root->proc, path, &st, 0) < 0)
		return -errno;
	*ret = (struct tenant){ .uid = st.st_uid };
	/* a kernel may have none of them */
	if (fstatat(root->proc, "self/ns/user", &own, 0) < 0)
		return 0;
	snprintf(path, sizeof(path), "%d/ns/user", pid);
	fd = openat(root->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &ns) < 0 || is_same(&ns, &own))
		return 0;
	fd = outermost(fd, &own, &ns);
	if (fd < 0)
		return fd;
	if (ioctl(fd, NS_GET_OWNER_UID, &owner) == 0 && owner != 0)
		ret->uid = owner;
	else
		*ret = (struct tenant){ .user_ns = ns.st_ino };
	return 0;
}

bool tenant_equal(struct tenant a, struct tenant b)
{
	return a.user_ns == b.user_ns && a.uid == b.uid;
}
