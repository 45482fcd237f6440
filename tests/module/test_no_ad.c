// SPDX-License-Identifier: GPL-2.0
/* EPT without accessed and dirty bits: everything that would need them is refused by name, and the guest is left alone. */
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
	struct kvm_ept_sample_memslot slot[4];
	struct kvm_ept_sample_get_memslots slots = { .memslots = slot, .capacity = 4 };
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	vm_work(&vm, hot, 2, VM_WRITE);
	fd = attach(&vm);
	check(info_of(fd).paging == KVM_EPT_SAMPLE_PAGING_EPT && !(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_AD),
	      "GET_INFO: EPT without accessed bits", "paging %u, flags %x", info_of(fd).paging, info_of(fd).flags);
	CHECK_RETURNS("HARVEST without accessed bits", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
	CHECK_RETURNS("SET_FREQ without dirty bits", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	CHECK_RETURNS("GET_MEMSLOTS works", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
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
	usleep(500 * 1000);
	check(!info_of(fd).armed && vm_wait(&vm), "nothing is mined when it shows that there are no dirty bits", "%llu landmines",
	      (unsigned long long)info_of(fd).armed);
	close(fd);
	vm_kill(&vm);
	return checks_failed != 0;
}
