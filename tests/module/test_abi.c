// SPDX-License-Identifier: GPL-2.0
/* The original ABI and every refusal of the new one. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <kvm_ept_sample.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler.h"

#define MEMORY	(16 * MIB)
/* Not a constant: the compiler would warn of every use. */
static void *volatile bad_address = (void *)8;

static int open_sampler(void)
{
	int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("FAIL open %s: %s\n", KVM_EPT_SAMPLE_PATH, strerror(errno));
		exit(1);
	}
	return fd;
}

static int is_free_pid(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static pid_t free_pid(void)
{
	pid_t pid = 30000;

	while (!is_free_pid(pid))
		pid--;
	return pid;
}

static void before_init(int fd)
{
	struct kvm_ept_sample_get_memslots slots = { .capacity = 0 };
	struct kvm_ept_sample_harvest harvest = { .size = sizeof(harvest) };
	struct kvm_ept_sample_sample sample;

	CHECK_RETURNS("SET_PROT before INIT", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7));
	CHECK_RETURNS("SET_FREQ before INIT", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 10));
	CHECK_RETURNS("GET_MEMSLOTS before INIT", -EINVAL,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	CHECK_RETURNS("DEINIT before INIT", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT));
	CHECK_RETURNS("HARVEST before INIT", -EINVAL,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &harvest));
	CHECK_RETURNS("read before INIT", 0, read(fd, &sample, sizeof(sample)));
}

static void init_errors(int fd)
{
	CHECK_RETURNS("INIT of pid 0", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, 0));
	CHECK_RETURNS("INIT of pid -1", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, -1));
	CHECK_RETURNS("INIT of a free pid", -ESRCH,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, free_pid()));
	CHECK_RETURNS("INIT of a process without a guest", -ENXIO,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, getpid()));
	CHECK_RETURNS("INIT of a kernel thread", -ENXIO, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, 2));
	CHECK_RETURNS("unknown command", -EINVAL, ioctl(fd, 1205, 0));
	CHECK_RETURNS("unknown command 0", -EINVAL, ioctl(fd, 0, 0));
	CHECK_RETURNS("command of another driver", -EINVAL, ioctl(fd, _IOWR(0xB8, 1, int), 0));
}

