/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl top: what status and list tell, live. Columns have fixed widths,
 * so that a figure that changes does not move the others: what has not changed
 * is not sent again.
 */
#include "ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "figures.h"
#include "live.h"
#include "log.h"
#include "utf8.h"

#define INTERVAL_USEC (2 * USEC_PER_SEC)
/* Lines beside the tables: three of status, warning, keys, two blank ones. */
#define HEAD_ROWS 4
/* Of the screen, so much is the targets' at most. */
#define TARGETS_PART 4

struct top {
	struct live *live;
	struct client_status status;
	struct client_list list;
	struct figures_targets targets;
	size_t sort; /* number of a column */
	size_t first; /* process at the top of the table */
	size_t row; /* that is drawn next */
};

/* A line while cells are appended to it. */
struct cells {
	char text[LIVE_LINE_SIZE];
	size_t len;
};

/* One cell; @width characters, or as it is where that is 0. */
static void add(struct cells *c, const char *text, size_t width, bool right)
{
	char clean[256];
	size_t n;

	utf8_clean(text, clean, sizeof(clean));
	for (n = utf8_length(clean); width && n > width; n--) {
		char *end = clean + strlen(clean) - 1;

		while (((unsigned char)*end & 0xc0) == 0x80)
			end--;
		*end = '\0';
	}
	n = width > n ? width - n : 0;
	c->len += (size_t)snprintf(c->text + c->len, sizeof(c->text) - c->len,
				   "%*s%s%*s ", right ? (int)n : 0, "", clean,
				   right ? 0 : (int)n, "");
	c->len = MIN(c->len, sizeof(c->text) - 1);
}

static void add_bytes(struct cells *c, uint64_t bytes, size_t width)
{
	char number[SCREEN_NUMBER];

	add(c, screen_bytes(bytes, number), width, true);
}

static void put(struct top *top, enum live_style style, const char *text)
{
	live_put(top->live, top->row++, style, text);
}

/* --- processes -------------------------------------------------------------- */

enum kind { KIND_TEXT, KIND_PID, KIND_PAGES };

static const struct column {
	const char *title;
	int key; /* that sorts by it, or 0 */
	enum kind kind;
	size_t width; /* 0: the rest of the line */
	size_t columns; /* only on a screen as wide as that */
	size_t offset;
} columns[] = {
#define C(member) offsetof(struct process_status, member)
	{ "PID", 'p', KIND_PID, 8, 0, C(pid) },
	{ "COMMAND", 'c', KIND_TEXT, 15, 0, C(comm) },
	{ "TARGET", 't', KIND_TEXT, 15, 0, C(target) },
	{ "MODE", 0, KIND_TEXT, 9, 100, C(mode) },
	{ "STATE", 0, KIND_TEXT, 8, 0, C(state) },
	{ "TRACKED", 'k', KIND_PAGES, 9, 0, C(tracked_pages) },
	{ "ENROLLED", 'e', KIND_PAGES, 9, 0, C(enrolled_pages) },
	{ "SAVED", 's', KIND_PAGES, 9, 0, C(pages_saved) },
	{ "NOTE", 0, KIND_TEXT, 0, 100, C(note) },
#undef C
};

#define SORT_FIRST 7 /* SAVED */

static const char *text_at(const struct process_status *p, size_t column)
{
	return *(const char *const *)((const char *)p + columns[column].offset);
}

static uint64_t number_at(const struct process_status *p, size_t column)
{
	const void *at = (const char *)p + columns[column].offset;

	return columns[column].kind == KIND_PID ? *(const uint32_t *)at
						: *(const uint64_t *)at;
}

