// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's own tests (tools/testing/selftests/kvm of the kernel's source) as judges: each runs once without the module and
 * once with its guests harvested ten times a second and sampled at 1,000 Hz all the while.  It must end in the same way.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sampler.h"

#define MODULE		"kvm_ept_sample"
#define RATE		1000		/* samples a second */
#define HARVEST_US	100000
#define HELD_HARVESTS	10		/* then let go and look again: the process may run another guest by now */
#define CHUNK		(1UL << 18)	/* pages asked for by one harvest */
#define LIMIT		900		/* seconds that a test may take: set_memory_region_test took 333 on a busy machine */
#define TRIES		20		/* of a test that is over before its guest is found */
#define SKIPPED		4		/* kselftest's exit code for it */
#define HUNG		-1
#define LOG		"/tmp/selftest.log"

/*
 * The guest's memory is small, as the host is slow.  A test that a kernel's source has not is left out.  What has two
 * threads that wait for each other in a loop needs two CPUs: where there are three, not CPU 0 (vm.h); the others get the
 * one that vm.h has for guests.
 *
 * No landmines where a fault cannot be had: when the delivery of a virtual interrupt to a nested guest faults, QEMU notes
 * an exception of that number for KVM to inject again, and then refuses it, for there is none (testbed/README.md).
 */
static const struct selftest {
	const char *command;
	bool quick;		/* among those that are run where time is short */
	bool two_cpus;
	bool no_faults;		/* harvested only: no landmines */
} selftests[] = {
	{ .command = "dirty_log_test -M dirty-log -i 4", .quick = true },
	{ .command = "dirty_log_test -M clear-log -i 4", .quick = true },
	{ .command = "memslot_modification_stress_test -v 1 -b 16M -i 500 -d 1000", .quick = true },
	{ .command = "kvm_page_table_test -v 1 -b 64M", .quick = true },
	{ .command = "kvm_page_table_test -v 1 -b 64M -s anonymous_thp", .quick = true },
	{ .command = "dirty_log_perf_test -v 1 -b 64M -s anonymous_thp -x 4", .quick = true },
	{ .command = "access_tracking_perf_test -v 1 -b 64M", .quick = true },
	{ .command = "smm_test", .quick = true },
	{ .command = "state_test", .quick = true },
	{ .command = "nested_exceptions_test", .quick = true },
	{ .command = "nested_close_kvm_test" },
	{ .command = "nested_dirty_log_test", .quick = true },
	{ .command = "nested_emulation_test" },
	{ .command = "nested_invalid_cr3_test" },
	{ .command = "nested_set_state_test" },
	{ .command = "nested_tdp_fault_test", .quick = true },
	{ .command = "nested_tsc_adjust_test" },
	{ .command = "nested_tsc_scaling_test" },
	{ .command = "nested_vmsave_vmload_test" },
	{ .command = "nested_x2apic_test" },
	{ .command = "svm_vmcall_test", .quick = true },
	{ .command = "svm_int_ctl_test", .no_faults = true },
	{ .command = "svm_lbr_nested_state" },
	{ .command = "svm_nested_clear_efer_svme" },
	{ .command = "svm_nested_pat_test" },
	{ .command = "svm_nested_shutdown_test", .quick = true },
	{ .command = "svm_nested_soft_inject_test" },
	{ .command = "svm_nested_vmcb12_gpa" },
	{ .command = "vmx_apic_access_test" },
	{ .command = "vmx_close_while_nested_test" },
	{ .command = "vmx_dirty_log_test" },
	{ .command = "vmx_exception_with_invalid_guest_state" },
	{ .command = "vmx_invalid_nested_guest_state" },
	{ .command = "vmx_msrs_test" },
	{ .command = "vmx_nested_tsc_scaling_test" },
	{ .command = "vmx_preemption_timer_test" },
	{ .command = "vmx_set_nested_state_test" },
	{ .command = "vmx_tsc_adjust_test" },
	{ .command = "evmcs_test" },
	{ .command = "evmcs_smm_controls_test" },
	{ .command = "hyperv_clock" },
	{ .command = "hyperv_cpuid" },
	{ .command = "hyperv_evmcs" },
	{ .command = "hyperv_extended_hypercalls" },
	{ .command = "hyperv_features", .quick = true },
	{ .command = "hyperv_ipi", .two_cpus = true },
	{ .command = "hyperv_svm_test", .quick = true },
	{ .command = "hyperv_tlb_flush", .two_cpus = true },
	{ .command = "kvm_page_table_test -v 1 -b 64M -s anonymous_hugetlb_2mb" },
	{ .command = "dirty_log_perf_test -v 1 -b 64M" },
	{ .command = "dirty_log_perf_test -v 1 -b 64M -s anonymous_hugetlb_2mb -g -e" },
	{ .command = "dirty_log_page_splitting_test -b 64M" },
	{ .command = "demand_paging_test -v 1 -b 64M" },
	{ .command = "demand_paging_test -v 1 -b 64M -u MISSING" },
	{ .command = "max_guest_memory_test -c 1 -m 1 -s 1", .two_cpus = true },
	{ .command = "mmu_stress_test -c 1 -m 1 -s 1" },
	{ .command = "pre_fault_memory_test" },
	{ .command = "guest_memfd_test" },
	{ .command = "private_mem_conversions_test" },
	{ .command = "private_mem_kvm_exits_test" },
	{ .command = "save_restore_pf_stress_test" },
	{ .command = "kvm_clock_test" },
	{ .command = "kvm_pv_test" },
	{ .command = "steal_time" },
	{ .command = "sync_regs_test" },
	{ .command = "set_sregs_test" },
	{ .command = "set_boot_cpu_id" },
	{ .command = "debug_regs" },
	{ .command = "emulator_error_test" },
	{ .command = "exit_on_emulation_failure_test" },
	{ .command = "fix_hypercall_test" },
	{ .command = "triple_fault_event_test" },
	{ .command = "userspace_io_test" },
	{ .command = "userspace_msr_exit_test" },
	{ .command = "xapic_ipi_test -s 3", .two_cpus = true },
	{ .command = "xapic_state_test" },
	{ .command = "xen_shinfo_test", .two_cpus = true },
	{ .command = "xen_vmcall_test" },
	{ .command = "dirty_log_test -M dirty-ring -i 4" },
	{ .command = "memslot_perf_test -s 500 -l 1", .two_cpus = true },
	{ .command = "set_memory_region_test 50" },
};

