// SPDX-License-Identifier: GPL-2.0
/* A host without second-level paging (npt=0): its tables are indexed by what the guest calls its pages, and are left alone. */
#define _GNU_SOURCE
#include "sampler.h"

#define MEMORY	(16 * MIB)
#define PAGES	(MEMORY / PAGE)

int main(void)
{
	static const unsigned long hot[] = { 100, 1000 };
	static unsigned char bits[PAGES / 8];
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits,
	};
	struct kvm_ept_sample_info info = { .size = sizeof(info) };
	struct kvm_ept_sample_sample sample;
	int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC);
	struct vm vm;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	vm_work(&vm, hot, 2, VM_WRITE);
	vm_wait(&vm);
	CHECK_RETURNS("INIT with shadow paging", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	check(vm_wait(&vm), "guest goes on", "no pass in 60 s");
	close(fd);
	vm_kill(&vm);

	/* Nothing is known of a guest without a vCPU. */
	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .late = true });
	fd = attach(&vm);
	CHECK_RETURNS("SET_FREQ before the first vCPU", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 1000));
	vm_add_vcpu(&vm);
	vm_wait(&vm);
	vm_work(&vm, hot, 2, VM_WRITE);
	check(vm_wait(&vm), "guest goes on when it shows that there is shadow paging", "no pass in 60 s");
	CHECK_RETURNS("no samples", 0, read(fd, &sample, sizeof(sample)));
	CHECK_RETURNS("HARVEST with shadow paging", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
	CHECK_RETURNS("GET_INFO with shadow paging", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info));
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	CHECK_RETURNS("SET_FREQ with shadow paging", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 1000));
	close(fd);
	vm_kill(&vm);
	return checks_failed != 0;
}
