/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl import: another KSM manager's settings, as a configuration of
 * ksmd-plus on standard output. Nothing else is written.
 */
#include "ctl.h"

#include <fcntl.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "files.h"
#include "ksmtuned.h"
#include "log.h"

#define KSMTUNED_PATH "/etc/ksmtuned.conf"

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	(void)userdata;
	log_warning("%s:%u: %s", file, line, sentence);
}

static int import_run(const struct ctl *ctl)
{
	const char *path = ctl->n_operands > 1 ? ctl->operands[1]
					       : KSMTUNED_PATH;
	_cleanup_free_ char *text = NULL;
	struct ksmtuned k;
	size_t len;
	int r;

	if (!ctl->n_operands || strcmp(ctl->operands[0], "ksmtuned") != 0) {
		log_error("What is to be imported? Only ksmtuned is known.");
		return CTL_USAGE;
	}
	if (ctl->n_operands > 2) {
		log_error("import ksmtuned takes one file.");
		return CTL_USAGE;
	}
	r = file_read_all(AT_FDCWD, path, &text, &len);
	if (r < 0) {
		log_error_errno(r, "Cannot read %s", path);
		return CTL_FAILED;
	}
	ksmtuned_parse(path, text, len, on_complaint, NULL, &k);
	ksmtuned_print(&k, path, (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_BYTES,
		       ctl->screen.out);
	return CTL_DONE;
}

const struct verb verb_import = {
	.name = "import",
	.summary =
		"another KSM manager's settings, as a configuration for this one",
	.help = "Print what ksmd-plus needs of the settings of ksmtuned, with comments that say what became of each. FILE is " KSMTUNED_PATH
		" where none is given; it is read and not run. What is not understood is told on standard error.",
	.operands = "ksmtuned [FILE]",
	.run = import_run,
};
