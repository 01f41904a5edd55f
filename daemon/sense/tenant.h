/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tenant - whose a process is, for limits that nobody gets around
 *
 * A user, with all that he does in user namespaces of his own making; or a
 * namespace that root has made, as managers of containers do, with all that is
 * nested in it (user_namespaces(7), ioctl_nsfs(2)).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct root;

struct tenant {
	uint64_t user_ns; /* inode of the outermost below ours, or 0 */
	uid_t uid; /* where that is 0, or a user has made it */
};

/* 0 or negative errno. Takes CAP_SYS_PTRACE, and waits for no lock. */
int tenant_of(const struct root *root, pid_t pid, struct tenant *ret);

bool tenant_equal(struct tenant a, struct tenant b);
