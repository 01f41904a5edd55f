/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server runs in the test, each client in a child: a client that blocks,
 * lies or dies must not matter to the loop.
 */
#include "control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "clock.h"
#include "listener.h"

#define NOBODY 65534
/* Only to end a test that hangs; no verdict depends on it. */
#define HANG_USEC (60 * USEC_PER_SEC)

static struct {
	char dir[64];
	char path[80];
	sd_event *event;
	struct control *control;
	unsigned int n_status, n_pause, n_resume, n_rescan;
	pid_t adopted;
	size_t n_rows;
} server;

static const struct target_status targets[] = {
	{ "web", "selective", 4, 8192 },
	{ "vm\xff", "managed", 1, 0 },
};
static const struct warning warnings[] = {
	{ "knob-foreign", "Somebody wrote pages_to_scan." },
};

static void fake_status(void *userdata, struct daemon_status *ret)
{
	(void)userdata;
	server.n_status++;
	*ret = (struct daemon_status){
		.state = STATE_MERGING,
		.pages_saved = 12,
		.zero_pages = 2,
		.promised_pages = 3,
		.daemon_cpu_usec = 4000,
		.ksmd_cpu_usec = 5000,
		.engine = "cpu",
		.engine_detail = "portal, 1 queue",
		.counters = { { "batches", 7 }, { "put-aside", 1ULL << 40 } },
		.n_counters = 2,
		.hints = "off",
		.memory_used = 1 << 20,
		.memory_bound = 2 << 20,
		.activity = "merging, because \x1b[31mso",
		.targets = targets,
		.n_targets = ARRAY_SIZE(targets),
		.warnings = warnings,
		.n_warnings = ARRAY_SIZE(warnings),
	};
}

static int fake_list(void *userdata, const struct process_status **ret,
		     size_t *ret_n)
{
	static struct process_status rows[20000];

	(void)userdata;
	for (size_t i = 0; i < server.n_rows; i++)
		rows[i] = (struct process_status){
			.pid = (uint32_t)i + 1,
			.comm = "bad\xc3\n",
			.target = "web",
			.mode = "selective",
			.rule = "web",
			.state = "enrolled",
			.tracked_pages = 100,
			.enrolled_pages = 20,
			.pages_saved = i,
			.note = "",
		};
	*ret = rows;
	*ret_n = server.n_rows;
	return 0;
}

static void fake_explain(void *userdata, uint32_t pid,
			 const struct reason_status **ret, size_t *ret_n)
{
	static const struct reason_status rows[] = {
		{ REASON_NO_TWIN, 7, "" },
		{ REASON_REFUSED, 0, "a reason" },
	};

	(void)userdata;
	*ret = rows;
	*ret_n = pid == 1 ? ARRAY_SIZE(rows) : 0;
}

static int fake_accounts(void *userdata, enum account_kind kind,
			 const struct account_row **ret, size_t *ret_n)
{
	static const struct account_row row = {
		.name = "evil\x1b[2J\xff",
		.unit = "",
		.guest = "",
		.processes = 2,
		.account = { 1, 2, 3, 4, 5, 6, -7 },
		.reason = REASON_KEEPS_BREAKING,
	};

	(void)userdata;
	*ret = &row;
	*ret_n = kind == ACCOUNT_GUEST;
	return 0;
}

static void fake_pause(void *userdata)
{
	(void)userdata;
	server.n_pause++;
}

static void fake_resume(void *userdata)
{
	(void)userdata;
	server.n_resume++;
}

static void fake_rescan(void *userdata)
{
	(void)userdata;
	server.n_rescan++;
}

/* Of all pids only 7 is not there. */
static int fake_adopt(void *userdata, pid_t pid)
{
	(void)userdata;
	server.adopted = pid;
	return pid == 7;
}

static const struct control_ops ops = {
	.status = fake_status,
	.list = fake_list,
	.explain = fake_explain,
	.accounts = fake_accounts,
	.pause = fake_pause,
	.resume = fake_resume,
	.rescan = fake_rescan,
	.adopt = fake_adopt,
};

static int setup(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	server.n_rows = 2;
	strcpy(server.dir, "/tmp/ksmd-plus-control-XXXXXX");
	if (!mkdtemp(server.dir))
		return -1;
	snprintf(server.path, sizeof(server.path), "%s/bus", server.dir);
	return sd_event_new(&server.event) < 0 ||
	       control_new(server.event, server.dir, &ops, NULL,
			   &server.control) < 0;
}

