/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* An ordinary process that a test changes as it needs. */
static const struct rule_subject ordinary = {
	.pid = 4711,
	.keys = {
		[RULE_UNIT] = "web-1.service",
		[RULE_CGROUP] = "/system.slice/web-1.service",
		[RULE_EXE] = "/usr/bin/python3.11",
		[RULE_COMM] = "gunicorn",
		[RULE_USER] = "www-data",
	},
};

static void add_glob(struct rule_target *target, enum rule_key key,
		     const char *glob)
{
	struct rule_globs *globs = &target->keys[key];

	globs->v = reallocarray(globs->v, globs->n + 1, sizeof(*globs->v));
	assert_non_null(globs->v);
	globs->v[globs->n] = strdup(glob);
	assert_non_null(globs->v[globs->n]);
	globs->n++;
}

static struct rule_target *add_target(struct rules *rules, const char *name,
				      enum mode mode)
{
	struct rule_target *t;

	rules->targets = reallocarray(rules->targets, rules->n_targets + 1,
				      sizeof(*rules->targets));
	assert_non_null(rules->targets);
	t = &rules->targets[rules->n_targets++];
	*t = (struct rule_target){
		.name = strdup(name),
		.mode = mode,
		.domain = strdup(""),
		.file = strdup("test"),
	};
	assert_true(t->name && t->domain && t->file);
	return t;
}

/* Whether a target with the one key matches a process that has @text there. */
static bool matches(enum rule_key key, const char *glob, const char *text)
{
	struct rule_subject subject = { .pid = 4711 };
	struct rules rules = { 0 };
	bool is;

	add_glob(add_target(&rules, "t", MODE_OBSERVE), key, glob);
	subject.keys[key] = text;
	is = rules_judge(&rules, &subject).mode == MODE_OBSERVE;
	rules_clear(&rules);
	return is;
}

static void assert_never(const struct rule_subject *subject, const char *rule)
{
	struct rule_verdict verdict;
	struct rules rules = { 0 };

	add_target(&rules, "everybody", MODE_WHOLE);
	verdict = rules_judge(&rules, subject);
	if (verdict.mode != MODE_EXCLUDE || verdict.target ||
	    strcmp(verdict.rule, rule) != 0)
		fail_msg("%s %s: %s by %s, not by %s", subject->keys[RULE_COMM],
			 subject->keys[RULE_EXE], mode_name(verdict.mode),
			 verdict.rule, rule);
	rules_clear(&rules);
}

static void test_nobody_who_is_not_named(void **state)
{
	struct rule_verdict verdict;
	struct rules rules = { 0 };

	(void)state;
	verdict = rules_judge(&rules, &ordinary);
	assert_int_equal(verdict.mode, MODE_EXCLUDE);
	assert_null(verdict.target);
	assert_string_equal(verdict.rule, "not named");
}

static void test_self_registered(void **state)
{
	struct rule_subject subject = ordinary;
	struct rule_verdict verdict;
	struct rules rules = { 0 };

	(void)state;
	subject.self_registered = true;
	verdict = rules_judge(&rules, &subject);
	assert_int_equal(verdict.mode, MODE_MANAGED);
	assert_null(verdict.target);
	assert_string_equal(verdict.rule, "registered its own memory");

	/* but who is named is what the target says */
	add_glob(add_target(&rules, "www", MODE_EXCLUDE), RULE_USER, "www-*");
	verdict = rules_judge(&rules, &subject);
	assert_int_equal(verdict.mode, MODE_EXCLUDE);
	assert_ptr_equal(verdict.target, &rules.targets[0]);
	assert_string_equal(verdict.rule, "www");
	rules_clear(&rules);
}

static void test_first_target_decides(void **state)
{
	struct rule_verdict verdict;
	struct rules rules = { 0 };

	(void)state;
	add_glob(add_target(&rules, "db", MODE_WHOLE), RULE_UNIT, "db*");
	add_glob(add_target(&rules, "web", MODE_SELECTIVE), RULE_UNIT, "web*");
	add_glob(add_target(&rules, "all", MODE_OBSERVE), RULE_EXE, "/*/*/*");
	verdict = rules_judge(&rules, &ordinary);
	assert_int_equal(verdict.mode, MODE_SELECTIVE);
	assert_ptr_equal(verdict.target, &rules.targets[1]);
	assert_string_equal(verdict.rule, "web");
	rules_clear(&rules);
	assert_null(rules.targets);
	assert_int_equal(rules.n_targets, 0);
}

