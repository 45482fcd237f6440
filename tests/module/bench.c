// SPDX-License-Identifier: GPL-2.0
/*
 * What sampling costs, as ratios of what was measured in this very run.  Prints "# " lines with the figures, and checks the
 * bars.  An emulated host's seconds mean nothing by themselves; on the Intel host they are counts of instructions.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sampler.h"

#define TAKE	(KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH)

/* Seconds between two harvests: what the agent's sampling.interval is by default. */
#define AGENT_INTERVAL	0.25

#define BIG_MEMORY	(256 * MIB)
#define BIG_PAGES	(BIG_MEMORY / PAGE)

#define MEMORY		(64 * MIB)
#define PAGES		(MEMORY / PAGE)
#define HOT		1000

static unsigned char accessed[BIG_PAGES / 8];
static bool quick;

static struct kvm_ept_sample_harvest harvest_range(int fd, unsigned long start, unsigned long end, unsigned int flags)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .flags = flags, .start = start, .end = end, .accessed = (uintptr_t)accessed,
	};

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h)) {
		check(0, "HARVEST", "%s", strerror(errno));
		exit(1);
	}
	return h;
}

static void harvest(int fd, unsigned long pages, unsigned int flags)
{
	harvest_range(fd, 0, pages, flags);
}

struct cost {
	double ns, entries;
	unsigned long long pages;
};

static struct cost cost_of_range(int fd, unsigned long start, unsigned long end, unsigned int flags)
{
	struct kvm_ept_sample_info before = info_of(fd), after;
	struct kvm_ept_sample_harvest h = harvest_range(fd, start, end, flags);

	after = info_of(fd);
	return (struct cost){
		after.harvest_ns - before.harvest_ns, after.entries - before.entries, h.pages_accessed,
	};
}

/*
 * The cheapest of a few harvests, without their flush, which costs the same whatever is hot: what disturbs one only makes it
 * dearer.  The flush of the harvest before lets the CPU mark each page anew.
 */
static struct cost harvest_cost(int fd, struct vm *vm, unsigned long pages)
{
	struct cost best = { .ns = 1e18 };
	int i;

	for (i = 0; i < 20; i++) {
		struct cost cost;

		harvest(fd, pages, TAKE);
		vm_wait(vm);
		cost = cost_of_range(fd, 0, pages, KVM_EPT_SAMPLE_HARVEST_CLEAR);
		if (cost.ns < best.ns)
			best = cost;
	}
	return best;
}

/* Pages measured at a time: short enough that a host that has to share its CPU is not interrupted at each. */
#define STRIDE	2048

/* What telling the host's reclaim of a page may cost, in harvested pages. */
#define REPORT_BAR	10

/* Nanoseconds to harvest a hot page, without the flush; @first: of the first time that all are, on the average. */
static double hot_page_ns(int fd, struct vm *vm, unsigned long pages, unsigned int flags, double *first)
{
	double best = 1e18, ns = 0;
	unsigned long long found = 0;
	unsigned long at;
	int i;

	for (i = 0; i < 3; i++) {
		vm_wait(vm);
		for (at = STRIDE; at < pages; at += STRIDE) {
			struct cost cost = cost_of_range(fd, at, at + STRIDE, KVM_EPT_SAMPLE_HARVEST_CLEAR | flags);

			if (!i) {
				ns += cost.ns;
				found += cost.pages;
			}
			if (cost.pages > STRIDE * 9 / 10 && cost.ns / cost.pages < best)
				best = cost.ns / cost.pages;
		}
	}
	*first = found ? ns / found : 0;
	return best;
}

/* Nanoseconds of a flush. */
static double flush_ns(int fd, struct vm *vm)
{
	double with = 1e18, without = 1e18;
	int i;

	for (i = 0; i < 30; i++) {
		struct cost cost;

		vm_wait(vm);
		cost = cost_of_range(fd, STRIDE, STRIDE + 512, TAKE);
		with = cost.pages && cost.ns < with ? cost.ns : with;
		vm_wait(vm);
		cost = cost_of_range(fd, STRIDE, STRIDE + 512, KVM_EPT_SAMPLE_HARVEST_CLEAR);
		without = cost.pages && cost.ns < without ? cost.ns : without;
	}
	return with > without ? with - without : 0;
}

