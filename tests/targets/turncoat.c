/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * turncoat - changes its user all the time, and shares its memory
 *
 * With each change the kernel decides anew who may trace it. A second process
 * has the same memory and is no thread of it.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "target.h"

#define NOBODY 65534

static struct target t;

static int other_main(void *unused)
{
	(void)unused;
	while (!target_stopping(&t))
		target_sleep(1000);
	return 7;
}

int main(int argc, char **argv)
{
	static char stack[65536];
	int status = 0;
	pid_t other;

	target_options(&t, argc, argv, "Another user each time.", NULL, 0);
	target_ready(&t, NULL);
	other = clone(other_main, stack + sizeof(stack), CLONE_VM | SIGCHLD,
		      NULL);
	if (other < 0)
		err(2, "clone");
	while (!target_stopping(&t)) {
		if (seteuid(NOBODY) < 0 || seteuid(0) < 0)
			target_broken(&t, "seteuid: %s", strerror(errno));
		target_sleep(500);
	}
	if (waitpid(other, &status, 0) != other || status != 7 << 8)
		target_broken(&t, "the other ended with %x", status);
	if (geteuid() != 0)
		target_broken(&t, "user %u", geteuid());
	target_end(&t);
}
