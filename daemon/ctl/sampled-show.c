/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sampled-show.h"

#include <inttypes.h>
#include <json-c/json.h>

#include "json.h"
#include "table.h"

/* Processes that are printed; JSON has them all. */
#define PROCESSES_SHOWN 32U
#define LABEL_COLUMN	14

static uint64_t pages(double n)
{
	return n > 0 ? (uint64_t)(n + 0.5) : 0;
}

/* What was counted of the sample only, for all. */
static uint64_t scaled(const struct plan_report *r, uint64_t n)
{
	return pages((double)n / r->survey->share);
}

static void interval_json(struct json_object *o, const char *name,
			  const struct estimate_interval *interval)
{
	struct json_object *array = json_object_new_array();

	json_object_array_add(array, json_object_new_int64(
					     (int64_t)pages(interval->low)));
	json_object_array_add(array, json_object_new_int64(
					     (int64_t)pages(interval->high)));
	json_object_object_add(o, name, array);
}

static struct json_object *sample_json(const struct plan_report *r,
				       const struct sampled *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "share",
			       json_object_new_double(r->survey->share));
	json_object_object_add(o, "confidence",
			       json_object_new_double(ESTIMATE_CONFIDENCE));
	json_add_u64(o, "pages_present", r->survey->n_present);
	interval_json(o, "pages_saved", &s->saved);
	interval_json(o, "zero_pages", &s->zeros);
	json_add_u64(o, "pages_perhaps_left", pages(s->left));
	json_add_u64(o, "volatile_pages_met", s->n_volatile);
	return o;
}

static struct json_object *processes_json(const struct plan_report *r,
					  const struct sampled *s)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < r->survey->processes.n; i++) {
		const struct survey_process *p = r->survey->processes.v[i];
		struct json_object *o = json_object_new_object();
		uint64_t saved = pages(s->processes[i].saved);

		json_add_u64(o, "pid", (uint64_t)p->process.id.pid);
		json_add_string(o, "comm", p->comm);
		json_add_u64(o, "pages_looked_at", p->looked);
		json_add_u64(o, "pages_merged", scaled(r, p->merged));
		json_add_u64(o, "pages_shared", scaled(r, p->shared));
		json_add_u64(o, "pages_saved", saved);
		json_add_u64(o, "bytes_saved", saved * PAGE_BYTES);
		json_add_u64(o, "zero_pages", pages(s->processes[i].zero));
		plan_json_unknown(o);
		json_object_object_add(o, "gone",
				       json_object_new_boolean(p->gone));
		json_object_array_add(array, o);
	}
	return array;
}

/* Sums over processes: read; and of all, shared by KSM, and since a fork. */
struct met {
	uint64_t looked, merged, shared;
};

static struct met met(const struct plan_report *r)
{
	struct met sum = { 0 };

	for (size_t i = 0; i < r->survey->processes.n; i++) {
		const struct survey_process *p = r->survey->processes.v[i];

		sum.looked += p->looked;
		sum.merged += scaled(r, p->merged);
		sum.shared += scaled(r, p->shared);
	}
	return sum;
}

struct json_object *sampled_json(const struct plan_report *r,
				 const struct sampled *s)
{
	struct json_object *o = json_object_new_object();
	uint64_t saved = pages(s->saved.best);
	struct met sum = met(r);

	json_object_object_add(o, "complete",
			       json_object_new_boolean(r->complete));
	json_add_u64(o, "pages_looked_at", sum.looked);
	json_add_u64(o, "pages_looked_at_twice", r->survey->n_again);
	json_add_u64(o, "pages_merged", sum.merged);
	json_add_u64(o, "pages_shared", sum.shared);
	json_object_object_add(o, "sample", sample_json(r, s));
	json_add_u64(o, "pages_saved", saved);
	json_add_u64(o, "bytes_saved", saved * PAGE_BYTES);
	json_add_u64(o, "zero_pages", pages(s->zeros.best));
	plan_json_unknown(o);
	json_object_object_add(o, "between_pages", NULL);
	plan_json_time(o, r, saved);
	json_object_object_add(o, "processes", processes_json(r, s));
	json_object_object_add(o, "pairs", NULL);
	json_object_object_add(o, "excluded", plan_json_excluded(r));
	return o;
}

/* --- text ------------------------------------------------------------------ */

/* "Zero pages    about 12.3 MiB, between 11.9 MiB and 12.6 MiB" */
static void print_interval(const struct screen *screen, const char *label,
			   const struct estimate_interval *interval)
{
	char best[SCREEN_NUMBER], low[SCREEN_NUMBER], high[SCREEN_NUMBER];
	char text[160];

	snprintf(text, sizeof(text), "about %s, between %s and %s",
		 screen_bytes(pages(interval->best) * PAGE_BYTES, best),
		 screen_bytes(pages(interval->low) * PAGE_BYTES, low),
		 screen_bytes(pages(interval->high) * PAGE_BYTES, high));
	fprintf(screen->out, "  %-*s", LABEL_COLUMN - 2, label);
	screen_wrap(screen, LABEL_COLUMN, text);
}

