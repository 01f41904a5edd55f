/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "complaints.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

/* More than a person corrects in one go. */
#define COMPLAINTS_MAX 100

void complaints_add(struct complaints *complaints, const char *file,
		    unsigned int line, const char *fmt, ...)
{
	char sentence[768];
	va_list ap;

	if (complaints->n++ >= COMPLAINTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	complaints->complain(complaints->userdata, file, line, sentence);
}

int complaints_finish(struct complaints *complaints, const char *file)
{
	char sentence[80];

	if (complaints->n > COMPLAINTS_MAX) {
		snprintf(sentence, sizeof(sentence),
			 "%d more faults are not shown",
			 complaints->n - COMPLAINTS_MAX);
		complaints->complain(complaints->userdata, file, 0, sentence);
	}
	return complaints->n;
}

const char *complaints_quote(char buf[COMPLAINTS_QUOTE_SIZE], const char *text)
{
	char start[COMPLAINTS_QUOTE_SIZE - 5]; /* two quotes and three dots */

	utf8_clean(text, start, sizeof(start));
	snprintf(buf, COMPLAINTS_QUOTE_SIZE, "\"%s%s\"", start,
		 strlen(start) < strlen(text) ? "..." : "");
	return buf;
}
