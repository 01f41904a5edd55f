/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "screen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "utf8.h"

/* Nobody reads lines of more than this, however wide the window is. */
#define WIDTH_MAX 120
#define WIDTH_MIN 40

static size_t terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = { 0 };
	size_t width = columns ? strtoul(columns, NULL, 10) : 0;

	if (!width && ioctl(fd, TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	if (!width)
		width = 80;
	width = MIN(width, (size_t)WIDTH_MAX);
	return MAX(width, (size_t)WIDTH_MIN);
}

struct screen screen_open(FILE *out)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct screen s = { .out = out, .width = SIZE_MAX };

	s.terminal = isatty(fileno(out));
	if (!s.terminal)
		return s;
	s.width = terminal_width(fileno(out));
	s.colour = !(no_color && *no_color) && term &&
		   strcmp(term, "dumb") != 0;
	return s;
}

const char *screen_on(const struct screen *screen, enum screen_style style)
{
	static const char *const codes[SCREEN_STYLE_MAX_] = {
		[SCREEN_BOLD] = "\033[1m",   [SCREEN_DIM] = "\033[2m",
		[SCREEN_GREEN] = "\033[32m", [SCREEN_YELLOW] = "\033[33m",
		[SCREEN_RED] = "\033[1;31m",
	};

	return screen->colour ? codes[style] : "";
}

const char *screen_off(const struct screen *screen)
{
	return screen->colour ? "\033[0m" : "";
}

void screen_wrap(const struct screen *screen, size_t indent, const char *text)
{
	char clean[1024], *save, *word;
	size_t column = indent;

	utf8_clean(text, clean, sizeof(clean));
	for (word = strtok_r(clean, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		size_t len = utf8_length(word);

		if (column > indent && column + 1 + len > screen->width) {
			fprintf(screen->out, "\n%*s", (int)indent, "");
			column = indent;
		}
		if (column > indent) {
			fputc(' ', screen->out);
			column++;
		}
		fputs(word, screen->out);
		column += len;
	}
	fputc('\n', screen->out);
}

char *screen_bytes(uint64_t bytes, char buf[SCREEN_NUMBER])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buf, SCREEN_NUMBER, "%" PRIu64 " B", bytes);
		return buf;
	}
	/* 1023.95 would be rounded to four digits; go on to the next unit. */
	for (; value >= 999.5 && i + 1 < strlen(units); i++)
		value /= 1024;
	snprintf(buf, SCREEN_NUMBER, "%.*f %ciB",
		 value < 9.995	 ? 2
		 : value < 99.95 ? 1
				 : 0,
		 value, units[i]);
	return buf;
}

char *screen_usec(uint64_t usec, char buf[SCREEN_NUMBER])
{
	uint64_t sec = (usec + USEC_PER_SEC / 2) / USEC_PER_SEC;
	uint64_t min = (sec + 30) / 60;

	if (usec < USEC_PER_SEC)
		snprintf(buf, SCREEN_NUMBER, "%.0f ms",
			 (double)usec / USEC_PER_MSEC);
	else if (sec < 60)
		snprintf(buf, SCREEN_NUMBER, "%.1f s",
			 (double)usec / USEC_PER_SEC);
	else if (sec < 3600)
		snprintf(buf, SCREEN_NUMBER, "%" PRIu64 " min %" PRIu64 " s",
			 sec / 60, sec % 60);
	else
		snprintf(buf, SCREEN_NUMBER, "%" PRIu64 " h %" PRIu64 " min",
			 min / 60, min % 60);
	return buf;
}

char *screen_count(uint64_t count, char buf[SCREEN_NUMBER])
{
	char digits[SCREEN_NUMBER], *out = buf;
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, count);

	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return buf;
}
