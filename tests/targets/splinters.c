/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * splinters - as many mappings as a process may have, but for a few
 *
 * It has --early mappings when it says that it is ready, --later ones after
 * --msec, and uses the rest that vm.max_map_count leaves, all but --spare, again
 * and again: it notices when somebody else has taken one of them. All pages of
 * the mappings hold the same. Another mapping is a patchwork: each page that
 * has a twin in targets of the same --seed is at a distance from the next, so
 * that to mark it takes two mappings.
 *
 * SIGUSR1 makes it go on at once, the first to --later, the second to the end.
 */
#include <signal.h>

#include "target.h"

#define PATCHES 1024
#define PATCH	(16 * PAGE_BYTES)

static struct target t;
static char *splinters;
static uint64_t n_splinters;
static volatile sig_atomic_t n_told;

static void on_told(int number)
{
	(void)number;
	n_told++;
}

/* Neighbours that may not be joined: their protections differ. */
static void splinter_to(uint64_t n)
{
	for (; n_splinters < n; n_splinters++) {
		char *page = splinters + n_splinters * PAGE_BYTES;
		int prot = n_splinters % 2 ? PROT_READ | PROT_WRITE : PROT_READ;

		if (mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED) {
			target_broken(&t, "mapping %llu: %s",
				      (unsigned long long)n_splinters,
				      strerror(errno));
			return;
		}
		*(uint64_t *)page = t.seed;
		if (mprotect(page, PAGE_BYTES, prot) < 0)
			target_broken(&t, "protecting %llu: %s",
				      (unsigned long long)n_splinters,
				      strerror(errno));
	}
}

/* Use @n more, and let them go. */
static void splinter_more(uint64_t n)
{
	uint64_t before = n_splinters;

	splinter_to(before + n);
	munmap(splinters + before * PAGE_BYTES,
	       (n_splinters - before) * PAGE_BYTES);
	n_splinters = before;
}

static char *patchwork_make(void)
{
	char *p = mmap(NULL, PATCHES * PATCH, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "mmap");
	madvise(p, PATCHES * PATCH, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < PATCHES * PATCH / 8; i++) {
		bool twin = i * 8 % PATCH < PAGE_BYTES;

		((uint64_t *)p)[i] = target_mix(
			i + (twin ? t.seed << 40 : (uint64_t)getpid() << 32));
	}
	return p;
}

static bool patchwork_is_intact(const char *p)
{
	for (uint64_t i = 0; i < PATCHES * PATCH / 8; i++) {
		bool twin = i * 8 % PATCH < PAGE_BYTES;

		if (((const uint64_t *)p)[i] !=
		    target_mix(i + (twin ? t.seed << 40
					 : (uint64_t)getpid() << 32)))
			return false;
	}
	return true;
}

static uint64_t number_in(const char *path)
{
	unsigned long long n = 0;
	FILE *f = fopen(path, "re");

	if (!f || fscanf(f, "%llu", &n) != 1)
		errx(TARGET_SKIP, "cannot read %s", path);
	fclose(f);
	return n;
}

static uint64_t mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t n = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "early", "N mappings at first", "60000" },
		{ "later", "N after some time; 0: all but a few", "0" },
		{ "msec", "N until then", "1500" },
		{ "spare", "N that are never used", "40" },
	};
	uint64_t early, later, most, others, started;
	bool is_time;
	char *patchwork;

	signal(SIGUSR1, on_told);
	target_options(&t, argc, argv, "Very many mappings.", options, 4);
	early = strtoull(options[0].value, NULL, 10);
	most = number_in("/proc/sys/vm/max_map_count");
	if (most > 1 << 20 || most < early + 100)
		errx(TARGET_SKIP, "vm.max_map_count is %llu",
		     (unsigned long long)most);
	splinters = mmap(NULL, most * PAGE_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (splinters == MAP_FAILED)
		err(2, "mmap");
	patchwork = patchwork_make();
	splinter_to(early);
	target_ready(&t, NULL);
	started = target_nsec();
	others = mappings() - n_splinters;
	most -= others + strtoull(options[3].value, NULL, 10);
	later = strtoull(options[1].value, NULL, 10);
	if (!later || later > most)
		later = most - 100;
	while (!target_stopping(&t)) {
		target_sleep(5000);
		is_time = target_nsec() - started >=
			  strtoull(options[2].value, NULL, 10) * 1000000;
		if (is_time || n_told > 0)
			splinter_to(later);
		if (is_time || n_told > 1)
			splinter_more(most - later);
	}
	for (uint64_t i = 0; i < n_splinters; i++)
		if (*(uint64_t *)(splinters + i * PAGE_BYTES) != t.seed)
			target_broken(&t, "mapping %llu",
				      (unsigned long long)i);
	if (!patchwork_is_intact(patchwork))
		target_broken(&t, "the patchwork");
	target_end(&t);
}
