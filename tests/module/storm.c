// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: guests, some with 2 MiB pages, some with guests of their own, start and die,
 * lose pages, gain memslots and lose them with what they have mapped there, are dirty-logged and moved
 * between nodes, while samplers attach, harvest, arm, detach and are killed, and a fuzzer throws
 * commands and arguments at the module, as root and as nobody.
 *
 * What it checks: the guests that live compute on, no process hangs, and the module and KVM end
 * with the references they began with.  The kernel's log is the caller's to look at.
 *
 * Where the module is not loaded the guests are alone: what goes wrong then is not the module's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sampler.h"

#define MEMORY		(16 * MIB)
#define PAGES		(MEMORY / PAGE)
#define GUESTS		2
#define SLOT_GFN	0x80000UL	/* the memslot that comes and goes */
#define SLOT_PAGES	512
#define NESTED_PAGES	64

/* What the processes of the storm share. */
struct shared {
	volatile pid_t guest[GUESTS];
	volatile unsigned long started, died, harvests, samples, attached, fuzzed, sick;
	volatile unsigned long large;		/* 2 MiB mappings seen in harvests */
	volatile unsigned long nested;		/* passes of the guests' guests */
	volatile unsigned long slots;		/* memslots taken away that the guest had touched */
};

static struct shared *shared;
static time_t end;

static int over(void)
{
	return time(NULL) >= end;
}

/* ---- guests ---- */

/* Give the guest something to do, half of it in its memslot that comes and goes, if it has it; fetches stay in the code. */
static void give_work(struct vm *vm, unsigned int *seed, bool in_slot)
{
	unsigned long gfns[512], i;

	for (i = 0; i < 512; i++)
		gfns[i] = in_slot && i % 2 ? SLOT_GFN + rand_r(seed) % SLOT_PAGES :
			  VM_FREE_GFN + rand_r(seed) % (PAGES - VM_FREE_GFN);
	vm_work(vm, gfns, 512, rand_r(seed) % 2 ? VM_WRITE : VM_READ);
}

static void move_pages_somewhere(struct vm *vm, unsigned int *seed)
{
	unsigned long hva = vm_hva(vm);
	void *pages[64];
	int nodes[64], status[64], i, node = rand_r(seed) % 2;

	for (i = 0; i < 64; i++) {
		pages[i] = (void *)(hva + (VM_FREE_GFN + rand_r(seed) % (PAGES - VM_FREE_GFN)) * PAGE);
		nodes[i] = node;
	}
	syscall(SYS_move_pages, vm->pid, 64UL, pages, nodes, status, 2);
}

static void keep_guest(int number)
{
	static uint8_t dirty[PAGES / 8];
	unsigned int seed = number + 1;

	while (!over()) {
		int rounds = 5 + rand_r(&seed) % 40;
		bool has_slot = false, touched = false;
		struct vm_config config = {
			.memory = MEMORY, .vcpus = 1 + rand_r(&seed) % 2,
			.huge = rand_r(&seed) % 2, .nested = rand_r(&seed) % 3 == 0, .nested_small = rand_r(&seed) % 2,
		};
		struct vm vm;

		vm_start(&vm, config);
		if (config.nested)
			vm.ctl->nested_pages = NESTED_PAGES;
		shared->guest[number] = vm.pid;
		__sync_fetch_and_add(&shared->started, 1);
		while (rounds-- && !over()) {
			switch (rand_r(&seed) % 7) {
			case 0:
				give_work(&vm, &seed, has_slot);
				touched = has_slot;
				/* The nested guest has its pages at two places. */
				vm.ctl->nested_offset = rand_r(&seed) % 2 * (uint32_t)((VM_NESTED_AT - VM_NESTED_GFN) * PAGE);
				break;
			case 1:
				vm_discard(&vm, VM_FREE_GFN + rand_r(&seed) % 2048,
					   1 + rand_r(&seed) % 1024);
				break;
			case 2:
				if (!has_slot)
					has_slot = !vm_add_slot(&vm, SLOT_GFN, SLOT_PAGES);
				break;
			case 3:
				/* What was mapped there goes with it, landmines and all; touched later, it would be no memory. */
				give_work(&vm, &seed, false);
				if (has_slot && !vm_remove_slot(&vm))
					__sync_fetch_and_add(&shared->slots, touched);
				has_slot = touched = false;
				break;
			case 4:
				vm_dirty_log(&vm, rand_r(&seed) % 2);
				break;
			case 5:
				vm_dirty_pages(&vm, dirty, sizeof(dirty));
				break;
			case 6:
				move_pages_somewhere(&vm, &seed);
				break;
			}
			usleep(rand_r(&seed) % 20000);
		}
		if (!vm_wait(&vm))
			__sync_fetch_and_add(&shared->sick, 1);
		__sync_fetch_and_add(&shared->nested, vm.ctl->nested_passes);
		vm_kill(&vm);
		__sync_fetch_and_add(&shared->died, 1);
	}
}

