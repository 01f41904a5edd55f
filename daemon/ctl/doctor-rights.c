/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capabilities: our own, by which we judge what a daemon could do that is
 * started from here, and those of the daemon that runs.
 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "doctor-checks.h"
#include "rights.h"

/* Of the injector: without them it works, and targets may wait for longer. */
#define RIGHTS_FOR_HASTE (RIGHT(CAP_IPC_LOCK) | RIGHT(CAP_SYS_NICE))

/* " CAP_A CAP_B" */
static const char *names(uint64_t rights, char *buf, size_t size)
{
	static const struct {
		int number;
		const char *name;
	} all[] = {
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
		{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
		{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH" },
		{ CAP_SYS_NICE, "CAP_SYS_NICE" },
		{ CAP_IPC_LOCK, "CAP_IPC_LOCK" },
	};
	size_t n = 0;

	*buf = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (rights & RIGHT(all[i].number))
			n += (size_t)snprintf(buf + n, size - n, " %s",
					      all[i].name);
	return buf;
}

void doctor_check_root(const struct doctor_facts *f, struct doctor_finding *ret)
{
	uint64_t missing = (RIGHTS_LOOP | RIGHTS_INJECTOR) & ~f->capabilities;
	bool vital = missing & ~RIGHT(CAP_IPC_LOCK);
	char text[128];

	if (!f->root) {
		doctor_say(
			ret, DOCTOR_NOTE,
			"Not run as root: what the daemon may do here could only partly be probed.");
		doctor_advise(ret, "sudo ksmd-plusctl doctor");
		return;
	}
	if (!missing) {
		doctor_say(ret, DOCTOR_OK,
			   "Root, with the capabilities it takes.");
		return;
	}
	doctor_say(ret, vital ? DOCTOR_PROBLEM : DOCTOR_NOTE,
		   "Root without%s: %s.", names(missing, text, sizeof(text)),
		   vital ? "other processes cannot be read or changed"
			 : "the injector could not lock its memory");
	if (missing & ~f->bounding)
		doctor_advise(
			ret,
			"Run on the host itself, or give the container these capabilities.");
	else
		doctor_advise(
			ret,
			"Run it from another shell: on the way to this one they were given up, though they can be had here.");
}

void doctor_check_daemon_rights(const struct doctor_facts *f,
				struct doctor_finding *ret)
{
	const struct doctor_rights *d = &f->daemon_rights;
	const struct doctor_rights *i = &f->injector_rights;
	uint64_t by_daemon = d->known ? RIGHTS_LOOP & ~d->effective : 0;
	uint64_t by_injector = i->known ? RIGHTS_INJECTOR & ~i->effective : 0;
	uint64_t missing = by_daemon | by_injector;
	bool vital = missing & ~RIGHTS_FOR_HASTE;
	char text[128];

	if (!d->known)
		return;
	if (!missing) {
		doctor_say(ret, DOCTOR_OK, "The daemon%s of capabilities.",
			   i->known ? " and its injector have what they need"
				    : " has what it needs");
		return;
	}
	doctor_say(
		ret, vital ? DOCTOR_PROBLEM : DOCTOR_WARNING,
		"The daemon that runs%s lacks%s: %s.",
		by_daemon ? "" : ", or rather its injector,",
		names(missing, text, sizeof(text)),
		vital ? "other processes cannot be read or changed, or sandboxed ones not"
		      : "a process may be held for longer than need be");
	doctor_advise(
		ret,
		"Give them to what starts it, and restart it: --cap-add of a container, CapabilityBoundingSet= of a unit. Or start it on the host.");
}
