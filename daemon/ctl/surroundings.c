/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "surroundings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "process.h"
#include "utf8.h"

/* Where PID 1 answers root, whether there is a bus or not. */
#define SYSTEMD_SOCKET	  "/run/systemd/private"
#define SYSTEMD_PATH	  "/org/freedesktop/systemd1"
#define SYSTEMD_NAME	  "org.freedesktop.systemd1"
#define SYSTEMD_INTERFACE SYSTEMD_NAME ".Manager"

/* Who writes all the time would keep us for ever. */
#define WRITES_ENOUGH 1000U

/* --- the daemon ------------------------------------------------------------ */

static enum doctor_daemon daemon_of(int r)
{
	switch (r) {
	case 0:
		return DAEMON_UP;
	case -ENOENT:
	case -ECONNREFUSED:
		return DAEMON_DOWN;
	case -EACCES:
	case -EPERM:
		return DAEMON_FORBIDDEN;
	default:
		return DAEMON_MUTE;
	}
}

/* The number after @name in /proc/PID/status, 0 if there is none. */
static uint64_t status_field(const char *status, const char *name, int base)
{
	const char *line = strstr(status, name);

	return line ? strtoull(line + strlen(name), NULL, base) : 0;
}

static struct doctor_rights rights_of(const struct root *root, pid_t pid)
{
	_cleanup_free_ char *status = NULL;
	char path[32];
	size_t len;

	snprintf(path, sizeof(path), "%d/status", pid);
	if (file_read_all(root->proc, path, &status, &len) < 0)
		return (struct doctor_rights){ 0 };
	return (struct doctor_rights){ true,
				       status_field(status, "\nCapEff:", 16) };
}

/* One of the daemon's children, by its name; 0: it has none now. */
static pid_t injector_of(const struct root *root, pid_t daemon)
{
	_cleanup_free_ char *children = NULL;
	char path[64], *at, *end;
	size_t len;

	snprintf(path, sizeof(path), "%d/task/%d/children", daemon, daemon);
	if (file_read_all(root->proc, path, &children, &len) < 0)
		return 0;
	for (at = children;; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);
		struct process_stat st;

		if (end == at)
			return 0;
		if (!process_stat_read(root, pid, &st) &&
		    !strncmp(st.comm, "ksmd-plus-inj", 13))
			return pid;
	}
}

void surroundings_daemon(const struct root *root, const char *socket,
			 struct doctor_facts *f)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_status_clear) struct client_status status = { 0 };
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	f->daemon = daemon_of(client_open(socket, &bus));
	if (f->daemon != DAEMON_UP || client_get_status(bus, &status) < 0)
		return;
	f->n_warnings = (unsigned int)status.n_warnings;
	if (f->n_warnings)
		utf8_clean(status.warnings[0].sentence, f->warning,
			   sizeof(f->warning));
	/* a pid is 0 where it means nobody whom we can see */
	if (getsockopt(sd_bus_get_fd(bus), SOL_SOCKET, SO_PEERCRED, &peer,
		       &len) < 0 ||
	    !peer.pid)
		return;
	f->daemon_rights = rights_of(root, peer.pid);
	peer.pid = injector_of(root, peer.pid);
	if (peer.pid)
		f->injector_rights = rights_of(root, peer.pid);
}

/* --- systemd --------------------------------------------------------------- */

/* Root by PID 1's own socket, others by the bus, if there is one. */
static int systemd_open(sd_bus **ret)
{
	return client_open(SYSTEMD_SOCKET, ret) == 0 ? 0
						     : sd_bus_open_system(ret);
}

static void units_read(sd_bus_message *reply, struct doctor_facts *f)
{
	const char *name, *active;

	if (sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0)
		return;
	while (sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL,
				   &active, NULL, NULL, NULL, NULL, NULL,
				   NULL) > 0) {
		size_t n = strlen(f->units), stem = strcspn(name, ".");
		bool is_process = false;

		for (size_t i = 0; i < f->n_rivals; i++)
			is_process |= strlen(f->rivals[i].name) == stem &&
				      !strncmp(f->rivals[i].name, name, stem);
		if (!strcmp(active, "active") && !is_process)
			snprintf(f->units + n, sizeof(f->units) - n, "%s%s",
				 n ? " " : "", name);
	}
}

void surroundings_systemd(struct doctor_facts *f)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	sd_bus_message *call = NULL, *reply = NULL;
	char *version = NULL;

	if (systemd_open(&bus) < 0)
		return;
	sd_bus_set_method_call_timeout(bus, 5 * USEC_PER_SEC);
	if (sd_bus_get_property_string(bus, SYSTEMD_NAME, SYSTEMD_PATH,
				       SYSTEMD_INTERFACE, "Version", NULL,
				       &version) >= 0)
		f->systemd = (unsigned int)strtoul(
			version + strspn(version, "v"), NULL, 10);
	if (sd_bus_message_new_method_call(bus, &call, SYSTEMD_NAME,
					   SYSTEMD_PATH, SYSTEMD_INTERFACE,
					   "ListUnitsByNames") >= 0 &&
	    sd_bus_message_append_strv(call, (char **)rivals_units) >= 0 &&
	    sd_bus_call(bus, call, 0, NULL, &reply) >= 0)
		units_read(reply, f);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(call);
	free(version);
}

/* --- ourselves ------------------------------------------------------------- */

void surroundings_self(const struct root *root, struct doctor_facts *f)
{
	_cleanup_free_ char *status = NULL;
	unsigned long first, outside, n;
	struct process_stat kthreadd;
	char map[128];
	size_t len;

	f->root = geteuid() == 0;
	f->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	if (file_read(root->proc, "self/uid_map", map, sizeof(map)) > 0 &&
	    sscanf(map, "%lu %lu %lu", &first, &outside, &n) == 3)
		f->user_namespace = first || outside || n != UINT32_MAX;
	/* whom /proc hides the others' processes from knows nothing */
	f->pid_namespace = f->root && (process_stat_read(root, 2, &kthreadd) ||
				       !kthreadd.kernel_thread);
	if (file_read_all(root->proc, "self/status", &status, &len) < 0)
		return;
	f->capabilities = status_field(status, "\nCapEff:", 16);
	f->bounding = status_field(status, "\nCapBnd:", 16);
	f->seccomp = (unsigned int)status_field(status, "\nSeccomp:", 10);
}

/* --- the knobs ------------------------------------------------------------- */

void surroundings_watch(const struct root *root, const struct knobwatch *watch,
			uint64_t until_usec, struct doctor_facts *f)
{
	static const char ours[] = "ksmd-plus";
	struct knobwrite w;

	while (f->n_writes < WRITES_ENOUGH &&
	       !knobwatch_next(watch, root, until_usec, &w)) {
		if (!strncmp(w.comm, ours, strlen(ours)))
			continue;
		f->write = w;
		f->n_writes++;
	}
}
