/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-show.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "cleanup.h"
#include "json.h"
#include "table.h"

/*
 * What ksmd takes to merge a page: two comparisons, write protection, two tree
 * searches. 6 to 7 us, measured on Linux 6.18 (design of the project: floor).
 */
#define MERGE_NSEC 7000ULL

#define LABEL_COLUMN 14
/* Pairs that are printed; JSON has them all. */
#define PAIRS_SHOWN 10U

static uint64_t rounded(double pages)
{
	return (uint64_t)(pages + 0.5);
}

static uint64_t ksmd_usec(uint64_t pages)
{
	return pages * MERGE_NSEC / 1000;
}

static uint64_t between(const struct forecast_counts *c)
{
	uint64_t saved = rounded(c->saved), rest = c->zero + c->inside;

	return saved > rest ? saved - rest : 0;
}

static void counts_json(struct json_object *o, const struct forecast_counts *c,
			const struct plan_costs *costs)
{
	json_add_u64(o, "pages_saved", rounded(c->saved));
	json_add_u64(o, "bytes_saved", rounded(c->saved) * PAGE_BYTES);
	json_add_u64(o, "zero_pages", c->zero);
	json_add_u64(o, "inside_pages", c->inside);
	json_add_u64(o, "volatile_pages", c->gone);
	json_add_u64(o, "scattered_pages", c->left);
	json_add_u64(o, "ranges", costs->ranges);
	json_add_u64(o, "mappings_added", costs->splits);
	json_add_u64(o, "huge_pages_split", costs->huge_pages);
	json_add_u64(o, "kernel_bytes", costs->bytes);
}

void plan_json_unknown(struct json_object *o)
{
	static const char *const keys[] = {
		"inside_pages", "volatile_pages", "scattered_pages",
		"ranges",	"mappings_added", "huge_pages_split",
		"kernel_bytes",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_object_object_add(o, keys[i], NULL);
}

static struct json_object *processes_json(const struct plan_report *r)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < r->plan->n; i++) {
		const struct survey_process *p = r->survey->processes.v[i];
		struct json_object *o = json_object_new_object();

		json_add_u64(o, "pid", (uint64_t)p->process.id.pid);
		json_add_string(o, "comm", p->comm);
		json_add_u64(o, "pages_looked_at", p->looked);
		json_add_u64(o, "pages_merged", p->merged);
		json_add_u64(o, "pages_shared", p->shared);
		counts_json(o, &r->plan->counts[i], &r->plan->costs[i]);
		json_object_object_add(o, "gone",
				       json_object_new_boolean(p->gone));
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *pairs_json(const struct plan_report *r)
{
	struct json_object *array = json_object_new_array();
	const struct plan *plan = r->plan;

	for (size_t a = 0; a < plan->n_pairs; a++) {
		for (size_t b = a + 1; b < plan->n_pairs; b++) {
			struct survey_process *const *v =
				r->survey->processes.v;
			struct json_object *o, *pids;

			if (!plan_pair(plan, a, b))
				continue;
			o = json_object_new_object();
			pids = json_object_new_array();
			json_object_array_add(
				pids,
				json_object_new_int(
					v[plan->by_saved[a]]->process.id.pid));
			json_object_array_add(
				pids,
				json_object_new_int(
					v[plan->by_saved[b]]->process.id.pid));
			json_object_object_add(o, "pids", pids);
			json_add_u64(o, "pages", plan_pair(plan, a, b));
			json_object_array_add(array, o);
		}
	}
	return array;
}

struct json_object *plan_json_excluded(const struct plan_report *r)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < r->chosen->n; i++) {
		const struct chosen *c = &r->chosen->v[i];
		struct json_object *o;

		if (!*c->why_not)
			continue;
		o = json_object_new_object();
		json_add_u64(o, "pid", (uint64_t)c->id.pid);
		json_add_string(o, "comm", c->comm);
		json_add_string(o, "reason", c->why_not);
		if (c->reason)
			json_add_string(o, "reason_name",
					reason_text(c->reason)->name);
		json_object_array_add(array, o);
	}
	return array;
}

/* Sums over processes of what the survey met. */
static void totals(const struct plan_report *r, uint64_t *looked,
		   uint64_t *merged, uint64_t *shared)
{
	*looked = *merged = *shared = 0;
	for (size_t i = 0; i < r->plan->n; i++) {
		*looked += r->survey->processes.v[i]->looked;
		*merged += r->survey->processes.v[i]->merged;
		*shared += r->survey->processes.v[i]->shared;
	}
}

