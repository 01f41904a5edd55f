/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus daemon stands between us and the clients: it knows who may send what
 * (etc/dbus/org.ksmdplus1.conf), and a client that does not read is its
 * matter. What is left for us to bound is what waits to be written, and what
 * waits for an authority.
 *
 * Nothing here waits: connecting, the name and every question are answered in
 * callbacks. A connection that breaks is replaced after a second, then two,
 * then four, up to a minute. The daemon is never started by the bus: merging
 * is somebody's decision, and a look at the savings is not that decision.
 */
#include "bus.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/control.h>
#include <ksmd-plus/journal.h>

#include "authority.h"
#include "cleanup.h"
#include "clock.h"
#include "face.h"
#include "log.h"

#define RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define RETRY_MAX_USEC (60 * USEC_PER_SEC)
/* Messages, mostly small, that the bus daemon has not taken from us yet. */
#define WAITING_MAX 256
/* As on the private socket: after the daemon's own work. */
#define BUS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* What the journal was told last. */
enum told { TOLD_NOTHING, TOLD_OWNED, TOLD_ABSENT, TOLD_LOST, TOLD_REFUSED };

struct bus {
	sd_event *event;
	sd_event_source *retry;
	uint64_t retry_usec;
	char *address;
	sd_bus *bus; /* NULL while there is none */
	bool owned; /* it has given us our name */
	enum told told;
	struct authority *authority;
	struct face face;
};

static void bus_drop(struct bus *b)
{
	b->owned = false;
	b->authority = authority_free(b->authority);
	/* Not flushed: that would wait for the bus daemon. */
	b->bus = sd_bus_close_unref(b->bus);
}

static void retry_later(struct bus *b)
{
	sd_event_source_set_time(b->retry,
				 clock_usec(CLOCK_MONOTONIC) + b->retry_usec);
	sd_event_source_set_enabled(b->retry, SD_EVENT_ONESHOT);
	b->retry_usec = MIN(2 * b->retry_usec, RETRY_MAX_USEC);
}

static void tell(struct bus *b, enum told what, int error)
{
	if (b->told == what)
		return;
	b->told = what;
	switch (what) {
	case TOLD_OWNED:
		log_event(LOG_INFO, JOURNAL_BUS, NULL,
			  CONTROL_NAME " is on the system bus");
		break;
	case TOLD_ABSENT:
		log_event(LOG_INFO, JOURNAL_BUS_ABSENT, NULL,
			  "There is no system bus (%s): " CONTROL_NAME
			  " is on the private socket alone",
			  strerror(error));
		break;
	case TOLD_LOST:
		log_event(LOG_NOTICE, JOURNAL_BUS_ABSENT, NULL,
			  "The system bus is gone; looking for it again");
		break;
	default:
		log_event(LOG_WARNING, JOURNAL_BUS_REFUSED, NULL,
			  "The system bus refuses the name " CONTROL_NAME
			  ": %s",
			  strerror(error));
	}
}

/* The connection is of no use: close it, and try again later. */
static void give_up(struct bus *b, enum told what, int error)
{
	if (what == TOLD_ABSENT && b->told != TOLD_NOTHING)
		what = b->told == TOLD_OWNED ? TOLD_LOST : b->told;
	bus_drop(b);
	tell(b, what, error);
	retry_later(b);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uint64_t waiting = 0;

	(void)error;
	if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local",
				     "Disconnected")) {
		give_up(b, TOLD_ABSENT, ECONNRESET);
		return 1;
	}
	/* With so much waiting one question more is not even refused. */
	return sd_bus_message_is_method_call(m, NULL, NULL) > 0 &&
	       sd_bus_get_n_queued_write(b->bus, &waiting) >= 0 &&
	       waiting > WAITING_MAX;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uint32_t answer = 0;

	(void)error;
	if (!b->bus)
		return 1;
	if (sd_bus_message_is_method_error(m, NULL)) {
		int code = sd_bus_message_get_errno(m);

		/* "Disconnected" follows */
		if (code != ECONNRESET && code != ENOTCONN)
			give_up(b, TOLD_REFUSED, code);
	} else if (sd_bus_message_read(m, "u", &answer) < 0 || answer != 1) {
		/* 1: DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER */
		give_up(b, TOLD_REFUSED, EEXIST);
	} else {
		b->owned = true;
		b->retry_usec = RETRY_MIN_USEC;
		tell(b, TOLD_OWNED, 0);
	}
	return 1;
}

static int connect_to(struct bus *b)
{
	int r = sd_bus_new(&b->bus);

	if (r < 0 || (r = sd_bus_set_address(b->bus, b->address)) < 0 ||
	    (r = sd_bus_set_bus_client(b->bus, 1)) < 0 ||
	    (r = sd_bus_negotiate_fds(b->bus, 0)) < 0 ||
	    (r = sd_bus_add_filter(b->bus, NULL, on_message, b)) < 0 ||
	    (r = face_show(&b->face, b->bus)) < 0 ||
	    (r = sd_bus_start(b->bus)) < 0 ||
	    (r = sd_bus_attach_event(b->bus, b->event, BUS_PRIORITY)) < 0 ||
	    (r = authority_new(b->bus, &b->authority)) < 0)
		return r;
	b->face.caller.authority = b->authority;
	/* Not queued: whoever has the name already is another daemon's. */
	return sd_bus_request_name_async(b->bus, NULL, CONTROL_NAME, 0, on_name,
					 b);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus *b = userdata;
	int r = connect_to(b);

	(void)source;
	(void)usec;
	if (r < 0)
		give_up(b, TOLD_ABSENT, -r);
	return 0;
}

void bus_each(const struct bus *bus, void (*call)(sd_bus *bus, void *userdata),
	      void *userdata)
{
	uint64_t waiting = 0;

	if (bus && bus->owned &&
	    sd_bus_get_n_queued_write(bus->bus, &waiting) >= 0 &&
	    waiting <= WAITING_MAX)
		call(bus->bus, userdata);
}

int bus_new(sd_event *event, const char *address, const struct control_ops *ops,
	    void *userdata, struct bus **ret)
{
	struct bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->event = event;
	b->retry_usec = RETRY_MIN_USEC;
	b->face.caller.ops = ops;
	b->face.caller.userdata = userdata;
	b->address = strdup(address);
	r = b->address ? sd_event_add_time(event, &b->retry, CLOCK_MONOTONIC, 0,
					   USEC_PER_MSEC, on_retry, b)
		       : -ENOMEM;
	if (r < 0) {
		bus_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;
	bus_drop(bus);
	sd_event_source_disable_unref(bus->retry);
	free(bus->address);
	free(bus);
	return NULL;
}
