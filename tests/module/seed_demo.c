// SPDX-License-Identifier: GPL-2.0
/*
 * A program as one writes it against the original kvm-ept-sample: knows nothing of the new ABI,
 * not even its header.  Prints the memslots, then samples.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct memslot {
	uint64_t gpa, hva;
	size_t page_count;
};

struct memslots {
	struct memslot *memslots;
	size_t capacity, count;
};

struct sample {
	uint32_t gfn : 29;
	uint32_t xwr : 3;
};

int main(int argc, char **argv)
{
	struct memslot slot[64];
	struct memslots slots = { slot, 64, 0 };
	struct sample samples[512];
	int fd, round, total = 0;
	size_t i;

	if (argc != 4) {
		fprintf(stderr, "usage: seed_demo PID PROT HZ\n");
		return 2;
	}
	fd = open("/proc/kvm_ept_sample", O_RDWR);
	if (fd < 0 || ioctl(fd, 1200, atoi(argv[1])) || ioctl(fd, 1203, &slots) ||
	    ioctl(fd, 1201, atoi(argv[2])) || ioctl(fd, 1202, atoi(argv[3]))) {
		perror("kvm_ept_sample");
		return 1;
	}
	for (i = 0; i < slots.count; i++)
		printf("slot gpa %#lx hva %#lx pages %zu\n", slot[i].gpa, slot[i].hva,
		       slot[i].page_count);
	for (round = 0; round < 20; round++) {
		ssize_t n = read(fd, samples, sizeof(samples));

		for (i = 0; n > 0 && i < n / sizeof(samples[0]); i++)
			printf("gfn %#x xwr %u\n", samples[i].gfn, samples[i].xwr);
		total += n / sizeof(samples[0]);
		usleep(100000);
	}
	ioctl(fd, 1202, 0);
	ioctl(fd, 1204, 0);
	close(fd);
	return total ? 0 : 3;
}
