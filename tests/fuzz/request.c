/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as messages to the injector. Each gets one reply, with its cookie
 * and a result that the daemon knows; none makes it touch a process that the
 * request does not name in every way (here there is none at all).
 *
 * The first two bytes of a message are its length, the third whether a
 * descriptor comes with it.
 */
#include "injector.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"
#include "standalone.h"
#include "tree.h"

#define MAX_MESSAGES 8

static void message_send(int socket, const uint8_t *data, size_t size,
			 int n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {
		0
	};
	struct iovec iov = { (void *)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[3] = { socket, socket, socket };

	if (n_fds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
	}
	assert(sendmsg(socket, &msg, MSG_NOSIGNAL) == (ssize_t)size);
}

static void check_reply(int socket, const uint8_t *data, size_t size, int n_fds)
{
	struct inject_reply reply;
	uint64_t cookie = 0;
	ssize_t n = recv(socket, &reply, sizeof(reply), MSG_DONTWAIT);

	assert(n == sizeof(reply));
	memcpy(&cookie, data, MIN(size, sizeof(cookie)));
	assert(reply.cookie == cookie);
	assert(reply.result <= INJECT_FAILED);
	assert(reply.reason < INJECT_REASON_MAX_);
	assert(reply.n_done == 0 && reply.n_stops == 0);
	assert(reply.result == INJECT_GONE || reply.result == INJECT_FAILED);
	if (size != sizeof(struct inject_request) || !n_fds)
		assert(reply.error == EBADMSG);
}

struct message {
	const uint8_t *data;
	size_t size;
	int n_fds;
};

/* Whole messages only; one of no bytes would be the end of the stream. */
static size_t messages_cut(const uint8_t *data, size_t size,
			   struct message *messages)
{
	size_t n = 0;

	while (n < MAX_MESSAGES && size > 3) {
		size_t len = (size_t)(data[0] | data[1] << 8) % 5000;

		messages[n].n_fds = data[2] % 4;
		messages[n].data = data + 3;
		messages[n].size = MIN(len ? len : 1, size - 3);
		data += 3 + messages[n].size;
		size -= 3 + messages[n].size;
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message messages[MAX_MESSAGES];
	size_t n = messages_cut(data, size, messages);
	struct root root;
	int pair[2];

	tree_begin((const uint8_t *)"", 0, &root);
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ==
	       0);
	for (size_t i = 0; i < n; i++)
		message_send(pair[0], messages[i].data, messages[i].size,
			     messages[i].n_fds);
	shutdown(pair[0], SHUT_WR);
	assert(injector_run(&root, pair[1], true) == 0);
	for (size_t i = 0; i < n; i++)
		check_reply(pair[0], messages[i].data, messages[i].size,
			    messages[i].n_fds);
	close(pair[0]);
	close(pair[1]);
	tree_end(&root);
	return 0;
}
