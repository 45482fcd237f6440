// SPDX-License-Identifier: GPL-2.0
/*
 * Fault sampling: take the permissions off a few leaf entries ("lay landmines"), so that the next
 * access there faults and can be seen, with its kind and its 4 KiB page.
 *
 * Time is cut into windows.  At the beginning of each, landmines are laid at places drawn evenly
 * from the guest's memory; at its end those that nobody stepped on are taken up.  So every page
 * has the same chance and the same time to be caught, however large its mapping.
 *
 * KVM itself repairs an entry that was stepped on: for it, that is a fault like any other.  With the
 * optional kernel patch, a hook gives a read or a fetch back before KVM looks at the fault at all.
 */
#include <linux/hashtable.h>
#include <linux/kvm_host.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "checks.h"
#include "faults.h"
#include "guest.h"
#include "queue.h"

#define WINDOW_MS	10

/* Landmines in a window: bounds the work of laying them and the faults that a guest can take. */
#define MAX_MINES	4096

/* A cap on what the guest is slowed down: faults cost it tens of microseconds each. */
#define MAX_FREQ	20000

/*
 * Faults that a sample may cost.  Where only reads are asked for, a landmine that is written brings a
 * fault and no sample.  Below MIN_FAULTS a second nobody notices.
 */
#define FAULTS_PER_SAMPLE	10
#define MIN_FAULTS		100

/*
 * Landmines that a sample may cost, on average.  A guest that touches little gets fewer samples than were
 * asked for, for laying landmines takes the host's time.
 */
#define MINES_PER_SAMPLE	(YIELD_ONE / YIELD_MIN)

/* Landmines laid, and entries looked at to take them up, under one hold of mmu_lock. */
#define BATCH_MINES	128
#define BATCH_ENTRIES	(4 * SPTE_ENTRIES)

#define OWED_ONE	1024
#define MAX_OWED	8	/* or half a second's worth, if that is more */
#define YIELD_ONE	65536
#define YIELD_MIN	(YIELD_ONE / 256)
#define YIELD_FIRST	(YIELD_ONE / 4)

/* Bits of the fault's code in the tracepoint: AMD's #NPF error code, Intel's exit qualification. */
#define NPF_WRITE	BIT_ULL(1)
#define NPF_FETCH	BIT_ULL(4)
#define EPT_VIOLATION_XWR	7ULL

/**
 * struct mine - a landmine
 * @gfn: the page it was meant for
 * @root: the page table that it lies in
 * @level: of the entry: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
 * @before: the entry as it was
 */
struct mine {
	gfn_t gfn;
	u8 level;
	hpa_t root;
	u64 before;
};

/**
 * struct span - one memslot
 * @base: first gfn
 * @end: 4 KiB pages in this and all spans before it
 * @pages: 4 KiB pages
 */
struct span {
	gfn_t base;
	u64 end;
	u64 pages;
};

/* Looked up when the module is loaded, so that harvest works where it is not exported; NULL then. */
extern struct tracepoint __tracepoint_kvm_page_fault;
static struct tracepoint *fault_tracepoint;

/* Of the optional kernel patch (kernel_patch/): looked up when the module is loaded. */
typedef bool (*kvm_fault_hook_fn)(struct kvm_vcpu *vcpu, gpa_t gpa, u64 code);
void kvm_set_fastpath_fault_hook(kvm_fault_hook_fn hook);
static void (*set_fault_hook)(kvm_fault_hook_fn hook);

static DEFINE_HASHTABLE(sampled, 8);
static DEFINE_MUTEX(sampled_lock);	/* for writers; the probe reads by RCU */
static bool probe_registered;
static struct workqueue_struct *window_wq;

/**
 * faults_supported() - whether landmines can be laid: nothing that was checked of this kernel's KVM failed yet
 */
bool faults_supported(void)
{
	return !faults_check_failed();
}

static struct fault_sampler *find_sampler(struct kvm *kvm)
{
	struct fault_sampler *faults;

	hash_for_each_possible_rcu(sampled, faults, node, (unsigned long)kvm)
		if (faults->guest->kvm == kvm)
			return faults;
	return NULL;
}

