// SPDX-License-Identifier: GPL-2.0
/*
 * What tests cannot do from user space.  For emulated hosts only: it checks nothing.
 *
 * /proc/notifier: what the benchmark compares harvest with: KVM's mmu notifier, asked page by page, as DAMON, idle page tracking
 * and reclaim do.  Write "PID HVA PAGES", read back "NANOSECONDS YOUNG": the time, and how many pages had been accessed.
 *
 * /proc/cached_walk: plays a CPU that has the upper entries of the page table cached, which emulators
 * never have.  Write "PID GFN": the page's own entry is marked as accessed, those above are not.
 *
 * /proc/late_table: plays KVM that links a table in while a harvest looks.  Write "PID GFN TURNS": so
 * many turns of an empty loop long the entry above the page's table is empty; meanwhile the page's own
 * entry is marked as accessed.
 *
 * /proc/strange_table: plays a KVM whose tables are not as they are known.  Write "PID GFN ADDRESS": the
 * entry above the page's table points to that address (1: that of the guest's root), until the same is written
 * with 0.  Nothing may touch those 2 MiB meanwhile.
 *
 * /proc/strange_entry: plays a KVM that makes entries of another kind.  Write "PID GFN CLEAR SET": these bits of the page's 4 KiB
 * entry, in hexadecimal; read back the entry as it was before that, and as it is now.  Nothing may touch the page meanwhile.
 *
 * /proc/confidential: write "PID 1": KVM calls the guest one of its protected kind, until "PID 0" is written.
 *
 * /proc/denied: write "PID PAGES", read back how many of the entries that map the guest's first PAGES
 * grant no access at all, though they map memory.
 *
 * /proc/hold_mmu_lock: write "PID": holds the guest's mmu_lock for writing for a millisecond and then
 * until each CPU has answered, as KVM does when it flushes TLBs.
 */
#include <linux/delay.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/sched/task.h>
#include <linux/uaccess.h>

static u64 last_ns, last_young;

static int get_kvm(const void *found, struct file *file, unsigned int fd)
{
	if (strcmp(file->f_path.dentry->d_name.name, "kvm-vm"))
		return 0;
	*(struct kvm **)found = file->private_data;
	return 1;
}

/* The guest that a process runs, with a reference; NULL if there is none. */
static struct kvm *kvm_of(int pid)
{
	struct task_struct *task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	struct kvm *kvm = NULL;

	if (!task)
		return NULL;
	task_lock(task);
	if (task->files)
		iterate_fd(task->files, 0, get_kvm, &kvm);
	task_unlock(task);
	put_task_struct(task);
	return kvm && kvm_get_kvm_safe(kvm) ? kvm : NULL;
}

static ssize_t notifier_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	unsigned long hva, pages, i;
	char text[96] = "";
	struct kvm *kvm;
	u64 begin;
	int pid;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) ||
	    sscanf(text, "%d %lu %lu", &pid, &hva, &pages) != 3)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;

	last_young = 0;
	begin = ktime_get_ns();
	for (i = 0; i < pages; i++)
		last_young += !!kvm->mmu_notifier.ops->clear_young(&kvm->mmu_notifier, kvm->mm,
								   hva + i * PAGE_SIZE,
								   hva + (i + 1) * PAGE_SIZE);
	last_ns = ktime_get_ns() - begin;
	kvm_put_kvm(kvm);
	return len;
}

static ssize_t notifier_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%llu %llu\n", last_ns, last_young);

	return simple_read_from_buffer(buf, len, pos, text, n);
}

static const struct proc_ops notifier_ops = {
	.proc_read = notifier_read,
	.proc_write = notifier_write,
};

#define PRESENT		BIT_ULL(11)	/* KVM's own mark */
#define LARGE		BIT_ULL(7)
#define ADDRESS		GENMASK_ULL(51, 12)

static u64 accessed_bit(void)
{
	return boot_cpu_has(X86_FEATURE_SVM) ? BIT_ULL(5) : BIT_ULL(8);
}

