/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * telling - the signals of the daemon, on every bus that it is on
 *
 * Once a second, more rarely where that costs much, the state is compared with
 * what was told last, and decide/news says what of it is news: then the
 * standard PropertiesChanged is sent, and a signal for each warning that came
 * or went. Pulses are told as they begin and end.
 */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

struct daemon_status;
struct pulser;
struct telling;

struct telling_env {
	sd_event *event;
	struct pulser *pulser; /* its pulses are told; outlives this */
	void (*status)(void *userdata, struct daemon_status *ret);
	/* Call @call for each connection that is to hear of it. */
	void (*each)(void *userdata, void (*call)(sd_bus *bus, void *arg),
		     void *arg);
	void *userdata;
};

/* 0 or negative errno. */
int telling_new(const struct telling_env *env, struct telling **ret);
struct telling *telling_free(struct telling *telling);
