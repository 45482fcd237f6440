// SPDX-License-Identifier: GPL-2.0
/*
 * The optional kernel patch (kernel_patch/): what its hook may give back, KVM never sees; what it must
 * leave to KVM is sampled all the same, and nothing of the guest's is lost.  KVM's own tracepoint tells
 * which faults it saw.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>

#include "sampler.h"

#define TRACE		"/sys/kernel/tracing/instances/second/"	/* of bed/init */
#define MEMORY		(64 * MIB)
#define PAGES		(MEMORY / PAGE)
#define SMALL		(MIB / 4)	/* each of its pages is sampled often */
#define ALL_GFNS	(VM_CTL_GFN + 4 * VM_CTL_SIZE / PAGE)
#define ENOUGH		300		/* samples */
#define PATIENCE	60		/* seconds until a host that is starved has them */

/* How often each page was seen. */
struct tally {
	unsigned int total;
	unsigned short at[ALL_GFNS];
};

static struct tally sampled, seen_by_kvm;

static void count(struct tally *tally, unsigned long gfn)
{
	if (gfn < ALL_GFNS) {
		tally->total++;
		tally->at[gfn]++;
	}
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		check(0, path, "%s", strerror(errno));
	close(fd);
}

static void read_trace(void)
{
	FILE *trace = fopen(TRACE "trace", "r");
	char line[256];

	while (trace && fgets(line, sizeof(line), trace)) {
		char *address = strstr(line, " address ");

		if (strstr(line, "kvm_page_fault:") && address)
			count(&seen_by_kvm, strtoull(address + 9, NULL, 16) / PAGE);
	}
	if (trace)
		fclose(trace);
}

static void read_samples(int fd)
{
	struct kvm_ept_sample_sample batch[1000];
	ssize_t n, i;

	while ((n = read(fd, batch, sizeof(batch))) > 0)
		for (i = 0; i < n / (ssize_t)sizeof(batch[0]); i++)
			count(&sampled, batch[i].gfn);
}

/* Sample until there are enough, and at @gfn too, if that is not 0; what KVM saw meanwhile. */
static void sample(int fd, unsigned int enough, unsigned long gfn)
{
	double end = now() + PATIENCE;

	read_samples(fd);
	memset(&sampled, 0, sizeof(sampled));
	memset(&seen_by_kvm, 0, sizeof(seen_by_kvm));
	write_to(TRACE "trace", "");
	write_to(TRACE "tracing_on", "1");
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 2000);
	do {
		usleep(10000);
		read_samples(fd);
	} while (now() < end && (sampled.total < enough || (gfn && sampled.at[gfn] < 10)));
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	write_to(TRACE "tracing_on", "0");
	read_samples(fd);
	read_trace();
}

static void work_all(struct vm *vm, int op)
{
	unsigned long all[PAGES - VM_FREE_GFN], i, count = vm->config.memory / PAGE - VM_FREE_GFN;

	for (i = 0; i < count; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(vm, all, count, op);
	vm_wait(vm);
}

/* Pages of @a that are in @b too. */
static unsigned int in_both(const struct tally *a, const struct tally *b)
{
	unsigned int both = 0, i;

	for (i = 0; i < ALL_GFNS; i++)
		both += a->at[i] && b->at[i];
	return both;
}

static void given_back(int fd, struct vm *vm)
{
	static const struct { const char *name; int op; } kind[] = {
		{ "a read", VM_READ }, { "a fetch", VM_EXEC },
	};
	char name[80];
	int k;

	for (k = 0; k < 2; k++) {
		work_all(vm, kind[k].op);
		sample(fd, ENOUGH, 0);
		snprintf(name, sizeof(name), "%s is given back before KVM sees it", kind[k].name);
		check(sampled.total >= ENOUGH && seen_by_kvm.total <= sampled.total / 10, name, "%u samples, KVM saw %u",
		      sampled.total, seen_by_kvm.total);
	}
}

static void left_to_kvm(int fd, struct vm *vm)
{
	work_all(vm, VM_WRITE);
	sample(fd, ENOUGH, 0);
	check(sampled.total >= ENOUGH && seen_by_kvm.total >= sampled.total * 9 / 10, "a write is left to KVM, and sampled",
	      "%u samples, KVM saw %u", sampled.total, seen_by_kvm.total);
}

/* Another process has mmu_lock half of the time, and waits for all CPUs then. */
static void lock_held(int fd, struct vm *vm)
{
	char pid[16];
	pid_t holder;
	unsigned int both;

	work_all(vm, VM_READ);
	snprintf(pid, sizeof(pid), "%d", vm->pid);
	fflush(stdout);
	holder = fork();
	while (!holder) {
		write_to("/proc/hold_mmu_lock", pid);
		usleep(1000);
	}
	sample(fd, 5 * ENOUGH, 0);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	/*
	 * Not all: at the end of a window, which waits for the lock like the vCPU, a landmine may be taken up from under it. By
	 * chance, each tenth page was sampled.
	 */
	both = in_both(&seen_by_kvm, &sampled);
	check(seen_by_kvm.total >= 20 && both >= seen_by_kvm.total / 4, "with mmu_lock held, a read is left to KVM, and sampled",
	      "KVM saw %u, %u of them were sampled", seen_by_kvm.total, both);
	check(vm_wait(vm), "with mmu_lock held, the guest goes on", "no pass in 60 s");
}

/* An interrupt's descriptor is read only while it is delivered. */
static void interrupts(void)
{
	struct vm vm;
	unsigned int lost;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = SMALL, .interrupts = true });
	fd = attach(&vm);
	work_all(&vm, VM_READ);
	vm.ctl->exits = 1;
	vm_wait(&vm);
	sample(fd, ENOUGH, VM_IDT_GFN);
	vm.ctl->exits = 0;
	vm_wait(&vm);
	check(sampled.at[VM_IDT_GFN] >= 10 && seen_by_kvm.at[VM_IDT_GFN] >= sampled.at[VM_IDT_GFN] * 9 / 10,
	      "with an interrupt in delivery, a read is left to KVM, and sampled", "%u samples, KVM saw %u",
	      sampled.at[VM_IDT_GFN], seen_by_kvm.at[VM_IDT_GFN]);
	lost = vm.ctl->interrupts - vm.ctl->handled;
	check(vm.ctl->handled >= 100 && !lost, "no interrupt is lost or comes twice", "%u sent, %u handled", vm.ctl->interrupts,
	      vm.ctl->handled);
	close(fd);
	vm_kill(&vm);
}

int main(void)
{
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	if (!(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_HOOK)) {
		skip("the hook of the optional kernel patch", "this KVM has none");
		return 0;
	}
	write_to(TRACE "events/kvm/kvm_page_fault/enable", "1");
	given_back(fd, &vm);
	left_to_kvm(fd, &vm);
	lock_held(fd, &vm);
	close(fd);
	vm_kill(&vm);
	interrupts();
	return checks_failed != 0;
}
