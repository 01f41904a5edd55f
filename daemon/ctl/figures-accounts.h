/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * figures-accounts - accounts as metrics
 *
 * One set of series for the machine, each target, unit and guest; how many
 * there can be <ksmd-plus/account.h> tells. None for a process.
 */
#pragma once

#include "client-accounts.h"
#include "openmetrics.h"

/* What the metrics are made of; all zero where no daemon answers. */
struct figures_accounts {
	struct client_accounts kinds[ACCOUNT_PROCESS];
};

/* 0 or negative errno. Free with figures_accounts_clear() in any case. */
int figures_accounts_get(sd_bus *bus, struct figures_accounts *ret);
void figures_accounts_clear(struct figures_accounts *accounts);

void figures_accounts_print(struct openmetrics *om,
			    const struct figures_accounts *accounts);
