// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that runs a guest of its own, with nested page tables of its own, while it is sampled and harvested: what the
 * nested guest touches counts as touched by the guest, at the guest's addresses, and it goes on unharmed.
 */
#define _GNU_SOURCE
#include "sampler.h"

#define MEMORY		(16 * MIB)
#define PAGES		(MEMORY / PAGE)
#define HOT		64
#define NESTED_PAGES	64
#define ROUNDS		150
#define SEEN		(KVM_EPT_SAMPLE_INFO_NESTED | KVM_EPT_SAMPLE_INFO_NESTED_SEEN)

/* From one place of the nested guest's pages to the other. */
#define TWO_PLACES	((uint32_t)((VM_NESTED_AT - VM_NESTED_GFN) * PAGE))

static unsigned char bits[PAGES / 8], dirty[PAGES / 8], present[PAGES / 8], sizes[PAGES / 512];

static bool is_in(const unsigned char *map, unsigned long gfn)
{
	return map[gfn / 8] >> gfn % 8 & 1;
}

static bool is_set(unsigned long gfn)
{
	return is_in(bits, gfn);
}

/* Pages of the nested guest's from @first to @end that the last harvest found. */
static unsigned int found_nested(unsigned int first, unsigned int end)
{
	unsigned int found = 0;

	for (; first < end; first++)
		found += is_set(VM_NESTED_AT + first);
	return found;
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

/* The same for all that it tells of pages, without taking their bits. */
static int look(int fd)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits, .dirty = (uintptr_t)dirty,
		.present = (uintptr_t)present, .sizes = (uintptr_t)sizes,
	};

	return ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
}

/* Whether HARVEST and GET_INFO both say @expected of guests of the guest's: INFO_NESTED and INFO_NESTED_SEEN, or none of them. */
static bool both_say(int fd, uint32_t expected)
{
	const uint32_t both = KVM_EPT_SAMPLE_INFO_NESTED | KVM_EPT_SAMPLE_INFO_NESTED_SEEN;

	return !harvest(fd) && (state & both) == expected && (info_of(fd).flags & both) == expected;
}

/* Harvest what is touched from now on, when the nested guest ran a few times more. */
static void harvest_passes(int fd, const struct vm *vm)
{
	vm_wait_nested(vm, 2);
	harvest(fd);
	vm_wait_nested(vm, 2);
	harvest(fd);
}

/* What a nested guest touches is found, and only that: at 4 KiB, or as @huge 2 MiB. */
static void see_nested(int fd, const struct vm *vm, bool huge)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	const char *size = huge ? "2M" : "4K";
	unsigned int i, found, others = 0, off = 0, dirt = 0, there = 0;
	char name[128];

	harvest_passes(fd, vm);
	found = found_nested(0, NESTED_PAGES);
	snprintf(name, sizeof(name), "nested, %s: what only the nested guest touches is found", size);
	check(found == NESTED_PAGES && is_set(VM_NESTED_CODE_GFN), name, "%u of %u pages", found, NESTED_PAGES);
	for (i = 0; i < HOT; i++) {
		others += is_set(VM_NESTED_AT + NESTED_PAGES + i);
		/* In the 2 MiB before them the guest has pages of its own. */
		others += !huge && is_set(VM_NESTED_AT - 1 - i);
		off += is_set(VM_NESTED_GFN + i);
	}
	snprintf(name, sizeof(name), "nested, %s: its neighbours are %s", size, huge ? "in the same 2 MiB" : "not");
	check(others == (huge ? HOT : 0), name, "%u pages", others);
	snprintf(name, sizeof(name), "nested, %s: nothing is found at the nested guest's addresses", size);
	check(!off, name, "%u pages", off);
	CHECK_RETURNS("nested: HARVEST for all that there is", 0, look(fd));
	for (i = 0; i < NESTED_PAGES; i++) {
		there += is_in(present, VM_NESTED_AT + i);
		dirt += is_in(dirty, VM_NESTED_AT + i);
	}
	snprintf(name, sizeof(name), "nested, %s: present, dirty, and of that size", size);
	check(there == NESTED_PAGES && dirt == NESTED_PAGES &&
	      sizes[VM_NESTED_AT / 512] == (huge ? KVM_EPT_SAMPLE_SIZE_2M : KVM_EPT_SAMPLE_SIZE_4K), name,
	      "%u and %u of %u pages, size %u", there, dirt, NESTED_PAGES, sizes[VM_NESTED_AT / 512]);

	/* The same pages at the other place: by 4 KiB, two entries map each of them from now on; large pages share a table. */
	ctl->nested_offset = TWO_PLACES;
	harvest_passes(fd, vm);
	found = found_nested(0, NESTED_PAGES);
	snprintf(name, sizeof(name), "nested, %s: pages that it has at two places are found where it touches the second", size);
	check(found == NESTED_PAGES, name, "%u of %u pages", found, NESTED_PAGES);
	ctl->nested_offset = 0;
	harvest_passes(fd, vm);
	found = found_nested(0, NESTED_PAGES);
	snprintf(name, sizeof(name), "nested, %s: and where it touches the first", size);
	check(found == NESTED_PAGES, name, "%u of %u pages", found, NESTED_PAGES);

	/* What it touches no more has no bit left, whichever entry had it. */
	ctl->nested_pages = huge ? 0 : NESTED_PAGES / 2;
	harvest_passes(fd, vm);
	found = found_nested(0, ctl->nested_pages);
	off = found_nested(ctl->nested_pages, NESTED_PAGES);
	snprintf(name, sizeof(name), "nested, %s: what it touches no more is found no more", size);
	check(found == ctl->nested_pages && !off, name, "%u of %u, and %u of the others", found, ctl->nested_pages, off);
	ctl->nested_pages = NESTED_PAGES;
	harvest_passes(fd, vm);
	found = found_nested(0, NESTED_PAGES);
	snprintf(name, sizeof(name), "nested, %s: and what it touches again is found again", size);
	check(found == NESTED_PAGES, name, "%u of %u pages", found, NESTED_PAGES);
}

