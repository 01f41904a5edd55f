/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: what is wrong in it, and what its domains do not keep
 * apart.
 */
#include <inttypes.h>

#include <ksmd-plus/types.h>

#include "doctor-checks.h"

void doctor_check_configuration(const struct doctor_facts *f,
				struct doctor_finding *ret)
{
	if (!f->n_faults)
		return;
	doctor_say(ret, DOCTOR_WARNING, "The configuration has %u fault%s: %s",
		   f->n_faults, f->n_faults == 1 ? "" : "s", f->fault);
	doctor_advise(ret, "ksmd-plus --check-config names each");
}

void doctor_check_domains(const struct doctor_facts *f,
			  struct doctor_finding *ret)
{
	const struct overlap *o = &f->overlap;

	if (!f->domains)
		return;
	if (!o->known) {
		if (!f->root)
			doctor_not_probed(ret, "what several domains share");
		else
			doctor_say(
				ret, DOCTOR_NOTE,
				"The configuration names domains; what they share cannot be counted (/proc/kpageflags).");
	} else if (!o->frames) {
		doctor_say(ret, DOCTOR_OK,
			   "No merged page is mapped by several domains.");
	} else {
		doctor_say(
			ret, DOCTOR_NOTE,
			"%s%" PRIu64 " merged page%s (%" PRIu64
			" KiB) are mapped by processes of several domains: each domain held duplicates of its own, and KSM's pool is one for the machine.",
			o->exact ? "" : "Up to ", o->frames,
			o->frames == 1 ? "" : "s",
			(uint64_t)(o->frames * (PAGE_BYTES / 1024)));
		doctor_advise(
			ret,
			"Nothing needs to be done unless they must not learn of one another: then let only one of them merge (mode = exclude, and no registration of its own).");
	}
}
