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
#include "client-accounts.h"
#include "client.h"
#include "clock.h"
#include "figures.h"
#include "live.h"
#include "log.h"
#include "top-rows.h"
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
	struct client_accounts accounts;
	struct top_rows rows; /* of them */
	enum account_kind kind;
	size_t sort; /* number of a column */
	size_t first; /* row at the top of the table */
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

/* The answers that are shown. */
static void top_forget(struct top *top)
{
	client_status_clear(&top->status);
	client_list_clear(&top->list);
	client_accounts_clear(&top->accounts);
	vec_free(&top->targets);
}

static void put(struct top *top, enum live_style style, const char *text)
{
	live_put(top->live, top->row++, style, text);
}

/* --- processes, or accounts -------------------------------------------------- */

static bool is_shown(const struct top *top, size_t column)
{
	return top_column_is_shown(&top_columns[column], top->kind,
				   live_columns(top->live));
}

static size_t width_of(const struct top *top, size_t column)
{
	return top_column_width(&top_columns[column], top->kind,
				live_columns(top->live));
}

static void put_row(struct top *top, const struct top_row *row)
{
	struct cells cells = { 0 };
	char number[SCREEN_NUMBER];

	for (size_t i = 0; i < top_n_columns; i++) {
		const struct top_column *c = &top_columns[i];

		if (!is_shown(top, i))
			continue;
		if (c->kind == TOP_TEXT) {
			add(&cells, top_row_text(row, c), width_of(top, i),
			    false);
			continue;
		}
		if (c->kind == TOP_BYTES)
			screen_bytes(top_row_number(row, c), number);
		else if (c->kind == TOP_USEC)
			screen_usec(top_row_number(row, c), number);
		else
			snprintf(number, sizeof(number), "%" PRIu64,
				 top_row_number(row, c));
		add(&cells, number, width_of(top, i), true);
	}
	put(top, LIVE_PLAIN, cells.text);
}

/* The column that is sorted by has a star. */
static void put_titles(struct top *top)
{
	struct cells cells = { 0 };
	char title[32];

	for (size_t i = 0; i < top_n_columns; i++) {
		const struct top_column *c = &top_columns[i];

		if (!is_shown(top, i))
			continue;
		snprintf(title, sizeof(title), "%s%s", c->title,
			 i == top->sort ? "*" : "");
		add(&cells, title, width_of(top, i), c->kind != TOP_TEXT);
	}
	put(top, LIVE_BOLD, cells.text);
}

static void put_rows(struct top *top)
{
	size_t last = live_rows(top->live) - 1, room;

	put_titles(top);
	room = last > top->row ? last - top->row : 0;
	if (top->first + room > top->rows.n)
		top->first = top->rows.n > room ? top->rows.n - room : 0;
	for (size_t i = top->first; i < top->rows.n && top->row < last; i++)
		put_row(top, &top->rows.v[i]);
	while (top->row < last)
		put(top, LIVE_PLAIN, "");
}

/* The view with this key: the same column there, or what is saved. */
static void kind_set(struct top *top, enum account_kind kind)
{
	int key = top_columns[top->sort].key;

	top->kind = kind;
	top->first = 0;
	top->sort = top_column_first();
	for (size_t i = 0; i < top_n_columns; i++)
		if (top_columns[i].key == key && key &&
		    (top_columns[i].kinds & 1U << kind))
			top->sort = i;
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
	top_rows_sort(&top->rows, top->sort);
	top->row = 0;
	put_status(top);
	put_targets(top);
	put_rows(top);
	live_put(
		top->live, live_rows(top->live) - 1, LIVE_REVERSE,
		"q quit  v process/unit/guest/target  by: s saved l settled u CPU p pid c name");
	live_show(top->live);
}

/* Ask the daemon; the old answer stays where it fails. */
static int fetch(struct top *top, sd_bus *bus)
{
	_cleanup_(client_status_clear) struct client_status status = { 0 };
	_cleanup_(client_list_clear) struct client_list list = { 0 };
	_cleanup_(
		client_accounts_clear) struct client_accounts accounts = { 0 };
	struct figures_targets targets = { 0 };
	int r = client_get_status(bus, &status);

	if (r >= 0)
		r = client_get_list(bus, &list);
	if (r >= 0)
		r = client_get_accounts(bus, top->kind, &accounts);
	if (r < 0)
		return r;
	/* the old rows show strings of the old answers */
	if (figures_by_target(&status, &list, &targets) ||
	    top_rows_make(&top->rows, top->kind, &list, &accounts)) {
		vec_free(&targets);
		top->rows.n = 0;
		log_error("Out of memory.");
		return -ENOMEM;
	}
	top_forget(top);
	top->status = status;
	top->list = list;
	top->accounts = accounts;
	top->targets = targets;
	status = (struct client_status){ 0 };
	list = (struct client_list){ 0 };
	accounts = (struct client_accounts){ 0 };
	return 0;
}

/* In the order of the key v. */
static enum account_kind kind_next(enum account_kind kind)
{
	switch (kind) {
	case ACCOUNT_PROCESS:
		return ACCOUNT_UNIT;
	case ACCOUNT_UNIT:
		return ACCOUNT_GUEST;
	case ACCOUNT_GUEST:
		return ACCOUNT_TARGET;
	default:
		return ACCOUNT_PROCESS;
	}
}

/* False: it is the one that ends us. */
static bool on_key(struct top *top, int key)
{
	size_t page = live_rows(top->live) / 2;

	for (size_t i = 0; i < top_n_columns; i++)
		if (top_columns[i].key == key && key && is_shown(top, i))
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
	else if (key == 'v')
		kind_set(top, kind_next(top->kind));
	return key != 'q' && key != 'Q';
}

/* Until somebody ends it (0) or the daemon is gone (negative errno). */
static int loop(struct top *top, sd_bus *bus)
{
	for (;;) {
		uint64_t end = clock_usec(CLOCK_MONOTONIC) + INTERVAL_USEC;
		enum account_kind kind = top->kind;
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
		} while (now < end && top->kind == kind);
	}
}

static int top_run(const struct ctl *ctl)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	const char *term = getenv("TERM");
	struct top top = { .kind = ACCOUNT_PROCESS,
			   .sort = top_column_first() };
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
	top_forget(&top);
	vec_free(&top.rows);
	return r < 0 ? CTL_FAILED : CTL_DONE;
}

const struct verb verb_top = {
	.name = "top",
	.summary = "status and list, live",
	.help = "Show targets and processes, again every two seconds. Keys: q ends it; v shows units, guests or targets in place of processes; s, l, m, u, b, e, k, n, p, c, t sort by what is saved, settled, the peak, CPU time, pages broken, enrolled, tracked, the number of processes, pid, name and target; arrows, page keys and home move through the rows.",
	.run = top_run,
};
