/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Levels for made-up kernels: one on which all is well, from which each test
 * takes something away.
 */
#include "doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "rights.h"

static const struct doctor_facts fine = {
	.kernel = {
		.release = "7.3.4",
		.ksm = true,
		.ksm_writable = true,
		.smart_scan = true,
		.advisor = true,
		.general_profit = true,
		.zero_pages_counted = true,
		.pages_scanned = true,
		.ksm_stat_mergeable = true,
		.prctl_merge = true,
		.pagemap_pfn = true,
		.pagemap_scan = true,
		.process_madvise_self = true,
		.kpf_ksm = true,
		.kcore = true,
		.ptrace = true,
		.suspend_seccomp = true,
		.yama = 1,
		.unmergeable_safe = true,
		.psi = true,
		.mglru = true,
		.thp = THP_NEVER,
		.max_map_count = 65530,
		.ram_bytes = 16ULL << 30,
		.n_cpus = 4,
		.n_nodes = 1,
	},
	.root = true,
	.capabilities = UINT64_MAX,
	.bounding = UINT64_MAX,
	.page_size = 4096,
	.daemon = DAEMON_UP,
	.hints = { .hook = HOOK_FENTRY, .uring = true },
	.run = 1,
	.pages_to_scan = 100,
	.sleep_millisecs = 20,
	.merge_across_nodes = 1,
	.watched = true,
	.watched_usec = 500000,
	.systemd = 257,
};

static struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
static size_t n_findings;

static void examine(const struct doctor_facts *f)
{
	n_findings = doctor_examine(f, findings);
	assert_true(n_findings <= DOCTOR_FINDINGS_MAX);
}

static const struct doctor_finding *find(const char *check)
{
	for (size_t i = 0; i < n_findings; i++)
		if (!strcmp(findings[i].check, check))
			return &findings[i];
	return NULL;
}

/* The worst level but for the finding called @but. */
static enum doctor_level worst_but(const char *but)
{
	enum doctor_level worst = DOCTOR_OK;

	for (size_t i = 0; i < n_findings; i++)
		if (strcmp(findings[i].check, but) != 0)
			worst = MAX(worst, findings[i].level);
	return worst;
}

/* @check is at @level in @f, its finding names @word, all else is well. */
static void expect(const struct doctor_facts *f, const char *check,
		   enum doctor_level level, const char *word)
{
	const struct doctor_finding *found;

	examine(f);
	found = find(check);
	assert_non_null(found);
	assert_int_equal(found->level, level);
	if (!strstr(found->finding, word))
		fail_msg("no \"%s\" in: %s", word, found->finding);
	assert_int_equal(worst_but(check), DOCTOR_OK);
}

static void all_is_well(void **state)
{
	(void)state;
	examine(&fine);
	assert_int_equal(worst_but(""), DOCTOR_OK);
	assert_true(n_findings >= 20);
}

/* Each step to a queue that programs can use says what the next one is. */
static void an_accelerator_says_what_it_lacks(void **state)
{
	struct doctor_facts f = fine;
	struct dsa_tree *t = &f.dsa;

	(void)state;
	examine(&f);
	assert_null(find("dsa"));
	t->n_pci = 1;
	expect(&f, "dsa", DOCTOR_NOTE, "no driver");
	assert_string_equal(find("dsa")->remedy, "modprobe idxd");
	t->n_devices = 1;
	expect(&f, "dsa", DOCTOR_NOTE, "no work queue");
	assert_non_null(strstr(find("dsa")->remedy, "accel-config"));
	t->n_enabled = t->n_no_pasid = 1;
	expect(&f, "dsa", DOCTOR_NOTE, "PASID");
	assert_non_null(strstr(find("dsa")->remedy, "intel_iommu=on,sm_on"));
	t->n_no_pasid = 0;
	t->n_queues = 1;
	t->queues[0].can_crc = true;
	expect(&f, "dsa", DOCTOR_OK, "1 work queue");
	t->read_only = true;
	expect(&f, "dsa", DOCTOR_NOTE, "read-only");
	strcpy(t->odd, "wq0.0/type");
	expect(&f, "dsa", DOCTOR_NOTE, "wq0.0/type");
}

