/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random - many descriptors, everything going wrong at random
 *
 *	random [DESCRIPTORS [SEED]]
 *
 * Two threads send pages through each kind of queue and rung while devices
 * fault, lose, delay, refuse and are disabled, until the devices have done so
 * many DESCRIPTORS well, if they can. Each page has to come back with the
 * checksum of the CPU, and to be counted exactly once; no memory that a device
 * owns may be touched, no dedicated queue overrun, and in the end all that was
 * put aside has to be free again. test-timeout: 900
 */
#include "bringup.h"

#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define MSEC	     1000000ULL
#define THREADS	     2
#define KINDS	     6
#define WITHOUT_USEC 1000
#define DESCRIPTORS  30000ULL
/* Pages of a thread for each that a device shall do, at most. */
#define PAGES_EACH 50U
/* Then with another engine: one that has seen so much goes wrong hardly tries
 * again. */
#define PIECE 60000ULL
/* So many sets may wait for a device; one more for each thread. */
#define PUT_ASIDE_MAX (8U + THREADS)

static const struct mishaps mishaps = {
	.fault = 40,
	.list_fault = 200,
	.request = 300,
	.refused = 20000,
	.hardware = 3000,
	.list_hardware = 5000,
	.odd = 20000,
	.lost = 20000,
	.late = 10000,
	.retry = 30,
	.cut = 50,
};

struct thread {
	pthread_t id;
	const struct checksum_engine *engine;
	uint64_t seed;
	uint64_t until; /* pages that the devices have done, for all threads */
	uint64_t by_devices; /* of that, so far */
	uint64_t pages;
	uint64_t wrong;
};

static atomic_uint n_running;

static uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* Pages of the area, in pieces, then all at once. */
static void round_of(struct thread *t, struct checksum_lane *lane)
{
	struct checksum_item items[REGION_PAGES];
	uint32_t crc[REGION_PAGES], right[REGION_PAGES];
	size_t n = draw(&t->seed) % (draw(&t->seed) % 2 ? 20 : REGION_PAGES);

	for (size_t i = 0; i < n; i++) {
		uint64_t *page = (uint64_t *)(lane->area + i * PAGE_BYTES);

		page[draw(&t->seed) % 512] = draw(&t->seed);
		right[i] = checksum_page(page);
		crc[i] = ~right[i];
		items[i] = (struct checksum_item){ page, &crc[i] };
	}
	for (size_t i = 0, step; i < n; i += step) {
		step = draw(&t->seed) % 100 + 1;
		step = step < n - i ? step : n - i;
		t->engine->submit(lane, items + i, step);
	}
	t->engine->reap(lane);
	for (size_t i = 0; i < n; i++)
		t->wrong += crc[i] != right[i];
	t->pages += n;
}

/*
 * With no queue in use the CPU would do it all: wait a little after a round of
 * which a device has done nothing. On a machine that is busy with other things
 * devices are late all the time; then it ends without them.
 */
static bool has_more(struct thread *t)
{
	struct engine_dsa_state s;

	engine_dsa_state(t->engine, &s);
	if (s.pages == t->by_devices)
		usleep(WITHOUT_USEC);
	t->by_devices = s.pages;
	return s.pages < t->until && t->pages < t->until * PAGES_EACH;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct checksum_lane *lane;

	if (t->engine->lane_new(t->engine, &lane))
		errx(1, "no lane");
	while (has_more(t))
		round_of(t, lane);
	t->engine->lane_free(lane);
	atomic_fetch_sub(&n_running, 1);
	return NULL;
}

/* One of the devices is disabled for a moment, now and then. */
static unsigned int disturb(struct device *const *devices,
			    const struct checksum_engine *engine, uint64_t seed)
{
	unsigned int most = 0;

	while (atomic_load(&n_running)) {
		struct device *device = devices[draw(&seed) % 2];
		struct engine_dsa_state s;

		usleep(20000);
		engine_dsa_state(engine, &s);
		most = s.n_put_aside > most ? s.n_put_aside : most;
		if (draw(&seed) % 8)
			continue;
		device_enable(device, false);
		usleep(2000);
		device_enable(device, true);
	}
	return most;
}

static uint64_t accounted(const struct engine_dsa_state *s)
{
	uint64_t n = s->pages;

	for (int c = DSA_CAUSE_NONE + 1; c < DSA_CAUSE_MAX_; c++)
		n += s->fallbacks[c];
	return n;
}

