/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-ops - how a descriptor leaves the program
 *
 * The system calls and the two instructions, and nothing else: a test that
 * brings a device of its own defines dsa_ops itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct dsa_desc;

#define DSA_PORTAL_BYTES 4096U

struct dsa_ops {
	/* The node at @path: a descriptor, or negative errno. */
	int (*open)(const char *path);
	void (*close)(int fd);
	/* The limited portal, or NULL where the kernel refuses it. */
	void *(*map)(int fd);
	void (*unmap)(void *portal);
	/* Whether this CPU has the instruction. */
	bool (*can_enqcmd)(void);
	bool (*can_movdir64b)(void);
	/* False: not accepted, for whatever reason. */
	bool (*enqcmd)(void *portal, const struct dsa_desc *desc);
	/* Posted: whether it was accepted is never known. */
	void (*movdir64b)(void *portal, const struct dsa_desc *desc);
	/* Bytes, or negative errno. */
	ssize_t (*write)(int fd, const struct dsa_desc *descs, size_t n);
};

extern const struct dsa_ops dsa_ops;