static int teardown(void **state)
{
	(void)state;
	server.control = control_free(server.control);
	server.event = sd_event_unref(server.event);
	return rmdir(server.dir); /* fails if a file was left */
}

/* Serve until @pid exits; its exit status. */
static int serve(pid_t pid)
{
	uint64_t end = clock_usec(CLOCK_MONOTONIC) + HANG_USEC;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_usec(CLOCK_MONOTONIC) > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		assert_true(sd_event_run(server.event, 20000) >= 0);
	}
	/* Let the loop notice that the client is gone. */
	for (int i = 0; i < 1000 && sd_event_run(server.event, 0) > 0; i++)
		continue;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a client: leave with the line number if something isn't as it should. */
#define CHECK(x)                                                               \
	do {                                                                   \
		if (!(x)) {                                                    \
			fprintf(stderr, "# line %d: %s\n", __LINE__, #x);      \
			_exit(1);                                              \
		}                                                              \
	} while (0)

static int run_client(void (*fn)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	return serve(pid);
}

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, server.path);
	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static sd_bus *client(void)
{
	sd_bus *bus;
	int fd = dial();

	CHECK(sd_bus_new(&bus) >= 0);
	CHECK(sd_bus_set_fd(bus, fd, fd) >= 0);
	CHECK(sd_bus_start(bus) >= 0);
	return bus;
}

static int call(sd_bus *bus, const char *method, sd_bus_error *error)
{
	return sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				  method, error, NULL, NULL);
}

static uint64_t get_u64(sd_bus *bus, const char *name)
{
	uint64_t value = 0;

	CHECK(sd_bus_get_property_trivial(bus, NULL, CONTROL_PATH,
					  CONTROL_INTERFACE, name, NULL, 't',
					  &value) >= 0);
	return value;
}

static void check_string(sd_bus *bus, const char *name, const char *want)
{
	char *value = NULL;

	CHECK(sd_bus_get_property_string(bus, NULL, CONTROL_PATH,
					 CONTROL_INTERFACE, name, NULL,
					 &value) >= 0);
	CHECK(strcmp(value, want) == 0);
	free(value);
}

/* --- the interface --------------------------------------------------------- */

static void client_properties(void)
{
	sd_bus *bus = client();
	sd_bus_message *m = NULL;
	const char *name, *text;
	uint32_t processes;
	uint64_t bytes;

	check_string(bus, "Version", KSMD_PLUS_VERSION);
	check_string(bus, "State", "merging");
	check_string(bus, "Engine", "cpu");
	check_string(bus, "EngineDetail", "portal, 1 queue");
	check_string(bus, "Hints", "off");
	check_string(bus, "Activity", "merging, because ?[31mso");
	CHECK(get_u64(bus, "PagesSaved") == 12);
	CHECK(get_u64(bus, "BytesSaved") == 12 * 4096);
	CHECK(get_u64(bus, "ZeroPages") == 2);
	CHECK(get_u64(bus, "PromisedPages") == 3);
	CHECK(get_u64(bus, "DaemonCpuUSec") == 4000);
	CHECK(get_u64(bus, "KsmdCpuUSec") == 5000);
	CHECK(get_u64(bus, "MemoryUsed") == 1 << 20);
	CHECK(get_u64(bus, "MemoryBound") == 2 << 20);

	CHECK(sd_bus_get_property(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				  "Targets", NULL, &m, "a(ssut)") >= 0);
	CHECK(sd_bus_message_enter_container(m, 'a', "(ssut)") > 0);
	CHECK(sd_bus_message_read(m, "(ssut)", &name, &text, &processes,
				  &bytes) > 0);
	CHECK(!strcmp(name, "web") && !strcmp(text, "selective"));
	CHECK(processes == 4 && bytes == 8192);
	CHECK(sd_bus_message_read(m, "(ssut)", &name, &text, &processes,
				  &bytes) > 0);
	CHECK(!strcmp(name, "vm?"));
	m = sd_bus_message_unref(m);

	CHECK(sd_bus_get_property(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				  "Warnings", NULL, &m, "a(ss)") >= 0);
	CHECK(sd_bus_message_enter_container(m, 'a', "(ss)") > 0);
	CHECK(sd_bus_message_read(m, "(ss)", &name, &text) > 0);
	CHECK(!strcmp(name, "knob-foreign"));
	sd_bus_message_unref(m);
	sd_bus_close_unref(bus);
}

