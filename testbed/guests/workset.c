/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workset: the one program of the Linux guest. It touches a large area once, then only a scattered hot part of it for
 * ever, and tells which guest frames that hot part is, so that the truth about the guest is exact.
 *
 *	workset AREA_MIB HOT_MIB PERIOD_MS
 *
 * Runs of RUN_PAGES hot pages are spread evenly over the area. They are locked in memory and never move inside the
 * guest (no compaction, no swap there), so the frames read once from /proc/self/pagemap stay true. On standard output:
 *
 *	touched PAGES		the whole area is written
 *	hot FIRST-LAST		a run of hot guest frames, decimal, both included; one line each
 *	hot-end PAGES		all runs have been told
 *	alive PASSES		every ten passes
 *	damaged PAGE		a word was not what the pass before had left
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096UL
#define MIB_PAGES 256UL
#define RUN_PAGES 16UL
#define PASSES_PER_HEARTBEAT 10
#define PAGEMAP_PFN ((1ULL << 55) - 1)
#define PAGEMAP_PRESENT (1ULL << 63)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long number(const char *text)
{
	unsigned long value = strtoul(text, NULL, 10);

	if (!value) {
		fprintf(stderr, "workset: '%s' is not a positive whole number\n", text);
		exit(2);
	}
	return value;
}

static volatile uint64_t *word_of(void *area, unsigned long page)
{
	return (volatile uint64_t *)((char *)area + page * PAGE_BYTES);
}

/* The page of the area that is hot page number i, where one run in spread is hot. */
static unsigned long hot_page(unsigned long i, unsigned long spread)
{
	return i / RUN_PAGES * RUN_PAGES * spread + i % RUN_PAGES;
}

static uint64_t frame_of(int pagemap, void *address)
{
	uint64_t entry;
	off_t offset = (uintptr_t)address / PAGE_BYTES * sizeof(entry);

	if (pread(pagemap, &entry, sizeof(entry), offset) != sizeof(entry) || !(entry & PAGEMAP_PRESENT))
		die("/proc/self/pagemap");
	return entry & PAGEMAP_PFN;
}

static int by_value(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void tell_hot_frames(void *area, unsigned long hot, unsigned long spread)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t *frame = calloc(hot, sizeof(*frame));
	unsigned long i, run;

	if (pagemap < 0 || !frame)
		die("/proc/self/pagemap");
	for (i = 0; i < hot; i++)
		frame[i] = frame_of(pagemap, (void *)word_of(area, hot_page(i, spread)));
	qsort(frame, hot, sizeof(*frame), by_value);
	for (i = 0; i < hot; i = run) {
		for (run = i + 1; run < hot && frame[run] == frame[run - 1] + 1; run++)
			;
		printf("hot %ju-%ju\n", (uintmax_t)frame[i], (uintmax_t)frame[run - 1]);
	}
	printf("hot-end %lu\n", hot);
	close(pagemap);
	free(frame);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: workset AREA_MIB HOT_MIB PERIOD_MS\n");
		return 2;
	}
	unsigned long pages = number(argv[1]) * MIB_PAGES, hot = number(argv[2]) * MIB_PAGES, period = number(argv[3]);
	struct timespec pause = { period / 1000, period % 1000 * 1000000 };
	unsigned long spread = pages / hot;
	void *area = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (area == MAP_FAILED || madvise(area, pages * PAGE_BYTES, MADV_NOHUGEPAGE) < 0)
		die("memory");
	for (unsigned long i = 0; i < pages; i++)
		*word_of(area, i) = i;
	if (mlock(area, pages * PAGE_BYTES) < 0)
		die("mlock");
	printf("touched %lu\n", pages);
	tell_hot_frames(area, hot, spread);
	for (unsigned long pass = 0;; pass++) {
		for (unsigned long i = 0; i < hot; i++) {
			unsigned long page = hot_page(i, spread);
			volatile uint64_t *word = word_of(area, page);

			if (*word != page + pass)
				printf("damaged %lu\n", page);
			*word = page + pass + 1;
		}
		if (pass % PASSES_PER_HEARTBEAT == 0)
			printf("alive %lu\n", pass);
		nanosleep(&pause, NULL);
	}
}
