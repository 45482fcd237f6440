// SPDX-License-Identifier: GPL-2.0
/* Harvest against what the guest is known to touch. */
#define _GNU_SOURCE
#include <pthread.h>

#include "sampler.h"

#define MEMORY		(64 * MIB)
#define PAGES		(MEMORY / PAGE)
#define HOT		1000
#define END_GFN		(VM_CTL_GFN + 4 * VM_CTL_SIZE / PAGE)

struct bits {
	unsigned char accessed[END_GFN / 8];
	unsigned char dirty[END_GFN / 8];
	unsigned char present[END_GFN / 8];
	unsigned char sizes[END_GFN / 512];
};

static struct bits found, truth;

static void set(unsigned char *bitmap, unsigned long gfn)
{
	bitmap[gfn / 8] |= 1 << gfn % 8;
}

static int get(const unsigned char *bitmap, unsigned long gfn)
{
	return bitmap[gfn / 8] >> gfn % 8 & 1;
}

/* How many pages the bitmaps agree on and how many only one has. */
struct score {
	unsigned long both, only_found, only_true;
};

static struct score compare(const unsigned char *got, const unsigned char *expected)
{
	struct score score = { 0 };
	unsigned long gfn;

	for (gfn = 0; gfn < END_GFN; gfn++) {
		score.both += get(got, gfn) && get(expected, gfn);
		score.only_found += get(got, gfn) && !get(expected, gfn);
		score.only_true += !get(got, gfn) && get(expected, gfn);
	}
	return score;
}

static void check_exact(const char *name, const unsigned char *got, const unsigned char *expected)
{
	struct score score = compare(got, expected);

	check(score.both && !score.only_found && !score.only_true, name,
	      "%lu right, %lu false, %lu missed", score.both, score.only_found, score.only_true);
}

/* KVM's older MMU also maps neighbours of what was touched, as far as they are there: present, not accessed. */
static bool maps_neighbours(void)
{
	FILE *file = fopen("/sys/module/kvm/parameters/tdp_mmu", "r");
	int state = file ? getc(file) : 'Y';

	if (file)
		fclose(file);
	return state == 'N';
}

static void check_present(const char *name)
{
	struct score score = compare(found.present, truth.present);

	check(score.both && !score.only_true && (!score.only_found || maps_neighbours()), name,
	      "%lu right, %lu false, %lu missed", score.both, score.only_found, score.only_true);
}

static int harvest_range(int fd, unsigned long start, unsigned long end, unsigned int flags,
			 struct kvm_ept_sample_harvest *h)
{
	*h = (struct kvm_ept_sample_harvest){
		.size = sizeof(*h), .flags = flags, .start = start, .end = end,
		.accessed = (uintptr_t)found.accessed, .dirty = (uintptr_t)found.dirty,
		.present = (uintptr_t)found.present, .sizes = (uintptr_t)found.sizes,
	};
	return ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, h);
}

/* Harvest @count pages that are far from the guest's others. */
static int harvest_range_at(int fd, unsigned long start, unsigned long count, struct kvm_ept_sample_harvest *h)
{
	*h = (struct kvm_ept_sample_harvest){
		.size = sizeof(*h), .start = start, .end = start + count, .base = start,
		.accessed = (uintptr_t)found.accessed,
	};
	return ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, h);
}

static struct kvm_ept_sample_harvest harvest(int fd, unsigned int flags)
{
	struct kvm_ept_sample_harvest h;

	if (harvest_range(fd, 0, END_GFN, flags, &h) || h.next != END_GFN) {
		check(0, "harvest", "%s, next %llu", strerror(errno), h.next);
		exit(1);
	}
	return h;
}

#define TAKE	(KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH)

/* Mark what vCPU 0 touches beside its table. */
static void add_own(const struct vm *vm, unsigned char *bitmap)
{
	unsigned long own[VM_MAX_TABLE / 1024 + 3];
	size_t count = vm_own_gfns(vm, own);

	while (count--)
		set(bitmap, own[count]);
}

static unsigned long hot_gfn(unsigned long i)
{
	return VM_FREE_GFN + 13 * i;
}

static void touch_all(struct vm *vm, int op)
{
	unsigned long all[PAGES - VM_FREE_GFN];
	unsigned long i;

	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(vm, all, PAGES - VM_FREE_GFN, op);
	vm_wait(vm);
}

