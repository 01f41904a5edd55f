/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process - who a process is, and the descriptors that hold on to it
 *
 * Identity is a pidfd, the start time and the mm that is pinned by the open
 * /proc/PID/mem and /proc/PID/pagemap: after an exec they still mean the old
 * mm, so nothing read through them can be mistaken for the new program's. Its
 * pages are gone then, unless somebody else lives in that mm as well (clone()
 * with CLONE_VM): where the stack begins, at random for each exec, tells that
 * the process itself does not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <ksmd-plus/types.h>

#include "files.h"

enum {
	PROCESS_GONE = 1, /* exited, or its pid means another process now */
};

struct process {
	struct process_id id;
	int pidfd;
	int dir; /* /proc/PID */
	int mem; /* /proc/PID/mem, read only */
	int pagemap; /* /proc/PID/pagemap */
	uint64_t stack; /* of the mm that is open, see struct process_stat */
};

#define PROCESS_NONE                                                           \
	(struct process)                                                       \
	{                                                                      \
		.pidfd = -1, .dir = -1, .mem = -1, .pagemap = -1               \
	}

/* The first line of everything: what one read of /proc/PID/stat tells. */
struct process_stat {
	char comm[64]; /* kernel threads' names may be longer than 15 */
	char state;
	pid_t ppid;
	bool kernel_thread;
	bool forked; /* and has not exec'ed since */
	uint64_t start_time;
	uint64_t stack; /* where it begins; 0: not told, we may not know */
};

/* What rules may ask about a process. All strings are owned. */
struct process_facts {
	char comm[64];
	uid_t uid; /* effective */
	char *exe; /* NULL where it cannot be read */
	char *cgroup; /* path in the hierarchy that systemd or the container
			 * manager uses, NULL if unknown */
	char *unit; /* innermost systemd unit in it that is no slice */
	char *user; /* name, or the uid in decimal */
	char *guest; /* the virtual machine that it is, NULL if it is none */
	bool kernel_thread;
	bool not_dumpable;
	bool self_registered; /* has mergeable mappings that we know of */
};

/* 0, PROCESS_GONE or negative errno. */
int process_stat_read(const struct root *root, pid_t pid,
		      struct process_stat *ret);

/* Whether it, or the thread of that number, runs or waits for a CPU. */
bool process_is_running(const struct root *root, pid_t pid);

/*
 * Open the process that has @id. Return: 0 with *ret to be closed by the
 * caller, PROCESS_GONE, or negative errno (-EACCES, -EPERM: an LSM or Yama
 * says no).
 */
int process_open(const struct root *root, struct process_id id,
		 struct process *ret);

/*
 * Whether a process lives in the memory of its parent and is no thread of it: a
 * vfork child, or a helper made by clone() with CLONE_VM. Where the kernel has
 * no kcmp() nobody does.
 */
bool process_shares_mm(const struct root *root, pid_t pid);

/* Close what is open; accepts PROCESS_NONE. */
void process_close(struct process *process);

/* Whether the process has exited, or left the mm that was opened by exec. Who
 * may not open files cannot notice an exec that left others in that mm. */
bool process_is_gone(const struct process *process);

/*
 * Collect the facts. @smaps_too: look for mergeable mappings in smaps, where
 * ksm_stat does not tell (kernels before 6.14), also if KSM has no records of
 * the process; costs a walk of the page tables.
 *
 * Return: 0 with *ret to be cleared by the caller, PROCESS_GONE, -ENOMEM.
 */
int process_facts_read(const struct root *root, pid_t pid, bool smaps_too,
		       struct process_facts *ret);
void process_facts_clear(struct process_facts *facts);

/* What KSM has done for one process (ksm_stat; all 0 where it is absent). */
struct process_ksm {
	uint64_t merging_pages; /* of the process, mapped to KSM pages */
	uint64_t zero_pages; /* replaced by the zero page */
	uint64_t rmap_items; /* 64 bytes of kernel memory each */
	bool merge_any; /* PR_SET_MEMORY_MERGE */
	bool mergeable; /* has mergeable mappings; 6.14+ only */
	bool told; /* ... where it is known */
};

/* 0 or PROCESS_GONE. @dir is /proc/PID. */
int process_ksm_read(int dir, struct process_ksm *ret);

/* CPU time of thread @pid from schedstat. 0, PROCESS_GONE or -errno. */
int process_cpu_nsec(const struct root *root, pid_t pid, uint64_t *ret);

/* Resident pages of the process whose /proc/PID is @dir, or 0. */
uint64_t process_resident(int dir);
