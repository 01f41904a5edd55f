/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "telling.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/control.h>
#include <ksmd-plus/status.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "news.h"
#include "pulser.h"
#include "utf8.h"

#define TELL_USEC (1 * USEC_PER_SEC)
/* ... unless that were more than so small a part of a CPU. */
#define TELL_SHARE 1000U
/* The knobs, and each other warning once, are fewer. */
#define WARNINGS_MAX 32U

struct telling {
	struct telling_env env;
	sd_event_source *timer;
	struct news told;
	uint64_t told_usec;
	struct warning warnings[WARNINGS_MAX]; /* as they were told */
	size_t n_warnings;
};

/* --- sending --------------------------------------------------------------- */

static void changed_send(sd_bus *bus, void *arg)
{
	int r = sd_bus_emit_properties_changed_strv(bus, CONTROL_PATH,
						    CONTROL_INTERFACE, arg);

	if (r < 0)
		log_debug("No signal of a change: %s, ignoring", strerror(-r));
}

struct raised {
	const char *signal;
	const char *name;
	const char *sentence; /* NULL: has none */
};

static void raised_send(sd_bus *bus, void *arg)
{
	const struct raised *raised = arg;
	char name[sizeof(((struct warning *)0)->name)];
	char sentence[sizeof(((struct warning *)0)->sentence)];

	utf8_clean(raised->name, name, sizeof(name));
	if (raised->sentence)
		sd_bus_emit_signal(bus, CONTROL_PATH, CONTROL_INTERFACE,
				   raised->signal, "ss", name,
				   utf8_clean(raised->sentence, sentence,
					      sizeof(sentence)));
	else
		sd_bus_emit_signal(bus, CONTROL_PATH, CONTROL_INTERFACE,
				   raised->signal, "s", name);
}

static void pulse_send(sd_bus *bus, void *arg)
{
	const struct pulser_event *e = arg;

	if (e->began)
		sd_bus_emit_signal(bus, CONTROL_PATH, CONTROL_INTERFACE,
				   "PulseBegan", "tt", e->promised,
				   e->registered);
	else
		sd_bus_emit_signal(bus, CONTROL_PATH, CONTROL_INTERFACE,
				   "PulseEnded", "tttts", e->promised, e->saved,
				   e->usec, e->ksmd_cpu_usec, e->result);
}

static void on_pulse(void *userdata, const struct pulser_event *event)
{
	struct telling *telling = userdata;
	struct pulser_event e = *event;

	telling->env.each(telling->env.userdata, pulse_send, &e);
}

/* --- what is told ---------------------------------------------------------- */

/* Some warnings stand for several things of one name, told apart by their
 * first word; numbers further on change all the time. */
static bool is_same(const struct warning *a, const struct warning *b)
{
	size_t n = strcspn(a->sentence, " ");

	return !strcmp(a->name, b->name) && n == strcspn(b->sentence, " ") &&
	       !memcmp(a->sentence, b->sentence, n);
}

static bool is_among(const struct warning *w, const struct warning *list,
		     size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(w, &list[i]))
			return true;
	return false;
}

/* Tell of those in @list that are not in @others. */
static void tell_missing(struct telling *telling, const char *signal,
			 const struct warning *list, size_t n,
			 const struct warning *others, size_t n_others)
{
	for (size_t i = 0; i < n; i++) {
		struct raised raised = { signal, list[i].name, NULL };

		if (is_among(&list[i], others, n_others))
			continue;
		if (!strcmp(signal, "WarningRaised"))
			raised.sentence = list[i].sentence;
		telling->env.each(telling->env.userdata, raised_send, &raised);
	}
}

static void tell_warnings(struct telling *telling, const struct warning *now,
			  size_t n)
{
	n = MIN(n, (size_t)WARNINGS_MAX);
	tell_missing(telling, "WarningRaised", now, n, telling->warnings,
		     telling->n_warnings);
	tell_missing(telling, "WarningCleared", telling->warnings,
		     telling->n_warnings, now, n);
	for (size_t i = 0; i < n; i++)
		telling->warnings[i] = now[i];
	telling->n_warnings = n;
}

