/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dup - a process with a known number of duplicate pages
 *
 * Fills one private anonymous mapping. Two processes with the same --seed,
 * --size, --dup and --run hold the same duplicate pages; everything else in
 * the mapping is unique to (seed, id), but for --zero percent of zero pages.
 * Duplicates and zero pages come in runs of --run pages at random places, of
 * which each id has its own unless --same-place is yes. --volatile percent of
 * the pages are rewritten all the time, one word of each.
 *
 * Every page can be made again from a 64-bit key, so the process verifies
 * itself without a copy. What it keeps per page stands in a mapping that is
 * not dumped and hence never merged by ksmd-plus: only the bulk counts.
 *
 * Talks in lines, one answer for each:
 *	(start)		"ready"
 *	"verify"	"intact", or "broken ADDRESS" of the first wrong word
 *	"count"		"duplicate N zero N unique N", pages as they are now
 *	"where"		"START END" of the mapping, hexadecimal
 *	"write N"	"written N": so many duplicate pages have become unique
 *	(end of file)	verifies; the exit status is 0 for intact, 1 for broken
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <ksmd-plus/types.h>

#ifndef PR_SET_MEMORY_MERGE /* 6.4 */
#define PR_SET_MEMORY_MERGE 67
#endif

#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

/* What a run of pages holds; anything below is the number of a duplicate. */
#define KIND_UNIQUE   UINT32_MAX
#define KIND_VOLATILE (UINT32_MAX - 1)
#define KIND_ZERO     (UINT32_MAX - 2)

/* Between two rewrites of all volatile pages. */
#define VOLATILE_USEC 20000

enum registration {
	REGISTER_NOT,
	REGISTER_MADVISE,
	REGISTER_PRCTL,
	REGISTER_EXACT,
};

struct options {
	uint64_t size_mib;
	double dup_percent;
	double zero_percent;
	double volatile_percent;
	uint64_t run_pages;
	uint64_t seed;
	uint64_t id;
	bool same_place;
	enum registration registration;
};

struct workload {
	struct options opt;
	uint64_t *memory;
	uint64_t n_pages;
	uint64_t n_runs;
	uint64_t n_dup_runs;
	uint64_t n_zero_runs;
	uint64_t n_volatile_runs;
	uint64_t n_written;
	uint64_t random; /* state of the generator that chooses pages */
	uint32_t *kinds; /* of each run */
	bool *written; /* of each page: its first word is another one now */
	atomic_bool lost; /* a rewritten word was not as it was left */
};

/* splitmix64: one multiplication chain per word, all of it independent. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t mix2(uint64_t a, uint64_t b)
{
	return mix(mix(a + 0x9e3779b97f4a7c15ULL) + b);
}

static uint64_t word_of(uint64_t key, uint64_t i)
{
	return mix(key + i * 0x9e3779b97f4a7c15ULL);
}

static uint64_t next_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return mix(*state);
}

/* The key of what is unique to @page in this process. */
static uint64_t unique_key(const struct workload *w, uint64_t page)
{
	return mix2(mix2(w->opt.seed, ~w->opt.id), page);
}

static uint32_t kind_of(const struct workload *w, uint64_t page)
{
	uint64_t run = page / w->opt.run_pages;

	/* The rest of the mapping, shorter than a run. */
	return run < w->n_runs ? w->kinds[run] : KIND_UNIQUE;
}

static bool is_duplicate(const struct workload *w, uint64_t page)
{
	return kind_of(w, page) < KIND_ZERO;
}

/* What word @i of @page must be; @key and @kind are those of the page. */
static uint64_t expected(const struct workload *w, uint64_t page, uint64_t i,
			 uint64_t key, uint32_t kind)
{
	if (i == 0 && w->written[page])
		return ~unique_key(w, page);
	return kind == KIND_ZERO ? 0 : word_of(key, i);
}

static uint64_t page_key(const struct workload *w, uint64_t page, uint32_t kind)
{
	if (kind >= KIND_ZERO)
		return unique_key(w, page);
	return mix2(w->opt.seed,
		    kind * w->opt.run_pages + page % w->opt.run_pages);
}

static void fill(struct workload *w)
{
	for (uint64_t page = 0; page < w->n_pages; page++) {
		uint64_t *p = w->memory + page * PAGE_WORDS;
		uint32_t kind = kind_of(w, page);
		uint64_t key = page_key(w, page, kind);

		for (uint64_t i = 0; i < PAGE_WORDS; i++)
			p[i] = kind == KIND_ZERO ? 0 : word_of(key, i);
	}
}

/* The first word that is not as it was written, or NULL. */
static const uint64_t *first_broken(const struct workload *w)
{
	if (atomic_load(&w->lost))
		return w->memory;
	for (uint64_t page = 0; page < w->n_pages; page++) {
		const uint64_t *p = w->memory + page * PAGE_WORDS;
		uint32_t kind = kind_of(w, page);
		uint64_t key = page_key(w, page, kind);

		for (uint64_t i = kind == KIND_VOLATILE; i < PAGE_WORDS; i++)
			if (p[i] != expected(w, page, i, key, kind))
				return p + i;
	}
	return NULL;
}

