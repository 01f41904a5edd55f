/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-discover.h"

#include <string.h>

#include <accel-config/libaccel_config.h>

/* Without a group the library finds a device's queues anew at every step, and
 * never an end. */
#define STEPS_MAX 4096U

static void silent(struct accfg_ctx *ctx, int priority, const char *file,
		   int line, const char *fn, const char *format, va_list args)
{
	(void)ctx;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

static const struct dsa_queue *queue_of(const struct dsa_queue *queues,
					size_t n, struct accfg_device *device,
					struct accfg_wq *wq)
{
	const char *of = accfg_device_get_devname(device);
	const char *name = accfg_wq_get_devname(wq);

	for (size_t i = 0; of && name && i < n; i++)
		if (!strcmp(queues[i].device, of) &&
		    !strcmp(queues[i].name, name))
			return &queues[i];
	return NULL;
}

static bool is_listed(const struct dsa_node *nodes, size_t n,
		      const struct dsa_queue *q)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(nodes[i].queue.device, q->device) &&
		    !strcmp(nodes[i].queue.name, q->name))
			return true;
	return false;
}

size_t dsa_discover(const struct dsa_queue *queues, size_t n,
		    struct dsa_node *ret, size_t max)
{
	struct accfg_ctx *ctx;
	struct accfg_device *device;
	struct accfg_wq *wq;
	unsigned int steps = 0;
	size_t found = 0;

	if (!n || accfg_new(&ctx) < 0)
		return 0;
	accfg_set_log_fn(ctx, silent);
	accfg_device_foreach(ctx, device)
	{
		if (accfg_device_get_type(device) != ACCFG_DEVICE_DSA ||
		    accfg_device_get_state(device) != ACCFG_DEVICE_ENABLED)
			continue;
		accfg_wq_foreach(device, wq)
		{
			const struct dsa_queue *q;

			if (++steps > STEPS_MAX || found == max)
				break;
			q = queue_of(queues, n, device, wq);
			if (!q || is_listed(ret, found, q) ||
			    accfg_wq_get_state(wq) != ACCFG_WQ_ENABLED ||
			    accfg_wq_get_type(wq) != ACCFG_WQT_USER ||
			    accfg_wq_get_user_dev_path(wq, ret[found].path,
						       sizeof(ret[found].path)))
				continue;
			ret[found++].queue = *q;
		}
	}
	accfg_unref(ctx);
	return found;
}
