/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "subject.h"

struct rule_subject subject_of(const struct process_facts *f, pid_t pid)
{
	return (struct rule_subject){
		.pid = pid,
		.kernel_thread = f->kernel_thread,
		.not_dumpable = f->not_dumpable,
		.self_registered = f->self_registered,
		.keys = {
			[RULE_UNIT] = f->unit,
			[RULE_CGROUP] = f->cgroup,
			[RULE_EXE] = f->exe,
			[RULE_COMM] = f->comm,
			[RULE_USER] = f->user,
		},
	};
}
