/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_CHECKS_H
#define KVM_EPT_SAMPLE_CHECKS_H

#include <linux/types.h>

/**
 * enum check - what is checked of this kernel's KVM, before and while anything relies on it
 * @CHECK_LOCK: mmu_lock may be taken where KVM notes a fault, so it must not sleep (PREEMPT_RT)
 * @CHECK_FLUSH: where Hyper-V flushes for KVM, KVM's own flush is exported
 * @CHECK_TRACEPOINT: the tracepoint kvm_page_fault is exported, and its first argument is a vCPU
 * @CHECK_ROOTS: every page table that a vCPU uses is among those that KVM notes
 * @CHECK_TABLES: the page of every table leads to KVM's note of it, which leads back and has the table's level
 * @CHECK_ACCESSED: KVM and hardware keep the accessed bit where it is looked for: every upper table was accessed
 * @CHECK_ENTRIES: a writable entry has KVM's two marks where one known layout has them, and no bit set that no KVM uses there
 * @CHECK_NESTED: what KVM lists as the entries that map a page in tables of nested guests is such entries, of that page
 */
enum check {
	CHECK_LOCK,
	CHECK_FLUSH,
	CHECK_TRACEPOINT,
	CHECK_ROOTS,
	CHECK_TABLES,
	CHECK_ACCESSED,
	CHECK_ENTRIES,
	CHECK_NESTED,
	CHECK_COUNT
};

void check_passed(enum check check);
void check_failed(enum check check, u64 value);
bool faults_check_failed(void);

#endif
