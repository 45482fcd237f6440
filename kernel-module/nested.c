// SPDX-License-Identifier: GPL-2.0
/*
 * The page tables that a guest's own guests run on.
 *
 * A guest that runs guests has tables of its own for them, which no processor of the host reads: KVM translates them
 * into others ("shadow pages"), whose entries map the guest's frames and have the accessed bits of what the nested guests
 * touch.  They are found from the other end: for each page of a memslot, KVM lists all entries of such tables that map it
 * (its "rmap", public in struct kvm_arch_memory_slot).  With KVM's newer MMU the guest's own tables are in no such list;
 * with the older one they are, and are then looked at once more.
 *
 * The lists change only under mmu_lock held for writing, and so do the tables: to hold it for reading is enough.  Newer
 * KVMs look at a list without it, and mark the list meanwhile (RMAP_LOCKED).
 */
#include <linux/uaccess.h>

#include "checks.h"
#include "guest.h"
#include "nested.h"

#define RMAP_MANY	BIT(0)	/* a list of parts, not the one entry itself */
#define RMAP_LOCKED	BIT(1)	/* since 6.15 */

/* Entries in a part. */
#define PART_ENTRIES	14

/* Parts of a list that are looked at: a page that nested guests have at 50,000 places is no usual one. */
#define MAX_PARTS	4096

/*
 * One part of a list: struct pte_list_desc of arch/x86/kvm/mmu/mmu.c, private to KVM.  Since 6.3, @count is in 32 bits and has
 * another count behind it; before that it is in 64, of which the upper ones are 0.
 */
struct rmap_part {
	const struct rmap_part *more;
	u32 count;
	u32 in_more;
	u64 *entries[PART_ENTRIES];
};

/**
 * nested_runs() - whether the guest runs guests with page tables of their own, or did lately
 * @kvm: the guest
 *
 * KVM keeps count of the tables that it translated, until it throws them away.
 */
bool nested_runs(struct kvm *kvm)
{
	return READ_ONCE(kvm->arch.indirect_shadow_pages);
}

/* A plain number up to 6.14, an atomic one since. */
static unsigned long value_of(const struct kvm_rmap_head *head)
{
	BUILD_BUG_ON(sizeof(*head) != sizeof(unsigned long));
	return READ_ONCE(*(const unsigned long *)head) & ~RMAP_LOCKED;
}

/* What may be told of an address to everybody. */
static u64 place_of(const void *at)
{
	return virt_addr_valid(at) ? __pa(at) : 0;
}

/* Call the caller back, if an entry maps the frame @pfn at @level, in a table of KVM's whose accessed bits hardware keeps. */
static bool see_entry(struct nested_tables *nested, u64 *sptep, int level, u64 pfn)
{
	const u64 *table = PTR_ALIGN_DOWN(sptep, PAGE_SIZE);
	bool has_ad;
	u64 spte;

	if (table != nested->table || level != nested->level) {
		if (!guest_is_table(table, level, &has_ad)) {
			check_failed(CHECK_NESTED, place_of(sptep));
			return false;
		}
		/* The guest has its guests' tables without accessed bits: hardware keeps none in their translation (Intel). */
		if (!has_ad)
			return false;
		nested->table = table;
		nested->level = level;
	}
	spte = READ_ONCE(*sptep);
	if (!spte_present(spte) || !spte_is_leaf(spte, level) ||
	    (pfn != NESTED_ANY_FRAME && (spte & SPTE_ADDR) >> PAGE_SHIFT != pfn)) {
		check_failed(CHECK_NESTED, spte);
		return false;
	}
	nested->entry(nested, sptep, spte, level);
	return true;
}

/**
 * nested_for_each() - go through the entries that map a page in tables of nested guests
 * @nested: where the walk is; its @entry is called for each
 * @slot: the page's memslot, with kvm->srcu and mmu_lock held
 * @gfn: the page, the first that entries of @level map or the first of them in @slot
 * @level: of the entries: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
 * @pfn: the frame that the guest's own table has for it, or NESTED_ANY_FRAME
 *
 * Return: false if not all of them can be seen: they are without accessed bits, or not what they are known to be.
 */
bool nested_for_each(struct nested_tables *nested, const struct kvm_memory_slot *slot, gfn_t gfn, int level, u64 pfn)
{
	const struct kvm_rmap_head *heads = slot->arch.rmap[level - PG_LEVEL_4K];
	const unsigned int shift = KVM_HPAGE_GFN_SHIFT(level);
	const struct rmap_part *next;
	unsigned long value;
	unsigned int parts, i;

	if (!heads) {
		check_failed(CHECK_NESTED, 0);
		return false;
	}
	value = value_of(&heads[(gfn >> shift) - (slot->base_gfn >> shift)]);
	if (!value)
		return true;
	if (!(value & RMAP_MANY))
		return see_entry(nested, (u64 *)value, level, pfn);

	next = (const struct rmap_part *)(value & ~RMAP_MANY);
	for (parts = 0; next && parts < MAX_PARTS; parts++) {
		struct rmap_part part;

		if (copy_from_kernel_nofault(&part, next, sizeof(part)) || !part.count || part.count > PART_ENTRIES) {
			check_failed(CHECK_NESTED, place_of(next));
			return false;
		}
		for (i = 0; i < part.count; i++)
			if (!see_entry(nested, part.entries[i], level, pfn))
				return false;
		next = part.more;
	}
	return !next;
}
