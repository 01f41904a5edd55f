/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inifile.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

#define TEXT_(x) #x
#define TEXT(x)	 TEXT_(x)
/* With the end of line and the null byte that inih wants to see. */
#define LINE_SIZE     (INIFILE_LINE_MAX + 3)
#define LINE_MAX_TEXT TEXT(INIFILE_LINE_MAX)

#define IGNORED "it is ignored"

struct reader {
	const char *next; /* the rest of the text */
	size_t left;
	unsigned int line;
	const struct inifile_ops *ops;
	void *userdata;
	int error; /* of ops: ends the reading */
};

struct span {
	const char *text;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.len && is_blank(s.text[0])) {
		s.text++;
		s.len--;
	}
	while (s.len && is_blank(s.text[s.len - 1]))
		s.len--;
	return s;
}

/* The next line without its end, "\n" or "\r\n", and without outer blanks. */
static struct span line_take(struct reader *reader)
{
	const char *end = memchr(reader->next, '\n', reader->left);
	struct span s = { reader->next, reader->left };

	if (end)
		s.len = (size_t)(end - reader->next);
	reader->next += s.len + (end != NULL);
	reader->left -= s.len + (end != NULL);
	reader->line++;
	if (s.len && s.text[s.len - 1] == '\r')
		s.len--;
	return trim(s);
}

/*
 * Copy @s into @line of LINE_SIZE bytes, as inih and sections want it.
 *
 * Return: what makes it no line of text, or NULL.
 */
static const char *line_copy(struct span s, char *line)
{
	char clean[LINE_SIZE];

	if (s.len > INIFILE_LINE_MAX)
		return "this line is longer than " LINE_MAX_TEXT " bytes";
	if (memchr(s.text, '\0', s.len))
		return "this line holds a null byte, expected plain text";
	memcpy(line, s.text, s.len);
	line[s.len] = '\0';
	for (char *tab = line; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	if (strcmp(utf8_clean(line, clean, sizeof(clean)), line) != 0)
		return "this line holds a control character or is not valid UTF-8, expected plain text";
	return NULL;
}

static int line_broken(struct reader *reader, const char *fault,
		       const char *consequence)
{
	char sentence[192];

	snprintf(sentence, sizeof(sentence), "%s; %s", fault, consequence);
	return reader->ops->broken(reader->userdata, reader->line, sentence);
}

static int header_take(struct reader *reader, struct span s)
{
	char line[LINE_SIZE], *name = line + 1, *end, *rest;
	const char *fault = line_copy(s, line);
	int r;

	if (!fault) {
		end = strchr(line, ']');
		rest = end ? end + 1 + strspn(end + 1, " ") : NULL;
		if (!end)
			fault = "this section header has no closing \"]\"";
		else if (!strchr(";#", *rest)) /* finds its '\0' as well */
			fault = "there is text after the \"]\" of this section header, expected the end of the line";
	}
	if (fault) {
		r = line_broken(reader, fault,
				"it and the lines below it are ignored");
		return r ? r
			 : reader->ops->section(reader->userdata, reader->line,
						NULL);
	}
	name += strspn(name, " ");
	while (end > name && end[-1] == ' ')
		end--;
	*end = '\0';
	return reader->ops->section(reader->userdata, reader->line, name);
}

/* An ini_reader(): the next line that is an entry, or NULL at the end. */
static char *reader_next(char *buf, int size, void *stream)
{
	struct reader *reader = stream;

	assert(size == LINE_SIZE); /* by inih_set_up() */
	while (reader->left && !reader->error) {
		struct span s = line_take(reader);
		const char *fault;

		if (!s.len || s.text[0] == ';' || s.text[0] == '#')
			continue;
		if (s.text[0] == '[') {
			reader->error = header_take(reader, s);
			continue;
		}
		fault = line_copy(s, buf);
		if (fault) {
			reader->error = line_broken(reader, fault, IGNORED);
			continue;
		}
		memcpy(buf + s.len, "\n", sizeof("\n"));
		return buf;
	}
	return NULL;
}

/* An ini_handler(): called for the line that was read last. */
static int reader_entry(void *userdata, const char *section, const char *key,
			const char *value)
{
	struct reader *reader = userdata;

	(void)section; /* inih cuts names at 49 bytes; header_take() does not */
	if (value && *key)
		reader->error = reader->ops->entry(reader->userdata,
						   reader->line, key, value);
	else
		reader->error = line_broken(
			reader,
			"this line is neither a section header nor a comment, expected KEY = VALUE",
			IGNORED);
	return 1;
}

/* Debian's inih has its options at run time: leave none to its defaults. */
static void inih_set_up(void)
{
	static char prefixes[] = ";#";

	ini_allow_multiline = false;
	ini_allow_bom = false;
	ini_start_comment_prefixes = prefixes;
	ini_allow_inline_comments = true;
	ini_inline_comment_prefixes = prefixes;
	ini_use_stack = true;
	ini_max_line = LINE_SIZE;
	ini_stop_on_first_error = false;
	ini_allow_no_value = true;
}

int inifile_parse(const char *text, size_t len, const struct inifile_ops *ops,
		  void *userdata)
{
	struct reader reader = { text, len, 0, ops, userdata, 0 };

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		reader.next += 3;
		reader.left -= 3;
	}
	inih_set_up();
	if (ini_parse_stream(reader_next, &reader, reader_entry, &reader) == -2)
		return -ENOMEM;
	return reader.error;
}
