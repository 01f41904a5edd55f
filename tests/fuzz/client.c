/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the answers that ksmd-plusctl gets from the daemon and from
 * systemd: no crash, no string that is not there, and the next question is
 * answered as well.
 *
 * The first byte chooses the question. Then answers, each a signature that
 * ends with a null byte, two bytes with the length of the body, and that; with
 * '!' before it the signature is the name of an error. Who asks more often than
 * there are answers gets empty ones. Headers are made here.
 */
#include "client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "client-accounts.h"
#include "client-explain.h"
#include "client-numa.h"
#include "log.h"
#include "standalone.h"
#include "systemd.h"

/* No question takes more than this. */
#define ANSWERS	   8
#define HEADER_MAX 600

static sd_bus *bus;
static int peer = -1;
static uint32_t n_asked;

static bool swallow(const struct log_record *record)
{
	assert(*record->text);
	return true;
}

static void hang_up(void)
{
	bus = sd_bus_close_unref(bus);
	peer = close_fd(peer);
}

/* A bus whose other end has authenticated, and then leaves it to us. */
static void dial(void)
{
	sd_id128_t id = { .bytes = { 1 } };
	sd_bus *server;
	char buf[256];
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			  0, pair) == 0);
	peer = dup(pair[1]);
	assert(peer >= 0);
	assert(sd_bus_new(&server) >= 0 && sd_bus_new(&bus) >= 0);
	assert(sd_bus_set_fd(server, pair[1], pair[1]) >= 0);
	assert(sd_bus_set_server(server, 1, id) >= 0);
	assert(sd_bus_set_fd(bus, pair[0], pair[0]) >= 0);
	assert(sd_bus_start(server) >= 0 && sd_bus_start(bus) >= 0);
	while (sd_bus_is_ready(bus) <= 0 || sd_bus_is_ready(server) <= 0)
		assert(sd_bus_process(bus, NULL) >= 0 &&
		       sd_bus_process(server, NULL) >= 0);
	/* all answers are there before the question: who has none gets none */
	assert(sd_bus_set_method_call_timeout(bus, 1) >= 0);
	sd_bus_unref(server);
	/* what it took to get there */
	while (recv(peer, buf, sizeof(buf), 0) > 0)
		;
	n_asked = 0;
}

static size_t put_u32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
	return sizeof(value);
}

/* A header field: its code, the type of its value, the value. */
static size_t put_text(uint8_t *at, char code, char type, const char *text)
{
	const uint8_t intro[] = { (uint8_t)code, 1, (uint8_t)type, 0 };
	size_t len = strlen(text), n = sizeof(intro);

	memcpy(at, intro, n);
	if (type == 'g')
		at[n++] = (uint8_t)len;
	else
		n += put_u32(at + n, (uint32_t)len);
	memcpy(at + n, text, len + 1);
	return n + len + 1;
}

