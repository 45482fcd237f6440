// SPDX-License-Identifier: GPL-2.0
/*
 * A guest mapped by one 1 GiB leaf: one accessed bit for all of it, and fault samples by 4 KiB all the same.  And one whose own
 * guest has memory that KVM maps so.
 */
#define _GNU_SOURCE
#include "sampler.h"

#define MEMORY	(1024 * MIB)
#define PAGES	(MEMORY / PAGE)

static unsigned char accessed[PAGES / 8], sizes[PAGES / 512];

static int harvest_range(int fd, unsigned long start, unsigned long end, struct kvm_ept_sample_harvest *h)
{
	*h = (struct kvm_ept_sample_harvest){
		.size = sizeof(*h), .start = start, .end = end,
		.flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH,
		/* The kernel counts from gfn 0. */
		.accessed = (uintptr_t)accessed - start / 8, .sizes = (uintptr_t)sizes - start / 512,
	};
	memset(accessed, 0, sizeof(accessed));
	return ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, h);
}

/*
 * KVM splits the 1 GiB entry when logging begins, while a landmine lies in it: all 262,144 parts get back what they had.  The
 * only vCPU is in system management mode, where it uses another table; else it would step on the one landmine at once.
 */
static void split(void)
{
	static const unsigned long hot[] = { 100 };
	unsigned long long before, laid = ~0ULL;
	long most = 0, left, round;
	bool entered = true;
	struct vm vm;
	int fd, i;

	vm_set_eager_split(true);
	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .giant = true, .smm = true });
	vm_work(&vm, hot, 1, VM_WRITE);
	vm_wait(&vm);
	fd = attach(&vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	for (round = 0; round < 5 && !most; round++) {
		entered &= vm_enter_smm(&vm);
		before = info_of(fd).armed;
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 1000);
		for (i = 0; i < 3000 && info_of(fd).armed - before < 5; i++)
			usleep(10000);
		laid = info_of(fd).armed - before < laid ? info_of(fd).armed - before : laid;
		if (vm_dirty_log(&vm, true))
			check(0, "1G: logging begins", "it does not");
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		vm_leave_smm(&vm);
		left = vm_denied(&vm);
		most = left < 0 || left > most ? left : most;
		vm_dirty_log(&vm, false);
		vm_wait(&vm);
	}
	check(entered && laid && !most, "1G: nothing stays denied of what KVM splits", "%ld entries, %llu landmines", most, laid);
	close(fd);
	vm_kill(&vm);
}

/* Where the memslot is that only the nested guest touches. */
#define NESTED_GFN	(2048 * MIB / PAGE)

/* Blocks of that memslot which the last harvest told as mapped by 1 GiB. */
static unsigned long giant_blocks(void)
{
	unsigned long i, found = 0;

	for (i = 0; i < PAGES / 512; i++)
		found += sizes[i] == KVM_EPT_SAMPLE_SIZE_1G;
	return found;
}

/* Harvest what is touched in it from now on, when the nested guest ran a few times more. */
static struct kvm_ept_sample_harvest harvest_nested(int fd, const struct vm *vm)
{
	struct kvm_ept_sample_harvest h;
	int round;

	for (round = 0; round < 2; round++) {
		check(vm_wait_nested(vm, 2), "nested, 1G: the nested guest goes on", "no pass in 60 s");
		CHECK_RETURNS("nested, 1G: HARVEST", 0, harvest_range(fd, NESTED_GFN, NESTED_GFN + PAGES, &h));
	}
	return h;
}