static void properties_are_shown(void **state)
{
	(void)state;
	assert_int_equal(run_client(client_properties), 0);
}

static void client_counters(void)
{
	sd_bus *bus = client();
	sd_bus_message *m = NULL;
	const char *name;
	uint64_t value;

	CHECK(sd_bus_get_property(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				  "EngineCounters", NULL, &m, "a(st)") >= 0);
	CHECK(sd_bus_message_enter_container(m, 'a', "(st)") > 0);
	CHECK(sd_bus_message_read(m, "(st)", &name, &value) > 0);
	CHECK(!strcmp(name, "batches") && value == 7);
	CHECK(sd_bus_message_read(m, "(st)", &name, &value) > 0);
	CHECK(!strcmp(name, "put-aside") && value == 1ULL << 40);
	CHECK(sd_bus_message_read(m, "(st)", &name, &value) == 0);
	sd_bus_message_unref(m);
	sd_bus_close_unref(bus);
}

static void an_engine_has_counters(void **state)
{
	(void)state;
	assert_int_equal(run_client(client_counters), 0);
}

static void client_get_all(void)
{
	sd_bus *bus = client();

	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH,
				 "org.freedesktop.DBus.Properties", "GetAll",
				 NULL, NULL, "s", CONTROL_INTERFACE) >= 0);
	sd_bus_close_unref(bus);
}

/* One question to the daemon for one GetAll, not one per property. */
static void get_all_asks_once(void **state)
{
	(void)state;
	assert_int_equal(run_client(client_get_all), 0);
	assert_int_equal(server.n_status, 1);
}

static void client_list(void)
{
	sd_bus *bus = client();
	sd_bus_message *m = NULL;
	const char *comm, *target, *mode, *rule, *process_state, *note;
	uint64_t tracked, enrolled, saved;
	uint32_t pid;
	size_t n = 0;

	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				 "ListProcesses", NULL, &m, NULL) >= 0);
	CHECK(sd_bus_message_enter_container(m, 'a', "(usssssttts)") > 0);
	while (sd_bus_message_read(m, "(usssssttts)", &pid, &comm, &target,
				   &mode, &rule, &process_state, &tracked,
				   &enrolled, &saved, &note) > 0) {
		CHECK(pid == n + 1 && saved == n);
		CHECK(!strcmp(comm, "bad??") && !strcmp(note, ""));
		CHECK(tracked == 100 && enrolled == 20);
		n++;
	}
	CHECK(n == server.n_rows);
	sd_bus_message_unref(m);
	sd_bus_close_unref(bus);
}

static void client_explain(void)
{
	sd_bus *bus = client();
	sd_bus_message *m = NULL;
	const char *name, *detail;
	uint64_t pages;

	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				 "ExplainProcess", NULL, &m, "u", 1) >= 0);
	CHECK(sd_bus_message_enter_container(m, 'a', "(sts)") > 0);
	CHECK(sd_bus_message_read(m, "(sts)", &name, &pages, &detail) > 0);
	CHECK(!strcmp(name, "no-twin") && pages == 7 && !*detail);
	CHECK(sd_bus_message_read(m, "(sts)", &name, &pages, &detail) > 0);
	CHECK(!strcmp(name, "refused") && !strcmp(detail, "a reason"));
	CHECK(sd_bus_message_read(m, "(sts)", &name, &pages, &detail) == 0);
	sd_bus_message_unref(m);
	m = NULL;
	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				 "ExplainProcess", NULL, &m, "u", 2) >= 0);
	CHECK(sd_bus_message_enter_container(m, 'a', "(sts)") > 0);
	CHECK(sd_bus_message_at_end(m, 0) > 0);
	sd_bus_message_unref(m);
	sd_bus_close_unref(bus);
}

