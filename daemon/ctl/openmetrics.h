/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * openmetrics - figures as text for Prometheus and its kind
 *
 * Families are written one after the other, each with its samples at once.
 * Two forms: OpenMetrics 1.0, and the older text format of Prometheus, which
 * is all that node_exporter's textfile collector and `promtool check metrics`
 * read. They differ in this: the older one has neither units nor an end mark,
 * and a family is named as its samples are (NAME_total, NAME_info).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum openmetrics_type {
	OPENMETRICS_GAUGE,
	OPENMETRICS_COUNTER, /* samples are called NAME_total */
	OPENMETRICS_INFO, /* NAME_info, always 1 */
};

struct openmetrics_family {
	const char *name;
	enum openmetrics_type type;
	const char *unit; /* the end of @name, or NULL */
	const char *help; /* one line without a backslash */
};

struct openmetrics {
	FILE *out;
	bool textfile; /* the older form */
	const struct openmetrics_family *family; /* that is being written */
};

struct openmetrics_label {
	const char *name;
	const char *value; /* anything; see openmetrics_sample() */
};

/* What follows belongs to @family, which outlives that. */
void openmetrics_begin(struct openmetrics *om,
		       const struct openmetrics_family *family);

/*
 * One sample. In the values of @labels, which may be NULL where @n_labels is
 * 0, control characters and what is no UTF-8 become '?'; of more than 255
 * bytes the rest is cut off.
 */
void openmetrics_count(struct openmetrics *om,
		       const struct openmetrics_label *labels, size_t n_labels,
		       uint64_t value);
void openmetrics_signed(struct openmetrics *om,
			const struct openmetrics_label *labels, size_t n_labels,
			int64_t value);
void openmetrics_ratio(struct openmetrics *om,
		       const struct openmetrics_label *labels, size_t n_labels,
		       uint64_t value, uint64_t whole);

/* Nothing follows. */
void openmetrics_end(struct openmetrics *om);
