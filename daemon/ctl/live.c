/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "live.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "utf8.h"

#define ROWS_MAX 512
/* How long the rest of a key's escape sequence may take on a slow line. */
#define ESCAPE_MSEC 100

/* Alternate screen, no cursor, no line breaks; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[0m\033[?1049l"

struct line {
	enum live_style style;
	char text[LIVE_LINE_SIZE];
};

struct live {
	size_t rows, columns;
	struct termios before;
	sigset_t mask; /* before */
	int signals;
	int stderr_before;
	int said; /* what was said on stderr meanwhile */
	struct line want[ROWS_MAX];
	struct line shown[ROWS_MAX];
	bool all; /* nothing is known to be shown */
};

static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP };

/* A terminal that takes nothing any more is noticed by live_wait(). */
static void send_all(const char *data, size_t n)
{
	while (n) {
		ssize_t sent = write(STDOUT_FILENO, data, n);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return;
		data += sent;
		n -= (size_t)sent;
	}
}

static void measure(struct live *live)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row ||
	    !size.ws_col)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	live->rows = MIN((size_t)size.ws_row, (size_t)ROWS_MAX);
	live->columns = size.ws_col;
	live->all = true;
	memset(live->want, 0, sizeof(live->want));
}

static void terminal_take(struct live *live)
{
	struct termios t = live->before;

	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
	send_all(ENTER, strlen(ENTER));
	measure(live);
}

static void terminal_give_back(struct live *live)
{
	send_all(LEAVE, strlen(LEAVE));
	tcsetattr(STDIN_FILENO, TCSADRAIN, &live->before);
}

/* From here on stderr is kept for later, if it is a terminal. */
static void stderr_keep(struct live *live)
{
	if (!isatty(STDERR_FILENO))
		return;
	live->said = memfd_create("said", MFD_CLOEXEC);
	live->stderr_before = dup(STDERR_FILENO);
	if (live->said >= 0 && live->stderr_before >= 0)
		dup2(live->said, STDERR_FILENO);
}

static void stderr_give_back(struct live *live)
{
	char text[4096];
	ssize_t n;

	if (live->said >= 0 && live->stderr_before >= 0) {
		dup2(live->stderr_before, STDERR_FILENO);
		n = pread(live->said, text, sizeof(text), 0);
		if (n > 0)
			n = write(STDERR_FILENO, text, (size_t)n);
		(void)n; /* nobody is left to be told */
	}
	close_fd(live->said);
	close_fd(live->stderr_before);
}

int live_open(struct live **ret)
{
	struct live *live;
	sigset_t set;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	live = calloc(1, sizeof(*live));
	if (!live)
		return -ENOMEM;
	live->said = live->stderr_before = -1;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		sigaddset(&set, handled[i]);
	live->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (live->signals < 0 || tcgetattr(STDIN_FILENO, &live->before) < 0) {
		int r = -errno;

		close_fd(live->signals);
		free(live);
		return r;
	}
	sigprocmask(SIG_BLOCK, &set, &live->mask);
	stderr_keep(live);
	terminal_take(live);
	*ret = live;
	return 0;
}

struct live *live_close(struct live *live)
{
	if (!live)
		return NULL;
	terminal_give_back(live);
	stderr_give_back(live);
	close_fd(live->signals);
	sigprocmask(SIG_SETMASK, &live->mask, NULL);
	free(live);
	return NULL;
}

size_t live_rows(const struct live *live)
{
	return live->rows;
}

size_t live_columns(const struct live *live)
{
	return live->columns;
}

/* Cut @text after so many characters. */
static void cut(char *text, size_t columns)
{
	size_t n = 0;

	for (char *p = text; *p; p++) {
		if (((unsigned char)*p & 0xc0) != 0x80 && n++ == columns) {
			*p = '\0';
			return;
		}
	}
}

void live_put(struct live *live, size_t row, enum live_style style,
	      const char *text)
{
	if (row >= live->rows)
		return;
	live->want[row].style = style;
	utf8_clean(text, live->want[row].text, LIVE_LINE_SIZE);
	cut(live->want[row].text, live->columns);
}

void live_show(struct live *live)
{
	static const char *const on[] = { "", "\033[1m", "\033[7m" };
	char out[LIVE_LINE_SIZE + 64];

	for (size_t i = 0; i < live->rows; i++) {
		const struct line *line = &live->want[i];

		if (!live->all && line->style == live->shown[i].style &&
		    !strcmp(line->text, live->shown[i].text))
			continue;
		snprintf(out, sizeof(out), "\033[%zuH%s%s%s\033[K", i + 1,
			 on[line->style], line->text,
			 line->style ? "\033[0m" : "");
		send_all(out, strlen(out));
		live->shown[i] = *line;
	}
	live->all = false;
}

/* Ctrl-Z: the shell gets its terminal, and we another one afterwards. */
static void stop(struct live *live)
{
	terminal_give_back(live);
	raise(SIGSTOP);
	terminal_take(live);
}

static enum live_event on_signal(struct live *live)
{
	struct signalfd_siginfo info;
	enum live_event event = LIVE_TIME;

	while (read(live->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP) {
			stop(live);
			event = LIVE_RESIZED;
		} else if (info.ssi_signo == SIGWINCH) {
			send_all("\033[2J", 4);
			measure(live);
			event = LIVE_RESIZED;
		} else {
			return LIVE_END;
		}
	}
	return event;
}

/* The next byte of an escape sequence, or 0 if none comes. */
static char next_byte(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	if (poll(&in, 1, ESCAPE_MSEC) <= 0 || read(STDIN_FILENO, &c, 1) != 1)
		return 0;
	return c;
}

/* What ESC has begun; sequences that mean nothing to us are eaten whole. */
static int escape_read(void)
{
	char c = next_byte(), first;

	if (c != '[' && c != 'O')
		return '\033';
	first = c = next_byte();
	while (c && (c < '@' || c > '~'))
		c = next_byte();
	switch (c) {
	case 'A':
		return LIVE_KEY_UP;
	case 'B':
		return LIVE_KEY_DOWN;
	case 'H':
		return LIVE_KEY_HOME;
	case '~':
		return first == '5'   ? LIVE_KEY_PAGE_UP
		       : first == '6' ? LIVE_KEY_PAGE_DOWN
		       : first == '1' ? LIVE_KEY_HOME
				      : '\033';
	default:
		return '\033';
	}
}

enum live_event live_wait(struct live *live, uint64_t usec, int *ret_key)
{
	struct pollfd fds[] = {
		{ .fd = live->signals, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	int n = poll(fds, ARRAY_SIZE(fds), (int)(usec / USEC_PER_MSEC));
	char c;

	if (n <= 0)
		return LIVE_TIME;
	if (fds[0].revents)
		return on_signal(live);
	if (read(STDIN_FILENO, &c, 1) != 1)
		return LIVE_END;
	*ret_key = c == '\033' ? escape_read() : (unsigned char)c;
	return LIVE_KEY;
}