static void memslots(int fd, struct vm *vm)
{
	struct kvm_ept_sample_memslot slot[16];
	struct kvm_ept_sample_get_memslots slots = { .memslots = slot, .capacity = 16 };
	struct kvm_ept_sample_info info = { .size = sizeof(info) };
	__u64 generation;

	CHECK_RETURNS("GET_MEMSLOTS", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	check(slots.count >= 2 && slot[0].gpa == 0 && slot[0].page_count == MEMORY / PAGE,
	      "first memslot is the guest's memory", "count %zu, gpa %llx, pages %zu", slots.count,
	      slot[0].gpa, slot[0].page_count);
	check(slot[0].hva == vm_hva(vm), "memslot's hva", "got %llx, expected %lx", slot[0].hva,
	      vm_hva(vm));

	CHECK_RETURNS("GET_INFO", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info));
	check(info.memslots == slots.count, "GET_INFO counts the memslots", "%u and %zu",
	      info.memslots, slots.count);
	generation = info.generation;

	CHECK_RETURNS("add a memslot", 0, vm_add_slot(vm, 0x80000, 512));
	slots.count = 0;
	CHECK_RETURNS("GET_MEMSLOTS again", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	check(slots.count == info.memslots + 1, "new memslot is seen", "%zu", slots.count);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info);
	check(info.generation != generation, "generation changes with the memslots", "%llx",
	      info.generation);
	check(info.gfn_end >= 0x80000 + 512, "gfn_end grows", "%llx", info.gfn_end);
	CHECK_RETURNS("remove it", 0, vm_remove_slot(vm));

	slots.capacity = 1;
	slots.count = 99;
	CHECK_RETURNS("GET_MEMSLOTS with room for one", 0,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	check(slots.count == 1, "one memslot is written", "%zu", slots.count);
	slots.capacity = 0;
	slots.memslots = NULL;
	CHECK_RETURNS("GET_MEMSLOTS without room", 0,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	check(slots.count == 0, "none is written", "%zu", slots.count);

	slots.capacity = 16;
	slots.memslots = bad_address;
	CHECK_RETURNS("GET_MEMSLOTS to a bad array", -EFAULT,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	slots.memslots = slot;
	slots.capacity = ~0UL;
	CHECK_RETURNS("GET_MEMSLOTS with a giant capacity", 0,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &slots));
	CHECK_RETURNS("GET_MEMSLOTS with a bad request", -EFAULT,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, bad_address));
}

static void harvest_errors(int fd)
{
	struct kvm_ept_sample_info info = { 0 };
	static unsigned char bits[16 * 1024];
	const struct kvm_ept_sample_harvest good = {
		.size = sizeof(good), .start = 512, .end = 1024, .base = 512,
		.accessed = (uintptr_t)bits,
	};
	struct kvm_ept_sample_harvest h;
	struct { struct kvm_ept_sample_harvest h; __u64 tail; } longer = { good, 0 };

#define REFUSED(name, expected, change) do {						\
	h = good;									\
	change;										\
	CHECK_RETURNS(name, expected, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));	\
} while (0)
	REFUSED("HARVEST", 0, (void)0);
	check(h.next == 1024, "HARVEST goes to the end", "next %llu", h.next);
	check(h.state == KVM_EPT_SAMPLE_INFO_GUEST, "HARVEST: dirty logging is off", "state %x",
	      h.state);
	REFUSED("HARVEST smaller than its first struct", -EINVAL,
		h.size = offsetof(struct kvm_ept_sample_harvest, state) - 1);
	REFUSED("HARVEST with its first struct", 0,
		h.size = offsetof(struct kvm_ept_sample_harvest, state); h.state = 77);
	check(h.state == 77 && h.next == 1024, "the first struct gets no more than it has room for",
	      "state %u, next %llu", h.state, h.next);
	REFUSED("HARVEST with an unknown flag", -EINVAL, h.flags = 8);
	REFUSED("HARVEST without a bitmap", -EINVAL, h.accessed = 0);
	REFUSED("HARVEST with start unaligned", -EINVAL, h.start++);
	REFUSED("HARVEST with end unaligned", -EINVAL, h.end++);
	REFUSED("HARVEST with base unaligned", -EINVAL, h.base--);
	REFUSED("HARVEST of nothing", -EINVAL, h.end = h.start);
	REFUSED("HARVEST backwards", -EINVAL, h.end = 0);
	REFUSED("HARVEST with start under base", -EINVAL, h.base = 1024);
	REFUSED("HARVEST beyond all addresses", -EINVAL, h.end = (1ULL << 40) + 512);
	REFUSED("HARVEST to a bad bitmap", -EFAULT, h.accessed = (uintptr_t)bad_address);
	REFUSED("HARVEST to a bad dirty bitmap", -EFAULT, h.dirty = (uintptr_t)bad_address);
	REFUSED("HARVEST to a bad present bitmap", -EFAULT, h.present = (uintptr_t)bad_address);
	REFUSED("HARVEST to bad sizes", -EFAULT, h.sizes = (uintptr_t)bad_address);
	REFUSED("HARVEST to a kernel address", -EFAULT, h.accessed = 0xffff888000000000ULL);
	REFUSED("HARVEST of a giant range runs off the bitmap", -EFAULT, h.end = 1ULL << 40);
	REFUSED("HARVEST with a base far below wraps nothing", -EFAULT,
		h.start = 1ULL << 39; h.end = h.start + 512; h.base = 0; h.accessed = ~0ULL - 63);
	longer.h.size = sizeof(longer);
	CHECK_RETURNS("HARVEST with a longer struct", 0,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &longer));
	longer.h.size = sizeof(longer);
	longer.tail = 1;
	CHECK_RETURNS("HARVEST with an unknown tail", -E2BIG,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &longer));
	CHECK_RETURNS("HARVEST with a bad request", -EFAULT,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, bad_address));
	info.size = offsetof(struct kvm_ept_sample_info, interrupts) - 1;
	CHECK_RETURNS("GET_INFO of less than its first version", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info));
	info = (struct kvm_ept_sample_info){ .size = offsetof(struct kvm_ept_sample_info, interrupts), .interrupts = 77 };
	CHECK_RETURNS("GET_INFO of its first version", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info));
	check(info.interrupts == 77 && info.size == 112, "GET_INFO: fields that the caller does not know are left alone",
	      "%llu, size %u", info.interrupts, info.size);
	CHECK_RETURNS("GET_INFO with a bad request", -EFAULT,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, bad_address));
}

static void reads(int fd)
{
	char bytes[9];
	int i;

	CHECK_RETURNS("SET_FREQ", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 2000));
	for (i = 0; i < 100 && read(fd, bytes, 4) == 0; i++)
		usleep(100 * 1000);
	check(i < 100, "read returns a sample", "none in 10 s");
	CHECK_RETURNS("read of less than a record", 0, read(fd, bytes, 3));
	/* One is read, two and one more are wanted: a slow host takes its time. */
	for (i = 0; i < 100 && info_of(fd).samples < 4; i++)
		usleep(100 * 1000);
	CHECK_RETURNS("read of two records and a byte", 8, read(fd, bytes, 9));
	CHECK_RETURNS("read to a bad buffer", -EFAULT, read(fd, bad_address, 4));
	CHECK_RETURNS("SET_PROT while sampling", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 1));
	CHECK_RETURNS("SET_PROT of unknown bits", -EINVAL,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 8));
	CHECK_RETURNS("SET_FREQ while sampling", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	CHECK_RETURNS("SET_FREQ 0 stops", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0));
	while (read(fd, bytes, 8) > 0)
		;
	usleep(300 * 1000);
	CHECK_RETURNS("no sample after the stop", 0, read(fd, bytes, 4));
}

