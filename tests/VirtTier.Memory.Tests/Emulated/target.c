// SPDX-License-Identifier: Apache-2.0
/*
 * A process whose memory is moved about, in the place of a QEMU:
 *
 *	target KIND MEBIBYTES
 *
 * KIND is anon, thp, memfd, hugetlb, or zero (anonymous, read but never written).  It maps that much
 * memory at a multiple of 2 MiB, touches the first half of it, prints the address, and obeys commands
 * on its standard input, each of which it answers with one line:
 *
 *	pin PAGE	keep the page from moving, as a passed-through device does
 *	unpin		let go of all such pages
 *	share		let a second process map the touched memory
 *	unmap PAGE N	give N pages back
 *	discard PAGE N	empty N pages, as a balloon does
 *	guard PAGE	forbid writing to the page, so that those around it are mapped one by one
 *	lock		lock the touched memory
 *	join		have the kernel make huge pages of the touched memory
 *	check		are the touched pages what was written?  "ok", or the first bad page
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25	/* asm-generic/mman-common.h, from Linux 6.1 on */
#endif

enum { PAGE = 4096, WORDS = PAGE / sizeof(size_t), LARGE = 2 << 20, MOST_PINS = 64 };

static char *memory;
static size_t touched;		/* pages */
static int pins[MOST_PINS][2];
static int pin_count;

static void pin(size_t page)
{
	struct iovec range = { memory + page * PAGE, PAGE };

	if (pin_count == MOST_PINS)
		errx(1, "more than %d pins", MOST_PINS);
	/* The pipe holds a reference to the page, which is what keeps it where it is. */
	if (pipe(pins[pin_count]) || vmsplice(pins[pin_count][1], &range, 1, 0) != PAGE)
		err(1, "vmsplice");
	pin_count++;
}

static void unpin(void)
{
	while (pin_count > 0) {
		pin_count--;
		close(pins[pin_count][0]);
		close(pins[pin_count][1]);
	}
}

static void share(void)
{
	int ready[2];
	char byte = 0;

	if (pipe(ready))
		err(1, "pipe");
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t page = 0; page < touched; page++)
			byte += *(volatile char *)(memory + page * PAGE);
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1)
		err(1, "the second process");
}

/* Every word of a page is its own, the first one is not 0. */
static void write_page(size_t page)
{
	volatile size_t *words = (volatile size_t *)(memory + page * PAGE);

	for (size_t word = 0; word < WORDS; word++)
		words[word] = page * WORDS + word + 1;
}

static void check(void)
{
	for (size_t page = 0; page < touched; page++) {
		for (size_t word = 0; word < WORDS; word++) {
			if (((size_t *)(memory + page * PAGE))[word] != page * WORDS + word + 1) {
				printf("page %zu\n", page);
				return;
			}
		}
	}
	puts("ok");
}

static void obey(const char *line)
{
	size_t page, count;

	if (sscanf(line, "pin %zu", &page) == 1)
		pin(page);
	else if (strcmp(line, "unpin\n") == 0)
		unpin();
	else if (strcmp(line, "share\n") == 0)
		share();
	else if (sscanf(line, "unmap %zu %zu", &page, &count) == 2)
		munmap(memory + page * PAGE, count * PAGE);
	else if (sscanf(line, "discard %zu %zu", &page, &count) == 2) {
		if (madvise(memory + page * PAGE, count * PAGE, MADV_DONTNEED))
			err(1, "MADV_DONTNEED");
	} else if (sscanf(line, "guard %zu", &page) == 1) {
		if (mprotect(memory + page * PAGE, PAGE, PROT_READ))
			err(1, "mprotect");
		/* What is of a file is not mapped any more. */
		for (page = 0; page < touched; page++)
			(void)*(volatile char *)(memory + page * PAGE);
	} else if (strcmp(line, "lock\n") == 0) {
		if (mlock(memory, touched * PAGE))
			err(1, "mlock");
	} else if (strcmp(line, "join\n") == 0) {
		if (madvise(memory, touched * PAGE, MADV_COLLAPSE))
			err(1, "MADV_COLLAPSE");
	} else if (strcmp(line, "check\n") == 0)
		return check();
	else
		errx(1, "unknown command: %s", line);
	puts("ok");
}

static char *map(const char *kind, size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = -1;
	char *place, *aligned;

	/* Room to choose an address that is a multiple of 2 MiB. */
	place = mmap(NULL, size + LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED)
		err(1, "mmap");
	aligned = (char *)(((size_t)place + LARGE - 1) / LARGE * LARGE);
	if (strcmp(kind, "hugetlb") == 0)
		flags |= MAP_HUGETLB;
	if (strcmp(kind, "memfd") == 0) {
		flags = MAP_SHARED;
		fd = memfd_create("memory", 0);
		if (fd < 0 || ftruncate(fd, size))
			err(1, "memfd");
	}
	aligned = mmap(aligned, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (aligned == MAP_FAILED)
		err(1, "mmap of %s", kind);
	if (strcmp(kind, "thp") == 0 && madvise(aligned, size, MADV_HUGEPAGE))
		err(1, "madvise");
	return aligned;
}

int main(int argc, char **argv)
{
	char line[80];

	if (argc != 3)
		errx(1, "usage: target KIND MEBIBYTES");
	touched = strtoul(argv[2], NULL, 10) * ((1 << 20) / PAGE) / 2;
	memory = map(argv[1], 2 * touched * PAGE);
	for (size_t page = 0; page < touched; page++) {
		if (strcmp(argv[1], "zero") == 0)
			(void)*(volatile size_t *)(memory + page * PAGE);
		else
			write_page(page);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%lx\n", (unsigned long)memory);
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
