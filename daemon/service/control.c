/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peer to peer: each accepted socket becomes an sd_bus in server mode of its
 * own. A client proves who it is with EXTERNAL, which sd-bus checks against
 * SO_PEERCRED; that same uid decides what it may do. There is no bus daemon,
 * but Hello() is answered, since busctl --address= begins with it.
 *
 * Nothing here waits for a client. What a client could still do to us is
 * bounded: how long it may take to authenticate, how many connections there
 * are (some of them kept for root), and how many replies may wait for one that
 * doesn't read them. Descriptors are not accepted.
 */
#include "control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "clock.h"
#include "control-change.h"
#include "control-numa.h"
#include "control-rows.h"
#include "control-values.h"
#include "listener.h"
#include "log.h"
#include "utf8.h"

#define CONNECTIONS_MAX	      64
#define CONNECTIONS_ROOT_ONLY 16 /* of these */
/* A healthy client authenticates within one scheduling of its process. */
#define AUTH_USEC (5 * USEC_PER_SEC)
/* One that asks more often than this without reading is dropped. */
#define REPLIES_MAX 16
/*
 * If accept() keeps failing (no descriptor left) the socket stays readable;
 * this bounds what that costs, and what a flood of connections does.
 */
#define ACCEPTS_PER_SEC 200
/* After the daemon's own work, all of which runs at the normal priority. */
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

struct connection {
	struct control *control;
	struct connection *next;
	sd_bus *bus;
	sd_event_source *deadline; /* of the authentication */
	struct control_caller caller;

	/* What the properties show; fresh for each request. */
	struct daemon_status status;
	const char *state;
	const char *activity;
	const char *engine_detail;
	const char *version;
	char activity_buf[sizeof(((struct daemon_status *)0)->activity)];
	uint64_t bytes_saved;
};

struct control {
	sd_event *event;
	sd_event_source *listen;
	const struct control_ops *ops;
	void *userdata;
	sd_id128_t id;
	struct connection *connections;
	unsigned int n_connections;
	uint64_t n_hello;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static const char *const state_names[] = {
	[STATE_STARTING] = "starting", [STATE_SEARCHING] = "searching",
	[STATE_MERGING] = "merging",   [STATE_RESTING] = "resting",
	[STATE_PAUSED] = "paused",
};

static void connection_free(struct connection *c)
{
	struct connection **p = &c->control->connections;

	while (*p && *p != c)
		p = &(*p)->next;
	if (*p) {
		*p = c->next;
		c->control->n_connections--;
	}
	sd_event_source_disable_unref(c->deadline);
	/* Not flushed: that would wait for the client. */
	sd_bus_close_unref(c->bus);
	free(c);
}

DEFINE_CLEANUP(struct connection, connection_free)

/* --- what is shown --------------------------------------------------------- */

/* Called by sd-bus once per request, before properties or methods. */
static int find_manager(sd_bus *bus, const char *path, const char *interface,
			void *userdata, void **ret, sd_bus_error *error)
{
	struct connection *c = userdata;
	struct daemon_status *s = &c->status;

	(void)bus;
	(void)interface;
	(void)error;
	if (strcmp(path, CONTROL_PATH) != 0)
		return 0;
	*s = (struct daemon_status){ 0 };
	c->control->ops->status(c->control->userdata, s);
	c->version = KSMD_PLUS_VERSION;
	c->state = (size_t)s->state < ARRAY_SIZE(state_names)
			   ? state_names[s->state]
			   : "";
	c->activity = utf8_clean(s->activity, c->activity_buf,
				 sizeof(c->activity_buf));
	c->engine_detail = s->engine_detail; /* our own words */
	c->bytes_saved = s->pages_saved * PAGE_BYTES;
	*ret = c;
	return 1;
}

static int method_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct connection *c = userdata;
	const struct process_status *rows;
	size_t n;
	int r;

