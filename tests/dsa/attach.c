/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach - gives a whole daemon the model inside
 *
 * Linked to build/tests/dsa/ksmd-plus: what the daemon opens as wqN.M is the
 * device N. KSMD_PLUS_MODEL=v1 makes it refuse batches by write(2) and close
 * the portal.
 */
#include <stdlib.h>
#include <string.h>

#include "inside.h"

__attribute__((constructor)) static void attach(void)
{
	const char *kind = getenv("KSMD_PLUS_MODEL");
	struct device_config config = {
		.shared = true,
		.batch_by_write = true,
		.size = 64,
		.max_batch = 256,
		.max_transfer = 2U << 20,
		.n_engines = 1,
		.seed = 1,
	};

	if (kind && !strcmp(kind, "v1")) {
		config.batch_by_write = false;
		inside_portal = false;
	}
	inside_set(0, device_new(&config));
}
