/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_HARVEST_H
#define KVM_EPT_SAMPLE_HARVEST_H

#include <linux/atomic.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

struct guest;
struct harvest_buffer;
struct kvm_ept_sample_harvest;

/**
 * struct cold_tables - tables of the lowest level that nobody uses, by the 2 MiB they map
 * @cleared: the accessed bit of the entry above was cleared, and the TLBs flushed after that
 * @quiet: since then all accessed bits in the table were found and cleared: as long as that of the
 *	entry above stays clear, the table has none
 * @blocks: length of the bitmaps
 * @root: all this holds for the tables under this root
 */
struct cold_tables {
	unsigned long *cleared;
	unsigned long *quiet;
	u64 blocks;
	hpa_t root;
};

/**
 * struct harvester - harvests of one guest
 * @guest: the guest, which outlives this
 * @buffer: room for one batch
 * @cold: tables that need not be looked into
 * @nested_unseen: the last harvest could not see all that the guest's own guests touch
 * @harvests: how many there were
 * @ns: time that they took
 * @entries: entries that they looked at
 */
struct harvester {
	struct guest *guest;
	struct harvest_buffer *buffer;
	struct cold_tables cold;
	bool nested_unseen;
	atomic64_t harvests;
	atomic64_t ns;
	atomic64_t entries;
};

int harvester_init(struct harvester *harvester, struct guest *guest);
void harvester_free(struct harvester *harvester);
int harvest(struct harvester *harvester, struct kvm_ept_sample_harvest *request);

#endif
