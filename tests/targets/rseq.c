/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rseq - counters per CPU that only restartable sequences protect
 *
 * Each thread adds to the counter of its CPU in a sequence that is long on
 * purpose: were one resumed after another thread of the same CPU has counted,
 * a count would be lost, and the sums would differ. With a --spin of billions
 * they never come out of it.
 */
#include <pthread.h>
#include <sys/rseq.h>

#include "target.h"

#define N_THREADS 4
#define MAX_CPUS  1024

static struct target t;

#ifdef __x86_64__
static volatile uint64_t counters[MAX_CPUS];
static uint32_t spin;

/* 1 where it was counted, 0 where the sequence was broken off. */
static unsigned int count(struct rseq *rs)
{
	__asm__ goto(".pushsection __rseq_cs, \"aw\"\n"
		     ".balign 32\n"
		     "3: .long 0, 0\n"
		     ".quad 1f, 2f - 1f, 4f\n"
		     ".popsection\n"
		     "leaq 3b(%%rip), %%rax\n"
		     "movq %%rax, 8(%[rs])\n"
		     "1: movl 4(%[rs]), %%eax\n"
		     "movq (%[counters], %%rax, 8), %%rcx\n"
		     "movl %k[spin], %%edx\n"
		     "5: decl %%edx\n"
		     "jnz 5b\n"
		     "incq %%rcx\n"
		     "movq %%rcx, (%[counters], %%rax, 8)\n"
		     "2:\n"
		     ".pushsection __rseq_failure, \"ax\"\n"
		     ".byte 0x0f, 0xb9, 0x3d\n"
		     ".long 0x53053053\n" /* RSEQ_SIG */
		     "4: jmp %l[aborted]\n"
		     ".popsection\n"
		     :
		     : [rs] "r"(rs), [counters] "r"(counters), [spin] "r"(spin)
		     : "memory", "cc", "rax", "rcx", "rdx"
		     : aborted);
	return 1;
aborted:
	return 0;
}

static void *counts(void *arg)
{
	struct rseq *rs =
		(void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	uint64_t n = 0;

	while (!target_stopping(&t))
		n += count(rs);
	*(uint64_t *)arg = n;
	return NULL;
}

int main(int argc, char **argv)
{
	struct target_option option = { "spin", "N turns in each sequence",
					"2000" };
	uint64_t n[N_THREADS], done = 0, counted = 0;
	pthread_t threads[N_THREADS];

	target_options(&t, argc, argv, "Restartable sequences.", &option, 1);
	spin = (uint32_t)strtoul(option.value, NULL, 10);
	if (!__rseq_size)
		errx(TARGET_SKIP, "no restartable sequences here");
	target_ready(&t, NULL);
	for (int i = 1; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, counts, &n[i]);
	counts(&n[0]); /* no thread does anything else */
	for (int i = 1; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < N_THREADS; i++)
		done += n[i];
	for (int i = 0; i < MAX_CPUS; i++)
		counted += counters[i];
	if (!done || counted != done)
		target_broken(&t, "%llu of %llu counts",
			      (unsigned long long)counted,
			      (unsigned long long)done);
	target_end(&t);
}
#else
int main(int argc, char **argv)
{
	target_options(&t, argc, argv, "Restartable sequences.", NULL, 0);
	errx(TARGET_SKIP, "the sequence is written for x86-64 only");
}
#endif