#define COUNT	(sizeof(selftests) / sizeof(selftests[0]))

/* The companion of one run. */
struct holder {
	pid_t pid;
	bool no_faults;
	volatile bool over;
	unsigned long held, harvests, failed, samples, armed, refused;
	int error;		/* of a harvest that failed */
	int refusal;		/* of INIT, other than that there is no guest */
};

static struct holder total;

/* ---- the companion ---- */

/* Note a harvest's or a question's error, unless the guest has just gone. */
static void note(struct holder *holder, int err)
{
	if (err == ESRCH || err == EINTR)
		return;
	holder->failed++;
	holder->error = err;
}

/* Harvest all that the memslots span; those whose blocks touch in one go. */
static void harvest(struct holder *holder, int fd)
{
	static unsigned char accessed[CHUNK / 8], dirty[CHUNK / 8], present[CHUNK / 8];
	static struct kvm_ept_sample_memslot slots[40000];
	struct kvm_ept_sample_get_memslots get = { .memslots = slots, .capacity = sizeof(slots) / sizeof(slots[0]) };
	unsigned long begin, end, i;

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS, &get)) {
		note(holder, errno);
		return;
	}
	for (i = 0; i < get.count; ) {
		begin = slots[i].gpa / PAGE & ~511UL;
		do {
			end = (slots[i].gpa / PAGE + slots[i].page_count + 511) & ~511UL;
			i++;
		} while (i < get.count && slots[i].gpa / PAGE <= end && end - begin < CHUNK / 2);
		while (begin < end) {
			bool all = holder->harvests % 2;
			struct kvm_ept_sample_harvest h = {
				.size = sizeof(h), .start = begin, .base = begin,
				.end = end - begin > CHUNK ? begin + CHUNK : end,
				.flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH |
					 KVM_EPT_SAMPLE_HARVEST_REPORT,
				.accessed = (uintptr_t)accessed,
				.dirty = all ? (uintptr_t)dirty : 0, .present = all ? (uintptr_t)present : 0,
			};

			if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h)) {
				note(holder, errno);
				return;
			}
			begin = h.next;
		}
	}
	holder->harvests++;
}