/* A Fisher-Yates shuffle of the runs, of which the first hold duplicates. */
static void choose_places(struct workload *w)
{
	uint64_t state = mix2(w->opt.seed, w->opt.same_place ? 0 : ~w->opt.id);

	for (uint64_t i = 0; i < w->n_runs; i++) {
		if (i < w->n_dup_runs)
			w->kinds[i] = (uint32_t)i;
		else if (i < w->n_dup_runs + w->n_zero_runs)
			w->kinds[i] = KIND_ZERO;
		else if (i >= w->n_runs - w->n_volatile_runs)
			w->kinds[i] = KIND_VOLATILE;
		else
			w->kinds[i] = KIND_UNIQUE;
	}
	for (uint64_t i = w->n_runs; i > 1; i--) {
		uint64_t j = next_random(&state) % i;
		uint32_t kind = w->kinds[i - 1];

		w->kinds[i - 1] = w->kinds[j];
		w->kinds[j] = kind;
	}
}

static void *map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "no memory for %llu bytes", (unsigned long long)bytes);
	return p;
}

/* Memory about the workload that no KSM manager of ours looks at. */
static void *map_books(uint64_t bytes)
{
	void *p = map(bytes);

	if (madvise(p, bytes, MADV_DONTDUMP) < 0)
		err(2, "MADV_DONTDUMP");
	return p;
}

static void register_range(void *p, uint64_t bytes)
{
	if (madvise(p, bytes, MADV_MERGEABLE) < 0)
		err(2, "MADV_MERGEABLE");
}

/* Duplicates and zero pages only: nobody could choose better. */
static void register_exact(const struct workload *w)
{
	uint64_t run_bytes = w->opt.run_pages * PAGE_BYTES;
	uint64_t from = 0;

	for (uint64_t run = 0; run <= w->n_runs; run++) {
		char *p = (char *)w->memory + from * run_bytes;

		if (run < w->n_runs && w->kinds[run] <= KIND_ZERO)
			continue;
		if (run > from)
			register_range(p, (run - from) * run_bytes);
		from = run + 1;
	}
}

/* The only writer of these words: knows what each must still be. */
static void *rewrite(void *arg)
{
	struct workload *w = arg;

	for (uint64_t turn = 0;; turn++) {
		for (uint64_t page = 0; page < w->n_pages; page++) {
			uint64_t *p = w->memory + page * PAGE_WORDS;

			if (kind_of(w, page) != KIND_VOLATILE)
				continue;
			if (turn > 0 && *p != mix2(page, turn - 1))
				atomic_store(&w->lost, true);
			*p = mix2(page, turn);
		}
		usleep(VOLATILE_USEC);
	}
	return NULL;
}

static void start_rewriting(struct workload *w)
{
	pthread_t thread;

	if (w->n_volatile_runs > 0 &&
	    pthread_create(&thread, NULL, rewrite, w) != 0)
		errx(2, "no thread");
}

/* How many runs @percent are, of those that @taken leaves. */
static uint64_t runs_of(const struct workload *w, double percent,
			uint64_t taken)
{
	uint64_t n = (uint64_t)((double)w->n_runs * percent / 100 + 0.5);

	return n < w->n_runs - taken ? n : w->n_runs - taken;
}

static void workload_make(struct workload *w)
{
	uint64_t bytes = w->opt.size_mib << 20;

	w->n_pages = bytes / PAGE_BYTES;
	w->n_runs = w->n_pages / w->opt.run_pages;
	w->n_dup_runs = runs_of(w, w->opt.dup_percent, 0);
	w->n_zero_runs = runs_of(w, w->opt.zero_percent, w->n_dup_runs);
	w->n_volatile_runs = runs_of(w, w->opt.volatile_percent,
				     w->n_dup_runs + w->n_zero_runs);
	w->random = unique_key(w, UINT64_MAX);
	w->kinds = map_books(w->n_runs * sizeof(*w->kinds) + 1);
	w->written = map_books(w->n_pages * sizeof(*w->written));
	w->memory = map(bytes);
	choose_places(w);

	if (w->opt.registration == REGISTER_MADVISE)
		register_range(w->memory, bytes);
	if (w->opt.registration == REGISTER_EXACT)
		register_exact(w);
	if (w->opt.registration == REGISTER_PRCTL &&
	    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) < 0)
		err(2, "PR_SET_MEMORY_MERGE");
	fill(w);
	start_rewriting(w);
}

static uint64_t duplicates_left(const struct workload *w)
{
	return w->n_dup_runs * w->opt.run_pages - w->n_written;
}

