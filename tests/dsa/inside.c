/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dsa-ops.h"

bool inside_portal = true;
int inside_open_error;
volatile bool inside_close_hangs;

static struct device *devices[INSIDE_MAX];
/* One page each: what a portal's address is told by. */
static _Alignas(4096) unsigned char portals[INSIDE_MAX][4096];

void inside_set(unsigned int i, struct device *device)
{
	devices[i] = device;
}

static int model_open(const char *path)
{
	unsigned int i;

	if (inside_open_error)
		return inside_open_error;
	if (sscanf(path, "model:%u", &i) != 1 &&
	    sscanf(path, "/dev/dsa/wq%u.", &i) != 1)
		return -ENOENT;
	if (i >= INSIDE_MAX || !devices[i])
		return -ENODEV;
	return (int)i;
}

static void model_close(int fd)
{
	while (inside_close_hangs)
		usleep(1000);
	if (devices[fd])
		device_drain(devices[fd]);
}

static void *model_map(int fd)
{
	return inside_portal ? portals[fd] : NULL;
}

static void model_unmap(void *portal)
{
	(void)portal;
}

static bool model_can(void)
{
	return true;
}

static struct device *device_at(void *portal)
{
	return devices[((unsigned char *)portal - portals[0]) / 4096];
}

static bool model_enqcmd(void *portal, const struct dsa_desc *desc)
{
	if ((uintptr_t)portal % 64)
		abort();
	return device_enqueue(device_at(portal), getpid(), desc);
}

static void model_movdir64b(void *portal, const struct dsa_desc *desc)
{
	device_enqueue(device_at(portal), getpid(), desc);
}

static int sink = -1;

void inside_writes_to(const char *path)
{
	sink = open(path, O_WRONLY | O_CLOEXEC);
}

static ssize_t model_write(int fd, const struct dsa_desc *descs, size_t n)
{
	if (sink >= 0 && write(sink, descs, n * 64) < 0)
		return -errno;
	return device_write(devices[fd], getpid(), descs, n * 64);
}

const struct dsa_ops dsa_ops = {
	.open = model_open,
	.close = model_close,
	.map = model_map,
	.unmap = model_unmap,
	.can_enqcmd = model_can,
	.can_movdir64b = model_can,
	.enqcmd = model_enqcmd,
	.movdir64b = model_movdir64b,
	.write = model_write,
};