/* A guest whose nested guest runs, and touches NESTED_PAGES pages. */
static void start_nested(struct vm *vm, struct vm_config config)
{
	uint32_t well = strcmp(kvm_module(), "kvm_amd") ? VM_NESTED_EXIT_INTEL : VM_NESTED_EXIT_AMD;
	unsigned long hot[HOT], i;
	volatile struct vm_ctl *ctl;

	config.memory = MEMORY;
	config.nested = true;
	vm_start(vm, config);
	ctl = vm->ctl;
	/* The guest once touches what its guest calls by the same numbers, so that landmines can lie there. */
	for (i = 0; i < HOT; i++)
		hot[i] = VM_NESTED_GFN + i;
	vm_work(vm, hot, HOT, VM_WRITE);
	vm_wait(vm);
	for (i = 0; i < HOT; i++)
		hot[i] = 256 + 5 * i;
	vm_work(vm, hot, HOT, VM_WRITE);
	ctl->nested_pages = NESTED_PAGES;
	check(vm_wait_nested(vm, 2) && ctl->nested_exit == well, "a nested guest runs",
	      "%u times, last exit %#x", ctl->nested_passes, ctl->nested_exit);
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
	unsigned int i, round, samples = 0, of_nested = 0, strange = 0, failed = 0, first, last;
	uint32_t well = strcmp(kvm_module(), "kvm_amd") ? VM_NESTED_EXIT_INTEL : VM_NESTED_EXIT_AMD;
	struct kvm_ept_sample_sample batch[1000];
	unsigned long hot[HOT], hva;
	volatile struct vm_ctl *ctl;
	char path[32];
	struct vm vm;
	ssize_t n;
	int fd, memory;
	FILE *thp;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	for (i = 0; i < HOT; i++)
		hot[i] = VM_FREE_GFN + i;
	vm_work(&vm, hot, HOT, VM_WRITE);
	vm_wait(&vm);
	fd = attach(&vm);
	check(both_say(fd, 0), "a guest without guests is told as such", "state %#x", state);
	close(fd);
	vm_kill(&vm);

	thp = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");
	if (!thp || fputs("madvise", thp) < 0 || fclose(thp)) {
		skip("nested, 2M", "no transparent huge pages in this kernel");
	} else {
		start_nested(&vm, (struct vm_config){ .huge = true });
		fd = attach(&vm);
		see_nested(fd, &vm, true);
		check(both_say(fd, SEEN), "a guest that runs guests is told as such: 2M", "state %#x", state);
		close(fd);
		vm_kill(&vm);
	}

	/* A guest's tables for its guests may be without accessed bits with Intel: then KVM's translation has none, either. */
	if (well == VM_NESTED_EXIT_INTEL) {
		start_nested(&vm, (struct vm_config){ .nested_no_ad = true });
		fd = attach(&vm);
		harvest_passes(fd, &vm);
		check(!found_nested(0, NESTED_PAGES), "no accessed bits: what the nested guest touches is not seen",
		      "%u of %u pages", found_nested(0, NESTED_PAGES), NESTED_PAGES);
		check(both_say(fd, KVM_EPT_SAMPLE_INFO_NESTED), "no accessed bits: and is told as not seen", "state %#x", state);
		close(fd);
		vm_kill(&vm);
	}

	start_nested(&vm, (struct vm_config){ .nested_small = true });
	ctl = vm.ctl;
	hva = vm_hva(&vm);
	fd = attach(&vm);
	harvest_passes(fd, &vm);
	for (i = 0, failed = 0; i < HOT; i++)
		failed += !is_set(256 + 5 * i);
	check(!failed, "harvest finds what the guest touches", "%u of %u pages missed", failed, HOT);
	see_nested(fd, &vm, false);
	check(both_say(fd, SEEN), "a guest that runs guests is told as such: 4K", "state %#x", state);

	/* Memory goes away under the nested guest, so that it faults, where landmines of its host may lie. */
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	for (round = 0, failed = 0, of_nested = 0; round < ROUNDS; round++) {
		failed += vm_discard(&vm, VM_NESTED_AT, NESTED_PAGES) != 0;
		failed += !vm_wait_nested(&vm, 1);
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
	vm_wait_nested(&vm, 20);
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
	check(vm_wait_nested(&vm, 2) && vm_wait(&vm), "both go on when the sampler is gone", "no pass in 60 s");
	fd = attach(&vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	vm_kill(&vm);
	close(fd);
	check(returns_to("kvm_ept_sample", 0), "a guest killed with its nested guest is let go",
	      "%d references", references("kvm_ept_sample"));
	return checks_failed != 0;
}