/* Make @n duplicate pages unique, each with a write of one word. */
static uint64_t write_pages(struct workload *w, uint64_t n)
{
	if (n > duplicates_left(w))
		n = duplicates_left(w);
	for (uint64_t done = 0; done < n; done++) {
		uint64_t page = next_random(&w->random) % w->n_pages;

		while (!is_duplicate(w, page) || w->written[page])
			page = (page + 1) % w->n_pages;
		w->written[page] = true;
		w->memory[page * PAGE_WORDS] = ~unique_key(w, page);
		w->n_written++;
	}
	return n;
}

static void answer(struct workload *w, const char *line)
{
	const uint64_t *broken;
	unsigned long long n;

	if (strcmp(line, "verify\n") == 0) {
		broken = first_broken(w);
		if (broken)
			printf("broken %p\n", (const void *)broken);
		else
			puts("intact");
	} else if (strcmp(line, "count\n") == 0) {
		uint64_t zero = w->n_zero_runs * w->opt.run_pages;
		uint64_t dup = duplicates_left(w);

		printf("duplicate %llu zero %llu unique %llu\n",
		       (unsigned long long)dup, (unsigned long long)zero,
		       (unsigned long long)(w->n_pages - dup - zero));
	} else if (strcmp(line, "where\n") == 0) {
		uintptr_t start = (uintptr_t)w->memory;

		printf("%llx %llx\n", (unsigned long long)start,
		       start + w->n_pages * PAGE_BYTES);
	} else if (sscanf(line, "write %llu", &n) == 1) {
		printf("written %llu\n", (unsigned long long)write_pages(w, n));
	} else {
		printf("unknown %s", line);
	}
}

static void usage(FILE *f)
{
	fputs("usage: dup [options]\n"
	      "  --size MIB            of the mapping (64)\n"
	      "  --dup PERCENT         of its pages are duplicates (25)\n"
	      "  --zero PERCENT        of its pages are zero (0)\n"
	      "  --volatile PERCENT    of its pages change all the time (0)\n"
	      "  --run PAGES           in one run of either (16)\n"
	      "  --seed N              equal seeds, equal duplicates (1)\n"
	      "  --id K                makes all else differ (0)\n"
	      "  --same-place yes|no   duplicates at the same offsets (no)\n"
	      "  --register no|madvise|prctl|exact\n"
	      "                        make the memory mergeable itself (no);\n"
	      "                        exact: what has equals, and no more\n"
	      "Fills the mapping, prints `ready`, then answers to the lines\n"
	      "verify, count, where, write N on its standard input; at its\n"
	      "end verifies every page and exits with 0 (intact) or 1.\n",
	      f);
}

static uint64_t parse_number(const char *text)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		errx(2, "not a number: %s", text);
	return v;
}

static double parse_percent(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= 0 && v <= 100))
		errx(2, "not a percentage: %s", text);
	return v;
}

/* The index of @text in @names, which ends with NULL. */
static unsigned int parse_name(const char *text, const char *const *names)
{
	for (unsigned int i = 0; names[i]; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	errx(2, "not one of the known words: %s", text);
}

static void parse_options(int argc, char **argv, struct options *opt)
{
	static const char *const yes_no[] = { "no", "yes", NULL };
	static const char *const how[] = { "no", "madvise", "prctl", "exact",
					   NULL };
	static const struct option longopts[] = {
		{ "size", required_argument, NULL, 's' },
		{ "dup", required_argument, NULL, 'd' },
		{ "zero", required_argument, NULL, 'z' },
		{ "volatile", required_argument, NULL, 'v' },
		{ "run", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 'e' },
		{ "id", required_argument, NULL, 'i' },
		{ "same-place", required_argument, NULL, 'p' },
		{ "register", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		switch (c) {
		case 's':
			opt->size_mib = parse_number(optarg);
			break;
		case 'd':
			opt->dup_percent = parse_percent(optarg);
			break;
		case 'z':
			opt->zero_percent = parse_percent(optarg);
			break;
		case 'v':
			opt->volatile_percent = parse_percent(optarg);
			break;
		case 'r':
			opt->run_pages = parse_number(optarg);
			break;
		case 'e':
			opt->seed = parse_number(optarg);
			break;
		case 'i':
			opt->id = parse_number(optarg);
			break;
		case 'p':
			opt->same_place = parse_name(optarg, yes_no);
			break;
		case 'm':
			opt->registration = parse_name(optarg, how);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc || opt->size_mib == 0 || opt->size_mib >= 1 << 20 ||
	    opt->run_pages == 0) {
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct workload w = {
		.opt = {
			.size_mib = 64,
			.dup_percent = 25,
			.run_pages = 16,
			.seed = 1,
		},
	};
	char line[64];

	parse_options(argc, argv, &w.opt);
	setvbuf(stdout, NULL, _IOLBF, 0);
	workload_make(&w);
	puts("ready");
	while (fgets(line, sizeof(line), stdin))
		answer(&w, line);
	return first_broken(&w) ? 1 : 0;
}
