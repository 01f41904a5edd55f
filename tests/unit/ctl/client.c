/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client against servers that are not quite ours: of another version,
 * stopped, hanging up, sending nonsense. Each is a child of the test.
 */
#include "client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "client-accounts.h"

static char path[64];
static pid_t server;

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Answers of a server: an interface, and what it does with one client. */
static void serve_bus(int fd, const sd_bus_vtable *vtable)
{
	sd_id128_t id = { 0 };
	sd_bus *bus;
	int r = 0;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
	    sd_bus_set_server(bus, 1, id) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				     vtable, NULL) < 0 ||
	    sd_bus_start(bus) < 0)
		_exit(1);
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	_exit(0);
}

static void start(void (*serve)(int fd, const sd_bus_vtable *vtable),
		  const sd_bus_vtable *vtable)
{
	int fd = listen_here();

	server = fork();
	assert_true(server >= 0);
	if (server == 0)
		serve(accept(fd, NULL, NULL), vtable);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/ksmd-plus-client-%d", getpid());
	server = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	unlink(path);
	return 0;
}

#define GETTER(name, signature, ...)                                           \
	static int name(sd_bus *bus, const char *object, const char *iface,    \
			const char *property, sd_bus_message *reply,           \
			void *userdata, sd_bus_error *error)                   \
	{                                                                      \
		(void)bus;                                                     \
		(void)object;                                                  \
		(void)iface;                                                   \
		(void)property;                                                \
		(void)userdata;                                                \
		(void)error;                                                   \
		return sd_bus_message_append(reply, signature, __VA_ARGS__);   \
	}

GETTER(get_state, "s", "resting")
GETTER(get_saved, "t", 42ULL)
GETTER(get_new, "a{sv}", 1, "more", "s", "than we know")
GETTER(get_wrong, "s", "not a number")
GETTER(get_targets, "a(ssut)", 2, "web", "selective", 4, 8192ULL, "vm",
       "managed", 1, 0ULL)
GETTER(get_warnings, "a(ss)", 1, "knob-foreign", "Somebody wrote a knob.")

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	return sd_bus_reply_method_return(m, "a(usssssttts)", 1, 7, "sh", "web",
					  "selective", "web", "enrolled", 3ULL,
					  2ULL, 1ULL, "a note");
}

static int on_odd_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	return sd_bus_reply_method_return(m, "a(us)", 1, 7, "sh");
}

static int on_pause(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	return sd_bus_reply_method_return(m, NULL);
}

static int on_resume(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	(void)m;
	(void)userdata;
	return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "No.");
}

/* Two units, in no order; nothing of any other kind. */
static int on_accounts(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *kind;

	(void)userdata;
	(void)error;
	if (sd_bus_message_read(m, "s", &kind) < 0 || strcmp(kind, "unit") != 0)
		return sd_bus_reply_method_return(m, CONTROL_ACCOUNTS, 0);
	return sd_bus_reply_method_return(
		m, CONTROL_ACCOUNTS, 2, 0, "b.service", "", "", 3, 10ULL, 9ULL,
		12ULL, 1ULL, 2ULL, 3ULL, -5LL, "keeps-breaking", 0, "a.service",
		"", "", 1, 1ULL, 0ULL, 1ULL, 0ULL, 0ULL, 0ULL, 4096LL, "none");
}

static const sd_bus_vtable newer[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("State", "s", get_state, 0, 0),
	SD_BUS_PROPERTY("PagesSaved", "t", get_saved, 0, 0),
	SD_BUS_PROPERTY("Extra", "a{sv}", get_new, 0, 0),
	SD_BUS_PROPERTY("BytesSaved", "s", get_wrong, 0, 0),
	SD_BUS_PROPERTY("Targets", "a(ssut)", get_targets, 0, 0),
	SD_BUS_PROPERTY("Warnings", "a(ss)", get_warnings, 0, 0),
	SD_BUS_METHOD("ListProcesses", NULL, "a(usssssttts)", on_list,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListAccounts", "s", CONTROL_ACCOUNTS, on_accounts,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Pause", NULL, NULL, on_pause,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Resume", NULL, NULL, on_resume,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable odd[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("ListProcesses", NULL, "a(us)", on_odd_list,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* More than we know is skipped, less leaves the defaults. */
static void another_version_is_understood(void **state)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_status_clear) struct client_status s = { 0 };

	(void)state;
	start(serve_bus, newer);
	assert_int_equal(client_open(path, &bus), 0);
	assert_int_equal(client_get_status(bus, &s), 0);
	assert_string_equal(s.state, "resting");
	assert_int_equal(s.pages_saved, 42);
	assert_int_equal(s.bytes_saved, 0);
	assert_string_equal(s.engine, "");
	assert_int_equal(s.n_targets, 2);
	assert_string_equal(s.targets[0].name, "web");
	assert_int_equal(s.targets[0].processes, 4);
	assert_int_equal(s.targets[0].bytes_saved, 8192);
	assert_string_equal(s.targets[1].mode, "managed");
	assert_int_equal(s.n_warnings, 1);
	assert_string_equal(s.warnings[0].name, "knob-foreign");
}

