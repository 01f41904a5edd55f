/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What it takes to find duplicates: seeing and reading pages.
 */
#include <inttypes.h>

#include "doctor-checks.h"

void doctor_check_pagemap(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	if (f->kernel.pagemap_pfn) {
		doctor_say(
			ret, DOCTOR_OK,
			"/proc/PID/pagemap shows frame numbers: pages that are shared already are left out.");
	} else if (!f->root) {
		doctor_not_probed(ret,
				  "the frame numbers in /proc/PID/pagemap");
	} else {
		doctor_say(
			ret, DOCTOR_PROBLEM,
			"/proc/PID/pagemap hides frame numbers: pages that are shared already cannot be told from others.");
		doctor_advise(
			ret,
			"CAP_SYS_ADMIN in the initial user namespace is needed.");
	}
}

void doctor_check_pagemap_scan(const struct doctor_facts *f,
			       struct doctor_finding *ret)
{
	if (f->kernel.pagemap_scan)
		doctor_say(
			ret, DOCTOR_OK,
			"PAGEMAP_SCAN (6.7) is there: looking over a page costs about 12 ns.");
	else
		doctor_say(
			ret, DOCTOR_NOTE,
			"PAGEMAP_SCAN (6.7) is missing: /proc/PID/pagemap is read instead, at about twice the cost per page.");
}

void doctor_check_kpf_ksm(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	if (f->kernel.kpf_ksm)
		doctor_say(ret, DOCTOR_OK,
			   "/proc/kpageflags tells merged pages from others.");
	else if (!f->root)
		doctor_not_probed(
			ret, "whether /proc/kpageflags tells merged pages");
	else
		doctor_say(
			ret, DOCTOR_NOTE,
			"/proc/kpageflags does not tell merged pages (kernels from 6.10 call every anonymous page one): they are told by their frame numbers.");
}

void doctor_check_kcore(const struct doctor_facts *f,
			struct doctor_finding *ret)
{
	if (f->kernel.kcore)
		doctor_say(
			ret, DOCTOR_OK,
			"/proc/kcore is there: the gentlest way to read a page.");
	else if (!f->root)
		doctor_not_probed(ret, "/proc/kcore");
	else
		doctor_say(
			ret, DOCTOR_NOTE,
			"No /proc/kcore: pages are read through the process, and count as used for the kernel's reclaim.");
}

void doctor_check_mglru(const struct doctor_facts *f,
			struct doctor_finding *ret)
{
	if (f->kernel.mglru)
		doctor_say(
			ret, DOCTOR_OK,
			"Multi-gen LRU is on: a page that is read once counts as referenced, no more.");
	else
		doctor_say(
			ret, DOCTOR_OK,
			"Classic LRU: a page that is read twice counts as active.");
}

void doctor_check_psi(const struct doctor_facts *f, struct doctor_finding *ret)
{
	if (f->kernel.psi) {
		doctor_say(ret, DOCTOR_OK, "Pressure (PSI) can be read.");
		return;
	}
	doctor_say(
		ret, DOCTOR_NOTE,
		"No pressure information (PSI): memory pressure is judged by MemAvailable alone.");
	doctor_advise(ret, "Boot with psi=1.");
}

void doctor_check_thp(const struct doctor_facts *f, struct doctor_finding *ret)
{
	uint32_t shared = f->kernel.khugepaged_max_ptes_shared;

	if (f->kernel.thp == THP_ABSENT || f->kernel.thp == THP_NEVER) {
		doctor_say(ret, DOCTOR_OK,
			   "No huge pages are made behind our back.");
		return;
	}
	if (shared == 0) {
		doctor_say(
			ret, DOCTOR_OK,
			"Huge pages are made, but never out of merged ones.");
		return;
	}
	doctor_say(
		ret, f->kernel.thp == THP_ALWAYS ? DOCTOR_WARNING : DOCTOR_NOTE,
		"Huge pages are made (%s): one is given up only for 64 duplicates or more, and khugepaged may copy up to %" PRIu32
		" merged pages of 512 back for one.",
		f->kernel.thp == THP_ALWAYS
			? "always"
			: "where a program asks, as QEMU does",
		shared);
	doctor_advise(
		ret,
		"If memory matters more, write 0 to khugepaged/max_ptes_shared in /sys/kernel/mm/transparent_hugepage.");
}