/* FNV-1a, 64 bits: a number that differs where the warnings do. */
static uint64_t warnings_number(const struct warning *list, size_t n)
{
	uint64_t number = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < n; i++) {
		for (const char *p = list[i].name; *p; p++)
			number = (number ^ (unsigned char)*p) * 0x100000001b3;
		for (const char *p = list[i].sentence; *p && *p != ' '; p++)
			number = (number ^ (unsigned char)*p) * 0x100000001b3;
	}
	return number;
}

static struct news news_from(const struct daemon_status *s)
{
	struct news news = {
		.state = (int)s->state,
		.saved = s->pages_saved,
		.zero = s->zero_pages,
		.promised = s->promised_pages,
		.targets = s->n_targets << 32,
		.warnings = warnings_number(
			s->warnings, MIN(s->n_warnings, (size_t)WARNINGS_MAX)),
	};

	for (size_t i = 0; i < s->n_targets; i++)
		news.targets += s->targets[i].processes;
	return news;
}

/* Names of properties, up to NULL. */
#define NAMES_MAX 8U

static void names_add(char **names, const char *name)
{
	size_t n = 0;

	while (names[n])
		n++;
	/* sd-bus does not write to them */
	names[n] = (char *)name;
}

static void compare(struct telling *telling)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	char *names[NAMES_MAX] = { NULL };
	struct daemon_status s;
	unsigned int what;
	struct news news;

	telling->env.status(telling->env.userdata, &s);
	news = news_from(&s);
	what = news_since(&telling->told, &news, now - telling->told_usec);
	if (!what)
		return;
	if (what & NEWS_WARNINGS)
		tell_warnings(telling, s.warnings, s.n_warnings);
	if (what & NEWS_STATE)
		names_add(names, "State");
	if (what & NEWS_WARNINGS)
		names_add(names, "Warnings");
	if (what & NEWS_PROMISED)
		names_add(names, "PromisedPages");
	if (what & NEWS_SAVED) {
		names_add(names, "PagesSaved");
		names_add(names, "BytesSaved");
		names_add(names, "ZeroPages");
		names_add(names, "Targets");
	}
	telling->told = news;
	telling->told_usec = now;
	telling->env.each(telling->env.userdata, changed_send, names);
}

static void count_one(sd_bus *bus, void *arg)
{
	(void)bus;
	++*(unsigned int *)arg;
}

/* With nobody there nothing is compared; who comes gets what has changed. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct telling *telling = userdata;
	uint64_t cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
	unsigned int listeners = 0;

	(void)usec;
	telling->env.each(telling->env.userdata, count_one, &listeners);
	if (listeners)
		compare(telling);
	cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu;
	sd_event_source_set_time(source,
				 clock_usec(CLOCK_MONOTONIC) +
					 MAX(TELL_USEC, cpu * TELL_SHARE));
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int telling_new(const struct telling_env *env, struct telling **ret)
{
	struct telling *telling = calloc(1, sizeof(*telling));
	int r;

	if (!telling)
		return -ENOMEM;
	telling->env = *env;
	telling->told.warnings = warnings_number(NULL, 0);
	r = sd_event_add_time_relative(env->event, &telling->timer,
				       CLOCK_MONOTONIC, TELL_USEC,
				       TELL_USEC / 4, on_timer, telling);
	if (r < 0) {
		free(telling);
		return r;
	}
	/* after what it compares */
	sd_event_source_set_priority(telling->timer,
				     SD_EVENT_PRIORITY_NORMAL + 10);
	pulser_listen(env->pulser, on_pulse, telling);
	*ret = telling;
	return 0;
}

struct telling *telling_free(struct telling *telling)
{
	if (!telling)
		return NULL;
	pulser_listen(telling->env.pulser, NULL, NULL);
	sd_event_source_disable_unref(telling->timer);
	free(telling);
	return NULL;
}
