/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unitfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"

#define UNITS "usr/lib/systemd/system"

static struct {
	char dir[64];
	int root;
} image;

static void folder(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "mkdir -p '%s/%s'", image.dir, path);
	assert_int_equal(system(part), 0);
}

static void file(const char *path, const char *text)
{
	int fd = openat(image.root, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(image.dir, "/tmp/ksmd-plus-unit.XXXXXX");
	assert_non_null(mkdtemp(image.dir));
	image.root = open(image.dir, O_PATH | O_DIRECTORY);
	folder(UNITS);
	folder("etc/systemd/system");
	folder("usr/lib/systemd/user");
	file(UNITS "/web.service", "[Service]\n");
	file(UNITS "/web@.service", "[Service]\n");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", image.dir);
	close(image.root);
	return system(command);
}

static void link_to(const char *target, const char *path)
{
	assert_int_equal(symlinkat(target, image.root, path), 0);
}

static const char *found(const char *name, int expected)
{
	static char id[UNIT_NAME_MAX];

	strcpy(id, "none");
	assert_int_equal(unitfile_find(image.root, false, name, id), expected);
	return id;
}

static void units_and_aliases_are_found(void **state)
{
	char id[UNIT_NAME_MAX];

	(void)state;
	assert_string_equal(found("web.service", 0), "web.service");
	assert_string_equal(found("web@.service", 0), "web@.service");
	assert_string_equal(found("web@1.service", 0), "web@1.service");
	found("nothing.service", UNITFILE_ABSENT);
	found("nothing@1.service", UNITFILE_ABSENT);
	link_to("/usr/lib/systemd/system/web.service",
		"etc/systemd/system/www.service");
	link_to("www.service", "etc/systemd/system/http.service");
	assert_string_equal(found("www.service", 0), "web.service");
	assert_string_equal(found("http.service", 0), "web.service");
	link_to("web@.service", UNITS "/www@.service");
	assert_string_equal(found("www@7.service", 0), "web@7.service");
	/* linked under its own name: no alias */
	link_to("/opt/x/own.service", "etc/systemd/system/own.service");
	assert_string_equal(found("own.service", 0), "own.service");
	assert_int_equal(unitfile_find(image.root, true, "web.service", id),
			 UNITFILE_ABSENT);
	file("usr/lib/systemd/user/web.service", "[Service]\n");
	assert_int_equal(unitfile_find(image.root, true, "web.service", id), 0);
}

static void masks_and_circles_are_seen(void **state)
{
	(void)state;
	link_to("/dev/null", "etc/systemd/system/web.service");
	found("web.service", UNITFILE_MASKED);
	file("etc/systemd/system/empty.service", "");
	found("empty.service", UNITFILE_MASKED);
	link_to("b.service", UNITS "/a.service");
	link_to("a.service", UNITS "/b.service");
	found("a.service", -ELOOP);
}

static void a_dropin_is_written_and_removed(void **state)
{
	struct unit_name unit;
	char path[PATH_MAX], text[512];
	struct stat st;

	(void)state;
	assert_int_equal(unit_name_parse("web.service", &unit), 0);
	for (int i = 0; i < 2; i++) { /* a second time does nothing new */
		assert_int_equal(unitfile_enable(image.root, UNITFILE_SYSTEM,
						 &unit, path, sizeof(path)),
				 0);
		assert_string_equal(
			path,
			"etc/systemd/system/web.service.d/50-ksmd-plus.conf");
		assert_true(file_read(image.root, path, text, sizeof(text)) >
			    0);
		assert_non_null(strstr(text, "\n[Service]\nMemoryKSM=yes\n"));
		assert_int_equal(fstatat(image.root, path, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0644);
	}
	assert_int_equal(unitfile_disable(image.root, UNITFILE_SYSTEM, &unit,
					  path, sizeof(path)),
			 0);
	assert_int_equal(faccessat(image.root,
				   "etc/systemd/system/web.service.d", F_OK, 0),
			 -1);
	assert_int_equal(unitfile_disable(image.root, UNITFILE_SYSTEM, &unit,
					  path, sizeof(path)),
			 UNITFILE_ABSENT);
}

static void what_is_anothers_stays(void **state)
{
	struct unit_name unit;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(unit_name_parse("ssh.socket", &unit), 0);
	folder("etc/systemd/system/ssh.socket.d");
	file("etc/systemd/system/ssh.socket.d/override.conf", "[Socket]\n");
	assert_int_equal(unitfile_enable(image.root, UNITFILE_SYSTEM, &unit,
					 path, sizeof(path)),
			 0);
	assert_int_equal(unitfile_disable(image.root, UNITFILE_SYSTEM, &unit,
					  path, sizeof(path)),
			 0);
	assert_int_equal(
		faccessat(image.root,
			  "etc/systemd/system/ssh.socket.d/override.conf", F_OK,
			  0),
		0);
}

static void a_failure_leaves_nothing(void **state)
{
	struct unit_name unit;
	char path[PATH_MAX] = "untouched", small[8] = "small";

	(void)state;
	assert_int_equal(unit_name_parse("web.service", &unit), 0);
	assert_int_equal(unitfile_enable(image.root, UNITFILE_SYSTEM, &unit,
					 small, sizeof(small)),
			 -ENAMETOOLONG);
	assert_string_equal(small, "small");
	/* something else stands where the folder has to be */
	file("etc/systemd/system/web.service.d", "x");
	assert_int_equal(unitfile_enable(image.root, UNITFILE_SYSTEM, &unit,
					 path, sizeof(path)),
			 -ENOTDIR);
	assert_string_equal(path, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(units_and_aliases_are_found,
						setup, teardown),
		cmocka_unit_test_setup_teardown(masks_and_circles_are_seen,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_dropin_is_written_and_removed,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_anothers_stays, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_failure_leaves_nothing, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
