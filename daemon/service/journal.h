/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal - lines and events of log.h, as entries of systemd's journal
 *
 * An event arrives with MESSAGE_ID=, which finds its text in the catalog
 * (journalctl -x), and its fields as KSMDPLUS_<NAME>=. Only where stderr leads
 * to the journal; elsewhere stderr is what people look at.
 */
#pragma once

/* Call once, after log_open(). */
void journal_open(void);
