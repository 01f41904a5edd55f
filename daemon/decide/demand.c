/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "demand.h"

static void hook(struct demand *d, uint64_t now_usec)
{
	d->hooked = true;
	d->useful = false;
	d->since_usec = now_usec;
	d->bytes = 0;
}

void demand_init(struct demand *d, uint64_t now_usec)
{
	*d = (struct demand){ 0 };
	hook(d, now_usec);
}

void demand_hinted(struct demand *d, uint64_t now_usec, uint64_t bytes)
{
	d->bytes += bytes;
	if (d->bytes >= DEMAND_BYTES) {
		d->useful = true;
		d->rest_usec = 0;
		d->since_usec = now_usec;
		d->bytes = 0;
		return;
	}
	if (now_usec < d->since_usec + DEMAND_LULL_USEC)
		return;
	if (!d->useful)
		d->rest_usec = d->rest_usec ? d->rest_usec * 2
					    : DEMAND_REST_USEC;
	if (d->rest_usec > DEMAND_REST_MAX_USEC)
		d->rest_usec = DEMAND_REST_MAX_USEC;
	d->hooked = false;
	d->since_usec = now_usec;
}

void demand_read(struct demand *d, uint64_t now_usec, uint64_t bytes)
{
	if (bytes >= DEMAND_BYTES && now_usec >= d->since_usec + d->rest_usec)
		hook(d, now_usec);
}
