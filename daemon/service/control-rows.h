/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-rows - the answers of ListProcesses and ExplainProcess
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#include <ksmd-plus/account.h>
#include <ksmd-plus/status.h>

/* Append the array to @reply. 0 or more, or negative errno. */
int control_append_processes(sd_bus_message *reply,
			     const struct process_status *rows, size_t n);
int control_append_accounts(sd_bus_message *reply,
			    const struct account_row *rows, size_t n);
int control_append_reasons(sd_bus_message *reply,
			   const struct reason_status *rows, size_t n);
