// SPDX-License-Identifier: GPL-2.0
/*
 * What the module does on this very machine, judged by a throw-away guest whose accesses are known: kernel-module/on-metal.
 *
 *   on_metal [SECONDS]
 *
 * Prints one page; the exit code is that of the verdict.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/utsname.h>

#include "sampler.h"

#define MEMORY	(256 * MIB)
#define PAGES	(MEMORY / PAGE)
#define HOT	1000

static uint8_t found[PAGES / 8];
static bool hot[PAGES];
static unsigned long gfns[PAGES];
static bool failed;

static void harvest(int fd, unsigned int flags, unsigned long end)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .flags = flags, .end = end, .accessed = (uintptr_t)found,
	};

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h)) {
		printf("HARVEST failed: %s\n", strerror(errno));
		exit(1);
	}
}

/* A line of the page; what misses its bar fails the whole. */
static void line(bool passed, const char *name, const char *format, ...)
{
	va_list args;

	printf("%-4s  %-28s  ", passed ? "ok" : "FAIL", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failed |= !passed;
}

static void choose_hot(struct vm *vm)
{
	unsigned long i;

	memset(hot, 0, sizeof(hot));
	for (i = 0; i < HOT; i++) {
		do
			gfns[i] = VM_FREE_GFN + random() % (PAGES - VM_FREE_GFN);
		while (hot[gfns[i]]);
		hot[gfns[i]] = true;
	}
	vm_work(vm, gfns, HOT, VM_WRITE);
	hot[VM_CODE_GFN] = true;
	vm_wait(vm);
}

/* Passes of the guest in a second of @seconds, and the longest time without one. */
static double pace(int fd, struct vm *vm, double seconds, bool harvests, double *longest)
{
	double begin = now(), last = begin, next = begin, t;
	uint32_t first = vm->ctl->passes, seen = first;

	*longest = 0;
	for (t = begin; t < begin + seconds; t = now()) {
		if (vm->ctl->passes != seen) {
			*longest = t - last > *longest ? t - last : *longest;
			seen = vm->ctl->passes;
			last = t;
		}
		if (harvests && t >= next) {
			harvest(fd, KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH, PAGES);
			next = t + 0.1;
		}
		usleep(100);
	}
	return (vm->ctl->passes - first) / (now() - begin);
}

int main(int argc, char **argv)
{
	const unsigned int take = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH;
	double seconds = argc > 1 ? atof(argv[1]) : 600, end = now() + seconds, part = seconds / 12;
	unsigned long i, truth = 0, both = 0, all = 0, rounds = 0, samples = 0, strange = 0;
	double alone, harvested, sampled, pause[3], t, flush[2] = { 0 }, told[2] = { 0 };
	struct kvm_ept_sample_sample read_back[4096];
	struct kvm_ept_sample_info info, before;
	struct utsname host;
	char checks[1024] = "";
	struct vm vm;
	cpu_set_t set;
	FILE *file;
	ssize_t n;
	int fd;

	/* The guest runs on VM_CPU. */
	CPU_ZERO(&set);
	CPU_SET(VM_CPU ? 0 : 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
	uname(&host);
	printf("kvm_ept_sample on Linux %s, %.0f s, a guest of %lu MiB\n\n", host.release, seconds, MEMORY / MIB);

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		gfns[i] = VM_FREE_GFN + i;
	vm_work(&vm, gfns, i, VM_WRITE);
	vm_wait(&vm);

	choose_hot(&vm);
	alone = pace(fd, &vm, part, false, &pause[0]);
	harvested = pace(fd, &vm, part, true, &pause[1]);

	/* Fault samples: each must be of a page that the guest touches. */
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	before = info_of(fd);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 1000);
	t = now();
	sampled = pace(fd, &vm, part, false, &pause[2]);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	t = now() - t;
	info = info_of(fd);
	while ((n = read(fd, read_back, sizeof(read_back))) > 0)
		for (i = 0; i < n / sizeof(read_back[0]); i++, samples++)
			strange += read_back[i].gfn < PAGES && !hot[read_back[i].gfn];
	samples += info.dropped - before.dropped;

	/* What a flush costs beside the harvest of one block. */
	for (i = 0; i < 2000; i++) {
		double began = now();

		harvest(fd, i % 2 ? take : KVM_EPT_SAMPLE_HARVEST_CLEAR, 512);
		flush[i % 2] += now() - began;
	}

	/* What it costs to tell reclaim of a page. */
	for (i = 0; i < 20; i++) {
		double began;

		vm_wait(&vm);
		began = now();
		harvest(fd, i % 2 ? take | KVM_EPT_SAMPLE_HARVEST_REPORT : take, PAGES);
		told[i % 2] += now() - began;
	}

	do {
		choose_hot(&vm);
		harvest(fd, take, PAGES);
		vm_wait(&vm);
		harvest(fd, take, PAGES);
		for (i = 0; i < PAGES; i++) {
			bool is_found = found[i / 8] >> i % 8 & 1;

			truth += hot[i];
			all += is_found;
			both += hot[i] && is_found;
		}
		rounds++;
	} while (now() < end);

	file = fopen("/sys/module/kvm_ept_sample/parameters/checks", "r");
	if (file) {
		n = fread(checks, 1, sizeof(checks) - 1, file);
		checks[n > 0 ? n : 0] = 0;
		fclose(file);
	}
	before = info;
	info = info_of(fd);
	line(both == all, "harvest: precision", "%.6f in %lu rounds", all ? (double)both / all : 0, rounds);
	line(both == truth, "harvest: recall", "%.6f", (double)both / truth);
	line(!strange && samples, "samples: of touched pages", "%lu of %lu are not", strange, samples);
	line(samples > 500 * t, "samples: rate", "%.0f a second of 1000 asked for", samples / t);
	line(harvested > 0.9 * alone, "guest while harvested",
	     "%.1f %% of its pace at 10 Hz; longest pause %.1f ms, alone %.1f ms",
	     100 * harvested / alone, 1e3 * pause[1], 1e3 * pause[0]);
	line(sampled > 0.5 * alone, "guest while sampled", "%.1f %% of its pace at 1000 Hz; longest pause %.1f ms",
	     100 * sampled / alone, 1e3 * pause[2]);
	line(true, "cost of a harvested entry", "%.1f ns", (double)info.harvest_ns / info.entries);
	line(true, "cost of telling reclaim", "%.1f ns for an accessed page", 1e9 * (told[1] - told[0]) / 10 / HOT);
	line(true, "cost of a flush", "%.1f us; %llu flushes, %llu CPUs interrupted, %llu flushes not needed",
	     1e6 * (flush[1] - flush[0]) / 1000, info.flushes, info.interrupts, info.spared);
	line(true, "cost of a sample", "%.1f us of the guest's time", 1e6 * (1 - sampled / alone) * t / (samples ? samples : 1));
	line(!strstr(checks, "failed") && strstr(checks, "entries passed"), "checks of this kernel's KVM", "\n%s", checks);
	line(vm_wait(&vm), "the guest goes on", "");
	printf("\nverdict: %s\n", failed ? "NOT GOOD on this machine: please report this page" : "good on this machine");
	close(fd);
	vm_kill(&vm);
	return failed;
}
