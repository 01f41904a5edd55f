/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "budget.h"

#include "cleanup.h"

void budget_init(struct budget *b, uint32_t share_permyriad, uint64_t now_usec,
		 uint64_t cpu_usec)
{
	*b = (struct budget){
		.share_permyriad = share_permyriad,
		.last_usec = now_usec,
		.last_cpu_usec = cpu_usec,
		.burst_usec = BUDGET_BURST_USEC,
	};
}

void budget_update(struct budget *b, uint64_t now_usec, uint64_t cpu_usec,
		   bool beginning)
{
	int64_t used = (int64_t)(cpu_usec - b->last_cpu_usec);
	int64_t paid = beginning ? MIN(used, b->burst_usec) : 0;
	int64_t cap = (int64_t)(BUDGET_SAVE_USEC * b->share_permyriad / 10000);
	/* a clock that went back earns nothing, and goes on from there */
	uint64_t passed = now_usec - MIN(b->last_usec, now_usec);
	int64_t earned = (int64_t)(passed * b->share_permyriad / 10000);

	b->burst_usec -= paid;
	b->tokens_usec += earned - (used - paid);
	if (b->tokens_usec > cap) {
		b->burst_usec = MIN(b->burst_usec + b->tokens_usec - cap,
				    (int64_t)BUDGET_BURST_USEC);
		b->tokens_usec = cap;
	}
	b->last_usec = now_usec;
	b->last_cpu_usec = cpu_usec;
}

bool budget_has_burst(const struct budget *b)
{
	return b->burst_usec > 0;
}

uint64_t budget_wait_usec(const struct budget *b)
{
	if (b->tokens_usec >= 0)
		return 0;
	return (uint64_t)-b->tokens_usec * 10000 / b->share_permyriad + 1;
}
