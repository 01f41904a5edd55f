/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener - the Unix socket that clients connect to
 */
#pragma once

/*
 * Listen on @path, with mode 0660. A socket there that nobody serves any more
 * is replaced; one that is served, and anything that is no socket, is not
 * touched. The caller owns the descriptor (non-blocking) and the name.
 * Changes the umask of the process for an instant: call it while there is one
 * thread.
 *
 * Return: the descriptor or negative errno (-EADDRINUSE), then @path is as it
 * was.
 */
int listener_open(const char *path);