/* Fields are aligned; what is between them is zero already. */
static size_t aligned(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static void answer(uint32_t cookie, const char *signature, const uint8_t *body,
		   size_t size)
{
	bool error = *signature == '!';
	uint8_t header[HEADER_MAX] = { 'l', error ? 3 : 2, 1, 1 };
	size_t n = 4, fields;

	n += put_u32(header + n, (uint32_t)size);
	n += put_u32(header + n, cookie);
	fields = n;
	n += sizeof(uint32_t);
	memcpy(header + n, "\5\1u", 4);
	n += 4;
	n += put_u32(header + n, cookie);
	if (error) {
		n += put_text(header + n, 4, 's', signature + 1);
		n = aligned(n);
	}
	n += put_text(header + n, 8, 'g', error ? "s" : signature);
	put_u32(header + fields, (uint32_t)(n - fields - sizeof(uint32_t)));
	send(peer, header, aligned(n), MSG_NOSIGNAL);
	send(peer, body, size, MSG_NOSIGNAL);
}

static void answers(const uint8_t *data, size_t size)
{
	for (uint32_t i = 1; i <= ANSWERS; i++) {
		const uint8_t *null = size ? memchr(data, '\0', size) : NULL;
		size_t len = null ? (size_t)(null - data) : 0;
		size_t body = 0;
		char signature[256] = "";

		if (null && len < sizeof(signature) && size > len + 3) {
			memcpy(signature, data, len);
			body = MIN((size_t)(data[len + 1] | data[len + 2] << 8),
				   size - len - 3);
			answer(n_asked + i, signature, data + len + 3, body);
			data += len + 3 + body;
			size -= len + 3 + body;
		} else {
			answer(n_asked + i, signature, data, 0);
			size = 0;
		}
	}
}

static void ask_status(void)
{
	struct client_status s;
	char nodes[CLIENT_NUMA_NODES];

	if (client_get_status(bus, &s))
		return;
	assert(s.version && s.state && s.engine && s.engine_detail && s.hints &&
	       s.activity);
	for (size_t i = 0; i < s.n_targets; i++)
		assert(s.targets[i].name && s.targets[i].mode);
	for (size_t i = 0; i < s.n_counters; i++)
		assert(s.counters[i].name);
	for (size_t i = 0; i < s.n_warnings; i++)
		assert(s.warnings[i].name && s.warnings[i].sentence);
	for (size_t i = 0; i < s.numa.n_processes; i++) {
		client_numa_nodes(s.numa.processes[i].home, nodes);
		assert(client_numa_find(&s.numa, s.numa.processes[i].pid));
	}
	client_status_clear(&s);
}

static void ask_list(void)
{
	struct client_list list;

	if (client_get_list(bus, &list))
		return;
	for (size_t i = 0; i < list.n; i++)
		assert(list.v[i].comm && list.v[i].note && list.v[i].state);
	client_list_clear(&list);
}

static void ask_accounts(void)
{
	struct client_accounts list;

	if (client_get_accounts(bus, ACCOUNT_PROCESS, &list))
		return;
	for (size_t i = 0; i < list.n; i++) {
		const struct account_row *row = &list.v[i];

		assert(client_accounts_of_pid(&list, row->pid)->pid ==
		       row->pid);
		assert(*client_accounts_of_name(&list, row->name)->name ==
		       *row->name);
	}
	client_accounts_clear(&list);
}

static void ask_reasons(void)
{
	struct client_reasons reasons;

	if (client_explain(bus, 7, &reasons))
		return;
	for (size_t i = 0; i < reasons.n; i++)
		assert(reasons.v[i].reason && reasons.v[i].detail);
	client_reasons_clear(&reasons);
}

static void ask_systemd(const char *text)
{
	struct systemd_unit unit;
	struct unit_name name;
	struct pids pids = { 0 };
	unsigned int version;

	assert(unit_name_parse(text, &name) == 0);
	if (name.template)
		systemd_version(bus, &version);
	else if (systemd_unit(bus, &name, &unit) == 0)
		assert(memchr(unit.id, '\0', sizeof(unit.id)) &&
		       memchr(unit.state, '\0', sizeof(unit.state)));
	systemd_processes(bus, &name, &pids);
	vec_free(&pids);
}

static void ask(unsigned int what)
{
	switch (what) {
	case 0:
		return ask_status();
	case 1:
		return ask_list();
	case 2:
		return ask_accounts();
	case 3:
		return ask_reasons();
	default:
		return ask_systemd(what == 4 ? "a.service" : "a@.service");
	}
}

/* How many questions came: the next one's number is known by that. */
static uint32_t questions_count(void)
{
	_Alignas(uint64_t) uint8_t buf[8192];
	ssize_t n = recv(peer, buf, sizeof(buf), 0);
	uint32_t questions = 0, body, fields;

	assert(n < (ssize_t)sizeof(buf));
	for (size_t at = 0; n > 0 && at < (size_t)n; questions++) {
		memcpy(&body, buf + at + 4, sizeof(body));
		memcpy(&fields, buf + at + 12, sizeof(fields));
		at += aligned(16 + fields) + body;
	}
	return questions;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	log_set_sink(swallow);
	if (!bus)
		dial();
	answers(data + 1, size - 1);
	ask(data[0] % 6);
	n_asked += questions_count();
	/* answers that nobody wanted */
	while (sd_bus_process(bus, NULL) > 0)
		;
	if (sd_bus_is_open(bus) <= 0)
		hang_up();
	return 0;
}
