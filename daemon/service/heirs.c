/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "heirs.h"

#include "ledger.h"
#include "log.h"
#include "process.h"

static const struct ledger_process *parent_of(const struct root *root,
					      const struct ledger *ledger,
					      const struct process_stat *st)
{
	struct process_stat parent;

	if (process_stat_read(root, st->ppid, &parent))
		return NULL;
	return ledger_process(ledger, (struct process_id){ st->ppid,
							   parent.start_time });
}

/* Another program than its parent: only the flag has come with it. */
static int inherit_flag(struct ledger *ledger, struct process_id id,
			uint64_t stack)
{
	int r = stack ? ledger_program(ledger, id, stack) : 0;

	return r ? r : ledger_whole(ledger, id);
}

bool heirs_ask(const struct root *root, struct ledger *ledger,
	       struct process_id id)
{
	const struct ledger_process *from = ledger_process(ledger, id);
	struct process_stat st;
	int r;

	if (from) /* who got all back has registered what he has himself */
		return !from->given_back;
	if (process_stat_read(root, id.pid, &st) ||
	    st.start_time != id.start_time)
		return false;
	if (process_shares_mm(root, id.pid)) /* what is there is not its own */
		return parent_of(root, ledger, &st);
	from = st.forked ? ledger_relative(ledger, st.stack)
			 : parent_of(root, ledger, &st);
	if (!from || !(st.forked || from->whole))
		return false;
	r = st.forked ? ledger_inherits(ledger, id, from->id)
		      : inherit_flag(ledger, id, st.stack);
	if (!r)
		log_debug("%s (pid %d) has inherited marks of ours", st.comm,
			  id.pid);
	return !r;
}

void heirs_settle(const struct root *root, struct ledger *ledger,
		  struct process_id id, bool another)
{
	const struct ledger_process *p;
	struct process_stat st;
	int r = process_stat_read(root, id.pid, &st);

	/* without an answer it may live, and then its marks count */
	if (r < 0)
		return;
	if (r || st.start_time != id.start_time || st.state == 'Z' ||
	    st.state == 'X') {
		ledger_forget(ledger, id);
		return;
	}
	if ((st.stack || another) && ledger_program(ledger, id, st.stack))
		return;
	p = ledger_process(ledger, id);
	if (p && !p->whole && !p->ranges.n)
		ledger_forget(ledger, id);
}

void heirs_settle_all(const struct root *root, struct ledger *ledger)
{
	const struct ledger_process *list;

	/* downwards: forgetting one puts the last in its place */
	for (size_t i = ledger_processes(ledger, &list); i-- > 0;) {
		heirs_settle(root, ledger, list[i].id, false);
		ledger_processes(ledger, &list);
	}
}
