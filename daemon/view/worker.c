/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"

#include "checksum.h"

int worker_open(const struct checksum_engine *engine, struct worker *ret)
{
	return engine->lane_new(engine, &ret->lane);
}

void worker_close(struct worker *worker)
{
	if (worker->lane)
		worker->lane = worker->lane->engine->lane_free(worker->lane);
}
