/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "client-numa.h"
#include "clock.h"
#include "log.h"
#include "utf8.h"
#include "vec.h"

/* The daemon's loop never rests for long; a stopped daemon never answers. */
#define ANSWER_SEC 10

static int dial(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct timeval wait = { .tv_sec = ANSWER_SEC };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A full backlog would hold connect() for ever. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return TAKE_FD(fd);
}

static int wait_until_ready(sd_bus *bus)
{
	uint64_t end = clock_usec(CLOCK_MONOTONIC) + ANSWER_SEC * USEC_PER_SEC;

	for (;;) {
		uint64_t now = clock_usec(CLOCK_MONOTONIC);
		int r = sd_bus_process(bus, NULL);

		if (r < 0)
			return r;
		if (sd_bus_is_ready(bus) > 0)
			return 0;
		if (now >= end)
			return -ETIMEDOUT;
		if (r == 0)
			r = sd_bus_wait(bus, end - now);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

int client_open(const char *path, sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int fd, r;

	r = sd_bus_new(&bus);
	if (r < 0)
		return r;
	fd = dial(path);
	if (fd < 0)
		return fd;
	r = sd_bus_set_fd(bus, fd, fd);
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	r = sd_bus_set_method_call_timeout(bus, ANSWER_SEC * USEC_PER_SEC);
	if (r < 0)
		return r;
	r = sd_bus_start(bus);
	if (r >= 0)
		r = wait_until_ready(bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

int client_open_loud(const char *path, sd_bus **ret)
{
	int r = client_open(path, ret);

	switch (r) {
	case 0:
		break;
	case -ENOENT:
	case -ECONNREFUSED:
		log_error(
			"ksmd-plus is not running: nobody listens on %s. Start it with: %s",
			path,
			access("/run/systemd/system", F_OK) == 0
				? "systemctl start ksmd-plus"
				: "ksmd-plus (as root)");
		break;
	case -EACCES:
	case -EPERM:
		log_error(
			"Only root and the group of %s may talk to ksmd-plus.",
			path);
		break;
	case -ETIMEDOUT:
		log_error("ksmd-plus does not answer on %s: is it stopped?",
			  path);
		break;
	case -ECONNRESET:
	case -ENOTCONN:
	case -EPIPE:
		log_error(
			"ksmd-plus hung up on %s: it may have too many clients, or is just ending.",
			path);
		break;
	default:
		log_error_errno(r, "Cannot talk to ksmd-plus on %s", path);
	}
	return r;
}

static int failed(int r, const char *what, const sd_bus_error *error)
{
	char said[512];

	utf8_clean(error->message, said, sizeof(said));
	if (*said && r == -EACCES)
		log_error("%s", said);
	else if (*said)
		log_error("%s failed: %s", what, said);
	else if (r == -ENXIO || r == -EBADMSG)
		log_error(
			"%s failed: the daemon is of another version than this program.",
			what);
	else
		log_error_errno(r, "%s failed", what);
	return r;
}

int client_call(sd_bus *bus, const char *method)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				   method, &error, NULL, NULL);

	return r < 0 ? failed(r, method, &error) : 0;
}

int client_adopt(sd_bus *bus, uint32_t pid)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				   "Adopt", &error, NULL, "u", pid);

	return r < 0 ? failed(r, "Adopt", &error) : 0;
}

/* --- status ---------------------------------------------------------------- */

