/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager-parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <ksmd-plus/control.h>
#include <ksmd-plus/journal.h>

#include "accounting.h"
#include "adapt.h"
#include "adopt.h"
#include "asking.h"
#include "budget.h"
#include "bus.h"
#include "checksums.h"
#include "clock.h"
#include "control.h"
#include "enrol.h"
#include "heirs.h"
#include "hinting.h"
#include "knobs.h"
#include "ksm.h"
#include "ledger.h"
#include "leftovers.h"
#include "log.h"
#include "merge.h"
#include "pfnset.h"
#include "placing.h"
#include "pool.h"
#include "process.h"
#include "pulser.h"
#include "reader.h"
#include "report.h"
#include "scan.h"
#include "settings.h"
#include "summary.h"
#include "telling.h"
#include "track.h"
#include "units.h"
#include "watch.h"
#include "watchdog.h"
#include "withdraw.h"

/* Frames remembered per round: 1 GiB of shared memory, 16 MiB of our own. */
#define SEEN_FRAMES (1U << 18)
/* Processes whose readers do not come back, before there are less of them. */
#define SPARE_READERS 8U

/* --- what parts ask of one another --------------------------------------- */

static uint64_t cpu_usec(void *userdata)
{
	const struct manager *m = userdata;

	return report_cpu_usec(m->report);
}

static void on_scan_progress(void *userdata)
{
	const struct manager *m = userdata;

	merge_consider(m->merge);
}

static bool round_may_begin(void *userdata)
{
	const struct manager *m = userdata;

	return merge_stage(m->merge) == MERGE_IDLE;
}

static enum scan_state searching(void *userdata)
{
	const struct manager *m = userdata;

	return scan_state(m->scan);
}

/* See soon what became of the duplicates. */
static void on_pulsed(void *userdata)
{
	const struct manager *m = userdata;

	scan_soon(m->scan, false);
	placing_soon(m->placing);
}

static bool is_ours(void *userdata, struct process_id id)
{
	const struct manager *m = userdata;

	return heirs_ask(m->root, m->ledger, id);
}

static bool is_adopted(void *userdata, struct process_id id)
{
	const struct manager *m = userdata;

	return adopt_has(m->adopt, id);
}

/* --- beginning ------------------------------------------------------------- */

static int steer_start(struct manager *m)
{
	int r = ledger_open(m->runtime_fd, m->options.dry_run, &m->ledger);

	if (r)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot open the ledger in %s",
				       m->options.runtime_dir);
	r = knobs_new(m->root, m->ledger, m->options.dry_run, &m->knobs);
	if (!r)
		r = leftovers_restore(m->root, m->ledger, m->knobs);
	if (!r)
		r = enrol_new(m->event, m->ledger,
			      m->options.dry_run ? NULL : m->options.injector,
			      &m->enrol);
	m->withdraw = (struct withdraw_env){
		.root = m->root,
		.enrol = m->enrol,
		.ledger = m->ledger,
		.unmergeable_safe = m->kfeat->unmergeable_safe,
	};
	return r;
}

static enum confine_role readers(const struct manager *m)
{
	return checksums_engine(m->checksums) == &checksum_cpu
		       ? CONFINE_READER
		       : CONFINE_READER_DSA;
}

static int threads_start(struct manager *m, unsigned int n,
			 const struct checksum_engine *engine,
			 enum confine_role role, struct pool **ret)
{
	return pool_new(&(struct pool_env){ .event = m->event,
					    .root = m->root,
					    .n_threads = n,
					    .engine = engine,
					    .role = role },
			ret);
}

/* What cannot be had here, the loop's thread will tell. */
static void asker_begin(void)
{
	confine_thread(CONFINE_ASKER);
}

static int sense_start(struct manager *m)
{
	uint64_t seed;
	int r;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	m->reader.pagemap_scan = m->kfeat->pagemap_scan;
	r = asking_new(m->root, asker_begin, &m->asking);
	m->withdraw.asking = m->asking;
	if (!r)
		r = strong_key_make(&m->reader.key);
	if (!r)
		r = pfnset_new(SEEN_FRAMES, &m->reader.seen);
	if (!r)
		r = track_new(m->config.memory_limit, seed,
			      m->config.zero_pages, &m->track);
	if (!r)
		r = checksums_new(m->root, m->config.engine, &m->checksums);
	if (!r)
		r = pool_new(
			&(struct pool_env){
				.event = m->event,
				.root = m->root,
				.n_threads = settings_threads(&m->config,
							      m->kfeat),
				.n_spares = SPARE_READERS,
				.engine = checksums_engine(m->checksums),
				.role = readers(m),
			},
			&m->pool);
	return r;
}

static int search_start(struct manager *m)
{
	int r = scan_new(
		&(struct scan_env){
			.event = m->event,
			.pool = m->pool,
			.reader = &m->reader,
			.track = m->track,
			.watch = m->watch,
			.budget = &m->budget,
			.cpu_usec = cpu_usec,
			.may_begin = round_may_begin,
			.progress = on_scan_progress,
			.userdata = m,
		},
		&m->scan);

	if (!r)
		r = hinting_new(
			&(struct hinting_env){
				.event = m->event,
				.root = m->root,
				.pool = m->pool,
				.reader = &m->reader,
				.track = m->track,
				.watch = m->watch,
				.scan = m->scan,
				.merge = m->merge,
				.config = &m->config,
				.budget = &m->budget,
			},
			&m->hinting);
	if (!r)
		r = adapt_new(
			&(struct adapt_env){
				.event = m->event,
				.root = m->root,
				.config = &m->config,
				.budget = &m->budget,
				.pulser = m->pulser,
			},
			&m->adapt);
	return r;
}