/* The page's entry at that level, with mmu_lock held: NULL if the table does not reach so far down. */
static u64 *entry_of(struct kvm *kvm, gfn_t gfn, int lowest)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);
	u64 *sptep = NULL, spte = vcpu->arch.root_mmu.root.hpa | PRESENT;
	int level;

	for (level = vcpu->arch.root_mmu.root_role.level; level >= lowest; level--) {
		if (!(spte & PRESENT) || (sptep && (spte & LARGE)))
			return NULL;
		sptep = (u64 *)__va(spte & ADDRESS) + (gfn >> 9 * (level - 1)) % 512;
		spte = READ_ONCE(*sptep);
	}
	return sptep;
}

/* Mark the page's 4 KiB entry as accessed: -ENOENT if there is none. */
static int mark_leaf(struct kvm *kvm, gfn_t gfn)
{
	u64 *sptep, spte;
	int err = -ENOENT;

	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	sptep = entry_of(kvm, gfn, 1);
	spte = sptep ? READ_ONCE(*sptep) : 0;
	if ((spte & PRESENT) && try_cmpxchg64(sptep, &spte, spte | accessed_bit()))
		err = 0;
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	return err;
}

static ssize_t cached_walk_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	char text[64] = "";
	unsigned long gfn;
	struct kvm *kvm;
	int pid, err;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) || sscanf(text, "%d %lu", &pid, &gfn) != 2)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	err = mark_leaf(kvm, gfn);
	kvm_put_kvm(kvm);
	return err ?: len;
}

static const struct proc_ops cached_walk_ops = {
	.proc_write = cached_walk_write,
};

static int link_late(struct kvm *kvm, gfn_t gfn, unsigned int turns)
{
	u64 *above, *leaf, spte;
	int err = -ENOENT;

	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	above = entry_of(kvm, gfn, 2);
	leaf = entry_of(kvm, gfn, 1);
	if (leaf && (READ_ONCE(*leaf) & PRESENT)) {
		spte = xchg(above, 0);
		WRITE_ONCE(*leaf, READ_ONCE(*leaf) | accessed_bit());
		while (turns--)
			cpu_relax();
		xchg(above, spte | accessed_bit());
		err = 0;
	}
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	return err;
}

static ssize_t late_table_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	char text[64] = "";
	unsigned long gfn;
	unsigned int turns;
	struct kvm *kvm;
	int pid, err;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) || sscanf(text, "%d %lu %u", &pid, &gfn, &turns) != 3)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	err = link_late(kvm, gfn, turns);
	kvm_put_kvm(kvm);
	return err ?: len;
}

static const struct proc_ops late_table_ops = {
	.proc_write = late_table_write,
};

static ssize_t strange_table_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	static u64 known;	/* the entry as it was */
	unsigned long gfn, address;
	char text[64] = "";
	struct kvm *kvm;
	int pid, err = 0;
	u64 *above;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) ||
	    sscanf(text, "%d %lu %lx", &pid, &gfn, &address) != 3)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	above = entry_of(kvm, gfn, 2);
	if (!above || !(READ_ONCE(*above) & PRESENT)) {
		err = -ENOENT;
	} else if (address) {
		if (address == 1)
			address = kvm_get_vcpu(kvm, 0)->arch.root_mmu.root.hpa;
		known = READ_ONCE(*above);
		WRITE_ONCE(*above, (known & ~ADDRESS) | address);
	} else {
		WRITE_ONCE(*above, known);
	}
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	kvm_put_kvm(kvm);
	return err ?: len;
}

static const struct proc_ops strange_table_ops = {
	.proc_write = strange_table_write,
};

static u64 entry_before, entry_now;

static ssize_t strange_entry_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	unsigned long gfn, clear, set;
	u64 *sptep, now;
	char text[96] = "";
	struct kvm *kvm;
	int pid, err = 0;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) ||
	    sscanf(text, "%d %lu %lx %lx", &pid, &gfn, &clear, &set) != 4)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	sptep = entry_of(kvm, gfn, 1);
	now = sptep ? READ_ONCE(*sptep) : 0;
	if (now & PRESENT) {
		do {
			entry_before = now;
			entry_now = (now & ~(u64)clear) | set;
		} while (!try_cmpxchg64(sptep, &now, entry_now));
	} else {
		err = -ENOENT;
	}
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	kvm_put_kvm(kvm);
	return err ?: len;
}