static void test_and_of_keys_or_of_globs(void **state)
{
	struct rule_subject subject = ordinary;
	struct rules rules = { 0 };
	struct rule_target *t;

	(void)state;
	t = add_target(&rules, "web", MODE_SELECTIVE);
	add_glob(t, RULE_UNIT, "api-*.service");
	add_glob(t, RULE_UNIT, "web-*.service");
	add_glob(t, RULE_USER, "www-data");
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_SELECTIVE);
	subject.keys[RULE_UNIT] = "api-7.service";
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_SELECTIVE);
	subject.keys[RULE_USER] = "root";
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_EXCLUDE);
	subject.keys[RULE_USER] = "www-data";
	subject.keys[RULE_UNIT] = "cron.service";
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_EXCLUDE);
	/* what is not known is not matched, not even by a star */
	subject.keys[RULE_UNIT] = NULL;
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_EXCLUDE);
	rules_clear(&rules);
	for (int k = 0; k < RULE_KEY_MAX_; k++)
		assert_false(matches((enum rule_key)k, "*", NULL));
}

static void test_globs(void **state)
{
	static const struct {
		enum rule_key key;
		const char *glob, *text;
		bool match;
	} cases[] = {
		{ RULE_UNIT, "web-*.service", "web-1.service", true },
		{ RULE_UNIT, "web-*.service", "xweb-1.service", false },
		{ RULE_UNIT, "web-*.service", "web-1.service.d", false },
		{ RULE_UNIT, "web-[0-9].service", "web-7.service", true },
		{ RULE_UNIT, "web-[!0-9].service", "web-7.service", false },
		/* systemd's own escapes are no escapes of ours */
		{ RULE_UNIT, "a\\x2db.service", "a\\x2db.service", true },
		{ RULE_UNIT, "a\\x2d*", "ax2db.service", false },
		{ RULE_USER, "CORP\\anna", "CORP\\anna", true },
		{ RULE_USER, "1000", "1000", true },
		{ RULE_USER, "www", "www-data", false },
		/* a cgroup holds what is below it */
		{ RULE_CGROUP, "/system.slice/a.service",
		  "/system.slice/a.service", true },
		{ RULE_CGROUP, "/system.slice/a.service",
		  "/system.slice/a.service/worker", true },
		{ RULE_CGROUP, "/system.slice/a.service",
		  "/system.slice/a.service2", false },
		{ RULE_CGROUP, "/system.slice/*", "/system.slice/a/b/c", true },
		{ RULE_CGROUP, "/system.slice/*", "/system.slice", false },
		{ RULE_CGROUP, "/*/a", "/x/y/a", false },
		{ RULE_CGROUP, "/system.slice", "/machine.slice/x", false },
		{ RULE_CGROUP, "/", "/", true },
		{ RULE_CGROUP, "/", "/user.slice", false },
		/* in a path a star stops at a slash */
		{ RULE_EXE, "/usr/bin/python3*", "/usr/bin/python3.11", true },
		{ RULE_EXE, "/usr/bin/python3*", "/usr/bin/python3/x", false },
		{ RULE_EXE, "/usr/*/python3", "/usr/bin/python3", true },
		{ RULE_EXE, "/usr/*", "/usr/bin/python3", false },
		{ RULE_EXE, "/usr/bin", "/usr/bin/python3", false },
		/* elsewhere a slash is a letter */
		{ RULE_COMM, "worker*", "worker/1:2", true },
		{ RULE_COMM, "*", ".hidden", true },
		{ RULE_COMM, "", "", true },
		/* an unfinished bracket is itself */
		{ RULE_COMM, "[x", "[x", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (matches(cases[i].key, cases[i].glob, cases[i].text) !=
		    cases[i].match)
			fail_msg("%s %s %s", cases[i].glob,
				 cases[i].match ? "misses" : "matches",
				 cases[i].text);
}

static void test_never_touched(void **state)
{
	struct rule_subject subject;

	(void)state;
	subject = ordinary;
	subject.pid = 1;
	assert_never(&subject, "built-in: PID 1");
	subject = ordinary;
	subject.kernel_thread = true;
	assert_never(&subject, "built-in: kernel thread");
	subject = ordinary;
	subject.ourselves = true;
	assert_never(&subject, "built-in: part of ksmd-plus");
	subject = ordinary;
	subject.not_dumpable = true;
	assert_never(&subject, "built-in: not dumpable");
	/* not even if it asked for it */
	subject.self_registered = true;
	assert_never(&subject, "built-in: not dumpable");
}

/* Names as Debian's packages install them, with the entry that must catch. */
static void test_secret_keepers(void **state)
{
	static const struct {
		const char *program, *entry;
	} cases[] = {
		{ "sshd", "sshd*" },
		{ "sshd-session", "sshd*" },
		{ "ssh-agent", "ssh-*" },
		{ "ssh", "ssh" },
		{ "gpg-agent", "gpg*" },
		{ "scdaemon", "scdaemon" },
		{ "polkitd", "polkit*" },
		{ "polkit-agent-helper-1", "polkit*" },
		{ "gnome-keyring-daemon", "gnome-keyring*" },
		{ "kwalletd5", "kwallet*" },
		{ "kwalletd6", "kwallet*" },
		{ "keepassxc", "keepass*" },
		{ "p11-kit-server", "p11-kit*" },
		{ "pcscd", "pcscd" },
		{ "tpm2-abrmd", "tpm2-abrmd" },
		{ "swtpm", "swtpm*" },
		{ "vault", "vault" },
		{ "systemd-homed", "systemd-home*" },
		{ "systemd-homework", "systemd-home*" },
		{ "systemd-cryptsetup", "systemd-crypt*" },
		{ "systemd-tty-ask-password-agent",
		  "systemd-tty-ask-password*" },
		{ "systemd-ask-password", "systemd-ask-password" },
		{ "krb5kdc", "krb5*" },
		{ "krb5_child", "krb5*" },
		{ "kadmind", "kadmin*" },
		{ "sssd_be", "sssd*" },
		{ "winbindd", "winbindd" },
		{ "su", "su" },
		{ "sudo", "sudo*" },
		{ "login", "login" },
	};
	char comm[16], exe[64], rule[64];
	struct rule_subject subject;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(comm, sizeof(comm), "%s", cases[i].program);
		snprintf(exe, sizeof(exe), "/opt/x/%s", cases[i].program);
		snprintf(rule, sizeof(rule), "built-in: keeps secrets (%s)",
			 cases[i].entry);
		/* either name is enough, whatever the other pretends */
		subject = ordinary;
		subject.keys[RULE_COMM] = comm;
		assert_never(&subject, rule);
		subject = ordinary;
		subject.keys[RULE_EXE] = exe;
		assert_never(&subject, rule);
		subject.keys[RULE_COMM] = NULL;
		assert_never(&subject, rule);
	}
}

static void test_not_secret_keepers(void **state)
{
	static const char *const programs[] = {
		"supervisord", "suricata", "vaultier", "passenger",
		"loginctl",    "ss",	   "sh",       "systemd",
		"kdcproxy",    "",	   "pas",      "systemd-ask-pa",
		"baobab",      "gp",	   "ssha",
	};
	struct rule_subject subject = ordinary;
	struct rules rules = { 0 };

	(void)state;
	add_target(&rules, "everybody", MODE_OBSERVE);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		subject.keys[RULE_COMM] = programs[i];
		subject.keys[RULE_EXE] = programs[i];
		if (rules_judge(&rules, &subject).mode != MODE_OBSERVE)
			fail_msg("%s is taken for a keeper", programs[i]);
	}
	/* a directory of that name says nothing */
	subject.keys[RULE_EXE] = "/opt/vault/bin/python3";
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_OBSERVE);
	rules_clear(&rules);
}

