/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"

#include <string.h>

#include "checksum.h"

int worker_open(const struct checksum_engine *engine, struct worker *ret)
{
	ret->used = false;
	return engine->lane_new(engine, &ret->lane);
}

void worker_wipe(struct worker *worker)
{
	const struct checksum_lane *lane = worker->lane;

	if (worker->used)
		explicit_bzero(lane->area,
			       lane->n_blocks * CHECKSUM_BLOCK_BYTES);
	worker->used = false;
}

void worker_close(struct worker *worker)
{
	if (!worker->lane)
		return;
	worker_wipe(worker);
	worker->lane = worker->lane->engine->lane_free(worker->lane);
}
