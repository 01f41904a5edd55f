/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-numa - struct numa_status as a D-Bus property
 */
#pragma once

#include <systemd/sd-bus.h>

/* sd_bus_property_get_t; @userdata is the struct numa_status. */
int control_numa_get(sd_bus *bus, const char *path, const char *interface,
		     const char *property, sd_bus_message *reply,
		     void *userdata, sd_bus_error *error);
