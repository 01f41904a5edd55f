/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "journal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* Where in the code a line comes from tells an operator nothing. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "log.h"
#include "utf8.h"

#define ENTRIES_MAX 16U

struct entry {
	struct iovec fields[ENTRIES_MAX];
	unsigned int n;
};

/* A field that does not fit, or finds no memory, is left out. */
__attribute__((format(printf, 2, 3))) static void add(struct entry *entry,
						      const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	if (entry->n == ENTRIES_MAX)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n >= 0)
		entry->fields[entry->n++] = (struct iovec){ .iov_base = text,
							    .iov_len = n };
}

/* `journalctl -x' puts texts into its explanations as they are. */
static void add_text(struct entry *entry, const char *name, const char *text)
{
	size_t size = strlen(text) + 1;
	char *clean = malloc(size);

	if (clean)
		add(entry, "KSMDPLUS_%s=%s", name,
		    utf8_clean(text, clean, size));
	free(clean);
}

static bool send_record(const struct log_record *record)
{
	struct entry entry = { 0 };
	int r;

	add(&entry, "MESSAGE=%s", record->text);
	add(&entry, "PRIORITY=%d", record->priority);
	add(&entry, "SYSLOG_IDENTIFIER=ksmd-plus");
	if (record->message_id)
		add(&entry, "MESSAGE_ID=%s", record->message_id);
	if (record->error)
		add(&entry, "ERRNO=%d", record->error);
	if (record->suppressed)
		add(&entry, "KSMDPLUS_SUPPRESSED=%" PRIu64, record->suppressed);
	for (const struct log_field *f = record->fields; f && f->name; f++) {
		if (f->text)
			add_text(&entry, f->name, f->text);
		else
			add(&entry, "KSMDPLUS_%s=%" PRIu64, f->name, f->number);
	}
	r = sd_journal_sendv(entry.fields, (int)entry.n);
	for (unsigned int i = 0; i < entry.n; i++)
		free(entry.fields[i].iov_base);
	return r >= 0;
}

void journal_open(void)
{
	if (log_is_journal())
		log_set_sink(send_record);
}
