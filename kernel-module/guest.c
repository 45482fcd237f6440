// SPDX-License-Identifier: GPL-2.0
/*
 * Finding a KVM guest by the pid of its process, holding it, and what is read from struct kvm.
 *
 * Of kvm.ko only kvm_get_kvm_safe() and kvm_put_kvm() are linked against, and looked up are the tracepoint
 * kvm_page_fault and, on Hyper-V, kvm_flush_remote_tlbs(): newer kernels keep nearly all else for kvm-intel and
 * kvm-amd.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include <asm/hypervisor.h>

#include "checks.h"
#include "guest.h"
#include "nested.h"

/*
 * What is known of KVM's entries, the likeliest first.  Those of NPT were the same from 6.1 to 7.3, but for where the kind of
 * tracking is; those of EPT moved in 7.3, with MBEC, which distributions carry back.
 */
static const struct spte_layout npt_layouts[] = {
	{
		.paging = KVM_EPT_SAMPLE_PAGING_NPT,
		.accessed = NPT_ACCESSED,
		.dirty = NPT_DIRTY,
		.allow = SPTE_R | SPTE_W | NPT_U,
		.deny = NPT_NX,
		.saved = SPTE_R | NPT_U,
		.saved_shift = 54,
		.armed = BIT_ULL(58),
		.writable_hints = BIT_ULL(9) | BIT_ULL(10),
		.tracking = GENMASK_ULL(53, 52) | GENMASK_ULL(61, 60),
		.unused = GENMASK_ULL(59, 54) | BIT_ULL(62),
	},
};

static const struct spte_layout ept_layouts[] = {
	{
		.paging = KVM_EPT_SAMPLE_PAGING_EPT,
		.accessed = EPT_ACCESSED,
		.dirty = EPT_DIRTY,
		.allow = SPTE_R | SPTE_W | EPT_X,
		.exec = EPT_X,
		.saved = SPTE_R | EPT_X,
		.saved_shift = 54,
		.armed = BIT_ULL(59),
		.writable_hints = BIT_ULL(57) | BIT_ULL(58),
		.tracking = GENMASK_ULL(53, 52),
		.unused = EPT_XU | GENMASK_ULL(56, 54) | GENMASK_ULL(62, 59),
	},
	{
		.paging = KVM_EPT_SAMPLE_PAGING_EPT,
		.accessed = EPT_ACCESSED,
		.dirty = EPT_DIRTY,
		.allow = SPTE_R | SPTE_W | EPT_X | EPT_XU,
		.exec = EPT_X | EPT_XU,
		.saved = SPTE_R | EPT_X | EPT_XU,
		.saved_shift = 52,
		.armed = BIT_ULL(59),
		.writable_hints = BIT_ULL(53) | BIT_ULL(55),
		.tracking = GENMASK_ULL(61, 60),
		.unused = BIT_ULL(52) | BIT_ULL(54) | GENMASK_ULL(59, 56) | BIT_ULL(62),
	},
};

/* The layouts of this machine's vendor: how many, 0 for a vendor that is not known. */
static unsigned int vendor_layouts(const struct spte_layout **layouts)
{
	if (boot_cpu_has(X86_FEATURE_SVM)) {
		*layouts = npt_layouts;
		return ARRAY_SIZE(npt_layouts);
	}
	if (boot_cpu_has(X86_FEATURE_VMX)) {
		*layouts = ept_layouts;
		return ARRAY_SIZE(ept_layouts);
	}
	return 0;
}

/* KVM's own flush, where it has to be used; NULL elsewhere. */
static typeof(&kvm_flush_remote_tlbs) flush_remote_tlbs;
static bool can_flush = true;

/* KVM that runs on Hyper-V may have that flush, and is not prepared to be asked otherwise. */
static bool hypervisor_flushes(void)
{
	return hypervisor_is_type(X86_HYPER_MS_HYPERV);
}

void guest_init_module(void)
{
	if (hypervisor_flushes()) {
		flush_remote_tlbs = symbol_get(kvm_flush_remote_tlbs);
		can_flush = flush_remote_tlbs;
	}
	if (can_flush)
		check_passed(CHECK_FLUSH);
	else
		check_failed(CHECK_FLUSH, 0);
}

