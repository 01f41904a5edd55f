/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execute - what one engine of the model does with one descriptor
 */
#pragma once

#include "device.h"

struct work {
	struct descriptor d;
	pid_t pid;
	struct device_config config;
	uint64_t random;
	struct device_counts counts;
};

/* Execute, and write what records there are to be. */
void execute(struct work *work);