/* Hold the guest that the process runs now, for some harvests. */
static void hold(struct holder *holder, int fd)
{
	struct kvm_ept_sample_info info = { .size = sizeof(info) };
	struct kvm_ept_sample_sample samples[1000];
	unsigned long armed = 0;
	ssize_t n;
	int i;

	holder->held++;
	/* Guests whose registers are kept from the host are only harvested. */
	holder->refused += holder->no_faults || ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, RATE) != 0;
	for (i = 0; i < HELD_HARVESTS && !holder->over; i++) {
		harvest(holder, fd);
		usleep(HARVEST_US);
		if (ioctl(fd, KVM_EPT_SAMPLE_CMD_GET_INFO, &info))
			break;		/* the guest has gone */
		armed = info.armed;
		while ((n = read(fd, samples, sizeof(samples))) > 0)
			holder->samples += n / sizeof(samples[0]);
	}
	holder->armed += armed;
}

/*
 * Take hold of the guest that a test runs, itself or in a process that it made for a part of it, or that such a process
 * made: whether there is one.
 */
static bool take_hold(struct holder *holder, int fd, pid_t pid)
{
	char path[64];
	FILE *children;
	bool held;

	held = !ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, pid);
	if (!held && errno != ENXIO && errno != ESRCH)
		holder->refusal = errno;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	children = held ? NULL : fopen(path, "r");
	while (!held && children && fscanf(children, "%d", &pid) == 1)
		held = take_hold(holder, fd, pid);
	if (children)
		fclose(children);
	return held;
}

/* On the CPU that the tests' guests do not have, for some live for a moment only. */
static void *hold_guests(void *arg)
{
	struct holder *holder = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(!VM_CPU, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!holder->over) {
		int fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC);

		while (!holder->over) {
			if (take_hold(holder, fd, holder->pid)) {
				hold(holder, fd);
				break;
			}
			sched_yield();
		}
		close(fd);
	}
	return NULL;
}

/* ---- the tests ---- */

static void become(const char *dir, const struct selftest *selftest)
{
	char command[256], path[256], *words[32], *next;
	int log = open(LOG, O_WRONLY | O_CREAT | O_TRUNC, 0600), i = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(VM_CPU, &set);
	if (selftest->two_cpus)
		CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) > 2 ? 2 : !VM_CPU, &set);
	sched_setaffinity(0, sizeof(set), &set);
	snprintf(command, sizeof(command), "%s", selftest->command);
	for (next = strtok(command, " "); next && i < 31; next = strtok(NULL, " "))
		words[i++] = next;
	words[i] = NULL;
	/* They open themselves by that name. */
	snprintf(path, sizeof(path), "%s/%s", dir, words[0]);
	words[0] = path;
	setpgid(0, 0);
	/* memslot_perf_test ends by it when its guest was not through within two seconds, which takes longer here. */
	signal(SIGALRM, SIG_IGN);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execv(path, words);
	_exit(127);
}

/* Run a test, with the companion if there is a @holder: its exit code, 128 and its signal, or HUNG. */
static int run(const char *dir, const struct selftest *selftest, struct holder *holder)
{
	double limit = now() + LIMIT;
	pthread_t thread;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		become(dir, selftest);
	if (holder) {
		holder->pid = pid;
		pthread_create(&thread, NULL, hold_guests, holder);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now() > limit) {
			printf("# %s stands still:\n", selftest->command);
			vm_tell(pid);
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			status = -1;
			break;
		}
		usleep(5000);
	}
	kill(-pid, SIGKILL);	/* what it left */
	if (holder) {
		holder->over = true;
		pthread_join(thread, NULL);
	}
	if (status == -1)
		return HUNG;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *word_for(int result)
{
	static char other[32];

	switch (result) {
	case 0: return "passed";
	case SKIPPED: return "skipped itself";
	case HUNG: return "hung";
	}
	snprintf(other, sizeof(other), "failed with %d", result);
	return other;
}

/* The end of what the test printed. */
static void print_log(void)
{
	char line[512], last[12][512];
	FILE *file = fopen(LOG, "r");
	int count = 0, i;

	while (file && fgets(line, sizeof(line), file))
		strcpy(last[count++ % 12], line);
	if (file)
		fclose(file);
	for (i = count > 12 ? count - 12 : 0; i < count; i++)
		printf("#   %s", last[i % 12]);
}