void guest_exit_module(void)
{
	if (flush_remote_tlbs)
		symbol_put(kvm_flush_remote_tlbs);
}

/* All guests that are held, to refuse a second sampler of the same guest. */
static LIST_HEAD(guests);
static DEFINE_MUTEX(guests_lock);

/* Whether @fn is kvm.ko's function of that name: the symbols themselves are not exported. */
static bool is_kvm_function(const void *fn, const char *name)
{
	char symbol[KSYM_SYMBOL_LEN];
	size_t len = strlen(name);

	snprintf(symbol, sizeof(symbol), "%ps", fn);
	return !strncmp(symbol, name, len) &&
	       (!symbol[len] || !strcmp(symbol + len, " [kvm]"));
}

/*
 * Whether @fn is what KVM has for faults with second-level paging.  Every harvest asks, and looking a
 * name up takes longer than harvesting a thousand pages.  kvm.ko stays while this module is there.
 */
static bool is_tdp_fault(const void *fn)
{
	static const void *known;

	if (fn != READ_ONCE(known)) {
		if (!is_kvm_function(fn, "kvm_tdp_page_fault"))
			return false;
		WRITE_ONCE(known, fn);
	}
	return true;
}

/* What iterate_fd() looks for, and finds. */
struct wanted {
	struct mm_struct *mm;
	struct kvm *kvm;
};

static int get_kvm_of_file(const void *arg, struct file *file, unsigned int fd)
{
	struct wanted *wanted = (struct wanted *)arg;
	struct kvm *kvm = file->private_data;

	if (strcmp(file->f_path.dentry->d_name.name, "kvm-vm") ||
	    !is_kvm_function(file->f_op->release, "kvm_vm_release"))
		return 0;
	/* A file that was handed over is another process's guest. */
	if (kvm->mm != wanted->mm || !kvm_get_kvm_safe(kvm))
		return 0;
	wanted->kvm = kvm;
	return 1;
}

/* The guest that @task runs, with a reference, or NULL. */
static struct kvm *get_kvm_of_task(struct task_struct *task)
{
	struct wanted wanted = { .kvm = NULL };

	task_lock(task);
	wanted.mm = task->mm;
	if (task->files)
		iterate_fd(task->files, 0, get_kvm_of_file, &wanted);
	task_unlock(task);
	return wanted.kvm;
}

/*
 * The caller needs the right to ptrace the process.  ptrace_may_access() is not exported, but
 * opening /proc/PID/mem asks it, with the caller's credentials, the security modules and Yama.
 * The path is taken from the procfs that the caller opened us in, so mount namespaces do not matter.
 */
static int may_ptrace(struct file *proc_file, struct pid *pid)
{
	struct super_block *sb = file_inode(proc_file)->i_sb;
	struct path root = { .mnt = proc_file->f_path.mnt, .dentry = sb->s_root };
	struct file *mem;
	char name[32];

	snprintf(name, sizeof(name), "%d/mem", pid_nr_ns(pid, proc_pid_ns(sb)));
	mem = file_open_root(&root, name, O_RDONLY, 0);
	if (IS_ERR(mem)) {
		switch (PTR_ERR(mem)) {
		case -ENOENT:
		case -ESRCH:
			return -ESRCH;
		case -EACCES:
		case -EPERM:
			return -EPERM;
		default:
			return PTR_ERR(mem);
		}
	}
	fput(mem);
	return 0;
}

static bool runs_in(struct kvm *kvm, struct task_struct *task)
{
	bool same;

	task_lock(task);
	same = task->mm == kvm->mm;
	task_unlock(task);
	return same;
}

