/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "clock.h"
#include "frameset.h"
#include "rights.h"
#include "survey-private.h"

#define THREADS_MAX   256U
#define PROGRESS_USEC (100 * USEC_PER_MSEC)

typedef void (*work_fn)(struct survey *survey, struct worker *worker);

static unsigned int cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MIN((unsigned int)CPU_COUNT(&set), THREADS_MAX);
}

/* Four descriptors for each process: as many as may be. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int survey_new(const struct root *root, const struct kfeat *kfeat,
	       const atomic_bool *stop, struct survey **ret)
{
	_cleanup_(survey_freep) struct survey *s = calloc(1, sizeof(*s));
	struct survey_private *p = calloc(1, sizeof(*p));

	if (!s || !p) {
		free(p);
		return -ENOMEM;
	}
	s->private = p;
	s->stop = stop;
	s->share = 1;
	p->root = root;
	p->reader.pagemap_scan = kfeat->pagemap_scan;
	p->kpf_ksm = kfeat->kpf_ksm;
	p->kpageflags = openat(root->proc, "kpageflags", O_RDONLY | O_CLOEXEC);
	p->n_threads = cpus();
	descriptors_raise();
	/* copies of pages are not to be left in a core dump */
	if (rights_close() || frameset_new(&p->frames))
		return -ENOMEM;
	if (getrandom(&p->seed, sizeof(p->seed), 0) < 0)
		return -errno;
	for (unsigned int i = 0; i < KEY_WORDS; i++)
		p->words[i] = (uint16_t)(survey_mix(p->seed + i) %
					 (PAGE_BYTES / KEY_WORDS / 8)) +
			      (uint16_t)(i * PAGE_BYTES / KEY_WORDS / 8);
	*ret = TAKE_PTR(s);
	return 0;
}

struct survey *survey_free(struct survey *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->processes.n; i++) {
		process_close(&s->processes.v[i]->process);
		vec_free(&s->processes.v[i]->vmas);
		free(s->processes.v[i]);
	}
	vec_free(&s->processes);
	for (size_t i = 0; i < s->forecast.n_regions; i++)
		free(s->forecast.regions[i].marks);
	free(s->forecast.regions);
	if (s->forecast.records)
		munmap(s->forecast.records,
		       s->private->capacity * sizeof(*s->forecast.records));
	if (s->private) {
		frameset_free(s->private->frames);
		close_fd(s->private->kpageflags);
		free(s->private);
	}
	free(s);
	return NULL;
}

