/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "guest.h"

/* include/linux/sched.h: PF_KTHREAD; part of field 9 of stat. */
#define PF_KTHREAD_BIT	  0x00200000UL
#define PF_FORKNOEXEC_BIT 0x40UL

/* These mean "the process is not there any more" while walking /proc. */
static int gone_or(int error)
{
	return error == ENOENT || error == ESRCH ? PROCESS_GONE : -error;
}

/* The comm may hold blanks and ')': it ends at the last ')' of the line. */
static int stat_parse(char *text, struct process_stat *ret)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct process_stat st = { 0 };
	unsigned long flags;
	unsigned long long start, stack = 0;

	if (!open || !close || close < open)
		return -EINVAL;
	*close = '\0';
	snprintf(st.comm, sizeof(st.comm), "%s", open + 1);
	if (sscanf(close + 1,
		   " %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u "
		   "%*d %*d %*d %*d %*d %*d %llu %*u %*d %*u %*u %*u %llu",
		   &st.state, &st.ppid, &flags, &start, &stack) < 4)
		return -EINVAL;
	st.kernel_thread = flags & PF_KTHREAD_BIT;
	st.forked = flags & PF_FORKNOEXEC_BIT;
	st.start_time = start;
	st.stack = stack;
	*ret = st;
	return 0;
}

int process_stat_read(const struct root *root, pid_t pid,
		      struct process_stat *ret)
{
	char path[32], text[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/stat", pid);
	n = file_read(root->proc, path, text, sizeof(text));
	if (n < 0)
		return gone_or((int)-n);
	if (n == 0)
		return PROCESS_GONE;
	return stat_parse(text, ret);
}

bool process_is_running(const struct root *root, pid_t pid)
{
	struct process_stat st = { 0 };

	return process_stat_read(root, pid, &st) == 0 && st.state == 'R';
}

bool process_shares_mm(const struct root *root, pid_t pid)
{
	struct process_stat st = { 0 };

	return process_stat_read(root, pid, &st) == 0 && st.forked &&
	       st.ppid > 0 &&
	       syscall(SYS_kcmp, pid, st.ppid, KCMP_VM, 0, 0) == 0;
}

static int stack_read(const struct root *root, struct process_id id,
		      uint64_t *ret)
{
	struct process_stat st = { 0 };
	int r = process_stat_read(root, id.pid, &st);

	if (r)
		return r;
	if (st.start_time != id.start_time || st.state == 'Z' ||
	    st.state == 'X')
		return PROCESS_GONE;
	*ret = st.stack;
	return 0;
}

int process_open(const struct root *root, struct process_id id,
		 struct process *ret)
{
	_cleanup_(process_close) struct process p = PROCESS_NONE;
	uint64_t stack;
	char path[32];
	int r = stack_read(root, id, &p.stack);