static void client_accounts(void)
{
	sd_bus *bus = client();
	sd_bus_message *m = NULL;
	const char *name, *unit, *guest, *reason;
	uint64_t n[6];
	uint32_t pid, processes;
	int64_t profit;

	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				 "ListAccounts", NULL, &m, "s", "guest") >= 0);
	CHECK(sd_bus_message_enter_container(
		      m, 'a', "(" CONTROL_ACCOUNT_FIELDS ")") > 0);
	CHECK(sd_bus_message_read(m, "(" CONTROL_ACCOUNT_FIELDS ")", &pid,
				  &name, &unit, &guest, &processes, &n[0],
				  &n[1], &n[2], &n[3], &n[4], &n[5], &profit,
				  &reason) > 0);
	CHECK(!strcmp(name, "evil?[2J?") && !pid && processes == 2);
	CHECK(n[0] == 1 && n[1] == 2 && n[2] == 3 && n[3] == 4);
	CHECK(n[4] == 5 && n[5] == 6 && profit == -7);
	CHECK(!strcmp(reason, "keeps-breaking"));
	CHECK(sd_bus_message_at_end(m, 0) > 0);
	sd_bus_message_unref(m);
	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				 "ListAccounts", NULL, NULL, "s", "x") < 0);
	sd_bus_close_unref(bus);
}

static void processes_are_listed(void **state)
{
	(void)state;
	assert_int_equal(run_client(client_list), 0);
	assert_int_equal(run_client(client_explain), 0);
	assert_int_equal(run_client(client_accounts), 0);
	server.n_rows = 0;
	assert_int_equal(run_client(client_list), 0);
	server.n_rows = 20000;
	assert_int_equal(run_client(client_list), 0);
}

static void client_changes(void)
{
	sd_bus *bus = client();

	CHECK(call(bus, "Pause", NULL) >= 0);
	CHECK(call(bus, "Resume", NULL) >= 0);
	CHECK(call(bus, "Rescan", NULL) >= 0);
	sd_bus_close_unref(bus);
}

static void root_may_change(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(run_client(client_changes), 0);
	assert_int_equal(server.n_pause, 1);
	assert_int_equal(server.n_resume, 1);
	assert_int_equal(server.n_rescan, 1);
}

static int adopt(sd_bus *bus, uint32_t pid)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				   "Adopt", &error, NULL, "u", pid);

	CHECK(r >= 0 || error.message);
	sd_bus_error_free(&error);
	return r;
}

static void client_adopts(void)
{
	sd_bus *bus = client();

	CHECK(adopt(bus, 7) == -EINVAL);
	CHECK(adopt(bus, UINT32_MAX) == -EINVAL);
	CHECK(adopt(bus, 42) >= 0);
	sd_bus_close_unref(bus);
}

static void client_is_adopted(void)
{
	sd_bus *bus = client();

	CHECK(adopt(bus, 0) >= 0);
	sd_bus_close_unref(bus);
}

static void client_may_not_adopt(void)
{
	sd_bus *bus;

	CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	bus = client();
	CHECK(adopt(bus, 0) == -EACCES);
	sd_bus_close_unref(bus);
}

static void root_hands_over(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(server.dir, 0755), 0);
	assert_int_equal(run_client(client_may_not_adopt), 0);
	assert_int_equal(server.adopted, 0);
	assert_int_equal(run_client(client_adopts), 0);
	assert_int_equal(server.adopted, 42);
	/* 0 is the caller, by the kernel's word */
	assert_int_equal(run_client(client_is_adopted), 0);
	assert_int_not_equal(server.adopted, 42);
	assert_int_not_equal(server.adopted, 0);
	assert_int_not_equal(server.adopted, getpid());
}

static void client_refused(void)
{
	static const char *const methods[] = { "Pause", "Resume", "Rescan" };
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus;

	/* In the socket's group, but not root. */
	CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	bus = client();
	check_string(bus, "State", "merging");
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		CHECK(call(bus, methods[i], &error) == -EACCES);
		CHECK(sd_bus_error_has_name(&error,
					    SD_BUS_ERROR_ACCESS_DENIED));
		CHECK(strstr(error.message, "Only root may"));
		sd_bus_error_free(&error);
	}
	sd_bus_close_unref(bus);
}

static void others_may_only_look(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(server.dir, 0755), 0);
	assert_int_equal(run_client(client_refused), 0);
	assert_int_equal(server.n_pause + server.n_resume + server.n_rescan, 0);
}

