/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libaccel-config is asked, on trees that it reads at its own fixed
 * places: in a mount namespace /sys/bus and /dev are made anew. The library
 * leaks, so it is asked in a child that is killed before anybody looks.
 */
#include "dsa-discover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "faketree.h"

#define DEVICES "sys/bus/dsa/devices/"
/* A child that takes longer does not come to an end. */
#define ALARM_SEC 60

struct answer {
	struct dsa_node nodes[8];
	size_t n;
};

static struct answer *shared; /* with the child */

static void attr(const char *of, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "%.40s/%.40s", of, name);
	faketree_file(path, "%s\n", value);
}

static void add_queue(const char *of, const char *mode, unsigned int minor)
{
	static const char *const files[][2] = {
		{ "type", "user" },	    { "state", "enabled" },
		{ "size", "16" },	    { "group_id", "0" },
		{ "priority", "10" },	    { "block_on_fault", "0" },
		{ "max_batch_size", "32" }, { "max_transfer_size", "2097152" },
		{ "name", "app" },	    { "driver_name", "user" },
		{ "threshold", "8" },	    { "clients", "0" },
	};
	char path[128], number[16];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		attr(of, files[i][0], files[i][1]);
	attr(of, "mode", mode);
	snprintf(number, sizeof(number), "%u", minor);
	attr(of, "cdev_minor", number);
	snprintf(path, sizeof(path), "dev/dsa/%.16s", strrchr(of, '/') + 1);
	faketree_file(path, "%s", "");
}

static void add_device(const char *name, const char *node, bool group)
{
	char path[128];

	attr(name, "cmd_status", "0x0");
	attr(name, "state", "enabled");
	attr(name, "numa_node", node);
	attr(name, "pasid_enabled", "1");
	attr(name, "cdev_major", "236");
	attr(name, "version", "0x100");
	if (!group)
		return;
	snprintf(path, sizeof(path), "%.16s/group%.8s.0", name, name + 3);
	attr(path, "traffic_class_a", "1");
}

/* Two devices, a queue of each kind in the first, which may lack its groups. */
static void fill(bool group)
{
	faketree_file("sys/bus/dsa/drivers/idxd/bind", "%s", "");
	faketree_file("sys/bus/dsa/drivers/user/bind", "%s", "");
	faketree_file("dev/dsa/none", "%s", "");
	add_device("dsa0", "0", group);
	add_queue("dsa0/wq0.0", "shared", 0);
	add_queue("dsa0/wq0.1", "dedicated", 1);
	add_device("dsa1", "1", true);
	add_queue("dsa1/wq1.0", "shared", 2);
}

static int setup(void **state)
{
	(void)state;
	if (mount("tmpfs", "/sys/bus", "tmpfs", 0, NULL) ||
	    mount("tmpfs", "/dev", "tmpfs", 0, NULL))
		return -1;
	fill(true);
	return 0;
}

static void empty(void)
{
	assert_int_equal(umount("/sys/bus"), 0);
	assert_int_equal(mount("tmpfs", "/sys/bus", "tmpfs", 0, NULL), 0);
}

static int teardown(void **state)
{
	(void)state;
	return umount("/dev") || umount("/sys/bus") ? -1 : 0;
}

/* What sense/dsa has found; the library is asked about these alone. */
static const struct dsa_queue known[] = {
	{ .device = "dsa0", .name = "wq0.0", .shared = true, .entries = 8 },
	{ .device = "dsa0", .name = "wq0.1", .entries = 16 },
	{ .device = "dsa1", .name = "wq1.0", .shared = true, .numa_node = 1 },
};

/* Silence is a part of the contract: its two streams go to a file. */
static void ask(size_t n_known, size_t max)
{
	int fd = open("/dev/said", O_RDWR | O_CREAT | O_TRUNC, 0600);

	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	alarm(ALARM_SEC);
	shared->n = dsa_discover(known, n_known, shared->nodes, max);
	kill(getpid(), SIGKILL);
}

static const struct answer *discover(size_t n_known, size_t max)
{
	struct stat st;
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		ask(n_known, max);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(stat("/dev/said", &st), 0);
	assert_int_equal(st.st_size, 0);
	return shared;
}

