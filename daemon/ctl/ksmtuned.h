/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmtuned - what /etc/ksmtuned.conf sets, and what of it ksmd-plus needs
 *
 * To ksmtuned the file is a piece of shell, run as root. Here it is read and
 * never run: assignments of plain words are understood, as they stand in the
 * files of Debian, Proxmox VE and RHEL,
 *
 *	[export] NAME=VALUE [NAME=VALUE...] [; ...] [# comment]
 *
 * with quotes around a value or a part of it. Whatever would take a shell
 * (variables, commands, lines that go on) is told and ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"

enum ksmtuned_key {
	KSMTUNED_MONITOR_INTERVAL,
	KSMTUNED_SLEEP_MSEC,
	KSMTUNED_NPAGES_BOOST,
	KSMTUNED_NPAGES_DECAY,
	KSMTUNED_NPAGES_MIN,
	KSMTUNED_NPAGES_MAX,
	KSMTUNED_THRES_COEF,
	KSMTUNED_THRES_CONST,
	KSMTUNED_LOGFILE, /* any text; its number is 0 */
	KSMTUNED_DEBUG, /* the same */
	KSMTUNED_KEYS,
};

struct ksmtuned {
	struct ksmtuned_value {
		bool given;
		int64_t number; /* what ksmtuned takes where none is given */
	} keys[KSMTUNED_KEYS];
};

/*
 * Read the @len bytes at @text, the contents of @file. Each thing that is not
 * understood is told to @complain and changes nothing in *ret.
 *
 * Return: how many there were.
 */
int ksmtuned_parse(const char *file, const char *text, size_t len,
		   config_complain_fn complain, void *userdata,
		   struct ksmtuned *ret);

/*
 * How long ksmd takes to look at @ram_bytes when ksmtuned drives it as hard as
 * it may; what ksmd itself needs for it comes on top.
 */
uint64_t ksmtuned_scan_seconds(const struct ksmtuned *k, uint64_t ram_bytes);

/* Print the configuration that does the same, with comments. */
void ksmtuned_print(const struct ksmtuned *k, const char *file,
		    uint64_t ram_bytes, FILE *out);
