// SPDX-License-Identifier: GPL-2.0
/*
 * kvm_ept_sample: which guest pages does a KVM guest touch?
 *
 * /proc/kvm_ept_sample and its ioctls.  include/uapi/kvm_ept_sample.h is the interface, README.md
 * its manual.
 */
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/kvm_host.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "faults.h"
#include "guest.h"
#include "harvest.h"
#include "queue.h"

#define PROC_NAME	"kvm_ept_sample"

/* The command without the size of its struct: a struct that has grown is still the same command. */
#define CMD_KIND(cmd)	((cmd) & ~IOCSIZE_MASK)

/**
 * struct attachment - what an open file has between INIT and DEINIT
 *
 * Each part refers to those before it, never to those after it: they end in the reverse order.
 *
 * @guest: the guest
 * @harvester: harvests it
 * @faults: samples its faults, into the session's queue
 */
struct attachment {
	struct guest guest;
	struct harvester harvester;
	struct fault_sampler faults;
};

/**
 * struct session - one open file
 * @lock: serialises its ioctls
 * @queue: fault samples for read()
 * @attachment: between INIT and DEINIT, or the guest's death
 * @gone: its guest died, and was let go
 * @exit: tells of that death
 * @let_go: what is done then
 */
struct session {
	struct mutex lock;
	struct sample_queue queue;
	struct attachment *attachment;
	bool gone;
	struct mmu_notifier exit;
	struct work_struct let_go;
};

static struct workqueue_struct *let_go_wq;

/* Called when the memory of the guest's process is about to be freed.  To let a guest go here would wait for this call. */
static void on_exit(struct mmu_notifier *exit, struct mm_struct *mm)
{
	struct session *session = container_of(exit, struct session, exit);

	queue_work(let_go_wq, &session->let_go);
}

static const struct mmu_notifier_ops exit_ops = {
	.release = on_exit,
};

static long do_init(struct session *session, struct file *file, pid_t pid)
{
	struct attachment *attachment;
	int err;

	if (session->attachment || session->gone || pid <= 0)
		return -EINVAL;
	attachment = kzalloc(sizeof(*attachment), GFP_KERNEL_ACCOUNT);
	if (!attachment)
		return -ENOMEM;
	err = guest_find(&attachment->guest, file, pid);
	if (err)
		goto free_attachment;
	err = harvester_init(&attachment->harvester, &attachment->guest);
	if (err)
		goto put_guest;
	err = guest_watch(&attachment->guest, &session->exit);
	if (err)
		goto free_harvester;
	faults_init(&attachment->faults, &attachment->guest, &session->queue);
	queue_reset(&session->queue);
	session->attachment = attachment;
	return 0;

free_harvester:
	harvester_free(&attachment->harvester);
put_guest:
	guest_put(&attachment->guest);
free_attachment:
	kfree(attachment);
	return err;
}

static void detach(struct session *session)
{
	struct attachment *attachment = session->attachment;

	session->attachment = NULL;
	faults_stop(&attachment->faults);
	guest_unwatch(&attachment->guest, &session->exit);
	harvester_free(&attachment->harvester);
	guest_put(&attachment->guest);
	kfree(attachment);
}

static long do_deinit(struct session *session)
{
	if (!session->attachment && !session->gone)
		return -EINVAL;
	if (session->attachment)
		detach(session);
	session->gone = false;
	return 0;
}

/* The guest may also have been let go by DEINIT meanwhile, and another taken. */
static void let_go(struct work_struct *work)
{
	struct session *session = container_of(work, struct session, let_go);

	mutex_lock(&session->lock);
	if (session->attachment && guest_is_dead(&session->attachment->guest)) {
		detach(session);
		session->gone = true;
	}
	mutex_unlock(&session->lock);
}

/* 0 if there is a guest; -ESRCH if there was one; -EINVAL if not. */
static int check_attached(const struct session *session)
{
	if (session->gone || (session->attachment && guest_is_dead(&session->attachment->guest)))
		return -ESRCH;
	return session->attachment ? 0 : -EINVAL;
}

static long do_set_freq(struct session *session, unsigned int freq)
{
	int err = check_attached(session);

	if (err)
		return err;
	if (freq) {
		err = queue_alloc(&session->queue);
		if (err)
			return err;
	}
	return faults_set_freq(&session->attachment->faults, freq);
}

