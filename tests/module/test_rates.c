// SPDX-License-Identifier: GPL-2.0
/*
 * What needs a host that keeps time: rates, the distribution of many samples, and a vCPU that nothing
 * interrupts.  CPU 1 is kept free of ticks; on the Intel host the clock counts instructions.
 */
#define _GNU_SOURCE
#include "sampler.h"

#define MEMORY		(16 * MIB)
#define PAGES		(MEMORY / PAGE)
#define HOT		1024	/* a quarter of the memory, in a random order */
#define END_GFN		(VM_CTL_GFN + 512)

static unsigned long hot[HOT];

/* Draw the hot pages: any @HOT of the free ones, in any order. */
static void draw_hot(void)
{
	static unsigned long all[PAGES];
	size_t count = PAGES - VM_FREE_GFN, i;

	for (i = 0; i < count; i++)
		all[i] = VM_FREE_GFN + i;
	srand(4711);
	for (i = 0; i < HOT; i++) {
		size_t k = i + rand() % (count - i);

		hot[i] = all[k];
		all[k] = all[i];
	}
}

/* ---- rates ---- */

static size_t drain(int fd)
{
	static struct kvm_ept_sample_sample samples[4096];
	size_t count = 0;
	ssize_t n;

	while ((n = read(fd, samples, sizeof(samples))) > 0)
		count += n / sizeof(samples[0]);
	return count;
}

/* Samples a second at @freq; *stall is the longest time that this host stood still meanwhile. */
static double rate_at(int fd, unsigned int freq, double seconds, double *stall)
{
	double begin, last, end;
	size_t count = 0;

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, freq);
	usleep(300 * 1000);	/* to learn how many landmines bring a sample */
	drain(fd);
	begin = last = now();
	*stall = 0;
	do {
		usleep(20 * 1000);
		count += drain(fd);
		end = now();
		*stall = end - last > *stall ? end - last : *stall;
		last = end;
	} while (end < begin + seconds);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	drain(fd);
	return count / (end - begin);
}

static void rates(int fd, double scale)
{
	static const unsigned int freq[] = { 10, 100, 1000, 5000, 20000 };
	double rate, most, stall, worst;
	unsigned int i, try;
	char name[64], why[96];
	bool good;

	for (i = 0; i < 5; i++) {
		double seconds = (freq[i] < 100 ? 12 : freq[i] < 1000 ? 4 : 2) * scale;

		snprintf(name, sizeof(name), "rate %u Hz within 10 %%", freq[i]);
		most = 1e9;
		worst = 0;
		for (try = 0, good = false; try < 3 && !good; try++) {
			rate = rate_at(fd, freq[i], seconds, &stall);
			good = rate > freq[i] * 0.9 && rate < freq[i] * 1.1;
			worst = stall > worst ? stall : worst;
			printf("# asked %u Hz, got %.1f; longest stall %.0f ms\n", freq[i], rate, stall * 1e3);
			if (!good) {
				/* What guest and host can do at all now. */
				double can = rate_at(fd, 20000, 1, &stall);

				most = can < most ? can : most;
			}
		}
		/* A host that stood still, or does no more faults, shows nothing about the rate. */
		if (!good && (most < freq[i] * 1.5 || worst > 0.25)) {
			snprintf(why, sizeof(why), "this host does %.0f faults a second, and stood still for %.0f ms",
				 most, worst * 1e3);
			skip(name, why);
		} else {
			check(good, name, "%.1f Hz", rate);
		}
	}
}

/* ---- places ---- */

#define SAMPLES		10000
#define BINS		64
/* Chi-square with 63 degrees of freedom exceeds this once in a thousand times. */
#define CHI_SQUARE_MAX	103.4

