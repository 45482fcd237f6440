// SPDX-License-Identifier: GPL-2.0
/*
 * What the benchmark compares harvest with: KVM's mmu notifier, asked page by page, as DAMON, idle page tracking and reclaim
 * do.  Write "PID HVA PAGES" to /proc/notifier, read back "NANOSECONDS YOUNG": the time, and how many pages had been accessed.
 * For emulated hosts only: it checks nothing.
 */
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

static ssize_t notifier_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	unsigned long hva, pages, i;
	struct task_struct *task;
	struct kvm *kvm = NULL;
	char text[96] = "";
	u64 begin;
	int pid;

	if (len >= sizeof(text) || copy_from_user(text, buf, len) ||
	    sscanf(text, "%d %lu %lu", &pid, &hva, &pages) != 3)
		return -EINVAL;
	task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	if (!task)
		return -ESRCH;
	task_lock(task);
	if (task->files)
		iterate_fd(task->files, 0, get_kvm, &kvm);
	task_unlock(task);
	put_task_struct(task);
	if (!kvm || !kvm_get_kvm_safe(kvm))
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

static int __init notifier_init(void)
{
	return proc_create("notifier", 0600, NULL, &notifier_ops) ? 0 : -ENOMEM;
}

static void __exit notifier_exit(void)
{
	remove_proc_entry("notifier", NULL);
}

module_init(notifier_init);
module_exit(notifier_exit);
MODULE_DESCRIPTION("KVM's mmu notifier, page by page, for comparison");
MODULE_LICENSE("GPL");
