/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_FAULTS_H
#define KVM_EPT_SAMPLE_FAULTS_H

#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct guest;
struct mine;
struct sample_queue;
struct span;

/**
 * struct fault_sampler - fault sampling of one guest
 * @guest: the guest, which outlives this
 * @queue: where the samples go; outlives this, too
 * @node: in the table where the probe looks guests up; hashed while sampling
 * @work: at the end of each window takes up its landmines and lays the next
 * @prot: kinds of access to record, r = 1, w = 2, x = 4
 * @freq: samples a second that are wanted; 0 while stopped
 * @mines: room for the landmines of a window
 * @mine_count: landmines that lie
 * @laid: some may have lain, ever
 * @window_start: when
 * @samples_before: samples recorded until then
 * @faults_before: faults seen until then
 * @owed: samples due but not got yet, in 1/1024
 * @credit: faults that the guest may still be given, in 1/1024
 * @yield: samples a landmine brings, a moving average in 1/65536
 * @spans: the guest's memory, as the memslots of @generation
 * @span_count: length of @spans
 * @pages: 4 KiB pages in @spans
 * @generation: of the memslots when @spans was made
 * @samples: samples recorded, since INIT, as all below
 * @dropped: samples lost, as the queue was full
 * @armed: landmines laid
 * @faults: faults seen on them
 */
struct fault_sampler {
	struct guest *guest;
	struct sample_queue *queue;
	struct hlist_node node;
	struct delayed_work work;
	unsigned int prot;
	unsigned int freq;
	struct mine *mines;
	unsigned int mine_count;
	bool laid;
	ktime_t window_start;
	u64 samples_before;
	u64 faults_before;
	s64 owed;
	s64 credit;
	u32 yield;
	struct span *spans;
	unsigned int span_count;
	u64 pages;
	u64 generation;
	atomic64_t samples;
	atomic64_t dropped;
	atomic64_t armed;
	atomic64_t faults;
};

int faults_init_module(void);
void faults_exit_module(void);
bool faults_supported(void);
bool faults_hooked(void);
void faults_init(struct fault_sampler *faults, struct guest *guest, struct sample_queue *queue);
int faults_set_prot(struct fault_sampler *faults, unsigned int prot);
int faults_set_freq(struct fault_sampler *faults, unsigned int freq);
void faults_stop(struct fault_sampler *faults);

#endif
