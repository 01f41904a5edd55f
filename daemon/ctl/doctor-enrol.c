/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What it takes to enrol what was found, and to withdraw it again.
 */
#include <inttypes.h>

#include "doctor-checks.h"

void doctor_check_ptrace(const struct doctor_facts *f,
			 struct doctor_finding *ret)
{
	if (f->kernel.yama >= 3)
		return; /* said by the next */
	if (f->kernel.ptrace) {
		doctor_say(ret, DOCTOR_OK,
			   "Processes can be attached (ptrace).");
		return;
	}
	doctor_say(
		ret, DOCTOR_PROBLEM,
		"No process can be attached (ptrace): those that the configuration names are not enrolled. What registers itself, such as QEMU, still merges.");
	doctor_advise(
		ret,
		"A security module or a seccomp filter forbids it: allow ptrace.");
}

void doctor_check_yama(const struct doctor_facts *f, struct doctor_finding *ret)
{
	if (f->kernel.yama < 0) {
		doctor_say(ret, DOCTOR_OK, "Yama does not restrict ptrace.");
	} else if (f->kernel.yama < 3) {
		doctor_say(
			ret, DOCTOR_OK,
			"kernel.yama.ptrace_scope is %d, which lets root pass.",
			f->kernel.yama);
	} else {
		doctor_say(
			ret, DOCTOR_PROBLEM,
			"kernel.yama.ptrace_scope is %d: nobody may read another process's memory or attach to it, so nothing is found or enrolled.",
			f->kernel.yama);
		doctor_advise(
			ret,
			"It holds until the next boot: set it to 2 or less in /etc/sysctl.d and reboot.");
	}
}

void doctor_check_seccomp(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	if (f->kernel.suspend_seccomp) {
		doctor_say(
			ret, DOCTOR_OK,
			"A seccomp filter can be suspended: sandboxed processes can be enrolled safely.");
	} else if (!f->root) {
		doctor_not_probed(ret, "suspending a process's seccomp filter");
	} else if (f->seccomp) {
		doctor_say(
			ret, DOCTOR_WARNING,
			"We are under a seccomp filter ourselves, so no other can be suspended: processes with one are skipped.");
		doctor_advise(
			ret,
			"For the daemon this means its unit must not have SystemCallFilter= or others that filter system calls; here, leave the container.");
	} else {
		doctor_say(
			ret, DOCTOR_WARNING,
			"The kernel does not suspend seccomp filters (CONFIG_CHECKPOINT_RESTORE): processes with one are skipped.");
	}
}

void doctor_check_process_madvise(const struct doctor_facts *f,
				  struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->kernel.process_madvise_self)
		doctor_say(
			ret, DOCTOR_OK,
			"process_madvise() takes MADV_MERGEABLE (6.13): up to 1,024 ranges in one call.");
	else
		doctor_say(
			ret, DOCTOR_NOTE,
			"process_madvise() does not take MADV_MERGEABLE (6.13): each range is one call, so a process is held more often.");
}

void doctor_check_prctl(const struct doctor_facts *f,
			struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->kernel.prctl_merge)
		doctor_say(ret, DOCTOR_OK,
			   "PR_SET_MEMORY_MERGE (6.4) is there.");
	else
		doctor_say(
			ret, DOCTOR_NOTE,
			"PR_SET_MEMORY_MERGE (6.4) is missing: mode = whole and systemd's MemoryKSM= do not work; a service with MemoryKSM= may fail to start.");
}

void doctor_check_unmergeable(const struct doctor_facts *f,
			      struct doctor_finding *ret)
{
	if (!f->kernel.ksm)
		return;
	if (f->kernel.unmergeable_safe) {
		doctor_say(ret, DOCTOR_OK, "A range can be withdrawn again.");
		return;
	}
	doctor_say(
		ret, DOCTOR_WARNING,
		"MADV_UNMERGEABLE may drop other flags of a mapping in kernel %s: ranges stay enrolled until their process ends.",
		f->kernel.release);
	doctor_advise(
		ret,
		"Install a kernel with the fix: 6.1.176, 6.12.57, 6.18 or later.");
}

void doctor_check_max_map_count(const struct doctor_facts *f,
				struct doctor_finding *ret)
{
	/* The kernel's default; less has been set by somebody. */
	const uint64_t usual = 65530;

	if (f->kernel.max_map_count >= usual) {
		doctor_say(ret, DOCTOR_OK,
			   "vm.max_map_count is %" PRIu64
			   "; at most 5 %% of what a process has left is used.",
			   f->kernel.max_map_count);
		return;
	}
	doctor_say(ret, DOCTOR_WARNING,
		   "vm.max_map_count is only %" PRIu64
		   ": few ranges can be enrolled per process.",
		   f->kernel.max_map_count);
	doctor_advise(ret, "sysctl vm.max_map_count=%" PRIu64, usual);
}
