/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "faketree.h"
#include "need.h"

#define STAT_TAIL                                                              \
	" S 1 42 42 0 -1 %lu 10 11 12 13 14 15 16 17 20 0 1 0 %s 19 20 21\n"

static struct root root;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("proc/42/stat", "42 (comm)" STAT_TAIL, 0UL, "4711");
	faketree_file("proc/42/mem", "%s", "");
	faketree_file("sys/x", "%s", "");
	return root_open(faketree_top, &root);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	faketree_end();
	return 0;
}

static void test_stat(void **state)
{
	struct process_stat st;

	(void)state;
	assert_int_equal(process_stat_read(&root, 42, &st), 0);
	assert_string_equal(st.comm, "comm");
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.start_time, 4711);
	assert_false(st.kernel_thread);
	/* PF_KTHREAD among others; start times have 64 bits */
	faketree_file("proc/42/stat", "42 (ksmd)" STAT_TAIL, 0x208040UL,
		      "18446744073709551615");
	assert_int_equal(process_stat_read(&root, 42, &st), 0);
	assert_true(st.kernel_thread);
	assert_int_equal(st.start_time, UINT64_MAX);
	assert_int_equal(st.stack, 0);
	/* vsize rss rsslim startcode endcode startstack */
	faketree_file("proc/42/stat", "42 (comm)" STAT_TAIL, 0UL,
		      "4711 1 -1 18446744073709551615 3 4 140729292062432");
	assert_int_equal(process_stat_read(&root, 42, &st), 0);
	assert_int_equal(st.stack, 140729292062432);
	assert_int_equal(process_stat_read(&root, 43, &st), PROCESS_GONE);
}

static void test_names_may_hold_anything(void **state)
{
	static const char *const names[] = {
		"a b",
		") S 1",
		"((",
		"))",
		"",
		"a) R 9 9 9 9 -1 2097152 (b",
		"\xff\x1b[31m",
		"kworker/u16:3+flush-253:0-a-longer-name",
	};
	struct process_stat st;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		faketree_file("proc/42/stat", "42 (%s)" STAT_TAIL, names[i],
			      0UL, "4711");
		assert_int_equal(process_stat_read(&root, 42, &st), 0);
		assert_string_equal(st.comm, names[i]);
		assert_int_equal(st.start_time, 4711);
		assert_false(st.kernel_thread);
	}
}

static void test_stat_that_is_none(void **state)
{
	static const char *const texts[] = {
		"42", "42 (x", "42 )x(", "42 (x)", "42 (x) S 1 2 3\n", "\n"
	};
	struct process_stat st = { .start_time = 5 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		faketree_file("proc/42/stat", "%s", texts[i]);
		assert_int_equal(process_stat_read(&root, 42, &st), -EINVAL);
		assert_int_equal(st.start_time, 5);
	}
	faketree_file("proc/42/stat", "%s", "");
	assert_int_equal(process_stat_read(&root, 42, &st), PROCESS_GONE);
}

static void facts_with_cgroup(const char *text, const char *cgroup,
			      const char *unit)
{
	struct process_facts f;

	faketree_file("proc/42/cgroup", "%s", text);
	assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
	if (cgroup)
		assert_string_equal(f.cgroup, cgroup);
	else
		assert_null(f.cgroup);
	if (unit)
		assert_string_equal(f.unit, unit);
	else
		assert_null(f.unit);
	process_facts_clear(&f);
	assert_null(f.cgroup);
}

static void test_cgroups_and_units(void **state)
{
	(void)state;
	facts_with_cgroup("0::/system.slice/web.service\n",
			  "/system.slice/web.service", "web.service");
	facts_with_cgroup("0::/system.slice/web.service/worker-1\n",
			  "/system.slice/web.service/worker-1", "web.service");
	/* the innermost: a user's service within his manager's */
	facts_with_cgroup("0::/user.slice/user-1000.slice/user@1000.service/"
			  "app.slice/x@1.service\n",
			  "/user.slice/user-1000.slice/user@1000.service/"
			  "app.slice/x@1.service",
			  "x@1.service");
	facts_with_cgroup("0::/machine.slice/qemu-1.scope\n",
			  "/machine.slice/qemu-1.scope", "qemu-1.scope");
	facts_with_cgroup("0::/\n", "/", NULL);
	facts_with_cgroup("0::/a.slice/.service\n", "/a.slice/.service", NULL);
	/* hybrid: systemd's own hierarchy, when v2 says nothing */
	facts_with_cgroup("5:memory:/docker/abc\n"
			  "1:name=systemd:/system.slice/d.service\n"
			  "0::/\n",
			  "/system.slice/d.service", "d.service");
	facts_with_cgroup("5:memory:/docker/abc\n1:name=systemd:/\n",
			  "/docker/abc", NULL);
	facts_with_cgroup("0::/a:b::c.service\n", "/a:b::c.service",
			  "a:b::c.service");
	facts_with_cgroup("", NULL, NULL);
	facts_with_cgroup("garbage\n", NULL, NULL);
}

