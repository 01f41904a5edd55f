/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in the top directory of the project, where etc/ksmd-plus.conf is. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"
#include "keys.h"

#define RAM    (8ULL << 30)
#define NOBODY 65534

/* Every complaint as "FILE:LINE: SENTENCE\n". */
struct complained {
	char text[65536];
	size_t len;
	unsigned int n;
};

static struct complained complained;

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	struct complained *c = userdata;

	c->len += (size_t)snprintf(c->text + c->len, sizeof(c->text) - c->len,
				   "%s:%u: %s\n", file, line, sentence);
	assert_true(c->len < sizeof(c->text));
	c->n++;
}

static struct config parse_len(const char *text, size_t len)
{
	struct config config;
	int r;

	memset(&complained, 0, sizeof(complained));
	r = config_parse("f", text, len, RAM, on_complaint, &complained,
			 &config);
	assert_int_equal(r, complained.n);
	return config;
}

static struct config parse(const char *text)
{
	return parse_len(text, strlen(text));
}

static void expect_complaint(unsigned int line, const char *part)
{
	char start[32], *at = complained.text;

	snprintf(start, sizeof(start), "f:%u: ", line);
	while (*at) {
		char *end = strchr(at, '\n');

		*end = '\0';
		if (strncmp(at, start, strlen(start)) == 0 && strstr(at, part))
			part = NULL;
		*end = '\n';
		if (!part)
			return;
		at = end + 1;
	}
	fail_msg("nothing about \"%s\" in line %u:\n%s", part, line,
		 complained.text);
}

static void expect_none(void)
{
	assert_string_equal(complained.text, "");
}

static void expect_defaults(const struct config *c)
{
	assert_int_equal(c->engine, ENGINE_AUTO);
	assert_int_equal(c->threads, 0);
	assert_int_equal(c->cpu_limit_permyriad, 1000);
	assert_int_equal(c->memory_limit, RAM / 100);
	assert_int_equal(c->ksmd_cpu_limit_permyriad, 7000);
	assert_int_equal(c->target_scan_time_usec, 200000000);
	assert_int_equal(c->max_ranges, 1024);
	assert_true(c->zero_pages);
	assert_int_equal(c->on_exit, ON_EXIT_WITHDRAW);
	assert_true(c->hints_enabled);
	assert_int_equal(c->hints_buffer, 4096);
	assert_int_equal(c->hints_hook, HINTS_AUTO);
	assert_int_equal(c->numa_policy, NUMA_FAIR);
	assert_int_equal(c->numa_rest_usec, 10000000);
}

static void test_defaults(void **state)
{
	struct config config = parse("");

	(void)state;
	expect_none();
	expect_defaults(&config);
	assert_int_equal(config.rules.n_targets, 0);
	config_clear(&config);
}

static void test_little_ram(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(config_parse("f", "", 0, 64 << 20, on_complaint,
				      &complained, &config),
			 0);
	assert_int_equal(config.memory_limit, 1 << 20);
	config_clear(&config);
}

static void test_all_keys(void **state)
{
	struct config c = parse("[scan]\n"
				"engine = dsa\n"
				"threads = 3\n"
				"cpu_limit = 0.5%\n"
				"memory_limit = 256M\n"
				"[merge]\n"
				"ksmd_cpu_limit = 33.5%\n"
				"target_scan_time = 5min\n"
				"max_ranges = 17\n"
				"zero_pages = off\n"
				"on_exit = keep\n"
				"[hints]\n"
				"enabled = no\n"
				"buffer = 500\n"
				"hook = tracepoint\n"
				"[numa]\n"
				"policy = priority\n"
				"rest = 2min\n");

	(void)state;
	expect_none();
	assert_int_equal(c.engine, ENGINE_DSA);
	assert_int_equal(c.threads, 3);
	assert_int_equal(c.cpu_limit_permyriad, 50);
	assert_int_equal(c.memory_limit, 256 << 20);
	assert_int_equal(c.ksmd_cpu_limit_permyriad, 3350);
	assert_int_equal(c.target_scan_time_usec, 300000000);
	assert_int_equal(c.max_ranges, 17);
	assert_false(c.zero_pages);
	assert_int_equal(c.on_exit, ON_EXIT_KEEP);
	assert_false(c.hints_enabled);
	assert_int_equal(c.hints_buffer, 500);
	assert_int_equal(c.hints_hook, HINTS_TRACEPOINT);
	assert_int_equal(c.numa_policy, NUMA_OFF - 1);
	assert_int_equal(c.numa_rest_usec, 120000000);
	config_clear(&c);
}