/* All of @names, one letter for each of known[], and nothing else. */
static void expect(const char *names)
{
	const struct answer *a = discover(3, 8);
	size_t n = strlen(names);

	for (size_t i = 0; i < a->n; i++) {
		const struct dsa_node *node = &a->nodes[i];
		char path[64], letter = '?';

		for (char k = 0; k < 3; k++)
			if (!strcmp(node->queue.name, known[(int)k].name))
				letter = (char)('a' + k);
		assert_non_null(strchr(names, letter));
		assert_memory_equal(&node->queue, &known[letter - 'a'],
				    sizeof(node->queue));
		snprintf(path, sizeof(path), "/dev/dsa/%s", node->queue.name);
		assert_string_equal(node->path, path);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(a->nodes[j].path, path);
	}
	assert_int_equal(a->n, n);
}

static void test_nodes_of_queues(void **state)
{
	(void)state;
	expect("abc");
}

/* Between our look at the files and the library's a queue may change. */
static void test_what_is_no_longer_for_programs(void **state)
{
	(void)state;
	attr("dsa0/wq0.0", "state", "disabled");
	expect("bc");
	attr("dsa0/wq0.0", "state", "enabled");
	attr("dsa0/wq0.1", "type", "kernel");
	expect("ac");
	attr("dsa0/wq0.1", "type", "user");
	attr("dsa1", "state", "disabled");
	expect("ab");
	attr("dsa1", "state", "halted");
	expect("ab");
}

static void test_a_queue_without_a_node(void **state)
{
	(void)state;
	faketree_drop("dev/dsa/wq0.1");
	expect("ac");
}

/* The library would crash in some of these; nobody asks it about them. */
static void test_no_more_than_asked(void **state)
{
	const struct answer *a;

	(void)state;
	assert_int_equal(discover(0, 8)->n, 0);
	a = discover(1, 8);
	assert_int_equal(a->n, 1);
	assert_string_equal(a->nodes[0].queue.name, "wq0.0");
	assert_int_equal(discover(3, 2)->n, 2);
}

/* It is no queue of ours that has lost a file that the library needs. */
static void test_attributes_that_are_missing(void **state)
{
	static const char *const files[] = { "size",	       "group_id",
					     "max_batch_size", "threshold",
					     "driver_name",    "cdev_minor" };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), DEVICES "dsa0/wq0.0/%.20s",
			 files[i]);
		faketree_drop(path);
		expect("abc");
	}
}

/* Its queues are found again and again, without an end. */
static void test_a_device_without_groups(void **state)
{
	(void)state;
	empty();
	fill(false);
	expect("abc");
}

/* Other accelerators have the same driver, and stand beside. */
static void test_other_accelerators(void **state)
{
	(void)state;
	faketree_file("sys/bus/iax/devices/iax1/cmd_status", "0x0\n");
	faketree_file("sys/bus/iax/devices/iax1/state", "enabled\n");
	faketree_file("sys/bus/iax/devices/iax1/group1.0/x", "\n");
	faketree_file("sys/bus/iax/devices/iax1/wq1.0/type", "user\n");
	faketree_file("sys/bus/iax/devices/iax1/wq1.0/mode", "shared\n");
	faketree_file("sys/bus/iax/devices/iax1/wq1.0/state", "enabled\n");
	expect("abc");
}

static void test_no_bus_at_all(void **state)
{
	(void)state;
	empty();
	expect("");
	faketree_file("sys/bus/dsa/devices/none", "%s", "");
	expect("");
}

static bool enter_namespace(void)
{
	int flags = CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0);

	return unshare(flags) == 0 &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nodes_of_queues),
		TEST(test_what_is_no_longer_for_programs),
		TEST(test_a_queue_without_a_node),
		TEST(test_no_more_than_asked),
		TEST(test_attributes_that_are_missing),
		TEST(test_a_device_without_groups),
		TEST(test_other_accelerators),
		TEST(test_no_bus_at_all),
	};

	if (!enter_namespace()) {
		puts("1..0 # SKIP no mount namespace for us");
		return 0;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
