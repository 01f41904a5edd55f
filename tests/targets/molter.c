/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * molter - becomes another program and leaves its memory to somebody else
 *
 * A second process lives in the same memory and is no thread of it
 * (CLONE_VM). The first execs after --msec: the memory stays, and the second
 * writes to it all the time, what twins of the same --seed hold. The program
 * that the first has become has a mapping at the same place, with contents
 * that nobody else has: whoever marks that has taken it for the old one.
 */
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "target.h"

#define PLACE	     ((void *)0x620000000000)
#define REWRITE_USEC 300000

static struct target t;

static void memory_make(uint64_t seed)
{
	t.memory = mmap(PLACE, t.size_mib << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			0);
	if (t.memory != PLACE)
		err(TARGET_SKIP, "mmap");
	t.seed = seed;
	for (uint64_t i = 0; i < target_words(&t); i++)
		t.memory[i] = target_mix(seed * target_words(&t) + i);
}

/* In the memory that is left. */
static int second_main(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		target_sleep(REWRITE_USEC);
		for (uint64_t i = 0; i < target_words(&t); i += 512)
			((volatile uint64_t *)t.memory)[i] =
				target_mix(t.seed * target_words(&t) + i);
	}
	return 0;
}

/* The mapping at that place; others may well have twins. */
static bool is_marked(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	bool there = false, marked = false;
	unsigned long start, end;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			there = start < (uintptr_t)PLACE + (t.size_mib << 20) &&
				end > (uintptr_t)PLACE;
		else if (there && !strncmp(line, "VmFlags:", 8))
			marked |= strstr(line, " mg") != NULL;
	}
	if (f)
		fclose(f);
	return marked;
}

/* The other program. Its input is looked at by itself, its parent being who
 * has started the first. */
static void second_life(void)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	memory_make(target_mix((uint64_t)getpid()));
	printf("molted\n");
	fflush(stdout);
	while (poll(&pfd, 1, 20) <= 0 || read(STDIN_FILENO, &byte, 1) > 0)
		if (is_marked())
			target_broken(&t, "marked as what it was");
	target_end(&t);
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "msec", "N until the exec", "2000" },
		{ "life", "N, which life this is", "0" },
	};
	static char stack[65536];
	char size[32];
	pid_t second;

	target_options(&t, argc, argv, "Leaves its memory to another.", options,
		       2);
	if (strcmp(options[1].value, "0") != 0)
		second_life();
	memory_make(t.seed);
	second = clone(second_main, stack + sizeof(stack), CLONE_VM | SIGCHLD,
		       NULL);
	if (second < 0)
		err(2, "clone");
	target_announce(&t);
	target_sleep(strtoull(options[0].value, NULL, 10) * 1000);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)t.size_mib);
	execl("/proc/self/exe", argv[0], "--size", size, "--life", "1",
	      (char *)NULL);
	err(2, "exec");
}