static void work_range(struct vm *vm, unsigned long first, unsigned long count, int op)
{
	static unsigned long gfns[BIG_PAGES];
	unsigned long i;

	for (i = 0; i < count; i++)
		gfns[i] = first + i;
	vm_work(vm, gfns, count, op);
	vm_wait(vm);
}

/* ---- harvest against the mmu notifier, and cold against hot ---- */

static bool notifier(struct vm *vm, unsigned long hva, unsigned long pages, double *ns, unsigned long long *young)
{
	int fd = open("/proc/notifier", O_RDWR);
	unsigned long long spent;
	char text[96];
	bool good;

	if (fd < 0)
		return false;
	snprintf(text, sizeof(text), "%d %lu %lu", vm->pid, hva, pages);
	good = write(fd, text, strlen(text)) > 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 &&
	       sscanf(text, "%llu %llu", &spent, young) == 2;
	*ns = spent;
	close(fd);
	return good;
}

/* Nanoseconds of the notifier for a hot page; 0 if it cannot be asked. */
static double notifier_page_ns(struct vm *vm, unsigned long pages)
{
	const unsigned long stride = 128;	/* about as long as STRIDE harvested pages take */
	unsigned long hva = vm_hva(vm), at;
	unsigned long long young;
	double ns, best = 1e18;
	int i;

	for (i = 0; i < 3; i++) {
		vm_wait(vm);
		for (at = stride; at < pages; at += stride) {
			if (!notifier(vm, hva + at * PAGE, stride, &ns, &young))
				return 0;
			if (young > stride * 9 / 10 && ns / stride < best)
				best = ns / stride;
		}
	}
	return best < 1e17 ? best : 0;
}

static void cost_of_harvest(void)
{
	unsigned long table = BIG_PAGES - VM_FREE_GFN < VM_MAX_TABLE ? BIG_PAGES - VM_FREE_GFN : VM_MAX_TABLE;
	unsigned long pages = quick ? BIG_PAGES / 2 : BIG_PAGES, hot;
	struct cost all_hot, cold;
	double page, told, flush, asked, first, first_told;
	struct vm vm;
	int fd, i;

	if (table > pages - VM_FREE_GFN)
		table = pages - VM_FREE_GFN;
	vm_start(&vm, (struct vm_config){ .memory = pages * PAGE });
	fd = attach(&vm);
	work_range(&vm, VM_FREE_GFN, table, VM_READ);
	page = hot_page_ns(fd, &vm, pages, 0, &first);
	harvest(fd, pages, TAKE);
	told = hot_page_ns(fd, &vm, pages, KVM_EPT_SAMPLE_HARVEST_REPORT, &first_told);
	flush = flush_ns(fd, &vm);
	asked = notifier_page_ns(&vm, pages);
	printf("# a harvested page: %.1f ns, and %.0f ns for the flush of each harvest (%.1f ns a page of this guest)\n",
	       page, flush, flush / table);
	printf("# with HARVEST_REPORT: %.1f ns a page, %.1f x; the first time %.1f, without it %.1f\n", told, told / page,
	       first_told, first);
	printf("# where the clock counts 100 instructions a us: %.0f for a page, %.0f with HARVEST_REPORT, of the first time "
	       "%.0f and %.0f, of the notifier %.0f\n", page / 10, told / 10, first / 10, first_told / 10, asked / 10);
	check(told <= REPORT_BAR * page, "a harvested page of which reclaim is told is no more than 10 x dearer", "%.1f x",
	      told / page);
	check(told < asked / 3, "a harvested page of which reclaim is told is 3 x cheaper than the notifier's", "%.1f x",
	      asked / told);
	printf("# the mmu notifier asked page by page: %.1f ns a page\n", asked);
	check(asked >= 30 * (page + flush / table), "a harvested page is 30 x cheaper than the notifier's", "%.1f x",
	      asked / (page + flush / table));
	printf("# that is %.0f x\n", asked / (page + flush / table));
	all_hot = harvest_cost(fd, &vm, pages);

	hot = pages / 100;
	work_range(&vm, pages / 2, hot, VM_READ);
	for (i = 0; i < 3; i++)		/* to learn what is cold */
		harvest(fd, pages, TAKE);
	cold = harvest_cost(fd, &vm, pages);
	printf("# harvest, 1 %% hot (%lu pages): %.0f entries, %.0f ns; all hot %.0f ns: %.0f x entries, %.0f x time\n",
	       hot, cold.entries, cold.ns, all_hot.ns, all_hot.entries / cold.entries, all_hot.ns / cold.ns);
	check(all_hot.entries >= 20 * cold.entries, "1 % hot: 20 x fewer entries are looked at", "%.1f x",
	      all_hot.entries / cold.entries);
	check(all_hot.ns >= 20 * cold.ns, "1 % hot: harvested 20 x cheaper", "%.1f x", all_hot.ns / cold.ns);
	close(fd);
	vm_kill(&vm);
}