static void print_head(const struct screen *screen, const struct plan_report *r,
		       const struct sampled *s)
{
	const struct survey *v = r->survey;
	char read[SCREEN_NUMBER], all[SCREEN_NUMBER], usec[SCREEN_NUMBER];
	char bytes[SCREEN_NUMBER], text[256];

	snprintf(
		text, sizeof(text),
		"%s%s of the %s of %zu process%s read in %s, chosen at random.",
		r->complete ? "" : "Stopped before the end. ",
		screen_bytes(met(r).looked * PAGE_BYTES, read),
		screen_bytes(v->n_present * PAGE_BYTES, all), v->processes.n,
		v->processes.n == 1 ? "" : "es",
		screen_usec(v->read_usec + v->pause_usec + v->again_usec,
			    usec));
	screen_wrap(screen, 0, text);
	snprintf(text, sizeof(text), "Merging would save about %s.",
		 screen_bytes(pages(s->saved.best) * PAGE_BYTES, bytes));
	fputs(screen_on(screen, SCREEN_BOLD), screen->out);
	screen_wrap(screen, 0, text);
	fputs(screen_off(screen), screen->out);
	fputc('\n', screen->out);
}

static void print_limits(const struct screen *screen,
			 const struct plan_report *r, const struct sampled *s)
{
	char bytes[SCREEN_NUMBER], text[256];

	fputs("  ", screen->out);
	if (!r->complete) {
		screen_wrap(screen, 2,
			    "It was stopped: this is of what was reached.");
		return;
	}
	snprintf(
		text, sizeof(text),
		"What is true lies between them in %.0f of 100 cases at least.",
		ESTIMATE_CONFIDENCE * 100);
	screen_wrap(screen, 2, text);
	if (s->left >= 1) {
		snprintf(
			text, sizeof(text),
			"The low end allows for %s that might not be worth their ranges or huge pages.",
			screen_bytes(pages(s->left) * PAGE_BYTES, bytes));
		fputs("  ", screen->out);
		screen_wrap(screen, 2, text);
	}
	fputs("  ", screen->out);
	screen_wrap(
		screen, 2,
		"Who shares with whom, and what ranges it takes, a sample cannot tell: plan without --sample, for those few that matter.");
}

/* The process that saves most of those not printed yet; n: none. */
static size_t next_process(const struct sampled *s, size_t n,
			   const bool *printed)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++)
		if (!printed[i] && pages(s->processes[i].saved) &&
		    (best == n ||
		     s->processes[i].saved > s->processes[best].saved))
			best = i;
	return best;
}

static int process_row(const struct plan_report *r, const struct sampled *s,
		       size_t i, struct table *table)
{
	const struct survey_process *p = r->survey->processes.v[i];
	char text[4][SCREEN_NUMBER];
	const char *cells[] = {
		text[0],
		p->comm,
		screen_bytes(p->looked * PAGE_BYTES, text[1]),
		screen_bytes(pages(s->processes[i].saved) * PAGE_BYTES,
			     text[2]),
		screen_bytes(pages(s->processes[i].zero) * PAGE_BYTES, text[3]),
	};

	snprintf(text[0], sizeof(text[0]), "%d", p->process.id.pid);
	return table_add(table, cells);
}

static int print_processes(const struct screen *screen,
			   const struct plan_report *r, const struct sampled *s)
{
	static const struct table_column columns[] = {
		{ "PID", true, 0 },  { "COMMAND", false, 0 },
		{ "READ", true, 0 }, { "SAVES", true, 0 },
		{ "ZERO", true, 1 },
	};
	_cleanup_(table_clear) struct table table =
		table_new(columns, ARRAY_SIZE(columns));
	size_t n = r->survey->processes.n, shown = 0;
	_cleanup_free_ bool *printed = calloc(n + 1, sizeof(*printed));

	if (!printed)
		return -ENOMEM;
	for (; shown < PROCESSES_SHOWN; shown++) {
		size_t i = next_process(s, n, printed);
		int rc;

		if (i == n)
			break;
		printed[i] = true;
		rc = process_row(r, s, i, &table);
		if (rc)
			return rc;
	}
	if (!shown)
		return 0;
	fputc('\n', screen->out);
	table_print(&table, screen, 0, NULL, NULL);
	return 0;
}

int sampled_print(const struct screen *screen, const struct plan_report *r,
		  const struct sampled *s)
{
	int rc;

	print_head(screen, r, s);
	print_interval(screen, "Together", &s->saved);
	print_interval(screen, "Zero pages", &s->zeros);
	print_limits(screen, r, s);
	rc = print_processes(screen, r, s);
	if (rc)
		return rc;
	plan_print_excluded(screen, r);
	return 0;
}
