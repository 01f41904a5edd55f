/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine-dsa-none - what stands in for engine-dsa in `make DSA=no`
 */
#include "engine-dsa.h"

#include <errno.h>
#include <string.h>

const bool engine_dsa_built = false;

const char *engine_dsa_rung_name(enum dsa_rung rung)
{
	(void)rung;
	return "cpu";
}

const char *dsa_cause_name(enum dsa_cause cause)
{
	(void)cause;
	return "none";
}

int engine_dsa_new(const struct engine_dsa_options *options,
		   const struct checksum_engine **ret)
{
	(void)options;
	(void)ret;
	return -EOPNOTSUPP;
}

const struct checksum_engine *
engine_dsa_free(const struct checksum_engine *engine)
{
	(void)engine;
	return NULL;
}

void engine_dsa_state(const struct checksum_engine *engine,
		      struct engine_dsa_state *ret)
{
	(void)engine;
	memset(ret, 0, sizeof(*ret));
}

size_t engine_dsa_discover(const struct dsa_queue *queues, size_t n,
			   struct dsa_node *ret, size_t max)
{
	(void)queues;
	(void)n;
	(void)ret;
	(void)max;
	return 0;
}
