/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-desc.h"

#include <string.h>

#include <ksmd-plus/types.h>

#include "checksum.h"

/* Bit 7 tells reads from writes, the rest is the code. */
#define STATUS_MASK 0x7FU

enum {
	STATUS_SUCCESS = 0x01,
	STATUS_PAGE_FAULT = 0x03,
	STATUS_PAGE_REQUEST = 0x04,
	STATUS_BATCH_MEMBER = 0x05,
	STATUS_BATCH_LIST = 0x06,
	STATUS_REFUSED_FIRST = 0x10,
	STATUS_REFUSED_LAST = 0x1f,
	STATUS_HARDWARE_FIRST = 0x20,
	STATUS_HARDWARE_LAST = 0x22,
};

const char *dsa_cause_name(enum dsa_cause cause)
{
	static const char *const names[DSA_CAUSE_MAX_] = {
		[DSA_CAUSE_NONE] = "none",
		[DSA_CAUSE_SHORT] = "short",
		[DSA_CAUSE_NO_QUEUE] = "no-queue",
		[DSA_CAUSE_BUSY] = "busy",
		[DSA_CAUSE_FAULT] = "fault",
		[DSA_CAUSE_SKIPPED] = "skipped",
		[DSA_CAUSE_REFUSED] = "refused",
		[DSA_CAUSE_HARDWARE] = "hardware",
		[DSA_CAUSE_LOST] = "lost",
		[DSA_CAUSE_ODD] = "odd",
	};

	return names[cause];
}

static void desc_fill(struct dsa_desc *desc, uint32_t op, const void *source,
		      uint32_t size, struct dsa_record *record)
{
	memset(desc, 0, sizeof(*desc));
	memset(record, 0, sizeof(*record));
	desc->flags_op = op << 24 | DSA_FLAGS;
	desc->record = (uintptr_t)record;
	desc->source = (uintptr_t)source;
	desc->size = size;
}

void dsa_desc_crc(struct dsa_desc *desc, const void *page,
		  struct dsa_record *record)
{
	desc_fill(desc, DSA_OP_CRC_GEN, page, PAGE_BYTES, record);
}

void dsa_desc_batch(struct dsa_desc *desc, const struct dsa_desc *list,
		    unsigned int n, struct dsa_record *record)
{
	desc_fill(desc, DSA_OP_BATCH, list, n, record);
}

/* What is common to all operations. */
static enum dsa_cause judge_status(unsigned int status)
{
	if (status == STATUS_SUCCESS)
		return DSA_CAUSE_NONE;
	if (status == STATUS_PAGE_FAULT || status == STATUS_PAGE_REQUEST)
		return DSA_CAUSE_FAULT;
	if (status >= STATUS_REFUSED_FIRST && status <= STATUS_REFUSED_LAST)
		return DSA_CAUSE_REFUSED;
	if (status >= STATUS_HARDWARE_FIRST && status <= STATUS_HARDWARE_LAST)
		return DSA_CAUSE_HARDWARE;
	return DSA_CAUSE_ODD;
}

enum dsa_cause dsa_desc_judge_crc(const struct dsa_record *record,
				  const void *page, uint32_t *ret_crc)
{
	uint8_t status = __atomic_load_n(&record->status, __ATOMIC_ACQUIRE);
	enum dsa_cause cause = status ? judge_status(status & STATUS_MASK)
				      : DSA_CAUSE_SKIPPED;
	uint32_t done = record->done;

	if (cause == DSA_CAUSE_NONE) {
		*ret_crc = record->crc;
	} else if ((status & STATUS_MASK) == STATUS_PAGE_FAULT && done > 0 &&
		   done < PAGE_BYTES) {
		/* the page is ours and present: finish what was begun */
		*ret_crc = checksum_page_rest(page, done, record->crc);
	} else {
		*ret_crc = checksum_page(page);
	}
	return cause;
}

enum dsa_cause dsa_desc_judge_batch(const struct dsa_record *record,
				    unsigned int n, unsigned int *ret_done)
{
	unsigned int status = __atomic_load_n(&record->status,
					      __ATOMIC_ACQUIRE) &
			      STATUS_MASK;
	enum dsa_cause cause;

	*ret_done = 0;
	if (status == STATUS_SUCCESS) {
		*ret_done = n;
		return DSA_CAUSE_NONE;
	}
	if (status == STATUS_BATCH_MEMBER || status == STATUS_BATCH_LIST) {
		if (record->done > n)
			return DSA_CAUSE_ODD;
		*ret_done = record->done;
		return DSA_CAUSE_SKIPPED;
	}
	cause = judge_status(status);
	return cause == DSA_CAUSE_FAULT ? DSA_CAUSE_ODD : cause;
}