/* ---- samplers ---- */

static void *harvest_on(void *arg)
{
	static unsigned char bits[4][PAGES / 8];
	struct kvm_ept_sample_harvest h;
	int fd = (long)arg, i, block;

	for (i = 0; i < 50; i++) {
		h = (struct kvm_ept_sample_harvest){
			.size = sizeof(h), .flags = i % 8, .end = PAGES,
			.accessed = (uintptr_t)bits[0],
			.dirty = i % 3 ? 0 : (uintptr_t)bits[1],
			.present = i % 3 ? 0 : (uintptr_t)bits[2],
			.sizes = (uintptr_t)bits[3],
		};
		if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h) == 0) {
			__sync_fetch_and_add(&shared->harvests, 1);
			for (block = 0; block < PAGES / 512; block++)
				if (bits[3][block] == KVM_EPT_SAMPLE_SIZE_2M)
					__sync_fetch_and_add(&shared->large, 1);
		}
		usleep(500);
	}
	return NULL;
}

static void sample_for_a_while(unsigned int *seed)
{
	struct kvm_ept_sample_sample samples[256];
	struct kvm_ept_sample_info info = { .size = sizeof(info) };
	pthread_t thread[2];
	int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC), i;
	ssize_t n;

	if (fd < 0 ||
	    ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, shared->guest[rand_r(seed) % GUESTS])) {
		close(fd);
		usleep(5000);
		return;
	}
	__sync_fetch_and_add(&shared->attached, 1);
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, harvest_on, (void *)(long)fd);
	for (i = 0; i < 20; i++) {
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, rand_r(seed) % 8);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, rand_r(seed) % 3 ? rand_r(seed) % 20000 : 0);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info);
		usleep(rand_r(seed) % 10000);
		n = read(fd, samples, sizeof(samples));
		if (n > 0)
			__sync_fetch_and_add(&shared->samples, n / sizeof(samples[0]));
	}
	if (rand_r(seed) % 2)
		ioctl(fd, KVM_EPT_SAMPLE_CMD_DEINIT);	/* under the feet of the threads */
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	close(fd);
}

