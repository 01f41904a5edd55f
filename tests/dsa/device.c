/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "execute.h"

/* More are never under way: 128 entries of a device, each a batch. */
#define PENDING_MAX 1024

struct pending {
	struct descriptor d;
	pid_t pid;
};

struct device {
	struct device_config config;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t idle;
	/* under the lock */
	struct pending pending[PENDING_MAX];
	unsigned int n_pending;
	unsigned int n_busy; /* engines at work */
	bool enabled;
	bool ending;
	uint64_t random;
	struct device_counts counts;
	pthread_t engines[16];
};

/* Under the lock: splitmix64. */
static uint64_t draw(struct device *device)
{
	uint64_t z = device->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static bool happens(struct device *device, uint32_t once_in)
{
	return once_in && draw(device) % once_in == 0;
}

/* --- engines ---------------------------------------------------------------- */

static void take_counts(struct device *device, const struct work *work)
{
	device->counts.submitted += work->counts.submitted;
	device->counts.done += work->counts.done;
	device->counts.refused += work->counts.refused;
	device->counts.touched += work->counts.touched;
	device->counts.mishaps += work->counts.mishaps;
}

static void *engine_main(void *arg)
{
	struct device *device = arg;

	pthread_mutex_lock(&device->lock);
	for (;;) {
		struct work work;
		unsigned int i;

		if (!device->n_pending) {
			pthread_cond_broadcast(&device->idle);
			if (device->ending)
				break;
			pthread_cond_wait(&device->wake, &device->lock);
			continue;
		}
		i = (unsigned int)(draw(device) % device->n_pending);
		work = (struct work){
			.d = device->pending[i].d,
			.pid = device->pending[i].pid,
			.config = device->config,
			.random = draw(device),
		};
		device->pending[i] = device->pending[--device->n_pending];
		device->n_busy++;
		pthread_mutex_unlock(&device->lock);
		execute(&work);
		pthread_mutex_lock(&device->lock);
		device->n_busy--;
		take_counts(device, &work);
		pthread_cond_broadcast(&device->idle);
	}
	pthread_mutex_unlock(&device->lock);
	return NULL;
}

struct device *device_new(const struct device_config *config)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		abort();
	device->config = *config;
	device->random = config->seed;
	device->enabled = true;
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->wake, NULL);
	pthread_cond_init(&device->idle, NULL);
	for (unsigned int i = 0; i < config->n_engines; i++)
		if (pthread_create(&device->engines[i], NULL, engine_main,
				   device))
			abort();
	return device;
}

void device_drain(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	while (device->n_pending || device->n_busy)
		pthread_cond_wait(&device->idle, &device->lock);
	pthread_mutex_unlock(&device->lock);
}

void device_free(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	device->ending = true;
	pthread_cond_broadcast(&device->wake);
	pthread_mutex_unlock(&device->lock);
	for (unsigned int i = 0; i < device->config.n_engines; i++)
		pthread_join(device->engines[i], NULL);
	pthread_cond_destroy(&device->wake);
	pthread_cond_destroy(&device->idle);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

void device_enable(struct device *device, bool enable)
{
	pthread_mutex_lock(&device->lock);
	device->enabled = enable;
	if (!enable)
		device->n_pending = 0;
	pthread_mutex_unlock(&device->lock);
}

void device_set_mishaps(struct device *device, const struct mishaps *once_in)
{
	pthread_mutex_lock(&device->lock);
	device->config.once_in = *once_in;
	pthread_mutex_unlock(&device->lock);
}

void device_counts(struct device *device, struct device_counts *ret)
{
	pthread_mutex_lock(&device->lock);
	*ret = device->counts;
	pthread_mutex_unlock(&device->lock);
}

/* --- submission ------------------------------------------------------------- */

/* Under the lock. */
static bool accept_one(struct device *device, pid_t pid, const void *d)
{
	/* a descriptor leaves the queue when an engine takes it up */
	if (!device->enabled || device->n_pending >= device->config.size)
		return false;
	memcpy(&device->pending[device->n_pending].d, d, 64);
	device->pending[device->n_pending++].pid = pid;
	pthread_cond_signal(&device->wake);
	return true;
}

bool device_enqueue(struct device *device, pid_t pid, const void *d)
{
	bool accepted;

	pthread_mutex_lock(&device->lock);
	accepted = !(device->config.shared &&
		     happens(device, device->config.once_in.retry)) &&
		   accept_one(device, pid, d);
	if (!accepted && !device->config.shared) {
		if (device->enabled)
			device->counts.overrun++;
		accepted = true; /* posted: nobody ever knows */
	}
	pthread_mutex_unlock(&device->lock);
	return accepted;
}

/* What the driver looks at before it submits for somebody. */
static int driver_check(const struct device *device, const uint8_t *d)
{
	uint64_t record;

	memcpy(&record, d + 8, 8);
	if (record % 32)
		return -EINVAL;
	if (d[7] == BATCH && !device->config.batch_by_write)
		return -EINVAL;
	return 0;
}

ssize_t device_write(struct device *device, pid_t pid, const void *buf,
		     size_t n)
{
	const uint8_t *d = buf;
	size_t done = 0;
	int r = 0;

	pthread_mutex_lock(&device->lock);
	for (; done + 64 <= n; done += 64) {
		if (done && happens(device, device->config.once_in.cut))
			break;
		r = driver_check(device, d + done);
		if (r)
			break;
		if (device->config.shared &&
		    happens(device, device->config.once_in.retry))
			r = -EAGAIN;
		else if (!accept_one(device, pid, d + done))
			r = -EAGAIN;
		if (r && device->config.shared)
			break;
		if (r && device->enabled)
			device->counts.overrun++;
		r = 0;
	}
	pthread_mutex_unlock(&device->lock);
	return done ? (ssize_t)done : r;
}
