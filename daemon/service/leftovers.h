/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leftovers - what an earlier daemon changed and was killed before it put back
 */
#pragma once

struct knobs;
struct ledger;
struct root;

/*
 * Give every knob in @ledger its value back and forget the processes that
 * are no more; those that live stay in the ledger, as ours: who is not named
 * any more gets back what he had when the watch finds him.
 * Return: 0 or negative errno, which has been logged.
 */
int leftovers_restore(const struct root *root, struct ledger *ledger,
		      struct knobs *knobs);