static void client_strange_calls(void)
{
	sd_bus *bus = client();

	CHECK(call(bus, "Explode", NULL) < 0);
	CHECK(sd_bus_call_method(bus, NULL, "/elsewhere", CONTROL_INTERFACE,
				 "Pause", NULL, NULL, NULL) < 0);
	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH "/below",
				 CONTROL_INTERFACE, "Pause", NULL, NULL,
				 NULL) < 0);
	CHECK(sd_bus_set_property(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				  "PagesSaved", NULL, "t", 1ULL) < 0);
	CHECK(sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				 "Pause", NULL, NULL, "s", "now") < 0);
	CHECK(get_u64(bus, "PagesSaved") == 12);
	sd_bus_close_unref(bus);
}

static void strange_calls_are_refused(void **state)
{
	(void)state;
	assert_int_equal(run_client(client_strange_calls), 0);
	assert_int_equal(server.n_pause, 0);
}

static void client_busctl(void)
{
	char address[128];

	snprintf(address, sizeof(address), "--address=unix:path=%s",
		 server.path);
	CHECK(freopen("/dev/null", "w", stdout));
	execlp("busctl", "busctl", address, "introspect", "x.y", CONTROL_PATH,
	       CONTROL_INTERFACE, NULL);
	_exit(127);
}

static void busctl_can_introspect(void **state)
{
	int r;

	(void)state;
	r = run_client(client_busctl);
	if (r == 127)
		skip();
	assert_int_equal(r, 0);
	assert_true(server.n_status > 0);
}

/* Open descriptors, once the loop has those it keeps for timers. */
static int count_fds(void)
{
	DIR *dir;
	int n = 0;

	assert_int_equal(run_client(client_get_all), 0);
	dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* --- clients that mean no good --------------------------------------------- */

static void client_garbage(void)
{
#define LINE(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}
	static const struct {
		const char *text;
		size_t len;
	} lines[] = {
		LINE("GET / HTTP/1.1\r\n\r\n"),
		LINE("\0AUTH ANONYMOUS\r\nBEGIN\r\n"),
		LINE("\0AUTH EXTERNAL 3939393939\r\nBEGIN\r\n"),
		LINE("\0AUTH EXTERNAL 30\r\nBEGIN\r\nl\1\0\1\377\377\377\377"),
	};
#undef LINE
	unsigned int seed = 1;
	char noise[5000];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		int fd = dial();

		CHECK(send(fd, lines[i].text, lines[i].len, MSG_NOSIGNAL) > 0);
		shutdown(fd, SHUT_WR);
		while (read(fd, noise, sizeof(noise)) > 0)
			continue;
		close(fd);
	}
	for (int i = 0; i < 200; i++) {
		int fd = dial();
		size_t len = (size_t)rand_r(&seed) % sizeof(noise);

		for (size_t j = 0; j < len; j++)
			noise[j] = (char)rand_r(&seed);
		noise[0] = '\0';
		(void)!send(fd, noise, len, MSG_NOSIGNAL);
		close(fd);
	}
	client_get_all();
}

static void garbage_is_dropped(void **state)
{
	int before;

	(void)state;
	before = count_fds();
	assert_int_equal(run_client(client_garbage), 0);
	assert_int_equal(count_fds(), before);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	(void)m;
	(void)userdata;
	(void)error;
	return 1;
}

/* Ask for the list and don't wait; without a handler no answer would come. */
static int ask(sd_bus *bus)
{
	return sd_bus_call_method_async(bus, NULL, NULL, CONTROL_PATH,
					CONTROL_INTERFACE, "ListProcesses",
					on_reply, NULL, NULL);
}

static void client_cut_off(void)
{
	/* Asks, and is gone before the answer. */
	for (int i = 0; i < 50; i++) {
		sd_bus *bus = client();

		CHECK(ask(bus) >= 0);
		CHECK(sd_bus_flush(bus) >= 0);
		sd_bus_close_unref(bus);
	}
}

static void vanished_clients_leave_nothing(void **state)
{
	int before;

	(void)state;
	before = count_fds();
	server.n_rows = 20000;
	assert_int_equal(run_client(client_cut_off), 0);
	assert_int_equal(count_fds(), before);
}

static void client_slow(void)
{
	sd_bus *bus = client(), *other;
	struct pollfd hangup = { .events = POLLRDHUP };
	int r = 0;

	CHECK(get_u64(bus, "PagesSaved") == 12);
	for (int i = 0; i < 200 && r >= 0; i++)
		r = ask(bus);
	if (r >= 0)
		r = sd_bus_flush(bus);
	/* Whatever became of that one, others are served. */
	other = client();
	CHECK(get_u64(other, "PagesSaved") == 12);
	sd_bus_close_unref(other);
	/* It is cut off: reading on ends, before 200 answers have come. */
	/* Cut off without a single answer read. */
	hangup.fd = sd_bus_get_fd(bus);
	CHECK(poll(&hangup, 1, -1) == 1);
	sd_bus_close_unref(bus);
}

