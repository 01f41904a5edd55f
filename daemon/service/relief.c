/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "relief.h"

#include <inttypes.h>

#include <ksmd-plus/journal.h>

#include "clock.h"
#include "log.h"
#include "planner.h"
#include "watch.h"
#include "withdraw.h"

/* Once for each reading of its mappings. What is registered whole has made no
 * mapping. */
static bool is_due(const struct watched *w, uint64_t usable)
{
	return w->mode == MODE_SELECTIVE && !w->gone && !w->dropped &&
	       w->n_mappings > usable && w->relieved_usec < w->mapped_usec;
}

void relief_turn(const struct withdraw_env *env, const struct watch *watch,
		 uint64_t max_map_count)
{
	uint64_t usable = planner_usable(max_map_count);
	size_t n;
	struct watched *const *list = watch_list(watch, &n);

	for (size_t i = 0; i < n; i++) {
		struct watched *w = list[i];

		if (!w || !is_due(w, usable))
			continue;
		w->relieved_usec = clock_usec(CLOCK_MONOTONIC);
		if (withdraw_begin(env, w, NULL, NULL) == WITHDRAW_BEGUN)
			log_event_limited(
				LOG_NOTICE, JOURNAL_RELIEVED,
				LOG_FIELDS(LOG_NUMBER("PID", w->process.id.pid),
					   LOG_TEXT("COMM", w->facts.comm),
					   LOG_NUMBER("MAPPINGS",
						      w->n_mappings)),
				"Giving back the ranges of %s (pid %d): it has %zu mappings of %" PRIu64
				" and may want the rest itself",
				w->facts.comm, w->process.id.pid, w->n_mappings,
				max_map_count);
	}
}