static void a_list_is_read(void **state)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_list_clear) struct client_list list = { 0 };

	(void)state;
	start(serve_bus, newer);
	assert_int_equal(client_open(path, &bus), 0);
	assert_int_equal(client_get_list(bus, &list), 0);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.v[0].pid, 7);
	assert_string_equal(list.v[0].comm, "sh");
	assert_int_equal(list.v[0].tracked_pages, 3);
	assert_int_equal(list.v[0].enrolled_pages, 2);
	assert_int_equal(list.v[0].pages_saved, 1);
	assert_string_equal(list.v[0].note, "a note");
}

static void accounts_are_read(void **state)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_accounts_clear) struct client_accounts list = { 0 };
	const struct account_row *b;

	(void)state;
	start(serve_bus, newer);
	assert_int_equal(client_open(path, &bus), 0);
	assert_int_equal(client_get_accounts(bus, ACCOUNT_GUEST, &list), 0);
	assert_int_equal(list.n, 0);
	client_accounts_clear(&list);
	assert_int_equal(client_get_accounts(bus, ACCOUNT_UNIT, &list), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.v[0].name, "a.service");
	b = client_accounts_of_name(&list, "b.service");
	assert_int_equal(b->processes, 3);
	assert_int_equal(b->account.settled, 9);
	assert_int_equal(b->account.ksmd_usec, 3);
	assert_true(b->account.profit == -5);
	assert_int_equal(b->reason, REASON_KEEPS_BREAKING);
	assert_string_equal(client_accounts_of_name(&list, "c")->name, "");
	assert_int_equal(client_accounts_of_pid(&list, 7)->processes, 0);
}

/* An older daemon has none, and all else works. */
static void no_accounts_are_no_error(void **state)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	struct client_accounts list = { .n = 99 };

	(void)state;
	start(serve_bus, odd);
	assert_int_equal(client_open(path, &bus), 0);
	assert_int_equal(client_get_accounts(bus, ACCOUNT_UNIT, &list), 0);
	assert_int_equal(list.n, 0);
}

static void an_odd_list_is_an_error(void **state)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	struct client_list list = { .n = 99 };

	(void)state;
	start(serve_bus, odd);
	assert_int_equal(client_open(path, &bus), 0);
	assert_true(client_get_list(bus, &list) < 0);
	assert_int_equal(list.n, 99);
}

static void calls_are_answered(void **state)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;

	(void)state;
	start(serve_bus, newer);
	assert_int_equal(client_open(path, &bus), 0);
	assert_int_equal(client_call(bus, "Pause"), 0);
	assert_int_equal(client_call(bus, "Resume"), -EACCES);
	assert_true(client_call(bus, "Rescan") < 0);
}

static void hang_up(int fd, const sd_bus_vtable *vtable)
{
	(void)vtable;
	close(fd);
	_exit(0);
}

static void send_nonsense(int fd, const sd_bus_vtable *vtable)
{
	(void)vtable;
	(void)!write(fd, "220 mail.example.org ESMTP\r\n", 28);
	pause();
	_exit(0);
}

static void bad_servers_are_errors(void **state)
{
	sd_bus *bus = NULL;

	(void)state;
	start(hang_up, NULL);
	assert_true(client_open(path, &bus) < 0);
	assert_null(bus);
	teardown(NULL);
	start(send_nonsense, NULL);
	assert_true(client_open(path, &bus) < 0);
	assert_null(bus);
}

static void nobody_there(void **state)
{
	char long_path[300];
	sd_bus *bus = NULL;

	(void)state;
	assert_int_equal(client_open(path, &bus), -ENOENT);
	close(listen_here());
	assert_int_equal(client_open(path, &bus), -ECONNREFUSED);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(client_open(long_path, &bus), -ENAMETOOLONG);
	assert_null(bus);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_version_is_understood),
		TEST(a_list_is_read),
		TEST(accounts_are_read),
		TEST(no_accounts_are_no_error),
		TEST(an_odd_list_is_an_error),
		TEST(calls_are_answered),
		TEST(bad_servers_are_errors),
		TEST(nobody_there),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
