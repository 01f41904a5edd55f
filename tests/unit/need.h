/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * need - what a test cannot do without, or else it is skipped
 *
 * To be included below <cmocka.h>.
 */
#pragma once

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Valgrind before 3.20 does not know pidfd_open(2). */
static inline void need_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0) {
		print_message("no pidfd_open, which valgrind 3.19 lacks\n");
		skip();
	}
	close(fd);
}

/* Valgrind makes system calls of its own in our name. */
static inline void need_no_tool(void)
{
	const char *preload = getenv("LD_PRELOAD");

	if (preload && strstr(preload, "vgpreload")) {
		print_message("valgrind cannot be under a seccomp filter\n");
		skip();
	}
}

static inline void need_frames(void)
{
	if (geteuid() != 0) {
		print_message("frame numbers are shown to root only\n");
		skip();
	}
}
