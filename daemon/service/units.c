/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "units.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "unitname.h"

#define KNOWN_USEC (60 * USEC_PER_SEC)
/* Units whose processes register memory are few; a bound for the rest. */
#define UNITS_MAX 512U

struct unit {
	struct unit *next;
	struct unit_name name;
	bool on;
	uint64_t asked_usec; /* 0: never */
	sd_bus_slot *slot; /* of the question */
};

struct units {
	void (*each)(void *userdata, void (*call)(sd_bus *bus, void *arg),
		     void *arg);
	void *userdata;
	struct unit *first;
	size_t n;
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct unit *unit = userdata;
	int on = 0;

	(void)error;
	unit->slot = sd_bus_slot_unref(unit->slot);
	/* before 254 there is no such property */
	unit->on = !sd_bus_message_is_method_error(m, NULL) &&
		   sd_bus_message_read(m, "v", "b", &on) >= 0 && on;
	return 1;
}

static void ask(sd_bus *bus, void *arg)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *path = NULL;
	struct unit *unit = arg;

	unit->asked_usec = clock_usec(CLOCK_MONOTONIC);
	/* a connection that is gone never answers */
	unit->slot = sd_bus_slot_unref(unit->slot);
	if (sd_bus_path_encode("/org/freedesktop/systemd1/unit",
			       unit->name.name, &path) < 0 ||
	    sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1",
					   path,
					   "org.freedesktop.DBus.Properties",
					   "Get") < 0 ||
	    sd_bus_message_append(m, "ss", unit->name.interface, "MemoryKSM") <
		    0 ||
	    sd_bus_message_set_auto_start(m, 0) < 0)
		return;
	sd_bus_call_async(bus, &unit->slot, m, on_answer, unit, 0);
}

/* NULL where nothing can be known. */
static struct unit *unit_of(struct units *units, const char *name)
{
	struct unit_name parsed;
	struct unit *unit;

	for (unit = units->first; unit; unit = unit->next)
		if (!strcmp(unit->name.name, name))
			return unit;
	if (units->n == UNITS_MAX || unit_name_parse(name, &parsed))
		return NULL;
	unit = calloc(1, sizeof(*unit));
	if (!unit)
		return NULL;
	unit->name = parsed;
	unit->next = units->first;
	units->first = unit;
	units->n++;
	return unit;
}

bool units_memory_ksm(struct units *units, const char *name)
{
	struct unit *unit = units && name ? unit_of(units, name) : NULL;

	if (!unit)
		return false;
	if (!unit->asked_usec ||
	    clock_usec(CLOCK_MONOTONIC) >= unit->asked_usec + KNOWN_USEC)
		units->each(units->userdata, ask, unit);
	return unit->on;
}

int units_new(void (*each)(void *userdata, void (*call)(sd_bus *bus, void *arg),
			   void *arg),
	      void *userdata, struct units **ret)
{
	struct units *units = calloc(1, sizeof(*units));

	if (!units)
		return -ENOMEM;
	units->each = each;
	units->userdata = userdata;
	*ret = units;
	return 0;
}

struct units *units_free(struct units *units)
{
	struct unit *unit, *next;

	if (!units)
		return NULL;
	for (unit = units->first; unit; unit = next) {
		next = unit->next;
		sd_bus_slot_unref(unit->slot);
		free(unit);
	}
	free(units);
	return NULL;
}