	(void)error;
	r = c->control->ops->list(c->control->userdata, &rows, &n);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_return(m, &reply);
	if (r < 0)
		return r;
	r = control_append_processes(reply, rows, n);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_explain(sd_bus_message *m, void *userdata,
			  sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct connection *c = userdata;
	const struct reason_status *rows;
	uint32_t pid;
	size_t n;
	int r;

	(void)error;
	r = sd_bus_message_read(m, "u", &pid);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r < 0)
		return r;
	c->control->ops->explain(c->control->userdata, pid, &rows, &n);
	r = control_append_reasons(reply, rows, n);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_hello(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct connection *c = userdata;
	char name[32];

	(void)error;
	snprintf(name, sizeof(name), ":1.%llu",
		 (unsigned long long)++c->control->n_hello);
	return sd_bus_reply_method_return(m, "s", name);
}

/* sd-bus would ask for CAP_SYS_ADMIN; who may do what, control-change knows. */
#define ANYONE SD_BUS_VTABLE_UNPRIVILEGED

/* sd-bus reads the simple properties from struct connection by itself. */
#define SHOW(name, type, member)                                               \
	SD_BUS_PROPERTY(name, type, NULL, offsetof(struct connection, member), \
			0)

#define CHANGE(name, signature, handler)                                       \
	SD_BUS_METHOD_WITH_OFFSET(name, signature, NULL, handler,              \
				  offsetof(struct connection, caller), ANYONE)

/* clang-format off */
static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SHOW("Version", "s", version),
	SHOW("State", "s", state),
	SHOW("PagesSaved", "t", status.pages_saved),
	SHOW("BytesSaved", "t", bytes_saved),
	SHOW("ZeroPages", "t", status.zero_pages),
	SHOW("PromisedPages", "t", status.promised_pages),
	SHOW("DaemonCpuUSec", "t", status.daemon_cpu_usec),
	SHOW("KsmdCpuUSec", "t", status.ksmd_cpu_usec),
	SHOW("Engine", "s", status.engine),
	SHOW("EngineDetail", "s", engine_detail),
	SD_BUS_PROPERTY("EngineCounters", "a(st)", control_values_counters,
			offsetof(struct connection, status), 0),
	SHOW("Hints", "s", status.hints),
	SHOW("MemoryUsed", "t", status.memory_used),
	SHOW("MemoryBound", "t", status.memory_bound),
	SHOW("Activity", "s", activity),
	SD_BUS_PROPERTY("Targets", "a(ssut)", control_values_targets,
			offsetof(struct connection, status), 0),
	SD_BUS_PROPERTY("Warnings", "a(ss)", control_values_warnings,
			offsetof(struct connection, status), 0),
	SD_BUS_PROPERTY("Numa", CONTROL_NUMA, control_numa_get,
			offsetof(struct connection, status.numa), 0),
	SD_BUS_METHOD_WITH_ARGS("ListProcesses", SD_BUS_NO_ARGS,
		SD_BUS_RESULT("a(usssssttts)", processes), method_list, ANYONE),
	SD_BUS_METHOD_WITH_ARGS("ExplainProcess", SD_BUS_ARGS("u", pid),
		SD_BUS_RESULT("a(sts)", reasons), method_explain, ANYONE),
	CHANGE("Pause", NULL, control_change_pause),
	CHANGE("Resume", NULL, control_change_resume),
	CHANGE("Rescan", NULL, control_change_rescan),
	CHANGE("Adopt", "u", control_change_adopt),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable hello_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Hello", SD_BUS_NO_ARGS,
		SD_BUS_RESULT("s", name), method_hello, ANYONE),
	SD_BUS_VTABLE_END,
};
/* clang-format on */

/* --- connections ----------------------------------------------------------- */

/*
 * Sees every message before it is answered, and "Disconnected", which sd-bus
 * makes up when the client is gone or has sent garbage.
 */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct connection *c = userdata;
	uint64_t waiting = 0;

	(void)error;
	if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local",
				     "Disconnected")) {
		connection_free(c);
		return 1;
	}
	if (sd_bus_get_n_queued_write(c->bus, &waiting) < 0 ||
	    waiting > REPLIES_MAX) {
		log_debug("a client of uid %u does not read, dropping it",
			  (unsigned int)c->caller.uid);
		connection_free(c);
		return 1;
	}
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct connection *c = userdata;

	(void)source;
	(void)usec;
	if (sd_bus_is_ready(c->bus) <= 0)
		connection_free(c);
	return 0;
}

