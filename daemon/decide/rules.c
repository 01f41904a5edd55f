/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How globs meet names:
 *
 *   A backslash is itself (FNM_NOESCAPE): systemd writes "\x2d" into the names
 *   of units, Active Directory "CORP\anna" into those of users.
 *   In paths, "*" and "?" stop at a slash, as in a shell (FNM_PATHNAME):
 *   /usr/bin/python3* does not reach into a directory.
 *   A cgroup contains what is below it (FNM_LEADING_DIR), as everywhere else
 *   where cgroups are matched: a service that makes sub-cgroups is matched by
 *   the path of the service.
 *
 * The built-in list compares names itself: nothing in it may depend on how
 * a pattern is understood.
 */
#include "rules.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* The kernel keeps 15 bytes of a name (TASK_COMM_LEN - 1). */
#define COMM_LEN 15

struct keeper {
	const char *name; /* a "*" at its end matches any rest */
	const char *rule;
};

#define KEEPER(name)                                                           \
	{                                                                      \
		name, "built-in: keeps secrets (" name ")"                     \
	}

/*
 * Programs whose business is passwords and keys. Merging makes the timing of
 * their writes tell others what their pages hold; no saving is worth that.
 * Matched by the name of the process or of its executable: the first can be
 * set by the process itself, so either is enough.
 */
/* clang-format off */
static const struct keeper keepers[] = {
	/* logging in, and becoming somebody else */
	KEEPER("sshd*"),
	KEEPER("dropbear*"),
	KEEPER("login"),
	KEEPER("agetty"),
	KEEPER("gdm*"),
	KEEPER("sddm*"),
	KEEPER("lightdm*"),
	KEEPER("su"),
	KEEPER("sudo*"),
	KEEPER("doas"),
	KEEPER("passwd"),
	KEEPER("chpasswd"),
	KEEPER("unix_chkpwd"),
	KEEPER("pkexec"),
	KEEPER("polkit*"),
	KEEPER("fprintd"),
	KEEPER("swaylock"),
	KEEPER("i3lock"),
	KEEPER("kscreenlocker*"),
	KEEPER("xscreensaver*"),
	/* agents and whoever talks to them */
	KEEPER("ssh"),
	KEEPER("ssh-*"),
	KEEPER("gpg*"),
	KEEPER("keyboxd"),
	KEEPER("scdaemon"),
	KEEPER("pinentry*"),
	KEEPER("yubikey-agent"),
	/* password stores */
	KEEPER("gnome-keyring*"),
	KEEPER("kwallet*"),
	KEEPER("ksecretd"),
	KEEPER("secret-tool"),
	KEEPER("seahorse*"),
	KEEPER("keepass*"),
	KEEPER("bitwarden*"),
	KEEPER("vaultwarden"),
	KEEPER("rbw*"),
	KEEPER("1password*"),
	KEEPER("pass"),
	KEEPER("gopass*"),
	/* key stores, tokens, TPMs (swtpm: those of virtual machines) */
	KEEPER("vault"),
	KEEPER("bao"),
	KEEPER("p11-kit*"),
	KEEPER("pcscd"),
	KEEPER("softhsm2*"),
	KEEPER("pkcs11*"),
	KEEPER("tpm2-abrmd"),
	KEEPER("tcsd"),
	KEEPER("swtpm*"),
	KEEPER("certmonger"),
	/* keys of disks and homes */
	KEEPER("cryptsetup*"),
	KEEPER("veracrypt*"),
	KEEPER("fscrypt"),
	KEEPER("gocryptfs"),
	KEEPER("clevis*"),
	KEEPER("tangd"),
	KEEPER("systemd-home*"),
	KEEPER("systemd-crypt*"),
	KEEPER("systemd-creds"),
	KEEPER("systemd-ask-password"),
	KEEPER("systemd-tty-ask-password*"),
	/* Kerberos and directories of users */
	KEEPER("krb5*"),
	KEEPER("kadmin*"),
	KEEPER("kdc"),
	KEEPER("kinit"),
	KEEPER("gssproxy"),
	KEEPER("rpc.gssd"),
	KEEPER("sssd*"),
	KEEPER("ldap_child"),
	KEEPER("p11_child"),
	KEEPER("winbindd"),
};
/* clang-format on */

/* What `ksmd-plusctl run` starts is a target that nobody wrote down. */
static const struct rule_target run_target = {
	.name = (char *)"run",
	.mode = MODE_SELECTIVE,
	.domain = (char *)"",
	.file = (char *)"",
};

static const int glob_flags[RULE_KEY_MAX_] = {
	[RULE_UNIT] = FNM_NOESCAPE,
	[RULE_CGROUP] = FNM_NOESCAPE | FNM_PATHNAME | FNM_LEADING_DIR,
	[RULE_EXE] = FNM_NOESCAPE | FNM_PATHNAME,
	[RULE_COMM] = FNM_NOESCAPE,
	[RULE_USER] = FNM_NOESCAPE,
};

static const char *const mode_names[MODE_MAX_] = {
	[MODE_EXCLUDE] = "exclude", [MODE_OBSERVE] = "observe",
	[MODE_MANAGED] = "managed", [MODE_SELECTIVE] = "selective",
	[MODE_WHOLE] = "whole",
};