/* Whatever is wrong: no empty sentence, none cut off, no double name. */
static void sentences_are_whole(void **state)
{
	unsigned int seed = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct doctor_facts f = fine;
		unsigned char *bytes = (unsigned char *)&f.kernel.ksm;

		/* Every flag of the kernel at random, and the rest too. */
		for (size_t i = 0; i < offsetof(struct kfeat, yama) -
					       offsetof(struct kfeat, ksm);
		     i++)
			bytes[i] = rand_r(&seed) & 1;
		f.kernel.yama = (int)(rand_r(&seed) % 5) - 1;
		f.kernel.unmergeable_safe = rand_r(&seed) & 1;
		f.kernel.thp = rand_r(&seed) % 4;
		f.kernel.khugepaged_max_ptes_shared = rand_r(&seed) % 512;
		f.kernel.n_nodes = 1 + (int)(rand_r(&seed) % 8);
		f.n_rivals = rand_r(&seed) % (RIVALS_MAX + 1);
		for (size_t i = 0; i < f.n_rivals; i++)
			f.rivals[i] = (struct rival){
				"a-manager-of-some-length", 4194304,
				"oVirt: switch KSM off in the cluster's options"
			};
		strcpy(f.units, rand_r(&seed) & 1 ? "ksm.service" : "");
		f.watched = rand_r(&seed) & 1;
		f.n_writes = rand_r(&seed) % 3;
		f.write = (struct knobwrite){ 7, "x\x1b\ny", "run" };
		f.user_namespace = rand_r(&seed) & 1;
		f.pid_namespace = rand_r(&seed) & 1;
		f.systemd = 254 * (rand_r(&seed) & 1);
		f.n_warnings = rand_r(&seed) % 2;
		strcpy(f.warning, "Something is wrong.");
		f.root = rand_r(&seed) & 1;
		f.capabilities = rand_r(&seed) & 1 ? UINT64_MAX : 0;
		f.seccomp = rand_r(&seed) % 3;
		f.daemon = rand_r(&seed) % 4;
		f.run = rand_r(&seed) % 3;
		f.merge_across_nodes = rand_r(&seed) & 1;
		examine(&f);
		for (size_t i = 0; i < n_findings; i++) {
			size_t len = strlen(findings[i].finding);

			assert_true(len > 10);
			assert_true(len < sizeof(findings->finding) - 1);
			assert_int_equal(findings[i].finding[len - 1], '.');
			assert_true(strlen(findings[i].remedy) <
				    sizeof(findings->remedy) - 1);
			assert_ptr_equal(find(findings[i].check), &findings[i]);
			/* Who has a problem is told what to do. */
			if (findings[i].level == DOCTOR_PROBLEM)
				assert_true(*findings[i].remedy);
		}
	}
}

static void no_ksm(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.ksm = f.kernel.ksm_writable = false;
	f.kernel.smart_scan = f.kernel.advisor = false;
	f.kernel.general_profit = f.kernel.zero_pages_counted = false;
	f.kernel.prctl_merge = f.kernel.process_madvise_self = false;
	f.kernel.unmergeable_safe = false;
	expect(&f, "ksm", DOCTOR_PROBLEM, "no KSM");
	/* What would only repeat it is not said. */
	assert_null(find("ksm-run"));
	assert_null(find("prctl"));
	assert_null(find("unmergeable"));
	assert_null(find("smart-scan"));
}

static void read_only_sys(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.ksm_writable = false;
	expect(&f, "ksm", DOCTOR_PROBLEM, "cannot be written");
}

/* Debian 12's 6.1: much is missing, nothing is a problem. */
static void old_kernel_is_no_problem(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.smart_scan = f.kernel.advisor = false;
	f.kernel.general_profit = f.kernel.zero_pages_counted = false;
	f.kernel.prctl_merge = f.kernel.process_madvise_self = false;
	f.kernel.pagemap_scan = f.kernel.mglru = false;
	examine(&f);
	assert_int_equal(worst_but(""), DOCTOR_NOTE);
	assert_int_equal(find("pagemap-scan")->level, DOCTOR_NOTE);
	assert_int_equal(find("process-madvise")->level, DOCTOR_NOTE);
	assert_int_equal(find("prctl")->level, DOCTOR_NOTE);
	assert_int_equal(find("counters")->level, DOCTOR_NOTE);
	assert_int_equal(find("smart-scan")->level, DOCTOR_OK);
	assert_int_equal(find("advisor")->level, DOCTOR_OK);
}