static void slow_client_is_dropped(void **state)
{
	int before;

	(void)state;
	before = count_fds();
	server.n_rows = 20000;
	assert_int_equal(run_client(client_slow), 0);
	assert_int_equal(count_fds(), before);
}

static void client_crowd(void)
{
	int fds[100];
	sd_bus *bus;

	CHECK(geteuid() != 0 || seteuid(NOBODY) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial();
	if (getuid() == 0) {
		/* However many there are of others, root gets in. */
		CHECK(seteuid(0) == 0);
		bus = client();
		CHECK(get_u64(bus, "PagesSaved") == 12);
		sd_bus_close_unref(bus);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	bus = client();
	CHECK(get_u64(bus, "PagesSaved") == 12);
	sd_bus_close_unref(bus);
}

static void a_crowd_leaves_room_for_root(void **state)
{
	int before;

	(void)state;
	before = count_fds();
	assert_int_equal(chmod(server.dir, 0755), 0);
	assert_int_equal(run_client(client_crowd), 0);
	assert_int_equal(count_fds(), before);
}

static void client_silent(void)
{
	int fd = dial();
	char c;

	/* Ends when we are thrown out. */
	while (read(fd, &c, 1) > 0)
		continue;
}

static void silent_client_is_dropped(void **state)
{
	int before;

	(void)state;
	before = count_fds();
	assert_int_equal(run_client(client_silent), 0);
	assert_int_equal(count_fds(), before);
}

/* --- the socket ------------------------------------------------------------ */

static void socket_has_its_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(lstat(server.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void socket_is_removed(void **state)
{
	(void)state;
	server.control = control_free(server.control);
	assert_int_equal(access(server.path, F_OK), -1);
}

static void live_socket_is_respected(void **state)
{
	struct control *second = NULL;

	(void)state;
	assert_int_equal(control_new(server.event, server.dir, &ops, NULL,
				     &second),
			 -EADDRINUSE);
	assert_null(second);
	assert_int_equal(access(server.path, F_OK), 0);
	assert_int_equal(run_client(client_get_all), 0);
}

static void stale_socket_is_replaced(void **state)
{
	int fd;

	(void)state;
	server.control = control_free(server.control);
	fd = listener_open(server.path);
	assert_true(fd >= 0);
	close(fd); /* as after SIGKILL: the name stays */
	assert_int_equal(access(server.path, F_OK), 0);
	assert_int_equal(control_new(server.event, server.dir, &ops, NULL,
				     &server.control),
			 0);
	assert_int_equal(run_client(client_get_all), 0);
}

static void other_files_are_not_touched(void **state)
{
	int fd;

	(void)state;
	server.control = control_free(server.control);
	fd = open(server.path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(control_new(server.event, server.dir, &ops, NULL,
				     &server.control),
			 -EADDRINUSE);
	assert_null(server.control);
	assert_int_equal(unlink(server.path), 0);
}

static void missing_directory_is_an_error(void **state)
{
	struct control *second = NULL;
	char path[200];

	(void)state;
	assert_int_equal(control_new(server.event, "/nonexistent", &ops, NULL,
				     &second),
			 -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(control_new(server.event, path, &ops, NULL, &second),
			 -ENAMETOOLONG);
	assert_null(second);
	assert_null(control_free(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(properties_are_shown),
		TEST(an_engine_has_counters),
		TEST(get_all_asks_once),
		TEST(processes_are_listed),
		TEST(root_may_change),
		TEST(root_hands_over),
		TEST(others_may_only_look),
		TEST(strange_calls_are_refused),
		TEST(busctl_can_introspect),
		TEST(garbage_is_dropped),
		TEST(vanished_clients_leave_nothing),
		TEST(slow_client_is_dropped),
		TEST(a_crowd_leaves_room_for_root),
		TEST(silent_client_is_dropped),
		TEST(socket_has_its_mode),
		TEST(socket_is_removed),
		TEST(live_socket_is_respected),
		TEST(stale_socket_is_replaced),
		TEST(other_files_are_not_touched),
		TEST(missing_directory_is_an_error),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
