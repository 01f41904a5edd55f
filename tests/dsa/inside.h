/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inside - the model in our own process: dsa_ops made of devices
 *
 * A path of "model:N" or "/dev/dsa/wqN.M" is the Nth of them.
 */
#pragma once

#include "device.h"

#define INSIDE_MAX 4

/* The device's portal can be mapped: CAP_SYS_RAWIO, or an old kernel. */
extern bool inside_portal;
/* open(2) fails with this, where it is not 0. */
extern int inside_open_error;
/* close(2) returns only when this is false again: a device that hangs. */
extern volatile bool inside_close_hangs;

/* Each write(2) costs one to the file @path as well. */
void inside_writes_to(const char *path);

void inside_set(unsigned int i, struct device *device);
