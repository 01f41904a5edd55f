/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-values - the properties that are lists
 *
 * Of the type sd_bus_property_get_t; @userdata is a struct daemon_status.
 */
#pragma once

#include <systemd/sd-bus.h>

int control_values_targets(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply,
			   void *userdata, sd_bus_error *error);
int control_values_warnings(sd_bus *bus, const char *path,
			    const char *interface, const char *property,
			    sd_bus_message *reply, void *userdata,
			    sd_bus_error *error);
int control_values_counters(sd_bus *bus, const char *path,
			    const char *interface, const char *property,
			    sd_bus_message *reply, void *userdata,
			    sd_bus_error *error);