static void wide_records(int fd)
{
	struct kvm_ept_sample_sample64 sample;
	struct pollfd waiting = { .fd = fd, .events = POLLIN };

	CHECK_RETURNS("SET_RECORD of 5 bytes", -EINVAL,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_RECORD, 5));
	CHECK_RETURNS("SET_RECORD of 8 bytes", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_RECORD, 8));
	CHECK_RETURNS("poll without samples", 0, poll(&waiting, 1, 0));
	CHECK_RETURNS("SET_FREQ for poll", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	CHECK_RETURNS("poll wakes for a sample", 1, poll(&waiting, 1, 20000));
	CHECK_RETURNS("read of less than a wide record", 0, read(fd, &sample, 7));
	CHECK_RETURNS("read of a wide record", 8, read(fd, &sample, 8));
	check((sample.gfn < MEMORY / PAGE || (sample.gfn >= VM_CTL_GFN && sample.gfn < VM_CTL_GFN + 8)) &&
	      sample.xwr == 1, "wide record has the page and a read", "gfn %llx xwr %u",
	      (unsigned long long)sample.gfn, (unsigned int)sample.xwr);
	CHECK_RETURNS("SET_FREQ 0", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0));
	CHECK_RETURNS("SET_RECORD of 4 bytes", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_RECORD, 4));
	CHECK_RETURNS("no wide sample is read narrow", 0, read(fd, &sample, 4));
}

static void as_nobody(struct vm *vm, int fd)
{
	int status;
	pid_t child = fork();

	if (!child) {
		errno = 0;
		if (setgid(65534) || setuid(65534))
			_exit(99);
		if (open(KVM_EPT_SAMPLE_PATH, O_RDWR) >= 0 || errno != EACCES)
			_exit(1);
		/* An open file handed down does not carry the right to ptrace. */
		if (ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm->pid) != -1 || errno != EPERM)
			_exit(2);
		_exit(0);
	}
	waitpid(child, &status, 0);
	check(status == 0, "nobody may neither open nor INIT", "status %x", status);
}

/* A process that also holds a guest of another one: its own is meant. */
static void handed_over(int fd)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), others = ioctl(kvm, KVM_CREATE_VM, 0), ready[2];
	pid_t child[2];
	char byte;
	int i;

	if (pipe(ready))
		exit(1);
	for (i = 0; i < 2; i++) {
		child[i] = fork();
		if (!child[i]) {
			int own = i ? ioctl(kvm, KVM_CREATE_VM, 0) : 0;

			if (own < 0 || write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		if (read(ready[0], &byte, 1) != 1)
			exit(1);
	}
	CHECK_RETURNS("INIT of a process with another's guest only", -ENXIO,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, child[0]));
	CHECK_RETURNS("INIT of a process with its own and another's", 0,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, child[1]));
	CHECK_RETURNS("DEINIT of that", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT));
	for (i = 0; i < 2; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
		close(ready[i]);
	}
	close(others);
	close(kvm);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A signal ends a long harvest; where it got to, it goes on. */
static void interrupted(int fd)
{
	const unsigned long size = 512 * MIB;	/* a bit for each page of 16 TiB */
	struct itimerval soon = { .it_value = { .tv_usec = 30 * 1000 } };
	struct kvm_ept_sample_harvest h = { .size = sizeof(h), .end = size * 8 };
	void *bits = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	__u64 reached;

	h.accessed = (uintptr_t)bits;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK_RETURNS("HARVEST that a signal ends", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
	reached = h.next;
	check(reached > 0 && reached < h.end && reached % 512 == 0, "it tells where it got to", "%llu of %llu", reached, h.end);
	h.start = reached;
	h.end = reached + 512;
	CHECK_RETURNS("HARVEST from there", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
	check(h.next == reached + 512, "it goes on", "%llu, was %llu", h.next, reached);
	munmap(bits, size);
}

int main(void)
{
	unsigned long all[4096 - VM_FREE_GFN];
	struct stat mode;
	struct vm vm;
	size_t i;
	int fd, other;

	if (stat(KVM_EPT_SAMPLE_PATH, &mode))
		mode.st_mode = 0;
	check((mode.st_mode & 07777) == 0600, "mode 0600", "%o", mode.st_mode & 07777);

	fd = open_sampler();
	before_init(fd);
	init_errors(fd);
	handed_over(fd);

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	for (i = 0; i < 4096 - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(&vm, all, i, VM_READ);

	as_nobody(&vm, fd);
	CHECK_RETURNS("INIT", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	CHECK_RETURNS("second INIT on the same file", -EINVAL,
		      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	other = open_sampler();
	CHECK_RETURNS("INIT by a second file", -EBUSY,
		      ioctl(other, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	memslots(fd, &vm);
	harvest_errors(fd);
	interrupted(fd);
	reads(fd);
	wide_records(fd);

	CHECK_RETURNS("DEINIT", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT));
	CHECK_RETURNS("DEINIT twice", -EINVAL, ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT));
	CHECK_RETURNS("INIT after DEINIT", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	close(fd);
	CHECK_RETURNS("INIT after close without DEINIT", 0,
		      ioctl(other, KVM_EPT_SAMPLE_CMD_INIT, vm.pid));
	close(other);
	check(vm_wait(&vm), "guest goes on", "no pass in 60 s");
	vm_kill(&vm);
	return checks_failed != 0;
}
