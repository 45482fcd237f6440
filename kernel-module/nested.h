/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_NESTED_H
#define KVM_EPT_SAMPLE_NESTED_H

#include <linux/kvm_host.h>
#include <linux/types.h>

/**
 * struct nested_tables - where a walk through the tables of a guest's own guests is
 * @table: the one last found to be a table of KVM's at @level, while mmu_lock is held
 * @level: of it
 * @entry: called for each entry
 */
struct nested_tables {
	const u64 *table;
	int level;
	void (*entry)(struct nested_tables *nested, u64 *sptep, u64 spte, int level);
};

bool nested_runs(struct kvm *kvm);
bool nested_for_each(struct nested_tables *nested, const struct kvm_memory_slot *slot, gfn_t gfn, int level, u64 pfn);

/* Where it does not matter which frame the page has. */
#define NESTED_ANY_FRAME	(~0ULL)

#endif