void plan_json_time(struct json_object *o, const struct plan_report *r,
		    uint64_t n_merging)
{
	struct json_object *usec = json_object_new_object();
	struct json_object *cpu = json_object_new_object();

	json_add_u64(usec, "reading", r->survey->read_usec);
	json_add_u64(usec, "pause", r->survey->pause_usec);
	json_add_u64(usec, "reading_again", r->survey->again_usec);
	json_object_object_add(o, "usec", usec);
	json_add_u64(cpu, "plan", r->cpu_usec);
	json_add_u64(cpu, "merging", ksmd_usec(n_merging));
	json_object_object_add(o, "cpu_usec", cpu);
}

struct json_object *plan_json(const struct plan_report *r)
{
	struct json_object *o = json_object_new_object();
	uint64_t looked, merged, shared;

	totals(r, &looked, &merged, &shared);
	json_object_object_add(o, "complete",
			       json_object_new_boolean(r->complete));
	json_add_u64(o, "pages_looked_at", looked);
	json_add_u64(o, "pages_looked_at_twice", r->survey->n_again);
	json_add_u64(o, "pages_merged", merged);
	json_add_u64(o, "pages_shared", shared);
	counts_json(o, &r->plan->total, &r->plan->total_costs);
	json_add_u64(o, "between_pages", between(&r->plan->total));
	plan_json_time(o, r, r->plan->total.merging);
	json_object_object_add(o, "processes", processes_json(r));
	json_object_object_add(o, "pairs", pairs_json(r));
	json_object_object_add(o, "excluded", plan_json_excluded(r));
	return o;
}

/* --- text ------------------------------------------------------------------ */

/* "Zero pages    12.3 MiB in 3,149 pages: ..." */
static void line(const struct screen *screen, const char *label, uint64_t pages,
		 const char *what)
{
	char bytes[SCREEN_NUMBER], count[SCREEN_NUMBER], text[256];

	if (!pages)
		return;
	snprintf(text, sizeof(text), "%s in %s pages%s%s",
		 screen_bytes(pages * PAGE_BYTES, bytes),
		 screen_count(pages, count), *what ? ": " : "", what);
	fprintf(screen->out, "  %-*s", LABEL_COLUMN - 2, label);
	screen_wrap(screen, LABEL_COLUMN, text);
}

static void print_head(const struct screen *screen, const struct plan_report *r)
{
	char bytes[SCREEN_NUMBER], usec[SCREEN_NUMBER], text[256];
	uint64_t looked, merged, shared;

	if (!r->plan->n) {
		screen_wrap(screen, 0, "There is no process to look at.");
		return;
	}
	totals(r, &looked, &merged, &shared);
	snprintf(text, sizeof(text), "%s%s of %zu process%s read in %s.",
		 r->complete ? "" : "Stopped before the end. ",
		 screen_bytes(looked * PAGE_BYTES, bytes), r->plan->n,
		 r->plan->n == 1 ? "" : "es",
		 screen_usec(r->survey->read_usec + r->survey->pause_usec +
				     r->survey->again_usec,
			     usec));
	screen_wrap(screen, 0, text);
	snprintf(text, sizeof(text), "Merging would save %s.",
		 screen_bytes(rounded(r->plan->total.saved) * PAGE_BYTES,
			      bytes));
	fputs(screen_on(screen, SCREEN_BOLD), screen->out);
	screen_wrap(screen, 0, text);
	fputs(screen_off(screen), screen->out);
	fputc('\n', screen->out);
}

static void print_counts(const struct screen *screen,
			 const struct plan_report *r)
{
	const struct forecast_counts *c = &r->plan->total;
	uint64_t looked, merged, shared;

	totals(r, &looked, &merged, &shared);
	line(screen, "Zero pages", c->zero,
	     r->zero_pages ? "they go to the kernel's zero page"
			   : "they become one page");
	line(screen, "Inside", c->inside, "twins within one process");
	line(screen, "Between", between(c), "twins in other processes");
	line(screen, "Scattered", c->left,
	     "not counted: twins that would cost more than they save");
	line(screen, "Volatile", c->gone,
	     "not counted: had twins, and changed while being looked at");
	line(screen, "Merged", merged, "not counted: KSM has merged them");
	line(screen, "Forked", shared,
	     "shared since a fork; each frame counts once");
}

