/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spawner - starts very many processes that do not live long
 *
 * Each is a fork and an exec of itself, with memory that all of them have in
 * common, and lives for up to --msec, by chance. Each verifies itself; how it
 * has ended is looked at.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "target.h"

#define MEMORY_WORDS (256 * 1024 / 8)

static struct target t;
static uint64_t n_started, n_ended;

static int brief_life(uint64_t msec)
{
	uint64_t *p = mmap(NULL, MEMORY_WORDS * 8, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (p == MAP_FAILED)
		return 2;
	for (uint64_t i = 0; i < MEMORY_WORDS; i++)
		p[i] = target_mix(t.seed + i);
	target_sleep(msec * 1000);
	for (uint64_t i = 0; i < MEMORY_WORDS; i++)
		if (p[i] != target_mix(t.seed + i))
			return 1;
	return 0;
}

static void brief_start(const char *self, uint64_t msec)
{
	char seed[32], life[32];
	pid_t pid;

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)t.seed);
	snprintf(life, sizeof(life), "%llu",
		 (unsigned long long)(target_mix(n_started) % (msec + 1)));
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", self, "--seed", seed, "--life", life,
		      (char *)NULL);
		_exit(3);
	}
	if (pid > 0)
		n_started++;
}

static void ends_take(int options)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, options)) > 0) {
		n_ended++;
		if (status && n_ended <= n_started && !target_stopping(&t))
			target_broken(&t, "process %d ended with %x", pid,
				      status);
	}
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "rate", "N processes a minute", "10000" },
		{ "msec", "N that one lives at most", "1000" },
		{ "life", "N msec, of one of them", "" },
	};
	uint64_t start, rate;

	target_options(&t, argc, argv, "Many short lives.", options, 3);
	if (*options[2].value)
		return brief_life(strtoull(options[2].value, NULL, 10));
	rate = strtoull(options[0].value, NULL, 10);
	target_ready(&t, NULL);
	start = target_nsec();
	while (!target_stopping(&t)) {
		uint64_t due = (target_nsec() - start) / 1000000 * rate / 60000;

		while (n_started < due && !target_stopping(&t))
			brief_start(argv[0],
				    strtoull(options[1].value, NULL, 10));
		ends_take(WNOHANG);
		target_sleep(2000);
	}
	printf("started %llu in %llu ms\n", (unsigned long long)n_started,
	       (unsigned long long)((target_nsec() - start) / 1000000));
	fflush(stdout);
	target_end(&t);
}