/* Sizes of the structs in their first version, the least that is accepted. */
#define INFO_LEAST	offsetofend(struct kvm_ept_sample_info, faults)
#define HARVEST_LEAST	offsetofend(struct kvm_ept_sample_harvest, generation)

/* Copy in a struct that begins with its own size; the caller may know a shorter or a longer one. */
static int get_request(void *request, size_t size, size_t least, void __user *user)
{
	u32 user_size;

	if (get_user(user_size, (u32 __user *)user))
		return -EFAULT;
	if (user_size < least)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(request, size, user, user_size);
}

/* Copy it out again, as far as the caller knows it. */
static int put_reply(void __user *user, const void *reply, size_t size, u32 user_size)
{
	return copy_to_user(user, reply, min_t(size_t, size, user_size)) ? -EFAULT : 0;
}

static int guest_info(struct attachment *attachment, struct kvm_ept_sample_info *info)
{
	struct harvester *harvester = &attachment->harvester;
	struct fault_sampler *faults = &attachment->faults;
	struct guest *guest = &attachment->guest;
	struct root roots[MAX_ROOTS];
	struct kvm *kvm = guest->kvm;
	struct guest_paging paging;
	struct kvm_memory_slot *slot;
	struct kvm_memslots *slots;
	int bucket, idx, err;

	err = guest_paging(guest, &paging);
	if (err)
		return err;
	info->paging = paging.kind;
	if (paging.has_ad)
		info->flags |= KVM_EPT_SAMPLE_INFO_AD;
	info->vcpus = atomic_read(&kvm->online_vcpus);

	rcu_read_lock();
	read_lock(&kvm->mmu_lock);
	if (guest_roots(kvm, roots))
		info->root_level = roots[0].level;
	read_unlock(&kvm->mmu_lock);
	rcu_read_unlock();

	idx = srcu_read_lock(&kvm->srcu);
	slots = kvm_memslots(kvm); /* once: KVM may put another set in place meanwhile */
	kvm_for_each_memslot(slot, bucket, slots)
		info->memslots++;
	info->gfn_end = guest_gfn_end(kvm);
	info->generation = slots->generation;
	info->flags |= guest_state(kvm, !READ_ONCE(harvester->nested_unseen));
	srcu_read_unlock(&kvm->srcu, idx);

	info->harvests = atomic64_read(&harvester->harvests);
	info->harvest_ns = atomic64_read(&harvester->ns);
	info->entries = atomic64_read(&harvester->entries);
	info->flushes = atomic64_read(&guest->flushes);
	info->samples = atomic64_read(&faults->samples);
	info->dropped = atomic64_read(&faults->dropped);
	info->armed = atomic64_read(&faults->armed);
	info->faults = atomic64_read(&faults->faults);
	info->interrupts = atomic64_read(&guest->interrupts);
	info->spared = atomic64_read(&guest->spared);
	return 0;
}

static long do_get_info(struct session *session, struct kvm_ept_sample_info __user *user)
{
	struct kvm_ept_sample_info request, info = {
		.size = sizeof(info),
		.abi_version = KVM_EPT_SAMPLE_ABI_VERSION,
		.flags = KVM_EPT_SAMPLE_INFO_REPORT,
		.page_sizes = BIT(PG_LEVEL_4K - 1) | BIT(PG_LEVEL_2M - 1),
	};
	int err;

	err = get_request(&request, sizeof(request), INFO_LEAST, user);
	if (err)
		return err;
	if (boot_cpu_has(X86_FEATURE_GBPAGES))
		info.page_sizes |= BIT(PG_LEVEL_1G - 1);
	if (faults_supported())
		info.flags |= KVM_EPT_SAMPLE_INFO_FAULTS;
	if (faults_hooked())
		info.flags |= KVM_EPT_SAMPLE_INFO_HOOK;
	err = check_attached(session);
	if (!err)
		err = guest_info(session->attachment, &info);
	else if (err == -EINVAL)
		err = 0;	/* of the module alone */
	if (err)
		return err;
	info.size = request.size;
	return put_reply(user, &info, sizeof(info), info.size);
}

