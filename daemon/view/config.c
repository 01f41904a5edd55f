/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files are read one after the other into a struct load, whose struct config
 * is the caller's only when everything was read. A value is set where it
 * stands, so the last file wins; targets.c collects the [target] sections.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "complaints.h"
#include "files.h"
#include "inifile.h"
#include "keys.h"
#include "targets.h"
#include "vec.h"

/* Looks at a file that seems to be cut off. */
#define TRIES 3

struct load_names VEC(char *);

struct load {
	struct complaints complaints;
	struct targets targets;
	struct config config;
	uint64_t ram_bytes;
	const char *file; /* that is being read */
	const char *section; /* of the keys, or NULL: lines are ignored */
	bool section_seen; /* in this file, known or not */
	struct {
		const char *file; /* that set the key last, NULL: none */
		unsigned int line;
	} set_by[KEYS_N];
	struct load_names names; /* of the files: set_by points there */
};

static void load_clear(struct load *load)
{
	for (size_t i = 0; i < load->names.n; i++)
		free(load->names.v[i]);
	vec_free(&load->names);
	targets_clear(&load->targets);
}

static bool in_target(const struct load *load)
{
	return load->section && load->targets.current;
}

static int on_section(void *userdata, unsigned int line, const char *name)
{
	struct load *load = userdata;
	char quote[COMPLAINTS_QUOTE_SIZE];

	load->section = NULL;
	load->section_seen = true;
	load->targets.current = NULL;
	if (!name)
		return 0;
	if (strcspn(name, " ") == strlen("target") &&
	    strncmp(name, "target", strlen("target")) == 0) {
		load->section = "target";
		name += strlen("target");
		return targets_begin(&load->targets, line,
				     name + strspn(name, " "));
	}
	load->section = keys_section(name);
	if (!load->section)
		complaints_add(
			&load->complaints, load->file, line,
			"unknown section %s, expected [scan], [merge], [hints], [numa] or [target NAME]; its lines are ignored",
			complaints_quote(quote, name));
	return 0;
}

static int on_broken(void *userdata, unsigned int line, const char *sentence)
{
	struct load *load = userdata;

	complaints_add(&load->complaints, load->file, line, "%s", sentence);
	if (in_target(load))
		targets_fault(&load->targets, line);
	return 0;
}

/* What is in force when a new value is not, for a sentence, in @buf. */
static const char *kept_value(const struct load *load, const struct key *key,
			      char *buf, size_t size)
{
	size_t i = (size_t)(key - keys);

	if (load->set_by[i].file)
		snprintf(buf, size, "that of %s:%u", load->set_by[i].file,
			 load->set_by[i].line);
	else
		snprintf(buf, size, "the default, %s,", key->value);
	return buf;
}

static void set_value(struct load *load, const struct key *key,
		      unsigned int line, const char *text)
{
	char quote[COMPLAINTS_QUOTE_SIZE], bounds[64] = "", kept[320];
	size_t i = (size_t)(key - keys);

	if (keys_set(key, text, load->ram_bytes, &load->config) < 0) {
		if (key->least)
			snprintf(bounds, sizeof(bounds), " from %s to %s",
				 key->least, key->most);
		complaints_add(&load->complaints, load->file, line,
			       "%s: expected %s%s, not %s; %s stays in force",
			       key->name, key->what, bounds,
			       complaints_quote(quote, text),
			       kept_value(load, key, kept, sizeof(kept)));
		return;
	}
	if (load->set_by[i].file == load->file)
		complaints_add(
			&load->complaints, load->file, line,
			"%s stands in line %u already, expected it once; the later one is in force",
			key->name, load->set_by[i].line);
	load->set_by[i].file = load->file;
	load->set_by[i].line = line;
}

static void unknown_key(struct load *load, unsigned int line, const char *name)
{
	char quote[COMPLAINTS_QUOTE_SIZE], names[160];

	complaints_add(
		&load->complaints, load->file, line,
		"unknown key %s in [%s], expected one of %s; it is ignored",
		complaints_quote(quote, name), load->section,
		keys_list(load->section, names, sizeof(names)));
	if (in_target(load))
		targets_fault(&load->targets, line);
}

static int on_entry(void *userdata, unsigned int line, const char *name,
		    const char *value)
{
	struct load *load = userdata;
	const struct key *key;

	if (!load->section) {
		if (!load->section_seen)
			complaints_add(
				&load->complaints, load->file, line,
				"this stands before the first section header; everything up to there is ignored");
		load->section_seen = true;
		return 0;
	}
	key = keys_find(load->section, name);
	if (!key)
		unknown_key(load, line, name);
	else if (key->set_target)
		return key->set_target(&load->targets, line, name, value,
				       key->rule_key);
	else
		set_value(load, key, line, value);
	return 0;
}

