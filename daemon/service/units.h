/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * units - which of systemd's units have MemoryKSM=yes
 *
 * Asked of systemd over the system bus, when somebody wants to know, and
 * remembered for a minute; the answer comes later, and is "no" until then and
 * wherever there is nobody to ask. It is for people: nothing is decided by it.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

struct units;

/* @each calls @call with the connection to the system bus, if there is one.
 * 0 or -ENOMEM. */
int units_new(void (*each)(void *userdata, void (*call)(sd_bus *bus, void *arg),
			   void *arg),
	      void *userdata, struct units **ret);
struct units *units_free(struct units *units);

/* What is known of @unit, which may be NULL. */
bool units_memory_ksm(struct units *units, const char *unit);