static long do_harvest(struct session *session, struct kvm_ept_sample_harvest __user *user)
{
	struct kvm_ept_sample_harvest request;
	int err = check_attached(session);

	if (err)
		return err;
	err = get_request(&request, sizeof(request), HARVEST_LEAST, user);
	if (err)
		return err;
	err = harvest(&session->attachment->harvester, &request);
	if (err)
		return err;
	return put_reply(user, &request, sizeof(request), request.size);
}

static long dispatch(struct session *session, struct file *file, unsigned int cmd,
		     unsigned long arg)
{
	struct attachment *attachment = session->attachment;
	int err = check_attached(session);

	switch (cmd) {
	case KVM_EPT_SAMPLE_CMD_INIT:
		return do_init(session, file, arg);
	case KVM_EPT_SAMPLE_CMD_SET_PROT:
		return err ?: faults_set_prot(&attachment->faults, arg);
	case KVM_EPT_SAMPLE_CMD_SET_FREQ:
		return do_set_freq(session, arg);
	case KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS:
		return err ?: guest_memslots(&attachment->guest, (void __user *)arg);
	case KVM_EPT_SAMPLE_CMD_DEINIT:
		return do_deinit(session);
	case KVM_EPT_SAMPLE_CMD_SET_RECORD:
		return queue_set_record(&session->queue, arg);
	}
	switch (CMD_KIND(cmd)) {
	case CMD_KIND(KVM_EPT_SAMPLE_CMD_GET_INFO):
		return do_get_info(session, (void __user *)arg);
	case CMD_KIND(KVM_EPT_SAMPLE_CMD_HARVEST):
		return do_harvest(session, (void __user *)arg);
	}
	return -EINVAL;
}

static int sample_open(struct inode *inode, struct file *file)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL_ACCOUNT);

	if (!session)
		return -ENOMEM;
	/* procfs alone would let the module go while files are open. */
	if (!try_module_get(THIS_MODULE)) {
		kfree(session);
		return -ENODEV;
	}
	mutex_init(&session->lock);
	session->exit.ops = &exit_ops;
	INIT_WORK(&session->let_go, let_go);
	queue_init(&session->queue);
	file->private_data = session;
	return 0;
}

static int sample_release(struct inode *inode, struct file *file)
{
	struct session *session = file->private_data;

	mutex_lock(&session->lock);
	do_deinit(session);
	mutex_unlock(&session->lock);
	cancel_work_sync(&session->let_go);
	queue_free(&session->queue);
	kfree(session);
	module_put(THIS_MODULE);
	return 0;
}

static ssize_t sample_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct session *session = file->private_data;

	return queue_read(&session->queue, buf, len);
}

static __poll_t sample_poll(struct file *file, poll_table *wait)
{
	struct session *session = file->private_data;

	return queue_poll(&session->queue, file, wait);
}

static long sample_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct session *session = file->private_data;
	long ret;

	if (mutex_lock_interruptible(&session->lock))
		return -ERESTARTSYS;
	ret = dispatch(session, file, cmd, arg);
	mutex_unlock(&session->lock);
	return ret;
}

static const struct proc_ops sample_ops = {
	.proc_open = sample_open,
	.proc_release = sample_release,
	.proc_read = sample_read,
	.proc_poll = sample_poll,
	.proc_ioctl = sample_ioctl,
};

static int __init sample_init(void)
{
	int err;

	let_go_wq = alloc_workqueue("kvm_ept_sample_let_go", WQ_UNBOUND, 0);
	if (!let_go_wq)
		return -ENOMEM;
	guest_init_module();
	err = faults_init_module();
	if (err)
		goto exit_guest;
	if (!proc_create(PROC_NAME, 0600, NULL, &sample_ops)) {
		err = -ENOMEM;
		goto exit_faults;
	}
	return 0;

exit_faults:
	faults_exit_module();
exit_guest:
	guest_exit_module();
	destroy_workqueue(let_go_wq);
	return err;
}

static void __exit sample_exit(void)
{
	remove_proc_entry(PROC_NAME, NULL);
	faults_exit_module();
	guest_exit_module();
	destroy_workqueue(let_go_wq);
}

module_init(sample_init);
module_exit(sample_exit);
MODULE_DESCRIPTION("Which guest pages does a KVM guest touch?");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
