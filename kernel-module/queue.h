/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_QUEUE_H
#define KVM_EPT_SAMPLE_QUEUE_H

#include <linux/kfifo.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <kvm_ept_sample.h>

/**
 * struct sample_queue - samples on their way from the vCPUs to read()
 * @fifo: the samples
 * @wide: read() returns the 8-byte records; without it a gfn has to fit into 29 bits
 * @buffer: room of @fifo; NULL until the first fault sampling
 * @in: serialises the vCPUs; also guards @wide
 * @out: serialises the readers and the change of the buffer
 * @readable: who waits for samples
 *
 * It belongs to the open file, not to the guest: a reader never has to wait for an ioctl.
 */
struct sample_queue {
	DECLARE_KFIFO_PTR(fifo, struct kvm_ept_sample_sample64);
	struct kvm_ept_sample_sample64 *buffer;
	bool wide;
	spinlock_t in;
	struct mutex out;
	wait_queue_head_t readable;
};

void queue_init(struct sample_queue *queue);
int queue_alloc(struct sample_queue *queue);
void queue_reset(struct sample_queue *queue);
void queue_free(struct sample_queue *queue);
bool queue_put(struct sample_queue *queue, struct kvm_ept_sample_sample64 sample);
ssize_t queue_read(struct sample_queue *queue, char __user *buf, size_t len);
int queue_set_record(struct sample_queue *queue, unsigned long size);
__poll_t queue_poll(struct sample_queue *queue, struct file *file, poll_table *wait);

#endif
