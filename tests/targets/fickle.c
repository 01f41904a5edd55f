/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fickle - writes its pages as soon as they are merged, and to new duplicates
 *
 * Each page of the first half of its memory has a twin in the second half.
 * Whenever an eighth of a sample of its pages is on shared frames, all are
 * written anew: other contents, twins as before; then it prints "written N".
 * After SIGUSR1 it writes no more. --always yes: it writes all anew again and
 * again, merged or not, and says nothing.
 */
#include <fcntl.h>
#include <signal.h>

#include "target.h"

#define PAGE_WORDS  (PAGE_BYTES / sizeof(uint64_t))
#define SAMPLE	    64
#define EXCLUSIVE   (1ULL << 56) /* of a pagemap entry */
#define PRESENT	    (1ULL << 63)
#define LOOK_USEC   50000
#define SHARED_MANY (SAMPLE / 8)

static struct target t;
static volatile sig_atomic_t calm;
static uint64_t epoch;

static uint64_t word(uint64_t i)
{
	uint64_t half = target_words(&t) / 2;

	return target_mix((t.seed + epoch) * target_words(&t) + i % half);
}

static void fill(void)
{
	for (uint64_t i = 0; i < target_words(&t); i++)
		t.memory[i] = word(i);
}

static void verify(void)
{
	for (uint64_t i = 0; i < target_words(&t); i++) {
		if (t.memory[i] != word(i)) {
			target_broken(&t, "memory at %p", (void *)&t.memory[i]);
			return;
		}
	}
}

static bool is_merged(int pagemap)
{
	uint64_t n_pages = target_words(&t) / PAGE_WORDS, entry;
	unsigned int n = 0;

	for (uint64_t i = 0; i < SAMPLE; i++) {
		uint64_t page = (uintptr_t)t.memory / PAGE_BYTES +
				i * n_pages / SAMPLE;

		if (pread(pagemap, &entry, sizeof(entry),
			  (off_t)(page * sizeof(entry))) == sizeof(entry))
			n += (entry & PRESENT) && !(entry & EXCLUSIVE);
	}
	return n >= SHARED_MANY;
}

static void on_calm(int number)
{
	(void)number;
	calm = 1;
}

int main(int argc, char **argv)
{
	struct target_option option = { "always", "yes or no", "no" };
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	bool always;

	if (pagemap < 0)
		err(TARGET_SKIP, "/proc/self/pagemap");
	target_options(&t, argc, argv,
		       "Write pages as soon as they are merged.", &option, 1);
	always = !strcmp(option.value, "yes");
	signal(SIGUSR1, on_calm);
	target_ready(&t, NULL);
	while (!target_stopping(&t)) {
		target_sleep(LOOK_USEC);
		if (calm || (epoch && !always && !is_merged(pagemap)))
			continue;
		epoch++;
		fill();
		if (always)
			continue;
		printf("written %llu\n", (unsigned long long)epoch);
		fflush(stdout);
	}
	verify();
	printf(atomic_load(&t.shared->broken) ? "broken %s\n" : "intact\n",
	       t.shared->why);
	fflush(stdout);
	_exit(atomic_load(&t.shared->broken));
}
