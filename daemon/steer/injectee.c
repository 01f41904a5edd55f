/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injectee.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"
#include "clock.h"
#include "pick.h"
#include "tracee-arch.h"

/* No vdso of any architecture has been larger. */
#define VDSO_BYTES 32768U

/* How much of a program's and its libraries' text is searched without one. */
#define TEXT_BYTES (16ULL << 20)

/* How often, and after what time, an mm without any text is looked at. */
#define EXEC_TRIES 4
#define EXEC_NSEC  (2 * NSEC_PER_SEC / 1000)

static int thread_file(const struct injectee *p, pid_t tid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "task/%d/%s", tid, name);
	fd = openat(p->dir, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The address of a system call instruction in [@start, @end), or 0. */
static uint64_t search(const struct injectee *p, uint64_t start, uint64_t end)
{
	size_t step = tracee_arch.insn_align, len = tracee_arch.insn_len;
	uint8_t buf[PAGE_BYTES];

	for (; start < end; start += sizeof(buf)) {
		ssize_t n = pread(p->mem, buf, sizeof(buf), (off_t)start);

		if (n <= 0)
			break;
		for (size_t i = 0; i + len <= (size_t)n; i += step)
			if (!memcmp(buf + i, tracee_arch.insn, len))
				return start + i;
	}
	return 0;
}

/*
 * Where the vdso is by the auxiliary vector. A 32-bit task's vector makes no
 * sense here, which the search of what it points to finds out.
 */
static uint64_t vdso_address(const struct injectee *p, pid_t tid)
{
	_cleanup_close_ int fd = thread_file(p, tid, "auxv");
	Elf64_auxv_t auxv[64];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = pread(fd, auxv, sizeof(auxv), 0);
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(auxv[0]); i++)
		if (auxv[i].a_type == AT_SYSINFO_EHDR)
			return auxv[i].a_un.a_val;
	return 0;
}

/* No vdso (vdso=0, a restored process): any text that was mapped from a file. */
static uint64_t search_text(const struct injectee *p, pid_t tid)
{
	int fd = thread_file(p, tid, "maps");
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	unsigned long long start, end, inode;
	uint64_t left = TEXT_BYTES, found;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	char flags[8];

	if (!f) {
		close_fd(fd);
		return 0;
	}
	while (getline(&line, &size, f) > 0 && left > 0) {
		if (sscanf(line, "%llx-%llx %7s %*x %*s %llu", &start, &end,
			   flags, &inode) != 4)
			continue;
		if (flags[0] != 'r' || flags[2] != 'x')
			continue;
		/* [vdso] has no inode; [vsyscall] cannot be jumped into. */
		if (!inode && !strstr(line, "[vdso]"))
			continue;
		end = MIN(end, start + left);
		left -= end - start;
		found = search(p, start, end);
		if (found)
			return found;
	}
	return 0;
}

/*
 * A vfork child, and a helper made by clone(CLONE_VM), share the mm of their
 * parent: it is the parent's to be dealt with. Where kcmp() is missing they
 * are not told apart, which is no more than work done twice.
 */
static bool shares_mm(const struct pick_stat *st, pid_t tid)
{
	return st->flags & PICK_FORKED && st->parent > 0 &&
	       syscall(SYS_kcmp, tid, st->parent, KCMP_VM, 0, 0) == 0;
}

static int open_mm(struct injectee *p, pid_t tid, uint32_t *ret_reason)
{
	uint64_t vdso;

	p->mem = thread_file(p, tid, "mem");
	if (p->mem == -EACCES || p->mem == -EPERM) {
		*ret_reason = INJECT_REASON_PERMISSION;
		return INJECTEE_NEVER;
	}
	if (p->mem == -ENOENT || p->mem == -ESRCH) {
		*ret_reason = INJECT_REASON_NO_THREAD;
		return INJECTEE_REASON;
	}
	if (p->mem < 0)
		return p->mem;
	p->pagemap = thread_file(p, tid, "pagemap");
	vdso = vdso_address(p, tid);
	if (vdso)
		p->insn = search(p, vdso, vdso + VDSO_BYTES);
	if (!p->insn)
		p->insn = search_text(p, tid);
	return 0;
}

/*
 * In the midst of an exec an mm is still empty: only one that has no system
 * call when looked at again has none.
 */
static int find_mm(struct injectee *p, pid_t tid, uint32_t *ret_reason)
{
	const struct timespec pause = { .tv_nsec = EXEC_NSEC };
	int r = 0;

	for (int i = 0; !r && !p->insn && i < EXEC_TRIES; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		p->mem = close_fd(p->mem);
		p->pagemap = close_fd(p->pagemap);
		r = open_mm(p, tid, ret_reason);
	}
	return r;
}

static bool is_another_mm(const struct injectee *p, const struct pick_stat *st)
{
	return p->stack && st->stack && st->stack != p->stack;
}

int injectee_open(const struct root *root, const struct inject_request *request,
		  int pidfd, struct injectee *ret, uint32_t *ret_reason)
{
	_cleanup_(injectee_close) struct injectee p = INJECTEE_NONE;
	struct pick_stat st;
	char path[16];
	pid_t tid;
	int r;

	p.id = (struct process_id){ request->pid, request->start_time };
	p.stack = request->stack;
	p.pidfd = pidfd;
	snprintf(path, sizeof(path), "%d", p.id.pid);
	p.dir = openat(root->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir < 0 || pick_stat_read(p.dir, "stat", &st) < 0 ||
	    st.start_time != p.id.start_time || is_another_mm(&p, &st) ||
	    injectee_is_gone(&p))
		return INJECTEE_GONE;
	if (st.flags & PICK_KERNEL) {
		*ret_reason = INJECT_REASON_NO_THREAD;
		return INJECTEE_NEVER;
	}
	r = pick_thread(p.dir, &tid);
	if (r) {
		*ret_reason = (uint32_t)r;
		return injectee_is_gone(&p) ? INJECTEE_GONE : INJECTEE_REASON;
	}
	if (shares_mm(&st, tid)) {
		*ret_reason = INJECT_REASON_SHARED_MM;
		return INJECTEE_REASON;
	}
	r = find_mm(&p, tid, ret_reason);
	if (r)
		return r;
	*ret = p;
	p = INJECTEE_NONE;
	return 0;
}

void injectee_close(struct injectee *p)
{
	p->dir = close_fd(p->dir);
	p->mem = close_fd(p->mem);
	p->pagemap = close_fd(p->pagemap);
}

bool injectee_is_gone(const struct injectee *p)
{
	struct pollfd pfd = { .fd = p->pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

bool injectee_mm_is_gone(const struct injectee *p, pid_t tid)
{
	struct pick_stat st;
	char byte, path[32];

	/* Reading an mm without users is the end of the file. */
	if (pread(p->mem, &byte, 1, (off_t)p->insn) == 0)
		return true;
	/* who shares it (CLONE_VM) may have kept it alive */
	snprintf(path, sizeof(path), "task/%d/stat", tid);
	return p->stack && pick_stat_read(p->dir, path, &st) == 0 &&
	       is_another_mm(p, &st);
}
