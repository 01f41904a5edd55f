/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus - the daemon's face on the system bus, where there is one
 *
 * Holds the name CONTROL_NAME as long as a bus daemon is there, and looks for
 * it again, ever more rarely, when it is not. Without one nothing is missing
 * but this: the private socket (control) does not depend on it.
 */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

struct bus;
struct control_ops;

/* @address: of the bus, copied. 0 or negative errno; no bus is no error. */
int bus_new(sd_event *event, const char *address, const struct control_ops *ops,
	    void *userdata, struct bus **ret);
struct bus *bus_free(struct bus *bus);

/* Call @call with the connection, if there is one that has the name. */
void bus_each(const struct bus *bus, void (*call)(sd_bus *bus, void *userdata),
	      void *userdata);