static int load_text(struct load *load, const char *name, const char *text,
		     size_t len)
{
	static const struct inifile_ops ops = {
		.section = on_section,
		.entry = on_entry,
		.broken = on_broken,
	};
	_cleanup_free_ char *copy = strdup(name);

	if (!copy || vec_push(&load->names, copy))
		return -ENOMEM;
	load->file = TAKE_PTR(copy);
	load->section = NULL;
	load->section_seen = false;
	targets_file(&load->targets, load->file);
	return inifile_parse(text, len, &ops, load);
}

/*
 * Only a regular file is opened, and /dev/null, which masks one: to open a
 * FIFO would block for ever.
 */
static int file_fault(const char *path, size_t *ret_size)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*ret_size = (size_t)st.st_size;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode) ||
	    (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
		return 0;
	return -EINVAL;
}

/* An editor may be writing it: half of it would name half of them, and nothing
 * of it nobody. -EBUSY: there is less than it says there is. */
static int file_text(const char *path, char **ret, size_t *ret_len)
{
	for (int i = 0; i < TRIES; i++) {
		size_t size = 0;
		int r = file_fault(path, &size);

		if (r == 0)
			r = file_read_all(AT_FDCWD, path, ret, ret_len);
		if (r < 0 || *ret_len >= size)
			return r;
		free(TAKE_PTR(*ret));
	}
	return -EBUSY;
}

static int load_file(struct load *load, const char *path, bool must_exist)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = file_text(path, &text, &len);

	if (r == -ENOENT && !must_exist)
		return 0;
	if (r < 0) {
		complaints_add(&load->complaints, path, 0,
			       "cannot be read: %s, expected a file of text",
			       r == -EINVAL  ? "Not a regular file"
			       : r == -EBUSY ? "Something is missing at its end"
					     : strerror(-r));
		return r;
	}
	return load_text(load, path, text, len);
}

static int is_dropin(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	/* as the shell's ?*.conf: hidden files are those of editors */
	return entry->d_name[0] != '.' && len > strlen(".conf") &&
	       strcmp(entry->d_name + len - strlen(".conf"), ".conf") == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* "@a@between@b", allocated: asprintf(3) leaves no NULL when it fails. */
static int path_join(const char *a, char between, const char *b, char **ret)
{
	char *path;

	if (asprintf(&path, "%s%c%s", a, between, b) < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}

static int load_dropins(struct load *load, const char *path)
{
	_cleanup_free_ char *dir = NULL;
	struct dirent **entries = NULL;
	int n, r = 0;

	r = path_join(path, '.', "d", &dir);
	if (r < 0)
		return r;
	n = scandir(dir, &entries, is_dropin, compare_names);
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0) {
		r = -errno;
		complaints_add(
			&load->complaints, dir, 0,
			"cannot be read: %s, expected a directory of *.conf files",
			strerror(-r));
		return r;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = NULL;

		if (r == 0)
			r = path_join(dir, '/', entries[i]->d_name, &file);
		if (r == 0)
			r = load_file(load, file, true);
		free(entries[i]);
	}
	free(entries);
	return r;
}

static void load_begin(struct load *load, uint64_t ram_bytes,
		       config_complain_fn complain, void *userdata)
{
	*load = (struct load){
		.complaints = { complain, userdata, 0 },
		.ram_bytes = ram_bytes,
	};
	load->targets.complaints = &load->complaints;
	keys_set_defaults(&load->config, ram_bytes);
}

/* Publish what was read, if @r says that it was. */
static int load_end(struct load *load, const char *name, int r,
		    struct config *ret)
{
	int n;

	if (r == 0)
		r = targets_finish(&load->targets, &load->config.rules);
	n = complaints_finish(&load->complaints, name);
	if (r == 0) {
		*ret = load->config;
		r = n;
	}
	load_clear(load);
	return r;
}

int config_load(const char *path, bool must_exist, uint64_t ram_bytes,
		config_complain_fn complain, void *userdata,
		struct config *ret_config)
{
	struct load load;
	int r;

	load_begin(&load, ram_bytes, complain, userdata);
	r = load_file(&load, path, must_exist);
	if (r == 0)
		r = load_dropins(&load, path);
	return load_end(&load, path, r, ret_config);
}

int config_parse(const char *name, const char *text, size_t len,
		 uint64_t ram_bytes, config_complain_fn complain,
		 void *userdata, struct config *ret_config)
{
	struct load load;
	int r;

	load_begin(&load, ram_bytes, complain, userdata);
	r = load_text(&load, name, text, len);
	return load_end(&load, name, r, ret_config);
}

void config_clear(struct config *config)
{
	rules_clear(&config->rules);
}
