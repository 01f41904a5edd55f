/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crowded - has as many mappings as it may have
 *
 * Its memory lies between two pages of its own in one mapping, so that no part
 * of it can be registered without splitting that.
 */
#include "target.h"

/* More than any limit that is worth a test: each costs memory of the kernel. */
#define MAX_MAPPINGS 100000

static char *map(size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void fill(struct target *t)
{
	size_t bytes = t->size_mib << 20;
	char *p = map(bytes + 2 * PAGE_BYTES, PROT_READ | PROT_WRITE);

	if (!p)
		err(2, "no memory");
	*(uint64_t *)p = *(uint64_t *)(p + PAGE_BYTES + bytes) =
		target_mix((uint64_t)getpid());
	t->memory = (uint64_t *)(p + PAGE_BYTES);
	for (uint64_t i = 0; i < target_words(t); i++)
		t->memory[i] = target_mix(t->seed * target_words(t) + i);
}

/* Neighbours of different protection are never joined. */
static void crowd(void)
{
	for (int i = 0; map(PAGE_BYTES, i % 2 ? PROT_READ : PROT_NONE); i++)
		if (i > MAX_MAPPINGS)
			errx(TARGET_SKIP, "vm.max_map_count is too high here");
}

int main(int argc, char **argv)
{
	struct target t;
	pid_t self = getpid();

	target_options(&t, argc, argv, "As many mappings as can be.", NULL, 0);
	if (fork() == 0)
		target_watch(&t, self, NULL);
	fill(&t);
	crowd();
	target_announce(&t);
	while (!target_stopping(&t))
		target_sleep(10000);
	target_end(&t);
}
