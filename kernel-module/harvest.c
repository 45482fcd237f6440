// SPDX-License-Identifier: GPL-2.0
/*
 * HARVEST: test and clear the accessed bits of a guest's second-level page tables, and of those that its own guests run on.
 */
#include <linux/bitmap.h>
#include <linux/page_idle.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#include "checks.h"
#include "guest.h"
#include "harvest.h"
#include "nested.h"

/* A block is what one table of the lowest level maps: 2 MiB. */
#define BLOCK_PAGES	512
#define BLOCK_BYTES	(BLOCK_PAGES / 8)
#define GIANT_PAGES	(512 * 512)	/* of a 1 GiB leaf */

/* Entries asked at once whether any has its accessed bit, or all: more of them agree less often. */
#define GROUP	4

/*
 * Blocks looked at before mmu_lock is let go: at most 32 * 512 entries a hold, in each page table.
 * At the 10 to 50 ns measured for an entry that is under a millisecond.
 */
#define BATCH_BLOCKS	32

/* The same where reclaim is told of each accessed page, which takes several times as long as to find it. */
#define REPORT_BLOCKS	8

/* Blocks of which harvest knows whether they are cold: 128 TiB, in 16 MiB of bitmaps. */
#define MAX_COLD_BLOCKS	(1ULL << 26)

/* Guest physical addresses have at most 52 bits. */
#define GFN_END		(1ULL << (52 - PAGE_SHIFT))

/**
 * struct harvest_buffer - what one batch found, on its way to the caller's bitmaps
 * @accessed: bit per page
 * @dirty: bit per page
 * @present: bit per page
 * @sizes: KVM_EPT_SAMPLE_SIZE_* per block
 * @touched: bit per block: something was found, or looked for; the bitmaps of the others are not even cleared
 */
struct harvest_buffer {
	unsigned long accessed[BATCH_BLOCKS][BITS_TO_LONGS(BLOCK_PAGES)];
	unsigned long dirty[BATCH_BLOCKS][BITS_TO_LONGS(BLOCK_PAGES)];
	unsigned long present[BATCH_BLOCKS][BITS_TO_LONGS(BLOCK_PAGES)];
	u8 sizes[BATCH_BLOCKS];
	unsigned long touched[BITS_TO_LONGS(BATCH_BLOCKS)];
};

/**
 * struct walk - one harvest under way
 * @harvester: whose
 * @guest: of this guest
 * @clear: clear the accessed bits that are set
 * @report: tell the host's reclaim which were
 * @cleared: some were
 * @flush: flush the TLBs after that
 * @unknown: a table is not as KVM makes them: nothing that was found can be relied on
 * @only_accessed: nobody wants more than accessed bits: what was not accessed need not be looked at closely
 * @alone: no other page table maps anything near the block just harvested
 * @entries: entries looked at
 * @giant_end: end of the 1 GiB leaf that the walk is in; it is looked at once, not 512 times
 * @giant: what was found in that leaf
 * @entry: of each root, the entry that maps the block just harvested, while mmu_lock is held; NULL if that is above level 2
 * @nested: the tables of the guest's own guests
 * @nested_unseen: some of these cannot be seen; what was found in others counts, and no more are looked at
 * @nested_entries: entries of them looked at
 * @nested_block: the block whose entries are looked at
 * @nested_page: the page in it
 * @nested_giant_end: end of the 1 GiB that entries of theirs map, which the walk is in, as with @giant_end
 * @nested_giant: what was found in these
 */
struct walk {
	struct harvester *harvester;
	struct guest *guest;
	bool clear;
	bool report;
	bool cleared;
	bool flush;
	bool unknown;
	bool only_accessed;
	bool alone;
	u64 entries;
	gfn_t giant_end;
	u64 giant;
	u64 *entry[MAX_ROOTS];
	struct nested_tables nested;
	bool nested_unseen;
	u64 nested_entries;
	unsigned int nested_block;
	unsigned int nested_page;
	gfn_t nested_giant_end;
	u64 nested_giant;
};