/* Each key with values that are none: the default stays, and that is said. */
static void test_bad_values(void **state)
{
	static const char *const bad[] = { "", "bogus", "-1", "10%%", "9999d" };
	char text[128], part[64];

	(void)state;
	for (size_t k = 0; k < KEYS_N; k++) {
		const struct key *key = &keys[k];

		for (size_t i = 0; key->value && i < ARRAY_SIZE(bad); i++) {
			struct config config;

			snprintf(text, sizeof(text), "\n[%s]\n%s = %s\n",
				 key->section, key->name, bad[i]);
			config = parse(text);
			assert_int_equal(complained.n, 1);
			snprintf(part, sizeof(part), "%s: expected %s",
				 key->name, key->what);
			expect_complaint(3, part);
			snprintf(part, sizeof(part),
				 "the default, %s, stays in force", key->value);
			expect_complaint(3, part);
			expect_defaults(&config);
			config_clear(&config);
		}
	}
}

/* The bounds themselves are allowed, what is just beyond is not. */
static void test_bounds(void **state)
{
	static const struct {
		const char *section, *line;
		bool good;
	} cases[] = {
		{ "scan", "threads = 1", true },
		{ "scan", "threads = 256", true },
		{ "scan", "threads = 0", false },
		{ "scan", "threads = 257", false },
		{ "scan", "threads = 4294967297", false },
		{ "scan", "cpu_limit = 0.1%", true },
		{ "scan", "cpu_limit = 0.09%", false },
		{ "scan", "cpu_limit = 6400%", true },
		{ "scan", "cpu_limit = 6400.01%", false },
		{ "scan", "memory_limit = 1M", true },
		{ "scan", "memory_limit = 1048575", false },
		{ "scan", "memory_limit = 50%", true },
		{ "scan", "memory_limit = 4G", true },
		{ "scan", "memory_limit = 50.01%", false },
		{ "scan", "memory_limit = 99999999T", false },
		{ "merge", "ksmd_cpu_limit = 1%", true },
		{ "merge", "ksmd_cpu_limit = 100%", true },
		{ "merge", "ksmd_cpu_limit = 101%", false },
		{ "merge", "target_scan_time = 1s", true },
		{ "merge", "target_scan_time = 999ms", false },
		{ "merge", "target_scan_time = 1d", true },
		{ "merge", "target_scan_time = 25h", false },
		{ "numa", "rest = 1s", true },
		{ "numa", "rest = 0", false },
		{ "numa", "rest = 25h", false },
		{ "merge", "max_ranges = 1", true },
		{ "merge", "max_ranges = 0", false },
		{ "merge", "max_ranges = 1000000", true },
		{ "merge", "max_ranges = 1000001", false },
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;

		snprintf(text, sizeof(text), "[%s]\n%s\n", cases[i].section,
			 cases[i].line);
		config = parse(text);
		if (cases[i].good != (complained.n == 0))
			fail_msg("%s: %s", cases[i].line, complained.text);
		config_clear(&config);
	}
}

static void test_unknown(void **state)
{
	struct config config = parse("early = 1\n"
				     "earlier = 1\n"
				     "[scan]\n"
				     "cpu_limitt = 10%\n"
				     "zero_pages = no\n"
				     "[scann]\n"
				     "cpu_limit = 20%\n"
				     "bogus\n"
				     "[targets a]\n"
				     "user = root\n"
				     "[Scan]\n");

	(void)state;
	expect_complaint(1, "before the first section");
	expect_complaint(4, "unknown key \"cpu_limitt\" in [scan], expected "
			    "one of engine, threads, cpu_limit, memory_limit");
	expect_complaint(5, "unknown key \"zero_pages\" in [scan]");
	expect_complaint(6, "unknown section \"scann\"");
	expect_complaint(8, "KEY = VALUE");
	expect_complaint(9, "unknown section \"targets a\"");
	expect_complaint(11, "unknown section \"Scan\"");
	assert_int_equal(complained.n, 7);
	expect_defaults(&config);
	config_clear(&config);
}

static void test_given_twice(void **state)
{
	struct config config = parse("[scan]\n"
				     "threads = 2\n"
				     "[merge]\n"
				     "[scan]\n"
				     "threads = 3\n"
				     "threads = many\n");

	(void)state;
	expect_complaint(5, "threads stands in line 2 already");
	expect_complaint(6, "that of f:5 stays in force");
	assert_int_equal(complained.n, 2);
	assert_int_equal(config.threads, 3);
	config_clear(&config);
}

