#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Configure the first Data Streaming Accelerator for ksmd-plus: one shared work
# queue with one engine and batches of 256. For a device that is not in use;
# needs the package accel-config. What it sets is lost at the next boot.
set -e
accel-config config-engine dsa0/engine0.0 --group-id=0
accel-config config-wq dsa0/wq0.0 --group-id=0 --mode=shared --type=user \
	--name=ksmd-plus --wq-size=64 --threshold=60 --priority=10 \
	--max-batch-size=256 --max-transfer-size=2097152 --block-on-fault=0
accel-config enable-device dsa0
accel-config enable-wq dsa0/wq0.0
