/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execer - becomes itself anew, every few milliseconds
 *
 * Same pid, same start time, another address space. The input is looked at
 * between two lives, by the process itself.
 */
#include "target.h"

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
		{ "life", "N, which life this is", "0" },
	};
	char size[32], seed[32], life[32];
	struct target t;

	target_options(&t, argc, argv, "Execs itself all the time.", options,
		       2);
	target_fill(&t);
	if (!strcmp(options[1].value, "0"))
		target_announce(&t);
	if (input_ended(atoi(options[0].value)))
		target_end(&t);
	target_verify_memory(&t);
	if (atomic_load(&t.shared->broken))
		target_end(&t);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)t.size_mib);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)t.seed);
	snprintf(life, sizeof(life), "%d", atoi(options[1].value) + 1);
	execl("/proc/self/exe", argv[0], "--size", size, "--seed", seed,
	      "--msec", options[0].value, "--life", life, (char *)NULL);
	err(2, "exec");
}
