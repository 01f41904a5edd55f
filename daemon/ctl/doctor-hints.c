/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How reads of files can be followed, and why not better.
 */
#include <string.h>

#include "doctor-checks.h"

#define SPARE                                                                  \
	"\"hook = auto\" lets that rest while nobody who is watched reads files, \"hook = off\" spares it"

static void advise(const struct hints_state *hints, struct doctor_finding *ret)
{
	if (strstr(hints->why, HINTS_NO_TRACEFS))
		doctor_advise(ret,
			      "mount -t tracefs tracefs /sys/kernel/tracing");
}

void doctor_check_hints(const struct doctor_facts *f,
			struct doctor_finding *ret)
{
	const struct hints_state *hints = &f->hints;

	if (!f->root) {
		doctor_not_probed(ret, "whether reads of files can be seen");
		return;
	}
	switch (hints->hook) {
	case HOOK_FENTRY:
		doctor_say(
			ret, *hints->why ? DOCTOR_NOTE : DOCTOR_OK,
			"Reads of files can be seen in the kernel's functions (fentry)%s%s: who does not read pays nothing.",
			*hints->why ? "; " : "", hints->why);
		return;
	case HOOK_TRACEPOINT:
		doctor_say(
			ret, DOCTOR_NOTE,
			"Reads of files can be seen at the tracepoints of system calls, each of which takes about 0.1 us longer then, and a read into watched memory 0.5 to 3.5 us; " SPARE
			" (%s).",
			hints->why);
		return;
	case HOOK_SYS_EXIT:
		doctor_say(
			ret, DOCTOR_NOTE,
			"Reads of files can be seen at the end of system calls, each of which takes about 0.1 us longer then, and a read into watched memory about 0.4 us; " SPARE
			" (%s).",
			hints->why);
		return;
	default:
		doctor_say(
			ret, DOCTOR_NOTE,
			"Reads of files cannot be seen (%s): duplicates that come from them are found later.",
			hints->why);
		advise(hints, ret);
	}
}