/* ---- what the guest loses ---- */

enum load { NOTHING, TEN_A_SECOND, DEFAULT, SAMPLED, SAMPLES };

#define AGENT_FAULT_RATE	100

/* Passes of the guest in @seconds under that load, per second. */
static double progress(int fd, struct vm *vm, enum load load, double seconds)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	double interval = load == TEN_A_SECOND ? 0.1 : AGENT_INTERVAL, begin, next, passes, t;
	uint32_t from;

	if (load == SAMPLED)
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, AGENT_FAULT_RATE);
	begin = now();
	next = begin + interval / 2;
	from = ctl->passes;
	while ((t = now()) < begin + seconds) {
		if (load != NOTHING && load != SAMPLES && t >= next) {
			harvest(fd, PAGES, TAKE);
			next += interval;
		}
		usleep(10000);
	}
	passes = ctl->passes - from;
	if (load == SAMPLED)
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	return passes / (t - begin);
}

static int by_value(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

/* The median ratio of progress with @load to that without, of pairs measured in turn; their spread is in *spread. */
static double progress_ratio(int fd, struct vm *vm, enum load load, double *spread)
{
	double ratio[9], seconds = quick ? 0.5 : 1;
	int pairs = quick ? 3 : 9, i;

	for (i = 0; i < pairs; i++) {
		double before = progress(fd, vm, NOTHING, seconds);
		double with = progress(fd, vm, load, seconds * 2);
		double after = progress(fd, vm, NOTHING, seconds);

		ratio[i] = with * 2 / (before + after);
	}
	qsort(ratio, pairs, sizeof(ratio[0]), by_value);
	*spread = ratio[pairs - 1 - pairs / 4] - ratio[pairs / 4];
	return ratio[pairs / 2];
}

static void check_progress(int fd, struct vm *vm, enum load load, double bar, const char *name)
{
	double spread, ratio = progress_ratio(fd, vm, load, &spread);
	char why[96];

	printf("# %s: %.4f of undisturbed, spread %.4f\n", name, ratio, spread);
	if (spread > 1 - bar) {
		snprintf(why, sizeof(why), "this host is too noisy: %.3f, spread %.3f", ratio, spread);
		skip(name, why);
	} else {
		check(ratio >= bar, name, "%.4f", ratio);
	}
}

/* What the guest loses for each fault sample, flushes included, in seconds: measured at a high rate. */
static double cost_of_sample(int fd, struct vm *vm)
{
	static struct kvm_ept_sample_sample samples[65536];
	double seconds = quick ? 1 : 4, without, with;
	unsigned long long count;

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	without = progress(fd, vm, NOTHING, seconds);
	count = info_of(fd).faults;
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 2000);
	with = progress(fd, vm, SAMPLES, seconds);
	count = info_of(fd).faults - count;
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	without = (without + progress(fd, vm, NOTHING, seconds)) / 2;
	while (read(fd, samples, sizeof(samples)) > 0)
		;
	return count ? (1 - with / without) * seconds / count : 0;
}

/* Reads, which the kernel's hook gives back if there is one, and writes, which only KVM does. */
static void cost_of_samples(int fd, struct vm *vm)
{
	bool hooked = info_of(fd).flags & KVM_EPT_SAMPLE_INFO_HOOK;
	double reads, writes;

	reads = cost_of_sample(fd, vm);
	work_range(vm, VM_FREE_GFN, PAGES - VM_FREE_GFN, VM_WRITE);
	writes = cost_of_sample(fd, vm);
	printf("# the guest loses %.1f us for a sample of a read, %s, and %.1f us for one of a write "
	       "(%.0f and %.0f instructions where the clock counts 100 a us)\n",
	       reads * 1e6, hooked ? "with the kernel's hook" : "which KVM repairs", writes * 1e6, reads * 1e8, writes * 1e8);
	if (hooked)
		check(reads * 3 <= writes, "with the hook, a sample of a read costs a third of one that KVM repairs", "%.2f",
		      reads / writes);
}

