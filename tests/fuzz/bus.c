/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes from a client of the control socket, behind the authentication or
 * instead of it: no crash, what it asks for is asked of the daemon once or
 * not at all, and the next client, that of the next input, is served.
 *
 * With the first byte even, what follows comes after a good authentication.
 */
#include "control.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "standalone.h"

/* So many may come in a second: control.c bounds them. */
#define CLIENTS_EACH 150
#define TRIES	     3

static unsigned int n_calls, n_clients;
static char folder[64];

/* Something in every list. */
static const struct daemon_status status = {
	.engine = "cpu",
	.hints = "none",
	.targets = &(struct target_status){ .name = "t", .mode = "m" },
	.n_targets = 1,
	.warnings = &(struct warning){ .name = "busy" },
	.n_warnings = 1,
	.counters = { { .name = "n" } },
	.n_counters = 1,
	.numa = {
		.policy = "fair",
		.activity = "none",
		.nodes = &(struct numa_node_status){ .node = 1 },
		.n_nodes = 1,
		.processes = &(struct numa_process_status){
			.activity = "none",
		},
		.n_processes = 1,
	},
};

static void op_status(void *userdata, struct daemon_status *ret)
{
	(void)userdata;
	n_calls++;
	*ret = status;
}

static int op_list(void *userdata, const struct process_status **ret,
		   size_t *ret_n)
{
	static const struct process_status row = {
		.pid = 1,
		.comm = "\xff name",
		.target = "t",
		.mode = "m",
		.rule = "r",
		.state = "s",
		.note = "",
	};

	(void)userdata;
	n_calls++;
	*ret = &row;
	*ret_n = 1;
	return 0;
}

static void op_explain(void *userdata, uint32_t pid,
		       const struct reason_status **ret, size_t *ret_n)
{
	static const struct reason_status row = { .detail = "" };

	(void)userdata;
	(void)pid;
	n_calls++;
	*ret = &row;
	*ret_n = 1;
}

static int op_accounts(void *userdata, enum account_kind kind,
		       const struct account_row **ret, size_t *ret_n)
{
	static const struct account_row row = {
		.name = "n",
		.unit = "\xff.service",
		.guest = "",
	};

	(void)userdata;
	assert((unsigned int)kind < ACCOUNT_KIND_MAX_);
	n_calls++;
	*ret = &row;
	*ret_n = 1;
	return 0;
}

static void op_simple(void *userdata)
{
	(void)userdata;
	n_calls++;
}

static int op_adopt(void *userdata, pid_t pid)
{
	(void)userdata;
	assert(pid >= 0);
	n_calls++;
	return pid % 3 == 0 ? 0 : pid % 3 == 1 ? 1 : -ENOMEM;
}

static const struct control_ops ops = {
	.status = op_status,
	.list = op_list,
	.explain = op_explain,
	.accounts = op_accounts,
	.pause = op_simple,
	.resume = op_simple,
	.rescan = op_simple,
	.adopt = op_adopt,
};

static sd_event *event;
static struct control *control;

static void take_down(void)
{
	control = control_free(control);
	event = sd_event_unref(event);
	rmdir(folder);
}

static void set_up(void)
{
	strcpy(folder, "/tmp/ksmd-plus-fuzz-XXXXXX");
	assert(mkdtemp(folder));
	assert(sd_event_new(&event) >= 0);
	atexit(take_down);
}

static int client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus", folder);
	assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void run(void)
{
	for (int i = 0; i < 200 && sd_event_run(event, 0) > 0; i++)
		;
}

/* All that is there to read, without looking at it. */
static size_t drain(int fd)
{
	char buf[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		sum += (size_t)n;
	return sum;
}

/* False if the machine was so busy meanwhile that its time was over. */
static bool authenticate(int fd)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%cAUTH EXTERNAL ", 0);
	char uid[16];

	snprintf(uid, sizeof(uid), "%u", geteuid());
	for (const char *c = uid; *c; c++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", *c);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\nBEGIN\r\n");
	assert(send(fd, text, (size_t)n, MSG_NOSIGNAL) == n);
	run();
	return drain(fd) > 0;
}

static int client_authenticated(void)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = client();

		if (authenticate(fd))
			return fd;
		close(fd);
	}
	assert(!"nobody is let in");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (!event)
		set_up();
	if (n_clients++ % CLIENTS_EACH == 0) {
		control = control_free(control);
		assert(control_new(event, folder, &ops, NULL, &control) == 0);
	}
	fd = size && data[0] % 2 == 0 ? client_authenticated() : client();
	n_calls = 0;
	if (size > 1)
		send(fd, data + 1, size - 1, MSG_NOSIGNAL);
	run();
	assert(n_calls <= size);
	drain(fd);
	close(fd);
	run();
	return 0;
}
