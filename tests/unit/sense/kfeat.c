/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of kfeat that reads files, on kernels made of files. What it tries
 * on the running kernel is tested in tests/contract/kfeat.c.
 */
#include "kfeat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define KSM "sys/kernel/mm/ksm/"

static char top[64];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Make @path below the tree, directories included; no @text: a directory. */
static void make(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	for (char *p = full + strlen(top) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
	if (!text) {
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		return;
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/ksmd-plus-kfeat-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	make("proc", NULL);
	make("sys", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct kfeat probe(void)
{
	_cleanup_(root_close) struct root root = { -1, -1 };
	struct kfeat k;

	assert_int_equal(root_open(top, &root), 0);
	assert_int_equal(kfeat_probe(&root, &k), 0);
	return k;
}

static void nothing_is_there(void **state)
{
	struct kfeat k = probe();

	(void)state;
	assert_true(k.release[0]);
	assert_false(k.ksm);
	assert_false(k.ksm_writable);
	assert_false(k.smart_scan);
	assert_false(k.advisor);
	assert_false(k.general_profit);
	assert_false(k.zero_pages_counted);
	assert_false(k.pages_scanned);
	assert_false(k.ksm_stat_mergeable);
	assert_false(k.pagemap_pfn);
	assert_false(k.pagemap_scan);
	assert_false(k.kpf_ksm);
	assert_false(k.kcore);
	assert_int_equal(k.yama, -1);
	assert_false(k.psi);
	assert_false(k.mglru);
	assert_int_equal(k.thp, THP_ABSENT);
	assert_int_equal(k.khugepaged_max_ptes_shared, 0);
	assert_int_equal(k.max_map_count, 65530); /* the usual */
	assert_int_equal(k.ram_bytes, 0);
	assert_true(k.n_cpus >= 1);
	assert_int_equal(k.n_nodes, 1);
	assert_null(k.manager);
	assert_int_equal(k.manager_pid, 0);
	assert_false(k.process_ksm);
}

static void make_new_kernel(void)
{
	make(KSM "run", "0\n");
	make(KSM "smart_scan", "1\n");
	make(KSM "advisor_mode", "[none] scan-time\n");
	make(KSM "general_profit", "-5\n");
	make(KSM "ksm_zero_pages", "0\n");
	make(KSM "pages_scanned", "0\n");
	make("sys/kernel/process_ksm/ksm_profit", "0\n");
	make("sys/kernel/mm/lru_gen/enabled", "0x0007\n");
	make("sys/kernel/mm/transparent_hugepage/enabled",
	     "[always] madvise never\n");
	make("sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_shared",
	     "256\n");
	make("sys/devices/system/node/has_memory", "0-2,5,7-8\n");
	make("proc/self/ksm_stat",
	     "ksm_rmap_items 0\nksm_merge_any: no\nksm_mergeable: no\n");
	make("proc/kcore", "\177ELF\2\1\1");
	make("proc/pressure/memory", "some avg10=0.00 avg60=0.00\n");
	make("proc/sys/kernel/yama/ptrace_scope", "1\n");
	make("proc/sys/vm/max_map_count", "65530\n");
	make("proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n");
}

static void everything_is_there(void **state)
{
	struct kfeat k;

	(void)state;
	make_new_kernel();
	k = probe();
	assert_true(k.ksm);
	assert_true(k.ksm_writable);
	assert_true(k.smart_scan);
	assert_true(k.advisor);
	assert_true(k.general_profit);
	assert_true(k.zero_pages_counted);
	assert_true(k.pages_scanned);
	assert_true(k.ksm_stat_mergeable);
	assert_true(k.kcore);
	assert_int_equal(k.yama, 1);
	assert_true(k.psi);
	assert_true(k.mglru);
	assert_int_equal(k.thp, THP_ALWAYS);
	assert_int_equal(k.khugepaged_max_ptes_shared, 256);
	assert_int_equal(k.max_map_count, 65530);
	assert_int_equal(k.ram_bytes, 16384000ULL * 1024);
	assert_int_equal(k.n_nodes, 6);
	assert_true(k.process_ksm);
}

/* No knob is written by looking for it. */
static void knobs_keep_their_values(void **state)
{
	char path[128], text[64];

	(void)state;
	make_new_kernel();
	probe();
	snprintf(path, sizeof(path), "%s/" KSM "run", top);
	assert_int_equal(file_read(AT_FDCWD, path, text, sizeof(text)), 2);
	assert_string_equal(text, "0\n");
}

static void old_kernel(void **state)
{
	struct kfeat k;

	(void)state;
	make(KSM "run", "1\n");
	make("proc/self/ksm_stat", "ksm_rmap_items 0\n");
	make("sys/kernel/mm/transparent_hugepage/enabled",
	     "always [madvise] never\n");
	k = probe();
	assert_true(k.ksm);
	assert_false(k.smart_scan);
	assert_false(k.ksm_stat_mergeable);
	assert_int_equal(k.thp, THP_MADVISE);
}

static void half_off(void **state)
{
	struct kfeat k;

	(void)state;
	/* Docker masks kcore with an empty file; Proxmox sets Yama. */
	make("proc/kcore", "");
	make("proc/sys/kernel/yama/ptrace_scope", "3\n");
	make("proc/pressure/memory", "");
	make("sys/kernel/mm/lru_gen/enabled", "0x0000\n");
	make("sys/kernel/mm/transparent_hugepage/enabled",
	     "always madvise [never]\n");
	k = probe();
	assert_false(k.kcore);
	assert_int_equal(k.yama, 3);
	assert_false(k.psi);
	assert_false(k.mglru);
	assert_int_equal(k.thp, THP_NEVER);
}

static void nonsense_is_survived(void **state)
{
	struct kfeat k;

	(void)state;
	make("sys/devices/system/node/has_memory", "9-1,x,99999999999\n");
	make("proc/meminfo", "MemFree: 1 kB\n");
	make("proc/sys/vm/max_map_count", "many\n");
	make("proc/sys/kernel/yama/ptrace_scope", "\n");
	k = probe();
	assert_int_equal(k.n_nodes, 1);
	assert_int_equal(k.ram_bytes, 0);
	assert_int_equal(k.max_map_count, 65530); /* the usual */
	assert_int_equal(k.yama, -1);
}

static void other_managers_are_found(void **state)
{
	struct kfeat k;

	(void)state;
	make("proc/12/comm", "ksmtuned2\n");
	make("proc/13/comm", "bash\n");
	make("proc/self/comm", "ksmtuned\n");
	make("proc/acpi", NULL);
	k = probe();
	assert_null(k.manager);
	make("proc/4711/comm", "ksmtuned\n");
	k = probe();
	assert_string_equal(k.manager, "ksmtuned");
	assert_int_equal(k.manager_pid, 4711);
}

static void releases_are_judged(void **state)
{
	static const struct {
		const char *release;
		const char *version;
		bool fixed;
	} cases[] = {
		{ "6.1.175", "#1 SMP", false },
		{ "6.1.176", "#1 SMP", true },
		{ "6.1.0-50-amd64", "#1 SMP Debian 6.1.175-1 (2026-08-01)",
		  false },
		{ "6.1.0-51-amd64", "#1 SMP Debian 6.1.176-1 (2026-09-01)",
		  true },
		{ "6.1.0-51-amd64", "#1 SMP Debian ", false },
		{ "6.6.200", "#1 SMP", false },
		{ "6.8.0-90-generic", "#91-Ubuntu SMP", false },
		{ "6.12.56+deb13-amd64", "#1 SMP Debian 6.12.56-1", false },
		{ "6.12.57+deb13-amd64", "#1 SMP Debian 6.12.57-1", true },
		{ "6.17.9", "#1 SMP", false },
		{ "6.18.44", "#1 SMP", true },
		{ "7.0", "#1 SMP", true },
		{ "10.0.0", "#1 SMP", true },
		{ "5.10.999", "#1 SMP", false },
		{ "", "", false },
		{ "six", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(kfeat_has_unmergeable_fix(cases[i].release,
							   cases[i].version),
				 cases[i].fixed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_there),
		TEST(everything_is_there),
		TEST(knobs_keep_their_values),
		TEST(old_kernel),
		TEST(half_off),
		TEST(nonsense_is_survived),
		TEST(other_managers_are_found),
		cmocka_unit_test(releases_are_judged),
	};

	return cmocka_run_group_tests_name("kfeat", tests, NULL, NULL);
}
