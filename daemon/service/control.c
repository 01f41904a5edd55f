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
#include <grp.h>
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
#include "face.h"
#include "listener.h"
#include "log.h"

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
	sd_event_source *kick; /* see on_kick() */
	unsigned int n_matches; /* with any, it gets our signals */
	struct face face;
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
	sd_event_source_disable_unref(c->kick);
	/* Not flushed: that would wait for the client. */
	sd_bus_close_unref(c->bus);
	free(c);
}

DEFINE_CLEANUP(struct connection, connection_free)

/* --- what a bus daemon would answer ---------------------------------------- */

static int method_hello(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct connection *c = userdata;
	char name[32];

	(void)error;
	snprintf(name, sizeof(name), ":1.%llu",
		 (unsigned long long)++c->control->n_hello);
	return sd_bus_reply_method_return(m, "s", name);
}

/*
 * Signals go to those who ask for any: a client that never reads would have
 * them pile up, and a reply is not what it asked for. All of them, whatever the
 * rule says: there are few.
 */
static int method_match(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct connection *c = userdata;

	(void)error;
	if (!strcmp(sd_bus_message_get_member(m), "AddMatch"))
		c->n_matches++;
	else if (c->n_matches)
		c->n_matches--;
	return sd_bus_reply_method_return(m, NULL);
}

/* clang-format off */
static const sd_bus_vtable hello_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Hello", SD_BUS_NO_ARGS,
		SD_BUS_RESULT("s", name), method_hello,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("AddMatch", SD_BUS_ARGS("s", rule),
		SD_BUS_NO_RESULT, method_match, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveMatch", SD_BUS_ARGS("s", rule),
		SD_BUS_NO_RESULT, method_match, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
/* clang-format on */

/* --- connections ----------------------------------------------------------- */

/*
 * A client may send its first call in one piece with the end of the
 * authentication. sd-bus has read it then, and waits for the socket to become
 * readable.
 */
static int on_kick(sd_event_source *source, void *userdata)
{
	struct connection *c = userdata;
	sd_bus *bus = sd_bus_ref(c->bus);
	int r;

	(void)source;
	/* may end with @c gone */
	do
		r = sd_bus_process(bus, NULL);
	while (r > 0 && sd_bus_is_open(bus) > 0);
	sd_bus_unref(bus);
	return 0;
}

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
	if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local",
				     "Connected")) {
		sd_event_source_set_enabled(c->kick, SD_EVENT_ONESHOT);
		return 1;
	}
	if (sd_bus_get_n_queued_write(c->bus, &waiting) < 0 ||
	    waiting > REPLIES_MAX) {
		log_debug("a client of uid %u does not read, dropping it",
			  (unsigned int)c->face.caller.uid);
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
	    (r = sd_bus_set_connected_signal(c->bus, 1)) < 0 ||
	    (r = sd_bus_add_filter(c->bus, NULL, on_message, c)) < 0 ||
	    (r = face_show(&c->face, c->bus)) < 0 ||
	    (r = sd_bus_add_object_vtable(c->bus, NULL, "/org/freedesktop/DBus",
					  "org.freedesktop.DBus", hello_vtable,
					  c)) < 0 ||
	    (r = sd_bus_start(c->bus)) < 0 ||
	    (r = sd_bus_attach_event(c->bus, control->event,
				     CONTROL_PRIORITY)) < 0 ||
	    (r = sd_event_add_defer(control->event, &c->kick, on_kick, c)) <
		    0 ||
	    (r = sd_event_source_set_enabled(c->kick, SD_EVENT_OFF)) < 0)
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
	c->face.caller = (struct control_caller){
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

/* Where the group was not made, root alone connects. */
static void give_to_group(const char *path)
{
	const struct group *group = getgrnam(CONTROL_GROUP);

	if (group && lchown(path, (uid_t)-1, group->gr_gid) < 0)
		log_debug("%s is not the group's: %s, ignoring", path,
			  strerror(errno));
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
	give_to_group(control->path);
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

void control_each(const struct control *control,
		  void (*call)(sd_bus *bus, void *userdata), void *userdata)
{
	for (const struct connection *c = control->connections; c; c = c->next)
		if (c->n_matches && sd_bus_is_ready(c->bus) > 0)
			call(c->bus, userdata);
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