static int get_kvm_of_pid(struct file *proc_file, pid_t pid_nr, struct kvm **found)
{
	struct pid *pid = find_get_pid(pid_nr);
	struct task_struct *task;
	struct kvm *kvm;
	int err;

	if (!pid)
		return -ESRCH;
	task = get_pid_task(pid, PIDTYPE_PID);
	if (!task) {
		put_pid(pid);
		return -ESRCH;
	}

	/*
	 * In this order: if the process executes another program meanwhile, the mm that the right
	 * was checked on is not the guest's, and runs_in() sees it.
	 */
	kvm = get_kvm_of_task(task);
	err = task->flags & PF_KTHREAD ? -ENXIO : may_ptrace(proc_file, pid);
	if (!err && (!kvm || !runs_in(kvm, task)))
		err = -ENXIO;
	if (err && kvm)
		kvm_put_kvm(kvm);

	put_task_struct(task);
	put_pid(pid);
	*found = kvm;
	return err;
}

/* Enter @guest in the list, unless another file holds the same. */
static int claim(struct guest *guest)
{
	struct guest *other;
	int err = 0;

	mutex_lock(&guests_lock);
	list_for_each_entry(other, &guests, node)
		if (other->kvm == guest->kvm)
			err = -EBUSY;
	if (!err)
		list_add(&guest->node, &guests);
	mutex_unlock(&guests_lock);
	return err;
}

/**
 * guest_find() - take hold of the guest that a process runs
 * @guest: zeroed; to be given back with guest_put(), unless this fails
 * @proc_file: the caller's open file
 * @pid_nr: a process or thread, in the caller's pid namespace
 *
 * Return: 0, or
 * -ESRCH (no such process), -EPERM (no right to ptrace it), -ENXIO (it runs no KVM guest),
 * -EBUSY (another file samples the guest), -EOPNOTSUPP (shadow paging, an unknown CPU, or no way to flush TLBs), -ENOMEM.
 */
int guest_find(struct guest *guest, struct file *proc_file, pid_t pid_nr)
{
	struct guest_paging paging;
	int err;

	if (!vendor_layouts(&guest->layout) || !can_flush)
		return -EOPNOTSUPP;
	mutex_init(&guest->flush_lock);
	if (!zalloc_cpumask_var(&guest->kicked, GFP_KERNEL_ACCOUNT))
		return -ENOMEM;
	err = get_kvm_of_pid(proc_file, pid_nr, &guest->kvm);
	if (err)
		goto free_mask;
	err = guest_paging(guest, &paging);
	if (err)
		goto put_kvm;
	err = claim(guest);
	if (err)
		goto put_kvm;
	return 0;

put_kvm:
	kvm_put_kvm(guest->kvm);
free_mask:
	free_cpumask_var(guest->kicked);
	return err;
}

/**
 * guest_put() - let go of a guest, which nobody harvests or samples any more
 * @guest: from guest_find()
 */
void guest_put(struct guest *guest)
{
	mutex_lock(&guests_lock);
	list_del(&guest->node);
	mutex_unlock(&guests_lock);

	kvm_put_kvm(guest->kvm);
	free_cpumask_var(guest->kicked);
}

/**
 * guest_watch() - be told when the guest's process has ended
 * @guest: from guest_find()
 * @exit: whose release() is called then, or by guest_unwatch()
 *
 * Return: 0; -ESRCH (it has ended), -EINTR, -ENOMEM.
 */
int guest_watch(struct guest *guest, struct mmu_notifier *exit)
{
	struct mm_struct *mm = guest->kvm->mm;
	int err;

	if (!mmget_not_zero(mm))
		return -ESRCH;
	err = mmu_notifier_register(exit, mm);
	mmput(mm);
	return err;
}

/**
 * guest_unwatch() - be told no more; release() is not running any more after this
 * @guest: the guest
 * @exit: from guest_watch()
 */
void guest_unwatch(struct guest *guest, struct mmu_notifier *exit)
{
	mmu_notifier_unregister(exit, guest->kvm->mm);
}

/**
 * guest_is_dead() - whether the process that ran the guest has gone, and its memory with it
 * @guest: the guest
 */
bool guest_is_dead(struct guest *guest)
{
	return !atomic_read(&guest->kvm->mm->mm_users);
}

/*
 * Whether the guest's memory or registers are kept from its host: SEV, SEV-ES, SNP, TDX, KVM's own protected
 * type.  A guest that was begun by the old KVM_SEV_INIT, without SEV-ES, cannot be told from any other.
 */