/* Text and pids ascend, figures descend. */
static int compare(const void *a, const void *b, void *userdata)
{
	const struct process_status *x = a, *y = b;
	size_t column = *(const size_t *)userdata;
	int order = 0;

	if (columns[column].kind == KIND_TEXT) {
		order = strcmp(text_at(x, column), text_at(y, column));
	} else if (columns[column].kind == KIND_PAGES) {
		uint64_t n = number_at(x, column), m = number_at(y, column);

		order = n < m ? 1 : n > m ? -1 : 0;
	}
	return order ? order : x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void put_process(struct top *top, const struct process_status *p)
{
	struct cells cells = { 0 };
	char number[SCREEN_NUMBER];

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		const struct column *c = &columns[i];

		if (c->columns > live_columns(top->live))
			continue;
		if (c->kind == KIND_PAGES) {
			add_bytes(&cells, number_at(p, i) * PAGE_BYTES,
				  c->width);
			continue;
		}
		snprintf(number, sizeof(number), "%" PRIu32, p->pid);
		add(&cells, c->kind == KIND_PID ? number : text_at(p, i),
		    c->width, c->kind == KIND_PID);
	}
	put(top, LIVE_PLAIN, cells.text);
}

/* The column that is sorted by has a star. */
static void put_titles(struct top *top)
{
	struct cells cells = { 0 };
	char title[32];

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		const struct column *c = &columns[i];

		if (c->columns > live_columns(top->live))
			continue;
		snprintf(title, sizeof(title), "%s%s", c->title,
			 i == top->sort ? "*" : "");
		add(&cells, title, c->width, c->kind != KIND_TEXT);
	}
	put(top, LIVE_BOLD, cells.text);
}

static void put_processes(struct top *top)
{
	size_t last = live_rows(top->live) - 1, room;

	put_titles(top);
	room = last > top->row ? last - top->row : 0;
	if (top->first + room > top->list.n)
		top->first = top->list.n > room ? top->list.n - room : 0;
	for (size_t i = top->first; i < top->list.n && top->row < last; i++)
		put_process(top, &top->list.v[i]);
	while (top->row < last)
		put(top, LIVE_PLAIN, "");
}

/* --- the rest ---------------------------------------------------------------- */

static void put_target(struct top *top, const struct figures_target *t)
{
	struct cells cells = { 0 };
	char number[SCREEN_NUMBER];

	add(&cells, t->name, 24, false);
	add(&cells, t->mode, 10, false);
	add(&cells, screen_count(t->processes, number), 9, true);
	add_bytes(&cells, t->tracked_bytes, 9);
	add_bytes(&cells, t->enrolled_bytes, 9);
	add_bytes(&cells, t->saved_bytes, 9);
	put(top, LIVE_PLAIN, cells.text);
}

/* On a low screen they give way to the processes. */
static void put_targets(struct top *top)
{
	size_t room = live_rows(top->live) / TARGETS_PART;
	size_t n = top->targets.n;
	char more[64];

	if (!n || room < 3)
		return;
	put(top, LIVE_BOLD,
	    "TARGET                   MODE       PROCESSES   TRACKED  ENROLLED     SAVED");
	n = n > room ? room - 1 : n;
	for (size_t i = 0; i < n; i++)
		put_target(top, &top->targets.v[i]);
	if (n < top->targets.n) {
		snprintf(more, sizeof(more), "... and %zu more",
			 top->targets.n - n);
		put(top, LIVE_PLAIN, more);
	}
	put(top, LIVE_PLAIN, "");
}

static void put_status(struct top *top)
{
	const struct client_status *s = &top->status;
	char a[SCREEN_NUMBER], b[SCREEN_NUMBER], text[512];

	snprintf(text, sizeof(text), "ksmd-plus %s: %s", s->version, s->state);
	put(top, LIVE_BOLD, text);
	snprintf(text, sizeof(text), "saved %s, promised %s, ",
		 screen_bytes(s->bytes_saved, a),
		 screen_bytes(s->promised_pages * PAGE_BYTES, b));
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
		 "CPU time %s daemon, %s ksmd",
		 screen_usec(s->daemon_cpu_usec, a),
		 screen_usec(s->ksmd_cpu_usec, b));
	put(top, LIVE_PLAIN, text);
	put(top, LIVE_PLAIN, s->activity);
	if (s->n_warnings) {
		snprintf(text, sizeof(text), "%zu warning%s: %s", s->n_warnings,
			 s->n_warnings == 1 ? "" : "s",
			 s->warnings[0].sentence);
		put(top, LIVE_BOLD, text);
	}
	put(top, LIVE_PLAIN, "");
}

