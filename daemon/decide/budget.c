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
	};
}

void budget_update(struct budget *b, uint64_t now_usec, uint64_t cpu_usec)
{
	int64_t cap = (int64_t)(BUDGET_SAVE_USEC * b->share_permyriad / 10000);
	int64_t earned = (int64_t)((now_usec - b->last_usec) *
				   b->share_permyriad / 10000);

	/* a refund may stand above the cap; time does not add to it then */
	if (b->tokens_usec < cap)
		b->tokens_usec = MIN(b->tokens_usec + earned, cap);
	b->tokens_usec -= (int64_t)(cpu_usec - b->last_cpu_usec);
	b->last_usec = now_usec;
	b->last_cpu_usec = cpu_usec;
}

void budget_refund(struct budget *b, uint64_t cpu_usec)
{
	b->tokens_usec += (int64_t)cpu_usec;
}

uint64_t budget_wait_usec(const struct budget *b)
{
	if (b->tokens_usec >= 0)
		return 0;
	return (uint64_t)-b->tokens_usec * 10000 / b->share_permyriad + 1;
}