/* The kinds of access in what hardware tells of a fault. */
static unsigned int kinds_of(const struct spte_layout *layout, u64 code)
{
	if (layout->paging == KVM_EPT_SAMPLE_PAGING_EPT)
		return code & EPT_VIOLATION_XWR;
	if (code & NPF_WRITE)
		return SPTE_PROT_W;
	return code & NPF_FETCH ? SPTE_PROT_X : SPTE_PROT_R;
}

/*
 * Step on the landmine that guards @gfn, if there is one: only one vCPU sets it off.  @hooked: only if
 * the entry can be given back what lets the access pass, which is done.  What the hook leaves, KVM
 * handles and the probe sees, so a landmine counts once.
 */
static bool step_on(struct kvm_vcpu *vcpu, const struct spte_layout *layout, gfn_t gfn,
		    unsigned int xwr, bool hooked)
{
	struct root root = {
		.hpa = vcpu->arch.root_mmu.root.hpa,
		.level = vcpu->arch.root_mmu.root_role.level,
	};
	bool stepped = false;
	u64 *sptep;
	int level;
	u64 spte;

	if (!VALID_PAGE(root.hpa) || (hooked && (xwr & SPTE_PROT_W)))
		return false;
	if (!hooked)
		read_lock(&vcpu->kvm->mmu_lock);
	else if (!read_trylock(&vcpu->kvm->mmu_lock))
		return false;	/* IRQs are off, and its holder may wait for this CPU */
	sptep = guest_entry(&root, gfn, 1, &level);
	spte = sptep ? READ_ONCE(*sptep) : 0;
	while (spte_is_armed(layout, spte) && !stepped) {
		u64 after = spte_step_off(layout, spte);

		if (hooked && (after == spte || !spte_allows(layout, after, xwr & SPTE_PROT_X)))
			break;
		/*
		 * KVM may split a large entry, to map the page alone.  All that it makes of the entry then has the entry's
		 * permissions, which is why they are given back before.
		 */
		if (after == spte || (!hooked && level == 1))
			after = spte & ~layout->armed;
		stepped = try_cmpxchg64(sptep, &spte, after);
	}
	read_unlock(&vcpu->kvm->mmu_lock);
	return stepped;
}

/* Note a fault of a vCPU, if it stepped on a landmine of ours. */
static bool note_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 code, bool hooked)
{
	struct kvm_ept_sample_sample64 sample = { .gfn = gpa_to_gfn(gpa) };
	const struct spte_layout *layout;
	struct fault_sampler *faults;
	bool stepped = false;

	/* In a nested guest the address is one of its own, not of the guest that is sampled. */
	if (vcpu->arch.mmu != &vcpu->arch.root_mmu)
		return false;

	rcu_read_lock();
	faults = find_sampler(vcpu->kvm);
	/* Where none was ever laid, the guest may be one whose tables are not to be walked. */
	if (!faults || !READ_ONCE(faults->laid))
		goto unlock;
	layout = READ_ONCE(faults->guest->layout);
	sample.xwr = kinds_of(layout, code);
	stepped = step_on(vcpu, layout, sample.gfn, sample.xwr, hooked);
	if (!stepped)
		goto unlock;
	if (!hooked)
		check_passed(CHECK_TRACEPOINT);
	atomic64_inc(&faults->faults);
	if (!(sample.xwr & READ_ONCE(faults->prot)))
		;	/* another kind of access than asked for */
	else if (queue_put(faults->queue, sample))
		atomic64_inc(&faults->samples);
	else
		atomic64_inc(&faults->dropped);
unlock:
	rcu_read_unlock();
	return stepped;
}

/* Called by a vCPU that faulted, before KVM repairs what made it fault: if the tracepoint is the one that is known. */
static void on_page_fault(void *unused, struct kvm_vcpu *vcpu, u64 gpa, u64 code)
{
	if (!virt_addr_valid(vcpu)) {
		check_failed(CHECK_TRACEPOINT, (u64)vcpu);
		return;
	}
	note_fault(vcpu, gpa, code, false);
}

