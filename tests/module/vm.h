/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small KVM guest with exactly known accesses, in a process of its own.
 *
 * Each vCPU works through a table of pages, over and over.  The table lies in a control block that
 * the guest and the test share, so what the guest does can be changed while it runs.
 */
#ifndef TEST_VM_H
#define TEST_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE		4096UL
#define MIB		(1UL << 20)

#define VM_READ		0	/* what to do with a page of the table */
#define VM_WRITE	1
#define VM_EXEC		2

#define VM_CODE_GFN	1UL	/* touched in every pass, beside the control block */
#define VM_STACK_GFN	2UL	/* of vCPU 0; touched in passes with VM_EXEC */
#define VM_IDT_GFN	12UL	/* interrupt descriptors: read only while an interrupt is delivered */
#define VM_FREE_GFN	16UL	/* from here to the end the memory is the test's */

/*
 * The nested guest has its own nested page table: what it calls VM_NESTED_GFN is VM_NESTED_AT of the guest; the rest is
 * the same in both, so that it has each of those pages at two places.  In each of its pages it counts up the 32-bit word at
 * VM_NESTED_WORD.
 */
#define VM_NESTED_GFN	2048UL
#define VM_NESTED_AT	1024UL
#define VM_NESTED_WORD	8UL
#define VM_NESTED_CODE_GFN	3UL	/* of the guest; it never touches it itself */
#define VM_NESTED_EXIT_AMD	0x78U	/* HLT, by which it ends */
#define VM_NESTED_EXIT_INTEL	12U

/*
 * The host's CPU that runs all vCPUs: isolated and without ticks in a tick-free host.  Not CPU 0: on that one QEMU's
 * emulation now and then leaves a guest with the host's own state (testbed/README.md).
 */
#ifndef VM_CPU
#define VM_CPU		1
#endif

#define VM_CTL_GPA	0x40000000UL
#define VM_CTL_SIZE	MIB	/* for each vCPU */
#define VM_CTL_GFN	(VM_CTL_GPA / PAGE)
#define VM_MAX_TABLE	((VM_CTL_SIZE - PAGE) / 4)

/* What guest and test share, one for each vCPU. */
struct vm_ctl {
	uint32_t count;			/* entries of the table */
	uint32_t passes;		/* counted up after each pass */
	uint32_t pause;			/* turns of an empty loop after each pass */
	uint32_t exits;			/* leave to user space after each pass, if not 0 */
	uint32_t smis;			/* counted up in system management mode */
	uint32_t nested;		/* what to call to run the nested guest; 0: there is none */
	uint32_t nested_pages;		/* pages that the nested guest counts up in, each time it runs */
	uint32_t nested_passes;		/* counted up by the nested guest after that */
	uint32_t nested_exit;		/* why it was left; VM_NESTED_EXIT_* when all is well */
	uint32_t interrupts;		/* sent, to vCPU 0 */
	uint32_t handled;		/* counted up by the guest in its handler */
	uint32_t smm_stay;		/* stay in system management mode while this is not 0 */
	uint32_t nested_offset;		/* bytes from VM_NESTED_GFN at which the nested guest's pages begin */
	uint8_t pad[PAGE - 52];
	uint32_t table[VM_MAX_TABLE];	/* address of the page | VM_READ, VM_WRITE or VM_EXEC */
};

struct vm_config {
	unsigned long memory;		/* bytes from guest physical 0; at most 1 GiB */
	long pieces;			/* memslots of the same size that it is in; 0 means 1 */
	int vcpus;			/* 0 means 1 */
	bool late;			/* begin without a vCPU: vm_add_vcpu() starts the first */
	bool huge;			/* back it with 2 MiB pages */
	bool giant;			/* back it with one 1 GiB page; memory must be 1 GiB */
	bool smm;			/* send each vCPU into system management mode at each exit */
	bool interrupts;		/* send vCPU 0 an interrupt at each exit */
	bool nested;			/* run a nested guest after each pass */
	bool nested_no_ad;		/* whose page table is one without accessed bits, as Intel's may be */
	bool nested_small;		/* whose page table maps VM_NESTED_GFN by 4 KiB pages, unlike the rest */
	bool nested_giant;		/* whose page table is of 1 GiB pages, as is what vm_add_slot() adds; AMD only */
	bool manual_log;		/* what is logged is protected when the log is cleared: right after it began */
	bool ring_log;			/* dirty pages are told by a ring, which is emptied when it is full, not by a bitmap */
	const char *pid_file;		/* which the process that runs the guest writes and holds the lock of, as QEMU does */
};

struct vm {
	pid_t pid;			/* the process that runs the guest */
	int commands;
	struct vm_config config;
	struct vm_ctl *ctl;		/* of vCPU 0; ctl[i] of vCPU i */
};

/* Fork a process that runs the guest; ends the test when that fails. */
void vm_start(struct vm *vm, struct vm_config config);
/* Kill it with SIGKILL and reap it. */
void vm_kill(struct vm *vm);

/* Print what a guest that stands still is doing: its process's threads, and KVM's counters, twice; its exits. */
void vm_tell(pid_t pid);

/* Let vCPU 0 do @op to each of @count pages from now on. */
void vm_work(struct vm *vm, const unsigned long *gfns, size_t count, int op);
/* Wait until vCPU 0 went through its table at least twice from now on: false after 60 s. */
bool vm_wait(struct vm *vm);
/* Wait until its nested guest ran @times more: false after 60 s. */
bool vm_wait_nested(const struct vm *vm, uint32_t times);
/* The pages that vCPU 0 touches beside its table, which is then in *gfns too: how many. */
size_t vm_own_gfns(const struct vm *vm, unsigned long gfns[VM_MAX_TABLE / 1024 + 3]);

/* What the process that runs the guest does for the test; each returns its errno, negative. */
int vm_dirty_log(struct vm *vm, bool on);
int vm_dirty_pages(struct vm *vm, uint8_t *bitmap, size_t size);
int vm_discard(struct vm *vm, unsigned long gfn, unsigned long pages);
int vm_add_slot(struct vm *vm, unsigned long gfn, unsigned long pages);
/* Log the dirty pages of that slot, as QEMU does with a display adapter's memory. */
int vm_log_slot(struct vm *vm, bool on);
int vm_remove_slot(struct vm *vm);
unsigned long vm_hva(struct vm *vm);
/* Let vCPU 0 (of a guest with @smm) go into system management mode and stay there: false if it did not in 60 s. */
bool vm_enter_smm(struct vm *vm);
void vm_leave_smm(struct vm *vm);
/* Entries of the guest's that map memory and grant nothing, by the helper module; -1 if it does not tell. */
long vm_denied(const struct vm *vm);
/*
 * Change bits of a page's 4 KiB entry, by the helper module: as it is after that; @before gets it as it was.  Without bits to
 * change it is only read.  0 if the helper does not tell.
 */
unsigned long long vm_change_entry(const struct vm *vm, unsigned long gfn, unsigned long long clear, unsigned long long set,
				   unsigned long long *before);
/* Whether KVM is to split large entries when logging begins: false if this kernel does not know that. */
bool vm_set_eager_split(bool on);
/* Plug in one more vCPU, which works through the table in its own ctl. */
int vm_add_vcpu(struct vm *vm);

#endif