/* Samplers that are killed at any moment. */
static void keep_sampler(int number)
{
	unsigned int seed = 100 + number;

	while (!over()) {
		pid_t child = fork();

		if (!child) {
			for (;;)
				sample_for_a_while(&seed);
		}
		usleep(rand_r(&seed) % 1000000);
		seed++;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/* ---- fuzzer ---- */

static unsigned long any_argument(unsigned int *seed, unsigned char *memory)
{
	switch (rand_r(seed) % 8) {
	case 0: return 0;
	case 1: return 8;
	case 2: return ~0UL - rand_r(seed) % 4096;
	case 3: return 0xffff888000000000UL + rand_r(seed);
	case 4: return rand_r(seed);
	case 5: return shared->guest[rand_r(seed) % GUESTS];
	default: return (unsigned long)memory + rand_r(seed) % 4096;
	}
}

static void fuzz(int as_nobody)
{
	static const unsigned int commands[] = {
		KVM_EPT_SAMPLE_CMD_INIT, KVM_EPT_SAMPLE_CMD_SET_PROT, KVM_EPT_SAMPLE_CMD_SET_FREQ,
		KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, KVM_EPT_SAMPLE_CMD_DEINIT,
		KVM_EPT_SAMPLE_CMD_GET_INFO, KVM_EPT_SAMPLE_CMD_HARVEST, KVM_EPT_SAMPLE_CMD_SET_RECORD,
	};
	unsigned char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC), i;
	unsigned int seed = as_nobody ? 7 : 8;

	munmap(memory + PAGE, PAGE);
	if (as_nobody && (setgid(65534) || setuid(65534)))
		_exit(1);
	alarm(end - time(NULL) + 30);	/* a giant range ends for a signal */
	while (!over()) {
		for (i = 0; i < 256; i++)
			((uint32_t *)memory)[rand_r(&seed) % 1024] = rand_r(&seed) % 5 ?
				rand_r(&seed) % 1024 : rand_r(&seed);
		if (rand_r(&seed) % 2) {
			struct kvm_ept_sample_harvest *h = (void *)memory;

			h->size = sizeof(*h) + (rand_r(&seed) % 8 ? 0 : rand_r(&seed) % 64);
			h->flags %= 8;
			h->start = rand_r(&seed) % 64 * 512;
			h->end = h->start + rand_r(&seed) % 64 * 512;
			h->base = rand_r(&seed) % 2 ? 0 : h->start;
			h->accessed = any_argument(&seed, memory);
		}
		ioctl(fd, rand_r(&seed) % 4 ? commands[rand_r(&seed) % (sizeof(commands) / sizeof(commands[0]))]
					    : (unsigned int)rand_r(&seed),
		      rand_r(&seed) % 2 ? (unsigned long)memory : any_argument(&seed, memory));
		if (rand_r(&seed) % 16 == 0 &&
		    read(fd, memory + rand_r(&seed) % PAGE, rand_r(&seed) % PAGE) < 0)
			errno = 0;
		__sync_fetch_and_add(&shared->fuzzed, 1);
	}
	_exit(0);
}

/* ---- all of it ---- */

static void print_counts(void)
{
	printf("# guests %lu started, %lu died; %lu attached, %lu harvests, %lu samples, %lu commands fuzzed; "
	       "%lu 2 MiB mappings seen, %lu passes of nested guests, %lu memslots taken away\n",
	       shared->started, shared->died, shared->attached, shared->harvests, shared->samples,
	       shared->fuzzed, shared->large, shared->nested, shared->slots);
	fflush(stdout);
}

/* On a slow host, how to tell a storm that goes on from one that hangs. */
static void tell_now_and_then(int number)
{
	(void)number;
	while (!over()) {
		sleep(30);
		print_counts();
	}
}

static pid_t spawn(void (*work)(int), int number)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		work(number);
		_exit(0);
	}
	return pid;
}

int main(int argc, char **argv)
{
	const char *kvm = kvm_module();
	int seconds = argc == 2 ? atoi(argv[1]) : 0;
	int kvm_before = references(kvm), children = 0, status, sick = 0, i;
	bool alone = access(KVM_EPT_SAMPLE_PATH, F_OK);

	if (seconds <= 0) {
		fprintf(stderr, "usage: storm SECONDS\n");
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	end = time(NULL) + seconds;
	for (i = 0; i < GUESTS; i++, children++)
		spawn(keep_guest, i);
	for (i = 0; i < 2 && !alone; i++, children += 2) {
		spawn(keep_sampler, i);
		spawn(fuzz, i);
	}
	spawn(tell_now_and_then, 0), children++;
	for (i = 0; i < children; i++)
		if (wait(&status) > 0)
			sick += status != 0;
	print_counts();
	check(!sick && !shared->sick, "storm: all guests and samplers end well", "%d processes, %lu guests",
	      sick, shared->sick);
	check(returns_to(kvm, kvm_before), "storm: every guest was let go", "%d references, %d before",
	      references(kvm), kvm_before);
	check(shared->nested > 0 && shared->slots > 0, "storm: guests ran guests, and lost memslots", "see the line above");
	if (alone)
		return checks_failed != 0;
	check(shared->large > 0, "storm: guests had 2 MiB mappings", "none seen");
	check(shared->attached > 0 && shared->harvests > 0 && shared->samples > 0 && shared->fuzzed > 0,
	      "storm: something happened", "see the line above");
	check(returns_to("kvm_ept_sample", 0), "storm: the module is free", "%d references",
	      references("kvm_ept_sample"));
	return checks_failed != 0;
}
