/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * instance - one daemon per kernel
 *
 * KSM is global, so the lock lies on the thing itself: a POSIX record lock on
 * a file of /sys/kernel/mm/ksm that we never open for anything else (closing
 * any descriptor of it would drop the lock). It holds across chroots and
 * runtime directories, needs write permission and so root, and the kernel
 * tells who has it.
 */
#pragma once

#include <sys/types.h>

#include "files.h"

enum {
	INSTANCE_HELD = 1, /* by *ret_holder */
};

/*
 * Take the lock for as long as this process lives, or *ret_fd is closed.
 * Return: 0, INSTANCE_HELD, or negative errno (-ENOENT: no KSM; -EROFS,
 * -EACCES: /sys cannot be written).
 */
int instance_lock(const struct root *root, int *ret_fd, pid_t *ret_holder);