/* Every hot page has the same chance to be sampled, and no cold one has any. */
static void places(int fd)
{
	static struct kvm_ept_sample_sample samples[SAMPLES];
	static unsigned short bin_of[PAGES];
	unsigned long seen[BINS] = { 0 }, elsewhere = 0;
	size_t count = 0, table = 0, i;
	double chi_square = 0, expected;
	double end = now() + 120;

	/* Hot pages by ascending address, HOT / BINS neighbours a bin. */
	for (i = 0; i < HOT; i++)
		bin_of[hot[i]] = 1;
	for (i = 0, table = 0; i < PAGES; i++)
		if (bin_of[i])
			bin_of[i] = 1 + table++ / (HOT / BINS);

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	while (count < SAMPLES && now() < end) {
		ssize_t n = read(fd, samples + count, (SAMPLES - count) * sizeof(samples[0]));

		count += n > 0 ? n / sizeof(samples[0]) : 0;
		usleep(20 * 1000);
	}
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	drain(fd);
	for (i = 0, table = 0; i < count; i++) {
		unsigned long gfn = samples[i].gfn;

		if (gfn < PAGES && bin_of[gfn])
			seen[bin_of[gfn] - 1]++, table++;
		else if (gfn != VM_CODE_GFN && gfn != VM_STACK_GFN && gfn < VM_CTL_GFN)
			elsewhere++;
	}
	expected = (double)table / BINS;
	for (i = 0; i < BINS; i++)
		chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
	printf("# %zu samples, %zu in the table, chi-square %.1f with %d degrees of freedom\n", count,
	       table, chi_square, BINS - 1);
	if (count < SAMPLES / 2) {
		skip("places of 10,000 samples are even", "this host is too slow for so many");
		return;
	}
	check(table > count * 9 / 10 && !elsewhere && chi_square < CHI_SQUARE_MAX,
	      "places of 10,000 samples are even", "%zu samples, %zu in the table, %lu elsewhere, %.1f",
	      count, table, elsewhere, chi_square);
}

/* ---- a vCPU without interruptions ---- */

static unsigned char accessed[END_GFN / 8];

static size_t harvest_hot(int fd, unsigned int flags, size_t *cold)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .flags = flags, .end = END_GFN, .accessed = (uintptr_t)accessed,
	};
	static unsigned char is_hot[PAGES];
	size_t found = 0, i;

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h))
		check(0, "HARVEST", "%s", strerror(errno));
	for (i = 0; i < HOT; i++)
		is_hot[hot[i]] = 1;
	*cold = 0;
	for (i = VM_FREE_GFN; i < PAGES; i++) {
		int bit = accessed[i / 8] >> i % 8 & 1;

		found += bit && is_hot[i];
		*cold += bit && !is_hot[i];
	}
	return found;
}

/*
 * A vCPU that takes no exits keeps what it has in its TLB.  Accessed bits that were cleared come back
 * only after a flush: without one this host must miss pages, or it cannot show that ours is done.
 */
static void tick_free(void)
{
	size_t without = HOT, with = HOT, cold, found;
	struct vm vm;
	int fd, i;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	vm_work(&vm, hot, 128, VM_READ);	/* as many as a TLB holds */
	vm_wait(&vm);
	fd = attach(&vm);
	for (i = 0; i < 5; i++) {
		harvest_hot(fd, KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH, &cold);
		vm_wait(&vm);
		harvest_hot(fd, KVM_EPT_SAMPLE_HARVEST_CLEAR, &cold);
		vm_wait(&vm);
		found = harvest_hot(fd, 0, &cold);
		without = found < without ? found : without;

		harvest_hot(fd, KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH, &cold);
		vm_wait(&vm);
		found = harvest_hot(fd, 0, &cold);
		with = found < with ? found : with;
	}
	printf("# of 128 hot pages: %zu seen again without a flush, %zu with\n", without, with);
	if (without > 120)
		skip("a tick-free vCPU needs the flush", "this host drops the TLB by itself");
	else
		check(with == 128, "a tick-free vCPU needs the flush, and gets it",
		      "%zu of 128 seen again", with);
	close(fd);
	vm_kill(&vm);
}

int main(int argc, char **argv)
{
	double scale = argc == 2 && !strcmp(argv[1], "quick") ? 0.25 : 1;
	struct vm vm;
	int fd;

	draw_hot();
	tick_free();
	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	vm_work(&vm, hot, HOT, VM_WRITE);
	vm_wait(&vm);
	fd = attach(&vm);
	rates(fd, scale);
	places(fd);
	check(vm_wait(&vm), "guest goes on", "no pass in 60 s");
	close(fd);
	vm_kill(&vm);
	return checks_failed != 0;
}
