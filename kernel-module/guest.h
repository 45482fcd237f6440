/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_GUEST_H
#define KVM_EPT_SAMPLE_GUEST_H

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>

#include <kvm_ept_sample.h>

#include "spte.h"

/* Most page tables a guest has at a time: for each address space (normal, SMM) one for each way that its vCPUs differ. */
#define MAX_ROOTS	8

/**
 * struct guest - a KVM guest that an open file holds
 * @kvm: the guest; a reference is held, so that it outlives its process, without its memory
 * @node: in the list of all guests that are held
 * @layout: of its page-table entries: hardware's bits from the first, KVM's own once @layout_known
 * @layout_known: an entry has shown which layout it is
 * @kicked: CPUs that a TLB flush has to interrupt
 * @flush_lock: guards @kicked
 * @unflushed: accessed bits were cleared, and the TLBs not flushed since: a page may be in use, though its bit is clear
 * @flushes: TLB flushes asked for
 * @interrupts: CPUs that had to be interrupted for them
 * @spared: flushes that were not needed
 */
struct guest {
	struct kvm *kvm;
	struct list_head node;
	const struct spte_layout *layout;
	bool layout_known;
	cpumask_var_t kicked;
	struct mutex flush_lock;
	bool unflushed;
	atomic64_t flushes;
	atomic64_t interrupts;
	atomic64_t spared;
};

/**
 * struct root - a page table of a guest
 * @hpa: where it is
 * @level: 4 or 5
 * @smm: that of system management mode
 */
struct root {
	hpa_t hpa;
	int level;
	bool smm;
};

/**
 * struct guest_paging - how a guest is mapped now
 * @kind: KVM_EPT_SAMPLE_PAGING_*
 * @has_ad: hardware keeps accessed and dirty bits
 * @can_mine: landmines may be laid: with dirty bits, as without them W is KVM's record of dirty pages, and not in a confidential
 *	guest, whose faults were never tried
 */
struct guest_paging {
	u32 kind;
	bool has_ad;
	bool can_mine;
};

void guest_init_module(void);
void guest_exit_module(void);
int guest_find(struct guest *guest, struct file *proc_file, pid_t pid_nr);
void guest_put(struct guest *guest);
int guest_watch(struct guest *guest, struct mmu_notifier *exit);
void guest_unwatch(struct guest *guest, struct mmu_notifier *exit);
bool guest_is_dead(struct guest *guest);
int guest_paging(struct guest *guest, struct guest_paging *paging);
int guest_roots(struct kvm *kvm, struct root roots[MAX_ROOTS]);
int guest_check(struct kvm *kvm);
bool guest_fits(struct guest *guest, u64 spte);
u64 *guest_table(u64 spte, int level);
bool guest_is_table(const u64 *table, int level, bool *has_ad);
u64 *guest_entry(const struct root *root, gfn_t gfn, int lowest, int *level);
bool guest_is_dirty_logged(struct kvm *kvm);
u32 guest_state(struct kvm *kvm, bool nested_seen);
bool guest_logs_page(struct kvm *kvm, gfn_t gfn);
gfn_t guest_gfn_end(struct kvm *kvm);
void guest_flush_tlbs(struct guest *guest);
int guest_memslots(struct guest *guest, struct kvm_ept_sample_get_memslots __user *user);

#endif