static void work_hot(struct vm *vm, int op)
{
	unsigned long hot[HOT];
	unsigned long i;

	for (i = 0; i < HOT; i++)
		hot[i] = hot_gfn(i);
	vm_work(vm, hot, HOT, op);
	vm_wait(vm);
}

static void small_pages(void)
{
	struct kvm_ept_sample_harvest h;
	struct kvm_ept_sample_info info = { .size = sizeof(info) };
	unsigned long gfn;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	touch_all(&vm, VM_READ);
	memset(&truth, 0, sizeof(truth));
	for (gfn = VM_FREE_GFN; gfn < PAGES; gfn++)
		set(truth.present, gfn);
	add_own(&vm, truth.present);
	h = harvest(fd, 0);
	check_present("4K: present is what was ever touched");
	check_exact("4K: all that was touched is accessed", found.accessed, truth.present);
	check(h.pages_present == compare(found.present, found.present).both &&
	      h.pages_accessed == compare(found.accessed, found.accessed).both &&
	      h.pages_dirty == compare(found.dirty, found.dirty).both,
	      "4K: the counts are those of the bitmaps", "%llu %llu %llu", h.pages_present,
	      h.pages_accessed, h.pages_dirty);
	for (gfn = 0; gfn < PAGES && found.sizes[gfn / 512] == KVM_EPT_SAMPLE_SIZE_4K; gfn += 512)
		;
	check(gfn == PAGES && found.sizes[PAGES / 512] == KVM_EPT_SAMPLE_SIZE_NONE,
	      "4K: sizes", "size %u at gfn %lx, %u beyond", found.sizes[gfn / 512], gfn,
	      found.sizes[PAGES / 512]);

	work_hot(&vm, VM_READ);
	harvest(fd, TAKE);
	vm_wait(&vm);
	harvest(fd, 0);
	memset(truth.accessed, 0, sizeof(truth.accessed));
	for (gfn = 0; gfn < HOT; gfn++)
		set(truth.accessed, hot_gfn(gfn));
	add_own(&vm, truth.accessed);
	check_exact("4K: hot pages, precision and recall 1.0", found.accessed, truth.accessed);
	check_present("4K: cold pages stay present");

	harvest(fd, 0);
	check_exact("4K: without CLEAR the bits stay", found.accessed, truth.accessed);

	/* The hot set shifts: the old one goes cold. */
	vm_work(&vm, (unsigned long[]){ 100, 200, 300 }, 3, VM_WRITE);
	vm_wait(&vm);
	harvest(fd, TAKE);
	vm_wait(&vm);
	harvest(fd, TAKE);
	memset(truth.accessed, 0, sizeof(truth.accessed));
	for (gfn = 100; gfn <= 300; gfn += 100)
		set(truth.accessed, gfn);
	add_own(&vm, truth.accessed);
	check_exact("4K: a new hot set replaces the old", found.accessed, truth.accessed);
	check(get(found.dirty, 100) && get(found.dirty, 200) && get(found.dirty, 300),
	      "4K: written pages are dirty", "%d %d %d", get(found.dirty, 100),
	      get(found.dirty, 200), get(found.dirty, 300));

	/* A part of the range: nothing outside it is written. */
	memset(&found, 0xff, sizeof(found));
	check(!harvest_range(fd, 512, 1024, TAKE, &h) && h.next == 1024, "range: HARVEST",
	      "%s, next %llu", strerror(errno), h.next);
	for (gfn = 0; gfn < END_GFN; gfn++)
		if ((gfn < 512 || gfn >= 1024) && !get(found.accessed, gfn))
			break;
	check(gfn == END_GFN && found.sizes[0] == 0xff && found.sizes[2] == 0xff,
	      "range: nothing outside it is written", "gfn %lx", gfn);
	for (gfn = 512; gfn < 1024 && !get(found.accessed, gfn); gfn++)
		;
	check(gfn == 1024, "range: its cold pages are cleared in the bitmap", "gfn %lx", gfn);

	/* Beyond what the table can map, where its indices would begin anew. */
	check(!harvest_range_at(fd, 1UL << 36, PAGES, &h) && !h.pages_present && !h.pages_accessed,
	      "nothing is mapped beyond the table's reach", "%llu present, %llu accessed", h.pages_present,
	      h.pages_accessed);

	check(!vm_discard(&vm, 4096, 512), "discard 2 MiB", "failed");
	harvest(fd, 0);
	for (gfn = 4096; gfn < 4096 + 512 && !get(found.present, gfn); gfn++)
		;
	check(gfn == 4096 + 512, "discarded pages are not present", "gfn %lx is", gfn);

	/* Three flushes: the harvest of the cold range had nothing to clear. */
	ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info);
	check(info.harvests == 9 && info.entries > PAGES && info.flushes == 3 && info.harvest_ns,
	      "counters", "harvests %llu entries %llu flushes %llu ns %llu", info.harvests,
	      info.entries, info.flushes, info.harvest_ns);
	close(fd);
	vm_kill(&vm);
}