/*
 * The optional kernel patch's: called right after the exit, with IRQs off and without kvm->srcu.  If
 * this returns true the vCPU goes on; else KVM handles the fault, and on_page_fault() is called.
 */
static bool on_fault_hook(struct kvm_vcpu *vcpu, gpa_t gpa, u64 code)
{
	return note_fault(vcpu, gpa, code, true);
}

/* Make @faults->spans fit the memslots, without KVM's own; kvm->srcu is held. */
static int learn_spans(struct fault_sampler *faults)
{
	struct kvm_memslots *slots = kvm_memslots(faults->guest->kvm);
	struct kvm_memory_slot *slot;
	unsigned int count = 0;
	struct span *spans;
	int bucket;

	if (faults->spans && faults->generation == slots->generation)
		return 0;
	kvm_for_each_memslot(slot, bucket, slots)
		count += slot->id < KVM_USER_MEM_SLOTS;
	spans = kvmalloc_array(count, sizeof(*spans), GFP_KERNEL_ACCOUNT);
	if (!spans)
		return -ENOMEM;

	kvfree(faults->spans);
	faults->spans = spans;
	faults->span_count = count;
	faults->generation = slots->generation;
	faults->pages = 0;
	kvm_for_each_memslot(slot, bucket, slots) {
		if (slot->id >= KVM_USER_MEM_SLOTS)
			continue;
		faults->pages += slot->npages;
		*spans++ = (struct span){ .base = slot->base_gfn, .end = faults->pages, .pages = slot->npages };
	}
	return 0;
}

/* By bisection: a guest may have 32,764 memslots, and KVM's writers wait for the lock that is held. */
static gfn_t random_gfn(const struct fault_sampler *faults)
{
	u64 page = mul_u64_u64_shr(get_random_u64(), faults->pages, 64);
	unsigned int low = 0, high = faults->span_count - 1;
	const struct span *span;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (page < faults->spans[middle].end)
			high = middle;
		else
			low = middle + 1;
	}
	span = &faults->spans[low];
	return span->base + span->pages - (span->end - page);
}

/* 4 KiB pages that an entry of that level maps. */
static gfn_t pages_of(int level)
{
	return 1ULL << (9 * (level - 1));
}

/* Lay a landmine.  Returns whether a TLB may still have the entry as it was: hardware marks what it takes in as accessed. */
static bool lay_mine(struct fault_sampler *faults, const struct root *root, gfn_t gfn, unsigned int prot)
{
	u64 spte, armed;
	u64 *sptep;
	int level;

	sptep = guest_entry(root, gfn, 1, &level);
	spte = sptep ? READ_ONCE(*sptep) : 0;
	if (!spte_present(spte) || !spte_is_leaf(spte, level))
		return false;
	if (spte_is_armed(faults->guest->layout, spte)) {
		/* All landmines that lie are of this window, and of its kinds: then the bit is KVM's own. */
		if ((prot & SPTE_PROT_R) && (spte & SPTE_R))
			check_failed(CHECK_ENTRIES, spte);
		return false;
	}
	/* One that denies reads is none as KVM makes them, or was just stepped on and is not repaired yet. */
	if (!(spte & SPTE_R) || !pfn_valid((spte & SPTE_ADDR) >> PAGE_SHIFT) || !guest_fits(faults->guest, spte))
		return false;
	armed = spte_arm(faults->guest->layout, spte, prot);
	if (armed == spte || !try_cmpxchg64(sptep, &spte, armed))
		return false;	/* nothing to take away, or KVM was faster: another place will do */
	faults->mines[faults->mine_count++] = (struct mine){
		.gfn = gfn,
		.level = level,
		.root = root->hpa,
		.before = spte,
	};
	return spte & faults->guest->layout->accessed;
}

