/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor-checks - what the files of doctor share, and nobody else needs
 */
#pragma once

#include "doctor.h"

/* Set level and text of a finding. */
void doctor_say(struct doctor_finding *ret, enum doctor_level level,
		const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Set its remedy. */
void doctor_advise(struct doctor_finding *ret, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A note that @what is known to root only. */
void doctor_not_probed(struct doctor_finding *ret, const char *what);

/* Each says one thing, or leaves @ret alone where it has nothing to say. */
void doctor_check_ksm(const struct doctor_facts *f, struct doctor_finding *ret);
void doctor_check_run(const struct doctor_facts *f, struct doctor_finding *ret);
void doctor_check_manager(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_knobs(const struct doctor_facts *f,
			struct doctor_finding *ret);
void doctor_check_namespaces(const struct doctor_facts *f,
			     struct doctor_finding *ret);
void doctor_check_systemd(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_advisor(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_smart_scan(const struct doctor_facts *f,
			     struct doctor_finding *ret);
void doctor_check_counters(const struct doctor_facts *f,
			   struct doctor_finding *ret);
void doctor_check_nodes(const struct doctor_facts *f,
			struct doctor_finding *ret);
void doctor_check_process_ksm(const struct doctor_facts *f,
			      struct doctor_finding *ret);
void doctor_check_pagemap(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_pagemap_scan(const struct doctor_facts *f,
			       struct doctor_finding *ret);
void doctor_check_kpf_ksm(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_kcore(const struct doctor_facts *f,
			struct doctor_finding *ret);
void doctor_check_mglru(const struct doctor_facts *f,
			struct doctor_finding *ret);
void doctor_check_psi(const struct doctor_facts *f, struct doctor_finding *ret);
void doctor_check_hints(const struct doctor_facts *f,
			struct doctor_finding *ret);
void doctor_check_thp(const struct doctor_facts *f, struct doctor_finding *ret);
void doctor_check_ptrace(const struct doctor_facts *f,
			 struct doctor_finding *ret);
void doctor_check_yama(const struct doctor_facts *f,
		       struct doctor_finding *ret);
void doctor_check_seccomp(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_process_madvise(const struct doctor_facts *f,
				  struct doctor_finding *ret);
void doctor_check_prctl(const struct doctor_facts *f,
			struct doctor_finding *ret);
void doctor_check_unmergeable(const struct doctor_facts *f,
			      struct doctor_finding *ret);
void doctor_check_max_map_count(const struct doctor_facts *f,
				struct doctor_finding *ret);
void doctor_check_root(const struct doctor_facts *f,
		       struct doctor_finding *ret);
void doctor_check_daemon_rights(const struct doctor_facts *f,
				struct doctor_finding *ret);
void doctor_check_configuration(const struct doctor_facts *f,
				struct doctor_finding *ret);
void doctor_check_domains(const struct doctor_facts *f,
			  struct doctor_finding *ret);
void doctor_check_dsa(const struct doctor_facts *f, struct doctor_finding *ret);