/* Accessed bits alone, as harvest gets them cheapest: without the tables that nobody uses. */
static struct kvm_ept_sample_harvest harvest_accessed(int fd)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .flags = TAKE, .end = END_GFN,
		.accessed = (uintptr_t)found.accessed, .sizes = (uintptr_t)found.sizes,
	};

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h)) {
		check(0, "harvest of accessed bits alone", "%s", strerror(errno));
		exit(1);
	}
	return h;
}

static unsigned long long entries_of_harvest(int fd)
{
	struct kvm_ept_sample_info before = { .size = sizeof(before) }, after = before;

	ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &before);
	harvest_accessed(fd);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &after);
	return after.entries - before.entries;
}

/* A few pages in a few blocks, others each round: what was cold must be seen as soon as it is not. */
static void cold_tables(void)
{
	unsigned long long all_hot, cold, lost = 0, false_hot = 0;
	unsigned long gfns[8], round, i;
	struct kvm_ept_sample_harvest h;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	touch_all(&vm, VM_READ);
	all_hot = entries_of_harvest(fd);
	memset(truth.accessed, 0, sizeof(truth.accessed));
	for (i = VM_FREE_GFN; i < PAGES; i++)
		set(truth.accessed, i);
	add_own(&vm, truth.accessed);
	check_exact("accessed bits alone: all that was touched", found.accessed, truth.accessed);

	vm_work(&vm, (unsigned long[]){ 5 * 512 + 7 }, 1, VM_READ);
	vm_wait(&vm);
	check(!vm_discard(&vm, 4096, 512), "discard 2 MiB for accessed bits alone", "failed");
	h = harvest_accessed(fd);
	check(found.sizes[4096 / 512] == KVM_EPT_SAMPLE_SIZE_NONE && found.sizes[4096 / 512 - 1] == KVM_EPT_SAMPLE_SIZE_4K,
	      "accessed bits alone: sizes tell an empty table", "%u, before it %u", found.sizes[4096 / 512],
	      found.sizes[4096 / 512 - 1]);
	check(h.pages_accessed == compare(found.accessed, found.accessed).both && !h.pages_present && !h.pages_dirty,
	      "accessed bits alone: nothing else is counted", "%llu %llu %llu", h.pages_accessed, h.pages_present, h.pages_dirty);
	vm_wait(&vm);
	harvest_accessed(fd);
	memset(truth.accessed, 0, sizeof(truth.accessed));
	set(truth.accessed, 5 * 512 + 7);
	add_own(&vm, truth.accessed);
	check_exact("accessed bits alone: what was taken is not seen again", found.accessed, truth.accessed);
	for (i = 0; i < 3; i++)
		harvest_accessed(fd);
	cold = entries_of_harvest(fd);
	check(cold * 6 < all_hot, "cold tables are skipped", "%llu entries, %llu when all is hot", cold,
	      all_hot);

	srand(1);
	for (round = 0; round < 40; round++) {
		for (i = 0; i < 8; i++)
			gfns[i] = VM_FREE_GFN + rand() % (PAGES - VM_FREE_GFN);
		vm_work(&vm, gfns, 8, VM_READ);
		vm_wait(&vm);
		harvest_accessed(fd);
		for (i = 0; i < 8; i++)		/* at the first harvest after the change */
			lost += !get(found.accessed, gfns[i]);
		vm_wait(&vm);
		harvest_accessed(fd);
		memset(truth.accessed, 0, sizeof(truth.accessed));
		for (i = 0; i < 8; i++)
			set(truth.accessed, gfns[i]);
		add_own(&vm, truth.accessed);
		lost += compare(found.accessed, truth.accessed).only_true;
		false_hot += compare(found.accessed, truth.accessed).only_found;
		if (round % 4 == 3)		/* and when it had time to be known as cold */
			for (i = 0; i < 3; i++)
				harvest_accessed(fd);
	}
	check(!lost && !false_hot, "no access to a cold table is lost", "%llu lost, %llu false", lost,
	      false_hot);
	close(fd);
	vm_kill(&vm);
}

