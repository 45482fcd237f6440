/* SPDX-License-Identifier: Apache-2.0 */
/*
 * residency: on which NUMA nodes a QEMU's guest RAM lies. It asks only the kernel (move_pages(2) without a target, and
 * /proc/PID/numa_maps), so it can check what the agent says about itself.
 *
 *	residency PID [--pages FILE [MIB...]]	one JSON line; FILE gets one signed byte a page in gfn order: its node, -1 absent
 *	residency --watch MS PID...	a JSON line for each reading of the pages per node, until killed
 *
 * Guest RAM is taken to be one mapping: the largest writable one that is anonymous or a QEMU memory backend. That holds for
 * guests without hot-plugged memory and below the PCI hole; gfn 0 is then its first page. One page is 4 KiB. Of a guest with
 * NUMA cells each is a mapping, known by its size: these are given, in the order of the cells, and no two may be the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096UL
#define MAX_NODES 64
#define BATCH 4096
#define SMALLEST_GUEST_PAGES (8UL << 20 >> 12)

struct mapping {
	unsigned long start;
	unsigned long pages;
};

static void die(const char *what, int pid)
{
	fprintf(stderr, "residency: pid %d: %s\n", pid, what);
	exit(1);
}

static bool is_guest_ram(const char *permissions, const char *name)
{
	if (strncmp(permissions, "rw", 2) != 0)
		return false;
	return *name == '\0' || strncmp(name, "/memfd:", 7) == 0 || strncmp(name, "/dev/hugepages/", 15) == 0;
}

/* The largest mapping that can be guest RAM, or, unless pages is 0, the one of that size. */
static struct mapping find_guest_ram(int pid, unsigned long pages)
{
	struct mapping ram = { 0, 0 };
	char path[64], line[4096];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	if (!maps)
		die(strerror(errno), pid);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char permissions[5], name[4096] = "";

		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %4095[^\n]", &start, &end, permissions, name) < 3)
			continue;
		if (pages && (end - start) / PAGE_BYTES != pages)
			continue;
		if (is_guest_ram(permissions, name) && (end - start) / PAGE_BYTES > ram.pages)
			ram = (struct mapping){ start, (end - start) / PAGE_BYTES };
	}
	fclose(maps);
	if (ram.pages < SMALLEST_GUEST_PAGES)
		die(pages ? "no mapping has the size of a cell" :
			    "no mapping of 8 MiB or more looks like guest RAM; is it a QEMU?", pid);
	return ram;
}

/* Fills node[0..ram.pages) with each page's node, or -1 where there is none (never touched, or not readable). */
static void query_nodes(int pid, struct mapping ram, signed char *node)
{
	void *address[BATCH];
	int status[BATCH];
	unsigned long done, n, i;

	for (done = 0; done < ram.pages; done += n) {
		n = ram.pages - done < BATCH ? ram.pages - done : BATCH;
		for (i = 0; i < n; i++)
			address[i] = (void *)(ram.start + (done + i) * PAGE_BYTES);
		if (syscall(SYS_move_pages, pid, n, address, NULL, status, 0) < 0)
			die(strerror(errno), pid);
		for (i = 0; i < n; i++)
			node[done + i] = status[i] >= 0 && status[i] < MAX_NODES ? status[i] : -1;
	}
}

static void print_nodes(const unsigned long *pages)
{
	const char *comma = "";

	printf("\"nodes\":{");
	for (int node = 0; node < MAX_NODES; node++) {
		if (!pages[node])
			continue;
		printf("%s\"%d\":%lu", comma, node, pages[node]);
		comma = ",";
	}
	printf("}");
}

