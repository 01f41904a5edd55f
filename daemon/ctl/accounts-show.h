/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accounts-show - accounts for people and as JSON
 */
#pragma once

#include "client-accounts.h"
#include "screen.h"

struct json_object;

/* Room for the text of screen_bytes() and a sign. */
#define ACCOUNTS_NUMBER (SCREEN_NUMBER + 1)

/* "-3.0 MiB". Return: @buf. */
char *accounts_bytes(int64_t bytes, char buf[ACCOUNTS_NUMBER]);

/* Add the figures to @object; @row is the empty one for nothing known. */
void accounts_json_add(struct json_object *object,
		       const struct account_row *row);

/* All as an array; @kind is the key of the names. */
struct json_object *accounts_json(const struct client_accounts *accounts,
				  enum account_kind kind);

/* All as a table, those first that save most: @accounts are sorted. 0 or
 * -ENOMEM. */
int accounts_print(const struct screen *screen,
		   struct client_accounts *accounts, enum account_kind kind);
