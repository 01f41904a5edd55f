/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control-values.h"

#include <ksmd-plus/status.h>

#include "utf8.h"

int control_values_targets(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply,
			   void *userdata, sd_bus_error *error)
{
	const struct daemon_status *s = userdata;
	char name[256], mode[32];
	int r;

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)error;
	r = sd_bus_message_open_container(reply, 'a', "(ssut)");
	for (size_t i = 0; r >= 0 && i < s->n_targets; i++) {
		const struct target_status *t = &s->targets[i];

		r = sd_bus_message_append(
			reply, "(ssut)",
			utf8_clean(t->name, name, sizeof(name)),
			utf8_clean(t->mode, mode, sizeof(mode)), t->processes,
			t->bytes_saved);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int control_values_warnings(sd_bus *bus, const char *path,
			    const char *interface, const char *property,
			    sd_bus_message *reply, void *userdata,
			    sd_bus_error *error)
{
	const struct daemon_status *s = userdata;
	char name[sizeof(s->warnings->name)];
	char sentence[sizeof(s->warnings->sentence)];
	int r;

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)error;
	r = sd_bus_message_open_container(reply, 'a', "(ss)");
	for (size_t i = 0; r >= 0 && i < s->n_warnings; i++) {
		const struct warning *w = &s->warnings[i];

		r = sd_bus_message_append(
			reply, "(ss)", utf8_clean(w->name, name, sizeof(name)),
			utf8_clean(w->sentence, sentence, sizeof(sentence)));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int control_values_counters(sd_bus *bus, const char *path,
			    const char *interface, const char *property,
			    sd_bus_message *reply, void *userdata,
			    sd_bus_error *error)
{
	const struct daemon_status *s = userdata;
	int r;

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)error;
	r = sd_bus_message_open_container(reply, 'a', "(st)");
	for (size_t i = 0; r >= 0 && i < s->n_counters; i++)
		r = sd_bus_message_append(reply, "(st)", s->counters[i].name,
					  s->counters[i].value);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}
