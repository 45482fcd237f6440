/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The entries of KVM's second-level page tables, as far as the sampler reads and changes them.
 *
 * Hardware's bits are from the manuals (AMD APM vol. 2, 15.25 "Nested Paging"; Intel SDM vol. 3,
 * "EPT translation mechanism").  KVM's software bits are private to it (arch/x86/kvm/mmu/spte.h
 * of the kernel's source) and move between versions: all that is known of them is here.
 */
#ifndef KVM_EPT_SAMPLE_SPTE_H
#define KVM_EPT_SAMPLE_SPTE_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>
#include <linux/version.h>
#include <asm/page.h>

#define SPTE_ENTRIES		512	/* of one table */

#define SPTE_MMU_PRESENT	BIT_ULL(11)	/* KVM: maps memory, whatever hardware may say */
#define SPTE_LARGE		BIT_ULL(7)	/* a leaf above the lowest level */
#define SPTE_ADDR		(__PHYSICAL_MASK & PAGE_MASK)

#define SPTE_R			BIT_ULL(0)	/* readable: NPT's P, EPT's R */
#define SPTE_W			BIT_ULL(1)	/* writable: the same bit for NPT and EPT */

#define NPT_U			BIT_ULL(2)
#define NPT_ACCESSED		BIT_ULL(5)
#define NPT_DIRTY		BIT_ULL(6)
#define NPT_HOST_WRITABLE	BIT_ULL(9)
#define NPT_MMU_WRITABLE	BIT_ULL(10)
#define NPT_NX			BIT_ULL(63)

#define EPT_X			BIT_ULL(2)
#define EPT_ACCESSED		BIT_ULL(8)
#define EPT_DIRTY		BIT_ULL(9)

/*
 * EPT's software bits.  EPT_SAVED_SHIFT is where KVM's own access tracking keeps R, X and XU of an
 * entry that it took them from; its lockless repair gives back what it finds there.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define SPTE_LAYOUT_KNOWN	1
#define EPT_XU			0ULL
#define EPT_SAVED_SHIFT		54
#define EPT_HOST_WRITABLE	BIT_ULL(57)
#define EPT_MMU_WRITABLE	BIT_ULL(58)
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(7, 4, 0)
#define SPTE_LAYOUT_KNOWN	1
#define EPT_XU			BIT_ULL(10)	/* executable for the guest's user mode (MBEC) */
#define EPT_SAVED_SHIFT		52
#define EPT_HOST_WRITABLE	BIT_ULL(53)
#define EPT_MMU_WRITABLE	BIT_ULL(55)
#else
/* An unknown kernel: no landmines.  Harvest needs none of these. */
#define SPTE_LAYOUT_KNOWN	0
#define EPT_XU			0ULL
#define EPT_SAVED_SHIFT		0
#define EPT_HOST_WRITABLE	0ULL
#define EPT_MMU_WRITABLE	0ULL
#endif

/**
 * struct spte_layout - one kind of second-level table
 * @accessed: hardware's accessed bit
 * @dirty: hardware's dirty bit
 * @allow: bits that grant access when set
 * @exec: the bit of @allow for instruction fetches, 0 if there is none
 * @deny: bits that deny access when set (no-execute)
 * @saved: bits of @allow that an entry without any has at EPT_SAVED_SHIFT; for EPT, KVM's own place
 * @armed: our landmine lies here: neither hardware nor any KVM from 6.1 to 7.3 uses the bit.  With NPT, 59 to 62 are the page's
 *	protection key; with EPT, 57, 58, 60 and 61 have a meaning on some processors.
 * @writable_hints: KVM's marks, both set while it may make the entry writable
 */
struct spte_layout {
	u64 accessed;
	u64 dirty;
	u64 allow;
	u64 exec;
	u64 deny;
	u64 saved;
	u64 armed;
	u64 writable_hints;
};

/* One of each, so that its address tells the kind. */
extern const struct spte_layout npt_layout;
extern const struct spte_layout ept_layout;