static bool is_confidential(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);

#ifdef KVM_X86_SW_PROTECTED_VM
	if (kvm->arch.vm_type != KVM_X86_DEFAULT_VM)
		return true;
#endif
	return vcpu && vcpu->arch.guest_state_protected;
}

/* A TDX guest's private pages are in tables that only the TDX module reads.  The type's number is not everywhere the same. */
static bool is_tdx(struct kvm *kvm)
{
#ifdef KVM_X86_SW_PROTECTED_VM
	return boot_cpu_has(X86_FEATURE_VMX) && is_confidential(kvm) && kvm->arch.vm_type != KVM_X86_SW_PROTECTED_VM;
#else
	return false;
#endif
}

/**
 * guest_paging() - how a guest is mapped
 * @guest: the guest
 * @paging: filled in
 *
 * Return: 0, or -EOPNOTSUPP if there is no second-level paging (npt=0, ept=0), or it is hidden (TDX).
 */
int guest_paging(struct guest *guest, struct guest_paging *paging)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(guest->kvm, 0);

	paging->kind = KVM_EPT_SAMPLE_PAGING_NONE;
	paging->has_ad = false;
	paging->can_mine = false;
	if (is_tdx(guest->kvm))
		return -EOPNOTSUPP;
	if (!vcpu)
		return 0;
	if (!is_tdp_fault(vcpu->arch.root_mmu.page_fault))
		return -EOPNOTSUPP;
	paging->has_ad = !vcpu->arch.root_mmu.root_role.ad_disabled;
	paging->can_mine = paging->has_ad && !is_confidential(guest->kvm);
	paging->kind = guest->layout->paging;
	return 0;
}

/*
 * What KVM notes of a page table: the beginning of its struct kvm_mmu_page, which is private to it
 * (arch/x86/kvm/mmu/mmu_internal.h) and the same from 6.1 to 7.3.
 */
struct table_note {
	struct list_head link;
	struct hlist_node hash_link;
	u8 flags[4];
	union kvm_mmu_page_role role;
	gfn_t gfn;
	u64 *spt;
};

/* KVM's note of the page table at @table: false if the page has none that says so of that table and @level. */
static bool read_note(const u64 *table, int level, struct table_note *note)
{
	/* Of a page that is something else, it may be anything. */
	return !copy_from_kernel_nofault(note, (void *)page_private(virt_to_page(table)), sizeof(*note)) &&
	       note->spt == table && note->role.level == level;
}

/* The table of each note leads back to the note: else it is no such note, and nothing it says counts. */
static bool is_note(const struct table_note *note)
{
	return PAGE_ALIGNED(note->spt) && virt_addr_valid(note->spt) &&
	       page_private(virt_to_page(note->spt)) == (unsigned long)note;
}

/**
 * guest_table() - the table that an entry points to
 * @spte: an entry that is no leaf, or the address of a root, with mmu_lock and RCU held
 * @level: of the table
 *
 * A page that KVM does not note as such a table is never read: then these are not the tables of a KVM that is known.
 *
 * Return: the table, or NULL if it is none.
 */
u64 *guest_table(u64 spte, int level)
{
	unsigned long pfn = (spte & SPTE_ADDR) >> PAGE_SHIFT;
	struct table_note note;

	if (pfn_valid(pfn)) {
		u64 *table = page_address(pfn_to_page(pfn));

		if (read_note(table, level, &note))
			return table;
	}
	check_failed(CHECK_TABLES, spte);
	return NULL;
}

/**
 * guest_is_table() - whether KVM notes a page table at an address, with mmu_lock held
 * @table: the address, a page's
 * @level: of the table
 * @has_ad: set to whether hardware keeps accessed bits in it
 */
bool guest_is_table(const u64 *table, int level, bool *has_ad)
{
	struct table_note note;

	if (!virt_addr_valid(table) || !read_note(table, level, &note))
		return false;
	*has_ad = !note.role.ad_disabled;
	return true;
}

