// SPDX-License-Identifier: GPL-2.0
/* A real-time kernel: harvests only, and the module says so. */
#include "sampler.h"

#define MEMORY	(16 * MIB)

int main(void)
{
	char text[1024] = "";
	FILE *file;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	CHECK_RETURNS("real time: SET_FREQ", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	check(!(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_FAULTS), "real time: GET_INFO", "it says that faults can be sampled");
	file = fopen("/sys/module/kvm_ept_sample/parameters/checks", "r");
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = 0;
		fclose(file);
	}
	check(strstr(text, "lock failed") != NULL, "real time: the check that failed is named", "%s", text);
	close(fd);
	vm_kill(&vm);
	return checks_failed != 0;
}