static int connection_start(struct connection *c, int fd)
{
	struct control *control = c->control;
	int r;

	r = sd_bus_new(&c->bus);
	if (r >= 0)
		r = sd_bus_set_fd(c->bus, fd, fd);
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	if ((r = sd_bus_set_server(c->bus, 1, control->id)) < 0 ||
	    (r = sd_bus_negotiate_fds(c->bus, 0)) < 0 ||
	    (r = sd_bus_add_filter(c->bus, NULL, on_message, c)) < 0 ||
	    (r = sd_bus_add_fallback_vtable(c->bus, NULL, CONTROL_PATH,
					    CONTROL_INTERFACE, manager_vtable,
					    find_manager, c)) < 0 ||
	    (r = sd_bus_add_object_vtable(c->bus, NULL, "/org/freedesktop/DBus",
					  "org.freedesktop.DBus", hello_vtable,
					  c)) < 0 ||
	    (r = sd_bus_start(c->bus)) < 0 ||
	    (r = sd_bus_attach_event(c->bus, control->event,
				     CONTROL_PRIORITY)) < 0)
		return r;
	return sd_event_add_time_relative(control->event, &c->deadline,
					  CLOCK_MONOTONIC, AUTH_USEC,
					  USEC_PER_SEC, on_deadline, c);
}

static bool has_room(const struct control *control, uid_t uid)
{
	return control->n_connections <
	       CONNECTIONS_MAX - (uid == 0 ? 0 : CONNECTIONS_ROOT_ONLY);
}

/* Takes @fd in any case. */
static int connection_new(struct control *control, int fd)
{
	_cleanup_(connection_freep) struct connection *c = NULL;
	_cleanup_close_ int peer = fd;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int r;

	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (!has_room(control, cred.uid))
		return -EUSERS;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->control = control;
	c->caller = (struct control_caller){
		.ops = control->ops,
		.userdata = control->userdata,
		.uid = cred.uid,
		.pid = cred.pid,
	};
	r = connection_start(c, TAKE_FD(peer));
	if (r < 0)
		return r;
	c->next = control->connections;
	control->connections = TAKE_PTR(c);
	control->n_connections++;
	return 0;
}

static int on_listen(sd_event_source *source, int fd, uint32_t revents,
		     void *userdata)
{
	struct control *control = userdata;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	(void)source;
	(void)revents;
	r = peer < 0 ? -errno : connection_new(control, peer);
	if (r < 0 && r != -EAGAIN)
		log_debug("no new control connection, ignoring: %s",
			  strerror(-r));
	return 0;
}

static int control_listen(struct control *control, const char *runtime_dir)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = snprintf(control->path, sizeof(control->path), "%s/%s", runtime_dir,
		     CONTROL_SOCKET);
	if (r < 0 || (size_t)r >= sizeof(control->path))
		return -ENAMETOOLONG;
	fd = listener_open(control->path);
	if (fd < 0)
		return fd;
	r = sd_event_add_io(control->event, &control->listen, fd, EPOLLIN,
			    on_listen, control);
	if (r < 0) {
		unlink(control->path);
		return r;
	}
	/* From here on control_free() closes the socket and removes it. */
	sd_event_source_set_io_fd_own(control->listen, 1);
	(void)TAKE_FD(fd);
	r = sd_event_source_set_priority(control->listen, CONTROL_PRIORITY);
	if (r < 0)
		return r;
	return sd_event_source_set_ratelimit(control->listen, USEC_PER_SEC,
					     ACCEPTS_PER_SEC);
}

DEFINE_CLEANUP(struct control, control_free)

int control_new(sd_event *event, const char *runtime_dir,
		const struct control_ops *ops, void *userdata,
		struct control **ret)
{
	_cleanup_(control_freep) struct control *control = NULL;
	int r;

	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	control->event = sd_event_ref(event);
	control->ops = ops;
	control->userdata = userdata;
	r = sd_id128_randomize(&control->id);
	if (r < 0)
		return r;
	r = control_listen(control, runtime_dir);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(control);
	return 0;
}

struct control *control_free(struct control *control)
{
	if (!control)
		return NULL;
	while (control->connections)
		connection_free(control->connections);
	if (control->listen)
		unlink(control->path);
	sd_event_source_disable_unref(control->listen);
	sd_event_unref(control->event);
	free(control);
	return NULL;
}