/*
 * A CPU that has the entry above a table cached marks only the page's own entry. Until the flush at a harvest's end that may
 * happen behind the back of that very harvest: the next one must look into the table once more before it counts as cold.
 */
static void cached_upper_entry(void)
{
	const unsigned long page = 7 * 512 + 9;
	struct vm vm;
	int fd, helper = open("/proc/cached_walk", O_WRONLY);
	char text[64];

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	touch_all(&vm, VM_READ);
	vm_work(&vm, (unsigned long[]){ 5 * 512 + 7 }, 1, VM_READ);
	vm_wait(&vm);
	harvest_accessed(fd);
	snprintf(text, sizeof(text), "%d %lu", vm.pid, page);
	check(write(helper, text, strlen(text)) > 0, "cached upper entry: an access through it", "%s", strerror(errno));
	harvest_accessed(fd);
	check(get(found.accessed, page), "cached upper entry: the access is seen", "it is lost");
	harvest_accessed(fd);
	check(!get(found.accessed, page), "cached upper entry: it is seen once", "twice");
	close(helper);
	close(fd);
	vm_kill(&vm);
}

/* Harvest the 2 MiB of that page for accessed bits alone: whether the page has one. */
static bool harvest_block_of(int fd, unsigned long page)
{
	unsigned long block = page - page % 512;
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .flags = TAKE, .start = block, .end = block + 512,
		.accessed = (uintptr_t)found.accessed,
	};

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h))
		check(0, "harvest of a block", "%s", strerror(errno));
	return get(found.accessed, page);
}

/* What the thread that plays KVM is to do: it goes on until @rounds are done. */
static struct {
	int helper;
	pid_t pid;
	unsigned long page;
	volatile unsigned int begun, done;
	volatile bool end;
	volatile int failed;
} kvm;

static void *play_kvm(void *unused)
{
	unsigned int seed = 1;
	char text[64];

	(void)unused;
	while (!kvm.end) {
		if (kvm.begun == kvm.done)
			continue;
		snprintf(text, sizeof(text), "%d %lu %d", kvm.pid, kvm.page, rand_r(&seed) % 100);
		kvm.failed += write(kvm.helper, text, strlen(text)) <= 0;
		kvm.done = kvm.begun;
	}
	return NULL;
}

/* A table that KVM links in just when a harvest has seen that there is none is looked into by the next: nothing in it is lost. */
static void late_table(void)
{
	const unsigned int rounds = 4000;
	unsigned int i, lost = 0, during = 0;
	double end = now() + 20;	/* enough of them on a host that is not slow */
	pthread_t thread;
	struct vm vm;
	bool seen;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	touch_all(&vm, VM_READ);
	vm_work(&vm, (unsigned long[]){ 5 * 512 + 7 }, 1, VM_READ);
	vm_wait(&vm);
	kvm.helper = open("/proc/late_table", O_WRONLY);
	kvm.pid = vm.pid;
	kvm.page = 7 * 512 + 9;
	pthread_create(&thread, NULL, play_kvm, NULL);
	for (i = 0; i < rounds && now() < end; i++) {
		/* Until the table counts as cold. */
		harvest_block_of(fd, kvm.page);
		harvest_block_of(fd, kvm.page);
		harvest_block_of(fd, kvm.page);
		seen = false;
		kvm.begun++;
		while (kvm.done != kvm.begun)
			seen |= harvest_block_of(fd, kvm.page);
		during += seen;
		seen |= harvest_block_of(fd, kvm.page);
		lost += !seen;
	}
	kvm.end = true;
	pthread_join(thread, NULL);
	check(!kvm.failed && during < i, "late table: the helper plays KVM", "%d of %u rounds failed, %u seen at once",
	      kvm.failed, i, during);
	check(!lost, "late table: no access is lost", "%u of %u", lost, i);
	close(kvm.helper);
	close(fd);
	vm_kill(&vm);
}

