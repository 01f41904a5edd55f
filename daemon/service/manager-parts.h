/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manager-parts - what the manager is made of, and how it is put together
 *
 * Each part gets what it needs of the others here, and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "budget.h"
#include "config.h"
#include "manager.h"
#include "reader.h"
#include "withdraw.h"

struct accounting;
struct adopt;
struct asking;
struct control_ops;
struct watch_ops;

struct manager {
	sd_event *event;
	const struct root *root;
	const struct kfeat *kfeat;
	struct manager_options options;
	struct config config;
	int runtime_fd;
	pid_t ksmd;

	struct ledger *ledger;
	struct knobs *knobs;
	struct enrol *enrol;
	struct asking *asking;
	struct checksums *checksums;
	struct pool *pool;
	struct pool *movers; /* or NULL: nothing to move here */
	struct reader reader;
	struct track *track;
	struct adopt *adopt;
	struct watch *watch;
	struct accounting *accounting;
	struct budget budget;
	struct adapt *adapt;
	struct scan *scan;
	struct hinting *hinting;
	struct pulser *pulser;
	struct merge *merge;
	struct placing *placing;
	struct withdraw_env withdraw;
	struct report *report;
	struct control *control;
	struct bus *bus;
	struct units *units;
	struct telling *telling;
	struct watchdog *watchdog;
	struct summary *summary;
	sd_event_source *walk_timer;

	bool paused;
	bool walked; /* /proc was walked once */
	uint64_t left_usec; /* when somebody left; 0: nobody has */
	uint64_t trim_usec; /* when memory was trimmed */
	uint64_t settle_usec; /* when the ledger was last settled */
	bool stopping;
	bool closed; /* nothing may be begun any more */
	struct ending *ending;
};

/*
 * Start all parts of @m, whose upper fields and .config are set; @walk is
 * called at once, and whenever the timer is set again.
 * Return: 0 or negative errno; what has been started is the caller's to free.
 */
int manager_parts_start(struct manager *m, const struct watch_ops *watch,
			const struct control_ops *control,
			sd_event_time_handler_t walk);

/* Close what others see of @m, and what they hear; the first to go. */
void manager_faces_free(struct manager *m);