static void test_exe_and_user(void **state)
{
	struct process_facts f;

	(void)state;
	assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
	assert_null(f.exe);
	assert_string_equal(f.comm, "comm");
	assert_int_equal(f.uid, geteuid());
	assert_non_null(f.user);
	assert_false(f.not_dumpable);
	assert_false(f.self_registered);
	process_facts_clear(&f);
	faketree_link("proc/42/exe", "/usr/bin/x y (deleted)");
	assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
	assert_string_equal(f.exe, "/usr/bin/x y");
	process_facts_clear(&f);
	faketree_drop("proc/42/exe");
	faketree_link("proc/42/exe", " (deleted)");
	assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
	assert_string_equal(f.exe, " (deleted)");
	process_facts_clear(&f);
	assert_int_equal(process_facts_read(&root, 43, false, &f),
			 PROCESS_GONE);
}

static void test_who_has_registered_himself(void **state)
{
	static const struct {
		const char *ksm_stat;
		bool registered;
	} cases[] = {
		{ "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\n"
		  "ksm_process_profit 0\nksm_merge_any: no\n"
		  "ksm_mergeable: no\n",
		  false },
		{ "ksm_rmap_items 0\nksm_merge_any: no\nksm_mergeable: yes\n",
		  true },
		{ "ksm_rmap_items 0\nksm_merge_any: yes\n", true },
		/* Linux 6.1; what it had may have been given back */
		{ "ksm_rmap_items 17\n", false },
		{ "ksm_rmap_items 0\n", false },
		{ "", false },
	};
	static const char smaps[] =
		"1000-2000 rw-p 0 0:0 0\nVmFlags: rd wr mr mg\n";
	struct process_facts f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		faketree_file("proc/42/ksm_stat", "%s", cases[i].ksm_stat);
		assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
		assert_int_equal(f.self_registered, cases[i].registered);
		process_facts_clear(&f);
	}
	/* where ksm_stat cannot tell, smaps can */
	faketree_file("proc/42/smaps", smaps);
	assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
	assert_false(f.self_registered);
	process_facts_clear(&f);
	assert_int_equal(process_facts_read(&root, 42, true, &f), 0);
	assert_true(f.self_registered);
	process_facts_clear(&f);
	faketree_file("proc/42/ksm_stat", "ksm_rmap_items 17\n");
	assert_int_equal(process_facts_read(&root, 42, false, &f), 0);
	assert_true(f.self_registered);
	process_facts_clear(&f);
}

static void test_ksm_numbers(void **state)
{
	struct process_ksm k;
	_cleanup_close_ int dir = openat(root.proc, "42", O_RDONLY);

	(void)state;
	assert_int_equal(process_ksm_read(dir, &k), 0);
	assert_int_equal(k.merging_pages, 0);
	faketree_file("proc/42/ksm_merging_pages", "77\n");
	assert_int_equal(process_ksm_read(dir, &k), 0);
	assert_int_equal(k.merging_pages, 77);
	faketree_file("proc/42/ksm_stat",
		      "ksm_rmap_items 3\nksm_zero_pages 4\n"
		      "ksm_merging_pages 5\nksm_process_profit -192\n"
		      "ksm_merge_any: no\nksm_mergeable: yes\n");
	assert_int_equal(process_ksm_read(dir, &k), 0);
	assert_int_equal(k.rmap_items, 3);
	assert_int_equal(k.zero_pages, 4);
	assert_int_equal(k.merging_pages, 5);
	assert_true(k.mergeable);
	assert_false(k.merge_any);
	/* as the kernel's count of zero pages can be */
	faketree_file("proc/42/ksm_stat",
		      "ksm_rmap_items 3\nksm_zero_pages -4\n"
		      "ksm_merging_pages 5\n");
	assert_int_equal(process_ksm_read(dir, &k), 0);
	assert_int_equal(k.zero_pages, 0);
	assert_int_equal(k.merging_pages, 5);
}

static void test_cpu_time(void **state)
{
	uint64_t nsec = 1;

	(void)state;
	assert_int_equal(process_cpu_nsec(&root, 42, &nsec), PROCESS_GONE);
	faketree_file("proc/42/schedstat", "123456789012 5 6\n");
	assert_int_equal(process_cpu_nsec(&root, 42, &nsec), 0);
	assert_int_equal(nsec, 123456789012);
}

/* --- on the test's own children -------------------------------------------- */

static struct process_id child(pid_t *ret)
{
	struct process_stat st;
	struct root real;