/* Lay up to @count landmines, where writes are not logged; kvm->srcu is held. */
static void lay_mines(struct fault_sampler *faults, unsigned int count)
{
	struct kvm *kvm = faults->guest->kvm;
	unsigned int prot = READ_ONCE(faults->prot);
	struct root roots[MAX_ROOTS];
	bool cached = false;
	unsigned int tried = 0;
	int root_count, i;

	while (tried < count) {
		rcu_read_lock();
		read_lock(&kvm->mmu_lock);
		root_count = guest_roots(kvm, roots);
		do {
			gfn_t gfn = random_gfn(faults);

			if (guest_logs_page(kvm, gfn))
				continue;
			/* None in what may not be used again for long, or be out of sight when they are to be taken up. */
			for (i = 0; i < root_count && faults->mine_count < MAX_MINES; i++)
				if (!roots[i].smm)
					cached |= lay_mine(faults, &roots[i], gfn, prot);
		} while (++tried < count && tried % BATCH_MINES);
		read_unlock(&kvm->mmu_lock);
		rcu_read_unlock();
		cond_resched();
	}
	if (cached || READ_ONCE(faults->guest->unflushed))
		guest_flush_tlbs(faults->guest);
	else if (faults->mine_count)
		atomic64_inc(&faults->guest->spared);
	atomic64_add(faults->mine_count, &faults->armed);
}

/*
 * Take up a landmine, from page @gfn of what its entry mapped on.  KVM may have split that entry
 * meanwhile: each part that it made is armed. Looks at no more than *@entries entries and counts them
 * off.  Returns the page to go on from, or the end.
 */
static gfn_t take_up_mine(const struct spte_layout *layout, const struct root *root, const struct mine *mine,
			  gfn_t gfn, unsigned int *entries, bool may_write)
{
	gfn_t end = ALIGN(mine->gfn + 1, pages_of(mine->level));

	while (gfn < end && *entries) {
		int level;
		u64 *sptep = guest_entry(root, gfn, 1, &level);
		u64 spte = sptep ? READ_ONCE(*sptep) : 0;

		while (spte_is_armed(layout, spte))
			if (try_cmpxchg64(sptep, &spte, spte_disarm(layout, spte, mine->before, may_write)))
				break;
		gfn = ALIGN(gfn + 1, pages_of(level));
		--*entries;
	}
	return min(gfn, end);
}

/*
 * Take up what is left of the landmines.  Those in a table that the guest has no more went with it.
 * The latest first: if an entry was mined twice, KVM may have made it anew in between, and what it
 * was before the first landmine is not what it may get back.
 */
static void take_up_mines(struct fault_sampler *faults)
{
	struct kvm *kvm = faults->guest->kvm;
	unsigned int left = faults->mine_count;
	struct root roots[MAX_ROOTS];
	gfn_t next = 0;		/* of the mine under way; 0 is before any */
	int count, k, idx;

	idx = srcu_read_lock(&kvm->srcu);
	while (left) {
		unsigned int entries = BATCH_ENTRIES;

		rcu_read_lock();
		read_lock(&kvm->mmu_lock);
		count = guest_roots(kvm, roots);
		while (left && entries) {
			struct mine *mine = &faults->mines[left - 1];
			gfn_t end = ALIGN(mine->gfn + 1, pages_of(mine->level));

			next = max(next, end - pages_of(mine->level));
			for (k = 0; k < count && roots[k].hpa != mine->root; k++)
				;
			if (k < count) {
				next = take_up_mine(faults->guest->layout, &roots[k], mine, next, &entries,
						    !guest_logs_page(kvm, mine->gfn));
			} else {
				next = end;
				entries--;
			}
			if (next == end) {
				next = 0;
				left--;
			}
		}
		read_unlock(&kvm->mmu_lock);
		rcu_read_unlock();
		cond_resched();
	}
	srcu_read_unlock(&kvm->srcu, idx);

	faults->mine_count = 0;
}

