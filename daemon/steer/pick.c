/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pick.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"
#include "files.h"
#include "tracee-arch.h"

/* Further bits of pick_stat.flags. */
#define PF_VCPU	       0x1u /* in guest mode */
#define PF_EXITING     0x4u
#define PF_IO_WORKER   0x10u
#define PF_USER_WORKER 0x4000u /* 6.4: vhost and io_uring's */

#define NEVER (PF_VCPU | PF_EXITING | PF_IO_WORKER | PF_USER_WORKER)

/* A process with more threads is judged by its first ones. */
#define MAX_THREADS 256

int pick_stat_parse(char *text, struct pick_stat *ret)
{
	/* The comm may hold blanks and ')': it ends at the last one. */
	char *p = strrchr(text, ')');
	struct pick_stat st;
	unsigned long long start, stack = 0;
	unsigned int flags;
	int parent;

	if (!p ||
	    sscanf(p + 1,
		   " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u "
		   "%*d %*d %*d %*d %*d %*d %llu %*u %*d %*u %*u %*u %llu",
		   &st.state, &parent, &flags, &start, &stack) < 4)
		return -EINVAL;
	st.parent = parent;
	st.flags = flags;
	st.start_time = start;
	st.stack = stack;
	*ret = st;
	return 0;
}

int pick_stat_read(int dir, const char *path, struct pick_stat *ret)
{
	char text[1024];

	if (file_read(dir, path, text, sizeof(text)) <= 0 ||
	    pick_stat_parse(text, ret) < 0)
		return -ESRCH;
	return 0;
}

/* "running", "-1 SP PC" outside of a call, or "NR A0 .. A5 SP PC". */
static enum tracee_call_class classify_syscall(const char *text)
{
	uint64_t args[6];
	long long nr;
	char *end;

	if (!strncmp(text, "running", 7))
		return TRACEE_CALL_RUNNING;
	nr = strtoll(text, &end, 10);
	if (end == text || nr < 0)
		return TRACEE_CALL_OTHER;
	for (int i = 0; i < 6; i++)
		args[i] = strtoull(end, &end, 16);
	return tracee_arch_classify((long)nr, args);
}

/* An enum inject_reason against the thread, or 0 with its class. */
static int judge(int dir, const char *tid, enum tracee_call_class *ret)
{
	struct pick_stat st;
	char path[64], text[256];

	snprintf(path, sizeof(path), "task/%.16s/stat", tid);
	if (pick_stat_read(dir, path, &st) < 0 || st.flags & NEVER)
		return INJECT_REASON_NO_THREAD;
	switch (st.state) {
	case 'R':
		*ret = TRACEE_CALL_RUNNING;
		return 0;
	case 'S':
		break;
	case 'T':
		return INJECT_REASON_GROUP_STOPPED;
	case 't':
		return INJECT_REASON_TRACED;
	case 'D':
		return INJECT_REASON_NOT_STOPPING;
	default:
		return INJECT_REASON_NO_THREAD;
	}
	snprintf(path, sizeof(path), "task/%.16s/syscall", tid);
	*ret = TRACEE_CALL_OTHER;
	if (file_read(dir, path, text, sizeof(text)) > 0)
		*ret = classify_syscall(text);
	return *ret == TRACEE_CALL_AVOID ? INJECT_REASON_NO_THREAD : 0;
}

/* The more telling of two reasons why nothing can be done. */
static int worse(int a, int b)
{
	static const int order[] = {
		INJECT_REASON_TRACED,
		INJECT_REASON_GROUP_STOPPED,
		INJECT_REASON_NOT_STOPPING,
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return INJECT_REASON_NO_THREAD;
}

int pick_thread(int dir, pid_t *ret_tid)
{
	_cleanup_closedir_ DIR *d = NULL;
	enum tracee_call_class class, best = TRACEE_CALL_AVOID;
	int fd = openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int reason = INJECT_REASON_NO_THREAD, r;
	struct dirent *de;
	pid_t tid = 0;

	if (fd < 0)
		return reason;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return reason;
	}
	for (int n = 0; n < MAX_THREADS && (de = readdir(d));) {
		pid_t number = (pid_t)strtol(de->d_name, NULL, 10);

		if (number <= 0) /* . and .. */
			continue;
		n++;
		r = judge(dir, de->d_name, &class);
		if (r) {
			reason = worse(reason, r);
		} else if (class > best) {
			best = class;
			tid = number;
		}
		if (best == TRACEE_CALL_RESTARTS)
			break;
	}
	if (!tid)
		return reason;
	*ret_tid = tid;
	return 0;
}