static void run_two(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.run = 2;
	expect(&f, "ksm-run", DOCTOR_WARNING, "run=2");
	f.run = 0;
	expect(&f, "ksm-run", DOCTOR_OK, "stopped");
}

static void another_manager(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.rivals[0] = (struct rival){ "ksmtuned", 612, "disable it" };
	f.n_rivals = 1;
	expect(&f, "manager", DOCTOR_WARNING, "ksmtuned (pid 612) steers");
	assert_non_null(strstr(find("manager")->remedy, "disable it"));
	strcpy(f.units, "ksm.service");
	expect(&f, "manager", DOCTOR_WARNING,
	       "ksmtuned (pid 612), ksm.service steer KSM");
	assert_non_null(strstr(find("manager")->remedy,
			       "disable it; systemctl disable --now ksm"));
	f.n_rivals = 0;
	expect(&f, "manager", DOCTOR_WARNING, "ksm.service steers");
	f.rivals[0] = (struct rival){ "UKSM", 0, "" };
	f.n_rivals = 1;
	*f.units = '\0';
	expect(&f, "manager", DOCTOR_WARNING, "UKSM steers");
}

static void knobs_are_watched(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	expect(&f, "knobs", DOCTOR_OK, "within 0.5 s");
	f.n_writes = 2;
	f.write = (struct knobwrite){ 612, "\x1b[2Jx", "run" };
	expect(&f, "knobs", DOCTOR_WARNING, "(pid 612) wrote run");
	assert_null(strchr(find("knobs")->finding, '\x1b'));
	assert_non_null(strstr(find("knobs")->remedy, "ps 612"));
	*f.write.comm = '\0';
	expect(&f, "knobs", DOCTOR_WARNING, "has ended (pid 612)");
	f.watched = false;
	expect(&f, "knobs", DOCTOR_NOTE, "cannot be watched");
}

static void walls(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.pid_namespace = true;
	expect(&f, "namespaces", DOCTOR_WARNING, "container");
	f.user_namespace = true;
	expect(&f, "namespaces", DOCTOR_PROBLEM, "user namespace");
}

static void systemd_has_a_version(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	expect(&f, "systemd", DOCTOR_OK, "257");
	f.systemd = 252;
	expect(&f, "systemd", DOCTOR_NOTE, "252 is older");
	f.systemd = 0;
	expect(&f, "systemd", DOCTOR_NOTE, "does not run");
}

static void the_worst_counts(void **state)
{
	static const struct doctor_finding some[] = {
		{ .level = DOCTOR_OK },
		{ .level = DOCTOR_WARNING },
		{ .level = DOCTOR_NOTE },
	};

	(void)state;
	assert_int_equal(doctor_worst(some, 0), DOCTOR_OK);
	assert_int_equal(doctor_worst(some, 1), DOCTOR_OK);
	assert_int_equal(doctor_worst(some, 3), DOCTOR_WARNING);
}

static void advisor_is_on(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.advisor_on = true;
	expect(&f, "advisor", DOCTOR_NOTE, "advisor");
}

static void nodes_apart(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.n_nodes = 2;
	expect(&f, "nodes", DOCTOR_OK, "across");
	f.merge_across_nodes = 0;
	expect(&f, "nodes", DOCTOR_NOTE, "same node");
}

static void not_root(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.root = false;
	f.capabilities = 0;
	f.kernel.ksm_writable = f.kernel.pagemap_pfn = false;
	f.kernel.kpf_ksm = f.kernel.kcore = f.kernel.suspend_seccomp = false;
	examine(&f);
	/* The kernel is not blamed for what we may not see. */
	assert_int_equal(worst_but(""), DOCTOR_NOTE);
	assert_non_null(strstr(find("pagemap")->finding, "needs root"));
	assert_non_null(strstr(find("kpf-ksm")->finding, "needs root"));
	assert_non_null(strstr(find("kcore")->finding, "needs root"));
	assert_non_null(strstr(find("seccomp")->finding, "needs root"));
	assert_int_equal(find("ksm")->level, DOCTOR_OK);
}

