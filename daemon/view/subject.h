/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * subject - a process as the rules see it
 */
#pragma once

#include "process.h"
#include "rules.h"

/* Strings stay those of @facts. Whether it is part of ourselves, and whether
 * its registrations are its own, is the caller's to add. */
struct rule_subject subject_of(const struct process_facts *facts, pid_t pid);