/* The regions of a process, behind those of the others. */
static int regions_take(struct survey *s, uint32_t owner,
			const struct pagemap_regions *regions)
{
	struct forecast *f = &s->forecast;
	struct forecast_region *v;

	if (f->n_regions + regions->n > FORECAST_MAX_REGIONS)
		return -EFBIG;
	v = reallocarray(f->regions, f->n_regions + regions->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	f->regions = v;
	for (size_t i = 0; i < regions->n; i++) {
		v[f->n_regions++] = (struct forecast_region){
			.base = regions->v[i].base,
			.owner = owner,
			.huge = regions->v[i].huge,
		};
		s->n_present += regions->v[i].present;
	}
	return 0;
}

int survey_add(struct survey *s, struct process_id id, const char *comm,
	       uint32_t domain)
{
	struct survey_process *p = calloc(1, sizeof(*p));
	struct reader_map map = { 0 };
	_cleanup_close_ int smaps = -1;
	int r;

	if (!p || vec_reserve(&s->processes, s->processes.n + 1)) {
		free(p);
		return -ENOMEM;
	}
	p->process = PROCESS_NONE;
	r = process_open(s->private->root, id, &p->process);
	smaps = r ? -1 : vmas_open(p->process.dir);
	if (!r)
		r = smaps < 0 ? smaps
			      : reader_map(&s->private->reader, &p->process,
					   smaps, false, &map);
	p->first_region = s->forecast.n_regions;
	p->n_regions = map.regions.n;
	if (!r)
		r = regions_take(s, (uint32_t)s->processes.n, &map.regions);
	if (r) {
		reader_map_clear(&map);
		process_close(&p->process);
		free(p);
		return r > 0 ? SURVEY_GONE : r;
	}
	snprintf(p->comm, sizeof(p->comm), "%s", comm);
	p->domain = domain;
	p->n_mappings = map.n_mappings;
	p->vmas = map.vmas;
	map.vmas = (struct vmas){ 0 };
	reader_map_clear(&map);
	s->processes.v[s->processes.n++] = p;
	return 0;
}

struct crew {
	struct survey *survey;
	work_fn work;
};

static void *thread_main(void *arg)
{
	const struct crew *crew = arg;
	struct worker worker;

	if (worker_open(&checksum_cpu, &worker)) {
		atomic_store(&crew->survey->private->error, -ENOMEM);
		return NULL;
	}
	crew->work(crew->survey, &worker);
	worker_close(&worker);
	return NULL;
}

/* Wait for a thread, and tell meanwhile how far all have come. */
static void thread_join(pthread_t thread, const struct survey *s,
			survey_progress_fn progress, void *userdata)
{
	struct timespec until;
	uint64_t at;

	do {
		at = clock_usec(CLOCK_REALTIME) + PROGRESS_USEC;
		until.tv_sec = (time_t)(at / USEC_PER_SEC);
		until.tv_nsec = (long)(at % USEC_PER_SEC * NSEC_PER_USEC);
		if (progress)
			progress(userdata, s);
	} while (pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT);
}

/* Have all threads do @work. 0 or negative errno. */
static int all_do(struct survey *s, work_fn work, survey_progress_fn progress,
		  void *userdata)
{
	struct crew crew = { s, work };
	pthread_t threads[THREADS_MAX];
	unsigned int n = 0;
	int r = 0;

	atomic_store(&s->private->next, 0);
	while (!r && n < s->private->n_threads) {
		r = pthread_create(&threads[n], NULL, thread_main, &crew);
		n += !r;
	}
	for (unsigned int i = 0; i < n; i++)
		thread_join(threads[i], s, progress, userdata);
	if (r && !n)
		return -r;
	return atomic_load(&s->private->error);
}

static void pause_between(struct survey *s, uint64_t since_usec)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC), begin = now;

	while (!survey_stopped(s) && now < since_usec + SURVEY_PAUSE_USEC) {
		uint64_t left = since_usec + SURVEY_PAUSE_USEC - now;
		struct timespec t = { .tv_nsec =
					      (long)(MIN(left, PROGRESS_USEC) *
						     NSEC_PER_USEC) };

		nanosleep(&t, NULL);
		now = clock_usec(CLOCK_MONOTONIC);
	}
	s->pause_usec = now - begin;
}

static int records_map(struct survey *s)
{
	/* memory grows while it is looked at; no sample is that unequal */
	size_t n = s->n_wanted + s->n_wanted / 8 + 8 * REGION_PAGES;
	void *v = mmap(NULL, n * sizeof(*s->forecast.records),
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (v == MAP_FAILED)
		return -errno;
	/* checksums are among them */
	madvise(v, n * sizeof(*s->forecast.records), MADV_DONTDUMP);
	s->forecast.records = v;
	s->private->capacity = n;
	return 0;
}

static int look_again(struct survey *s, uint64_t twins, uint64_t since_usec,
		      survey_progress_fn progress, void *userdata)
{
	struct survey_private *p = s->private;
	uint64_t most = MAX((uint64_t)s->forecast.n / SURVEY_AGAIN_PART,
			    (uint64_t)SURVEY_AGAIN_MIN);
	uint64_t begin;
	int r;

	p->again_share =
		twins <= 2 * most || s->share < 1
			? UINT32_MAX
			: (uint32_t)((double)most / (double)twins * UINT32_MAX);
	if (twins)
		pause_between(s, since_usec);
	begin = clock_usec(CLOCK_MONOTONIC);
	atomic_store(&s->n_done, s->n_wanted);
	r = all_do(s, survey_again_work, progress, userdata);
	s->n_again = p->n_again;
	s->again_usec = clock_usec(CLOCK_MONOTONIC) - begin;
	return r ? r : forecast_mark(&s->forecast, &twins);
}

int survey_run(struct survey *s, survey_progress_fn progress, void *userdata)
{
	struct survey_private *p = s->private;
	uint64_t begin = clock_usec(CLOCK_MONOTONIC), twins;
	int r;

	p->take_below = (uint64_t)(s->share * 4294967296.0);
	s->n_wanted = (uint64_t)((double)s->n_present * s->share);
	r = records_map(s);
	if (!r)
		r = all_do(s, survey_first_work, progress, userdata);
	if (r)
		return r;
	s->forecast.n = MIN(atomic_load(&p->n_records), p->capacity);
	forecast_split(s->forecast.records, s->forecast.n, p->ends);
	r = all_do(s, survey_sort_work, NULL, NULL);
	s->read_usec = clock_usec(CLOCK_MONOTONIC) - begin;
	if (!r)
		r = forecast_mark(&s->forecast, &twins);
	if (!r)
		r = look_again(s, twins, begin, progress, userdata);
	return r;
}