/* With @saved, where W would lie, which is never saved: the entry denied what it denies now. */
#define SPTE_DENIED_BEFORE	(BIT_ULL(1) << EPT_SAVED_SHIFT)

#define SPTE_PROT_R	1
#define SPTE_PROT_W	2
#define SPTE_PROT_X	4

static inline bool spte_present(u64 spte)
{
	return spte & SPTE_MMU_PRESENT;
}

static inline bool spte_is_leaf(u64 spte, int level)
{
	return level == 1 || (spte & SPTE_LARGE);
}

/* The table that an entry which is no leaf points to. */
static inline u64 *spte_table(u64 spte)
{
	return __va(spte & SPTE_ADDR);
}

/* An entry with the landmine still in it: nobody stepped on it, KVM did not replace it. */
static inline bool spte_is_armed(const struct spte_layout *layout, u64 spte)
{
	return spte_present(spte) && (spte & layout->armed);
}

/*
 * The entry with a landmine for accesses of kind @prot, or @spte itself if it has none of the
 * permissions that would have to go, or denies reads already: then it is no entry as KVM makes them,
 * or one that was just stepped on.  Reads cannot be denied alone, so a mine for reads denies
 * everything.  NPT must lose P, W and U and get NX: KVMs that first ask whether the entry would
 * allow the access by its other bits call the fault spurious and never repair it.  EPT without
 * A/D bits repairs from the saved R and X; KVM with A/D bits rebuilds the entry from scratch.
 */
static inline u64 spte_arm(const struct spte_layout *layout, u64 spte, unsigned int prot)
{
	u64 armed = spte;

	if (!(spte & SPTE_R))
		return spte;
	if (prot & SPTE_PROT_R) {
		armed &= ~layout->allow;
		armed |= layout->deny;
		armed |= (spte & layout->saved) << EPT_SAVED_SHIFT;
		if (spte & layout->deny)
			armed |= SPTE_DENIED_BEFORE;
	} else {
		if (prot & SPTE_PROT_W)
			armed &= ~SPTE_W;
		if (prot & SPTE_PROT_X) {
			armed &= ~layout->exec;
			armed |= layout->deny;
		}
	}
	return armed == spte ? spte : armed | layout->armed;
}

/*
 * Take the landmine out of @armed again.  @before is the entry as it was: the entry gets back what
 * it had, never more.  W comes back only if @may_write (dirty logging is off) and KVM has not
 * revoked it meanwhile; else the next write faults and KVM grants it with its accounting.
 */
static inline u64 spte_disarm(const struct spte_layout *layout, u64 armed, u64 before,
			      bool may_write)
{
	u64 give_back = before & layout->allow;

	if (!may_write || (armed & layout->writable_hints) != layout->writable_hints)
		give_back &= ~SPTE_W;
	armed &= ~(layout->armed | (layout->deny & ~before));
	armed &= ~(layout->saved << EPT_SAVED_SHIFT);
	if (layout->deny)
		armed &= ~SPTE_DENIED_BEFORE;
	return armed | give_back;
}

/*
 * What @armed, with a landmine for reads, was before it: all of it but W, which only KVM gives back.
 * @armed itself if it does not tell.
 */
static inline u64 spte_step_off(const struct spte_layout *layout, u64 armed)
{
	u64 give_back = (armed >> EPT_SAVED_SHIFT) & layout->saved;

	if (!give_back || (armed & layout->allow))
		return armed;
	if (layout->deny && !(armed & SPTE_DENIED_BEFORE))
		armed &= ~layout->deny;
	if (layout->deny)
		armed &= ~SPTE_DENIED_BEFORE;
	armed &= ~(layout->armed | (layout->saved << EPT_SAVED_SHIFT));
	return armed | give_back;
}

/* Whether @spte lets a read (@fetch: a fetch) pass. */
static inline bool spte_allows(const struct spte_layout *layout, u64 spte, bool fetch)
{
	if (!(spte & SPTE_R))
		return false;
	if (!fetch)
		return true;
	return layout->exec ? spte & layout->exec : !(spte & layout->deny);
}

#endif
