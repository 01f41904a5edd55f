/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ksmtuned.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "complaints.h"
#include "utf8.h"

/* Longer than any assignment that makes sense. */
#define LINE_MAX_ 1024
/* Beyond this no value makes sense, and products of two still fit. */
#define NUMBER_MAX 1000000000

static const struct {
	const char *name;
	bool text;
	int64_t usual; /* where the file says nothing, by ksmtuned's script */
	int64_t least;
} keys[KSMTUNED_KEYS] = {
	[KSMTUNED_MONITOR_INTERVAL] = { "KSM_MONITOR_INTERVAL", false, 60, 1 },
	[KSMTUNED_SLEEP_MSEC] = { "KSM_SLEEP_MSEC", false, 10, 0 },
	[KSMTUNED_NPAGES_BOOST] = { "KSM_NPAGES_BOOST", false, 300,
				    -NUMBER_MAX },
	[KSMTUNED_NPAGES_DECAY] = { "KSM_NPAGES_DECAY", false, -50,
				    -NUMBER_MAX },
	[KSMTUNED_NPAGES_MIN] = { "KSM_NPAGES_MIN", false, 64, 0 },
	[KSMTUNED_NPAGES_MAX] = { "KSM_NPAGES_MAX", false, 1250, 1 },
	[KSMTUNED_THRES_COEF] = { "KSM_THRES_COEF", false, 20, 0 },
	[KSMTUNED_THRES_CONST] = { "KSM_THRES_CONST", false, 2048, 0 },
	[KSMTUNED_LOGFILE] = { "LOGFILE", true, 0, 0 },
	[KSMTUNED_DEBUG] = { "DEBUG", true, 0, 0 },
};

/* --- reading ---------------------------------------------------------------- */

struct reading {
	struct complaints complaints;
	const char *file;
	unsigned int line;
	struct ksmtuned *k;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* How many characters of @text are a variable's name. */
static size_t name_length(const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"abcdefghijklmnopqrstuvwxyz_0123456789");

	return *text >= '0' && *text <= '9' ? 0 : n;
}

/*
 * Take the next word of a line from *at, without its quotes. false where it
 * would take a shell to know what it is.
 */
static bool word_take(const char **at, char word[LINE_MAX_])
{
	const char *c = *at;
	char quote = 0;
	size_t n = 0;

	for (; *c && (quote || (!is_blank(*c) && *c != ';')); c++) {
		if (*c == '\\' || *c == '`' || (*c == '$' && quote != '\''))
			return false;
		if (!quote && strchr("&|<>()*?[]{}~!", *c))
			return false;
		if (quote ? *c == quote : *c == '\'' || *c == '"')
			quote = quote ? 0 : *c;
		else
			word[n++] = *c;
	}
	word[n] = '\0';
	*at = c;
	return !quote;
}

static bool number_parse(const char *text, int64_t least, int64_t *ret)
{
	char *end;
	int64_t number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno || end == text || *end || is_blank(*text) || *text == '+')
		return false;
	if (number < least || number > NUMBER_MAX)
		return false;
	*ret = number;
	return true;
}

static void assignment_take(struct reading *r, const char *name,
			    const char *value)
{
	char quote[2][COMPLAINTS_QUOTE_SIZE];
	enum ksmtuned_key i = 0;

	while (i < KSMTUNED_KEYS && strcmp(keys[i].name, name) != 0)
		i++;
	if (i == KSMTUNED_KEYS) {
		complaints_add(
			&r->complaints, r->file, r->line,
			"ksmtuned has no %s; only what it has is known here, so this is left out",
			complaints_quote(quote[0], name));
		return;
	}
	/* as with ${NAME:-USUAL}, nothing is the usual value */
	r->k->keys[i].number = keys[i].usual;
	r->k->keys[i].given = *value;
	if (keys[i].text || !*value)
		return;
	if (number_parse(value, keys[i].least, &r->k->keys[i].number))
		return;
	r->k->keys[i].given = false;
	complaints_add(
		&r->complaints, r->file, r->line,
		"%s = %s is not a whole number, or one that makes no sense; ksmtuned's own %" PRId64
		" is taken",
		name, complaints_quote(quote[1], value), keys[i].usual);
}

/*
 * A line's assignments are taken when all of it is understood: "A=1 program"
 * would set nothing. With @dry they are only looked at.
 */
static bool line_take(struct reading *r, const char *line, bool dry)
{
	const char *at = line;
	char word[LINE_MAX_];

	for (;;) {
		size_t n;

		while (is_blank(*at) || *at == ';')
			at++;
		if (!*at || *at == '#')
			return true;
		n = name_length(at);
		if (n == strlen("export") && !strncmp(at, "export", n) &&
		    is_blank(at[n])) {
			at += n;
			continue;
		}
		if (!n || at[n] != '=' || !word_take(&at, word))
			return false;
		word[n] = '\0'; /* quotes come behind the name */
		if (!dry)
			assignment_take(r, word, word + n + 1);
	}
}

int ksmtuned_parse(const char *file, const char *text, size_t len,
		   config_complain_fn complain, void *userdata,
		   struct ksmtuned *ret)
{
	struct reading r = {
		.complaints = { .complain = complain, .userdata = userdata },
		.file = file,
		.k = ret,
	};
	const char *end = text + len;

	for (size_t i = 0; i < KSMTUNED_KEYS; i++)
		ret->keys[i] = (struct ksmtuned_value){ false, keys[i].usual };
	for (const char *next; text < end; text = next) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ?: end) - text);
		char line[LINE_MAX_], quote[COMPLAINTS_QUOTE_SIZE];
		bool fits = n < sizeof(line);

		next = newline ? newline + 1 : end;
		r.line++;
		n = MIN(n, sizeof(line) - 1);
		memcpy(line, text, n);
		line[n] = '\0';
		if (fits && strlen(line) == n && line_take(&r, line, true))
			line_take(&r, line, false);
		else
			complaints_add(
				&r.complaints, file, r.line,
				"%s is no plain assignment; it is ignored, since nothing is run here",
				complaints_quote(quote,
						 line + strspn(line, " \t")));
	}
	return complaints_finish(&r.complaints, file);
}

