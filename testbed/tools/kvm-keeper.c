/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm-keeper: keeps one VM, which never runs, for as long as the host is up.
 *
 * The first VM of a kernel makes it patch its own code (preempt notifiers in the scheduler, local APIC keys), and the last
 * one makes it patch that back. QEMU's emulation of several CPUs at once is not exact about code that one CPU changes while
 * another runs it: now and then the host's kernel then dies when the first guest starts. So the first VM is made here, while
 * only one CPU is online, and it stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CPU1 "/sys/devices/system/cpu/cpu1/online"

static void die(const char *what)
{
	fprintf(stderr, "kvm-keeper: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set_cpu1(const char *online)
{
	int fd = open(CPU1, O_WRONLY), tries = 0;

	if (fd < 0)
		die(CPU1);
	/* While the host boots the kernel may have reasons of its own to keep its CPUs: EBUSY. */
	while (write(fd, online, 1) != 1) {
		if (errno != EBUSY || ++tries == 300)
			die(CPU1);
		usleep(100000);
	}
	close(fd);
}

int main(void)
{
	int kvm, vm;

	set_cpu1("0");
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		die("/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0 || ioctl(vm, KVM_CREATE_VCPU, 0) < 0)
		die("making a VM");
	set_cpu1("1");
	/* Ready: the one who started us goes on, the child holds the VM. */
	if (fork() > 0)
		return 0;
	for (;;)
		pause();
}