static void root_in_a_container(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.capabilities = 0x00000000a80425fb; /* Docker's default */
	examine(&f);
	assert_int_equal(find("root")->level, DOCTOR_PROBLEM);
	assert_non_null(
		strstr(find("root")->finding, "CAP_SYS_PTRACE CAP_SYS_ADMIN"));
	assert_null(strstr(find("root")->finding, "CAP_CHOWN"));
}

static void frames_are_hidden(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.pagemap_pfn = false;
	expect(&f, "pagemap", DOCTOR_PROBLEM, "hides");
}

static void kpf_ksm_lies(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.kpf_ksm = false;
	expect(&f, "kpf-ksm", DOCTOR_NOTE, "does not tell");
}

static void no_kcore_no_psi(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.kcore = false;
	expect(&f, "kcore", DOCTOR_NOTE, "No /proc/kcore");
	f = fine;
	f.kernel.psi = false;
	expect(&f, "psi", DOCTOR_NOTE, "MemAvailable");
	assert_non_null(strstr(find("psi")->remedy, "psi=1"));
}

static void no_ptrace(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.ptrace = false;
	expect(&f, "ptrace", DOCTOR_PROBLEM, "No process can be attached");
	f.kernel.yama = 3;
	expect(&f, "yama", DOCTOR_PROBLEM, "is 3");
	assert_null(find("ptrace")); /* once is enough */
	f = fine;
	f.kernel.yama = -1;
	expect(&f, "yama", DOCTOR_OK, "not");
}

static void seccomp_cannot_be_suspended(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.suspend_seccomp = false;
	expect(&f, "seccomp", DOCTOR_WARNING, "CONFIG_CHECKPOINT_RESTORE");
	f.seccomp = 2;
	expect(&f, "seccomp", DOCTOR_WARNING, "ourselves");
	assert_non_null(strstr(find("seccomp")->remedy, "SystemCallFilter="));
}

static void unmergeable_drops_flags(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.unmergeable_safe = false;
	expect(&f, "unmergeable", DOCTOR_WARNING, "7.3.4");
}

static void few_mappings(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.max_map_count = 1000;
	expect(&f, "max-map-count", DOCTOR_WARNING, "1000");
}

static void huge_pages(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.kernel.thp = THP_ALWAYS;
	f.kernel.khugepaged_max_ptes_shared = 256;
	expect(&f, "thp", DOCTOR_WARNING, "256");
	f.kernel.thp = THP_MADVISE;
	expect(&f, "thp", DOCTOR_NOTE, "QEMU");
	f.kernel.khugepaged_max_ptes_shared = 0;
	expect(&f, "thp", DOCTOR_OK, "never");
	f.kernel.thp = THP_ABSENT;
	expect(&f, "thp", DOCTOR_OK, "No huge pages");
}

static void large_pages(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.page_size = 65536;
	expect(&f, "page-size", DOCTOR_PROBLEM, "64 KiB");
}

static void the_daemon(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	f.n_warnings = 2;
	strcpy(f.warning, "Somebody else writes run.");
	expect(&f, "daemon", DOCTOR_WARNING,
	       "2 warnings: Somebody else writes run.");
	f.daemon = DAEMON_DOWN;
	expect(&f, "daemon", DOCTOR_NOTE, "not running");
	f.daemon = DAEMON_FORBIDDEN;
	expect(&f, "daemon", DOCTOR_NOTE, "not for us");
	f.daemon = DAEMON_MUTE;
	expect(&f, "daemon", DOCTOR_PROBLEM, "nobody answers");
}

static void reads_of_files(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	strcpy(f.hints.why, "libaio is not seen: not found");
	expect(&f, "hints", DOCTOR_NOTE, "(fentry); libaio is not seen");
	f.hints = (struct hints_state){ HOOK_TRACEPOINT, true,
					"fentry: not permitted" };
	expect(&f, "hints", DOCTOR_NOTE, "fentry: not permitted");
	f.hints = (struct hints_state){ HOOK_SYS_EXIT, true,
					"tracepoint: " HINTS_NO_TRACEFS };
	expect(&f, "hints", DOCTOR_NOTE, "end of system calls");
	f.hints = (struct hints_state){ HOOK_NONE, false, "no BTF" };
	expect(&f, "hints", DOCTOR_NOTE, "cannot be seen (no BTF)");
	f.root = false;
	examine(&f);
	assert_non_null(strstr(find("hints")->finding, "Not probed"));
}

