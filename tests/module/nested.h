/* SPDX-License-Identifier: GPL-2.0 */
/* The test guest's own guest: what vm.c needs of it. */
#ifndef TEST_NESTED_H
#define TEST_NESTED_H

#include <linux/kvm.h>
#include <string.h>
#include "vm.h"

/* A descriptor, or whatever has eight bytes, into the guest's memory. */
static inline void put64(char *memory, unsigned long at, uint64_t value)
{
	memcpy(memory + at, &value, sizeof(value));
}

/*
 * Put a nested guest, its page table and the routine that runs it into the guest's memory, below VM_FREE_GFN, and tell
 * the guest by @ctl: 0, or -1 with an errno if KVM on this host runs no nested guests.
 */
int nested_describe(int kvm_fd, char *memory, struct vm_ctl *ctl, const struct vm_config *config);
/* Give a vCPU what it needs to run it, the registers in @sregs, which are still to be set: 0, or -1 with an errno. */
int nested_allow(int vcpu_fd, struct kvm_sregs *sregs, const struct vm_config *config);

#endif