/* Close the books on a window: what it brought, and what is still owed. */
static void end_window(struct fault_sampler *faults)
{
	u64 samples = atomic64_read(&faults->samples);
	u64 taken = atomic64_read(&faults->faults);
	unsigned int laid = faults->mine_count;
	s64 got = samples - faults->samples_before;
	ktime_t now = ktime_get();
	u64 elapsed_us = ktime_us_delta(now, faults->window_start);
	u64 allowed;
	s64 most;

	take_up_mines(faults);
	if (laid) {
		s64 yield = got * YIELD_ONE / laid;

		faults->yield += (yield - (s64)faults->yield) / 4;
		faults->yield = max_t(u32, faults->yield, YIELD_MIN);
	}
	/* A guest that touches nothing falls behind, but not so far that it is flooded later. */
	most = max_t(s64, MAX_OWED * OWED_ONE, (s64)faults->freq * OWED_ONE / 2);
	faults->owed += (s64)(faults->freq * elapsed_us * OWED_ONE / USEC_PER_SEC) - got * OWED_ONE;
	faults->owed = clamp(faults->owed, -most, most);

	allowed = clamp_t(u64, (u64)faults->freq * FAULTS_PER_SAMPLE, MIN_FAULTS, MAX_FREQ);
	faults->credit += (s64)(allowed * elapsed_us * OWED_ONE / USEC_PER_SEC) -
			  (s64)(taken - faults->faults_before) * OWED_ONE;
	faults->credit = min_t(s64, faults->credit, MAX_MINES * OWED_ONE);

	faults->samples_before = samples;
	faults->faults_before = taken;
	faults->window_start = now;
}

/* Landmines for the next window, by what one has brought lately. */
static unsigned int mines_needed(const struct fault_sampler *faults)
{
	u64 count, most;

	if (faults->owed < OWED_ONE || faults->credit < OWED_ONE)
		return 0;
	count = faults->owed * (YIELD_ONE / OWED_ONE) / faults->yield + 1;
	most = (u64)faults->freq * MINES_PER_SAMPLE * WINDOW_MS / MSEC_PER_SEC + 1;
	/* Each landmine may bring a fault. */
	return min3(count, most, (u64)faults->credit / OWED_ONE);
}

/*
 * Whether this guest's entries can be mined.  Asked for each window: sampling may have begun before the
 * guest had a vCPU, and with it tables that tell.
 */
static bool can_mine(struct guest *guest)
{
	struct guest_paging paging;

	return faults_supported() && !guest_paging(guest, &paging) && paging.can_mine && !guest_check(guest->kvm);
}

static void next_window(struct work_struct *work)
{
	struct fault_sampler *faults = container_of(to_delayed_work(work), struct fault_sampler, work);
	struct guest *guest = faults->guest;
	unsigned int count;
	int idx;

	end_window(faults);
	count = mines_needed(faults);

	/*
	 * Under srcu: when logging begins, KVM waits for us before it takes the write permissions,
	 * so it finds either no landmine's entry or one that it flushes with the others.
	 */
	idx = srcu_read_lock(&guest->kvm->srcu);
	if (count && !guest_is_dead(guest) && can_mine(guest) && !guest_is_dirty_logged(guest->kvm) &&
	    !learn_spans(faults) && faults->pages) {
		WRITE_ONCE(faults->laid, true);
		lay_mines(faults, count);
	}
	srcu_read_unlock(&guest->kvm->srcu, idx);

	queue_delayed_work(window_wq, &faults->work, msecs_to_jiffies(WINDOW_MS));
}

/**
 * faults_init() - prepare for fault sampling; faults_stop() ends it
 * @faults: zeroed
 * @guest: of this guest
 * @queue: where samples are to go
 */
void faults_init(struct fault_sampler *faults, struct guest *guest, struct sample_queue *queue)
{
	faults->guest = guest;
	faults->queue = queue;
	faults->prot = SPTE_PROT_R | SPTE_PROT_W | SPTE_PROT_X;
	INIT_DELAYED_WORK(&faults->work, next_window);
}

/**
 * faults_set_prot() - choose the kinds of access to sample
 * @faults: of its guest
 * @prot: r = 1, w = 2, x = 4
 *
 * Return: 0, or -EINVAL for other bits.
 */
int faults_set_prot(struct fault_sampler *faults, unsigned int prot)
{
	if (prot & ~(SPTE_PROT_R | SPTE_PROT_W | SPTE_PROT_X))
		return -EINVAL;
	WRITE_ONCE(faults->prot, prot);
	return 0;
}