/* ---- DAMON ---- */

#define DAMON	"/sys/kernel/mm/damon/admin/kdamonds"

static bool put(const char *file, const char *value)
{
	char path[256];
	int fd;
	bool good;

	snprintf(path, sizeof(path), DAMON "%s", file);
	fd = open(path, O_WRONLY);
	good = fd >= 0 && write(fd, value, strlen(value)) >= 0;
	close(fd);
	return good;
}

static unsigned long long number(const char *path)
{
	unsigned long long value = 0;
	FILE *file = fopen(path, "r");

	if (file) {
		if (fscanf(file, "%llu", &value) != 1)
			value = 0;
		fclose(file);
	}
	return value;
}

/* Time on a CPU of a task, in nanoseconds. */
static double cpu_of(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	return number(path);
}

struct quality {
	double precision, recall, cpu;
};

static struct quality quality(const unsigned char *found, const unsigned char *truth, double cpu)
{
	unsigned long both = 0, only_found = 0, only_truth = 0, gfn;

	for (gfn = VM_FREE_GFN; gfn < PAGES; gfn++) {
		int f = found[gfn / 8] >> gfn % 8 & 1, t = truth[gfn / 8] >> gfn % 8 & 1;

		both += f && t;
		only_found += f && !t;
		only_truth += !f && t;
	}
	return (struct quality){
		both ? (double)both / (both + only_found) : 0, (double)both / (both + only_truth), cpu,
	};
}

static bool damon(struct vm *vm, double seconds, const unsigned char *truth, struct quality *result)
{
	static unsigned char found[PAGES / 8];
	unsigned long hva = vm_hva(vm);
	char text[64], path[512];
	struct dirent *entry;
	double before, begin;
	int kdamond;
	DIR *regions;

	snprintf(text, sizeof(text), "%d", vm->pid);
	/* Its defaults: 5 ms sampling, 100 ms aggregation, 10 to 1000 regions. */
	if (!put("/nr_kdamonds", "1") || !put("/0/contexts/nr_contexts", "1") ||
	    !put("/0/contexts/0/operations", "vaddr") || !put("/0/contexts/0/targets/nr_targets", "1") ||
	    !put("/0/contexts/0/targets/0/pid_target", text) || !put("/0/contexts/0/schemes/nr_schemes", "1") ||
	    !put("/0/contexts/0/schemes/0/action", "stat") ||
	    !put("/0/contexts/0/schemes/0/access_pattern/sz/max", "18446744073709551615") ||
	    !put("/0/contexts/0/schemes/0/access_pattern/nr_accesses/min", "1") ||
	    !put("/0/contexts/0/schemes/0/access_pattern/nr_accesses/max", "4294967295") ||
	    !put("/0/contexts/0/schemes/0/access_pattern/age/max", "4294967295") || !put("/0/state", "on"))
		return false;
	kdamond = number(DAMON "/0/pid");
	before = cpu_of(kdamond);
	for (begin = now(); now() < begin + seconds;)
		usleep(100 * 1000);
	result->cpu = (cpu_of(kdamond) - before) / 1e9 / (now() - begin);
	if (!put("/0/state", "update_schemes_tried_regions"))
		return false;
	memset(found, 0, sizeof(found));
	regions = opendir(DAMON "/0/contexts/0/schemes/0/tried_regions");
	while (regions && (entry = readdir(regions))) {
		unsigned long start, end;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), DAMON "/0/contexts/0/schemes/0/tried_regions/%s/start", entry->d_name);
		start = number(path);
		snprintf(path, sizeof(path), DAMON "/0/contexts/0/schemes/0/tried_regions/%s/end", entry->d_name);
		end = number(path);
		for (start = start < hva ? hva : start; start < end && start < hva + MEMORY; start += PAGE)
			found[(start - hva) / PAGE / 8] |= 1 << (start - hva) / PAGE % 8;
	}
	if (regions)
		closedir(regions);
	put("/0/state", "off");
	*result = quality(found, truth, result->cpu);
	return true;
}

