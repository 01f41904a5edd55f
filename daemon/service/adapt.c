/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "adapt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <ksmd-plus/journal.h>

#include "budget.h"
#include "cleanup.h"
#include "clock.h"
#include "config.h"
#include "log.h"
#include "memstat.h"
#include "psi.h"
#include "pulser.h"
#include "settings.h"

#define STEP_USEC USEC_PER_SEC

struct adapt {
	struct adapt_env env;
	sd_event_source *timer;
	struct pressure pressure;
};

void adapt_apply(struct adapt *adapt)
{
	const struct config *config = adapt->env.config;
	struct pulser_settings settings = settings_pulser(config);

	adapt->env.budget->share_permyriad = pressure_share(
		adapt->pressure.state, config->cpu_limit_permyriad);
	if (adapt->pressure.state == PRESSURE_MEMORY)
		settings.ksmd_cpu_permyriad = pressure_share(
			PRESSURE_MEMORY, settings.ksmd_cpu_permyriad);
	pulser_set(adapt->env.pulser, &settings);
}

static void say(const struct adapt *adapt, enum pressure_state before)
{
	uint32_t runway = pressure_runway_sec(&adapt->pressure);
	uint64_t available = adapt->pressure.last_available;
	const struct log_field *fields =
		LOG_FIELDS(LOG_NUMBER("AVAILABLE_BYTES", available));

	switch (adapt->pressure.state) {
	case PRESSURE_MEMORY:
		log_event_limited(LOG_NOTICE, JOURNAL_MEMORY_SHORT, fields,
				  "Memory is short: %" PRIu64
				  " MiB available%s; searching at full speed",
				  available >> 20,
				  runway < PRESSURE_RUNWAY_SEC
					  ? " and dwindling"
					  : "");
		break;
	case PRESSURE_CPU:
		log_debug("Tasks wait for CPUs; searching more slowly");
		break;
	default:
		if (before == PRESSURE_MEMORY)
			log_event_limited(
				LOG_NOTICE, JOURNAL_MEMORY_BACK, fields,
				"Memory is there again; searching as usual");
		else
			log_debug("CPUs are there again; searching as usual");
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct adapt *adapt = userdata;
	enum pressure_state before = adapt->pressure.state;
	struct pressure_sample now = {
		.now_usec = clock_usec(CLOCK_MONOTONIC),
		.memory_permyriad = psi_some(adapt->env.root, "memory"),
		.cpu_permyriad = psi_some(adapt->env.root, "cpu"),
	};

	(void)usec;
	if (memstat_read(adapt->env.root, &now.total, &now.available) == 0 &&
	    pressure_step(&adapt->pressure, &now) != before) {
		say(adapt, before);
		adapt_apply(adapt);
	}
	sd_event_source_set_time(source, now.now_usec + STEP_USEC);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int adapt_new(const struct adapt_env *env, struct adapt **ret)
{
	struct adapt *adapt = calloc(1, sizeof(*adapt));
	int r;

	if (!adapt)
		return -ENOMEM;
	adapt->env = *env;
	r = sd_event_add_time(env->event, &adapt->timer, CLOCK_MONOTONIC, 0,
			      1000, on_timer, adapt);
	if (r < 0) {
		free(adapt);
		return r;
	}
	*ret = adapt;
	return 0;
}

struct adapt *adapt_free(struct adapt *adapt)
{
	if (!adapt)
		return NULL;
	sd_event_source_unref(adapt->timer);
	free(adapt);
	return NULL;
}

enum pressure_state adapt_state(const struct adapt *adapt)
{
	return adapt->pressure.state;
}
