/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest - the name of the virtual machine that a QEMU process is
 *
 * QEMU is told it by -name, as libvirt does (-name guest=NAME,debug-...),
 * Proxmox (-name NAME,debug-...) and people (-name NAME). The command line is
 * the process's own to change: a name says what a process calls itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Longer names are cut off. */
#define GUEST_NAME_SIZE 128

/*
 * Find the name in @cmdline, @size bytes of arguments that end in '\0' each
 * (the last one may have been cut off). Control characters and what is no
 * UTF-8 become '?'.
 *
 * Return: @ret, or NULL if there is none.
 */
const char *guest_parse(const char *cmdline, size_t size,
			char ret[GUEST_NAME_SIZE]);

/* Whether a program of that name may be QEMU; NULL is none. */
bool guest_is_qemu(const char *exe);

/* The name of the process whose /proc/PID is @dir, or NULL. */
const char *guest_read(int dir, char ret[GUEST_NAME_SIZE]);
