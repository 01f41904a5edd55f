/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch - start the injector's program
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Run @path with @socket as descriptor INJECT_FD, /dev/null for its input, our
 * stdout and stderr, no other descriptor, no signal blocked or ignored, in a
 * session of its own. It is a child of this process, or of this process's
 * parent where @as_sibling.
 *
 * Return: 0 or negative errno, that of exec included: then *ret_pid may be a
 * child all the same, one to be waited for, or else 0.
 */
int launch_injector(const char *path, int socket, bool as_sibling,
		    pid_t *ret_pid);
