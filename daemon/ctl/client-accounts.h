/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client-accounts - the daemon's answer to ListAccounts
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#include <ksmd-plus/account.h>

/* All strings belong to @reply. */
struct client_accounts {
	sd_bus_message *reply;
	struct account_row *v; /* by pid, then by name */
	size_t n;
};

/*
 * Ask; says on stderr what went wrong. A daemon of an older version has no
 * accounts: that is none, and no error.
 * Return: 0 or negative errno; then *ret is untouched.
 */
int client_get_accounts(sd_bus *bus, enum account_kind kind,
			struct client_accounts *ret);
void client_accounts_clear(struct client_accounts *accounts);

/* The account of process @pid; that of @name; an empty one where there is
 * none. */
const struct account_row *
client_accounts_of_pid(const struct client_accounts *accounts, uint32_t pid);
const struct account_row *client_accounts_of_name(
	const struct client_accounts *accounts, const char *name);