/*
 * Call @fn for each page table that KVM notes for a guest, those that it is about to throw away too.  Its
 * newer MMU lists them, and who has found one there has it until rcu_read_unlock(); the older one has them
 * among the tables for page 0.
 */
static void for_each_note(struct kvm *kvm, void (*fn)(const struct table_note *note, void *arg), void *arg)
{
	const struct hlist_head *of_page_0 = kvm->arch.mmu_page_hash;
	const struct list_head *listed = &kvm->arch.tdp_mmu_roots;
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);
	const struct table_note *note;
	bool newer = false;

	/* With tdp_mmu=0, KVM leaves this list as it was allocated: zeroed. */
	if (READ_ONCE(listed->next))
		list_for_each_entry_rcu(note, listed, link)
			if (is_note(note)) {
				newer = true;
				fn(note, arg);
			}
	if (newer || !of_page_0 || !vcpu)
		return;
	hlist_for_each_entry(note, of_page_0, hash_link)
		if (is_note(note) && !note->gfn && note->role.level == vcpu->arch.root_mmu.root_role.level)
			fn(note, arg);
}

/* What add_root() fills. */
struct root_list {
	struct root *roots;
	int count;
};

/* Add a table to the roots, unless it is none that is in use: those of system management mode go last. */
static void add_root(const struct table_note *note, void *arg)
{
	struct root_list *list = arg;
	struct root *root = &list->roots[list->count];

	if (note->role.invalid || !note->role.direct || list->count == MAX_ROOTS || note->role.level < 4 || note->role.level > 5)
		return;
	*root = (struct root){
		.hpa = __pa(note->spt),
		.level = note->role.level,
		.smm = note->role.smm,
	};
	if (!root->smm)
		swap(*root, list->roots[0]);
	list->count++;
}

/**
 * guest_roots() - the page tables that the guest has
 * @kvm: the guest, with mmu_lock held inside of rcu_read_lock()
 * @roots: filled in, each table once, those of system management mode last
 *
 * A vCPU in system management mode uses a table of its own; KVM keeps the other for when it comes
 * back.  So it is KVM's notes that are asked, not what vCPUs use now; guest_check() compares the two.  A guest
 * without any table (not started yet, or all were just thrown away) has nothing mapped.
 *
 * Return: how many.
 */
int guest_roots(struct kvm *kvm, struct root roots[MAX_ROOTS])
{
	struct root_list list = { .roots = roots };

	lockdep_assert_held(&kvm->mmu_lock);
	for_each_note(kvm, add_root, &list);
	return list.count;
}

/* What find_root() looks for, and whether it found it. */
struct wanted_root {
	hpa_t hpa;
	int level;
	bool found;
};

static void find_root(const struct table_note *note, void *arg)
{
	struct wanted_root *wanted = arg;

	if (__pa(note->spt) == wanted->hpa && note->role.level == wanted->level && note->role.direct)
		wanted->found = true;
}

/**
 * guest_check() - whether KVM notes the page tables that the guest uses, as guest_roots() takes for granted
 * @kvm: the guest
 *
 * To be asked before each harvest and each window, for this guest: another's does not tell.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int guest_check(struct kvm *kvm)
{
	struct wanted_root wanted = { .hpa = INVALID_PAGE };
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int err = 0;

	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		hpa_t hpa = READ_ONCE(vcpu->arch.root_mmu.root.hpa);

		if (!VALID_PAGE(hpa) || hpa == wanted.hpa)
			continue;
		wanted = (struct wanted_root){ .hpa = hpa, .level = vcpu->arch.root_mmu.root_role.level };
		for_each_note(kvm, find_root, &wanted);
		/* A vCPU may have let go of it meanwhile. */
		if (!wanted.found && READ_ONCE(vcpu->arch.root_mmu.root.hpa) == hpa) {
			check_failed(CHECK_ROOTS, hpa);
			err = -EOPNOTSUPP;
			break;
		}
	}
	if (wanted.found)
		check_passed(CHECK_ROOTS);
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	return err;
}

