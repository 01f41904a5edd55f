/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper - a process that can still start injectors
 *
 * Once the daemon is under its seccomp filter, what it starts is, too, and the
 * kernel lets no such process suspend the filter of a target; nor may the
 * daemon start anything then. So a child is forked before, which has no other
 * use than to start an injector when asked, and whose rights are those that an
 * injector begins with. It ends when the daemon does, however that ends.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct keeper;

/*
 * Fork the keeper of the injector @path. Before there are threads. 0 or
 * negative errno.
 */
int keeper_new(const char *path, struct keeper **ret);

/* NULL in, NULL out. Does not end the injectors. */
struct keeper *keeper_free(struct keeper *keeper);

/* Whether it has ended; it cannot be asked any more then. */
bool keeper_is_gone(struct keeper *keeper);
pid_t keeper_pid(const struct keeper *keeper);

/*
 * Have an injector started, as a child of this process; takes as long as an
 * exec does. *ret_socket is our end of its socket. Return: 0 or negative
 * errno, -ENOENT where there is no such program; then *ret_pid may be a child
 * to be waited for.
 */
int keeper_ask(struct keeper *keeper, int *ret_socket, pid_t *ret_pid);
