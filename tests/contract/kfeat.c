/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kfeat finds on the running kernel, against what can be seen in another
 * way, and that looking leaves no trace.
 */
#include "kfeat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ksmd-plus/types.h>

#include "childprobe.h"
#include "cleanup.h"
#include "kernel-api.h"

#define LOCK "/run/ksmd-plus-test.lock"

static struct root root;
static struct kfeat found;
static int lock = -1;

/* KSM is one for the whole machine: nobody else may use it meanwhile. */
static int setup(void **state)
{
	(void)state;
	lock = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock >= 0 && flock(lock, LOCK_EX) < 0)
		return -1;
	return root_open("", &root) || kfeat_probe(&root, &found);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	lock = close_fd(lock);
	return 0;
}

/* Run @fn in a child; its exit status. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Does the smaps entry of @page have @flag among its VmFlags? */
static bool has_flag(const void *page, const char *flag)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], start[32];
	bool here = false;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)page);
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, start, strlen(start)))
			here = true;
		else if (here && !strncmp(line, "VmFlags:", 8))
			return strstr(line, flag) != NULL;
	}
	return false;
}

/* A private page between two that keep it a mapping of its own. */
static char *lone_page(void)
{
	char *three = mmap(NULL, 3 * PAGE_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (three == MAP_FAILED ||
	    mprotect(three + PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE))
		return NULL;
	return three + PAGE_BYTES;
}

static void probing_leaves_no_trace(void **state)
{
	static const char *const knobs[] = { "run",
					     "pages_to_scan",
					     "sleep_millisecs",
					     "smart_scan",
					     "advisor_mode",
					     "use_zero_pages",
					     "max_page_sharing" };
	char before[ARRAY_SIZE(knobs)][64] = { 0 }, after[64] = "";
	char stat[2][512] = { 0 };
	struct kfeat k;
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(path, sizeof(path), "kernel/mm/ksm/%s", knobs[i]);
		file_read(root.sys, path, before[i], sizeof(before[i]));
	}
	file_read(root.proc, "self/ksm_stat", stat[0], sizeof(stat[0]));
	assert_int_equal(kfeat_probe(&root, &k), 0);
	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(path, sizeof(path), "kernel/mm/ksm/%s", knobs[i]);
		after[0] = '\0';
		file_read(root.sys, path, after, sizeof(after));
		assert_string_equal(before[i], after);
	}
	/* Not on ksmd's list, and no child is left, not even a dead one. */
	file_read(root.proc, "self/ksm_stat", stat[1], sizeof(stat[1]));
	assert_string_equal(stat[0], stat[1]);
	assert_null(strstr(stat[1], "ksm_mergeable: yes"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void probing_twice_is_the_same(void **state)
{
	struct kfeat k;

	(void)state;
	assert_int_equal(kfeat_probe(&root, &k), 0);
	assert_string_equal(k.release, found.release);
	assert_int_equal(k.pagemap_scan, found.pagemap_scan);
	assert_int_equal(k.kpf_ksm, found.kpf_ksm);
	assert_int_equal(k.ptrace, found.ptrace);
	assert_int_equal(k.suspend_seccomp, found.suspend_seccomp);
	assert_int_equal(k.process_madvise_self, found.process_madvise_self);
	assert_int_equal(k.unmergeable_safe, found.unmergeable_safe);
}

static int set_memory_merge(void)
{
	return prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0;
}

static void prctl_is_as_found(void **state)
{
	(void)state;
	assert_int_equal(in_child(set_memory_merge), found.prctl_merge);
}

/* A private mapping this time, where the advice leaves its mark. */
static int process_madvise_marks(void)
{
	char *page = lone_page();
	struct iovec range = { .iov_base = page, .iov_len = PAGE_BYTES };
	int pidfd = (int)syscall(__NR_pidfd_open, getpid(), 0);
	long r;

	if (!page || pidfd < 0 || has_flag(page, " mg"))
		return 2;
	r = syscall(__NR_process_madvise, pidfd, &range, 1UL, MADV_MERGEABLE,
		    0U);
	return r == (long)PAGE_BYTES && has_flag(page, " mg");
}

static void process_madvise_is_as_found(void **state)
{
	(void)state;
	if (!found.ksm)
		skip();
	assert_int_equal(in_child(process_madvise_marks),
			 found.process_madvise_self);
}

/* Another look at the same flag: the kernel prints it, "sl", since 6.17. */
static int seal_survives(void)
{
	char *page = lone_page();

	if (!page || madvise(page, PAGE_BYTES, MADV_MERGEABLE) ||
	    syscall(__NR_mseal, page, PAGE_BYTES, 0UL) ||
	    !has_flag(page, " sl"))
		return 2;
	if (!has_flag(page, " mg") ||
	    madvise(page, PAGE_BYTES, MADV_UNMERGEABLE) ||
	    has_flag(page, " mg"))
		return 3;
	return has_flag(page, " sl");
}

static void unmergeable_is_as_found(void **state)
{
	enum childprobe_verdict verdict;
	int r;

	(void)state;
	assert_int_equal(childprobe_unmergeable(&verdict), 0);
	r = in_child(seal_survives);
	if (!found.ksm || r == 2)
		skip(); /* no KSM, no mseal or no name for the flag */
	assert_int_equal(r, found.unmergeable_safe);
	assert_int_equal(verdict, r ? CHILDPROBE_YES : CHILDPROBE_NO);
}

static int probe_under_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };
	struct kfeat k;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ||
	    kfeat_probe(&root, &k))
		return 2;
	return k.ptrace && !k.suspend_seccomp;
}

/* Why the injector must be started outside of every filter. */
static void a_filtered_tracer_suspends_nothing(void **state)
{
	int r;

	(void)state;
	if (!found.ptrace)
		skip();
	r = in_child(probe_under_seccomp);
	if (r == 2)
		skip(); /* no seccomp in this kernel */
	assert_int_equal(r, 1);
}

static int probe_as_nobody(void)
{
	struct kfeat k;

	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
	    kfeat_probe(&root, &k))
		return 2;
	return !k.ksm_writable && !k.pagemap_pfn && !k.kpf_ksm && !k.kcore &&
	       !k.suspend_seccomp && k.ksm == found.ksm &&
	       k.n_cpus == found.n_cpus;
}

static void others_see_less(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(probe_as_nobody), 1);
}

static int ignore_children(void)
{
	struct kfeat k;

	signal(SIGCHLD, SIG_IGN);
	return kfeat_probe(&root, &k) == 0 && k.ptrace == found.ptrace;
}

static void works_where_children_are_ignored(void **state)
{
	(void)state;
	assert_int_equal(in_child(ignore_children), 1);
}

static void numbers_are_plausible(void **state)
{
	(void)state;
	assert_int_equal(found.ram_bytes,
			 (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_BYTES);
	assert_true(found.n_cpus >= 1 &&
		    found.n_cpus <= sysconf(_SC_NPROCESSORS_CONF));
	assert_true(found.n_nodes >= 1);
	assert_true(found.max_map_count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probing_leaves_no_trace),
		cmocka_unit_test(probing_twice_is_the_same),
		cmocka_unit_test(prctl_is_as_found),
		cmocka_unit_test(process_madvise_is_as_found),
		cmocka_unit_test(unmergeable_is_as_found),
		cmocka_unit_test(a_filtered_tracer_suspends_nothing),
		cmocka_unit_test(others_see_less),
		cmocka_unit_test(works_where_children_are_ignored),
		cmocka_unit_test(numbers_are_plausible),
	};

	return cmocka_run_group_tests_name("kfeat", tests, setup, teardown);
}