static void write_file(const char *path, const char *mode, const signed char *node, unsigned long pages)
{
	FILE *file = fopen(path, mode);

	if (!file || fwrite(node, 1, pages, file) != pages || fclose(file)) {
		fprintf(stderr, "residency: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

/* Adds one mapping to the sums, and to the file if there is one. */
static void add_mapping(int pid, struct mapping ram, const char *pages_file, const char *mode, unsigned long *per_node,
			unsigned long *absent)
{
	signed char *node = malloc(ram.pages);

	if (!node)
		die(strerror(errno), pid);
	query_nodes(pid, ram, node);
	for (unsigned long i = 0; i < ram.pages; i++) {
		if (node[i] < 0)
			(*absent)++;
		else
			per_node[node[i]]++;
	}
	if (pages_file)
		write_file(pages_file, mode, node, ram.pages);
	free(node);
}

static void report(int pid, const char *pages_file, int cells, const unsigned long *cell_pages)
{
	unsigned long per_node[MAX_NODES] = { 0 }, absent = 0, pages = 0;

	for (int cell = 0; cell < (cells ? cells : 1); cell++) {
		struct mapping ram = find_guest_ram(pid, cells ? cell_pages[cell] : 0);

		add_mapping(pid, ram, pages_file, cell ? "a" : "w", per_node, &absent);
		pages += ram.pages;
	}
	printf("{\"pid\":%d,\"pages\":%lu,", pid, pages);
	print_nodes(per_node);
	printf(",\"absent\":%lu}\n", absent);
}

/* Sums the N0=.. fields of the RAM's line in numa_maps, which counts in that line's kernelpagesize_kB. False: pid gone. */
static bool read_numa_maps(int pid, struct mapping ram, unsigned long *per_node)
{
	char path[64], *line = NULL;
	size_t capacity = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/numa_maps", pid);
	maps = fopen(path, "r");
	if (!maps)
		return false;
	memset(per_node, 0, MAX_NODES * sizeof(*per_node));
	while (getline(&line, &capacity, maps) > 0) {
		unsigned long scale = 1, pages;
		char *field, *size;
		unsigned int node;

		if (strtoul(line, NULL, 16) != ram.start)
			continue;
		size = strstr(line, "kernelpagesize_kB=");
		if (size)
			scale = strtoul(strchr(size, '=') + 1, NULL, 10) * 1024 / PAGE_BYTES;
		for (field = strtok(line, " \n"); field; field = strtok(NULL, " \n"))
			if (sscanf(field, "N%u=%lu", &node, &pages) == 2 && node < MAX_NODES)
				per_node[node] += pages * scale;
	}
	free(line);
	fclose(maps);
	return true;
}

static void watch(unsigned long milliseconds, int count, const int *pids)
{
	struct timespec now, pause = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	struct mapping *ram = calloc(count, sizeof(*ram));
	unsigned long per_node[MAX_NODES];

	if (!ram)
		die(strerror(errno), pids[0]);
	for (int i = 0; i < count; i++)
		ram[i] = find_guest_ram(pids[i], 0);
	for (;;) {
		for (int i = 0; i < count; i++) {
			if (!read_numa_maps(pids[i], ram[i], per_node))
				continue;
			clock_gettime(CLOCK_REALTIME, &now);
			printf("{\"time\":%jd.%03ld,\"pid\":%d,", (intmax_t)now.tv_sec, now.tv_nsec / 1000000, pids[i]);
			print_nodes(per_node);
			printf("}\n");
		}
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || !value) {
		fprintf(stderr, "residency: '%s' is not a positive whole number\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "--watch") == 0) {
		int pids[argc - 3];

		for (int i = 3; i < argc; i++)
			pids[i - 3] = number(argv[i]);
		watch(number(argv[2]), argc - 3, pids);
	} else if (argc == 2) {
		report(number(argv[1]), NULL, 0, NULL);
	} else if (argc >= 4 && strcmp(argv[2], "--pages") == 0) {
		unsigned long cells[argc];

		for (int i = 4; i < argc; i++)
			cells[i - 4] = (number(argv[i]) << 20) / PAGE_BYTES;
		report(number(argv[1]), argv[3], argc - 4, cells);
	} else {
		fprintf(stderr, "usage: residency PID [--pages FILE [MIB...]] | residency --watch MS PID...\n");
		return 2;
	}
	return 0;
}