static void print_costs(const struct screen *screen,
			const struct plan_report *r)
{
	const struct plan_costs *c = &r->plan->total_costs;
	char a[SCREEN_NUMBER], b[SCREEN_NUMBER], d[SCREEN_NUMBER], text[320];

	if (!r->plan->total.merging)
		return;
	snprintf(text, sizeof(text),
		 "%s ranges, %s more mappings, %s of kernel memory",
		 screen_count(c->ranges, a), screen_count(c->splits, b),
		 screen_bytes(c->bytes, d));
	fprintf(screen->out, "  %-*s", LABEL_COLUMN - 2, "Costs");
	screen_wrap(screen, LABEL_COLUMN, text);
	if (c->huge_pages) {
		snprintf(text, sizeof(text), "%s huge pages given up",
			 screen_count(c->huge_pages, a));
		fprintf(screen->out, "%*s", LABEL_COLUMN, "");
		screen_wrap(screen, LABEL_COLUMN, text);
	}
	snprintf(text, sizeof(text),
		 "CPU time: about %s to find them, %s of ksmd to merge them",
		 screen_usec(r->cpu_usec, a),
		 screen_usec(ksmd_usec(r->plan->total.merging), b));
	fprintf(screen->out, "%*s", LABEL_COLUMN, "");
	screen_wrap(screen, LABEL_COLUMN, text);
}

static int print_processes(const struct screen *screen,
			   const struct plan_report *r)
{
	static const struct table_column columns[] = {
		{ "PID", true, 0 },	 { "COMMAND", false, 0 },
		{ "READ", true, 0 },	 { "SAVES", true, 0 },
		{ "ZERO", true, 1 },	 { "INSIDE", true, 2 },
		{ "VOLATILE", true, 3 }, { "RANGES", true, 4 },
	};
	_cleanup_(table_clear) struct table table =
		table_new(columns, ARRAY_SIZE(columns));

	for (size_t k = 0; k < r->plan->n_pairs; k++) {
		uint32_t i = r->plan->by_saved[k];
		const struct survey_process *p = r->survey->processes.v[i];
		const struct forecast_counts *c = &r->plan->counts[i];
		char text[7][SCREEN_NUMBER];
		const char *cells[] = {
			text[0],
			p->comm,
			screen_bytes(p->looked * PAGE_BYTES, text[1]),
			screen_bytes(rounded(c->saved) * PAGE_BYTES, text[2]),
			screen_bytes(c->zero * PAGE_BYTES, text[3]),
			screen_bytes(c->inside * PAGE_BYTES, text[4]),
			screen_bytes(c->gone * PAGE_BYTES, text[5]),
			screen_count(r->plan->costs[i].ranges, text[6]),
		};
		int rc;

		snprintf(text[0], sizeof(text[0]), "%d", p->process.id.pid);
		rc = table_add(&table, cells);
		if (rc)
			return rc;
	}
	if (!r->plan->n_pairs)
		return 0;
	fputc('\n', screen->out);
	table_print(&table, screen, 0, NULL, NULL);
	return 0;
}

/* Those two that share most, then the next, up to a screenful. */
static void print_pairs(const struct screen *screen,
			const struct plan_report *r)
{
	const struct plan *plan = r->plan;
	uint64_t below = UINT64_MAX;
	size_t n = 0, skip = 0;

	for (; n < PAIRS_SHOWN; n++) {
		size_t best_a = 0, best_b = 0, seen = 0;
		uint64_t best = 0;
		char bytes[SCREEN_NUMBER];

		for (size_t a = 0; a < plan->n_pairs; a++) {
			for (size_t b = a + 1; b < plan->n_pairs; b++) {
				uint64_t pages = plan_pair(plan, a, b);

				if (pages > below || pages <= best ||
				    (pages == below && seen++ < skip))
					continue;
				best = pages;
				best_a = a;
				best_b = b;
			}
		}
		if (!best)
			return;
		skip = best == below ? skip + 1 : 1;
		below = best;
		fprintf(screen->out, "%s  %d and %d hold %s in common\n",
			n ? "" : "\n",
			r->survey->processes.v[plan->by_saved[best_a]]
				->process.id.pid,
			r->survey->processes.v[plan->by_saved[best_b]]
				->process.id.pid,
			screen_bytes(best * PAGE_BYTES, bytes));
	}
}

void plan_print_excluded(const struct screen *screen,
			 const struct plan_report *r)
{
	size_t n = 0;
	char text[192];

	for (size_t i = 0; i < r->chosen->n; i++)
		n += *r->chosen->v[i].why_not && !r->chosen->v[i].named;
	if (!n)
		return;
	snprintf(
		text, sizeof(text),
		"%zu process%s left out, by a built-in rule or the configuration; --json names %s.",
		n, n == 1 ? " is" : "es are", n == 1 ? "it" : "them");
	fputc('\n', screen->out);
	screen_wrap(screen, 0, text);
}

int plan_print(const struct screen *screen, const struct plan_report *report)
{
	int r;

	print_head(screen, report);
	print_counts(screen, report);
	print_costs(screen, report);
	r = print_processes(screen, report);
	if (r)
		return r;
	print_pairs(screen, report);
	plan_print_excluded(screen, report);
	return 0;
}
