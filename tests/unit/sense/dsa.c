/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "faketree.h"

#define DEVICE "sys/bus/dsa/devices/dsa0/"
#define NEW_OPS                                                                \
	"00000000,00000000,00000000,00000000,00000000,00000000,00000001,"

static struct root root;

static void queue(const char *name, const char *attr, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICE "%s/%s", name, attr);
	faketree_file(path, "%s\n", value);
}

/* As the driver shows a Sapphire Rapids with one queue for programs. */
static int setup(void **state)
{
	static const char *const files[][2] = {
		{ "cmd_status", "0x0" },
		{ "state", "enabled" },
		{ "numa_node", "1" },
		{ "pasid_enabled", "1" },
		{ "op_cap", NEW_OPS "003f03ff" },
	};
	static const char *const wq[][2] = {
		{ "type", "user" },
		{ "state", "enabled" },
		{ "mode", "shared" },
		{ "size", "64" },
		{ "threshold", "60" },
		{ "max_batch_size", "32" },
		{ "max_transfer_size", "2097152" },
	};
	char path[128];

	(void)state;
	faketree_begin();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), DEVICE "%s", files[i][0]);
		faketree_file(path, "%s\n", files[i][1]);
	}
	for (size_t i = 0; i < sizeof(wq) / sizeof(wq[0]); i++)
		queue("wq0.0", wq[i][0], wq[i][1]);
	queue("wq0.1", "type", "none");
	queue("wq0.1", "state", "disabled");
	queue("wq0.1", "mode", "dedicated");
	faketree_file("proc/x", "x");
	return root_open(faketree_top, &root);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	faketree_end();
	return 0;
}

static struct dsa_tree read_now(void)
{
	struct dsa_tree t;

	dsa_read(&root, &t);
	return t;
}

static void test_a_queue_for_programs(void **state)
{
	struct dsa_tree t = read_now();

	(void)state;
	assert_int_equal(t.n_devices, 1);
	assert_int_equal(t.n_enabled, 1);
	assert_int_equal(t.n_queues, 1);
	assert_string_equal(t.queues[0].device, "dsa0");
	assert_string_equal(t.queues[0].name, "wq0.0");
	assert_true(t.queues[0].shared);
	assert_true(t.queues[0].can_crc);
	assert_true(t.queues[0].can_batch);
	assert_int_equal(t.queues[0].entries, 60);
	assert_int_equal(t.queues[0].max_batch, 32);
	assert_int_equal(t.queues[0].numa_node, 1);
	assert_string_equal(t.odd, "");
	assert_false(t.read_only);
}

/* With commas the last word counts, with blanks the first. */
static void test_operations_in_both_formats(void **state)
{
	static const struct {
		const char *text;
		bool crc, batch;
	} cases[] = {
		{ NEW_OPS "003f03ff", true, true },
		{ NEW_OPS "003f03fd", true, false },
		{ NEW_OPS "003e03ff", false, true },
		{ "0x1003f03ff 0x0 0x0 0x0", true, true },
		{ "1003f03fd 3 0 0", true, false },
		{ "", false, false },
		{ "garbage", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dsa_tree t;

		faketree_file(DEVICE "op_cap", "%s\n", cases[i].text);
		t = read_now();
		assert_int_equal(t.n_queues, 1);
		assert_int_equal(t.queues[0].can_crc, cases[i].crc);
		assert_int_equal(t.queues[0].can_batch, cases[i].batch);
	}
	/* the queue's own word goes before the device's */
	queue("wq0.0", "op_config", NEW_OPS "003f03fd");
	assert_true(read_now().queues[0].can_crc);
	assert_false(read_now().queues[0].can_batch);
}

static void test_what_programs_cannot_use(void **state)
{
	(void)state;
	faketree_file(DEVICE "pasid_enabled", "0\n");
	assert_int_equal(read_now().n_no_pasid, 1);
	assert_int_equal(read_now().n_queues, 0);
	faketree_file(DEVICE "pasid_enabled", "1\n");
	faketree_file(DEVICE "state", "halted\n");
	assert_int_equal(read_now().n_enabled, 0);
	assert_int_equal(read_now().n_queues, 0);
	faketree_file(DEVICE "state", "enabled\n");
	queue("wq0.0", "type", "kernel");
	assert_int_equal(read_now().n_queues, 0);
	queue("wq0.0", "type", "user");
	queue("wq0.0", "max_transfer_size", "2048");
	assert_int_equal(read_now().n_queues, 0);
}

/* What makes libaccel-config 3.5.3 crash, or drop the device. */
static void test_holes_are_found(void **state)
{
	static const char *const files[] = { "wq0.1/type", "wq0.1/mode",
					     "wq0.0/state", "cmd_status" };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct dsa_tree t;
		char path[128];

		snprintf(path, sizeof(path), DEVICE "%s", files[i]);
		faketree_drop(path);
		t = read_now();
		assert_non_null(strstr(t.odd, strrchr(path, '/')));
		faketree_file(path, "x\n");
		assert_string_equal(read_now().odd, "");
	}
	faketree_file("sys/bus/iax/devices/iax1/wq1.0/mode", "x\n");
	assert_string_not_equal(read_now().odd, "");
}

static void test_pci_devices_are_counted(void **state)
{
	(void)state;
	faketree_file("sys/bus/pci/devices/0000:6a:01.0/vendor", "0x8086\n");
	faketree_file("sys/bus/pci/devices/0000:6a:01.0/device", "0x0b25\n");
	faketree_file("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n");
	faketree_file("sys/bus/pci/devices/0000:00:00.0/device", "0x09a2\n");
	assert_int_equal(read_now().n_pci, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_queue_for_programs),
		TEST(test_operations_in_both_formats),
		TEST(test_what_programs_cannot_use),
		TEST(test_holes_are_found),
		TEST(test_pci_devices_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