/*
 * A header that is not understood must not leave its lines to the one above;
 * and it may have been a condition of that.
 */
static void test_broken_header(void **state)
{
	struct config config = parse("[target a]\n"
				     "comm = a\n"
				     "[target b\n"
				     "comm = b\n"
				     "[target c]\n"
				     "comm = c\n"
				     "[scan]\n"
				     "[scan] threads = 3\n"
				     "threads = 3\n");

	(void)state;
	expect_complaint(3, "no closing \"]\"");
	expect_complaint(1, "target \"a\" is ignored until line 3");
	expect_complaint(8, "text after the \"]\"");
	assert_int_equal(complained.n, 3);
	assert_int_equal(config.threads, 0);
	assert_int_equal(config.rules.n_targets, 1);
	assert_string_equal(config.rules.targets[0].name, "c");
	assert_int_equal(config.rules.targets[0].keys[RULE_COMM].n, 1);
	config_clear(&config);
}

static void test_target(void **state)
{
	struct config config = parse("[target web]\n"
				     "unit = web-*.service ; the old ones\n"
				     "unit = api-*.service\n"
				     "cgroup = /system.slice\n"
				     "exe = /usr/bin/python3*\n"
				     "comm = gunicorn\n"
				     "user = www-data\n"
				     "mode = whole\n"
				     "domain = shop\n"
				     "[target two]\n"
				     "user = 1000\n");
	const struct rule_target *t = config.rules.targets;

	(void)state;
	expect_none();
	assert_int_equal(config.rules.n_targets, 2);
	assert_string_equal(t->name, "web");
	assert_int_equal(t->mode, MODE_WHOLE);
	assert_string_equal(t->domain, "shop");
	assert_int_equal(t->line, 1);
	assert_string_equal(t->file, "f");
	assert_int_equal(t->keys[RULE_UNIT].n, 2);
	assert_string_equal(t->keys[RULE_UNIT].v[0], "web-*.service");
	assert_string_equal(t->keys[RULE_UNIT].v[1], "api-*.service");
	assert_string_equal(t->keys[RULE_CGROUP].v[0], "/system.slice");
	assert_string_equal(t->keys[RULE_EXE].v[0], "/usr/bin/python3*");
	assert_string_equal(t->keys[RULE_COMM].v[0], "gunicorn");
	assert_string_equal(t->keys[RULE_USER].v[0], "www-data");
	assert_string_equal(t[1].name, "two");
	assert_int_equal(t[1].mode, MODE_SELECTIVE);
	assert_string_equal(t[1].domain, "");
	assert_int_equal(t[1].line, 10);
	config_clear(&config);
}

/* One fault of each kind: half a target is not in force. */
static void test_target_faults(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ "usr = bob", "unknown key \"usr\" in [target]" },
		{ "user", "KEY = VALUE" },
		{ "user =", "user: \"\" is empty" },
		{ "user = \x01", "control character" },
		{ "user = \xff", "not valid UTF-8" },
		{ "exe = python3", "does not begin with \"/\"" },
		{ "cgroup = system.slice", "does not begin with \"/\"" },
		{ "exe = \"/bin/sh\"", "begins with a quote" },
		{ "comm = sixteen-letters-", "15 bytes" },
		{ "unit = nginx", "no suffix" },
		{ "domain =", "domain is missing" },
		{ "domain = a b", "holds a blank" },
		{ "domain = a\ndomain = b", "domain stands in line 4" },
		{ "engine = cpu", "unknown key \"engine\" in [target]" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int line = strchr(cases[i].line, '\n') ? 5 : 4;
		struct config config;

		snprintf(text, sizeof(text),
			 "[target a]\nuser = root\nmode = whole\n%s\n",
			 cases[i].line);
		config = parse(text);
		expect_complaint(line, cases[i].part);
		expect_complaint(1, "target \"a\" is ignored until line");
		assert_int_equal(complained.n, 2);
		assert_int_equal(config.rules.n_targets, 0);
		config_clear(&config);

		/* but an exclusion keeps what it can */
		snprintf(text, sizeof(text),
			 "[target a]\nuser = root\nmode = exclude\n%s\n",
			 cases[i].line);
		config = parse(text);
		expect_complaint(line, cases[i].part);
		expect_complaint(1, "excludes what its other lines name until");
		assert_int_equal(config.rules.n_targets, 1);
		assert_int_equal(config.rules.targets[0].mode, MODE_EXCLUDE);
		config_clear(&config);
	}
}

