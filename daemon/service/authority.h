/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * authority - whether the sender of a message on the system bus may do a thing
 *
 * Root may. Of others polkit decides, which is asked over the bus itself and
 * may take as long as somebody needs to type a password; where there is no
 * polkit they may not. Nothing waits for an answer but the caller's reply.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

struct authority;

/* Ask on @bus, which outlives it. 0 or -ENOMEM. */
int authority_new(sd_bus *bus, struct authority **ret);
/* Forget what is being asked; nobody is answered. NULL in, NULL out. */
struct authority *authority_free(struct authority *authority);

/*
 * Call @allowed if the sender of @m may do @action, once, later; it answers
 * @m. One who may not is answered by us. @m is kept until then.
 * Return: 1, or negative with @error set: the caller of this answers @m.
 */
int authority_ask(struct authority *authority, sd_bus_message *m,
		  const char *action,
		  void (*allowed)(void *userdata, sd_bus_message *m, uid_t uid,
				  pid_t pid),
		  void *userdata, sd_bus_error *error);
