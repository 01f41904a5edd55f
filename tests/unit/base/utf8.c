/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cleanup.h"

static void cleans(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ NULL, "" },
		{ "Käse 日本 \360\237\220\247", "Käse 日本 \360\237\220\247" },
		{ "a\tb\nc\x1b[31md\x7f", "a?b?c?[31md?" },
		{ "\302\205", "?" }, /* U+0085, a C1 control */
		{ "a\u202eb\u200b\ufeff\u2028", "a?b???" }, /* unseen */
		{ "\u00ad\u061c\ufff9\U000e0041\U0001d173", "?????" },
		{ "\u2010\u2030\u205f", "\u2010\u2030\u205f" },
		{ "\xff\xfe", "??" }, /* never in UTF-8 */
		{ "\x80", "?" }, /* continuation alone */
		{ "a\xc3", "a?" }, /* cut off at the end */
		{ "\xe2\x82", "??" }, /* cut off */
		{ "\xc3z", "?z" }, /* not continued */
		{ "\xc0\xaf", "??" }, /* overlong */
		{ "\xe0\x80\xaf", "???" }, /* overlong */
		{ "\xf0\x80\x80\xaf", "????" }, /* overlong */
		{ "\xed\xa0\x80", "???" }, /* surrogate */
		{ "\xef\xbf\xbf", "???" }, /* noncharacter */
		{ "\xef\xb7\x90", "???" }, /* noncharacter */
		{ "\xf4\x90\x80\x80", "????" }, /* beyond U+10FFFF */
		{ "\xf8\x88\x80\x80\x80", "?????" }, /* five bytes */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[64];

		assert_ptr_equal(utf8_clean(cases[i].text, buf, sizeof(buf)),
				 buf);
		assert_string_equal(buf, cases[i].want);
	}
}

static void cuts_between_characters(void **state)
{
	static const char *const want[] = { NULL, "",	"a",  "a",
					    "aä", "aä", "aä", "aä€" };
	char buf[8];

	(void)state;
	for (size_t size = 1; size < ARRAY_SIZE(want); size++)
		assert_string_equal(utf8_clean("aä€", buf, size), want[size]);
}

static void counts_characters(void **state)
{
	(void)state;
	assert_int_equal(utf8_length(""), 0);
	assert_int_equal(utf8_length("abc"), 3);
	assert_int_equal(utf8_length("aä€"), 3);
	assert_int_equal(utf8_length("\xff\xc3"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cleans),
		cmocka_unit_test(cuts_between_characters),
		cmocka_unit_test(counts_characters),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