static int loop_start(struct manager *m, const struct watch_ops *ops)
{
	struct pulser_settings settings = settings_pulser(&m->config);
	struct merge_limits limits = settings_merge(&m->config, m->kfeat,
						    m->root);
	int r = adopt_new(m->root, &m->adopt);

	if (!r)
		r = watch_new(m->root, m->asking, ops, m, &m->watch);
	if (r)
		return r;
	watch_set_rules(m->watch, &m->config.rules);
	watch_set_limits(m->watch, m->options.dry_run,
			 !m->kfeat->ksm_stat_mergeable);
	watch_set_asked(m->watch, is_ours, is_adopted);
	if (enrol_pid(m->enrol))
		watch_add_own(m->watch, enrol_pid(m->enrol));
	if (enrol_keeper_pid(m->enrol))
		watch_add_own(m->watch, enrol_keeper_pid(m->enrol));
	r = accounting_new(
		&(struct accounting_env){
			.event = m->event,
			.root = m->root,
			.watch = m->watch,
			.asking = m->asking,
			.ksmd = m->ksmd,
			.cpu_usec = cpu_usec,
			.userdata = m,
		},
		&m->accounting);
	if (!r)
		r = pulser_new(m->root, m->knobs, m->ksmd, &settings,
			       &m->pulser);
	if (!r)
		r = merge_new(
			&(struct merge_env){
				.event = m->event,
				.pool = m->pool,
				.reader = &m->reader,
				.track = m->track,
				.watch = m->watch,
				.enrol = m->enrol,
				.pulser = m->pulser,
				.searching = searching,
				.pulsed = on_pulsed,
				.userdata = m,
			},
			&limits, &m->merge);
	return r ? r : search_start(m);
}

/* Nothing is moved in a dry run, nor where there is one node. */
static int placing_start(struct manager *m)
{
	int r = m->options.dry_run || m->kfeat->n_nodes < 2
			? 0
			: threads_start(m, 1, &checksum_cpu, CONFINE_MOVER,
					&m->movers);
	struct placing_env env = {
		.event = m->event,
		.root = m->root,
		.kfeat = m->kfeat,
		.config = &m->config,
		.pool = m->movers,
		.watch = m->watch,
		.may_begin = round_may_begin,
		.userdata = m,
	};

	return r || !m->movers ? r : placing_new(&env, &m->placing);
}

static void each_face(void *userdata, void (*call)(sd_bus *bus, void *arg),
		      void *arg)
{
	const struct manager *m = userdata;

	control_each(m->control, call, arg);
	bus_each(m->bus, call, arg);
}

/* A dry run leaves the name to a daemon that does something. */
static int buses_start(struct manager *m, const struct control_ops *ops)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	int r = control_new(m->event, m->options.runtime_dir, ops, m,
			    &m->control);

	if (r)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot listen on %s/bus",
				       m->options.runtime_dir);
	if (!m->options.dry_run)
		r = bus_new(m->event, address ? address : CONTROL_SYSTEM_BUS,
			    ops, m, &m->bus);
	if (r)
		return r;
	return telling_new(
		&(struct telling_env){
			.event = m->event,
			.pulser = m->pulser,
			.status = ops->status,
			.each = each_face,
			.userdata = m,
		},
		&m->telling);
}

void manager_faces_free(struct manager *m)
{
	m->telling = telling_free(m->telling);
	m->bus = bus_free(m->bus);
	m->control = control_free(m->control);
	m->watchdog = watchdog_free(m->watchdog);
}

static void on_system_bus(void *userdata, void (*call)(sd_bus *bus, void *arg),
			  void *arg)
{
	const struct manager *m = userdata;

	bus_each(m->bus, call, arg);
}

static int faces_start(struct manager *m, const struct control_ops *ops,
		       sd_event_time_handler_t walk)
{
	int r = units_new(on_system_bus, m, &m->units);

	if (r)
		return r;
	r = report_new(
		&(struct report_env){
			.root = m->root,
			.kfeat = m->kfeat,
			.config = &m->config,
			.watch = m->watch,
			.asking = m->asking,
			.track = m->track,
			.scan = m->scan,
			.merge = m->merge,
			.enrol = m->enrol,
			.knobs = m->knobs,
			.pulser = m->pulser,
			.adapt = m->adapt,
			.checksums = m->checksums,
			.hinting = m->hinting,
			.placing = m->placing,
			.units = m->units,
			.ksmd = m->ksmd,
			.dry_run = m->options.dry_run,
		},
		&m->report);

	if (r)
		return r;
	budget_init(&m->budget, m->config.cpu_limit_permyriad,
		    clock_usec(CLOCK_MONOTONIC), cpu_usec(m));
	r = buses_start(m, ops);
	if (!r)
		r = summary_new(m->event, ops->status, m, &m->summary);
	if (!r)
		r = watchdog_new(
			&(struct watchdog_env){
				.event = m->event,
				.root = m->root,
				.pool = m->pool,
				.scan = m->scan,
				.merge = m->merge,
				.pulser = m->pulser,
				.enrol = m->enrol,
			},
			&m->watchdog);
	if (r)
		return r;
	r = sd_event_add_time(m->event, &m->walk_timer, CLOCK_MONOTONIC, 0,
			      1000, walk, m);
	return r < 0 ? r : 0;
}

int manager_parts_start(struct manager *m, const struct watch_ops *watch,
			const struct control_ops *control,
			sd_event_time_handler_t walk)
{
	int r = steer_start(m);

	if (!r)
		r = sense_start(m);
	if (!r)
		r = loop_start(m, watch);
	if (!r)
		r = placing_start(m);
	if (!r)
		r = faces_start(m, control, walk);
	return r;
}