/**
 * guest_fits() - whether a leaf is as KVM makes them, so that it can be mined
 * @guest: the guest; the first writable leaf tells which layout its entries have
 * @spte: the leaf, not armed, which lets reads pass
 */
bool guest_fits(struct guest *guest, u64 spte)
{
	const struct spte_layout *layouts;
	unsigned int count = vendor_layouts(&layouts), i;

	if (!guest->layout_known) {
		if (!(spte & SPTE_W))
			return false;
		for (i = 0; i < count && !guest->layout_known; i++)
			if (spte_fits(&layouts[i], spte)) {
				WRITE_ONCE(guest->layout, &layouts[i]);
				guest->layout_known = true;
			}
	}
	if (!guest->layout_known || !spte_fits(guest->layout, spte)) {
		check_failed(CHECK_ENTRIES, spte);
		return false;
	}
	check_passed(CHECK_ENTRIES);
	return !(spte & guest->layout->tracking);
}

/**
 * guest_entry() - the entry that maps a page, or would
 * @root: one of guest_roots(), with mmu_lock still held
 * @gfn: the page
 * @lowest: do not go below this level
 * @level: set to the level of the entry: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
 *
 * Return: the entry: a leaf, the one at level @lowest, or one that is not spte_present(); NULL if the way there is
 * not as KVM makes it.
 */
u64 *guest_entry(const struct root *root, gfn_t gfn, int lowest, int *level)
{
	const u64 accessed = boot_cpu_has(X86_FEATURE_SVM) ? NPT_ACCESSED : EPT_ACCESSED;
	static u64 nothing;
	u64 *table = guest_table(root->hpa, root->level);

	*level = root->level;
	if (gfn >> (9 * root->level))
		return &nothing;	/* beyond the table's reach */
	for (; table; --*level) {
		u64 *sptep = table + ((gfn >> (9 * (*level - 1))) % SPTE_ENTRIES);
		u64 spte = READ_ONCE(*sptep);

		if (*level == lowest || !spte_present(spte))
			return sptep;
		if (spte_is_leaf(spte, *level) && *level <= PG_LEVEL_1G)
			return sptep;
		/* KVM sets it in all that it makes above the lowest tables, and nobody clears it there. */
		if (!(spte & accessed) && *level > PG_LEVEL_2M) {
			check_failed(CHECK_ACCESSED, spte);
			return NULL;
		}
		table = guest_table(spte, *level - 1);
	}
	return NULL;
}

/**
 * guest_is_dirty_logged() - whether writes to the guest are being logged (live migration)
 * @kvm: the guest, with its srcu held: logging cannot begin in earnest before that is let go
 *
 * That is, to half of its memory or more: QEMU always logs the memory of a display adapter.
 */
bool guest_is_dirty_logged(struct kvm *kvm)
{
	/* Read once: the loop below evaluates it at each step, and KVM may put another set in place meanwhile. */
	struct kvm_memslots *slots = kvm_memslots(kvm);
	struct kvm_memory_slot *slot;
	u64 pages = 0, logged = 0;
	int bucket;

	kvm_for_each_memslot(slot, bucket, slots) {
		pages += slot->npages;
		if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			logged += slot->npages;
	}
	return logged && logged >= pages - logged;
}

/**
 * guest_state() - what GET_INFO and HARVEST both tell of a guest now, as KVM_EPT_SAMPLE_INFO_*
 * @kvm: the guest, with its srcu held
 * @nested_seen: its harvests see what guests of its own touch
 */
u32 guest_state(struct kvm *kvm, bool nested_seen)
{
	u32 state = KVM_EPT_SAMPLE_INFO_GUEST;

	if (guest_is_dirty_logged(kvm))
		state |= KVM_EPT_SAMPLE_INFO_DIRTY_LOG;
	if (nested_runs(kvm))
		state |= KVM_EPT_SAMPLE_INFO_NESTED | (nested_seen ? KVM_EPT_SAMPLE_INFO_NESTED_SEEN : 0);
	if (is_confidential(kvm))
		state |= KVM_EPT_SAMPLE_INFO_CONFIDENTIAL;
	return state;
}