static void test_target_modes(void **state)
{
	static const struct {
		const char *lines;
		enum mode mode;
		unsigned int complaints;
	} cases[] = {
		{ "", MODE_SELECTIVE, 0 },
		{ "mode = selective\n", MODE_SELECTIVE, 0 },
		{ "mode = whole\n", MODE_WHOLE, 0 },
		{ "mode = managed\n", MODE_MANAGED, 0 },
		{ "mode = observe\n", MODE_OBSERVE, 0 },
		{ "mode = exclude\n", MODE_EXCLUDE, 0 },
		/* it may have meant to exclude */
		{ "mode = exclud\n", MODE_EXCLUDE, 2 },
		{ "mode =\n", MODE_EXCLUDE, 2 },
		{ "mode = whole\nmode = exclude\n", MODE_EXCLUDE, 2 },
		{ "mode = exclude\nmode = whole\n", MODE_EXCLUDE, 2 },
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;

		snprintf(text, sizeof(text), "[target a]\nuser = x\n%s",
			 cases[i].lines);
		config = parse(text);
		assert_int_equal(complained.n, cases[i].complaints);
		assert_int_equal(config.rules.n_targets, 1);
		assert_int_equal(config.rules.targets[0].mode, cases[i].mode);
		config_clear(&config);
	}
}

static void test_target_without_conditions(void **state)
{
	struct config config = parse("[target all]\n"
				     "mode = whole\n"
				     "[target gone]\n"
				     "mode = exclude\n"
				     "[target hurt]\n"
				     "usr = bob\n");

	(void)state;
	expect_complaint(1, "\"all\" has no condition and would match every");
	expect_complaint(3, "\"gone\" has no condition");
	expect_complaint(6, "unknown key \"usr\"");
	expect_complaint(5, "\"hurt\" is ignored until line 6");
	assert_int_equal(complained.n, 4);
	assert_int_equal(config.rules.n_targets, 0);
	config_clear(&config);
}

static void test_target_names(void **state)
{
	char longest[65], text[512];
	struct config config;

	(void)state;
	memset(longest, 'n', 64);
	longest[64] = '\0';
	snprintf(text, sizeof(text),
		 "[target]\nuser = a\n"
		 "[target two words]\nuser = b\nmode = exclude\n"
		 "[target %s]\nuser = c\n"
		 "[target %sn]\nuser = d\n"
		 "[target\t  ok  ]\nuser = e\n",
		 longest, longest);
	config = parse(text);
	expect_complaint(1, "is missing");
	expect_complaint(3, "holds a blank");
	expect_complaint(3, "excludes what its other lines name");
	expect_complaint(8, "longer than 64 bytes");
	assert_int_equal(config.rules.n_targets, 3);
	assert_int_equal(config.rules.targets[0].mode, MODE_EXCLUDE);
	assert_string_equal(config.rules.targets[1].name, longest);
	assert_string_equal(config.rules.targets[2].name, "ok");
	config_clear(&config);
}

static void test_target_twice_in_a_file(void **state)
{
	struct config config = parse("[target a]\n"
				     "user = x\n"
				     "[target b]\n"
				     "user = y\n"
				     "[target a]\n"
				     "user = z\n"
				     "[target b]\n"
				     "user = w\n"
				     "mode = exclude\n");
	const struct rule_target *t = config.rules.targets;

	(void)state;
	expect_complaint(5, "target \"a\" stands in line 1 already");
	expect_complaint(5, "target \"a\" is ignored until line 5");
	expect_complaint(7, "target \"b\" stands in line 3 already");
	expect_complaint(7, "target \"b\" excludes what");
	/* the first ones stay whole, and both b hold */
	assert_int_equal(config.rules.n_targets, 3);
	assert_string_equal(t[0].keys[RULE_USER].v[0], "x");
	assert_int_equal(t[0].keys[RULE_USER].n, 1);
	assert_string_equal(t[1].keys[RULE_USER].v[0], "y");
	assert_string_equal(t[2].keys[RULE_USER].v[0], "w");
	config_clear(&config);
}

static void test_many_targets(void **state)
{
	_cleanup_free_ char *text = malloc(1 << 20);
	struct config config;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < 10000; i++)
		len += (size_t)sprintf(
			text + len,
			"[target t%d]\nunit = u%d.service\nunit = v*\n", i, i);
	config = parse_len(text, len);
	expect_none();
	assert_int_equal(config.rules.n_targets, 10000);
	assert_string_equal(config.rules.targets[9999].name, "t9999");
	assert_int_equal(config.rules.targets[9999].line, 29998);
	config_clear(&config);
}

