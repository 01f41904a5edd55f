/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "systemd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"

#define SERVICE	  "org.freedesktop.systemd1"
#define OBJECT	  "/org/freedesktop/systemd1"
#define MANAGER	  "org.freedesktop.systemd1.Manager"
#define INTERFACE "org.freedesktop.systemd1.Unit"

/* A reload reads every unit of a large machine, and runs all generators. */
#define RELOAD_USEC (180 * USEC_PER_SEC)

static int failed(int r, const char *what, const sd_bus_error *error)
{
	log_error("systemd refuses %s: %s", what,
		  error->message ? error->message : strerror(-r));
	return r;
}

int systemd_open(bool user, sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	if (sd_booted() <= 0) {
		log_error(
			"systemd does not run here, and MemoryKSM= is a setting of its units. A [target] section of the configuration names programs without it, and `ksmd-plusctl run` starts one.");
		return -EOPNOTSUPP;
	}
	r = user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
	if (r < 0) {
		log_error_errno(r, "Cannot reach systemd over the %s bus",
				user ? "user's" : "system");
		return r;
	}
	*ret = TAKE_PTR(bus);
	return 0;
}

int systemd_version(sd_bus *bus, unsigned int *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *text = NULL;
	int r = sd_bus_get_property_string(bus, SERVICE, OBJECT, MANAGER,
					   "Version", &error, &text);

	if (r < 0)
		return failed(r, "to tell its version", &error);
	/* "257.8-1~deb13u1"; a build from git says "v258~devel" */
	*ret = (unsigned int)strtoul(text + (*text == 'v'), NULL, 10);
	return 0;
}

/* Its properties; what is missing, as MemoryKSM before 254, is left as it is. */
static int unit_read(sd_bus *bus, const char *path,
		     const struct unit_name *name, struct systemd_unit *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *id = NULL, *load = NULL, *active = NULL;
	struct systemd_unit unit = { 0 };
	int r, on = 0;

	r = sd_bus_get_property_string(bus, SERVICE, path, INTERFACE, "Id",
				       &error, &id);
	if (r >= 0)
		r = sd_bus_get_property_string(bus, SERVICE, path, INTERFACE,
					       "LoadState", &error, &load);
	if (r >= 0)
		r = sd_bus_get_property_string(bus, SERVICE, path, INTERFACE,
					       "ActiveState", &error, &active);
	if (r < 0)
		return failed(r, "to tell of the unit", &error);
	snprintf(unit.id, sizeof(unit.id), "%s", id);
	snprintf(unit.state, sizeof(unit.state), "%s", load);
	unit.loaded = !strcmp(load, "loaded");
	unit.active = strcmp(active, "inactive") != 0 &&
		      strcmp(active, "failed") != 0;
	if (sd_bus_get_property_trivial(bus, SERVICE, path, name->interface,
					"MemoryKSM", NULL, 'b', &on) >= 0)
		unit.memory_ksm = on;
	*ret = unit;
	return 0;
}

int systemd_unit(sd_bus *bus, const struct unit_name *name,
		 struct systemd_unit *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *path;
	int r = sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER, "LoadUnit",
				   &error, &reply, "s", name->name);

	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return failed(r, "to load the unit", &error);
	return unit_read(bus, path, name, ret);
}

int systemd_reload(sd_bus *bus)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(bus, &call, SERVICE, OBJECT,
					       MANAGER, "Reload");

	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(call, 1);
	if (r >= 0)
		r = sd_bus_call(bus, call, RELOAD_USEC, &error, NULL);
	return r < 0 ? failed(r, "to read its units again", &error) : 0;
}

static int unit_processes(sd_bus *bus, const char *name, struct pids *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint32_t pid;
	int r = sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER,
				   "GetUnitProcesses", &error, &reply, "s",
				   name);

	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(sus)");
	while (r >= 0 &&
	       (r = sd_bus_message_read(reply, "(sus)", NULL, &pid, NULL)) > 0)
		r = vec_push(ret, pid);
	return r < 0 ? failed(r, "to list the unit's processes", &error) : 0;
}

int systemd_processes(sd_bus *bus, const struct unit_name *name,
		      struct pids *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	char pattern[2 * UNIT_NAME_MAX];
	const char *id, *dot = strrchr(name->name, '.');
	int r;

	if (!name->template)
		return unit_processes(bus, name->name, ret);
	snprintf(pattern, sizeof(pattern), "%.*s*%s", (int)(dot - name->name),
		 name->name, dot);
	r = sd_bus_call_method(bus, SERVICE, OBJECT, MANAGER,
			       "ListUnitsByPatterns", &error, &reply, "asas", 1,
			       "active", 1, pattern);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
	while (r >= 0 &&
	       (r = sd_bus_message_read(reply, "(ssssssouso)", &id, NULL, NULL,
					NULL, NULL, NULL, NULL, NULL, NULL,
					NULL)) > 0) {
		r = unit_processes(bus, id, ret);
		if (r < 0)
			return r;
	}
	return r < 0 ? failed(r, "to list the instances", &error) : 0;
}
