/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup.h"
#include "ksm.h"

#define LOCK_FILE KSM_DIR "/stable_node_chains_prune_millisecs"

int instance_lock(const struct root *root, int *ret_fd, pid_t *ret_holder)
{
	_cleanup_close_ int fd = -1;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	fd = openat(root->sys, LOCK_FILE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &lock) == 0) {
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	if (errno != EAGAIN && errno != EACCES)
		return -errno;
	if (fcntl(fd, F_GETLK, &lock) < 0)
		return -errno;
	*ret_holder = lock.l_type == F_UNLCK ? 0 : lock.l_pid;
	return INSTANCE_HELD;
}