/* Memory of the guest's process, in KiB, that the kernel says was accessed lately. */
static long referenced(const struct vm *vm)
{
	char path[64], line[256];
	long sum = 0, value;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps", vm->pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Referenced: %ld", &value) == 1)
			sum += value;
	if (file)
		fclose(file);
	return sum;
}

#define TOLD	1000

/* Bits that a harvest takes are not there for the host's reclaim, unless it is told. */
static void report(bool huge)
{
	const unsigned int flags[] = { TAKE, TAKE | KVM_EPT_SAMPLE_HARVEST_REPORT };
	struct kvm_ept_sample_harvest h = { .size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)found.accessed };
	unsigned long gfns[TOLD];
	char path[64], name[64];
	int fd, i, clear_refs;
	struct vm vm;
	long seen[2];

	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .huge = huge });
	fd = attach(&vm);
	check(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_REPORT, "GET_INFO: HARVEST_REPORT is known", "not so");
	touch_all(&vm, VM_WRITE);
	for (i = 0; i < TOLD; i++)
		gfns[i] = VM_FREE_GFN + 8 * i;
	vm_work(&vm, gfns, TOLD, VM_READ);
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", vm.pid);
	for (i = 0; i < 2; i++) {
		h.flags = TAKE;
		ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
		vm_wait(&vm);
		clear_refs = open(path, O_WRONLY);
		if (write(clear_refs, "1", 1) != 1)
			check(0, "clear_refs", "%s", strerror(errno));
		close(clear_refs);
		seen[i] = referenced(&vm);
		h.flags = flags[i];
		snprintf(name, sizeof(name), "report, %s: HARVEST", huge ? "2M" : "4K");
		CHECK_RETURNS(name, 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
		seen[i] = referenced(&vm) - seen[i];
	}
	snprintf(name, sizeof(name), "report, %s: reclaim is told what was accessed", huge ? "2M" : "4K");
	/* Of 2 MiB mappings, all: each has some of these pages. */
	check(seen[0] < TOLD && seen[1] >= TOLD * 4 && (huge || seen[1] < TOLD * 5), name,
	      "%ld KiB without, %ld with", seen[0], seen[1]);
	close(fd);
	vm_kill(&vm);
}