	if (r)
		return r;
	p.id = id;
	p.pidfd = (int)syscall(SYS_pidfd_open, id.pid, 0);
	if (p.pidfd < 0)
		return gone_or(errno);
	snprintf(path, sizeof(path), "%d", id.pid);
	p.dir = openat(root->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir < 0)
		return gone_or(errno);
	p.mem = openat(p.dir, "mem", O_RDONLY | O_CLOEXEC);
	if (p.mem < 0)
		return gone_or(errno);
	p.pagemap = openat(p.dir, "pagemap", O_RDONLY | O_CLOEXEC);
	if (p.pagemap < 0)
		return gone_or(errno);
	r = stack_read(root, id, &stack);
	if (r)
		return r;
	if (stack != p.stack)
		return PROCESS_GONE; /* an exec: which mm is open? */
	*ret = p;
	p = PROCESS_NONE;
	return 0;
}

void process_close(struct process *p)
{
	p->pidfd = close_fd(p->pidfd);
	p->dir = close_fd(p->dir);
	p->mem = close_fd(p->mem);
	p->pagemap = close_fd(p->pagemap);
}

/* It runs another program, as far as we may know. */
static bool has_another_stack(const struct process *p)
{
	struct process_stat st;
	char text[1024];

	return p->stack && file_read(p->dir, "stat", text, sizeof(text)) > 0 &&
	       stat_parse(text, &st) == 0 && st.stack && st.stack != p->stack;
}

bool process_is_gone(const struct process *p)
{
	struct pollfd pfd = { .fd = p->pidfd, .events = POLLIN };
	char byte;

	/* pagemap of an mm without users reads as empty; of others less than
	 * an entry is refused, before its lock is waited for */
	return poll(&pfd, 1, 0) > 0 || pread(p->pagemap, &byte, 1, 0) == 0 ||
	       has_another_stack(p);
}

static int exe_read(int dir, char **ret)
{
	static const char deleted[] = " (deleted)";
	char path[4097];
	ssize_t n = readlinkat(dir, "exe", path, sizeof(path) - 1);
	size_t cut;

	*ret = NULL;
	if (n < 0)
		return errno == ENOMEM ? -ENOMEM : 0;
	path[n] = '\0';
	cut = (size_t)n;
	if (cut > sizeof(deleted) - 1 &&
	    !strcmp(path + cut - (sizeof(deleted) - 1), deleted))
		path[cut - (sizeof(deleted) - 1)] = '\0';
	*ret = strdup(path);
	return *ret ? 0 : -ENOMEM;
}

/*
 * Of the lines "ID:CONTROLLERS:PATH" take v2 ("0::"), unless it stands at the
 * root while a v1 hierarchy does not: on hybrid systems systemd uses its own
 * named one, and container managers the memory controller.
 */
static char *cgroup_choose(char *text)
{
	char *best = NULL, *save = NULL;
	int best_rank = -1;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *path;
		int rank = 0;

		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (controllers[1] == '\0')
			rank = 3;
		else if (!strcmp(controllers + 1, "name=systemd"))
			rank = 2;
		else if (strstr(controllers + 1, "memory"))
			rank = 1;
		if (strcmp(path, "/") != 0)
			rank += 4;
		if (rank > best_rank) {
			best = path;
			best_rank = rank;
		}
	}
	return best;
}

static bool is_unit(const char *name, size_t len)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket",
						".mount", ".swap" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && !memcmp(name + len - n, suffixes[i], n))
			return true;
	}
	return false;
}

/* The innermost component of the cgroup path that is a unit. */
static char *unit_of(const char *cgroup)
{
	const char *unit = NULL;
	size_t unit_len = 0;

	for (const char *p = cgroup; *p;) {
		size_t len = strcspn(p, "/");

		if (is_unit(p, len)) {
			unit = p;
			unit_len = len;
		}
		p += len;
		p += strspn(p, "/");
	}
	return unit ? strndup(unit, unit_len) : NULL;
}

static int cgroup_read(int dir, struct process_facts *f)
{
	char text[8192], *path;
	ssize_t n = file_read(dir, "cgroup", text, sizeof(text));

	if (n <= 0)
		return 0;
	path = cgroup_choose(text);
	if (!path)
		return 0;
	f->cgroup = strdup(path);
	if (!f->cgroup)
		return -ENOMEM;
	f->unit = unit_of(f->cgroup);
	return 0;
}

static int user_read(struct process_facts *f)
{
	struct passwd pw, *found = NULL;
	char buf[4096], number[16];

	snprintf(number, sizeof(number), "%u", f->uid);
	getpwuid_r(f->uid, &pw, buf, sizeof(buf), &found);
	f->user = strdup(found ? pw.pw_name : number);
	return f->user ? 0 : -ENOMEM;
}

/*
 * The directory /proc/PID belongs to the effective uid; what is in it belongs
 * to root when the process is not dumpable (fs/proc/base.c,
 * task_dump_owner()). For a process of root the two cannot be told apart.
 */
static int owner_read(int dir, struct process_facts *f)
{
	struct stat d, m;

	if (fstat(dir, &d) < 0 || fstatat(dir, "mem", &m, 0) < 0)
		return gone_or(errno);
	f->uid = d.st_uid;
	f->not_dumpable = m.st_uid != d.st_uid;
	return 0;
}

