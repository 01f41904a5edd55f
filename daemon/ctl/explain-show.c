/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "explain-show.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "json.h"
#include "utf8.h"

/* Where sentences begin: after "  1023 MiB  shared-mapping    ". */
#define SENTENCE_COLUMN 30

/* --- JSON ------------------------------------------------------------------- */

static struct json_object *reason_json(enum reason reason)
{
	const struct reason_text *t = reason_text(reason);
	struct json_object *o = json_object_new_object();

	json_add_string(o, "reason", t->name);
	json_add_string(o, "sentence", t->sentence);
	json_add_string(o, "remedy", t->remedy);
	return o;
}

static struct json_object *rows_json(const struct explain_rows *rows)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < rows->n; i++) {
		struct json_object *o = reason_json(rows->v[i].reason);

		json_add_u64(o, "pages", rows->v[i].pages);
		json_add_string(o, "detail", rows->v[i].detail);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *classes_json(const struct vma_classes *classes)
{
	struct json_object *array = json_object_new_array();

	for (unsigned int i = 0; i < REASON_MAX_; i++) {
		const struct vma_class *c = &classes->by[i];
		struct json_object *o;

		if (!c->mappings)
			continue;
		o = reason_json((enum reason)i);
		json_add_u64(o, "mappings", c->mappings);
		json_add_u64(o, "bytes", c->bytes);
		json_add_u64(o, "resident_bytes", c->resident);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *process_json(const struct explained *e)
{
	const struct rule_target *target = e->chosen.target;
	struct json_object *o = json_object_new_object();
	char text[512];

	json_add_u64(o, "pid", (uint64_t)e->chosen.id.pid);
	json_add_string(o, "comm", e->chosen.comm);
	json_add_string(o, "mode", mode_name(e->chosen.mode));
	json_add_string(o, "target",
			utf8_clean(target ? target->name : NULL, text,
				   sizeof(text)));
	json_add_string(o, "file",
			utf8_clean(target ? target->file : NULL, text,
				   sizeof(text)));
	json_add_u64(o, "line", target ? target->line : 0);
	json_add_string(o, "daemon_mode", e->mode);
	json_add_string(o, "daemon_rule", e->rule);
	json_add_u64(o, "pages_merged", e->ksm.merging_pages);
	json_add_u64(o, "zero_pages", e->ksm.zero_pages);
	json_object_object_add(o, "reasons", rows_json(&e->rows));
	json_object_object_add(o, "mappings", classes_json(&e->classes));
	return o;
}

struct json_object *explain_json(const struct explanation *e)
{
	struct json_object *o = json_object_new_object();
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < e->processes.n; i++)
		json_object_array_add(array, process_json(&e->processes.v[i]));
	json_object_object_add(o, "daemon", json_object_new_boolean(e->daemon));
	json_object_object_add(o, "host", rows_json(&e->host));
	json_object_object_add(o, "processes", array);
	return o;
}

/* --- text ------------------------------------------------------------------- */

/* "  12.3 MiB  locked  Locked memory ...", the remedy below it. */
static void print_reason(const struct screen *screen, const char *amount,
			 enum reason reason, const char *detail)
{
	const struct reason_text *t = reason_text(reason);
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s%s", t->sentence,
		 *detail ? " (" : "", detail, *detail ? ")" : "");
	fprintf(screen->out, "%10s  %s%-16s%s  ", amount,
		screen_on(screen, SCREEN_BOLD), t->name, screen_off(screen));
	screen_wrap(screen, SENTENCE_COLUMN, text);
	if (!*t->remedy)
		return;
	fprintf(screen->out, "%*s-> ", SENTENCE_COLUMN, "");
	screen_wrap(screen, SENTENCE_COLUMN + 3, t->remedy);
}

static void print_rows(const struct screen *screen,
		       const struct explain_rows *rows)
{
	char bytes[SCREEN_NUMBER];

	for (size_t i = 0; i < rows->n; i++) {
		const struct explain_row *r = &rows->v[i];

		print_reason(screen,
			     r->pages ? screen_bytes(r->pages * PAGE_BYTES,
						     bytes)
				      : "",
			     r->reason, r->detail);
	}
}

static void print_classes(const struct screen *screen,
			  const struct vma_classes *classes)
{
	char bytes[SCREEN_NUMBER];

	for (unsigned int i = 0; i < REASON_MAX_; i++)
		if (classes->by[i].mappings)
			print_reason(screen,
				     screen_bytes(classes->by[i].resident,
						  bytes),
				     (enum reason)i, "");
}

/* "web (pid 12): mode selective, by [target web] in /etc/... line 3" */
static void print_verdict(const struct screen *screen,
			  const struct explained *e)
{
	const struct rule_target *target = e->chosen.target;
	char text[768];

	fprintf(screen->out, "%s%s (pid %d)%s\n",
		screen_on(screen, SCREEN_BOLD), e->chosen.comm,
		e->chosen.id.pid, screen_off(screen));
	if (target)
		snprintf(text, sizeof(text),
			 "mode %s, by [target %s] of %s, line %u",
			 mode_name(e->chosen.mode), target->name,
			 target->file ? target->file : "?", target->line);
	else
		snprintf(text, sizeof(text), "mode %s",
			 mode_name(e->chosen.mode));
	fputs("  ", screen->out);
	screen_wrap(screen, 2, text);
	if (!*e->mode || !strcmp(e->mode, mode_name(e->chosen.mode)))
		return;
	snprintf(text, sizeof(text),
		 "The daemon goes by another configuration: mode %s (%s).",
		 e->mode, e->rule);
	fputs("  ", screen->out);
	screen_wrap(screen, 2, text);
}

static void print_process(const struct screen *screen,
			  const struct explained *e)
{
	char merged[SCREEN_NUMBER], zero[SCREEN_NUMBER];

	print_verdict(screen, e);
	fprintf(screen->out, "  %s merged, %s of it zero pages\n",
		screen_bytes((e->ksm.merging_pages + e->ksm.zero_pages) *
				     PAGE_BYTES,
			     merged),
		screen_bytes(e->ksm.zero_pages * PAGE_BYTES, zero));
	if (e->rows.n)
		fputs("\n  Why\n", screen->out);
	print_rows(screen, &e->rows);
	fputs("\n  Its memory\n", screen->out);
	print_classes(screen, &e->classes);
}

void explain_print(const struct screen *screen, const struct explanation *e)
{
	for (size_t i = 0; i < e->processes.n; i++) {
		if (i)
			fputc('\n', screen->out);
		print_process(screen, &e->processes.v[i]);
	}
	if (e->host.n)
		fputs("\n  This machine\n", screen->out);
	print_rows(screen, &e->host);
}