	*ret = fork();
	assert_true(*ret >= 0);
	if (*ret == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_int_equal(root_open("", &real), 0);
	assert_int_equal(process_stat_read(&real, *ret, &st), 0);
	root_close(&real);
	return (struct process_id){ *ret, st.start_time };
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_process_is_held_until_it_goes(void **state)
{
	struct process p = PROCESS_NONE;
	struct process_id id, other;
	struct root real;
	pid_t pid;

	(void)state;
	need_pidfd();
	assert_int_equal(root_open("", &real), 0);
	id = child(&pid);
	other = id;
	other.start_time++;
	/* the pid is another's now */
	assert_int_equal(process_open(&real, other, &p), PROCESS_GONE);
	assert_int_equal(p.pidfd, -1);
	assert_int_equal(process_open(&real, id, &p), 0);
	assert_int_equal(p.id.pid, pid);
	assert_false(process_is_gone(&p));
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	/* a zombie is gone, too */
	assert_true(process_is_gone(&p));
	process_close(&p);
	assert_int_equal(process_open(&real, id, &p), PROCESS_GONE);
	end(pid);
	assert_int_equal(process_open(&real, id, &p), PROCESS_GONE);
	process_close(&p);
	root_close(&real);
}

static void test_exec_is_a_kind_of_going(void **state)
{
	struct process p = PROCESS_NONE;
	struct process_stat st;
	struct root real;
	int go[2];
	pid_t pid;

	(void)state;
	need_pidfd();
	assert_int_equal(root_open("", &real), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(go[0], &c, 1) == 1)
			execlp("sleep", "sleep", "60", NULL);
		_exit(1);
	}
	assert_int_equal(process_stat_read(&real, pid, &st), 0);
	assert_int_equal(process_open(&real,
				      (struct process_id){ pid, st.start_time },
				      &p),
			 0);
	assert_false(process_is_gone(&p));
	assert_int_equal(write(go[1], "x", 1), 1);
	for (int i = 0; i < 1000 && !process_is_gone(&p); i++)
		usleep(10000);
	assert_true(process_is_gone(&p));
	/* it is the same process all the same */
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	process_close(&p);
	end(pid);
	close(go[0]);
	close(go[1]);
	root_close(&real);
}

static int helper_main(void *unused)
{
	(void)unused;
	while (pause() < 0)
		;
	return 0;
}

static void test_who_lives_in_its_parents_memory(void **state)
{
	static char stack[65536];
	struct process_stat st;
	struct root real;
	pid_t pid;

	(void)state;
	need_pidfd(); /* valgrind has no clone() with CLONE_VM either */
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) != 0)
		skip();
	assert_int_equal(root_open("", &real), 0);
	pid = clone(helper_main, stack + sizeof(stack), CLONE_VM | SIGCHLD,
		    NULL);
	assert_true(pid > 0);
	assert_true(process_shares_mm(&real, pid));
	end(pid);
	pid = fork();
	if (pid == 0)
		helper_main(NULL);
	assert_int_equal(process_stat_read(&real, pid, &st), 0);
	assert_true(st.forked);
	assert_false(process_shares_mm(&real, pid));
	end(pid);
	assert_false(process_shares_mm(&real, 1));
	root_close(&real);
}

/* Its old memory lives on: somebody who is no thread of it is in there. */
static void test_an_exec_is_one_though_the_memory_stays(void **state)
{
	static char stack[65536];
	struct process p = PROCESS_NONE;
	pid_t *helper = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct process_stat st;
	struct root real;
	uint64_t entry;
	pid_t pid;
	int go[2];
	char c;

	(void)state;
	need_pidfd();
	assert_ptr_not_equal(helper, MAP_FAILED);
	assert_int_equal(root_open("", &real), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		*helper = clone(helper_main, stack + sizeof(stack),
				CLONE_VM | CLONE_PARENT | SIGCHLD, NULL);
		if (read(go[0], &c, 1) == 1)
			execlp("sleep", "sleep", "60", NULL);
		_exit(1);
	}
	assert_int_equal(process_stat_read(&real, pid, &st), 0);
	assert_int_equal(process_open(&real,
				      (struct process_id){ pid, st.start_time },
				      &p),
			 0);
	assert_false(process_is_gone(&p));
	assert_int_equal(write(go[1], "x", 1), 1);
	/* where we may not know, all stacks begin at 0 */
	for (int i = 0; st.stack && i < 1000 && !process_is_gone(&p); i++)
		usleep(10000);
	assert_true(!st.stack || process_is_gone(&p));
	assert_int_equal(pread(p.pagemap, &entry, sizeof(entry), 0),
			 sizeof(entry));
	process_close(&p);
	end(pid);
	assert_true(*helper > 0);
	end(*helper);
	munmap(helper, PAGE_BYTES);
	close(go[0]);
	close(go[1]);
	root_close(&real);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_stat),
		TEST(test_names_may_hold_anything),
		TEST(test_stat_that_is_none),
		TEST(test_cgroups_and_units),
		TEST(test_exe_and_user),
		TEST(test_who_has_registered_himself),
		TEST(test_ksm_numbers),
		TEST(test_cpu_time),
		cmocka_unit_test(test_a_process_is_held_until_it_goes),
		cmocka_unit_test(test_exec_is_a_kind_of_going),
		cmocka_unit_test(test_who_lives_in_its_parents_memory),
		cmocka_unit_test(test_an_exec_is_one_though_the_memory_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
