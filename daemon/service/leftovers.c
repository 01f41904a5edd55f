/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "leftovers.h"

#include <ksmd-plus/journal.h>

#include "heirs.h"
#include "knobs.h"
#include "log.h"

int leftovers_restore(const struct root *root, struct ledger *ledger,
		      struct knobs *knobs)
{
	int r = knobs_restore(knobs);

	if (r < 0)
		return log_event_errno(
			r, JOURNAL_KNOBS_LEFT, NULL,
			"Cannot restore KSM's settings of an earlier daemon");
	heirs_settle_all(root, ledger);
	return 0;
}
