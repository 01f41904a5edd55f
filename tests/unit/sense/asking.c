/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who does not answer is a process whose ksm_stat is a pipe that nobody writes
 * to: to open it takes as long as to get the lock of a memory map.
 */
#include "asking.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "cleanup.h"
#include "faketree.h"
#include "files.h"

#define N	  200 /* more than are asked about at once */
#define N_TENANTS 4

static struct root root;
static struct asking *asking;

static void process(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/stat", pid);
	faketree_file(path,
		      "%d (n%d) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7\n",
		      pid, pid);
	snprintf(path, sizeof(path), "proc/%d/mem", pid);
	faketree_file(path, "%s", "");
	snprintf(path, sizeof(path), "proc/%d/ksm_stat", pid);
	faketree_file(path, "ksm_rmap_items %d\nksm_mergeable: no\n", pid);
}

/* Its namespace is a file that has no owner. */
static void belongs(int pid, int tenant)
{
	char path[64], name[32], target[4096];

	snprintf(name, sizeof(name), "tenant-%d", tenant);
	faketree_file(name, "%s", "");
	faketree_path(name, target, sizeof(target));
	snprintf(path, sizeof(path), "proc/%d/ns/user", pid);
	faketree_link(path, target);
}

static void ksm_stat_of(int pid, char *ret, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/ksm_stat", pid);
	faketree_path(path, ret, size);
}

static void falls_silent(int pid)
{
	char full[4096];

	ksm_stat_of(pid, full, sizeof(full));
	assert_int_equal(unlink(full), 0);
	assert_int_equal(mkfifo(full, 0600), 0);
}

/* As it is told now. */
static int result_of(int pid, uint64_t start_time)
{
	struct ask a = { .id = { pid, start_time } };

	asking_facts(asking, false, &a, 1);
	if (a.result == 0)
		process_facts_clear(&a.facts);
	return a.result;
}

/* Who has waited gets an empty answer. */
static void writer_comes(int pid, const char *full)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int fd = open(full, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(unlink(full), 0);
	process(pid);
	while (result_of(pid, 7) == -ETIMEDOUT)
		nanosleep(&pause, NULL);
}

static void speaks(int pid)
{
	char full[4096];

	ksm_stat_of(pid, full, sizeof(full));
	writer_comes(pid, full);
}

/* Whether they work or wait can be seen here, too. */
static void show_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *e;
	char path[300], target[300];

	assert_non_null(tasks);
	while ((e = readdir(tasks))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "proc/%s", e->d_name);
		snprintf(target, sizeof(target), "/proc/self/task/%s",
			 e->d_name);
		faketree_link(path, target);
	}
	closedir(tasks);
}

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("sys/x", "\n");
	faketree_file("proc/self/ns/user", "\n");
	for (int pid = 1; pid <= N; pid++) {
		process(pid);
		belongs(pid, pid % N_TENANTS);
	}
	assert_int_equal(root_open(faketree_top, &root), 0);
	assert_int_equal(asking_new(&root, NULL, &asking), 0);
	show_threads();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	asking = asking_free(asking);
	root_close(&root);
	faketree_end();
	return 0;
}

static void ask(struct ask *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i].id = (struct process_id){ (pid_t)i + 1, 7 };
	asking_facts(asking, false, v, n);
}

static void check_told(struct ask *a)
{
	char name[16];

	snprintf(name, sizeof(name), "n%d", a->id.pid);
	assert_int_equal(a->result, 0);
	assert_string_equal(a->facts.comm, name);
	process_facts_clear(&a->facts);
}

static void test_all_are_told(void **state)
{
	static struct ask v[N + 1];

	(void)state;
	ask(v, N + 1);
	for (size_t i = 0; i < N; i++)
		check_told(&v[i]);
	assert_int_equal(v[N].result, PROCESS_GONE);
	ask(v, 0);
}

static void test_ksm(void **state)
{
	struct process_ksm ksm;
	struct process p = { .id = { 42, 7 } };

	(void)state;
	p.dir = openat(root.proc, "42", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p.dir >= 0);
	assert_int_equal(asking_ksm_of(asking, &p, &ksm), 0);
	assert_int_equal(ksm.rmap_items, 42);
	assert_true(ksm.told);
	falls_silent(42);
	assert_int_equal(asking_ksm_of(asking, &p, &ksm), -ETIMEDOUT);
	/* it works on a descriptor of its own */
	close(p.dir);
	speaks(42);
	p.dir = openat(root.proc, "42", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(asking_ksm_of(asking, &p, &ksm), 0);
	close(p.dir);
	p.dir = -1;
	assert_int_equal(asking_ksm_of(asking, &p, &ksm), -EBADF);
}

/* The others are told, also those that come after it in a batch. */
static void test_silent(void **state)
{
	static const int silent[] = { 1, 30, 31, 64, 65, N };
	static struct ask v[N];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		falls_silent(silent[i]);
	/* the second time without waiting for them */
	for (int again = 0; again < 2; again++) {
		ask(v, N);
		for (size_t i = 0, k = 0; i < N; i++) {
			if (v[i].id.pid != silent[k]) {
				check_told(&v[i]);
				continue;
			}
			assert_int_equal(v[i].result, -ETIMEDOUT);
			k++;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		speaks(silent[i]);
	ask(v, N);
	for (size_t i = 0; i < N; i++)
		check_told(&v[i]);
}

/* Another process with its number is another. */
static void test_silent_and_reused(void **state)
{
	char full[4096], pipe[4096];

	(void)state;
	falls_silent(30);
	assert_int_equal(result_of(30, 7), -ETIMEDOUT);
	ksm_stat_of(30, full, sizeof(full));
	faketree_path("proc/pipe", pipe, sizeof(pipe));
	assert_int_equal(rename(full, pipe), 0);
	process(30);
	assert_int_equal(result_of(30, 8), 0);
	assert_int_equal(result_of(30, 7), -ETIMEDOUT);
	writer_comes(30, pipe);
}

/* A tenant who has many such processes is not asked about others, and nobody
 * else notices. */
static void test_too_many_of_one(void **state)
{
	const int most = ASKING_EACH * N_TENANTS;
	static struct ask v[N];

	(void)state;
	for (int pid = N_TENANTS; pid <= most; pid += N_TENANTS)
		falls_silent(pid);
	ask(v, N);
	for (size_t i = 0; i < N; i++)
		if (v[i].id.pid % N_TENANTS)
			check_told(&v[i]);
		else
			assert_int_equal(v[i].result, v[i].id.pid <= most
							      ? -ETIMEDOUT
							      : -EBUSY);
	speaks(most);
	ask(v, N);
	for (size_t i = 0; i < N; i++)
		if (v[i].result != -ETIMEDOUT)
			check_told(&v[i]);
	for (int pid = N_TENANTS; pid < most; pid += N_TENANTS)
		speaks(pid);
}

/* With nobody left to ask there is an answer all the same. */
static void test_too_many(void **state)
{
	static struct ask v[N];

	(void)state;
	assert_true(ASKING_THREADS <= ASKING_EACH * N_TENANTS);
	for (int pid = 1; pid <= ASKING_THREADS; pid++)
		falls_silent(pid);
	ask(v, N);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(v[i].result,
				 i < ASKING_THREADS ? -ETIMEDOUT : -EBUSY);
	for (int pid = 1; pid <= ASKING_THREADS; pid++)
		speaks(pid);
	ask(v, N);
	for (size_t i = 0; i < N; i++)
		check_told(&v[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_are_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_ksm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_and_reused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_too_many_of_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
