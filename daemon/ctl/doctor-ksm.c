/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What KSM itself offers here, and who else steers it.
 */
#include <inttypes.h>

#include "doctor-checks.h"

void doctor_check_ksm(const struct doctor_facts *f, struct doctor_finding *ret)
{
	if (!f->kernel.ksm) {
		doctor_say(
			ret, DOCTOR_PROBLEM,
			"This kernel has no KSM (/sys/kernel/mm/ksm is missing): nothing can be merged.");
		doctor_advise(
			ret,
			"Boot a kernel with CONFIG_KSM=y; Debian's have it.");
	} else if (!f->root) {
		doctor_say(ret, DOCTOR_OK, "KSM is there.");
	} else if (!f->kernel.ksm_writable) {
		doctor_say(
			ret, DOCTOR_PROBLEM,
			"KSM is there, but its knobs cannot be written (/sys is read-only?): ksmd cannot be steered.");
		doctor_advise(
			ret,
			"Mount /sys writable; the daemon's unit must not set ProtectKernelTunables=.");
	} else {
		doctor_say(ret, DOCTOR_OK, "KSM is there and can be steered.");
	}
}

void doctor_check_run(const struct doctor_facts *f, struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->run == 0) {
		doctor_say(
			ret, DOCTOR_OK,
			"ksmd is stopped (run=0). The daemon lets it run when there is something to merge.");
	} else if (f->run == 1) {
		doctor_say(ret, DOCTOR_OK,
			   "ksmd is running: %" PRIu64 " pages every %" PRIu64
			   " ms.",
			   f->pages_to_scan, f->sleep_millisecs);
	} else {
		doctor_say(
			ret, DOCTOR_WARNING,
			"run=%" PRIu64
			": somebody has un-merged everything, and nothing merges until that changes.",
			f->run);
		doctor_advise(
			ret,
			"If nobody needs it so: echo 0 > /sys/kernel/mm/ksm/run");
	}
}

void doctor_check_advisor(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->advisor_on)
		doctor_say(
			ret, DOCTOR_NOTE,
			"The kernel's advisor sets pages_to_scan. The daemon switches it off while it runs, and on again at its end.");
	else if (f->kernel.advisor)
		doctor_say(ret, DOCTOR_OK, "The kernel's advisor is off.");
	else
		doctor_say(
			ret, DOCTOR_OK,
			"The kernel has no advisor (6.8) that could interfere.");
}

void doctor_check_smart_scan(const struct doctor_facts *f,
			     struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->kernel.smart_scan)
		doctor_say(
			ret, DOCTOR_OK,
			"smart_scan (6.7) is there. The daemon switches it off while ksmd merges, since it can keep two equal pages apart for ever.");
	else
		doctor_say(
			ret, DOCTOR_OK,
			"No smart_scan (6.7); nothing needs to be switched off.");
}

void doctor_check_counters(const struct doctor_facts *f,
			   struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (!f->kernel.zero_pages_counted)
		doctor_say(
			ret, DOCTOR_NOTE,
			"ksm_zero_pages (6.6) is missing: merged zero pages save memory, but are not counted.");
	else if (!f->kernel.general_profit)
		doctor_say(
			ret, DOCTOR_NOTE,
			"general_profit (6.4) is missing: profit is computed from page counts.");
	else
		doctor_say(ret, DOCTOR_OK,
			   "The kernel counts what it merges, zero pages too.");
}

void doctor_check_nodes(const struct doctor_facts *f,
			struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->kernel.n_nodes < 2) {
		doctor_say(ret, DOCTOR_OK, "One memory node.");
	} else if (f->merge_across_nodes) {
		doctor_say(
			ret, DOCTOR_OK,
			"%d memory nodes, and pages merge across them. The daemon moves merged pages to the nodes of those who use them ([numa] policy).",
			f->kernel.n_nodes);
	} else {
		doctor_say(
			ret, DOCTOR_NOTE,
			"%d memory nodes, and merge_across_nodes=0: only pages on the same node merge. Every node has its own copies: all accesses are local, and less is saved.",
			f->kernel.n_nodes);
		doctor_advise(
			ret,
			"To save more, at the price of accesses to other nodes that the daemon spreads fairly, before anything is merged: echo 1 > /sys/kernel/mm/ksm/merge_across_nodes");
	}
}

void doctor_check_process_ksm(const struct doctor_facts *f,
			      struct doctor_finding *ret)
{
	if (f->kernel.process_ksm)
		doctor_say(
			ret, DOCTOR_NOTE,
			"This kernel has process_ksm_enable() of the pf-kernel; ksmd-plus does not need it.");
}
