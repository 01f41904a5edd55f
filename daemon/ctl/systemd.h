/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * systemd - what its manager is asked, over its own D-Bus interface
 *
 * The functions say on stderr in one sentence what went wrong, and return 0 or
 * negative errno; then outputs are untouched.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "unitname.h"
#include "vec.h"

struct systemd_unit {
	char id[UNIT_NAME_MAX]; /* its own name, if it was called by an alias */
	bool loaded; /* false: there is none, or it is masked or broken */
	char state[32]; /* why: "not-found", "masked", ... */
	bool active;
	bool memory_ksm; /* MemoryKSM=, as its files say now */
};

struct pids VEC(uint32_t);

/* The manager of the system, or of the user who calls. */
int systemd_open(bool user, sd_bus **ret);

/* Its major version, such as 257. */
int systemd_version(sd_bus *bus, unsigned int *ret);

int systemd_unit(sd_bus *bus, const struct unit_name *name,
		 struct systemd_unit *ret);

/* Have it read all units' files again. */
int systemd_reload(sd_bus *bus);

/* Append the processes of @name, or of all instances of a template, to @ret. */
int systemd_processes(sd_bus *bus, const struct unit_name *name,
		      struct pids *ret);
