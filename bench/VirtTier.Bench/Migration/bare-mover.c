// SPDX-License-Identifier: Apache-2.0
/*
 * The peer of the migration bench: the least that moving pages can cost.
 *
 *	bare-mover hold KIND MEBIBYTES		KIND is anon (4 KiB pages) or thp (2 MiB pages): writes that much memory,
 *						prints its address, and keeps it until it is killed
 *	bare-mover move PID ADDRESS COUNT STRIDE BATCH NODE
 *						moves COUNT addresses of a process, STRIDE bytes apart, BATCH a call of
 *						move_pages(2), and prints the nanoseconds that took
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, LARGE = 2 << 20, MOVE = 1 << 1 };

static int hold(const char *kind, size_t bytes)
{
	char *place = mmap(NULL, bytes + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *memory = (char *)(((uintptr_t)place + LARGE - 1) / LARGE * LARGE);

	if (place == MAP_FAILED)
		err(1, "mmap");
	if (madvise(memory, bytes, strcmp(kind, "thp") == 0 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		err(1, "madvise");
	for (size_t offset = 0; offset < bytes; offset += PAGE)
		*(size_t *)(memory + offset) = offset;
	printf("%zx\n", (size_t)memory);
	fflush(stdout);
	for (;;)
		pause();
}

static int move(char **arguments)
{
	pid_t pid = atoi(arguments[0]);
	uintptr_t address = strtoull(arguments[1], NULL, 16);
	size_t count = atol(arguments[2]), stride = atol(arguments[3]), batch = atol(arguments[4]);
	int node = atoi(arguments[5]);
	void **addresses = calloc(count, sizeof *addresses);
	int *nodes = calloc(count, sizeof *nodes), *status = calloc(count, sizeof *status);
	struct timespec start, end;

	if (!addresses || !nodes || !status)
		err(1, "calloc");
	for (size_t i = 0; i < count; i++) {
		addresses[i] = (void *)(address + i * stride);
		nodes[i] = node;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t first = 0; first < count; first += batch) {
		size_t length = count - first < batch ? count - first : batch;

		if (syscall(SYS_move_pages, pid, length, addresses + first, nodes + first, status + first, MOVE) != 0)
			err(1, "move_pages");
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (size_t i = 0; i < count; i++)
		if (status[i] != node)
			errx(1, "address %zu has status %d", i, status[i]);
	printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2], (size_t)atol(argv[3]) << 20);
	if (argc == 8 && strcmp(argv[1], "move") == 0)
		return move(argv + 2);
	errx(2, "usage: bare-mover hold KIND MEBIBYTES | bare-mover move PID ADDRESS COUNT STRIDE BATCH NODE");
}
