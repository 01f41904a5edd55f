/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever stands in a file becomes one line of a transcript. */
#include "inifile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transcript {
	char text[65536];
	size_t len;
	int stop_at; /* calls until -ECANCELED is returned; 0: never */
};

__attribute__((format(printf, 2, 3))) static int add(struct transcript *t,
						     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->text + t->len, sizeof(t->text) - t->len,
				    fmt, ap);
	va_end(ap);
	assert_true(t->len < sizeof(t->text));
	return t->stop_at && --t->stop_at == 0 ? -ECANCELED : 0;
}

static int on_section(void *userdata, unsigned int line, const char *name)
{
	return add(userdata, "%u[%s]\n", line, name ? name : "-");
}

static int on_entry(void *userdata, unsigned int line, const char *key,
		    const char *value)
{
	return add(userdata, "%u{%s}{%s}\n", line, key, value);
}

static int on_broken(void *userdata, unsigned int line, const char *sentence)
{
	(void)sentence;
	return add(userdata, "%u!\n", line);
}

static const struct inifile_ops ops = { on_section, on_entry, on_broken };

static void expect_len(const char *text, size_t len, const char *wanted)
{
	struct transcript t = { .len = 0 };
	/* at the end of an allocation, where reading on is noticed */
	char *copy = malloc(len + !len);

	assert_non_null(copy);
	memcpy(copy, text, len);
	assert_int_equal(inifile_parse(copy, len, &ops, &t), 0);
	free(copy);
	assert_string_equal(t.text, wanted);
}

static void expect(const char *text, const char *wanted)
{
	expect_len(text, strlen(text), wanted);
}

static void test_ordinary(void **state)
{
	(void)state;
	expect("", "");
	expect("\n\n\n", "");
	expect("[a]\nx = 1\n\n[b c]\ny=2", "1[a]\n2{x}{1}\n4[b c]\n5{y}{2}\n");
	expect("x: 1\n", "1{x}{1}\n");
	expect("x = a = b\n", "1{x}{a = b}\n");
	expect("x =\n", "1{x}{}\n");
	expect("[  a b  ]\n[]\n", "1[a b]\n2[]\n");
	expect("x = \"a\"\n", "1{x}{\"a\"}\n");
}

static void test_comments(void **state)
{
	(void)state;
	expect("; a\n# b\n  ; c\nx = 1\n", "4{x}{1}\n");
	expect("x = 1 ; a\ny = 2 # b\nz = 3;c#d\n",
	       "1{x}{1}\n2{y}{2}\n3{z}{3;c#d}\n");
	expect("[a] ; b\n[c]# d\n", "1[a]\n2[c]\n");
	/* in a comment anything goes */
	expect_len("; \0\xff\x1b\nx = 1\n", 12, "2{x}{1}\n");
}

static void test_blanks(void **state)
{
	(void)state;
	/* what is indented continues nothing */
	expect("x = 1\n  y = 2\n\tz = 3\n", "1{x}{1}\n2{y}{2}\n3{z}{3}\n");
	expect("\tx\t=\ta\tb\t\r\n [a] \r\n", "1{x}{a b}\n2[a]\n");
	expect("\xef\xbb\xbf[a]\nx = 1", "1[a]\n2{x}{1}\n");
	expect("\xef\xbb", "1!\n");
	expect("\r\n\r\nx = 1\r\n", "3{x}{1}\n");
}

static void test_broken(void **state)
{
	(void)state;
	expect("x\n= 1\ny = 2\n", "1!\n2!\n3{y}{2}\n");
	expect("[a\nx = 1\n", "1!\n1[-]\n2{x}{1}\n");
	expect("[a] b\n[a]]\n", "1!\n1[-]\n2!\n2[-]\n");
	expect_len("x = \0a\n[b\0]\ny = 1\n", 18, "1!\n2!\n2[-]\n3{y}{1}\n");
	expect("x = \x1b[2J\ny = a\rb\n", "1!\n2!\n");
	/* a byte too few, an overlong slash, a surrogate, C1's CSI */
	expect("x = \xc3\nx = \xc0\xaf\nx = \xed\xa0\x80\nx = \xc2\x9b\n",
	       "1!\n2!\n3!\n4!\n");
	expect("x = gr\xc3\xbc\xc3\x9f"
	       "e\n",
	       "1{x}{gr\xc3\xbc\xc3\x9f"
	       "e}\n");
}

/* A line of @len bytes "x=yyy", then one more. */
static void check_length(size_t len, bool fits)
{
	char *text = malloc(len + 8);
	struct transcript *t = calloc(1, sizeof(*t));
	char *wanted = malloc(len + 32);

	assert_true(text && t && wanted);
	memset(text, 'y', len);
	memcpy(text, "x=", 2);
	memcpy(text + len, "\nz=1\n", 6);
	assert_int_equal(inifile_parse(text, len + 5, &ops, t), 0);
	if (fits)
		sprintf(wanted, "1{x}{%.*s}\n2{z}{1}\n", (int)len - 2,
			text + 2);
	else
		strcpy(wanted, "1!\n2{z}{1}\n");
	assert_string_equal(t->text, wanted);
	free(wanted);
	free(t);
	free(text);
}

static void test_long_lines(void **state)
{
	(void)state;
	check_length(250, true); /* inih's own limit is 200 */
	check_length(INIFILE_LINE_MAX - 1, true);
	check_length(INIFILE_LINE_MAX, true);
	check_length(INIFILE_LINE_MAX + 1, false);
	check_length(INIFILE_LINE_MAX + 2, false);
	check_length(60000, false);
}

static void test_long_section(void **state)
{
	char name[301], text[400], wanted[400];

	(void)state;
	memset(name, 'n', 300); /* inih cuts at 49 */
	name[300] = '\0';
	sprintf(text, "[%s]\nx = 1\n", name);
	sprintf(wanted, "1[%s]\n2{x}{1}\n", name);
	expect(text, wanted);
}

static void test_stop(void **state)
{
	const char *text = "[a]\nx\ny = 1\nz = 2\n";
	static const char *const wanted[] = {
		"1[a]\n",
		"1[a]\n2!\n",
		"1[a]\n2!\n3{y}{1}\n",
		"1[a]\n2!\n3{y}{1}\n4{z}{2}\n",
	};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct transcript t = { .stop_at = i + 1 };

		assert_int_equal(inifile_parse(text, strlen(text), &ops, &t),
				 -ECANCELED);
		assert_string_equal(t.text, wanted[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_section),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