/* All that was put aside comes back when nothing goes wrong any more. */
static bool all_is_free(const struct checksum_engine *engine)
{
	struct engine_dsa_state s;

	for (unsigned int i = 0; i < 30000; i++) {
		engine_dsa_state(engine, &s);
		if (!s.n_put_aside)
			return true;
		usleep(1000);
	}
	return false;
}

static bool say(bool good, const char *what, int kind, uint64_t n)
{
	if (!good)
		printf("# kind %d: %" PRIu64 " %s\n", kind, n, what);
	return good;
}

static bool judge(int kind, const struct thread *threads,
		  const struct checksum_engine *engine,
		  struct device *const *devices, unsigned int most)
{
	struct engine_dsa_state s;
	uint64_t pages = 0;
	bool good = true;

	engine_dsa_state(engine, &s);
	for (int i = 0; i < THREADS; i++) {
		pages += threads[i].pages;
		good &= say(!threads[i].wrong, "wrong checksums", kind,
			    threads[i].wrong);
	}
	/* trials of queues are counted as well: 16 pages each, at most */
	good &= say(accounted(&s) >= pages, "pages missing", kind,
		    pages - accounted(&s));
	good &= say(accounted(&s) - pages <= 16 * 8 * (s.retired + 64),
		    "pages twice", kind, accounted(&s) - pages);
	good &= say(most <= PUT_ASIDE_MAX, "sets put aside", kind, most);
	good &= say(s.batches > 0, "batches only", kind, s.batches);
	for (int i = 0; i < 2; i++) {
		struct device_counts c;

		device_counts(devices[i], &c);
		good &= say(!c.touched, "touched", kind, c.touched);
		good &= say(!c.refused, "really wrong", kind, c.refused);
		good &= say(!c.overrun, "overrun", kind, c.overrun);
	}
	printf("# kind %d: %" PRIu64 " pages, %" PRIu64 " by devices, %" PRIu64
	       " lost, %" PRIu64 " queues given up, %u sets put aside\n",
	       kind, pages, s.pages, s.fallbacks[DSA_CAUSE_LOST], s.retired,
	       most);
	return good;
}

/* Kinds are the three rungs, each shared and dedicated. */
static bool run_kind(int kind, uint64_t pages, uint64_t seed,
		     uint64_t *by_devices)
{
	struct engine_dsa_options options = {
		.find = bringup_find,
		.rung = (enum dsa_rung)(DSA_RUNG_VECTOR + kind / 2),
		.timeout_nsec = 50 * MSEC,
		.backoff_nsec = MSEC,
	};
	struct device_config config = {
		.shared = kind % 2 == 0,
		.batch_by_write = options.rung != DSA_RUNG_VECTOR,
		.size = 24,
		.max_batch = 128,
		.max_transfer = 2U << 20,
		.n_engines = 1,
		.late_usec = 80000,
		.seed = seed,
	};
	struct thread threads[THREADS] = { 0 };
	const struct checksum_engine *engine;
	struct engine_dsa_state state;
	struct device *devices[2];
	unsigned int most;
	bool good;

	for (int i = 0; i < 2; i++) {
		devices[i] = bringup_device(&config);
		config.seed++;
	}
	if (engine_dsa_new(&options, &engine))
		errx(1, "no engine");
	for (int i = 0; i < 2; i++)
		device_set_mishaps(devices[i], &mishaps);
	atomic_store(&n_running, THREADS);
	for (int i = 0; i < THREADS; i++) {
		threads[i].engine = engine;
		threads[i].seed = seed + 100 + (uint64_t)i;
		threads[i].until = pages;
		pthread_create(&threads[i].id, NULL, thread_main, &threads[i]);
	}
	most = disturb(devices, engine, seed);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].id, NULL);
	good = judge(kind, threads, engine, devices, most);
	engine_dsa_state(engine, &state);
	*by_devices += state.pages;
	good &= say(all_is_free(engine), "sets are never freed", kind, 0);
	engine_dsa_free(engine);
	bringup_end(devices);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 0) : DESCRIPTORS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	uint64_t by_devices = 0;
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t done = 0, piece; good && done < n; done += piece) {
		piece = n - done < PIECE ? n - done : PIECE;
		for (int kind = 0; kind < KINDS; kind++)
			good &= run_kind(kind, piece / KINDS,
					 seed + done + (uint64_t)kind * 1000,
					 &by_devices);
	}
	printf("# %" PRIu64 " of %" PRIu64 " done by devices\n", by_devices, n);
	printf("%s random faults and %" PRIu64 " descriptors, seed %" PRIu64
	       "\n",
	       good ? "ok" : "not ok", n, seed);
	return good ? 0 : 1;
}