/* Only what excludes comes before having been started by `run`. */
static void test_adopted(void **state)
{
	struct rule_subject subject = ordinary;
	struct rules rules = { 0 };
	struct rule_verdict v;

	(void)state;
	subject.adopted = true;
	subject.self_registered = true;
	v = rules_judge(&rules, &subject);
	assert_int_equal(v.mode, MODE_SELECTIVE);
	assert_string_equal(v.target->name, "run");
	assert_int_equal(rules_domain(v.target), 0);
	add_glob(add_target(&rules, "web", MODE_WHOLE), RULE_COMM, "guni*");
	add_target(&rules, "others", MODE_EXCLUDE);
	assert_string_equal(rules_judge(&rules, &subject).target->name, "run");
	subject.keys[RULE_COMM] = "other";
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_EXCLUDE);
	rules_clear(&rules);
	subject.keys[RULE_COMM] = "ssh-agent";
	assert_int_equal(rules_judge(&rules, &subject).mode, MODE_EXCLUDE);
	assert_never(&subject, "built-in: keeps secrets (ssh-*)");
}

static void test_mode_names(void **state)
{
	(void)state;
	for (int m = 0; m < MODE_MAX_; m++)
		assert_int_equal(mode_from_name(mode_name((enum mode)m)), m);
	assert_int_equal(mode_from_name("Whole"), MODE_MAX_);
	assert_int_equal(mode_from_name(""), MODE_MAX_);
	assert_null(mode_name(MODE_MAX_));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_who_is_not_named),
		cmocka_unit_test(test_self_registered),
		cmocka_unit_test(test_first_target_decides),
		cmocka_unit_test(test_and_of_keys_or_of_globs),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_never_touched),
		cmocka_unit_test(test_secret_keepers),
		cmocka_unit_test(test_not_secret_keepers),
		cmocka_unit_test(test_adopted),
		cmocka_unit_test(test_mode_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
