/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rivals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "faketree.h"
#include "files.h"

static size_t find(struct rival ret[RIVALS_MAX])
{
	struct root root;
	size_t n;

	assert_int_equal(root_open(faketree_top, &root), 0);
	n = rivals_find(&root, ret);
	root_close(&root);
	return n;
}

static void names_each_once(void **state)
{
	struct rival v[RIVALS_MAX];

	(void)state;
	faketree_begin();
	faketree_file("proc/1/comm", "systemd\n");
	faketree_file("proc/20/comm", "virt-handler\n");
	faketree_file("proc/21/comm", "virt-handler\n");
	faketree_file("proc/22/comm", "momd-not\n");
	faketree_file("proc/self/comm", "ksmtuned\n");
	faketree_file("sys/kernel/mm/uksm/run", "0\n");
	assert_int_equal(find(v), 1);
	assert_string_equal(v[0].name, "virt-handler");
	assert_true(v[0].pid == 20 || v[0].pid == 21);
	assert_non_null(strstr(v[0].remedy, "KubeVirt"));
	faketree_file("sys/kernel/mm/uksm/run", "1\n");
	faketree_file("sys/block/zram0/use_dedup", "1\n");
	assert_int_equal(find(v), 3);
	assert_string_equal(v[1].name, "UKSM");
	assert_int_equal(v[1].pid, 0);
	faketree_end();
}

static void asks_for_units(void **state)
{
	size_t n = 0;

	(void)state;
	while (rivals_units[n]) {
		assert_non_null(strstr(rivals_units[n], ".service"));
		n++;
	}
	assert_true(n > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_each_once),
		cmocka_unit_test(asks_for_units),
	};

	return cmocka_run_group_tests_name("rivals", tests, NULL, NULL);
}
