/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checksums - which engine computes them, and why
 *
 * With engine = auto the one that costs less CPU per page on this machine, as
 * measured now. With engine = dsa the accelerator even where it costs more or
 * is not there yet: it is looked for again, and the CPU does it meanwhile.
 */
#pragma once

#include <stdbool.h>

#include "config.h"

struct checksum_engine;
struct checksums;
struct daemon_status;
struct root;

/*
 * Choose. What was measured is logged. The environment variable
 * KSMD_PLUS_DSA_RUNG (portal, write-batch, write-vector, cpu) leaves only one
 * way into a device: a switch for tests.
 * 0 or negative errno.
 */
int checksums_new(const struct root *root, enum config_engine wish,
		  struct checksums **ret);
/* NULL in, NULL out */
struct checksums *checksums_free(struct checksums *checksums);

const struct checksum_engine *
checksums_engine(const struct checksums *checksums);

/* False if engine = dsa is wished and cannot be; *ret_why is half a sentence. */
bool checksums_is_as_wished(const struct checksums *checksums,
			    const char **ret_why);

/* Fill what @status has of the engine. */
void checksums_status(const struct checksums *checksums,
		      struct daemon_status *status);