/**
 * guest_logs_page() - whether writes to a page are being logged, in any address space
 * @kvm: the guest, with its srcu held: logging cannot begin in earnest before that is let go
 * @gfn: the page
 */
bool guest_logs_page(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memory_slot *slot;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kvm->memslots); i++) {
		slot = __gfn_to_memslot(__kvm_memslots(kvm, i), gfn);
		if (slot && (slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
			return true;
	}
	return false;
}

/**
 * guest_gfn_end() - one past the highest page of any memslot
 * @kvm: the guest, with its srcu held
 */
gfn_t guest_gfn_end(struct kvm *kvm)
{
	struct kvm_memslots *slots = kvm_memslots(kvm); /* once, as above */
	struct kvm_memory_slot *slot;
	gfn_t end = 0;
	int bucket;

	kvm_for_each_memslot(slot, bucket, slots)
		end = max(end, slot->base_gfn + slot->npages);
	return end;
}

static void acknowledge(void *unused)
{
}

/**
 * guest_flush_tlbs() - make every vCPU walk its page table anew
 * @guest: the guest
 *
 * What kvm_flush_remote_tlbs() does, from parts that are open to modules: ask each vCPU to flush
 * before it next enters the guest, and interrupt those that are in it.  No range: no processor flushes one of a
 * second-level table.
 */
void guest_flush_tlbs(struct guest *guest)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int this_cpu;

	WRITE_ONCE(guest->unflushed, false);
	atomic64_inc(&guest->flushes);
	if (flush_remote_tlbs) {
		flush_remote_tlbs(guest->kvm);
		return;
	}
	mutex_lock(&guest->flush_lock);
	cpumask_clear(guest->kicked);
	this_cpu = get_cpu();
	kvm_for_each_vcpu(i, vcpu, guest->kvm) {
		int cpu;

		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
		if (kvm_vcpu_exiting_guest_mode(vcpu) == OUTSIDE_GUEST_MODE)
			continue;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu != -1 && cpu != this_cpu)
			cpumask_set_cpu(cpu, guest->kicked);
	}
	smp_call_function_many(guest->kicked, acknowledge, NULL, true);
	put_cpu();
	atomic64_add(cpumask_weight(guest->kicked), &guest->interrupts);
	mutex_unlock(&guest->flush_lock);
}

static int by_gpa(const void *a, const void *b)
{
	const struct kvm_ept_sample_memslot *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/**
 * guest_memslots() - GET_MEMSLOTS: the memslots as they are now, by ascending gpa
 * @guest: the guest
 * @user: the caller's request; gets as many as fit
 *
 * Return: 0, -EFAULT or -ENOMEM.
 */
int guest_memslots(struct guest *guest, struct kvm_ept_sample_get_memslots __user *user)
{
	struct kvm_ept_sample_get_memslots request;
	struct kvm_ept_sample_memslot *copy;
	struct kvm_memory_slot *slot;
	struct kvm_memslots *slots;
	size_t count = 0, room = 0;
	int bucket, idx;
	int err = 0;

	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;

	idx = srcu_read_lock(&guest->kvm->srcu);
	slots = kvm_memslots(guest->kvm);
	kvm_for_each_memslot(slot, bucket, slots)
		room++;
	copy = kvmalloc_array(room, sizeof(*copy), GFP_KERNEL_ACCOUNT);
	if (!copy) {
		err = -ENOMEM;
		goto unlock;
	}
	kvm_for_each_memslot(slot, bucket, slots)
		copy[count++] = (struct kvm_ept_sample_memslot){
			.gpa = gfn_to_gpa(slot->base_gfn),
			.hva = slot->userspace_addr,
			.page_count = slot->npages,
		};
unlock:
	srcu_read_unlock(&guest->kvm->srcu, idx);
	if (err)
		return err;

	sort(copy, count, sizeof(*copy), by_gpa, NULL);
	count = min(count, request.capacity);
	if (copy_to_user((void __user *)request.memslots, copy, count * sizeof(*copy)) ||
	    put_user(count, &user->count))
		err = -EFAULT;
	kvfree(copy);
	return err;
}