/* The probe stays once it is there: taking it out and in again costs all CPUs an interruption. */
static int register_probe(void)
{
	int err = 0;

	mutex_lock(&sampled_lock);
	if (!probe_registered) {
		err = tracepoint_probe_register(fault_tracepoint, on_page_fault, NULL);
		probe_registered = !err;
		if (probe_registered && set_fault_hook)
			set_fault_hook(on_fault_hook);
	}
	mutex_unlock(&sampled_lock);
	return err;
}

static int start(struct fault_sampler *faults)
{
	struct guest_paging paging;
	int err;

	if (!faults_supported())
		return -EOPNOTSUPP;
	err = guest_paging(faults->guest, &paging);
	if (err)
		return err;
	if (paging.kind != KVM_EPT_SAMPLE_PAGING_NONE && !paging.can_mine)
		return -EOPNOTSUPP;
	err = register_probe();
	if (err)
		return err;

	faults->mines = kvmalloc_array(MAX_MINES, sizeof(*faults->mines), GFP_KERNEL_ACCOUNT);
	if (!faults->mines)
		return -ENOMEM;
	faults->mine_count = 0;
	faults->owed = 0;
	faults->credit = MAX_MINES * OWED_ONE;
	faults->yield = YIELD_FIRST;
	faults->samples_before = atomic64_read(&faults->samples);
	faults->faults_before = atomic64_read(&faults->faults);
	faults->window_start = ktime_get();

	mutex_lock(&sampled_lock);
	hash_add_rcu(sampled, &faults->node, (unsigned long)faults->guest->kvm);
	mutex_unlock(&sampled_lock);
	queue_delayed_work(window_wq, &faults->work, 0);
	return 0;
}

/**
 * faults_stop() - stop fault sampling and take up all landmines
 * @faults: of its guest
 */
void faults_stop(struct fault_sampler *faults)
{
	if (!faults->freq)
		return;
	faults->freq = 0;
	cancel_delayed_work_sync(&faults->work);
	take_up_mines(faults);

	mutex_lock(&sampled_lock);
	hash_del_rcu(&faults->node);
	mutex_unlock(&sampled_lock);
	synchronize_rcu();	/* that of note_fault() */

	kvfree(faults->spans);
	faults->spans = NULL;
	kvfree(faults->mines);
	faults->mines = NULL;
}

/**
 * faults_set_freq() - start, stop, or change the rate of fault sampling
 * @faults: of its guest; the queue has room
 * @freq: samples a second, 0 to stop; more than MAX_FREQ is taken as MAX_FREQ
 *
 * Return: 0; -EOPNOTSUPP (unknown entries, or no accessed and dirty bits), -ENOMEM.
 */
int faults_set_freq(struct fault_sampler *faults, unsigned int freq)
{
	int err = 0;

	freq = min_t(unsigned int, freq, MAX_FREQ);
	if (!freq)
		faults_stop(faults);
	else if (!faults->freq)
		err = start(faults);
	if (!err)
		WRITE_ONCE(faults->freq, freq);
	return err;
}

int faults_init_module(void)
{
	window_wq = alloc_workqueue("kvm_ept_sample", WQ_UNBOUND, 0);
	if (!window_wq)
		return -ENOMEM;
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		check_failed(CHECK_LOCK, 0);
	else
		check_passed(CHECK_LOCK);
	fault_tracepoint = symbol_get(__tracepoint_kvm_page_fault);
	if (!fault_tracepoint)
		check_failed(CHECK_TRACEPOINT, 0);
	set_fault_hook = symbol_get(kvm_set_fastpath_fault_hook);
	return 0;
}

/**
 * faults_hooked() - whether the optional kernel patch was found
 */
bool faults_hooked(void)
{
	return set_fault_hook;
}

void faults_exit_module(void)
{
	if (probe_registered) {
		if (set_fault_hook)
			set_fault_hook(NULL);
		tracepoint_probe_unregister(fault_tracepoint, on_page_fault, NULL);
		tracepoint_synchronize_unregister();
	}
	if (set_fault_hook)
		symbol_put(kvm_set_fastpath_fault_hook);
	if (fault_tracepoint)
		symbol_put(__tracepoint_kvm_page_fault);
	destroy_workqueue(window_wq);
}
