/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * surroundings - what doctor asks others for: systemd, the daemon, the kernel
 * about us
 *
 * Each fills in its part of the facts and leaves alone what it cannot find out.
 */
#pragma once

#include "doctor.h"
#include "files.h"

/* The daemon, by its @socket, with its warnings and rights. */
void surroundings_daemon(const struct root *root, const char *socket,
			 struct doctor_facts *facts);

/* systemd's version, and which units of other managers are active. */
void surroundings_systemd(struct doctor_facts *facts);

/* Ourselves: rights, and the namespaces that we are in. */
void surroundings_self(const struct root *root, struct doctor_facts *facts);

/* Who writes the knobs of @watch until @until_usec. */
void surroundings_watch(const struct root *root, const struct knobwatch *watch,
			uint64_t until_usec, struct doctor_facts *facts);
