/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client-explain - what the daemon knows of one process
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include <ksmd-plus/status.h>

/* What ExplainProcess told; details belong to @reply. */
struct client_reasons {
	sd_bus_message *reply;
	struct reason_status *v;
	size_t n;
};

/*
 * Ask about @pid. Reasons that this program does not know are left out.
 * Return: 0 or negative errno, without a word: an older daemon does not know
 * the question. *ret is untouched then.
 */
int client_explain(sd_bus *bus, uint32_t pid, struct client_reasons *ret);
void client_reasons_clear(struct client_reasons *reasons);
