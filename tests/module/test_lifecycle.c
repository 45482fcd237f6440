// SPDX-License-Identifier: GPL-2.0
/* Death and unloading at awkward moments. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sampler.h"

#define MEMORY	(32 * MIB)
#define PAGES	(MEMORY / PAGE)
#define MODULE	"kvm_ept_sample"

static unsigned char bits[PAGES / 8];

static int harvest(int fd)
{
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits,
		.flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH,
	};

	return ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
}

static void start_busy(struct vm *vm, int op)
{
	unsigned long all[PAGES - VM_FREE_GFN];
	unsigned long i;

	vm_start(vm, (struct vm_config){ .memory = MEMORY, .vcpus = 2 });
	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(vm, all, i, op);
	vm_wait(vm);
}

static void guest_dies(void)
{
	struct kvm_ept_sample_info info = { .size = sizeof(info) };
	struct kvm_ept_sample_get_memslots slots = { 0 };
	const char *kvm = kvm_module();
	int before = references(kvm), fd;
	struct vm vm;

	start_busy(&vm, VM_WRITE);
	fd = attach(&vm);
	CHECK_RETURNS("sample the guest", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000));
	usleep(500 * 1000);
	vm_kill(&vm);
	CHECK_RETURNS("HARVEST of a killed guest", -ESRCH, harvest(fd));
	check(returns_to(kvm, before), "a killed guest is let go, though its sampler does not close the file",
	      "%d references to %s, %d before", references(kvm), kvm, before);
	CHECK_RETURNS("HARVEST of a guest let go", -ESRCH, harvest(fd));
	CHECK_RETURNS("GET_INFO of a guest let go", -ESRCH, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info));
	CHECK_RETURNS("GET_MEMSLOTS of a guest let go", -ESRCH, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	CHECK_RETURNS("SET_PROT of a guest let go", -ESRCH, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7));
	CHECK_RETURNS("SET_FREQ of a guest let go", -ESRCH, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	CHECK_RETURNS("INIT before DEINIT", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, getpid()));
	CHECK_RETURNS("DEINIT of a guest let go", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT));
	CHECK_RETURNS("DEINIT once more", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT));
	CHECK_RETURNS("GET_INFO of the module alone", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info));
	CHECK_RETURNS("INIT of a killed guest's pid", -ESRCH,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	close(fd);
}

static void user_dies(void)
{
	struct vm vm;
	pid_t user;
	int status, fd, ready[2];
	char byte;

	start_busy(&vm, VM_WRITE);
	if (pipe(ready))
		exit(1);
	user = fork();
	if (!user) {
		fd = attach(&vm);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 20000);
		usleep(300 * 1000);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			harvest(fd);
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	usleep(50 * 1000);
	kill(user, SIGKILL);
	waitpid(user, &status, 0);
	check(vm_wait(&vm), "guest goes on when its sampler is killed", "no pass in 60 s");
	fd = attach(&vm);
	CHECK_RETURNS("the next sampler can harvest", 0, harvest(fd));
	close(fd);
	vm_kill(&vm);
}

/* A vCPU changes its page table twice an exit, while landmines lie and harvests run. */
static void system_management_mode(void)
{
	volatile struct vm_ctl *ctl;
	unsigned long hot[64], i;
	unsigned int missed = 0, harvests;
	uint32_t from;
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .smm = true });
	fd = attach(&vm);
	for (i = 0; i < 64; i++)
		hot[i] = 1024 + 13 * i;
	vm_work(&vm, hot, 64, VM_WRITE);
	ctl = vm.ctl;
	from = ctl->smis;
	ctl->exits = 1;
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 2000);
	for (harvests = 0; harvests < 2000 && ctl->smis - from < 200; harvests++) {
		vm_wait(&vm);
		if (harvest(fd))
			missed++;
	}
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	ctl->exits = 0;
	check(ctl->smis - from >= 200 && !missed, "sampled while in and out of system management mode",
	      "%u times there, %u harvests failed", ctl->smis - from, missed);
	vm_wait(&vm);
	harvest(fd);
	vm_wait(&vm);
	CHECK_RETURNS("harvest after it", 0, harvest(fd));
	for (i = 0, missed = 0; i < 64; i++)
		missed += !(bits[hot[i] / 8] >> hot[i] % 8 & 1);
	check(!missed, "harvest is right after it", "%u of 64 pages missed", missed);
	close(fd);
	vm_kill(&vm);
}

static void unload(const char *module_file)
{
	struct vm vm;
	int fd, file, i;

	start_busy(&vm, VM_WRITE);
	fd = attach(&vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	usleep(300 * 1000);
	CHECK_RETURNS("rmmod while attached", -EWOULDBLOCK,
		      syscall(SYS_delete_module, MODULE, O_NONBLOCK));
	CHECK_RETURNS("harvest after that", 0, harvest(fd));
	close(fd);
	CHECK_RETURNS("rmmod right after close", 0,
		      syscall(SYS_delete_module, MODULE, O_NONBLOCK));
	check(vm_wait(&vm), "guest goes on without the module", "no pass in 60 s");
	check(access(KVM_EPT_SAMPLE_PATH, F_OK) < 0, "its file has gone", "it is there");
	for (i = 0; i < 5; i++) {
		file = open(module_file, O_RDONLY | O_CLOEXEC);
		if (syscall(SYS_finit_module, file, "", 0))
			break;
		close(file);
		fd = attach(&vm);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 20000);
		usleep(100 * 1000);
		close(fd);
		if (i < 4 && syscall(SYS_delete_module, MODULE, O_NONBLOCK))
			break;
	}
	check(i == 5, "load, sample, unload, five times", "stopped at %d: %s", i, strerror(errno));
	check(vm_wait(&vm), "guest goes on after that", "no pass in 60 s");
	vm_kill(&vm);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: test_lifecycle KVM_EPT_SAMPLE.KO\n");
		return 2;
	}
	guest_dies();
	user_dies();
	system_management_mode();
	unload(argv[1]);
	return checks_failed != 0;
}