/* The share of a CPU of a harvest every @interval seconds. */
static double cpu_of_harvests(int fd, double interval, unsigned int flags)
{
	double before = cpu_of(getpid()), begin = now(), cpu;
	unsigned long long inside = info_of(fd).harvest_ns;
	int count;

	for (count = 0; now() < begin + 5; count++) {
		harvest(fd, PAGES, flags);
		usleep(interval * 1e6);
	}
	cpu = (cpu_of(getpid()) - before) / 1e9 / (now() - begin);
	inside = (info_of(fd).harvest_ns - inside) / count;
	printf("# a harvest every %.0f ms, %s flushes: %.2f %% of a CPU; in the module %.0f us a harvest, outside it %.0f us\n",
	       interval * 1e3, flags & KVM_EPT_SAMPLE_HARVEST_FLUSH ? "with" : "without", cpu * 100, inside / 1e3,
	       cpu * (interval * 1e6) - inside / 1e3);
	return cpu;
}

static struct quality ours(int fd, struct vm *vm, const unsigned char *truth)
{
	double cpu;

	cpu_of_harvests(fd, 0.1, TAKE);
	cpu_of_harvests(fd, 0.1, KVM_EPT_SAMPLE_HARVEST_CLEAR);
	cpu_of_harvests(fd, AGENT_INTERVAL, TAKE);
	/* DAMON flushes no TLB: like with like. */
	cpu = cpu_of_harvests(fd, AGENT_INTERVAL, KVM_EPT_SAMPLE_HARVEST_CLEAR);
	vm_wait(vm);
	harvest(fd, PAGES, TAKE);
	vm_wait(vm);
	harvest(fd, PAGES, TAKE);
	return quality(accessed, truth, cpu);
}

static void against_damon(int fd, struct vm *vm, const unsigned char *truth)
{
	struct quality we, they;

	if (access(DAMON, F_OK)) {
		skip("DAMON", "this kernel has none");
		return;
	}
	if (!damon(vm, 8, truth, &they)) {
		check(0, "DAMON runs", "%s", strerror(errno));
		return;
	}
	we = ours(fd, vm, truth);
	printf("# %d hot of %lu pages, scattered: DAMON precision %.2f recall %.2f, %.2f %% of a CPU\n", HOT, PAGES,
	       they.precision, they.recall, they.cpu * 100);
	printf("# harvest: precision %.2f recall %.2f, %.2f %% of a CPU every 250 ms, a %.0fth of DAMON's\n",
	       we.precision, we.recall,
	       we.cpu * 100, they.cpu / we.cpu);
	check(we.precision > they.precision && we.recall >= they.recall && we.recall == 1,
	      "better precision and recall than DAMON's", "%.2f %.2f against %.2f %.2f", we.precision, we.recall,
	      they.precision, they.recall);
	check(we.cpu * 20 <= they.cpu, "at a twentieth of DAMON's CPU", "%.2f %% against %.2f %%", we.cpu * 100,
	      they.cpu * 100);
}

int main(int argc, char **argv)
{
	static unsigned char truth[PAGES / 8];
	unsigned long hot[HOT], i;
	struct vm vm;
	int fd;

	quick = argc == 2 && !strcmp(argv[1], "quick");
	cost_of_harvest();

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	work_range(&vm, VM_FREE_GFN, PAGES - VM_FREE_GFN, VM_READ);
	fd = attach(&vm);
	check_progress(fd, &vm, TEN_A_SECOND, 0.97, "all 4K pages harvested ten times a second");
	check_progress(fd, &vm, DEFAULT, 0.99, "harvested as often as by the agent, every 250 ms");
	check_progress(fd, &vm, SAMPLED, 0.99, "and 100 faults a second sampled, as the agent does of 2 MiB mappings");
	cost_of_samples(fd, &vm);

	for (i = 0; i < HOT; i++) {
		hot[i] = VM_FREE_GFN + 16 * i + i * 7 % 16;
		truth[hot[i] / 8] |= 1 << hot[i] % 8;
	}
	vm_work(&vm, hot, HOT, VM_READ);
	vm_wait(&vm);
	against_damon(fd, &vm, truth);
	close(fd);
	vm_kill(&vm);
	return checks_failed != 0;
}