static void test_garbage(void **state)
{
	static char garbage[100000];
	struct config config;

	(void)state;
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = i % 3 == 2 ? '\n' : (char)(i * 7 % 256);
	memset(&complained, 0, sizeof(complained));
	/* a person reads a hundred of them, and how many more there are */
	assert_true(config_parse("f", garbage, sizeof(garbage), RAM,
				 on_complaint, &complained, &config) > 1000);
	assert_int_equal(complained.n, 101);
	expect_complaint(0, "more faults are not shown");
	expect_defaults(&config);
	config_clear(&config);
}

static void test_quoting(void **state)
{
	struct config config = parse(
		"[scan]\n"
		"engine = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaa\xc3\xbc\xc3\xbc\n");

	(void)state;
	expect_complaint(2, "aaa...\"; the default");
	config_clear(&config);
}

/* What ships is the table: every key, at its default, with its section. */
static void test_shipped_file(void **state)
{
	_cleanup_free_ char *text = NULL;
	char *in, *out, line_of[64];
	struct config config;
	size_t len;

	(void)state;
	assert_int_equal(
		file_read_all(AT_FDCWD, "etc/ksmd-plus.conf", &text, &len), 0);
	config = parse_len(text, len);
	expect_none();
	expect_defaults(&config);
	assert_int_equal(config.rules.n_targets, 0);
	config_clear(&config);

	for (in = out = text; *in; in++)
		if (*in != ';' || (in != text && in[-1] != '\n'))
			*out++ = *in;
	*out = '\0';
	config = parse(text);
	expect_none();
	expect_defaults(&config);
	assert_int_equal(config.rules.n_targets, 1);
	config_clear(&config);

	for (size_t i = 0; i < KEYS_N; i++) {
		if (!keys[i].value)
			continue;
		snprintf(line_of, sizeof(line_of), "\n%s = %s\n", keys[i].name,
			 keys[i].value);
		if (!strstr(text, line_of))
			fail_msg("%s is missing", keys[i].name);
	}
}

