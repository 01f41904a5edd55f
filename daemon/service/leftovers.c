/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "leftovers.h"

#include <ksmd-plus/journal.h>

#include "knobs.h"
#include "ledger.h"
#include "log.h"
#include "process.h"

int leftovers_restore(const struct root *root, struct ledger *ledger,
		      struct knobs *knobs)
{
	const struct ledger_process *list;
	int r = knobs_restore(knobs);

	if (r < 0)
		return log_event_errno(
			r, JOURNAL_KNOBS_LEFT, NULL,
			"Cannot restore KSM's settings of an earlier daemon");
	/* downwards: forgetting one puts the last in its place */
	for (size_t i = ledger_processes(ledger, &list); i-- > 0;) {
		struct process_id id = list[i].id;
		struct process_stat st;

		r = process_stat_read(root, id.pid, &st);
		/* without an answer it may live, and then its marks count */
		if (r < 0 || (r == 0 && st.start_time == id.start_time))
			continue;
		ledger_forget(ledger, id);
		ledger_processes(ledger, &list);
	}
	return 0;
}
