/* SPDX-License-Identifier: GPL-2.0 */
/* What every test does with the module's file. */
#ifndef TEST_SAMPLER_H
#define TEST_SAMPLER_H

#include <fcntl.h>
#include <kvm_ept_sample.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "vm.h"

/* Open the module's file and take hold of the guest; ends the test when that fails. */
static inline int attach(const struct vm *vm)
{
	int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm->pid)) {
		check(0, "attach", "%s", strerror(errno));
		exit(1);
	}
	return fd;
}

static inline struct kvm_ept_sample_info info_of(int fd)
{
	struct kvm_ept_sample_info info = { .size = sizeof(info) };

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info))
		check(0, "GET_INFO", "%s", strerror(errno));
	return info;
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* References to a module, as the kernel shows them; -1 if it is not there. */
static inline int references(const char *module)
{
	char path[128];
	int count = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%d", &count) != 1)
			count = -1;
		fclose(file);
	}
	return count;
}

/* Whether a module gets down to @count references within ten seconds. */
static inline int returns_to(const char *module, int count)
{
	int i;

	for (i = 0; i < 100 && references(module) != count; i++)
		usleep(100 * 1000);
	return references(module) == count;
}

/* KVM's module of this host's vendor. */
static inline const char *kvm_module(void)
{
	return access("/sys/module/kvm_amd", F_OK) ? "kvm_intel" : "kvm_amd";
}

#endif
