/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execer - becomes itself anew, every few milliseconds
 *
 * Same pid, same start time, another address space. The input is looked at
 * between two lives, by the process itself. With --nobody yes each life ends as
 * nobody; the program, which has to be set-user-ID root, notices when the next
 * one is not root again.
 */
#include "target.h"

#define NOBODY 65534

static bool input_ended(int timeout_msec)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&pfd, 1, timeout_msec) > 0 &&
	       read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "msec", "N that a life lasts", "3" },
		{ "nobody", "yes|no", "no" },
		{ "life", "N, which life this is", "0" },
	};
	char size[32], seed[32], life[32];
	struct target t;
	bool nobody;
	int number;

	target_options(&t, argc, argv, "Execs itself all the time.", options,
		       3);
	nobody = !strcmp(options[1].value, "yes");
	number = atoi(options[2].value);
	if (nobody && geteuid() != 0) {
		if (number == 1)
			errx(TARGET_SKIP, "set-user-ID is not in force here");
		target_broken(&t, "life %d is not root's", number);
	}
	target_fill(&t);
	/* the first life of nobody's tells whether there is a second */
	if (number == nobody)
		target_announce(&t);
	if (input_ended(atoi(options[0].value)))
		target_end(&t);
	target_verify_memory(&t);
	if (atomic_load(&t.shared->broken))
		target_end(&t);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)t.size_mib);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)t.seed);
	snprintf(life, sizeof(life), "%d", number + 1);
	if (nobody && (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		       setresuid(NOBODY, NOBODY, NOBODY) < 0))
		err(2, "setresuid");
	execl("/proc/self/exe", argv[0], "--size", size, "--seed", seed,
	      "--msec", options[0].value, "--nobody", options[1].value,
	      "--life", life, (char *)NULL);
	err(2, "exec");
}
