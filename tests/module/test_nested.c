// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that runs a guest of its own, with nested page tables of its own, while it is sampled and harvested: what the
 * nested guest does is never taken for the guest's doing, and it goes on unharmed.
 */
#define _GNU_SOURCE
#include "sampler.h"

#define MEMORY		(16 * MIB)
#define PAGES		(MEMORY / PAGE)
#define HOT		64
#define NESTED_PAGES	64
#define ROUNDS		150

static unsigned char bits[PAGES / 8];

static bool is_set(unsigned long gfn)
{
	return bits[gfn / 8] >> gfn % 8 & 1;
}

/* What the last harvest said of the guest. */
static uint32_t state;

static int harvest(int fd)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits,
		.flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH,
	};
	int err;

	memset(bits, 0, sizeof(bits));
	err = ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
	state = h.state;
	return err;
}

/* Whether GET_INFO and HARVEST both say that the guest runs guests (@expected), or both that it does not. */
static bool both_say(int fd, bool expected)
{
	uint32_t flags = info_of(fd).flags;

	if (harvest(fd))
		return false;
	return !!(flags & KVM_EPT_SAMPLE_INFO_NESTED) == expected && !!(state & KVM_EPT_SAMPLE_INFO_NESTED) == expected;
}

/* Wait until the nested guest ran @times more: false after 60 s. */
static bool wait_nested(const struct vm *vm, uint32_t times)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	uint32_t from = ctl->nested_passes;
	int i;

	for (i = 0; i < 60000; i++) {
		if (ctl->nested_passes - from >= times)
			return true;
		usleep(1000);
	}
	return false;
}

/* The nested guest's count in its page @i, read from the memory of the process that runs the guest. */
static uint32_t count_in(int memory, unsigned long hva, unsigned int i)
{
	uint32_t count = 0;

	if (pread(memory, &count, sizeof(count), hva + (VM_NESTED_AT + i) * PAGE + VM_NESTED_WORD) != sizeof(count))
		check(0, "read the guest's memory", "%s", strerror(errno));
	return count;
}

int main(void)
{
	unsigned int i, round, samples = 0, of_nested = 0, strange = 0, failed = 0, unseen = 0, first, last;
	uint32_t well = strcmp(kvm_module(), "kvm_amd") ? VM_NESTED_EXIT_INTEL : VM_NESTED_EXIT_AMD;
	struct kvm_ept_sample_sample batch[1000];
	unsigned long hot[HOT], hva;
	volatile struct vm_ctl *ctl;
	char path[32];
	struct vm vm;
	ssize_t n;
	int fd, memory;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	for (i = 0; i < HOT; i++)
		hot[i] = VM_FREE_GFN + i;
	vm_work(&vm, hot, HOT, VM_WRITE);
	vm_wait(&vm);
	fd = attach(&vm);
	check(both_say(fd, false), "a guest without guests is told as such", "state %#x", state);
	close(fd);
	vm_kill(&vm);

	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .nested = true });
	ctl = vm.ctl;
	hva = vm_hva(&vm);
	/* The guest once touches what its guest calls by the same numbers, so that landmines can lie there. */
	for (i = 0; i < HOT; i++)
		hot[i] = VM_NESTED_GFN + i;
	vm_work(&vm, hot, HOT, VM_WRITE);
	vm_wait(&vm);
	for (i = 0; i < HOT; i++)
		hot[i] = 256 + 5 * i;
	vm_work(&vm, hot, HOT, VM_WRITE);
	ctl->nested_pages = NESTED_PAGES;
	check(wait_nested(&vm, 2) && ctl->nested_exit == well, "a nested guest runs",
	      "%u times, last exit %#x", ctl->nested_passes, ctl->nested_exit);

	fd = attach(&vm);
	wait_nested(&vm, 2);
	harvest(fd);
	wait_nested(&vm, 2);
	CHECK_RETURNS("harvest with a nested guest", 0, harvest(fd));
	for (i = 0; i < HOT; i++) {
		failed += !is_set(hot[i]);
		of_nested += is_set(VM_NESTED_GFN + i);
	}
	check(!failed, "harvest finds what the guest touches", "%u of %u pages missed", failed, HOT);
	check(!of_nested, "harvest takes no page of the nested guest's for the guest's", "%u pages", of_nested);
	/* Only the nested guest touches these of the guest's pages: whoever harvests must know that they look cold. */
	for (i = 0; i < NESTED_PAGES; i++)
		unseen += !is_set(VM_NESTED_AT + i);
	check(unseen == NESTED_PAGES, "what the nested guest touches is not seen", "%u of %u pages", unseen, NESTED_PAGES);
	check(both_say(fd, true), "a guest that runs guests is told as such", "state %#x", state);

	/* Memory goes away under the nested guest, so that it faults, where landmines of its host may lie. */
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	for (round = 0, failed = 0, of_nested = 0; round < ROUNDS; round++) {
		failed += vm_discard(&vm, VM_NESTED_AT, NESTED_PAGES) != 0;
		failed += !wait_nested(&vm, 1);
		while ((n = read(fd, batch, sizeof(batch))) > 0)
			for (i = 0; i < n / sizeof(batch[0]); i++) {
				samples++;
				of_nested += batch[i].gfn >= VM_NESTED_GFN && batch[i].gfn < VM_NESTED_GFN + HOT;
				strange += batch[i].gfn >= PAGES &&
					   (batch[i].gfn < VM_CTL_GFN ||
					    batch[i].gfn >= VM_CTL_GFN + VM_CTL_SIZE / PAGE);
			}
		if (harvest(fd))
			failed++;
	}
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	check(!failed, "sampled and harvested while a nested guest runs and loses its memory",
	      "%u of %u rounds failed", failed, ROUNDS);
	check(samples > HOT, "the guest's own accesses are sampled", "%u samples", samples);
	check(!of_nested && !strange, "no access of the nested guest is taken for the guest's",
	      "%u of %u samples, %u outside of its memory", of_nested, samples, strange);

	/* Each page counted every pass since its memory went away last: all the same, give or take the pass under way. */
	vm_discard(&vm, VM_NESTED_AT, NESTED_PAGES);
	wait_nested(&vm, 20);
	snprintf(path, sizeof(path), "/proc/%d/mem", vm.pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	first = count_in(memory, hva, 0);
	for (i = 0, failed = 0; i < NESTED_PAGES; i++) {
		last = count_in(memory, hva, i);
		failed += last + 1 < first || last > first + 1000;
	}
	check(first >= 10 && !failed && ctl->nested_exit == well, "the nested guest's memory is whole",
	      "%u of %u pages do not fit a count of %u, last exit %#x", failed, NESTED_PAGES, first, ctl->nested_exit);

	close(memory);
	close(fd);
	check(wait_nested(&vm, 2) && vm_wait(&vm), "both go on when the sampler is gone", "no pass in 60 s");
	fd = attach(&vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	vm_kill(&vm);
	close(fd);
	check(returns_to("kvm_ept_sample", 0), "a guest killed with its nested guest is let go",
	      "%d references", references("kvm_ept_sample"));
	return checks_failed != 0;
}
