// SPDX-License-Identifier: GPL-2.0
/* Runs the program written for the original project against a guest, unmodified. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "vm.h"

#define MEMORY	(16 * MIB)

int main(int argc, char **argv)
{
	unsigned long written[200], slots = 0, samples = 0, wrong = 0, gpa, hva, gfn;
	char command[256], line[128];
	unsigned int xwr;
	struct vm vm;
	FILE *demo;
	size_t i, pages;

	if (argc != 2) {
		fprintf(stderr, "usage: test_seed_demo SEED_DEMO\n");
		return 2;
	}
	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	for (i = 0; i < 200; i++)
		written[i] = 1000 + 10 * i;
	vm_work(&vm, written, 200, VM_WRITE);

	snprintf(command, sizeof(command), "%s %d 2 500", argv[1], vm.pid);
	demo = popen(command, "r");
	while (demo && fgets(line, sizeof(line), demo)) {
		if (sscanf(line, "slot gpa %lx hva %lx pages %zu", &gpa, &hva, &pages) == 3)
			slots += gpa == 0 && hva == vm_hva(&vm) && pages == MEMORY / PAGE;
		else if (sscanf(line, "gfn %lx xwr %u", &gfn, &xwr) == 2)
			*(xwr == 2 && ((gfn >= 1000 && gfn < 3000 && gfn % 10 == 0) ||
				       gfn == VM_CTL_GFN) ? &samples : &wrong) += 1;
		else
			check(0, "seed demo's output", "%s", line);
	}
	check(demo && pclose(demo) == 0, "seed demo ends well", "it failed");
	check(slots == 1, "seed demo finds the guest's memory", "%lu times", slots);
	check(samples > 20 && !wrong, "seed demo samples what is written", "%lu right, %lu wrong",
	      samples, wrong);
	vm_kill(&vm);
	return checks_failed != 0;
}
