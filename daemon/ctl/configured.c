/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "configured.h"

#include "log.h"

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	(void)userdata;
	if (line)
		log_warning("%s:%u: %s", file, line, sentence);
	else
		log_warning("%s: %s", file, sentence);
}

int configured_load(const char *path, uint64_t ram_bytes, struct config *ret)
{
	int r = config_load(path ? path : CONFIGURED_PATH, path != NULL,
			    ram_bytes, on_complaint, NULL, ret);

	return r < 0 ? r : 0;
}