static void forget_cold(struct harvester *harvester)
{
	kvfree(harvester->cold.cleared);
	kvfree(harvester->cold.quiet);
	harvester->cold = (struct cold_tables){ .root = INVALID_PAGE };
}

/**
 * harvester_init() - prepare for harvests
 * @harvester: zeroed; to be given to harvester_free(), unless this fails
 * @guest: of this guest
 *
 * Return: 0 or -ENOMEM.
 */
int harvester_init(struct harvester *harvester, struct guest *guest)
{
	harvester->guest = guest;
	harvester->buffer = kvmalloc(sizeof(*harvester->buffer), GFP_KERNEL_ACCOUNT);
	return harvester->buffer ? 0 : -ENOMEM;
}

/**
 * harvester_free() - free what harvests needed, and what they learned
 * @harvester: from harvester_init()
 */
void harvester_free(struct harvester *harvester)
{
	forget_cold(harvester);
	kvfree(harvester->buffer);
}

/* Make room to know which tables below @end are cold; without it all of them are looked into. */
static void cover(struct harvester *harvester, gfn_t end)
{
	struct cold_tables *cold = &harvester->cold;
	struct kvm *kvm = harvester->guest->kvm;
	u64 blocks;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	end = min(end, guest_gfn_end(kvm));
	srcu_read_unlock(&kvm->srcu, idx);
	blocks = min_t(u64, DIV_ROUND_UP(end, BLOCK_PAGES), MAX_COLD_BLOCKS);
	if (blocks <= cold->blocks)
		return;

	forget_cold(harvester);
	cold->cleared = kvcalloc(BITS_TO_LONGS(blocks), sizeof(long), GFP_KERNEL_ACCOUNT);
	cold->quiet = kvcalloc(BITS_TO_LONGS(blocks), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (cold->cleared && cold->quiet)
		cold->blocks = blocks;
	else
		forget_cold(harvester);
}

/*
 * Take the accessed bit of an entry that was seen as @spte.  By cmpxchg on a value seen present: an
 * entry that KVM is just replacing holds a mark with the same bits set.
 */
static u64 take_accessed(struct walk *walk, u64 *sptep, u64 spte)
{
	u64 accessed = walk->guest->layout->accessed;

	while (spte_present(spte) && (spte & accessed))
		if (try_cmpxchg64(sptep, &spte, spte & ~accessed)) {
			walk->cleared = true;
			break;
		}
	return spte;
}

/* The same for an entry just seen as @spte, present and accessed, where it is worth being quick. */
static __always_inline void take_seen(struct walk *walk, u64 *sptep, u64 spte, u64 accessed)
{
	u64 now = spte;

	if (!try_cmpxchg64(sptep, &now, spte & ~accessed))
		take_accessed(walk, sptep, now);
}

/*
 * Take the accessed bit of the entry that was classified as @spte, if it still is that: what KVM put there
 * meanwhile keeps its bit for the next harvest.  Only hardware's bits may differ.  Returns whether it was taken.
 */
static bool take_classified(struct walk *walk, u64 *sptep, u64 spte)
{
	const u64 hardware = walk->guest->layout->accessed | walk->guest->layout->dirty;
	u64 now = spte;

	while (!((now ^ spte) & ~hardware) && (now & walk->guest->layout->accessed))
		if (try_cmpxchg64(sptep, &now, now & ~walk->guest->layout->accessed)) {
			walk->cleared = true;
			return true;
		}
	return false;
}

/* Begin to gather what there is of a block; another page table may have shown some of it already. */
static void touch(struct walk *walk, unsigned int block)
{
	struct harvest_buffer *found = walk->harvester->buffer;

	if (__test_and_set_bit(block, found->touched))
		return;
	memset(found->accessed[block], 0, BLOCK_BYTES);
	if (!walk->only_accessed) {
		memset(found->dirty[block], 0, BLOCK_BYTES);
		memset(found->present[block], 0, BLOCK_BYTES);
	}
}

/* Look at the 512 entries of a table of the lowest level for all that they tell. */
static void look_closely(struct walk *walk, u64 *table, unsigned int block)
{
	const u64 accessed = walk->guest->layout->accessed, dirty = walk->guest->layout->dirty;
	struct harvest_buffer *found = walk->harvester->buffer;
	const bool clear = walk->clear;
	unsigned int word;

	touch(walk, block);
	for (word = 0; word < BITS_TO_LONGS(BLOCK_PAGES); word++) {
		unsigned long is_present = 0, is_accessed = 0, is_dirty = 0, bit;

		for (bit = 1; bit; bit <<= 1, table++) {
			u64 spte = READ_ONCE(*table);

			if (!spte_present(spte))
				continue;
			is_present |= bit;
			if (spte & dirty)
				is_dirty |= bit;
			if (!(spte & accessed))
				continue;
			is_accessed |= bit;
			if (clear)
				take_seen(walk, table, spte, accessed);
		}
		found->present[block][word] |= is_present;
		found->accessed[block][word] |= is_accessed;
		found->dirty[block][word] |= is_dirty;
		if (clear && is_accessed)
			walk->cleared = true;
	}
	walk->entries += BLOCK_PAGES;
}

/*
 * Look at the 512 entries of a table of the lowest level for their accessed bits only: the loop that all
 * the time is spent in.  Returns whether any entry is present.
 */
static bool look_into(struct walk *walk, u64 *table, unsigned int block)
{
	const u64 accessed = walk->guest->layout->accessed;
	const bool clear = walk->clear;
	unsigned int word, bit, i;
	u64 any = 0;

	touch(walk, block);
	for (word = 0; word < BITS_TO_LONGS(BLOCK_PAGES); word++) {
		unsigned long is_accessed = 0;

		for (bit = 0; bit < BITS_PER_LONG; bit += GROUP, table += GROUP) {
			const u64 spte[GROUP] = { READ_ONCE(table[0]), READ_ONCE(table[1]),
						  READ_ONCE(table[2]), READ_ONCE(table[3]) };
			u64 one = spte[0] | spte[1] | spte[2] | spte[3];
			u64 all = spte[0] & spte[1] & spte[2] & spte[3];

			any |= one;
			if (!(one & accessed))
				continue;
			/* Hot pages have hot neighbours. */
			if (clear && spte_present(all) && (all & accessed)) {
				is_accessed |= GENMASK(GROUP - 1, 0) << bit;
				take_seen(walk, &table[0], spte[0], accessed);
				take_seen(walk, &table[1], spte[1], accessed);
				take_seen(walk, &table[2], spte[2], accessed);
				take_seen(walk, &table[3], spte[3], accessed);
				continue;
			}
			for (i = 0; i < GROUP; i++) {
				if (!(spte[i] & accessed) || !spte_present(spte[i]))
					continue;
				is_accessed |= BIT(bit + i);
				if (clear)
					take_seen(walk, &table[i], spte[i], accessed);
			}
		}
		walk->harvester->buffer->accessed[block][word] |= is_accessed;
		if (clear && is_accessed)
			walk->cleared = true;
	}
	walk->entries += BLOCK_PAGES;
	return spte_present(any);
}

/*
 * Tell reclaim that the page which @spte maps was accessed: in the way that was made for whoever takes accessed
 * bits from it, or as KVM does when it drops an entry.  The page cannot go: KVM has to take the entry out first, for
 * which it needs mmu_lock.
 */
static void report_page(u64 spte)
{
	unsigned long pfn = (spte & SPTE_ADDR) >> PAGE_SHIFT;
	struct folio *folio;

	if (!spte_present(spte) || !pfn_valid(pfn) || PageReserved(pfn_to_page(pfn)))
		return;
	folio = page_folio(pfn_to_page(pfn));
	if (IS_ENABLED(CONFIG_PAGE_IDLE_FLAG))
		folio_set_young(folio);
	else
		folio_mark_accessed(folio);
}

/* The same for all that was found in a table of the lowest level, not in the loops that find it, which are to be quick. */
static void report_table(const struct walk *walk, const u64 *table, unsigned int block)
{
	unsigned int i;

	for_each_set_bit(i, walk->harvester->buffer->accessed[block], BLOCK_PAGES)
		report_page(READ_ONCE(table[i]));
}

static void note_block(struct walk *walk, unsigned int block, u64 spte)
{
	struct harvest_buffer *found = walk->harvester->buffer;

	touch(walk, block);
	bitmap_fill(found->present[block], BLOCK_PAGES);
	if (spte & walk->guest->layout->accessed)
		bitmap_fill(found->accessed[block], BLOCK_PAGES);
	if (spte & walk->guest->layout->dirty)
		bitmap_fill(found->dirty[block], BLOCK_PAGES);
}

static void note_size(struct walk *walk, unsigned int block, u8 size)
{
	struct harvest_buffer *found = walk->harvester->buffer;

	found->sizes[block] = max(found->sizes[block], size);
}

/*
 * Whether the table under @sptep can be skipped, because nobody used it since it was last looked at.
 *
 * Hardware sets the accessed bit of the entry above when it walks through it, but not while it has
 * that entry cached.  So after clearing it and flushing the caches one more look into the table is
 * due, for what went through the cached entry meanwhile; from then on the bit above tells all.
 * KVM sets the bit in the entries that it makes, so a new table is never taken for a cold one.
 */
static bool is_cold(struct walk *walk, const struct root *root, u64 *sptep, u64 spte, u64 number)
{
	struct cold_tables *cold = &walk->harvester->cold;
	bool accessed;

	if (root->hpa != cold->root || number >= cold->blocks)
		return false;
	accessed = spte & walk->guest->layout->accessed;
	if (!accessed && test_bit(number, cold->quiet))
		return walk->only_accessed;
	if (!walk->clear || !walk->flush)
		return false;
	if (!accessed && test_bit(number, cold->cleared)) {
		__set_bit(number, cold->quiet);
	} else {
		__clear_bit(number, cold->quiet);
		walk->entries++;
		walk->cleared = true;
		if (!accessed || take_classified(walk, sptep, spte))
			__set_bit(number, cold->cleared);
		else
			__clear_bit(number, cold->cleared);
	}
	return false;
}

/* What is cold is known of the first page table, where the guest's memory is; learn it anew when that is another. */
static void meet_root(struct walk *walk, const struct root *root)
{
	struct cold_tables *cold = &walk->harvester->cold;

	if (cold->root != root->hpa && cold->blocks) {
		bitmap_zero(cold->cleared, cold->blocks);
		bitmap_zero(cold->quiet, cold->blocks);
		cold->root = root->hpa;
	}
}

/*
 * The entry that maps the block at @gfn, as guest_entry() finds it: most often the one after the block
 * before it, so that the upper levels are looked at once, not for each cold table.
 */
static u64 *next_entry(const struct root *root, u64 **entry, gfn_t gfn, int *level)
{
	u64 *sptep;

	if (*entry && gfn / BLOCK_PAGES % SPTE_ENTRIES) {
		*level = 2;
		return ++*entry;
	}
	sptep = guest_entry(root, gfn, 2, level);
	*entry = *level == 2 ? sptep : NULL;
	return sptep;
}

/* Harvest the 2 MiB from @gfn as @root maps them. */
static void harvest_block(struct walk *walk, const struct root *root, u64 **entry, gfn_t gfn,
			  unsigned int block)
{
	u64 *sptep, *table;
	bool present;
	int level;
	u64 spte;

	sptep = next_entry(root, entry, gfn, &level);
	if (!sptep) {
		walk->unknown = true;
		return;
	}
	spte = READ_ONCE(*sptep);
	if (level == 2 && spte_present(spte) && !spte_is_leaf(spte, level)) {
		if (is_cold(walk, root, sptep, spte, gfn / BLOCK_PAGES)) {
			note_size(walk, block, KVM_EPT_SAMPLE_SIZE_4K);
			return;
		}
		table = guest_table(spte, PG_LEVEL_4K);
		if (!table) {
			walk->unknown = true;
			return;
		}
		if (walk->only_accessed) {
			present = look_into(walk, table, block);
		} else {
			look_closely(walk, table, block);
			present = !bitmap_empty(walk->harvester->buffer->present[block], BLOCK_PAGES);
		}
		if (walk->report)
			report_table(walk, table, block);
		if (present)
			note_size(walk, block, KVM_EPT_SAMPLE_SIZE_4K);
		return;
	}

	walk->entries++;
	if (!spte_present(spte) || !spte_is_leaf(spte, level))
		return;		/* not mapped, or KVM is changing it now: seen next time */
	if (walk->clear && take_classified(walk, sptep, spte) && walk->report)
		report_page(spte);
	note_block(walk, block, spte);
	if (level == 2) {
		note_size(walk, block, KVM_EPT_SAMPLE_SIZE_2M);
	} else {
		note_size(walk, block, KVM_EPT_SAMPLE_SIZE_1G);
		if (walk->giant_end <= gfn) {
			walk->giant_end = round_down(gfn, GIANT_PAGES) + GIANT_PAGES;
			walk->giant = 0;
		}
		walk->giant |= spte;
	}
}

/*
 * How many of the @most blocks from @gfn have a table that is_cold() would skip, without going through
 * all that a block may need: a large guest is mostly this.  The block before them must have been
 * harvested just now.
 */
static unsigned int skip_cold(struct walk *walk, gfn_t gfn, unsigned int most)
{
	const u64 accessed = walk->guest->layout->accessed;
	const struct cold_tables *cold = &walk->harvester->cold;
	u64 number = gfn / BLOCK_PAGES, *entry = walk->entry[0];
	unsigned int i;

	if (!entry || !walk->alone || !walk->only_accessed)
		return 0;
	/* Not beyond the end of the table that the entry is in, nor of what is known. */
	most = min_t(u64, most, SPTE_ENTRIES - 1 - (number - 1) % SPTE_ENTRIES);
	most = number < cold->blocks ? min_t(u64, most, cold->blocks - number) : 0;
	for (i = 0; i < most; i++) {
		u64 spte = READ_ONCE(entry[i + 1]);

		if (!spte_present(spte) || spte_is_leaf(spte, 2) || (spte & accessed) ||
		    !test_bit(number + i, cold->quiet))
			break;
	}
	walk->entry[0] += i;
	return i;
}

/* What one entry of a nested guest's table tells of the page that the walk is at. */
static void harvest_nested_entry(struct nested_tables *nested, u64 *sptep, u64 spte, int level)
{
	struct walk *walk = container_of(nested, struct walk, nested);
	struct harvest_buffer *found = walk->harvester->buffer;
	const struct spte_layout *layout = walk->guest->layout;
	unsigned int block = walk->nested_block, page = walk->nested_page;

	walk->nested_entries++;
	if (walk->clear && (spte & layout->accessed)) {
		take_accessed(walk, sptep, spte);
		if (walk->report)
			report_page(spte);
	}
	if (level == PG_LEVEL_1G) {
		walk->nested_giant |= spte;
	} else if (level == PG_LEVEL_2M) {
		note_block(walk, block, spte);
		note_size(walk, block, KVM_EPT_SAMPLE_SIZE_2M);
	} else {
		touch(walk, block);
		__set_bit(page, found->present[block]);
		if (spte & layout->accessed)
			__set_bit(page, found->accessed[block]);
		if (spte & layout->dirty)
			__set_bit(page, found->dirty[block]);
		note_size(walk, block, KVM_EPT_SAMPLE_SIZE_4K);
	}
}

/* The frame that the guest's own table has for page @i of a block: in @table, or in the 2 MiB entry @above if that is NULL. */
static u64 frame_of(const u64 *table, u64 above, unsigned int i)
{
	u64 spte = table ? READ_ONCE(table[i]) : above;

	if (!spte_present(spte))
		return NESTED_ANY_FRAME;
	return ((spte & SPTE_ADDR) >> PAGE_SHIFT) + (table ? 0 : i);
}

/* The same for all entries that map what @slot has of the block at @gfn, but for those of 1 GiB. */
static bool harvest_nested_slot(struct walk *walk, const struct kvm_memory_slot *slot, gfn_t gfn, const u64 *table, u64 above)
{
	gfn_t at = max(gfn, slot->base_gfn), end = min(gfn + BLOCK_PAGES, slot->base_gfn + slot->npages);

	if (!nested_for_each(&walk->nested, slot, at, PG_LEVEL_2M, frame_of(table, above, at - gfn)))
		return false;
	for (; at < end; at++) {
		walk->nested_page = at - gfn;
		if (!nested_for_each(&walk->nested, slot, at, PG_LEVEL_4K, frame_of(table, above, at - gfn)))
			return false;
	}
	return true;
}

/*
 * Look at the entries that map the block at @gfn for the guest's own guests; @above is the one that maps it for the guest
 * itself, NULL if that is above level 2.  An entry of 1 GiB is looked at once, and noted for each block.
 */
static void harvest_nested(struct walk *walk, gfn_t gfn, unsigned int block, const u64 *above)
{
	const bool in_giant = gfn < walk->nested_giant_end;
	struct kvm_memslot_iter iter;
	const u64 *table = NULL;
	u64 spte = 0;

	if (above) {
		spte = READ_ONCE(*above);
		if (spte_present(spte) && !spte_is_leaf(spte, PG_LEVEL_2M)) {
			table = guest_table(spte, PG_LEVEL_4K);
			spte = 0;
		}
	}
	if (!in_giant)
		walk->nested_giant = 0;
	walk->nested_block = block;
	/* Not the memslots of system management mode, too: a vCPU leaves its nested guest to enter it. */
	kvm_for_each_memslot_in_gfn_range(&iter, kvm_memslots(walk->guest->kvm), gfn, gfn + BLOCK_PAGES) {
		if (!harvest_nested_slot(walk, iter.slot, gfn, table, spte) ||
		    (!in_giant && !nested_for_each(&walk->nested, iter.slot, max(gfn, iter.slot->base_gfn), PG_LEVEL_1G,
						   NESTED_ANY_FRAME))) {
			walk->nested_unseen = true;
			return;
		}
	}
	if (!walk->nested_giant)
		return;
	walk->nested_giant_end = round_down(gfn, GIANT_PAGES) + GIANT_PAGES;
	note_block(walk, block, walk->nested_giant);
	note_size(walk, block, KVM_EPT_SAMPLE_SIZE_1G);
}

/* Harvest up to BATCH_BLOCKS blocks from @gfn to @end under one hold of mmu_lock; how many. */
static unsigned int harvest_batch(struct walk *walk, gfn_t gfn, gfn_t end)
{
	struct harvest_buffer *found = walk->harvester->buffer;
	struct kvm *kvm = walk->guest->kvm;
	struct root roots[MAX_ROOTS];
	unsigned int block, blocks, cold;
	int root, count;
	bool nested;

	blocks = min_t(u64, walk->report ? REPORT_BLOCKS : BATCH_BLOCKS, (end - gfn) / BLOCK_PAGES);
	memset(found->sizes, 0, blocks);
	bitmap_zero(found->touched, BATCH_BLOCKS);

	/* The TDP MMU frees its tables by RCU, the older MMU under mmu_lock for write. */
	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	count = guest_roots(kvm, roots);
	if (count)
		meet_root(walk, &roots[0]);
	memset(walk->entry, 0, sizeof(walk->entry));
	nested = nested_runs(kvm);
	walk->nested.table = NULL;
	for (block = 0; block < blocks; block++, gfn += BLOCK_PAGES) {
		if (block && (need_resched() || rwlock_needbreak(&kvm->mmu_lock)))
			break;
		if (gfn < walk->giant_end) {	/* which begins a table, so what is in @entry is not used after it */
			note_block(walk, block, walk->giant);
			note_size(walk, block, KVM_EPT_SAMPLE_SIZE_1G);
			if (nested && !walk->nested_unseen)
				harvest_nested(walk, gfn, block, NULL);
			continue;
		}
		walk->alone = true;
		for (root = 0; root < count; root++) {
			harvest_block(walk, &roots[root], &walk->entry[root], gfn, block);
			if (root && walk->entry[root])
				walk->alone = false;
		}
		/* Found in any of them, a 1 GiB leaf is noted block by block. */
		if (walk->giant_end > gfn)
			walk->alone = false;
		if (nested && !walk->nested_unseen) {
			harvest_nested(walk, gfn, block, count && !roots[0].smm ? walk->entry[0] : NULL);
			walk->alone = false;
		}
		cold = skip_cold(walk, gfn + BLOCK_PAGES, blocks - block - 1);
		memset(found->sizes + block + 1, KVM_EPT_SAMPLE_SIZE_4K, cold);
		block += cold;
		gfn += cold * BLOCK_PAGES;
	}
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	return block;
}

/* Write one of the bitmaps of the first @blocks of @found; zeros for those that were not touched. */
static int put_bits(u64 address, const struct harvest_buffer *found,
		    const unsigned long (*bits)[BITS_TO_LONGS(BLOCK_PAGES)], unsigned int blocks)
{
	unsigned int block, next;
	unsigned long left;

	for (block = 0; block < blocks; block = next) {
		void __user *to = u64_to_user_ptr(address + block * BLOCK_BYTES);

		if (test_bit(block, found->touched)) {
			next = find_next_zero_bit(found->touched, blocks, block);
			left = copy_to_user(to, bits[block], (next - block) * BLOCK_BYTES);
		} else {
			next = find_next_bit(found->touched, blocks, block);
			left = clear_user(to, (next - block) * BLOCK_BYTES);
		}
		if (left)
			return -EFAULT;
	}
	return 0;
}

/* Give the caller what the first @blocks of the buffer hold, and count it. */
static int put_batch(const struct walk *walk, struct kvm_ept_sample_harvest *request,
		     unsigned int blocks)
{
	u64 offset = (request->next - request->base) / BLOCK_PAGES;
	struct harvest_buffer *found = walk->harvester->buffer;
	unsigned int block;

	if (put_bits(request->accessed + offset * BLOCK_BYTES, found, found->accessed, blocks) ||
	    (request->dirty &&
	     put_bits(request->dirty + offset * BLOCK_BYTES, found, found->dirty, blocks)) ||
	    (request->present &&
	     put_bits(request->present + offset * BLOCK_BYTES, found, found->present, blocks)) ||
	    (request->sizes &&
	     copy_to_user(u64_to_user_ptr(request->sizes + offset), found->sizes, blocks)))
		return -EFAULT;

	for_each_set_bit(block, found->touched, blocks) {
		request->pages_accessed += bitmap_weight(found->accessed[block], BLOCK_PAGES);
		if (walk->only_accessed)
			continue;
		request->pages_dirty += bitmap_weight(found->dirty[block], BLOCK_PAGES);
		request->pages_present += bitmap_weight(found->present[block], BLOCK_PAGES);
	}
	request->next += blocks * BLOCK_PAGES;
	return 0;
}

static bool is_valid(const struct kvm_ept_sample_harvest *request)
{
	const u32 flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH | KVM_EPT_SAMPLE_HARVEST_REPORT;

	return !(request->flags & ~flags) &&
	       request->accessed &&
	       request->end <= GFN_END && request->start < request->end &&
	       request->base <= request->start &&
	       IS_ALIGNED(request->start | request->end | request->base, BLOCK_PAGES);
}

/**
 * harvest() - fill the caller's bitmaps, take the accessed bits if asked to
 * @harvester: of its guest
 * @request: the caller's; its outputs are filled in
 *
 * Return: 0; -EINVAL (a field is wrong), -EOPNOTSUPP (no accessed bits, or tables that are not as KVM makes them),
 * -EFAULT (a bitmap is not writable: bits of the batch that was under way are lost).
 */
int harvest(struct harvester *harvester, struct kvm_ept_sample_harvest *request)
{
	struct guest *guest = harvester->guest;
	struct walk walk = {
		.harvester = harvester,
		.guest = guest,
		.clear = request->flags & KVM_EPT_SAMPLE_HARVEST_CLEAR,
		.report = (request->flags & KVM_EPT_SAMPLE_HARVEST_REPORT) && (request->flags & KVM_EPT_SAMPLE_HARVEST_CLEAR),
		.flush = request->flags & KVM_EPT_SAMPLE_HARVEST_FLUSH,
		.only_accessed = !request->dirty && !request->present,
		.nested.entry = harvest_nested_entry,
	};
	struct guest_paging paging;
	u64 begin = ktime_get_ns();
	int idx, err;

	if (!is_valid(request))
		return -EINVAL;
	err = guest_paging(guest, &paging);
	if (err)
		return err;
	if (paging.kind != KVM_EPT_SAMPLE_PAGING_NONE && !paging.has_ad)
		return -EOPNOTSUPP;
	err = guest_check(guest->kvm);
	if (err)
		return err;

	cover(harvester, request->end);
	request->next = request->start;
	request->pages_present = 0;
	request->pages_accessed = 0;
	request->pages_dirty = 0;
	while (request->next < request->end) {
		unsigned int blocks;

		idx = srcu_read_lock(&guest->kvm->srcu);	/* memslots, and what they list */
		blocks = harvest_batch(&walk, request->next, request->end);
		srcu_read_unlock(&guest->kvm->srcu, idx);
		err = walk.unknown ? -EOPNOTSUPP : put_batch(&walk, request, blocks);
		if (err)
			break;
		/* Not within a 1 GiB leaf: its one accessed bit is cleared, a later call would miss it. */
		if (signal_pending(current) && request->next >= walk.giant_end && request->next >= walk.nested_giant_end)
			break;
		cond_resched();
	}
	if (walk.cleared) {
		WRITE_ONCE(guest->unflushed, true);
		if (walk.flush)
			guest_flush_tlbs(guest);
	}
	if (walk.entries && !walk.unknown) {
		check_passed(CHECK_TABLES);
		check_passed(CHECK_ACCESSED);
	}
	if (walk.nested_entries && !walk.nested_unseen)
		check_passed(CHECK_NESTED);
	WRITE_ONCE(harvester->nested_unseen, walk.nested_unseen);

	idx = srcu_read_lock(&guest->kvm->srcu);
	request->generation = kvm_memslots(guest->kvm)->generation;
	request->state = guest_state(guest->kvm, !walk.nested_unseen);
	srcu_read_unlock(&guest->kvm->srcu, idx);

	atomic64_inc(&harvester->harvests);
	atomic64_add(walk.entries + walk.nested_entries, &harvester->entries);
	atomic64_add(ktime_get_ns() - begin, &harvester->ns);
	return err;
}
