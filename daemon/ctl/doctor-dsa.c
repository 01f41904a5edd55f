/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is missing until a Data Streaming Accelerator can be used. A machine
 * without one lacks nothing.
 */
#include "doctor-checks.h"

/* As in etc/ksmd-plus-dsa.sh. */
static const char configure[] =
	"apt install accel-config && "
	"accel-config config-engine dsa0/engine0.0 --group-id=0 && "
	"accel-config config-wq dsa0/wq0.0 --group-id=0 --mode=shared "
	"--type=user --name=ksmd-plus --wq-size=64 --threshold=60 "
	"--priority=10 --max-batch-size=256 && "
	"accel-config enable-device dsa0 && "
	"accel-config enable-wq dsa0/wq0.0";

/* Devices of the machine, and what stands between them and programs. */
static void check_devices(const struct dsa_tree *t, struct doctor_finding *ret)
{
	if (!t->n_devices) {
		doctor_say(
			ret, DOCTOR_NOTE,
			"This machine has %u DSA, and no driver for it: the CPU computes the checksums.",
			t->n_pci);
		doctor_advise(ret, "modprobe idxd");
	} else if (*t->odd) {
		doctor_say(
			ret, DOCTOR_NOTE,
			"The DSA driver shows no %s, which libaccel-config takes for granted: the devices are not used.",
			t->odd);
	} else if (t->read_only) {
		doctor_say(
			ret, DOCTOR_NOTE,
			"/sys is read-only, so libaccel-config finds no DSA device.");
		doctor_advise(
			ret,
			"Leave the container, or take ProtectKernelTunables= out of the unit.");
	} else if (t->n_enabled && t->n_no_pasid == t->n_enabled) {
		doctor_say(
			ret, DOCTOR_NOTE,
			"DSA devices are enabled without shared addressing (PASID): programs cannot use them.");
		doctor_advise(
			ret,
			"Boot with intel_iommu=on,sm_on on the kernel's command line.");
	} else {
		doctor_say(
			ret, DOCTOR_NOTE,
			"This machine has a DSA, but no work queue is enabled for programs: the CPU computes the checksums.");
		doctor_advise(ret, "%s", configure);
	}
}

void doctor_check_dsa(const struct doctor_facts *f, struct doctor_finding *ret)
{
	const struct dsa_tree *t = &f->dsa;
	unsigned int n_crc = 0, n_batch = 0;

	if (!t->n_pci && !t->n_devices)
		return;
	for (size_t i = 0; i < t->n_queues; i++) {
		n_crc += t->queues[i].can_crc;
		n_batch += t->queues[i].can_crc && t->queues[i].can_batch;
	}
	if (!n_crc || *t->odd || t->read_only) {
		check_devices(t, ret);
		return;
	}
	doctor_say(
		ret, DOCTOR_OK,
		"DSA: %u work queue%s for programs, %u with BATCH. Tested on a software model only; engine = auto measures whether it pays.",
		n_crc, n_crc == 1 ? "" : "s", n_batch);
}