static int read_targets(sd_bus_message *m, struct client_status *s)
{
	struct VEC(struct target_status) rows = { 0 };
	struct target_status t;
	int r = sd_bus_message_enter_container(m, 'a', "(ssut)");

	while (r >= 0 &&
	       (r = sd_bus_message_read(m, "(ssut)", &t.name, &t.mode,
					&t.processes, &t.bytes_saved)) > 0)
		r = vec_push(&rows, t);
	free(s->targets); /* told twice */
	s->targets = rows.v;
	s->n_targets = rows.n;
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_warnings(sd_bus_message *m, struct client_status *s)
{
	struct VEC(struct client_warning) rows = { 0 };
	struct client_warning w;
	int r = sd_bus_message_enter_container(m, 'a', "(ss)");

	while (r >= 0 &&
	       (r = sd_bus_message_read(m, "(ss)", &w.name, &w.sentence)) > 0)
		r = vec_push(&rows, w);
	free(s->warnings); /* told twice */
	s->warnings = rows.v;
	s->n_warnings = rows.n;
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_numa(sd_bus_message *m, struct client_status *s)
{
	client_numa_clear(&s->numa);
	return client_numa_read(m, &s->numa);
}

static int read_counters(sd_bus_message *m, struct client_status *s)
{
	struct VEC(struct status_counter) rows = { 0 };
	struct status_counter c;
	int r = sd_bus_message_enter_container(m, 'a', "(st)");

	while (r >= 0 &&
	       (r = sd_bus_message_read(m, "(st)", &c.name, &c.value)) > 0)
		r = vec_push(&rows, c);
	free(s->counters); /* told twice */
	s->counters = rows.v;
	s->n_counters = rows.n;
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static const struct {
	const char *name;
	const char *type;
	size_t offset;
	int (*read)(sd_bus_message *m, struct client_status *s);
} properties[] = {
#define P(name, type, member)                                                  \
	{                                                                      \
		name, type, offsetof(struct client_status, member), NULL       \
	}
	P("Version", "s", version),
	P("State", "s", state),
	P("Engine", "s", engine),
	P("EngineDetail", "s", engine_detail),
	P("Hints", "s", hints),
	P("Activity", "s", activity),
	P("PagesSaved", "t", pages_saved),
	P("BytesSaved", "t", bytes_saved),
	P("ZeroPages", "t", zero_pages),
	P("PromisedPages", "t", promised_pages),
	P("DaemonCpuUSec", "t", daemon_cpu_usec),
	P("KsmdCpuUSec", "t", ksmd_cpu_usec),
	P("MemoryUsed", "t", memory_used),
	P("MemoryBound", "t", memory_bound),
#undef P
	{ "Targets", "a(ssut)", 0, read_targets },
	{ "Warnings", "a(ss)", 0, read_warnings },
	{ "Numa", CONTROL_NUMA, 0, read_numa },
	{ "EngineCounters", "a(st)", 0, read_counters },
};

/* A daemon of another version may know more or fewer: both are fine. */
static int read_property(sd_bus_message *m, struct client_status *s)
{
	const char *name, *type;
	int r = sd_bus_message_read_basic(m, 's', &name);

	if (r < 0)
		return r;
	r = sd_bus_message_peek_type(m, NULL, &type);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
		if (strcmp(name, properties[i].name) != 0 ||
		    strcmp(type, properties[i].type) != 0)
			continue;
		r = sd_bus_message_enter_container(m, 'v', type);
		if (r >= 0)
			r = properties[i].read
				    ? properties[i].read(m, s)
				    : sd_bus_message_read_basic(
					      m, properties[i].type[0],
					      (char *)s + properties[i].offset);
		return r < 0 ? r : sd_bus_message_exit_container(m);
	}
	return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, struct client_status *s)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 &&
	       (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_property(m, s);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

int client_get_status(sd_bus *bus, struct client_status *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(client_status_clear) struct client_status s = {
		.version = "",
		.state = "",
		.engine = "",
		.engine_detail = "",
		.hints = "",
		.activity = "",
	};
	int r;

	r = sd_bus_call_method(bus, NULL, CONTROL_PATH,
			       "org.freedesktop.DBus.Properties", "GetAll",
			       &error, &s.reply, "s", CONTROL_INTERFACE);
	if (r >= 0)
		r = read_properties(s.reply, &s);
	if (r < 0)
		return failed(r, "Asking for the status", &error);
	*ret = s;
	s = (struct client_status){ 0 };
	return 0;
}

void client_status_clear(struct client_status *status)
{
	free(status->targets);
	free(status->warnings);
	client_numa_clear(&status->numa);
	free(status->counters);
	sd_bus_message_unref(status->reply);
	*status = (struct client_status){ 0 };
}

/* --- list ------------------------------------------------------------------ */

static int read_list(sd_bus_message *m, struct client_list *list)
{
	struct VEC(struct process_status) rows = { 0 };
	struct process_status p;
	int r = sd_bus_message_enter_container(m, 'a', "(usssssttts)");

	while (r >= 0 &&
	       (r = sd_bus_message_read(m, "(usssssttts)", &p.pid, &p.comm,
					&p.target, &p.mode, &p.rule, &p.state,
					&p.tracked_pages, &p.enrolled_pages,
					&p.pages_saved, &p.note)) > 0)
		r = vec_push(&rows, p);
	list->v = rows.v;
	list->n = rows.n;
	return r;
}

int client_get_list(sd_bus *bus, struct client_list *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(client_list_clear) struct client_list list = { 0 };
	int r;

	r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
			       "ListProcesses", &error, &list.reply, NULL);
	if (r >= 0)
		r = read_list(list.reply, &list);
	if (r < 0)
		return failed(r, "Asking for the processes", &error);
	*ret = list;
	list = (struct client_list){ 0 };
	return 0;
}

void client_list_clear(struct client_list *list)
{
	free(list->v);
	sd_bus_message_unref(list->reply);
	*list = (struct client_list){ 0 };
}
