/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of the kinds of accounts, which scripts rely on.
 */
#include <string.h>

#include <ksmd-plus/account.h>

static const char *const names[ACCOUNT_KIND_MAX_] = {
	[ACCOUNT_MACHINE] = "machine", [ACCOUNT_TARGET] = "target",
	[ACCOUNT_UNIT] = "unit",       [ACCOUNT_GUEST] = "guest",
	[ACCOUNT_PROCESS] = "process",
};

const char *account_kind_name(enum account_kind kind)
{
	return (unsigned int)kind < ACCOUNT_KIND_MAX_ ? names[kind] : "";
}

enum account_kind account_kind_from_name(const char *name)
{
	unsigned int k = 0;

	while (k < ACCOUNT_KIND_MAX_ && strcmp(names[k], name) != 0)
		k++;
	return (enum account_kind)k;
}
