/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * kvm_ept_sample: which guest pages does a KVM guest touch?
 *
 * One open file of KVM_EPT_SAMPLE_PATH holds at most one guest (INIT ... DEINIT).
 * Closing the file lets go of it.  kernel-module/README.md documents every errno.
 */
#ifndef KVM_EPT_SAMPLE_UAPI_H
#define KVM_EPT_SAMPLE_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>
#ifndef __KERNEL__
#include <stddef.h>
#endif

#define KVM_EPT_SAMPLE_PATH		"/proc/kvm_ept_sample"

/*
 * Part 1: the ABI of the original kvm-ept-sample, kept bit for bit.
 * Arguments are passed by value, but for GET_MEMSLOTS (pointer).
 */
#define KVM_EPT_SAMPLE_CMD_INIT		1200	/* pid of a process that runs a KVM guest */
#define KVM_EPT_SAMPLE_CMD_SET_PROT	1201	/* accesses to sample: r = 1, w = 2, x = 4 */
#define KVM_EPT_SAMPLE_CMD_SET_FREQ	1202	/* samples a second (Hz); 0 stops */
#define KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS	1203	/* struct kvm_ept_sample_get_memslots * */
#define KVM_EPT_SAMPLE_CMD_DEINIT	1204	/* no argument */

/* What read() returns, whole records only; it never blocks and returns 0 when there is none. */
struct kvm_ept_sample_sample {
	__u32 gfn : 29;	/* guest page frame number, 4 KiB pages */
	__u32 xwr : 3;	/* kinds of access seen */
};

struct kvm_ept_sample_memslot {
	__u64 gpa;		/* guest physical address of the slot's first byte */
	__u64 hva;		/* the same byte in the process that runs the guest */
	size_t page_count;	/* 4 KiB pages */
};

struct kvm_ept_sample_get_memslots {
	struct kvm_ept_sample_memslot *memslots;	/* in: array to fill */
	size_t capacity;				/* in: its length */
	size_t count;					/* out: entries filled */
};

/*
 * Part 2: VirtTier's additions.  Every struct begins with its own size, so both sides can grow: the
 * kernel accepts any size from that of the struct's first version on (else -EINVAL), takes missing
 * fields as zero, and refuses a longer struct only if its unknown tail is not zero (-E2BIG).
 */
#define KVM_EPT_SAMPLE_ABI_VERSION	1

#define KVM_EPT_SAMPLE_PAGING_NONE	0	/* the guest has no second-level table yet */
#define KVM_EPT_SAMPLE_PAGING_NPT	1	/* AMD nested page tables */
#define KVM_EPT_SAMPLE_PAGING_EPT	2	/* Intel extended page tables */

#define KVM_EPT_SAMPLE_INFO_AD		(1U << 0)	/* the table has accessed and dirty bits */
#define KVM_EPT_SAMPLE_INFO_FAULTS	(1U << 1)	/* fault sampling works on this kernel and CPU */
#define KVM_EPT_SAMPLE_INFO_HOOK	(1U << 2)	/* the optional kernel patch was found */
#define KVM_EPT_SAMPLE_INFO_DIRTY_LOG	(1U << 3)	/* half of the memory or more is dirty-logged now: live migration */
#define KVM_EPT_SAMPLE_INFO_GUEST	(1U << 4)	/* INIT was done: the guest's fields are valid */
#define KVM_EPT_SAMPLE_INFO_NESTED	(1U << 5)	/* the guest runs guests, or did lately */
#define KVM_EPT_SAMPLE_INFO_CONFIDENTIAL (1U << 6)	/* the guest's memory is kept from its host (SEV, SNP): harvest only */
#define KVM_EPT_SAMPLE_INFO_REPORT	(1U << 7)	/* the module knows HARVEST_REPORT */
/*
 * With INFO_NESTED: what those guests touch counts as touched by the guest.  HARVEST says so of itself, GET_INFO of the
 * last HARVEST.
 * INFO_NESTED without it, as from any module that does not know it: what they touch looks cold.
 */
#define KVM_EPT_SAMPLE_INFO_NESTED_SEEN	(1U << 8)

struct kvm_ept_sample_info {
	__u32 size;		/* in: sizeof(struct kvm_ept_sample_info) */
	__u32 abi_version;	/* out, as all below: KVM_EPT_SAMPLE_ABI_VERSION */
	__u32 flags;		/* KVM_EPT_SAMPLE_INFO_* */
	__u32 paging;		/* KVM_EPT_SAMPLE_PAGING_* */
	__u32 root_level;	/* 4 or 5; 0 while there is no table */
	__u32 page_sizes;	/* mapping sizes that may occur: bit 0 4 KiB, bit 1 2 MiB, bit 2 1 GiB */
	__u32 vcpus;		/* vCPUs now */
	__u32 memslots;		/* memslots now, for the capacity of GET_MEMSLOTS */
	__u64 gfn_end;		/* one past the highest gfn of any memslot */
	__u64 generation;	/* changes whenever the memslots change */
	/* Counters since INIT. */
	__u64 harvests;		/* calls of HARVEST that did something */
	__u64 harvest_ns;	/* time spent in them */
	__u64 entries;		/* table entries looked at by them */
	__u64 flushes;		/* remote TLB flushes asked for */
	__u64 samples;		/* fault samples recorded */
	__u64 dropped;		/* fault samples lost: queue full */
	__u64 armed;		/* entries armed for fault sampling */
	__u64 faults;		/* faults seen on armed entries */
	/* Size 112 until here. */
	__u64 interrupts;	/* CPUs interrupted for flushes: those that ran the guest just then */
	__u64 spared;		/* flushes that laying landmines did not need: nothing mined was accessed since the last */
};