/* Only @len bytes of @name are known: it may have been cut there. */
static bool keeper_is(const struct keeper *keeper, const char *name, size_t len)
{
	size_t n = strlen(keeper->name);

	if (keeper->name[n - 1] == '*')
		return strncmp(name, keeper->name, MIN(n - 1, len)) == 0;
	return strncmp(name, keeper->name, len) == 0;
}

static const char *keeper_rule(const struct rule_subject *subject)
{
	const char *comm = subject->keys[RULE_COMM];
	const char *exe = subject->keys[RULE_EXE];
	const char *slash = exe ? strrchr(exe, '/') : NULL;

	if (slash)
		exe = slash + 1;
	for (size_t i = 0; i < ARRAY_SIZE(keepers); i++)
		if ((comm && keeper_is(&keepers[i], comm, COMM_LEN)) ||
		    (exe && keeper_is(&keepers[i], exe, SIZE_MAX)))
			return keepers[i].rule;
	return NULL;
}

/* What no target can override; NULL if there is no such reason. */
static const char *never_rule(const struct rule_subject *subject,
			      enum reason *ret_reason)
{
	const char *keeper = keeper_rule(subject);

	if (subject->pid == 1) {
		*ret_reason = REASON_PID_1;
		return "built-in: PID 1";
	}
	if (subject->kernel_thread) {
		*ret_reason = REASON_KERNEL_THREAD;
		return "built-in: kernel thread";
	}
	if (subject->ourselves) {
		*ret_reason = REASON_OURSELVES;
		return "built-in: part of ksmd-plus";
	}
	if (subject->not_dumpable) {
		*ret_reason = REASON_NOT_DUMPABLE;
		return "built-in: not dumpable";
	}
	if (keeper)
		*ret_reason = REASON_KEEPS_SECRETS;
	return keeper;
}

/* Why not all of a process in @mode is merged, if the mode is why. */
static enum reason mode_reason(enum mode mode)
{
	switch (mode) {
	case MODE_EXCLUDE:
		return REASON_EXCLUDED;
	case MODE_OBSERVE:
		return REASON_OBSERVED;
	case MODE_MANAGED:
		return REASON_MANAGED;
	default:
		return REASON_NONE;
	}
}

static bool globs_match(const struct rule_globs *globs, const char *text,
			int flags)
{
	if (globs->n == 0)
		return true;
	if (!text)
		return false;
	for (size_t i = 0; i < globs->n; i++)
		if (fnmatch(globs->v[i], text, flags) == 0)
			return true;
	return false;
}

static bool target_matches(const struct rule_target *target,
			   const struct rule_subject *subject)
{
	for (int k = 0; k < RULE_KEY_MAX_; k++)
		if (!globs_match(&target->keys[k], subject->keys[k],
				 glob_flags[k]))
			return false;
	return true;
}

struct rule_verdict rules_judge(const struct rules *rules,
				const struct rule_subject *subject)
{
	enum reason reason;
	const char *never = never_rule(subject, &reason);

	if (never)
		return (struct rule_verdict){ MODE_EXCLUDE, NULL, never,
					      reason };
	for (size_t i = 0; i < rules->n_targets; i++) {
		const struct rule_target *t = &rules->targets[i];

		if (!target_matches(t, subject))
			continue;
		/* to start it so was to ask for more than the file says */
		if (subject->adopted && t->mode != MODE_EXCLUDE)
			break;
		return (struct rule_verdict){ t->mode, t, t->name,
					      mode_reason(t->mode) };
	}
	if (subject->adopted)
		return (struct rule_verdict){ run_target.mode, &run_target,
					      "started by ksmd-plusctl run",
					      mode_reason(run_target.mode) };
	if (subject->self_registered)
		return (struct rule_verdict){ MODE_MANAGED, NULL,
					      "registered its own memory",
					      REASON_MANAGED };
	return (struct rule_verdict){ MODE_EXCLUDE, NULL, "not named",
				      REASON_NOT_NAMED };
}

/* FNV-1a */
uint32_t rules_domain(const struct rule_target *target)
{
	uint32_t hash = 2166136261U;

	if (!target || !target->domain || !*target->domain)
		return 0;
	for (const char *p = target->domain; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	return hash ? hash : 1;
}

void rule_target_clear(struct rule_target *target)
{
	for (int k = 0; k < RULE_KEY_MAX_; k++) {
		for (size_t i = 0; i < target->keys[k].n; i++)
			free(target->keys[k].v[i]);
		free(target->keys[k].v);
	}
	free(target->name);
	free(target->domain);
	free(target->file);
	*target = (struct rule_target){ 0 };
}

void rules_clear(struct rules *rules)
{
	for (size_t i = 0; i < rules->n_targets; i++)
		rule_target_clear(&rules->targets[i]);
	free(rules->targets);
	*rules = (struct rules){ 0 };
}

const char *mode_name(enum mode mode)
{
	return (unsigned int)mode < MODE_MAX_ ? mode_names[mode] : NULL;
}

enum mode mode_from_name(const char *name)
{
	for (int m = 0; m < MODE_MAX_; m++)
		if (strcmp(mode_names[m], name) == 0)
			return (enum mode)m;
	return MODE_MAX_;
}
