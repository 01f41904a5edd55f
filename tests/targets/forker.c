/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forker - forks all the time; each child checks what it has inherited
 */
#include <sys/wait.h>

#include "target.h"

static int child_main(struct target *t, uint64_t seed)
{
	for (int i = 0; i < 64; i++) {
		uint64_t k = (seed = target_mix(seed)) % target_words(t);
		volatile uint64_t *word = &t->memory[k];
		uint64_t expected = target_mix(t->seed * target_words(t) + k);

		if (*word != expected)
			return 1;
		if (i % 8 == 0) { /* a copy of its own */
			*word = ~expected;
			*word = expected;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct target t;
	int status;
	pid_t pid;

	target_options(&t, argc, argv, "Forks all the time.", NULL, 0);
	target_ready(&t, NULL);
	for (uint64_t i = 1; !target_stopping(&t); i++) {
		pid = fork();
		if (pid == 0)
			_exit(child_main(&t, i * 1000));
		if (pid < 0)
			err(2, "fork");
		if (waitpid(pid, &status, 0) != pid)
			target_broken(&t, "waitpid: %s", strerror(errno));
		else if (status)
			target_broken(&t, "a child ended with %x", status);
	}
	target_end(&t);
}
