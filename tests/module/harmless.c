// SPDX-License-Identifier: GPL-2.0
/*
 * harmless PID MOVES [blocks]: harvests the guest of a process ten times a second, samples it at 1,000 Hz, and moves its
 * pages between the nodes 0 and 1 all the while, until MOVES were moved, and for ten seconds at least: single pages, or
 * with `blocks` 2 MiB at a time, each of which counts as 512.  The guest checks its own memory; this tells only whether
 * all of that was really done.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>

#include "sampler.h"

#define RATE		1000
#define HARVEST_S	0.1
#define BURST		64		/* pages or blocks moved in one go */
#define MIN_HARVESTS	100		/* go on for so long, for blocks are moved quickly */
#define PAUSE_US	2000		/* between bursts, for the guest to touch them */
#define MAX_SLOTS	512
#define RAM_PAGES	(16 * MIB / PAGE)	/* a smaller memslot is a device's */
#define PAGES_PER_BLOCK	512

struct counts {
	unsigned long moves, stayed, harvests, failed, samples, large;
};

static struct kvm_ept_sample_memslot slots[MAX_SLOTS];
static size_t slot_count;

static int take_memslots(int fd)
{
	struct kvm_ept_sample_get_memslots get = { .memslots = slots, .capacity = MAX_SLOTS };
	size_t i;

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &get))
		return -1;
	for (i = slot_count = 0; i < get.count; i++)
		if (slots[i].page_count >= RAM_PAGES)
			slots[slot_count++] = slots[i];
	return slot_count ? 0 : -1;
}

static void harvest(int fd, struct counts *counts)
{
	static unsigned char accessed[1 << 17], sizes[1 << 11];	/* of 4 GiB */
	size_t i, block;

	for (i = 0; i < slot_count; i++) {
		unsigned long begin = slots[i].gpa / PAGE & ~511UL;
		struct kvm_ept_sample_harvest h = {
			.size = sizeof(h), .start = begin, .base = begin,
			.end = (slots[i].gpa / PAGE + slots[i].page_count + 511) & ~511UL,
			.flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH,
			.accessed = (uintptr_t)accessed, .sizes = (uintptr_t)sizes,
		};

		if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h)) {
			counts->failed++;
			continue;
		}
		counts->harvests++;
		for (block = 0; block < (h.end - begin) / 512; block++)
			counts->large += sizes[block] == KVM_EPT_SAMPLE_SIZE_2M;
	}
}

/* Move a burst of places to the node that each is not on. */
static void move_some(pid_t pid, bool blocks, unsigned int *seed, struct counts *counts)
{
	unsigned long step = blocks ? PAGES_PER_BLOCK : 1;
	void *places[BURST], *ends[BURST];
	int before[BURST], nodes[BURST], after[BURST], end_before[BURST], end_after[BURST], i, j, count = 0;

	for (i = 0; i < BURST; i++) {
		const struct kvm_ept_sample_memslot *slot = &slots[rand_r(seed) % slot_count];
		unsigned long page = ((unsigned long)rand_r(seed) << 15 ^ rand_r(seed)) % slot->page_count;
		unsigned long at = slot->hva + page * PAGE;

		places[i] = (void *)(at & ~(step * PAGE - 1));
	}
	if (syscall(SYS_move_pages, pid, (long)BURST, places, NULL, before, 0))
		return;
	for (i = 0; i < BURST; i++) {
		for (j = 0; j < count && places[j] != places[i]; j++)
			;
		if (j == count && (before[i] == 0 || before[i] == 1)) {
			places[count] = places[i];
			before[count] = before[i];
			nodes[count] = 1 - before[i];
			after[count] = -1;
			ends[count] = (char *)places[count] + (step - 1) * PAGE;
			count++;
		}
	}
	if (!count)
		return;
	syscall(SYS_move_pages, pid, (long)count, ends, NULL, end_before, 0);
	syscall(SYS_move_pages, pid, (long)count, places, nodes, after, 2);
	syscall(SYS_move_pages, pid, (long)count, ends, NULL, end_after, 0);
	/* Of a block that is one page for the kernel, the last 4 KiB go along; else only the first were moved. */
	for (i = 0; i < count; i++)
		if (after[i] == nodes[i])
			counts->moves += end_before[i] != nodes[i] && end_after[i] == nodes[i] ? step : 1;
		else
			counts->stayed++;
}

int main(int argc, char **argv)
{
	int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC);
	pid_t pid = argc > 2 ? atoi(argv[1]) : 0;
	unsigned long wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	bool blocks = argc > 3;
	struct kvm_ept_sample_sample samples[1000];
	struct kvm_ept_sample_info info;
	struct counts counts = { 0 };
	unsigned int seed = pid;
	double next = 0;
	ssize_t n;

	if (!pid || !wanted) {
		fprintf(stderr, "usage: harmless PID MOVES [blocks]\n");
		return 2;
	}
	if (fd < 0 || ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, pid) || ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, RATE)) {
		check(0, "sample the guest", "%s", strerror(errno));
		return 1;
	}
	check(!take_memslots(fd), "the guest's memory is found", "%s", strerror(errno));
	while ((counts.moves < wanted || counts.harvests < MIN_HARVESTS) && slot_count && !counts.failed) {
		if (now() >= next) {
			next = now() + HARVEST_S;
			harvest(fd, &counts);
		}
		move_some(pid, blocks, &seed, &counts);
		while ((n = read(fd, samples, sizeof(samples))) > 0)
			counts.samples += n / sizeof(samples[0]);
		if (n < 0 || kill(pid, 0)) {
			check(0, "the guest runs on", "it has gone after %lu moves", counts.moves);
			return 1;
		}
		usleep(PAUSE_US);
	}
	info = info_of(fd);
	printf("# %lu pages moved, %lu times one stayed; ", counts.moves, counts.stayed);
	printf("%lu harvests, %lu 2 MiB mappings in them; ", counts.harvests, counts.large);
	printf("%llu landmines, %llu faults, %lu samples\n", info.armed, info.faults, counts.samples);
	check(counts.moves >= wanted, "pages were moved", "%lu", counts.moves);
	check(counts.harvests >= MIN_HARVESTS && !counts.failed, "harvested all the while", "%lu harvests, %lu failed",
	      counts.harvests, counts.failed);
	check(counts.samples > 100, "sampled all the while", "%lu samples", counts.samples);
	check(!blocks || counts.large > counts.harvests, "the guest has 2 MiB mappings", "%lu in %lu harvests", counts.large,
	      counts.harvests);
	return checks_failed != 0;
}