static void capabilities_of_the_daemon(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	examine(&f);
	assert_null(find("daemon-rights"));
	f.daemon_rights = (struct doctor_rights){ true, RIGHTS_LOOP };
	expect(&f, "daemon-rights", DOCTOR_OK, "has");
	f.injector_rights = (struct doctor_rights){ true, RIGHTS_INJECTOR };
	expect(&f, "daemon-rights", DOCTOR_OK, "and its injector have");
	f.injector_rights.effective &= ~RIGHT(CAP_SYS_NICE);
	expect(&f, "daemon-rights", DOCTOR_WARNING,
	       "injector, lacks CAP_SYS_NICE: ");
	f.injector_rights.effective = 0;
	expect(&f, "daemon-rights", DOCTOR_PROBLEM,
	       "injector, lacks CAP_SYS_PTRACE CAP_SYS_ADMIN "
	       "CAP_DAC_READ_SEARCH CAP_SYS_NICE CAP_IPC_LOCK: ");
	f.injector_rights.known = false;
	f.daemon_rights.effective &= ~RIGHT(CAP_SYS_ADMIN);
	expect(&f, "daemon-rights", DOCTOR_PROBLEM, "lacks CAP_SYS_ADMIN: ");
}

static void domains_share(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	examine(&f);
	assert_null(find("domains"));
	f.domains = true;
	expect(&f, "domains", DOCTOR_NOTE, "cannot be counted");
	f.overlap = (struct overlap){ .known = true, .exact = true };
	expect(&f, "domains", DOCTOR_OK, "No merged page");
	f.overlap.frames = 1;
	expect(&f, "domains", DOCTOR_NOTE, "1 merged page (4 KiB)");
	f.overlap.frames = 1000;
	f.overlap.exact = false;
	expect(&f, "domains", DOCTOR_NOTE,
	       "Up to 1000 merged pages (4000 KiB)");
	f.root = false;
	f.overlap.known = false;
	examine(&f);
	assert_non_null(strstr(find("domains")->finding, "needs root"));
}

static void faults_of_the_configuration(void **state)
{
	struct doctor_facts f = fine;

	(void)state;
	examine(&f);
	assert_null(find("configuration"));
	f.n_faults = 1;
	strcpy(f.fault, "a.conf:3: Nonsense.");
	expect(&f, "configuration", DOCTOR_WARNING,
	       "1 fault: a.conf:3: Nonsense.");
}

static void levels_have_names(void **state)
{
	(void)state;
	assert_string_equal(doctor_level_name(DOCTOR_OK), "ok");
	assert_string_equal(doctor_level_name(DOCTOR_NOTE), "note");
	assert_string_equal(doctor_level_name(DOCTOR_WARNING), "warning");
	assert_string_equal(doctor_level_name(DOCTOR_PROBLEM), "problem");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_well),
		cmocka_unit_test(an_accelerator_says_what_it_lacks),
		cmocka_unit_test(sentences_are_whole),
		cmocka_unit_test(no_ksm),
		cmocka_unit_test(read_only_sys),
		cmocka_unit_test(old_kernel_is_no_problem),
		cmocka_unit_test(run_two),
		cmocka_unit_test(another_manager),
		cmocka_unit_test(knobs_are_watched),
		cmocka_unit_test(walls),
		cmocka_unit_test(systemd_has_a_version),
		cmocka_unit_test(the_worst_counts),
		cmocka_unit_test(advisor_is_on),
		cmocka_unit_test(nodes_apart),
		cmocka_unit_test(not_root),
		cmocka_unit_test(root_in_a_container),
		cmocka_unit_test(frames_are_hidden),
		cmocka_unit_test(kpf_ksm_lies),
		cmocka_unit_test(no_kcore_no_psi),
		cmocka_unit_test(no_ptrace),
		cmocka_unit_test(seccomp_cannot_be_suspended),
		cmocka_unit_test(unmergeable_drops_flags),
		cmocka_unit_test(few_mappings),
		cmocka_unit_test(huge_pages),
		cmocka_unit_test(large_pages),
		cmocka_unit_test(the_daemon),
		cmocka_unit_test(reads_of_files),
		cmocka_unit_test(capabilities_of_the_daemon),
		cmocka_unit_test(domains_share),
		cmocka_unit_test(faults_of_the_configuration),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
