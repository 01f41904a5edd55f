/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else is on this machine: other managers, systemd, walls around us.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "doctor-checks.h"
#include "utf8.h"

static void append(char *text, size_t size, const char *between,
		   const char *what)
{
	size_t n = strlen(text);

	if (*what && !strstr(text, what))
		snprintf(text + n, size - n, "%s%s", n ? between : "", what);
}

void doctor_check_manager(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	char who[256] = "", remedies[288] = "", text[192];
	bool several = f->n_rivals + !!*f->units > 1;

	if (!f->n_rivals && !*f->units) {
		doctor_say(ret, DOCTOR_OK, "No other program steers KSM.");
		return;
	}
	for (size_t i = 0; i < f->n_rivals; i++) {
		const struct rival *r = &f->rivals[i];

		snprintf(text, sizeof(text),
			 r->pid ? "%s (pid %" PRId32 ")" : "%s", r->name,
			 r->pid);
		append(who, sizeof(who), ", ", text);
		append(remedies, sizeof(remedies), "; ", r->remedy);
	}
	append(who, sizeof(who), ", ", f->units);
	if (*f->units) {
		snprintf(text, sizeof(text), "systemctl disable --now %s",
			 f->units);
		append(remedies, sizeof(remedies), "; ", text);
	}
	doctor_say(
		ret, DOCTOR_WARNING,
		"%s steer%s KSM too, or does its work. When another program writes a knob, ksmd-plus leaves that knob alone.",
		who, several ? "" : "s");
	doctor_advise(ret, "Run one of the two: %s", remedies);
}

void doctor_check_knobs(const struct doctor_facts *f,
			struct doctor_finding *ret)
{
	double seconds = (double)f->watched_usec / USEC_PER_SEC;
	char name[64];

	if (!f->kernel.ksm)
		return;
	if (!f->watched) {
		if (f->root)
			doctor_say(
				ret, DOCTOR_NOTE,
				"The knobs cannot be watched (fanotify): who writes them is not known.");
		else
			doctor_not_probed(ret, "who writes KSM's knobs");
		return;
	}
	if (!f->n_writes) {
		doctor_say(
			ret, DOCTOR_OK,
			"Nobody but the daemon wrote KSM's knobs within %.1f s; ksmtuned does every 60 s (--watch=70).",
			seconds);
		return;
	}
	doctor_say(
		ret, DOCTOR_WARNING,
		"%s (pid %d) wrote %s while the knobs were watched, and %u writes were seen within %.1f s: ksmd-plus leaves knobs alone that others write.",
		*f->write.comm ? utf8_clean(f->write.comm, name, sizeof(name))
			       : "a program that has ended",
		f->write.pid, f->write.knob, f->n_writes, seconds);
	doctor_advise(
		ret,
		"Find out what that program is (ps %d), and let one program steer KSM.",
		f->write.pid);
}

void doctor_check_namespaces(const struct doctor_facts *f,
			     struct doctor_finding *ret)
{
	if (f->user_namespace) {
		doctor_say(
			ret, DOCTOR_PROBLEM,
			"We are in a user namespace: whatever capabilities there are, they do not hold for the machine's processes.");
		doctor_advise(
			ret,
			"Run ksmd-plus on the host itself, not in an unprivileged container.");
	} else if (f->pid_namespace) {
		doctor_say(
			ret, DOCTOR_WARNING,
			"We are in a container: only its own processes can be seen and merged, while KSM's knobs are the host's.");
		doctor_advise(
			ret,
			"Run ksmd-plus on the host itself, or share the host's process ids with the container.");
	} else {
		doctor_say(ret, DOCTOR_OK,
			   "All processes of the machine can be seen.");
	}
}

/* MemoryKSM= came with systemd 254; enable wants it to be dependable. */
void doctor_check_systemd(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	if (!f->systemd) {
		doctor_say(
			ret, DOCTOR_NOTE,
			"systemd does not run here, or does not answer: no unit can be given MemoryKSM=.");
	} else if (f->systemd >= 256) {
		doctor_say(ret, DOCTOR_OK,
			   "systemd %u: units can have MemoryKSM=.",
			   f->systemd);
	} else {
		doctor_say(
			ret, DOCTOR_NOTE,
			"systemd %u is older than 256: MemoryKSM= is missing or not dependable; services are named in [target] sections instead.",
			f->systemd);
	}
}
