/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * family - a parent that fills its memory and children that share it
 *
 * As a server that forks its workers: every page lies in one frame that all
 * of the family map. Nobody writes to it; each verifies it at the end.
 */
#include <sys/wait.h>

#include "target.h"

#define MAX_CHILDREN 64

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(2, "fork");
	return pid;
}

static int child_main(struct target *t, pid_t parent)
{
	while (!target_stopping(t) && getppid() == parent)
		target_sleep(10000);
	target_verify_memory(t);
	return atomic_load(&t->shared->broken);
}

int main(int argc, char **argv)
{
	struct target_option option = { "children", "N", "3" };
	pid_t self = getpid(), children[MAX_CHILDREN];
	struct target t;
	int n, status;

	target_options(&t, argc, argv, "A parent and children that share.",
		       &option, 1);
	n = atoi(option.value);
	if (n < 0 || n > MAX_CHILDREN)
		errx(2, "so many children: %d", n);
	/* It announces itself only when the whole family is there. */
	if (start() == 0)
		target_watch(&t, self, NULL);
	target_fill(&t);
	for (int i = 0; i < n; i++) {
		children[i] = start();
		if (children[i] == 0)
			_exit(child_main(&t, self));
	}
	target_announce(&t);
	while (!target_stopping(&t))
		target_sleep(10000);
	for (int i = 0; i < n; i++)
		if (waitpid(children[i], &status, 0) != children[i] || status)
			target_broken(&t, "child %d ended with %x", i, status);
	target_end(&t);
}
