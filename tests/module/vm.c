// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include "nested.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_VCPUS	4
#define EXTRA_SLOT	(1 + MAX_VCPUS)

/* Descriptor tables, for a guest that is interrupted. */
#define IDT		(VM_IDT_GFN * PAGE)
#define GDT		(IDT + PAGE)
#define INTERRUPT	0x20		/* the vector */

#define RING_SIZE	65536UL		/* bytes */

/*
 * The guest: 32-bit, flat, no paging, no interrupts but those that the test sends.  %ebp points to the vCPU's control block.
 * Within a page, byte 0 is a `ret` for VM_EXEC, byte 4 is read, byte 8 is written.
 */
asm(".pushsection .rodata\n"
    ".code32\n"
    ".globl guest_code, guest_code_end\n"
    "guest_code:\n"
    "	movl	0(%ebp), %ecx\n"
    "	leal	4096(%ebp), %esi\n"
    "	jecxz	4f\n"
    "1:	movl	(%esi), %ebx\n"
    "	movl	%ebx, %eax\n"
    "	andl	$0xfffff000, %ebx\n"
    "	andl	$3, %eax\n"
    "	jz	2f\n"
    "	decl	%eax\n"
    "	jz	3f\n"
    "	call	*%ebx\n"
    "	jmp	5f\n"
    "2:	movl	4(%ebx), %edx\n"
    "	jmp	5f\n"
    "3:	movl	%ecx, 8(%ebx)\n"
    "5:	addl	$4, %esi\n"
    "	decl	%ecx\n"
    "	jnz	1b\n"
    "4:	incl	4(%ebp)\n"
    "	movl	8(%ebp), %ecx\n"
    "6:	jecxz	7f\n"
    "	decl	%ecx\n"
    "	jmp	6b\n"
    "7:	movl	20(%ebp), %eax\n"
    "	testl	%eax, %eax\n"
    "	jz	8f\n"
    "	call	*%eax\n"
    "8:	cmpl	$0, 12(%ebp)\n"
    "	je	guest_code\n"
    "	outb	%al, $0x10\n"
    "	jmp	guest_code\n"
    ".globl guest_interrupt\n"
    "guest_interrupt:\n"
    "	incl	40(%ebp)\n"
    "	iret\n"
    "guest_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const char guest_code[], guest_interrupt[], guest_code_end[];

/*
 * System management mode begins here, in 16-bit code: count, stay as long as is asked for, and return.
 * The page is also the test's, which may write byte 8.
 */
#define SMM_ENTRY	0x38000
static const uint8_t smm_code[] = {
	0xeb, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	/* jmp past byte 8 */
	0x67, 0x66, 0xff, 0x05, 0x10, 0x00, 0x00, 0x40,	/* addr32 incl VM_CTL_GPA + 16 */
	0xfb,						/* sti: with it off, Bochs lets no interrupt of the host's through */
	0x67, 0x66, 0x83, 0x3d, 0x2c, 0x00, 0x00, 0x40, 0x00,	/* addr32 cmpl $0, VM_CTL_GPA + 44 */
	0x75, 0xf5,					/* jnz to the cmpl */
	0x0f, 0xaa,					/* rsm */
};

enum command { DIRTY_LOG, DIRTY_PAGES, DISCARD, ADD_SLOT, LOG_SLOT, REMOVE_SLOT, HVA, ADD_VCPU };

struct message {
	enum command command;
	unsigned long arg, arg2;
};

static void die(const char *what)
{
	printf("FAIL test guest: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* ---- the process that runs the guest ---- */

static struct vm *self;
static int kvm_fd, vm_fd, vcpu_mmap_size;
static char *memory;
static char *extra;
static unsigned long extra_at, extra_size;

static int set_slot(int slot, uint32_t flags, unsigned long gpa, unsigned long size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static void stay_on_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(VM_CPU, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* Tables by which an interrupt gets to guest_interrupt: a gate, and the segment it names. */
static void describe_interrupts(void)
{
	uint64_t handler = VM_CODE_GFN * PAGE + (guest_interrupt - guest_code);

	put64(memory, IDT + INTERRUPT * 8, (handler & 0xffff) | 8 << 16 | 0x8eULL << 40 | (handler >> 16) << 48);
	put64(memory, GDT, 0);
	put64(memory, GDT + 8, 0x00cf9b000000ffff);	/* as run_vcpu() sets %cs */
}

/* Interrupt a vCPU as soon as it goes on. */
static void interrupt(int fd)
{
	struct kvm_interrupt irq = { .irq = INTERRUPT };

	if (ioctl(fd, KVM_INTERRUPT, &irq) < 0)
		die("KVM_INTERRUPT");
	self->ctl->interrupts++;
}

/* Give a vCPU's dirty ring back to KVM, which protects the pages in it again. */
static void empty_ring(struct kvm_dirty_gfn *ring)
{
	unsigned int i;

	for (i = 0; i < RING_SIZE / sizeof(*ring); i++)
		if (__atomic_load_n(&ring[i].flags, __ATOMIC_ACQUIRE) == KVM_DIRTY_GFN_F_DIRTY)
			__atomic_store_n(&ring[i].flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	if (ioctl(vm_fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
		die("KVM_RESET_DIRTY_RINGS");
}

static void *run_vcpu(void *arg)
{
	int number = (long)arg;
	struct kvm_segment segment = {
		.limit = 0xffffffff, .selector = 8, .present = 1, .type = 11, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_regs regs = {
		.rip = VM_CODE_GFN * PAGE,
		.rsp = (VM_STACK_GFN + number + 1) * PAGE,
		.rbp = VM_CTL_GPA + number * VM_CTL_SIZE,
		.rflags = 0x202,
	};
	struct kvm_dirty_gfn *ring = NULL;
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int fd = ioctl(vm_fd, KVM_CREATE_VCPU, number);

	stay_on_cpu();
	if (fd < 0)
		die("KVM_CREATE_VCPU");
	run = mmap(NULL, vcpu_mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED || ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		die("vCPU");
	sregs.cs = segment;
	segment.type = 3;
	segment.selector = 16;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
	sregs.cr0 |= 1;
	if (self->config.interrupts) {
		sregs.idt = (struct kvm_dtable){ .base = IDT, .limit = INTERRUPT * 8 + 7 };
		sregs.gdt = (struct kvm_dtable){ .base = GDT, .limit = 15 };
	}
	if (self->config.ring_log) {
		ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
		if (ring == MAP_FAILED)
			die("dirty ring");
	}
	if (self->config.nested && nested_allow(fd, &sregs, &self->config))
		die("nested virtualization");
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		die("vCPU registers");
	for (;;) {
		if (ioctl(fd, KVM_RUN, 0) < 0 && errno != EINTR)
			die("KVM_RUN");
		if (run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
			empty_ring(ring);
			continue;
		}
		if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_INTR) {
			ioctl(fd, KVM_GET_REGS, &regs);
			printf("FAIL test guest: exit reason %u at %#llx, eax %#llx, nested exit %#x\n", run->exit_reason,
			       regs.rip, regs.rax, self->ctl->nested_exit);
			fflush(stdout);
			_exit(1);
		}
		if (self->config.smm && run->exit_reason == KVM_EXIT_IO && ioctl(fd, KVM_SMI, 0) < 0)
			die("KVM_SMI");
		if (self->config.interrupts && run->exit_reason == KVM_EXIT_IO)
			interrupt(fd);
	}
}

static char *map_giant(unsigned long size)
{
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);

	if (map == MAP_FAILED)
		die("1 GiB page");
	return map;
}

static char *map_aligned(unsigned long size)
{
	char *map = mmap(NULL, size + 2 * MIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		die("guest memory");
	return (char *)(((uintptr_t)map + 2 * MIB - 1) & ~(2 * MIB - 1));
}

static int enable(uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args[0] = arg };

	return ioctl(vm_fd, KVM_ENABLE_CAP, &enable);
}

static int log_writes(bool on, uint8_t *bitmap)
{
	struct kvm_clear_dirty_log clear = { .dirty_bitmap = bitmap, .num_pages = self->config.memory / PAGE };
	int err = set_slot(0, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0, self->config.memory, memory);

	if (err || !on || !self->config.manual_log)
		return err;
	memset(bitmap, 0xff, clear.num_pages / 8);
	return ioctl(vm_fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0 ? -errno : 0;
}

static long obey(const struct message *message, uint8_t *bitmap)
{
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	unsigned long size = message->arg2 * PAGE;
	pthread_t thread;
	int err;

	switch (message->command) {
	case DIRTY_LOG:
		return log_writes(message->arg, bitmap);
	case DIRTY_PAGES:
		return ioctl(vm_fd, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : 0;
	case DISCARD:
		return madvise(memory + message->arg * PAGE, size, MADV_DONTNEED) ? -errno : 0;
	case ADD_SLOT:
		if (self->config.nested_giant) {
			extra = map_giant(size);
		} else {
			extra = map_aligned(size);
			madvise(extra, size, MADV_NOHUGEPAGE);
			memset(extra, 0xc3, size);
		}
		extra_at = message->arg * PAGE;
		extra_size = size;
		return set_slot(EXTRA_SLOT, 0, extra_at, size, extra);
	case LOG_SLOT:
		return set_slot(EXTRA_SLOT, message->arg ? KVM_MEM_LOG_DIRTY_PAGES : 0, extra_at, extra_size, extra);
	case REMOVE_SLOT:
		err = set_slot(EXTRA_SLOT, 0, 0, 0, extra);
		return err;
	case HVA:
		return (long)memory;
	case ADD_VCPU:
		if (self->config.vcpus == MAX_VCPUS)
			return -ENOSPC;
		return -pthread_create(&thread, NULL, run_vcpu, (void *)(long)self->config.vcpus++);
	}
	return -EINVAL;
}

/* Write the file and lock it for as long as this process lives. */
static void hold_pid_file(const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fcntl(fd, F_SETLK, &lock) || dprintf(fd, "%d\n", getpid()) < 0)
		die("pid file");
}

static void run_vm(void)
{
	size_t bitmap_size = self->config.memory / PAGE / 8;
	uint8_t *bitmap = calloc(1, bitmap_size);
	struct message message;
	pthread_t thread;
	unsigned long at, piece;
	long i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		die("/dev/kvm");
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		die("KVM_CREATE_VM");
	vcpu_mmap_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);	/* Intel wants one */

	if (self->config.manual_log &&
	    enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET))
		die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	if (self->config.ring_log && enable(KVM_CAP_DIRTY_LOG_RING, RING_SIZE))
		die("KVM_CAP_DIRTY_LOG_RING");
	if (self->config.giant) {
		memory = map_giant(self->config.memory);
	} else {
		memory = map_aligned(self->config.memory);
		madvise(memory, self->config.memory,
			self->config.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	}
	for (at = 0; at < self->config.memory; at += PAGE)
		memory[at] = (char)0xc3;
	memcpy(memory + VM_CODE_GFN * PAGE, guest_code, guest_code_end - guest_code);
	if (self->config.interrupts)
		describe_interrupts();
	if (self->config.nested && nested_describe(kvm_fd, memory, self->ctl, &self->config))
		die("nested virtualization");
	piece = self->config.memory / self->config.pieces;
	for (i = 0; i < self->config.pieces; i++)
		if (set_slot(i ? EXTRA_SLOT + i : 0, 0, i * piece, piece, memory + i * piece))
			die("KVM_SET_USER_MEMORY_REGION");
	if (set_slot(1, 0, VM_CTL_GPA, MAX_VCPUS * VM_CTL_SIZE, self->ctl))
		die("KVM_SET_USER_MEMORY_REGION");
	if (self->config.smm) {
		memcpy(memory + SMM_ENTRY, smm_code, sizeof(smm_code));
		/* The same memory in the address space of that mode. */
		if (set_slot(1 << 16 | 0, 0, 0, self->config.memory, memory) ||
		    set_slot(1 << 16 | 1, 0, VM_CTL_GPA, MAX_VCPUS * VM_CTL_SIZE, self->ctl))
			die("memory of system management mode");
	}
	for (i = 0; i < self->config.vcpus; i++)
		if (pthread_create(&thread, NULL, run_vcpu, (void *)i))
			die("pthread_create");
	if (self->config.pid_file)
		hold_pid_file(self->config.pid_file);

	while (read(self->commands, &message, sizeof(message)) == sizeof(message)) {
		long answer = obey(&message, bitmap);

		if (write(self->commands, &answer, sizeof(answer)) != sizeof(answer) ||
		    (message.command == DIRTY_PAGES &&
		     write(self->commands, bitmap, bitmap_size) != (ssize_t)bitmap_size))
			die("answer");
	}
	_exit(0);
}

/* ---- the test ---- */

void vm_start(struct vm *vm, struct vm_config config)
{
	int ends[2];

	if (!config.vcpus && !config.late)
		config.vcpus = 1;
	if (!config.pieces)
		config.pieces = 1;
	vm->config = config;
	vm->ctl = mmap(NULL, MAX_VCPUS * VM_CTL_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm->ctl == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		die("shared memory");
	fflush(stdout);
	vm->pid = fork();
	if (vm->pid < 0)
		die("fork");
	if (!vm->pid) {
		/* Only these: a sampler's file that it kept open would never be closed. */
		vm->commands = dup2(ends[1], 3);
		close_range(4, ~0U, 0);
		self = vm;
		run_vm();
	}
	close(ends[1]);
	vm->commands = ends[0];
	if (config.late ? !vm_hva(vm) : !vm_wait(vm)) {
		errno = ETIMEDOUT;
		die("start");
	}
}

void vm_kill(struct vm *vm)
{
	kill(vm->pid, SIGKILL);
	waitpid(vm->pid, NULL, 0);
	close(vm->commands);
	munmap(vm->ctl, MAX_VCPUS * VM_CTL_SIZE);
}

void vm_work(struct vm *vm, const unsigned long *gfns, size_t count, int op)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	size_t i;

	ctl->count = 0;
	vm_wait(vm);
	for (i = 0; i < count; i++)
		ctl->table[i] = gfns[i] * PAGE | op;
	ctl->count = count;
}

void vm_tell(pid_t pid)
{
	char command[400];
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		snprintf(command, sizeof(command),
			 "for t in /proc/%d/task/*; do cut -d' ' -f1-3,14,15,39 $t/stat; cat $t/stack; done;"
			 "cd /sys/kernel/debug/kvm/%d-* && grep -Hv '^0$' * 2>/dev/null | tr '\\n' ' '; echo; sleep 1",
			 pid, pid);
		if (system(command))
			break;
	}
	if (system("cd /sys/kernel/tracing && echo 1 > events/kvm/kvm_exit/enable && echo 1 > tracing_on && sleep 1;"
		   "echo 0 > tracing_on; echo 0 > events/kvm/kvm_exit/enable; tail -n 8 trace"))
		printf("# its exits cannot be shown\n");
}

bool vm_wait(struct vm *vm)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	uint32_t from = ctl->passes;
	int i;

	for (i = 0; i < 60000; i++) {
		if (ctl->passes - from >= 2)
			return true;
		usleep(1000);
	}
	vm_tell(vm->pid);
	return false;
}

size_t vm_own_gfns(const struct vm *vm, unsigned long gfns[VM_MAX_TABLE / 1024 + 3])
{
	unsigned long table_pages = (vm->ctl->count * 4 + PAGE - 1) / PAGE, i;
	size_t count = 0;

	gfns[count++] = VM_CODE_GFN;
	for (i = 0; i < table_pages + 1; i++)
		gfns[count++] = VM_CTL_GFN + i;
	if (vm->ctl->count && (vm->ctl->table[0] & 3) == VM_EXEC)
		gfns[count++] = VM_STACK_GFN;
	return count;
}

static long command(struct vm *vm, enum command command, unsigned long arg, unsigned long arg2)
{
	struct message message = { .command = command, .arg = arg, .arg2 = arg2 };
	long answer;

	if (write(vm->commands, &message, sizeof(message)) != sizeof(message) ||
	    read(vm->commands, &answer, sizeof(answer)) != sizeof(answer))
		return -EPIPE;
	return answer;
}

int vm_dirty_log(struct vm *vm, bool on)
{
	return command(vm, DIRTY_LOG, on, 0);
}

int vm_dirty_pages(struct vm *vm, uint8_t *bitmap, size_t size)
{
	int err = command(vm, DIRTY_PAGES, 0, 0);

	return recv(vm->commands, bitmap, size, MSG_WAITALL) == (ssize_t)size ? err : -EPIPE;
}

int vm_discard(struct vm *vm, unsigned long gfn, unsigned long pages)
{
	return command(vm, DISCARD, gfn, pages);
}

int vm_add_slot(struct vm *vm, unsigned long gfn, unsigned long pages)
{
	return command(vm, ADD_SLOT, gfn, pages);
}

int vm_log_slot(struct vm *vm, bool on)
{
	return command(vm, LOG_SLOT, on, 0);
}

int vm_remove_slot(struct vm *vm)
{
	return command(vm, REMOVE_SLOT, 0, 0);
}

unsigned long vm_hva(struct vm *vm)
{
	return command(vm, HVA, 0, 0);
}

bool vm_enter_smm(struct vm *vm)
{
	unsigned int before = vm->ctl->smis;
	int i;

	vm->ctl->smm_stay = 1;
	vm->ctl->exits = 1;
	for (i = 0; i < 6000 && __atomic_load_n(&vm->ctl->smis, __ATOMIC_ACQUIRE) == before; i++)
		usleep(10000);
	return i < 6000;
}

void vm_leave_smm(struct vm *vm)
{
	vm->ctl->exits = 0;
	vm->ctl->smm_stay = 0;
	vm_wait(vm);
}

bool vm_wait_nested(const struct vm *vm, uint32_t times)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	uint32_t from = ctl->nested_passes;
	int i;

	for (i = 0; i < 60000; i++) {
		if (ctl->nested_passes - from >= times)
			return true;
		usleep(1000);
	}
	return false;
}

long vm_denied(const struct vm *vm)
{
	int helper = open("/proc/denied", O_RDWR | O_CLOEXEC);
	char text[64];
	ssize_t n;

	snprintf(text, sizeof(text), "%d %lu", vm->pid, vm->config.memory / PAGE);
	n = write(helper, text, strlen(text)) > 0 ? pread(helper, text, sizeof(text) - 1, 0) : -1;
	close(helper);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return atol(text);
}

unsigned long long vm_change_entry(const struct vm *vm, unsigned long gfn, unsigned long long clear, unsigned long long set,
				   unsigned long long *before)
{
	int helper = open("/proc/strange_entry", O_RDWR | O_CLOEXEC);
	unsigned long long now = 0;
	char text[96] = "";
	ssize_t n;

	snprintf(text, sizeof(text), "%d %lu %llx %llx", vm->pid, gfn, clear, set);
	n = write(helper, text, strlen(text)) > 0 ? pread(helper, text, sizeof(text) - 1, 0) : 0;
	close(helper);
	text[n > 0 ? n : 0] = 0;
	return sscanf(text, "%llx %llx", before, &now) == 2 ? now : 0;
}

bool vm_set_eager_split(bool on)
{
	FILE *file = fopen("/sys/module/kvm/parameters/eager_page_split", "w");

	return file && fputs(on ? "Y" : "N", file) >= 0 && !fclose(file);
}

int vm_add_vcpu(struct vm *vm)
{
	return command(vm, ADD_VCPU, 0, 0);
}
