/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two questions: the bus daemon knows who a sender is, polkit what that one
 * may do. Both are calls with a callback. What a stranger could do to us with
 * them is to have many open: so many at once, and few from one sender.
 */
#include "authority.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"

#define QUESTIONS_MAX	     64U
#define QUESTIONS_OF_ONE_MAX 4U
/* The bus daemon, and polkit by its rules, answer at once. */
#define ANSWER_USEC (25 * USEC_PER_SEC)
/* Somebody has to find a password. */
#define DIALOG_USEC (120 * USEC_PER_SEC)

#define POLKIT_INTERACTIVE 1U /* AllowUserInteraction */

struct question {
	struct authority *authority;
	struct question *next;
	sd_bus_message *m;
	sd_bus_slot *slot; /* of the call under way */
	const char *action;
	void (*allowed)(void *userdata, sd_bus_message *m, uid_t uid,
			pid_t pid);
	void *userdata;
	uid_t uid;
	pid_t pid;
};

struct authority {
	sd_bus *bus;
	struct question *questions;
};

static void question_free(struct question *q)
{
	struct question **p = &q->authority->questions;

	while (*p && *p != q)
		p = &(*p)->next;
	if (*p)
		*p = q->next;
	sd_bus_slot_unref(q->slot);
	sd_bus_message_unref(q->m);
	free(q);
}

DEFINE_CLEANUP(struct question, question_free)

/* Takes @q: its sender is told, and it is gone. */
static int refuse(struct question *q, const char *name, const char *why)
{
	sd_bus_reply_method_errorf(q->m, name,
				   "%s() is for root, and uid %u %s.",
				   sd_bus_message_get_member(q->m),
				   (unsigned int)q->uid, why);
	question_free(q);
	return 1;
}

static int allow(struct question *q)
{
	q->allowed(q->userdata, q->m, q->uid, q->pid);
	question_free(q);
	return 1;
}

/* --- polkit ---------------------------------------------------------------- */

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct question *q = userdata;
	int authorized = 0, challenge = 0;

	(void)error;
	if (sd_bus_message_is_method_error(reply, NULL))
		return refuse(q, SD_BUS_ERROR_ACCESS_DENIED,
			      "cannot be allowed it: polkit does not answer");
	if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
	    sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
		return refuse(q, SD_BUS_ERROR_ACCESS_DENIED,
			      "was not allowed it in words that we know");
	if (authorized)
		return allow(q);
	if (challenge)
		return refuse(
			q, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
			"has to authenticate for it, which was not asked for");
	return refuse(q, SD_BUS_ERROR_ACCESS_DENIED,
		      "is not allowed it by polkit");
}

static int ask_polkit(struct question *q)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	bool dialog = sd_bus_message_get_allow_interactive_authorization(q->m) >
		      0;
	int r = sd_bus_message_new_method_call(
		q->authority->bus, &call, "org.freedesktop.PolicyKit1",
		"/org/freedesktop/PolicyKit1/Authority",
		"org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");

	if (r >= 0)
		r = sd_bus_message_append(call, "(sa{sv})sa{ss}us",
					  "system-bus-name", 1, "name", "s",
					  sd_bus_message_get_sender(q->m),
					  q->action, 0,
					  dialog ? POLKIT_INTERACTIVE : 0U, "");
	if (r < 0)
		return r;
	q->slot = sd_bus_slot_unref(q->slot);
	return sd_bus_call_async(q->authority->bus, &q->slot, call, on_polkit,
				 q, dialog ? DIALOG_USEC : ANSWER_USEC);
}

/* --- who it is ------------------------------------------------------------- */

/* The value of one entry of the dictionary, if it is a u of ours. */
static int read_credential(sd_bus_message *reply, uint32_t *ret_uid,
			   uint32_t *ret_pid)
{
	const char *key, *type;
	char kind;
	int r = sd_bus_message_read(reply, "s", &key);

	if (r >= 0)
		r = sd_bus_message_peek_type(reply, &kind, &type);
	if (r < 0)
		return r;
	if (!strcmp(type, "u") && !strcmp(key, "UnixUserID"))
		return sd_bus_message_read(reply, "v", "u", ret_uid);
	if (!strcmp(type, "u") && !strcmp(key, "ProcessID"))
		return sd_bus_message_read(reply, "v", "u", ret_pid);
	return sd_bus_message_skip(reply, "v");
}

/* -ENODATA without a uid; a pid may be missing. */
static int read_credentials(sd_bus_message *reply, struct question *q)
{
	uint32_t uid = UINT32_MAX, pid = 0;
	int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

	while (r >= 0 &&
	       (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = read_credential(reply, &uid, &pid);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	if (r < 0 || uid == UINT32_MAX)
		return r < 0 ? r : -ENODATA;
	q->uid = uid;
	q->pid = (pid_t)pid;
	return 0;
}

static int on_credentials(sd_bus_message *reply, void *userdata,
			  sd_bus_error *error)
{
	struct question *q = userdata;

	(void)error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    read_credentials(reply, q) < 0) {
		/* mostly: it has gone */
		question_free(q);
		return 1;
	}
	if (q->uid == 0)
		return allow(q);
	if (ask_polkit(q) < 0)
		return refuse(q, SD_BUS_ERROR_ACCESS_DENIED,
			      "cannot be allowed it: polkit cannot be asked");
	return 1;
}

/* --- questions ------------------------------------------------------------- */

static bool has_room(const struct authority *authority, const char *sender)
{
	unsigned int n = 0, n_same = 0;

	for (const struct question *q = authority->questions; q; q = q->next) {
		const char *other = sd_bus_message_get_sender(q->m);

		n++;
		n_same += other && !strcmp(other, sender);
	}
	return n < QUESTIONS_MAX && n_same < QUESTIONS_OF_ONE_MAX;
}

int authority_ask(struct authority *authority, sd_bus_message *m,
		  const char *action,
		  void (*allowed)(void *userdata, sd_bus_message *m, uid_t uid,
				  pid_t pid),
		  void *userdata, sd_bus_error *error)
{
	_cleanup_(question_freep) struct question *q = NULL;
	const char *sender = sd_bus_message_get_sender(m);
	int r;

	if (!sender || !has_room(authority, sender))
		return sd_bus_error_set(
			error, SD_BUS_ERROR_LIMITS_EXCEEDED,
			"Too many calls wait for an authorization.");
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->authority = authority;
	q->m = sd_bus_message_ref(m);
	q->action = action;
	q->allowed = allowed;
	q->userdata = userdata;
	r = sd_bus_call_method_async(
		authority->bus, &q->slot, "org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus",
		"GetConnectionCredentials", on_credentials, q, "s", sender);
	if (r < 0)
		return r;
	q->next = authority->questions;
	authority->questions = TAKE_PTR(q);
	return 1;
}

int authority_new(sd_bus *bus, struct authority **ret)
{
	struct authority *authority = calloc(1, sizeof(*authority));

	if (!authority)
		return -ENOMEM;
	authority->bus = bus;
	*ret = authority;
	return 0;
}

struct authority *authority_free(struct authority *authority)
{
	if (!authority)
		return NULL;
	while (authority->questions)
		question_free(authority->questions);
	free(authority);
	return NULL;
}