/* Where an entry leads to no table of KVM's, a harvest says so, and neither it nor sampling reads what is there. */
static void strange_table(void)
{
	const struct { unsigned long address; const char *name; } strange[] = {
		{ 1UL << 45, "HARVEST: a table where there is no memory" },
		{ 0xf0000, "HARVEST: a table in reserved memory" },
		{ 0x2000000, "HARVEST: a table in other memory" },
		{ 1, "HARVEST: a table of another level" },
	};
	const unsigned long page = 7 * 512 + 9;
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .flags = TAKE, .end = PAGES, .accessed = (uintptr_t)found.accessed,
	};
	int fd, helper = open("/proc/strange_table", O_WRONLY);
	bool played = true;
	char text[64];
	struct vm vm;
	size_t i;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	touch_all(&vm, VM_READ);
	vm_work(&vm, (unsigned long[]){ 5 * 512 + 7 }, 1, VM_READ);
	vm_wait(&vm);
	for (i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
		snprintf(text, sizeof(text), "%d %lu %lx", vm.pid, page, strange[i].address);
		played &= write(helper, text, strlen(text)) > 0;
		CHECK_RETURNS(strange[i].name, -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
		usleep(300 * 1000);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		snprintf(text, sizeof(text), "%d %lu 0", vm.pid, page);
		played &= write(helper, text, strlen(text)) > 0;
	}
	check(played, "strange table: the helper plays KVM", "%s", strerror(errno));
	CHECK_RETURNS("HARVEST: the table is as it was", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
	check(vm_wait(&vm), "strange table: the guest goes on", "no pass in 60 s");
	close(helper);
	close(fd);
	vm_kill(&vm);
}

static void huge_pages(void)
{
	struct kvm_ept_sample_harvest h;
	unsigned long gfn, block;
	struct vm vm;
	int fd;
	FILE *thp = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");

	if (!thp || fputs("madvise", thp) < 0 || fclose(thp)) {
		skip("2M", "no transparent huge pages in this kernel");
		return;
	}
	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .huge = true });
	fd = attach(&vm);
	touch_all(&vm, VM_READ);
	harvest(fd, 0);
	for (gfn = 0; gfn < PAGES && found.sizes[gfn / 512] == KVM_EPT_SAMPLE_SIZE_2M; gfn += 512)
		;
	check(gfn == PAGES, "2M: sizes", "size %u at gfn %lx", found.sizes[gfn / 512], gfn);

	/* One page in every third block: each of its block's 512 pages counts as accessed. */
	unsigned long hot[PAGES / 512 / 3];
	size_t count = 0;

	memset(&truth, 0, sizeof(truth));
	for (block = 1; block + 1 < PAGES / 512 && count < PAGES / 512 / 3; block += 3) {
		hot[count++] = block * 512 + 77;
		for (gfn = block * 512; gfn < (block + 1) * 512; gfn++)
			set(truth.accessed, gfn);
	}
	vm_work(&vm, hot, count, VM_READ);
	vm_wait(&vm);
	for (gfn = 0; gfn < 512; gfn++)		/* its code */
		set(truth.accessed, gfn);
	set(truth.accessed, VM_CTL_GFN);
	set(truth.accessed, VM_CTL_GFN + 1);
	harvest(fd, TAKE);
	vm_wait(&vm);
	h = harvest(fd, TAKE);
	check_exact("2M: hot blocks, precision and recall 1.0", found.accessed, truth.accessed);
	check(h.pages_present >= PAGES, "2M: every page of a block is present", "%llu",
	      h.pages_present);
	close(fd);
	vm_kill(&vm);
}

/* A vCPU that comes while the guest is held: what it touches is seen, and what the others touch still is. */
static void vcpu_hot_plug(void)
{
	volatile struct vm_ctl *ctl;
	unsigned long gfn, i;
	uint32_t from;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	work_hot(&vm, VM_READ);
	harvest(fd, TAKE);
	ctl = vm.ctl + 1;
	for (i = 0; i < 100; i++)
		ctl->table[i] = (hot_gfn(i) + 1) * PAGE | VM_WRITE;
	ctl->count = 100;
	check(!vm_add_vcpu(&vm), "hot-plug: a second vCPU", "failed");
	for (i = 0; i < 600 && ctl->passes < 2; i++)
		usleep(100 * 1000);
	check(info_of(fd).vcpus == 2, "hot-plug: GET_INFO counts it", "%u", info_of(fd).vcpus);
	harvest(fd, TAKE);
	from = ctl->passes;
	vm_wait(&vm);
	for (i = 0; i < 600 && ctl->passes - from < 2; i++)
		usleep(100 * 1000);
	harvest(fd, TAKE);
	memset(truth.accessed, 0, sizeof(truth.accessed));
	for (gfn = 0; gfn < HOT; gfn++)
		set(truth.accessed, hot_gfn(gfn));
	for (gfn = 0; gfn < 100; gfn++)
		set(truth.accessed, hot_gfn(gfn) + 1);
	add_own(&vm, truth.accessed);
	set(truth.accessed, VM_CTL_GFN + VM_CTL_SIZE / PAGE);
	set(truth.accessed, VM_CTL_GFN + VM_CTL_SIZE / PAGE + 1);
	check_exact("hot-plug: pages of both vCPUs, precision and recall 1.0", found.accessed, truth.accessed);
	close(fd);
	vm_kill(&vm);
}

/* On a host of its own the table has a level more: all that follows is to be of that table. */
static void levels(unsigned int expected)
{
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	check(info_of(fd).root_level == expected, "GET_INFO: levels of the table", "%u, expected %u",
	      info_of(fd).root_level, expected);
	close(fd);
	vm_kill(&vm);
}

int main(int argc, char **argv)
{
	levels(argc == 2 ? atoi(argv[1]) : 4);
	small_pages();
	cold_tables();
	cached_upper_entry();
	late_table();
	huge_pages();
	vcpu_hot_plug();
	report(false);
	report(true);
	strange_table();
	return checks_failed != 0;
}
