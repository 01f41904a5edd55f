/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "openmetrics.h"

#include <inttypes.h>

#include "utf8.h"

#define LABEL_SIZE 256

static const char *const type_names[] = {
	[OPENMETRICS_GAUGE] = "gauge",
	[OPENMETRICS_COUNTER] = "counter",
	[OPENMETRICS_INFO] = "info",
};

/* What a sample's name has after that of its family. */
static const char *const suffixes[] = {
	[OPENMETRICS_GAUGE] = "",
	[OPENMETRICS_COUNTER] = "_total",
	[OPENMETRICS_INFO] = "_info",
};

void openmetrics_begin(struct openmetrics *om,
		       const struct openmetrics_family *family)
{
	const char *suffix = om->textfile ? suffixes[family->type] : "";
	const char *type = om->textfile && family->type == OPENMETRICS_INFO
				   ? type_names[OPENMETRICS_GAUGE]
				   : type_names[family->type];

	om->family = family;
	fprintf(om->out, "# TYPE %s%s %s\n", family->name, suffix, type);
	if (family->unit && !om->textfile)
		fprintf(om->out, "# UNIT %s %s\n", family->name, family->unit);
	fprintf(om->out, "# HELP %s%s %s\n", family->name, suffix,
		family->help);
}

static void put_label(FILE *out, const struct openmetrics_label *label)
{
	char clean[LABEL_SIZE];

	utf8_clean(label->value, clean, sizeof(clean));
	fprintf(out, "%s=\"", label->name);
	for (const char *p = clean; *p; p++) {
		if (*p == '"' || *p == '\\')
			fputc('\\', out);
		fputc(*p, out);
	}
	fputc('"', out);
}

static void put_name(struct openmetrics *om,
		     const struct openmetrics_label *labels, size_t n_labels)
{
	fprintf(om->out, "%s%s", om->family->name, suffixes[om->family->type]);
	for (size_t i = 0; i < n_labels; i++) {
		fputc(i ? ',' : '{', om->out);
		put_label(om->out, &labels[i]);
	}
	fputs(n_labels ? "} " : " ", om->out);
}

void openmetrics_count(struct openmetrics *om,
		       const struct openmetrics_label *labels, size_t n_labels,
		       uint64_t value)
{
	put_name(om, labels, n_labels);
	fprintf(om->out, "%" PRIu64 "\n", value);
}

void openmetrics_signed(struct openmetrics *om,
			const struct openmetrics_label *labels, size_t n_labels,
			int64_t value)
{
	put_name(om, labels, n_labels);
	fprintf(om->out, "%" PRId64 "\n", value);
}

/* By integers: no locale has a say in how the point looks. */
void openmetrics_ratio(struct openmetrics *om,
		       const struct openmetrics_label *labels, size_t n_labels,
		       uint64_t value, uint64_t whole)
{
	put_name(om, labels, n_labels);
	fprintf(om->out, "%" PRIu64 ".%06" PRIu64 "\n", value / whole,
		value % whole * 1000000 / whole);
}

void openmetrics_end(struct openmetrics *om)
{
	if (!om->textfile)
		fputs("# EOF\n", om->out);
}