static void draw(struct top *top)
{
	if (top->list.n)
		qsort_r(top->list.v, top->list.n, sizeof(*top->list.v), compare,
			&top->sort);
	top->row = 0;
	put_status(top);
	put_targets(top);
	put_processes(top);
	live_put(
		top->live, live_rows(top->live) - 1, LIVE_REVERSE,
		"q quit  by: s saved  e enrolled  k tracked  p pid  c command  t target  arrows");
	live_show(top->live);
}

/* Ask the daemon; the old answer stays where it fails. */
static int fetch(struct top *top, sd_bus *bus)
{
	_cleanup_(client_status_clear) struct client_status status = { 0 };
	_cleanup_(client_list_clear) struct client_list list = { 0 };
	struct figures_targets targets;
	int r = client_get_status(bus, &status);

	if (r >= 0)
		r = client_get_list(bus, &list);
	if (r < 0)
		return r;
	if (figures_by_target(&status, &list, &targets)) {
		log_error("Out of memory.");
		return -ENOMEM;
	}
	client_status_clear(&top->status);
	client_list_clear(&top->list);
	vec_free(&top->targets);
	top->status = status;
	top->list = list;
	top->targets = targets;
	status = (struct client_status){ 0 };
	list = (struct client_list){ 0 };
	return 0;
}

/* False: it is the one that ends us. */
static bool on_key(struct top *top, int key)
{
	size_t page = live_rows(top->live) / 2;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (columns[i].key == key && key)
			top->sort = i;
	if (key == LIVE_KEY_UP)
		top->first -= top->first > 0;
	else if (key == LIVE_KEY_DOWN)
		top->first++;
	else if (key == LIVE_KEY_PAGE_UP)
		top->first -= MIN(top->first, page);
	else if (key == LIVE_KEY_PAGE_DOWN)
		top->first += page;
	else if (key == LIVE_KEY_HOME)
		top->first = 0;
	return key != 'q' && key != 'Q';
}

/* Until somebody ends it (0) or the daemon is gone (negative errno). */
static int loop(struct top *top, sd_bus *bus)
{
	for (;;) {
		uint64_t end = clock_usec(CLOCK_MONOTONIC) + INTERVAL_USEC;
		uint64_t now;
		int r = fetch(top, bus);

		if (r < 0)
			return r;
		do {
			enum live_event event;
			int key = 0;

			draw(top);
			now = clock_usec(CLOCK_MONOTONIC);
			event = live_wait(top->live, end > now ? end - now : 0,
					  &key);
			if (event == LIVE_END ||
			    (event == LIVE_KEY && !on_key(top, key)))
				return 0;
			now = clock_usec(CLOCK_MONOTONIC);
		} while (now < end);
	}
}

static int top_run(const struct ctl *ctl)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	const char *term = getenv("TERM");
	struct top top = { .sort = SORT_FIRST };
	int r;

	if (!ctl->screen.terminal || !term || !strcmp(term, "dumb")) {
		log_error(
			"top draws on a terminal, and this is none. For a file or a pipe there is: ksmd-plusctl list");
		return CTL_FAILED;
	}
	if (client_open_loud(ctl->socket, &bus) < 0)
		return CTL_FAILED;
	r = live_open(&top.live);
	if (r < 0) {
		log_error_errno(r, "Cannot use this terminal");
		return CTL_FAILED;
	}
	r = loop(&top, bus);
	live_close(top.live);
	client_status_clear(&top.status);
	client_list_clear(&top.list);
	vec_free(&top.targets);
	return r < 0 ? CTL_FAILED : CTL_DONE;
}

const struct verb verb_top = {
	.name = "top",
	.summary = "status and list, live",
	.help = "Show targets and processes, again every two seconds. Keys: q ends it; s, e, k, p, c, t sort by what is saved, enrolled, tracked, by pid, command and target; arrows, page keys and home move through the processes.",
	.run = top_run,
};
