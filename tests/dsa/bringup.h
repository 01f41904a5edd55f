/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bringup - the engine over devices of the model, for the tests in one process
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "checksum.h"
#include "engine-dsa.h"
#include "inside.h"

static struct dsa_node bringup_nodes[INSIDE_MAX];
static size_t bringup_n;

static inline size_t bringup_find(void *userdata, struct dsa_node *ret,
				  size_t max)
{
	size_t n = bringup_n < max ? bringup_n : max;

	(void)userdata;
	memcpy(ret, bringup_nodes, n * sizeof(*ret));
	return n;
}

/* A device behind the next path, and what sysfs would say of it. */
static inline struct device *bringup_device(const struct device_config *config)
{
	struct device *device = device_new(config);
	struct dsa_node *node = &bringup_nodes[bringup_n];

	*node = (struct dsa_node){
		.queue = {
			.shared = config->shared,
			.can_crc = true,
			.can_batch = config->batch_by_write,
			.entries = config->size,
			.max_batch = config->max_batch,
			.numa_node = -1,
		},
	};
	snprintf(node->queue.device, sizeof(node->queue.device), "dsa%zu",
		 bringup_n);
	strcpy(node->queue.name, "wq0.0");
	snprintf(node->path, sizeof(node->path), "model:%zu", bringup_n);
	inside_set((unsigned int)bringup_n++, device);
	return device;
}

/* After the engine is gone. */
static inline void bringup_end(struct device *const *devices)
{
	for (size_t i = 0; i < bringup_n; i++) {
		inside_set((unsigned int)i, NULL);
		device_free(devices[i]);
	}
	bringup_n = 0;
}
