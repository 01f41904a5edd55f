/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device - a software model of the Data Streaming Accelerator
 *
 * Written from Intel's specification 341204 and from what the idxd driver does
 * with write(2), and from nothing of ksmd-plus: not one header of the daemon
 * is used. It takes 64-byte descriptors, reads and writes the memory of the
 * process that sent them with process_vm_readv() and process_vm_writev(), and
 * answers in whatever order it likes. It checks every reserved bit, and whether
 * what was handed to it is left alone until it has answered.
 *
 * Its time is not silicon's: nothing about speed follows from it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Opcodes. */
enum { NOOP = 0x00, BATCH = 0x01, COMPARE = 0x05, CRCGEN = 0x10 };

/* Flags. */
#define F_FENCE	      0x000001U
#define F_BLOCK	      0x000002U
#define F_RECORD      0x000004U /* completion record address valid */
#define F_REQUEST     0x000008U /* request completion record */
#define F_CHECK	      0x000080U /* check result of a comparison */
#define F_READ_SEED   0x010000U
#define F_BYPASS_INV  0x020000U
#define F_BYPASS_DATA 0x040000U
#define F_CRC64	      0x080000U

/* Of 64 bytes each, at these offsets. */
struct descriptor {
	uint8_t b[64];
};

/* What may go wrong, each once in so many descriptors; 0: never. */
struct mishaps {
	uint32_t fault; /* page fault at some byte, partial result */
	uint32_t list_fault; /* of a batch */
	uint32_t request; /* page request failed; not of a batch */
	uint32_t refused; /* 0x10 to 0x1f, wrongly */
	uint32_t hardware; /* 0x20 to 0x22 */
	uint32_t list_hardware; /* of a batch as a whole */
	uint32_t odd; /* a status that does not exist */
	uint32_t lost; /* never a record */
	uint32_t late; /* one long after everybody has given up */
	uint32_t retry; /* not accepted for now */
	uint32_t cut; /* a write(2) that takes only some */
};

struct device_config {
	bool shared;
	bool batch_by_write; /* v1 parts refuse it */
	unsigned int size; /* threshold of a shared queue */
	unsigned int max_batch;
	uint32_t max_transfer;
	unsigned int n_engines; /* threads */
	uint64_t late_usec;
	uint64_t seed;
	struct mishaps once_in;
};

struct device_counts {
	uint64_t submitted; /* descriptors, members of batches too */
	uint64_t done;
	uint64_t refused; /* for what was really wrong with them */
	uint64_t overrun; /* dedicated queue: dropped silently */
	uint64_t touched; /* memory that was not left alone */
	uint64_t mishaps;
};

struct device;

struct device *device_new(const struct device_config *config);
/* As the kernel does at close(2): waits for all but lost descriptors, after
 * which nothing is written any more. */
void device_drain(struct device *device);
void device_free(struct device *device);

/* By the portal, from process @pid. False: retry (a shared queue only). */
bool device_enqueue(struct device *device, pid_t pid, const void *descriptor);

/* As write(2) on the node: bytes, or negative errno. */
ssize_t device_write(struct device *device, pid_t pid, const void *buf,
		     size_t n);

/* While disabled nothing is accepted, and what was is lost. */
void device_enable(struct device *device, bool enable);

/* From now on. */
void device_set_mishaps(struct device *device, const struct mishaps *once_in);

void device_counts(struct device *device, struct device_counts *ret);

/* CRC-32 as section 8.3.15 has it, by a table made bit by bit. */
uint32_t device_crc(const void *data, size_t n, uint32_t seed, uint32_t flags);