/* Whether the kernel's source has this test, for this vendor. */
static bool is_there(const char *dir, const char *command)
{
	bool amd = !strcmp(kvm_module(), "kvm_amd");
	char path[256];

	if (strstr(command, amd ? "vmx_" : "svm_") || (amd && strstr(command, "evmcs")))
		return false;
	snprintf(path, sizeof(path), "%s/%.*s", dir, (int)strcspn(command, " "), command);
	return !access(path, X_OK);
}

static int load(const char *module)
{
	int file = open(module, O_RDONLY | O_CLOEXEC), err;

	err = syscall(SYS_finit_module, file, "", 0);
	close(file);
	return err;
}

/* Run a test without the module, and then with the companion until that has held its guest; whether it passed without. */
static bool judge(const char *module, const char *dir, const struct selftest *selftest)
{
	struct holder holder = { 0 };
	double begin, without;
	int before, after, i;

	if (syscall(SYS_delete_module, MODULE, O_NONBLOCK)) {
		check(0, selftest->command, "the module cannot be unloaded: %s", strerror(errno));
		return false;
	}
	begin = now();
	before = run(dir, selftest, NULL);
	without = now() - begin;
	if (before) {
		printf("# %s, without the module, %s:\n", selftest->command, word_for(before));
		print_log();
	}
	if (load(module)) {
		check(0, selftest->command, "the module cannot be loaded: %s", strerror(errno));
		return false;
	}
	after = before;
	i = 0;
	do {
		holder = (struct holder){ .no_faults = selftest->no_faults };
		begin = now();
		after = run(dir, selftest, &holder);
	} while (++i < TRIES && !before && !after && !holder.held);
	printf("# %s: %lu times held (%lu only harvested), %lu harvests, ", selftest->command, holder.held, holder.refused,
	       holder.harvests);
	printf("%lu landmines, %lu samples; in run %d, of %.1f s, %.1f without\n", holder.armed, holder.samples, i, now() - begin,
	       without);
	total.held += holder.held;
	total.harvests += holder.harvests;
	total.armed += holder.armed;
	total.samples += holder.samples;
	if (after != before) {
		print_log();
		check(0, selftest->command, "%s with the module", word_for(after));
	} else if (after == SKIPPED) {
		skip(selftest->command, "skips itself, without the module too");
	} else if (after) {
		skip(selftest->command, "fails on this host, without the module too");
	} else if (!holder.harvests) {
		check(0, selftest->command, "its guest was never %s in %d runs: %s", holder.held ? "harvested" : "held", i,
		      holder.refusal ? strerror(holder.refusal) : "it was gone too soon");
	} else {
		check(!holder.failed, selftest->command, "%lu harvests failed: %s", holder.failed, strerror(holder.error));
	}
	return !before;
}

int main(int argc, char **argv)
{
	bool quick = argc == 4 && !strcmp(argv[3], "quick");
	int i, passed = 0, enough = quick ? 8 : argc == 4 ? 1 : 20;
	regex_t only;

	if (argc < 3 || regcomp(&only, argc == 4 && !quick ? argv[3] : "", REG_EXTENDED | REG_NOSUB)) {
		fprintf(stderr, "usage: kvm_selftests KVM_EPT_SAMPLE.KO DIRECTORY [quick | REGULAR-EXPRESSION]\n");
		return 2;
	}
	for (i = 0; i < COUNT; i++)
		if ((!quick || selftests[i].quick) && !regexec(&only, selftests[i].command, 0, NULL, 0) &&
		    is_there(argv[2], selftests[i].command))
			passed += judge(argv[1], argv[2], &selftests[i]);
	check(passed >= enough, "enough of KVM's tests pass without the module to judge by", "%d", passed);
	if (enough > 1)
		check(total.armed > 100 && total.samples > 100 && total.harvests > 20, "KVM's tests were sampled and harvested",
		      "%lu times held, %lu harvests, %lu landmines, %lu samples", total.held, total.harvests, total.armed,
		      total.samples);
	check(returns_to(MODULE, 0), "all of their guests were let go", "%d references", references(MODULE));
	return checks_failed != 0;
}
