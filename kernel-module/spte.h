/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The entries of KVM's second-level page tables, as far as the sampler reads and changes them.
 *
 * Hardware's bits are from the manuals (AMD APM vol. 2, 15.25 "Nested Paging"; Intel SDM vol. 3,
 * "EPT translation mechanism").  KVM's software bits are private to it (arch/x86/kvm/mmu/spte.h
 * of the kernel's source) and move between versions: all that is known of them is here and in guest.c.
 */
#ifndef KVM_EPT_SAMPLE_SPTE_H
#define KVM_EPT_SAMPLE_SPTE_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>
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
#define EPT_XU			BIT_ULL(10)	/* executable for the guest's user mode (MBEC) */

/**
 * struct spte_layout - one kind of second-level table, as one generation of KVM makes it
 * @paging: KVM_EPT_SAMPLE_PAGING_*
 * @accessed: hardware's accessed bit
 * @dirty: hardware's dirty bit
 * @allow: bits that grant access when set
 * @exec: the bits of @allow for instruction fetches, 0 if there are none
 * @deny: bits that deny access when set (no-execute)
 * @saved: bits of @allow that an entry without any has at @saved_shift
 * @saved_shift: for EPT, where KVM's own access tracking keeps them; its lockless repair gives back what it finds there
 * @armed: our landmine lies here: neither hardware nor any KVM from 6.1 to 7.3 uses the bit.  With NPT, 59 to 62 are the page's
 *	protection key; with EPT, 57, 58, 60 and 61 have a meaning on some processors.
 * @writable_hints: KVM's marks, both set while it may make the entry writable
 * @tracking: KVM's kind of tracking; not 0 where it does without hardware's accessed and dirty bits
 * @unused: bits that no entry has which nobody armed
 */
struct spte_layout {
	u32 paging;
	u64 accessed;
	u64 dirty;
	u64 allow;
	u64 exec;
	u64 deny;
	u64 saved;
	unsigned int saved_shift;
	u64 armed;
	u64 writable_hints;
	u64 tracking;
	u64 unused;
};

/* With @saved, where W would lie, which is never saved: the entry denied what it denies now. */
static inline u64 spte_denied_before(const struct spte_layout *layout)
{
	return layout->deny ? SPTE_W << layout->saved_shift : 0;
}

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

/*
 * Whether @spte, a leaf, can be one that a KVM of that layout made: it marks what is writable, and sets no other
 * bit.  Only a writable entry tells layouts apart.
 */
static inline bool spte_fits(const struct spte_layout *layout, u64 spte)
{
	if ((spte & SPTE_W) && (spte & layout->writable_hints) != layout->writable_hints)
		return false;
	return !(spte & layout->unused);
}

/* An entry with the landmine still in it: nobody stepped on it, KVM did not replace it. */
static inline bool spte_is_armed(const struct spte_layout *layout, u64 spte)
{
	return spte_present(spte) && (spte & layout->armed);
}

/*
 * The entry with a landmine for accesses of kind @prot, or @spte itself, which lets reads pass, if it has none of the
 * permissions that would have to go.  Reads cannot be denied alone, so a mine for reads denies
 * everything.  NPT must lose P, W and U and get NX: KVMs that first ask whether the entry would
 * allow the access by its other bits call the fault spurious and never repair it.  EPT without
 * A/D bits repairs from the saved R and X; KVM with A/D bits rebuilds the entry from scratch.
 */
static inline u64 spte_arm(const struct spte_layout *layout, u64 spte, unsigned int prot)
{
	u64 armed = spte;

	if (prot & SPTE_PROT_R) {
		armed &= ~layout->allow;
		armed |= layout->deny;
		armed |= (spte & layout->saved) << layout->saved_shift;
		if (spte & layout->deny)
			armed |= spte_denied_before(layout);
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
	armed &= ~(layout->saved << layout->saved_shift);
	armed &= ~spte_denied_before(layout);
	return armed | give_back;
}

/*
 * What @armed, with a landmine for reads, was before it: all of it but W, which only KVM gives back.
 * @armed itself if it does not tell.
 */
static inline u64 spte_step_off(const struct spte_layout *layout, u64 armed)
{
	u64 give_back = (armed >> layout->saved_shift) & layout->saved;

	if (!give_back || (armed & layout->allow))
		return armed;
	if (!(armed & spte_denied_before(layout)))
		armed &= ~layout->deny;
	armed &= ~spte_denied_before(layout);
	armed &= ~(layout->armed | (layout->saved << layout->saved_shift));
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
