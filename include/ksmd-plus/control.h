/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - names of the control interface
 *
 * D-Bus through sd-bus: always on a private socket, peer to peer (no bus
 * daemon), $RUNTIME_DIRECTORY/bus, by default /run/ksmd-plus/bus; and as
 * CONTROL_NAME on the system bus where there is one. Reading needs no rights
 * beyond connecting to the socket, or what etc/dbus/org.ksmdplus1.conf gives;
 * changing anything needs uid 0, on the system bus or else the authorization
 * of polkit. org.ksmdplus1(5) is the manual.
 *
 * Properties of CONTROL_INTERFACE (design section 7):
 *   Version s, State s (starting|searching|merging|resting|paused)
 *   PagesSaved t, BytesSaved t, ZeroPages t, PromisedPages t
 *   DaemonCpuUSec t, KsmdCpuUSec t: CPU since the daemon started
 *   Engine s, Hints s
 *   EngineDetail s: how the engine does, a sentence or ""
 *   EngineCounters a(st): a stable name such as "batches", and a number
 *   MemoryUsed t, MemoryBound t: bytes, of the daemon
 *   Activity s: what is being done and why, a sentence
 *   Targets a(ssut): name, mode, processes, bytes saved
 *   Warnings a(ss): a stable name such as "knob-foreign", and a sentence
 *   Numa (ssttttua(ut)a(uttts)): where merged pages live; see struct numa_status.
 *     Policy ("" with one memory node), activity, pages moved, moves refused,
 *     fairness in 1/10000; node and merged pages on it; pid, its nodes as
 *     bits, merged pages, of these on its nodes
 * Methods:
 *   ListProcesses() -> a(usssssttts): see struct process_status
 *   ExplainProcess(u pid) -> a(sts): names of <ksmd-plus/reasons.h>, pages, an
 *     error of the kernel; empty where the process is not watched
 *   ListAccounts(s kind) -> a(usssuttttttxs): see struct account_row of
 *     <ksmd-plus/account.h>; kind is machine, target, unit, guest or process;
 *     the last is the name of a reason, "none" where there is none
 *   Pause(), Resume(), Rescan()
 *   Adopt(u pid): the process and what it forks are a target of their own,
 *     "run" of mode selective, until they end; 0 is the caller
 * Signals, to those on the private socket who have called AddMatch():
 *   PulseBegan(t promised_pages, t registered_pages)
 *   PulseEnded(t promised_pages, t saved_pages, t duration_usec,
 *     t ksmd_cpu_usec, s result)
 *   WarningRaised(s name, s sentence), WarningCleared(s name)
 *   PropertiesChanged of State, savings, Targets, Warnings; see telling.h
 */
#pragma once

#define CONTROL_RUNTIME_DIR "/run/ksmd-plus"
#define CONTROL_SOCKET	    "bus"
#define CONTROL_SYSTEM_BUS  "unix:path=/run/dbus/system_bus_socket"
#define CONTROL_NAME	    "org.ksmdplus1"
/* Its members may read; where there is such a group the socket is its. */
#define CONTROL_GROUP	  "ksmd-plus"
#define CONTROL_PATH	  "/org/ksmdplus1"
#define CONTROL_INTERFACE "org.ksmdplus1.Manager"

/* Actions of polkit: Pause(), Resume(), Rescan(); and Adopt(). */
#define CONTROL_ACTION_STEER "org.ksmdplus1.steer"
#define CONTROL_ACTION_ADOPT "org.ksmdplus1.adopt"

#define CONTROL_ACCOUNT_FIELDS "usssuttttttxs"
#define CONTROL_ACCOUNTS       "a(" CONTROL_ACCOUNT_FIELDS ")"

#define CONTROL_NUMA_FIELDS "ssttttua(ut)a(uttts)"
#define CONTROL_NUMA	    "(" CONTROL_NUMA_FIELDS ")"