/* --- files ---------------------------------------------------------------- */

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(in_dir(name), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/ksmd-plus-config-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static int load(bool must_exist, struct config *ret)
{
	char path[256];

	strcpy(path, in_dir("c"));
	memset(&complained, 0, sizeof(complained));
	return config_load(path, must_exist, RAM, on_complaint, &complained,
			   ret);
}

static void test_missing_file(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(load(false, &config), 0);
	expect_none();
	expect_defaults(&config);
	config_clear(&config);

	config.threads = 77;
	assert_int_equal(load(true, &config), -ENOENT);
	assert_non_null(strstr(complained.text, "c:0: cannot be read: No such "
						"file"));
	assert_int_equal(config.threads, 77);
}

static void test_dropins(void **state)
{
	struct config config;
	const struct rule_target *t;

	(void)state;
	write_file("c", "[scan]\nthreads = 1\ncpu_limit = 1%\n"
			"[target a]\nuser = a\nexe = /a\nmode = whole\n"
			"[target b]\nuser = b\n");
	assert_int_equal(mkdir(in_dir("c.d"), 0755), 0);
	write_file("c.d/10-x.conf", "[scan]\nthreads = 2\n");
	write_file("c.d/9-y.conf", "[scan]\nthreads = 3\ncpu_limit = x\n"
				   "[target a]\nunit = a*\n[target c]\n"
				   "user = c\n");
	write_file("c.d/.hidden.conf", "[merge]\nmax_ranges = 4\n");
	write_file("c.d/z.conf~", "[scan]\nthreads = 5\n");
	write_file("c.d/.conf", "[merge]\nmax_ranges = 6\n");
	assert_int_equal(symlink("/dev/null", in_dir("c.d/a.conf")), 0);

	assert_int_equal(load(true, &config), 1);
	assert_non_null(strstr(complained.text, "9-y.conf:3: cpu_limit: "));
	assert_non_null(strstr(complained.text, "/c:3 stays in force"));
	assert_int_equal(config.threads, 3);
	assert_int_equal(config.max_ranges, 1024);
	assert_int_equal(config.cpu_limit_permyriad, 100);
	/* the later section replaces the earlier one, in its place */
	t = config.rules.targets;
	assert_int_equal(config.rules.n_targets, 3);
	assert_string_equal(t[0].name, "a");
	assert_int_equal(t[0].mode, MODE_SELECTIVE);
	assert_int_equal(t[0].keys[RULE_USER].n, 0);
	assert_int_equal(t[0].keys[RULE_EXE].n, 0);
	assert_string_equal(t[0].keys[RULE_UNIT].v[0], "a*");
	assert_int_equal(t[0].line, 4);
	assert_non_null(strstr(t[0].file, "c.d/9-y.conf"));
	assert_string_equal(t[1].name, "b");
	assert_string_equal(t[2].name, "c");
	config_clear(&config);

	/* drop-ins count without the file as well */
	assert_int_equal(unlink(in_dir("c")), 0);
	assert_int_equal(load(false, &config), 1);
	assert_int_equal(config.threads, 3);
	config_clear(&config);
}

static void test_broken_replacement(void **state)
{
	struct config config;

	(void)state;
	write_file("c", "[target a]\nuser = a\nmode = whole\n");
	assert_int_equal(mkdir(in_dir("c.d"), 0755), 0);
	write_file("c.d/a.conf", "[target a]\nuser = a\nusr = b\n");
	assert_int_equal(load(true, &config), 2);
	/* the old one named more than the new one may have */
	assert_int_equal(config.rules.n_targets, 0);
	config_clear(&config);
}

static void test_not_a_file(void **state)
{
	struct config config = { .threads = 77 };

	(void)state;
	assert_int_equal(mkdir(in_dir("c"), 0755), 0);
	assert_int_equal(load(false, &config), -EISDIR);
	assert_non_null(strstr(complained.text, "c:0: cannot be read: Is a "
						"directory"));
	assert_int_equal(rmdir(in_dir("c")), 0);

	assert_int_equal(mkfifo(in_dir("c"), 0644), 0);
	assert_int_equal(load(false, &config), -EINVAL);
	assert_non_null(strstr(complained.text, "Not a regular file"));
	assert_int_equal(unlink(in_dir("c")), 0);

	assert_int_equal(symlink("c", in_dir("c")), 0);
	assert_int_equal(load(false, &config), -ELOOP);
	assert_int_equal(unlink(in_dir("c")), 0);

	/* a drop-in as well, and a directory that is none */
	assert_int_equal(mkdir(in_dir("c.d"), 0755), 0);
	assert_int_equal(mkdir(in_dir("c.d/x.conf"), 0755), 0);
	assert_int_equal(load(false, &config), -EISDIR);
	assert_int_equal(rmdir(in_dir("c.d/x.conf")), 0);
	assert_int_equal(rmdir(in_dir("c.d")), 0);
	write_file("c.d", "");
	assert_int_equal(load(false, &config), -ENOTDIR);
	assert_int_equal(complained.n, 1);
	assert_int_equal(config.threads, 77);
}

static void test_unreadable(void **state)
{
	struct config config = { .threads = 77 };
	bool root = geteuid() == 0;

	(void)state;
	write_file("c", "[scan]\n");
	assert_int_equal(chmod(in_dir("c"), 0), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	/* root reads everything */
	assert_int_equal(root ? seteuid(NOBODY) : 0, 0);
	assert_int_equal(load(false, &config), -EACCES);
	assert_int_equal(root ? seteuid(0) : 0, 0);
	assert_non_null(strstr(complained.text, "c:0: cannot be read: "
						"Permission denied"));
	assert_int_equal(config.threads, 77);
}

/* A file of sysfs says that it has a page, and has a line. */
static void test_cut_off(void **state)
{
	struct config config = { .threads = 77 };

	(void)state;
	assert_int_equal(symlink("/sys/kernel/uevent_seqnum", in_dir("c")), 0);
	if (access(in_dir("c"), R_OK) < 0)
		skip();
	assert_int_equal(load(true, &config), -EBUSY);
	assert_non_null(strstr(complained.text, "c:0: cannot be read: "
						"Something is missing"));
	assert_int_equal(complained.n, 1);
	assert_int_equal(config.threads, 77);
}

#define file_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_little_ram),
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_given_twice),
		cmocka_unit_test(test_broken_header),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_target_faults),
		cmocka_unit_test(test_target_modes),
		cmocka_unit_test(test_target_without_conditions),
		cmocka_unit_test(test_target_names),
		cmocka_unit_test(test_target_twice_in_a_file),
		cmocka_unit_test(test_many_targets),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_shipped_file),
		file_test(test_missing_file),
		file_test(test_dropins),
		file_test(test_broken_replacement),
		file_test(test_not_a_file),
		file_test(test_unreadable),
		file_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