static bool smaps_has_mergeable(int dir)
{
	_cleanup_close_ int fd = openat(dir, "smaps", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	char line[512];

	if (!f)
		return false;
	fd = -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmFlags:", 8) && strstr(line, " mg"))
			return true;
	return false;
}

/* That KSM has records of it says no more than that it had some: they stay
 * until ksmd comes by (mm/ksm.c: remove_trailing_rmap_items()). */
static bool has_marks(const struct process_ksm *ksm, int dir, bool smaps_too)
{
	if (ksm->mergeable || ksm->merge_any)
		return true;
	return !ksm->told && (smaps_too || ksm->rmap_items) &&
	       smaps_has_mergeable(dir);
}

static int guest_name_read(int dir, struct process_facts *f)
{
	char name[GUEST_NAME_SIZE];

	if (!guest_is_qemu(f->exe) || !guest_read(dir, name))
		return 0;
	f->guest = strdup(name);
	return f->guest ? 0 : -ENOMEM;
}

int process_facts_read(const struct root *root, pid_t pid, bool smaps_too,
		       struct process_facts *ret)
{
	_cleanup_close_ int dir = -1;
	struct process_facts f = { 0 };
	struct process_stat st = { 0 };
	struct process_ksm ksm;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "%d", pid);
	dir = openat(root->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return gone_or(errno);
	r = process_stat_read(root, pid, &st);
	if (r)
		return r;
	memcpy(f.comm, st.comm, sizeof(f.comm));
	f.kernel_thread = st.kernel_thread;
	r = owner_read(dir, &f);
	if (!r && !f.kernel_thread)
		r = exe_read(dir, &f.exe);
	if (!r)
		r = cgroup_read(dir, &f);
	if (!r)
		r = user_read(&f);
	if (!r)
		r = guest_name_read(dir, &f);
	if (!r)
		r = process_ksm_read(dir, &ksm);
	if (r) {
		process_facts_clear(&f);
		return r;
	}
	f.self_registered = has_marks(&ksm, dir, smaps_too);
	*ret = f;
	return 0;
}

void process_facts_clear(struct process_facts *f)
{
	free(f->exe);
	free(f->cgroup);
	free(f->unit);
	free(f->user);
	free(f->guest);
	memset(f, 0, sizeof(*f));
}

static uint64_t not_negative(long long value)
{
	return (uint64_t)MAX(value, 0LL);
}

/* Before 6.14 "ksm_merge_any" is missing; before 6.4 all but rmap_items. */
int process_ksm_read(int dir, struct process_ksm *ret)
{
	struct process_ksm k = { 0 };
	char text[512], *save = NULL;
	ssize_t n = file_read(dir, "ksm_stat", text, sizeof(text));

	if (n == -ESRCH)
		return PROCESS_GONE;
	if (n < 0)
		text[0] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		long long value;

		/* zero pages can be miscounted: see struct ksm_counters */
		k.told |= !strncmp(line, "ksm_mergeable:", 14);
		if (sscanf(line, "ksm_rmap_items %lld", &value) == 1)
			k.rmap_items = not_negative(value);
		else if (sscanf(line, "ksm_zero_pages %lld", &value) == 1)
			k.zero_pages = not_negative(value);
		else if (sscanf(line, "ksm_merging_pages %lld", &value) == 1)
			k.merging_pages = not_negative(value);
		else if (!strcmp(line, "ksm_merge_any: yes"))
			k.merge_any = true;
		else if (!strcmp(line, "ksm_mergeable: yes"))
			k.mergeable = true;
	}
	if (!k.merging_pages)
		file_read_u64(dir, "ksm_merging_pages", &k.merging_pages);
	*ret = k;
	return 0;
}

int process_cpu_nsec(const struct root *root, pid_t pid, uint64_t *ret)
{
	char path[32], text[128];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/schedstat", pid);
	n = file_read(root->proc, path, text, sizeof(text));
	if (n < 0)
		return gone_or((int)-n);
	*ret = strtoull(text, NULL, 10);
	return 0;
}

uint64_t process_resident(int dir)
{
	char text[128], *end;

	/* size resident shared ... */
	if (file_read(dir, "statm", text, sizeof(text)) <= 0)
		return 0;
	strtoull(text, &end, 10);
	return strtoull(end, NULL, 10);
}
