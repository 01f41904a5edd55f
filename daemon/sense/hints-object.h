/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hints-object - bpf/hints.bpf.c, compiled, inside the daemon
 */
#pragma once

extern const char hints_object[];
extern const char hints_object_end[];