/* --- what becomes of it ----------------------------------------------------- */

/* KSM_SLEEP_MSEC is for 16 GiB: more memory, shorter sleeps, down to 10 ms. */
#define SLEEP_BYTES (16ULL << 30)
#define SLEEP_LEAST UINT64_C(10)

uint64_t ksmtuned_scan_seconds(const struct ksmtuned *k, uint64_t ram_bytes)
{
	uint64_t gib = MAX(ram_bytes >> 30, UINT64_C(1));
	uint64_t sleep = (uint64_t)k->keys[KSMTUNED_SLEEP_MSEC].number *
			 (SLEEP_BYTES >> 30) / gib;
	uint64_t batch = (uint64_t)k->keys[KSMTUNED_NPAGES_MAX].number;
	uint64_t batches = ram_bytes / PAGE_BYTES / batch + 1;

	sleep = MAX(sleep, SLEEP_LEAST);
	if (batches > UINT64_MAX / 2 / sleep)
		return UINT64_MAX / 2 / 1000;
	return (batches * sleep + 999) / 1000;
}

static void print_head(const char *file, FILE *out)
{
	char clean[256];

	fprintf(out,
		"# What ksmd-plus needs of %s, by ksmd-plusctl import ksmtuned.\n"
		"# Save it as /etc/ksmd-plus.conf.d/ksmtuned.conf, then\n"
		"#\n"
		"#\tsystemctl disable --now ksmtuned ksm\n"
		"#\tsystemctl enable --now ksmd-plus\n"
		"#\n"
		"# Guests of QEMU register their memory themselves (mem-merge=on, the default),\n"
		"# so they are managed without a [target] section.\n\n",
		utf8_clean(file, clean, sizeof(clean)));
}

/* The bounds of target_scan_time. */
#define SCAN_LEAST UINT64_C(1)
#define SCAN_MOST  UINT64_C(86400)

static void print_pace(const struct ksmtuned *k, uint64_t ram_bytes, FILE *out)
{
	uint64_t seconds = ksmtuned_scan_seconds(k, ram_bytes);
	bool given = k->keys[KSMTUNED_NPAGES_MAX].given ||
		     k->keys[KSMTUNED_SLEEP_MSEC].given;

	fprintf(out,
		"[merge]\n"
		"# At its hardest, with KSM_NPAGES_MAX=%" PRId64
		" and KSM_SLEEP_MSEC=%" PRId64 ",\n"
		"# ksmtuned would have ksmd look at all memory of this machine once in %" PRIu64
		" s.\n",
		k->keys[KSMTUNED_NPAGES_MAX].number,
		k->keys[KSMTUNED_SLEEP_MSEC].number, seconds);
	if (!k->keys[KSMTUNED_SLEEP_MSEC].given)
		fputs("# (Where KSM_SLEEP_MSEC is not given it is 10 with Debian and RHEL, and 100 with\n"
		      "# Proxmox VE.)\n",
		      out);
	if (given)
		fprintf(out, "target_scan_time = %" PRIu64 "s\n\n",
			MIN(MAX(seconds, SCAN_LEAST), SCAN_MOST));
	else
		fputs("# That pace was nobody's choice here, so the default stays.\n"
		      ";target_scan_time = 200s\n\n",
		      out);
}

static void print_rest(const struct ksmtuned *k, FILE *out)
{
	const struct ksmtuned_value *v = k->keys;

	fprintf(out,
		"# KSM_THRES_COEF=%" PRId64 ", KSM_THRES_CONST=%" PRId64
		": ksmtuned lets KSM rest until memory is\n"
		"# short. There is no such threshold here: what is equal is merged when it is\n"
		"# found, within cpu_limit and ksmd_cpu_limit, and where memory is short without\n"
		"# these limits.\n",
		v[KSMTUNED_THRES_COEF].number, v[KSMTUNED_THRES_CONST].number);
	fprintf(out,
		"# KSM_MONITOR_INTERVAL=%" PRId64
		": new processes are seen at once, shortage within\n"
		"# seconds.\n",
		v[KSMTUNED_MONITOR_INTERVAL].number);
	fprintf(out,
		"# KSM_NPAGES_MIN=%" PRId64 ", KSM_NPAGES_BOOST=%" PRId64
		", KSM_NPAGES_DECAY=%" PRId64 ": ksmd runs in\n"
		"# pulses, as long as there is something to merge; how fast is ksmd_cpu_limit.\n",
		v[KSMTUNED_NPAGES_MIN].number, v[KSMTUNED_NPAGES_BOOST].number,
		v[KSMTUNED_NPAGES_DECAY].number);
	if (v[KSMTUNED_LOGFILE].given || v[KSMTUNED_DEBUG].given)
		fputs("# LOGFILE, DEBUG: see journalctl -u ksmd-plus.\n", out);
	fputs("\n"
	      "# Guests can be told apart. A guest named here is searched for duplicates, and\n"
	      "# exclude keeps the daemon from it; its own registration with KSM stays.\n"
	      ";[target guest-100]\n"
	      ";unit = 100.scope\n"
	      ";mode = exclude\n",
	      out);
}

void ksmtuned_print(const struct ksmtuned *k, const char *file,
		    uint64_t ram_bytes, FILE *out)
{
	print_head(file, out);
	print_pace(k, ram_bytes, out);
	print_rest(k, out);
}
