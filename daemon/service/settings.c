/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "settings.h"

#include <ksmd-plus/journal.h>

#include "cleanup.h"
#include "ksm.h"
#include "log.h"
#include "manager.h"

/* More threads than this read faster than one memory controller serves. */
#define THREADS_MAX 4U

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	const struct log_field *fields = LOG_FIELDS(LOG_TEXT("FILE", file),
						    LOG_NUMBER("LINE", line));

	(void)userdata;
	if (line)
		log_event(LOG_WARNING, JOURNAL_CONFIG_FAULT, fields,
			  "%s:%u: %s", file, line, sentence);
	else
		log_event(LOG_WARNING, JOURNAL_CONFIG_FAULT, fields, "%s: %s",
			  file, sentence);
}

int settings_read(const struct manager_options *options,
		  const struct kfeat *kfeat, struct config *ret)
{
	return config_load(options->config_path, options->config_must_exist,
			   kfeat->ram_bytes, on_complaint, NULL, ret);
}

int settings_reload(const struct manager_options *options,
		    const struct kfeat *kfeat, struct config *config)
{
	struct config new;
	int r = settings_read(options, kfeat, &new);

	if (r < 0)
		return log_event_errno(
			r, JOURNAL_CONFIG_REJECTED, NULL,
			"The new configuration cannot be read; the old one stays in force");
	if (r > 0) {
		log_event(
			LOG_ERR, JOURNAL_CONFIG_REJECTED,
			LOG_FIELDS(LOG_NUMBER("FAULTS", r)),
			"The new configuration has %d faults; the old one stays in force",
			r);
		config_clear(&new);
		return r;
	}
	if (new.memory_limit != config->memory_limit ||
	    new.threads != config->threads || new.engine != config->engine)
		log_event(
			LOG_NOTICE, JOURNAL_CONFIG_LATER, NULL,
			"memory_limit, threads and engine take effect at the next start");
	new.memory_limit = config->memory_limit;
	new.threads = config->threads;
	new.engine = config->engine;
	config_clear(config);
	*config = new;
	return 0;
}

unsigned int settings_threads(const struct config *config,
			      const struct kfeat *kfeat)
{
	if (config->threads)
		return config->threads;
	return MIN((unsigned int)MAX(kfeat->n_cpus, 1), THREADS_MAX);
}

struct merge_limits settings_merge(const struct config *config,
				   const struct kfeat *kfeat,
				   const struct root *root)
{
	return (struct merge_limits){
		.planning = planning_limits_of(config, kfeat),
		.max_sharing = ksm_max_sharing(root),
	};
}

struct pulser_settings settings_pulser(const struct config *config)
{
	return (struct pulser_settings){
		.ksmd_cpu_permyriad = config->ksmd_cpu_limit_permyriad,
		.target_scan_usec = config->target_scan_time_usec,
		.zero_pages = config->zero_pages,
	};
}