/*
 * HARVEST: test (and clear) the accessed and dirty bits of [start, end).
 *
 * Bit (gfn - base) of each bitmap stands for a page; the bits of [start, next) are all written,
 * set or cleared, and no others.  A 2 MiB or 1 GiB mapping that was accessed sets the bit of each
 * of its pages.  A page that is not present in the table is neither accessed nor dirty; `present`
 * tells the two apart.  `sizes` has one byte for each 2 MiB of guest memory, byte
 * ((gfn - base) / 512).
 *
 * If neither `dirty` nor `present` is asked for, only accessed bits are looked for, and tables that
 * nobody used since they were last looked at are skipped, which makes a mostly cold guest much cheaper:
 * pages_present and pages_dirty are 0 then.
 *
 * A 1 GiB mapping has one accessed bit: with CLEAR, a call that begins within one that an earlier call
 * ended in finds it not accessed.  Calls from and to multiples of 1 GiB have no such trouble.
 *
 * The call may stop early (to bound the time that KVM's lock is held it drops and retakes the
 * lock by itself; it returns early only for a pending signal): call again with start = next
 * until next == end.
 */
#define KVM_EPT_SAMPLE_HARVEST_CLEAR	(1U << 0)	/* clear the accessed bits that are set */
#define KVM_EPT_SAMPLE_HARVEST_FLUSH	(1U << 1)	/* flush TLBs after clearing: the next access sets the bit again */
/*
 * Tell the host's reclaim of the pages whose accessed bits are taken (with CLEAR): it finds them accessed when it next
 * looks, as it would have without the harvest.  A module without INFO_REPORT refuses it (-EINVAL).
 */
#define KVM_EPT_SAMPLE_HARVEST_REPORT	(1U << 2)

#define KVM_EPT_SAMPLE_SIZE_NONE	0	/* nothing present in these 2 MiB */
#define KVM_EPT_SAMPLE_SIZE_4K		1
#define KVM_EPT_SAMPLE_SIZE_2M		2
#define KVM_EPT_SAMPLE_SIZE_1G		3

struct kvm_ept_sample_harvest {
	__u32 size;		/* in: sizeof(struct kvm_ept_sample_harvest) */
	__u32 flags;		/* in: KVM_EPT_SAMPLE_HARVEST_* */
	__u64 start;		/* in: first gfn, a multiple of 512 */
	__u64 end;		/* in: one past the last gfn, a multiple of 512, > start */
	__u64 base;		/* in: gfn of bit 0 of the bitmaps, a multiple of 512, <= start */
	__u64 accessed;		/* in: address of the bitmap to fill */
	__u64 dirty;		/* in: address of the bitmap to fill, or 0 */
	__u64 present;		/* in: address of the bitmap to fill, or 0 */
	__u64 sizes;		/* in: address of the byte array to fill, or 0 */
	__u64 next;		/* out: first gfn that was not harvested */
	__u64 pages_present;	/* out: 4 KiB pages of [start, next) in the table; see above */
	__u64 pages_accessed;	/* out: of these, pages with the accessed bit set */
	__u64 pages_dirty;	/* out: of these, pages with the dirty bit set; see above */
	__u64 generation;	/* out: memslot generation, as in GET_INFO */
	/* Size 104 until here. */
	__u32 state;		/* out: INFO_GUEST, with INFO_DIRTY_LOG, INFO_NESTED(_SEEN), INFO_CONFIDENTIAL as in GET_INFO */
	__u32 reserved;		/* 0 */
};

/*
 * SET_RECORD: the argument is the size in bytes of the records that read() returns: 4 for struct
 * kvm_ept_sample_sample, as after open, or 8 for this one, which holds any gfn.
 */
struct kvm_ept_sample_sample64 {
	__u64 gfn : 61;	/* guest page frame number, 4 KiB pages */
	__u64 xwr : 3;	/* kinds of access seen */
};

#define KVM_EPT_SAMPLE_IOC		0xB7
#define KVM_EPT_SAMPLE_CMD_GET_INFO	_IOWR(KVM_EPT_SAMPLE_IOC, 1, struct kvm_ept_sample_info)
#define KVM_EPT_SAMPLE_CMD_HARVEST	_IOWR(KVM_EPT_SAMPLE_IOC, 2, struct kvm_ept_sample_harvest)
#define KVM_EPT_SAMPLE_CMD_SET_RECORD	_IO(KVM_EPT_SAMPLE_IOC, 3)

#endif