static ssize_t strange_entry_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%llx %llx\n", entry_before, entry_now);

	return simple_read_from_buffer(buf, len, pos, text, n);
}

static const struct proc_ops strange_entry_ops = {
	.proc_read = strange_entry_read,
	.proc_write = strange_entry_write,
};

static ssize_t confidential_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
#ifdef KVM_X86_SW_PROTECTED_VM
	char text[64] = "";
	struct kvm *kvm;
	int pid, on;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) || sscanf(text, "%d %d", &pid, &on) != 2)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	kvm->arch.vm_type = on ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM;
	kvm_put_kvm(kvm);
	return len;
#else
	return -EOPNOTSUPP;
#endif
}

static const struct proc_ops confidential_ops = {
	.proc_write = confidential_write,
};

static u64 last_denied;

static ssize_t denied_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	unsigned long pages, gfn, step;
	char text[64] = "";
	struct kvm *kvm;
	int pid;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) || sscanf(text, "%d %lu", &pid, &pages) != 2)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	last_denied = 0;
	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	for (gfn = 0; gfn < pages; gfn += step) {
		u64 *sptep = entry_of(kvm, gfn, 1);

		step = 1;
		if (!sptep) {	/* a large entry, or none */
			sptep = entry_of(kvm, gfn, 2);
			step = 512;
		}
		/* Bit 0 is P for NPT, R for EPT. */
		if (sptep && (READ_ONCE(*sptep) & (PRESENT | BIT_ULL(0))) == PRESENT)
			last_denied++;
	}
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();
	kvm_put_kvm(kvm);
	return len;
}

static ssize_t denied_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", last_denied);

	return simple_read_from_buffer(buf, len, pos, text, n);
}

static const struct proc_ops denied_ops = {
	.proc_read = denied_read,
	.proc_write = denied_write,
};

static void answer(void *unused)
{
}

static ssize_t hold_mmu_lock_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	char text[64] = "";
	struct kvm *kvm;
	int pid;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) || sscanf(text, "%d", &pid) != 1)
		return -EINVAL;
	kvm = kvm_of(pid);
	if (!kvm)
		return -ENXIO;
	write_lock(&kvm->mmu_lock);
	mdelay(1);
	smp_call_function(answer, NULL, 1);
	write_unlock(&kvm->mmu_lock);
	kvm_put_kvm(kvm);
	return len;
}

static const struct proc_ops hold_mmu_lock_ops = {
	.proc_write = hold_mmu_lock_write,
};

static int __init helper_init(void)
{
	return proc_create("notifier", 0600, NULL, &notifier_ops) &&
	       proc_create("cached_walk", 0200, NULL, &cached_walk_ops) &&
	       proc_create("late_table", 0200, NULL, &late_table_ops) &&
	       proc_create("strange_table", 0200, NULL, &strange_table_ops) &&
	       proc_create("strange_entry", 0600, NULL, &strange_entry_ops) &&
	       proc_create("confidential", 0200, NULL, &confidential_ops) &&
	       proc_create("denied", 0600, NULL, &denied_ops) &&
	       proc_create("hold_mmu_lock", 0200, NULL, &hold_mmu_lock_ops) ? 0 : -ENOMEM;
}

static void __exit helper_exit(void)
{
	remove_proc_entry("hold_mmu_lock", NULL);
	remove_proc_entry("denied", NULL);
	remove_proc_entry("confidential", NULL);
	remove_proc_entry("strange_entry", NULL);
	remove_proc_entry("strange_table", NULL);
	remove_proc_entry("late_table", NULL);
	remove_proc_entry("cached_walk", NULL);
	remove_proc_entry("notifier", NULL);
}

module_init(helper_init);
module_exit(helper_exit);
MODULE_DESCRIPTION("What the module's tests cannot do from user space");
MODULE_LICENSE("GPL");
