// SPDX-License-Identifier: GPL-2.0
/*
 * Samples on their way from the vCPUs that stepped on a landmine to read().
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <kvm_ept_sample.h>
#include "queue.h"

/* Three seconds at the highest rate; a power of two for kfifo. */
#define QUEUE_SAMPLES	65536

/* Records copied to user space at a time, from the stack. */
#define READ_BATCH	32

/* One past the highest gfn of the original ABI's record. */
#define NARROW_GFN_END	(1ULL << 29)

void queue_init(struct sample_queue *queue)
{
	INIT_KFIFO(queue->fifo);
	queue->buffer = NULL;
	queue->wide = false;
	spin_lock_init(&queue->in);
	mutex_init(&queue->out);
	init_waitqueue_head(&queue->readable);
}

/**
 * queue_alloc() - make room for samples, once
 * @queue: the queue
 *
 * Return: 0 or -ENOMEM.
 */
int queue_alloc(struct sample_queue *queue)
{
	int err = 0;

	mutex_lock(&queue->out);
	if (!queue->buffer) {
		queue->buffer = kvmalloc_array(QUEUE_SAMPLES, sizeof(*queue->buffer),
					       GFP_KERNEL_ACCOUNT);
		if (queue->buffer)
			kfifo_init(&queue->fifo, queue->buffer,
				   QUEUE_SAMPLES * sizeof(*queue->buffer));
		else
			err = -ENOMEM;
	}
	mutex_unlock(&queue->out);
	return err;
}

/* Forget the samples of the guest before. */
void queue_reset(struct sample_queue *queue)
{
	mutex_lock(&queue->out);
	kfifo_reset_out(&queue->fifo);
	mutex_unlock(&queue->out);
}

void queue_free(struct sample_queue *queue)
{
	kvfree(queue->buffer);
}

/**
 * queue_put() - add a sample; called by vCPUs, never sleeps
 * @queue: a queue with room allocated
 * @sample: the sample
 *
 * Return: false if it was lost: the queue is full, or the record cannot hold its gfn.
 */
bool queue_put(struct sample_queue *queue, struct kvm_ept_sample_sample64 sample)
{
	bool added;

	spin_lock(&queue->in);
	added = (queue->wide || sample.gfn < NARROW_GFN_END) && kfifo_put(&queue->fifo, sample);
	spin_unlock(&queue->in);

	if (added && wq_has_sleeper(&queue->readable))
		wake_up_interruptible(&queue->readable);
	return added;
}

/* Copy @n samples out as records of the kind that is asked for. */
static bool put_records(const struct kvm_ept_sample_sample64 *samples, size_t n, bool wide,
			char __user *buf)
{
	struct kvm_ept_sample_sample narrow[READ_BATCH];
	size_t i;

	if (wide)
		return !copy_to_user(buf, samples, n * sizeof(*samples));
	for (i = 0; i < n; i++) {
		narrow[i].gfn = samples[i].gfn;
		narrow[i].xwr = samples[i].xwr;
	}
	return !copy_to_user(buf, narrow, n * sizeof(narrow[0]));
}

/**
 * queue_read() - take samples out
 * @queue: the queue
 * @buf: where to put them
 * @len: bytes there; only whole records are written
 *
 * Return: bytes written, 0 if there is no sample, -EFAULT if @buf is bad: no sample is lost then.
 */
ssize_t queue_read(struct sample_queue *queue, char __user *buf, size_t len)
{
	struct kvm_ept_sample_sample64 samples[READ_BATCH];
	size_t record, done = 0, n;
	ssize_t ret = 0;

	mutex_lock(&queue->out);
	record = queue->wide ? sizeof(struct kvm_ept_sample_sample64)
			     : sizeof(struct kvm_ept_sample_sample);
	while (done < len / record) {
		n = min_t(size_t, len / record - done, READ_BATCH);
		n = kfifo_out_peek(&queue->fifo, samples, n);
		if (!n)
			break;
		if (!put_records(samples, n, queue->wide, buf + done * record)) {
			ret = -EFAULT;
			break;
		}
		done += n;
		while (n--)
			kfifo_skip(&queue->fifo);
	}
	mutex_unlock(&queue->out);
	return done ? done * record : ret;
}

/**
 * queue_set_record() - choose the records of read()
 * @queue: the queue
 * @size: of a record, 4 or 8 bytes
 *
 * Return: 0, or -EINVAL for another size.
 */
int queue_set_record(struct sample_queue *queue, unsigned long size)
{
	if (size != sizeof(struct kvm_ept_sample_sample) &&
	    size != sizeof(struct kvm_ept_sample_sample64))
		return -EINVAL;
	mutex_lock(&queue->out);
	spin_lock(&queue->in);
	/* What is in the queue may not fit into narrower records. */
	if (queue->wide && size == sizeof(struct kvm_ept_sample_sample))
		kfifo_reset_out(&queue->fifo);
	queue->wide = size == sizeof(struct kvm_ept_sample_sample64);
	spin_unlock(&queue->in);
	mutex_unlock(&queue->out);
	return 0;
}

/**
 * queue_poll() - wait for samples, as poll() does
 * @queue: the queue
 * @file: the open file
 * @wait: the caller's table
 *
 * Return: EPOLLIN if read() would return some now, else 0.
 */
__poll_t queue_poll(struct sample_queue *queue, struct file *file, poll_table *wait)
{
	poll_wait(file, &queue->readable, wait);
	return kfifo_is_empty(&queue->fifo) ? 0 : EPOLLIN | EPOLLRDNORM;
}
