/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vforker - waits for a vfork child nearly all the time
 *
 * The parent cannot be stopped while the child has its memory, and the child
 * must not be used instead.
 */
#include <sys/wait.h>

#include "target.h"

/* In the child, which has our memory: not longer than anybody needs it. */
static void live(const struct target *t, pid_t parent, int msec)
{
	uint64_t end = target_nsec() + (uint64_t)msec * 1000000;

	while (target_nsec() < end && !target_stopping(t) &&
	       getppid() == parent)
		target_sleep((uint64_t)(msec < 20 ? msec : 20) * 1000);
}

int main(int argc, char **argv)
{
	volatile uint64_t canary = 0x1122334455667788ULL;
	struct target_option option = { "msec", "N that a child lives", "20" };
	struct target t;
	pid_t self = getpid(), pid;
	int status, msec;

	target_options(&t, argc, argv, "Waits for vfork children.", &option, 1);
	msec = atoi(option.value);
	target_ready(&t, NULL);
	for (int i = 0; !target_stopping(&t); i++) {
		pid = vfork();
		if (pid == 0) {
			live(&t, self, msec);
			if (i % 8 == 0)
				execl("/bin/true", "true", (char *)NULL);
			_exit(i % 8 ? i % 100 : 99);
		}
		if (pid < 0)
			err(2, "vfork");
		if (waitpid(pid, &status, 0) != pid)
			target_broken(&t, "waitpid: %s", strerror(errno));
		else if (status != (i % 8 ? i % 100 << 8 : 0))
			target_broken(&t, "a child ended with %x", status);
		if (canary != 0x1122334455667788ULL)
			target_broken(&t, "the stack");
	}
	target_end(&t);
}