/* What a nested guest touches of memory that KVM maps for it by an entry of 1 GiB, and the guest never does. */
static void nested(void)
{
	const uint32_t seen = KVM_EPT_SAMPLE_INFO_NESTED | KVM_EPT_SAMPLE_INFO_NESTED_SEEN;
	static const unsigned long hot[] = { 100 };
	struct kvm_ept_sample_harvest h;
	volatile struct vm_ctl *ctl;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = 16 * MIB, .nested = true, .nested_giant = true });
	ctl = vm.ctl;
	check(!vm_add_slot(&vm, NESTED_GFN, PAGES), "nested, 1G: a memslot of a 1 GiB page", "refused");
	vm_work(&vm, hot, 1, VM_WRITE);
	fd = attach(&vm);
	h = harvest_nested(fd, &vm);
	check(ctl->nested_exit == VM_NESTED_EXIT_AMD, "nested, 1G: a nested guest runs", "last exit %#x", ctl->nested_exit);
	check(!h.pages_accessed && !giant_blocks(), "nested, 1G: nothing is found before it is touched", "%llu pages, %lu blocks",
	      h.pages_accessed, giant_blocks());

	ctl->nested_offset = (NESTED_GFN - VM_NESTED_GFN) * PAGE;
	ctl->nested_pages = 1;
	h = harvest_nested(fd, &vm);
	check(h.pages_accessed == PAGES, "nested, 1G: one access makes all of it accessed", "%llu pages", h.pages_accessed);
	check(giant_blocks() == PAGES / 512, "nested, 1G: sizes", "%lu blocks", giant_blocks());
	check((h.state & seen) == seen, "nested, 1G: told as seen", "state %#x", h.state);

	ctl->nested_pages = 0;
	h = harvest_nested(fd, &vm);
	check(!h.pages_accessed && giant_blocks() == PAGES / 512, "nested, 1G: what it touches no more is found no more",
	      "%llu pages, %lu blocks", h.pages_accessed, giant_blocks());
	ctl->nested_pages = 1;
	h = harvest_nested(fd, &vm);
	check(h.pages_accessed == PAGES, "nested, 1G: and what it touches again is found again", "%llu pages", h.pages_accessed);
	close(fd);
	vm_kill(&vm);
}

int main(void)
{
	static const unsigned long hot[] = { 100, 30000, 150001, 262143 };
	static struct kvm_ept_sample_sample samples[4096];
	size_t right = 0, wrong = 0, i, n;
	struct kvm_ept_sample_harvest h;
	unsigned long long entries;
	double end;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .giant = true });
	vm_work(&vm, hot, 4, VM_READ);
	vm_wait(&vm);
	fd = attach(&vm);
	check(info_of(fd).page_sizes & 4, "GET_INFO: 1 GiB pages may occur", "%x", info_of(fd).page_sizes);

	CHECK_RETURNS("1G: HARVEST", 0, harvest_range(fd, 0, PAGES, &h));
	for (i = 0; i < PAGES / 512 && sizes[i] == KVM_EPT_SAMPLE_SIZE_1G; i++)
		;
	check(i == PAGES / 512, "1G: sizes", "size %u in block %zu", sizes[i], i);
	check(h.pages_accessed == PAGES, "1G: one access makes all of it accessed", "%llu pages",
	      h.pages_accessed);
	entries = info_of(fd).entries;
	vm_wait(&vm);
	CHECK_RETURNS("1G: HARVEST again", 0, harvest_range(fd, 0, PAGES, &h));
	check(h.pages_accessed == PAGES && info_of(fd).entries - entries == 1,
	      "1G: its entry is looked at once", "%llu pages, %llu entries", h.pages_accessed,
	      info_of(fd).entries - entries);

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100);
	for (end = now() + 30; right + wrong < 20 && now() < end;) {
		usleep(20000);
		n = read(fd, samples, sizeof(samples)) / sizeof(samples[0]);
		for (i = 0; i < n; i++) {
			unsigned long gfn = samples[i].gfn, k;

			for (k = 0; k < 4 && hot[k] != gfn; k++)
				;
			/* What is touched first under the one landmine is often the code, on a busy host always. */
			if (gfn < VM_CTL_GFN)
				*((k < 4 && samples[i].xwr == 1) || (gfn == VM_CODE_GFN && samples[i].xwr == 4) ?
				  &right : &wrong) += 1;
		}
	}
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	check(right && !wrong, "1G: the sample is the 4K page touched", "%zu right, %zu wrong", right, wrong);
	CHECK_RETURNS("1G: HARVEST after sampling", 0, harvest_range(fd, 0, PAGES, &h));
	check(sizes[77] == KVM_EPT_SAMPLE_SIZE_1G, "1G: the mapping stays 1G", "size %u", sizes[77]);
	check(vm_wait(&vm), "guest goes on", "no pass in 60 s");
	close(fd);
	vm_kill(&vm);
	split();
	nested();
	return checks_failed != 0;
}
