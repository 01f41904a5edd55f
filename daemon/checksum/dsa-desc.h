/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-desc - descriptors and completion records of the accelerator
 *
 * Layout and rules of Intel's specification 341204, chapters 8 and 9. The
 * kernel's header lacks the flags of CRC generation and calls a 32-bit result
 * 64 bits wide, so what little is needed is defined here.
 *
 * Flags are only ever "record address valid" and "request a record", the seed
 * is 0, everything else is zero: then the result is CRC-32C, bit for bit what
 * checksum_page() gives.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define DSA_OP_NOOP    0x00U
#define DSA_OP_BATCH   0x01U
#define DSA_OP_CRC_GEN 0x10U

/* Completion record address valid, completion record requested. */
#define DSA_FLAGS 0x0CU

/* A batch of one is an error on all but the newest devices. */
#define DSA_BATCH_MIN 2U

struct dsa_desc {
	uint32_t pasid; /* the kernel's affair */
	uint32_t flags_op; /* 24 bits and 8 */
	uint64_t record;
	uint64_t source; /* or the list of a batch */
	uint64_t target;
	uint32_t size; /* in bytes, or descriptors of a batch */
	uint16_t interrupt;
	uint16_t reserved;
	uint32_t seed;
	uint8_t rest[20];
} __attribute__((aligned(64)));

/* On a cache line of its own: the CPU polls it while the device writes. */
struct dsa_record {
	uint8_t status; /* bit 7: the access that failed was a write */
	uint8_t result;
	uint16_t reserved;
	uint32_t done; /* bytes or descriptors */
	uint64_t fault;
	uint32_t crc;
	uint8_t rest[12];
} __attribute__((aligned(64)));

static_assert(sizeof(struct dsa_desc) == 64, "the device's layout");
static_assert(sizeof(struct dsa_record) == 64, "32 bytes on their own line");

/* Why a page was checksummed by the CPU after all. */
enum dsa_cause {
	DSA_CAUSE_NONE, /* it was not */
	DSA_CAUSE_SHORT, /* too few pages to be worth the way */
	DSA_CAUSE_NO_QUEUE, /* no work queue, or none that is trusted now */
	DSA_CAUSE_BUSY, /* the queue takes no more */
	DSA_CAUSE_FAULT, /* a page fault in the middle */
	DSA_CAUSE_SKIPPED, /* never executed, by the device's own account */
	DSA_CAUSE_REFUSED, /* it or the kernel calls the descriptor wrong */
	DSA_CAUSE_HARDWARE, /* an error of the machine */
	DSA_CAUSE_LOST, /* no answer; the memory is the device's still */
	DSA_CAUSE_ODD, /* an answer that means nothing */
	DSA_CAUSE_MAX_,
};

/* "short", "no-queue", ... */
const char *dsa_cause_name(enum dsa_cause cause);

/* Each fills all of @desc, and clears @record. */
void dsa_desc_crc(struct dsa_desc *desc, const void *page,
		  struct dsa_record *record);
void dsa_desc_batch(struct dsa_desc *desc, const struct dsa_desc *list,
		    unsigned int n, struct dsa_record *record);

/* Whether the record is there; what else it says may be read then. */
static inline bool dsa_record_written(const struct dsa_record *record)
{
	return __atomic_load_n(&record->status, __ATOMIC_ACQUIRE) != 0;
}

/*
 * The checksum of @page by its record, and by the CPU as far as the device did
 * not do it. *ret_crc is right whatever is returned.
 */
enum dsa_cause dsa_desc_judge_crc(const struct dsa_record *record,
				  const void *page, uint32_t *ret_crc);

/*
 * What a batch's record says of the batch: NONE and SKIPPED mean that each
 * member's own record tells. *ret_done: how many members were executed, well
 * or not.
 */
enum dsa_cause dsa_desc_judge_batch(const struct dsa_record *record,
				    unsigned int n, unsigned int *ret_done);
