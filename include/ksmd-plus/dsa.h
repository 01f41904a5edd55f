/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa - what sysfs says about Data Streaming Accelerators
 *
 * Filled by sense/dsa, taken by the engine that submits to them and by doctor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A machine has up to 8 devices of 8 work queues each. */
#define DSA_QUEUES_MAX 64

/* A work queue that is enabled for programs. */
struct dsa_queue {
	char device[16]; /* "dsa0" */
	char name[16]; /* "wq0.0" */
	bool shared; /* or dedicated: for one opener alone */
	bool can_crc; /* CRC generation is among its operations */
	bool can_batch;
	uint32_t entries; /* it takes so many descriptors at once */
	uint32_t max_batch; /* descriptors in a batch; 0 where not known */
	int32_t numa_node; /* -1 where not known */
};

struct dsa_tree {
	unsigned int n_pci; /* devices of the machine, with a driver or not */
	unsigned int n_devices; /* devices that the driver shows */
	unsigned int n_enabled; /* of these */
	unsigned int n_no_pasid; /* of these: without shared addressing */
	/* The first file that libaccel-config takes for granted and is not
	 * there, or "": asking it would end the program. */
	char odd[96];
	bool read_only; /* it would drop every device: cmd_status */
	struct dsa_queue queues[DSA_QUEUES_MAX];
	size_t n_queues;
};
