// SPDX-License-Identifier: GPL-2.0
/* Fault sampling: places, kinds of access, rate, and that nothing stays behind. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "sampler.h"

#define MEMORY		(64 * MIB)
#define PAGES		(MEMORY / PAGE)
#define MAX_SAMPLES	100000
#define QUEUE_SAMPLES	65536	/* the module's queue */
#define STRANGE_PAGES	4096UL
#define PATIENCE	30	/* seconds until a host that is starved gets its samples */

static struct kvm_ept_sample_sample samples[MAX_SAMPLES];

/* "quick" for hosts where a second is dear: fewer samples, and fewer sets of kinds. */
static bool quick;

/* Sample at @freq for @seconds, or until there are @enough if that is not 0; how many samples. */
static size_t sample(int fd, unsigned int prot, unsigned int freq, double seconds, size_t enough)
{
	double end = now() + seconds;
	size_t count = 0;
	ssize_t n;

	while (read(fd, samples, sizeof(samples)) > 0)
		;
	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, prot) ||
	    ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, freq))
		check(0, "start sampling", "%s", strerror(errno));
	do {
		n = read(fd, samples + count, (MAX_SAMPLES - count) * sizeof(samples[0]));
		if (n > 0)
			count += n / sizeof(samples[0]);
		usleep(10000);
	} while (now() < end && (!enough || count < enough));
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	return count;
}

/* Let the guest do @op to every third page of its memory. */
static size_t work_thirds(struct vm *vm, int op)
{
	unsigned long gfns[PAGES / 3];
	size_t i;

	for (i = 0; i < PAGES / 3 - VM_FREE_GFN; i++)
		gfns[i] = VM_FREE_GFN + 3 * i;
	vm_work(vm, gfns, i, op);
	vm_wait(vm);
	return i;
}

static bool is_third(unsigned long gfn)
{
	return gfn >= VM_FREE_GFN && gfn < PAGES && (gfn - VM_FREE_GFN) % 3 == 0;
}

/*
 * Pages of the table must be sampled with the kind of access the guest makes there, and no others
 * but its code, stack and control block.
 */
static void kinds(int fd, struct vm *vm)
{
	static const struct { const char *name; int op; unsigned int xwr; } kind[] = {
		{ "read", VM_READ, 1 }, { "write", VM_WRITE, 2 }, { "fetch", VM_EXEC, 4 },
	};
	unsigned int k, prot;
	char name[64];
	size_t i, n;

	for (k = 0; k < 3; k++) {
		work_thirds(vm, kind[k].op);
		for (prot = 1; prot <= 7; prot++) {
			if (quick && prot != 7 && (prot & (prot - 1)))
				continue;
			size_t in_table = 0, wrong = 0, elsewhere = 0;
			unsigned int wrong_xwr = 0;

			if (prot & kind[k].xwr)
				n = sample(fd, prot, 2000, PATIENCE, quick ? 60 : 200);
			else
				n = sample(fd, prot, 2000, 0.5, 0);
			for (i = 0; i < n; i++) {
				if (is_third(samples[i].gfn)) {
					in_table++;
					if (samples[i].xwr != kind[k].xwr) {
						wrong++;
						wrong_xwr = samples[i].xwr;
					}
				} else {
					elsewhere += samples[i].gfn >= VM_FREE_GFN &&
						     samples[i].gfn < VM_CTL_GFN;
				}
			}
			snprintf(name, sizeof(name), "%s, prot %u: kind and place", kind[k].name,
				 prot);
			if (prot & kind[k].xwr)
				check(in_table > 20 && !wrong && !elsewhere, name,
				      "%zu samples, %zu in the table, %zu of a wrong kind (%u), %zu elsewhere",
				      n, in_table, wrong, wrong_xwr, elsewhere);
			else
				check(!in_table && !elsewhere, name,
				      "%zu samples in the table, %zu elsewhere", in_table, elsewhere);
		}
	}
}

/*
 * A guest that only writes, and only reads are asked for: each landmine costs it a fault and none brings a sample. The cap on
 * what it is slowed down goes before the rate.
 */
static void cap(int fd, struct vm *vm)
{
	unsigned long long before, taken = 0, last;
	double begin, seconds;
	unsigned long all[PAGES - VM_FREE_GFN], i;
	char why[80];

	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(vm, all, i, VM_WRITE);
	vm_wait(vm);
	before = info_of(fd).faults;
	begin = now();
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 1);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 10);
	/* The module's numbers: 100 a second, and a window's landmines at most beyond that. Until those are used up. */
	do {
		usleep(1000 * 1000);
		last = taken;
		taken = info_of(fd).faults - before;
		seconds = now() - begin;
	} while (seconds < 30 && taken < 100 * seconds + 4096 && !(taken > 4000 && taken - last < 300));
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	while (read(fd, samples, sizeof(samples)) > 0)
		;
	if (taken < 4000) {
		snprintf(why, sizeof(why), "this host does %llu in %.0f s", taken, seconds);
		skip("faults without samples are capped", why);
	} else {
		check(taken < 100 * seconds + 4096, "faults without samples are capped", "%llu faults in %.1f s", taken,
		      seconds);
	}
}

/* A guest that touches one page among thousands brings few samples, and they are not to be had at any price. */
static void idle(int fd, struct vm *vm)
{
	static const unsigned long one[] = { VM_FREE_GFN };
	unsigned long long laid;
	double begin, seconds;

	vm_work(vm, one, 1, VM_READ);
	vm_wait(vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	laid = info_of(fd).armed;
	begin = now();
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 10);
	usleep((quick ? 2000 : 5000) * 1000);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	seconds = now() - begin;
	laid = info_of(fd).armed - laid;
	while (read(fd, samples, sizeof(samples)) > 0)
		;
	/* The module's number: 256 landmines for each of ten samples a second. */
	check(laid > 0 && laid <= 10 * 256 * (seconds + 1), "an idle guest is not mined all over", "%llu landmines in %.1f s",
	      laid, seconds);
}

static void counters(int fd)
{
	struct kvm_ept_sample_info before = info_of(fd), after;
	size_t n;

	check(before.flags & KVM_EPT_SAMPLE_INFO_FAULTS, "GET_INFO: fault sampling works", "no");
	n = sample(fd, 7, 1000, PATIENCE, 500);
	after = info_of(fd);
	check(after.samples - before.samples >= n && after.dropped == before.dropped,
	      "every sample is counted", "read %zu, counted %llu, dropped %llu", n,
	      after.samples - before.samples, after.dropped - before.dropped);
	check(after.armed - before.armed >= after.faults - before.faults &&
	      after.faults - before.faults >= after.samples - before.samples,
	      "armed >= faults >= samples", "%llu, %llu, %llu", after.armed - before.armed,
	      after.faults - before.faults, after.samples - before.samples);

	/* Nobody reads: the queue fills up, and what is lost is counted. */
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 20000);
	for (n = 0; n < 300 && info_of(fd).dropped == after.dropped; n++)
		usleep(100 * 1000);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	if (n == 300 && info_of(fd).samples - after.samples < QUEUE_SAMPLES)
		skip("lost samples are counted", "this host did not fill the queue in 30 s");
	else
		check(n < 300, "lost samples are counted", "none, though the queue is full");
	while (read(fd, samples, sizeof(samples)) > 0)
		;
}

/* Whether KVM maps code by 4 KiB (nx_huge_pages): 1 if so, for the first block has the guest's. */
static int blocks_split_for_code(void)
{
	FILE *file = fopen("/sys/module/kvm/parameters/nx_huge_pages", "r");
	int answer = file ? fgetc(file) : 'N';

	if (file)
		fclose(file);
	return answer == 'Y';
}

/* The mapping stays 2 MiB, the sample tells the 4 KiB page. */
static void huge_pages(void)
{
	static unsigned char accessed[PAGES / 8], sizes[PAGES / 512];
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES,
		.accessed = (uintptr_t)accessed, .sizes = (uintptr_t)sizes,
	};
	FILE *thp = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");
	unsigned long hot[PAGES / 512 - 1];
	size_t i, n, right = 0, wrong = 0;
	struct vm vm;
	int fd;

	if (!thp || fputs("madvise", thp) < 0 || fclose(thp)) {
		skip("2M", "no transparent huge pages in this kernel");
		return;
	}
	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .huge = true });
	fd = attach(&vm);
	for (i = 0; i < PAGES / 512 - 1; i++)
		hot[i] = (i + 1) * 512 + 77 + i;
	vm_work(&vm, hot, i, VM_READ);
	vm_wait(&vm);
	n = sample(fd, 7, 500, PATIENCE, quick ? 100 : 300);
	for (i = 0; i < n; i++) {
		unsigned long gfn = samples[i].gfn, block = gfn / 512;

		if (gfn >= 512 && gfn < PAGES)
			*(gfn == block * 512 + 76 + block ? &right : &wrong) += 1;
	}
	check(right > 20 && !wrong, "2M: the sample is the 4K page touched", "%zu right, %zu wrong",
	      right, wrong);
	check(!ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h), "2M: HARVEST", "%s", strerror(errno));
	for (i = blocks_split_for_code(); i < PAGES / 512 && sizes[i] == KVM_EPT_SAMPLE_SIZE_2M; i++)
		;
	check(i == PAGES / 512, "2M: mappings stay 2M", "size %u in block %zu", sizes[i], i);
	close(fd);
	vm_kill(&vm);
}

/* While writes are logged nothing is armed, so that sampling dirties nothing. */
static void dirty_logging(int fd, struct vm *vm)
{
	static uint8_t dirty[PAGES / 8], accessed[PAGES / 8];
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)accessed,
	};
	struct kvm_ept_sample_info before, after;
	size_t i, extra = 0, n;

	work_thirds(vm, VM_READ);
	sample(fd, 7, 1000, 0.3, 0);
	check(!vm_dirty_log(vm, true), "dirty logging on", "failed");
	check(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_DIRTY_LOG, "GET_INFO: dirty logging is on",
	      "it does not say so");
	check(!ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h) && (h.state & KVM_EPT_SAMPLE_INFO_DIRTY_LOG),
	      "HARVEST: dirty logging is on", "state %x", h.state);
	vm_wait(vm);
	vm_dirty_pages(vm, dirty, sizeof(dirty));	/* forget what came before */
	before = info_of(fd);
	n = sample(fd, 7, 1000, 1, 0);
	after = info_of(fd);
	vm_dirty_pages(vm, dirty, sizeof(dirty));
	for (i = VM_FREE_GFN; i < PAGES; i++)
		extra += dirty[i / 8] >> i % 8 & 1;
	check(after.armed == before.armed && !n && !extra, "nothing is armed while logging",
	      "armed %llu, %zu samples, %zu pages dirtied", after.armed - before.armed, n, extra);
	check(!vm_dirty_log(vm, false), "dirty logging off", "failed");
	n = sample(fd, 7, 1000, PATIENCE, 50);
	check(n >= 50, "sampling goes on after logging", "%zu samples", n);
}

#define DISPLAY_GFN	0x80000UL
#define DISPLAY_PAGES	512UL

/* QEMU always logs a display adapter's memory: the guest's other memory is sampled, that is not. */
static void logged_display(int fd, struct vm *vm)
{
	unsigned long gfns[1024];
	size_t i, n, in_display = 0, elsewhere = 0;

	check(!vm_add_slot(vm, DISPLAY_GFN, DISPLAY_PAGES) && !vm_log_slot(vm, true), "display: logged", "failed");
	for (i = 0; i < 1024; i++)
		gfns[i] = i % 2 ? DISPLAY_GFN + i / 2 : VM_FREE_GFN + 3 * i;
	vm_work(vm, gfns, i, VM_READ);
	vm_wait(vm);
	check(!(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_DIRTY_LOG), "display: not a live migration", "it is taken for one");
	n = sample(fd, 7, 2000, PATIENCE, quick ? 50 : 200);
	for (i = 0; i < n; i++) {
		bool is_display = samples[i].gfn >= DISPLAY_GFN && samples[i].gfn < DISPLAY_GFN + DISPLAY_PAGES;

		*(is_display ? &in_display : &elsewhere) += 1;
	}
	check(elsewhere > 20 && !in_display, "display: sampled is the other memory only", "%zu there, %zu elsewhere",
	      in_display, elsewhere);
	/* Then what was sampled here is the guest's memory like any other. */
	check(!vm_log_slot(vm, false), "display: no longer logged", "failed");
	n = sample(fd, 7, 2000, PATIENCE, quick ? 50 : 200);
	for (i = 0; i < n; i++)
		in_display += samples[i].gfn >= DISPLAY_GFN && samples[i].gfn < DISPLAY_GFN + DISPLAY_PAGES;
	check(in_display > 5, "display: sampled when it is no longer logged", "%zu of %zu", in_display, n);
	vm_work(vm, (unsigned long[]){ 100 }, 1, VM_READ);
	vm_wait(vm);
	vm_remove_slot(vm);
}

/* A counter of KVM's for this guest; -1 if there is none. */
static long kvm_counter(const struct vm *vm, const char *name)
{
	char command[128];
	long value = -1;
	FILE *pipe;

	snprintf(command, sizeof(command), "cat /sys/kernel/debug/kvm/%d-*/%s 2>/dev/null", vm->pid, name);
	pipe = popen(command, "r");
	if (pipe) {
		if (fscanf(pipe, "%ld", &value) != 1)
			value = -1;
		pclose(pipe);
	}
	return value;
}

/* A window's landmines are taken up at its end, the last ones when sampling stops: cold pages fault no more after that. */
static void nothing_stays(int fd, struct vm *vm)
{
	unsigned long all[PAGES - VM_FREE_GFN], i;
	unsigned long long laid;
	long before;

	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(vm, all, i, VM_WRITE);
	vm_wait(vm);
	vm_work(vm, all, 2, VM_WRITE);		/* the others are cold */
	laid = info_of(fd).armed;
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	for (i = 0; i < 100 && info_of(fd).armed - laid < 1000; i++)
		usleep(100 * 1000);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	while (read(fd, samples, sizeof(samples)) > 0)
		;
	laid = info_of(fd).armed - laid;
	before = kvm_counter(vm, "pf_fixed");
	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		vm->ctl->table[i] = all[i] * PAGE | VM_READ;
	vm->ctl->count = PAGES - VM_FREE_GFN;
	vm_wait(vm);
	if (before < 0)
		skip("no landmine stays", "this kernel has no counters of KVM's");
	else	/* the control block's own pages may be new */
		check(laid >= 1000 && kvm_counter(vm, "pf_fixed") - before < 50, "no landmine stays",
		      "%llu laid, %ld faults after that", laid, kvm_counter(vm, "pf_fixed") - before);
}

/*
 * A page that was never written is the host's page of zeros, mapped read-only for everyone. Given back with more than it had, it
 * would be written by the guest, and be seen by every process.
 */
static void zeros_stay(int fd, struct vm *vm)
{
	const unsigned long first = 8192, count = 4096;
	unsigned long gfns[4096], i, dirt = 0;
	unsigned long long laid;
	unsigned char *fresh = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (i = 0; i < count; i++)
		gfns[i] = first + i;
	vm_work(vm, gfns, 1, VM_READ);
	vm_wait(vm);
	check(!vm_discard(vm, first, count), "zeros: pages that were never written", "discard failed");
	vm_work(vm, gfns, count, VM_READ);
	vm_wait(vm);
	vm_work(vm, (unsigned long[]){ 100 }, 1, VM_READ);	/* so that landmines are taken up again */
	vm_wait(vm);
	laid = info_of(fd).armed;
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
	for (i = 0; i < 100 && info_of(fd).armed - laid < 4000; i++)
		usleep(100 * 1000);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	while (read(fd, samples, sizeof(samples)) > 0)
		;
	vm_work(vm, gfns, count, VM_WRITE);
	vm_wait(vm);
	for (i = 0; i < PAGE; i++)
		dirt += fresh[i] != 0;
	check(info_of(fd).armed - laid >= 1000 && !dirt, "zeros: read-only pages stay read-only",
	      "%llu landmines, %lu bytes of the page of zeros are not", info_of(fd).armed - laid, dirt);
	munmap(fresh, PAGE);
}

/*
 * Landmines lie while logging begins, and are taken up after it did: a page that got its write
 * permission back then would be written without being logged, and be lost to a live migration.
 */
static void logging_begins(int fd, struct vm *vm)
{
	static uint8_t dirty[PAGES / 8];
	size_t missed = 0, i, count;
	int round;

	count = work_thirds(vm, VM_WRITE);
	for (round = 0; round < (quick ? 4 : 20); round++) {
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
		usleep(30000);
		vm_dirty_log(vm, true);
		vm_dirty_pages(vm, dirty, sizeof(dirty));
		usleep(30000);
		vm_dirty_pages(vm, dirty, sizeof(dirty));
		vm_wait(vm);
		vm_dirty_pages(vm, dirty, sizeof(dirty));	/* all written at least once since */
		for (i = 0; i < count; i++)
			missed += !(dirty[(VM_FREE_GFN + 3 * i) / 8] >> (VM_FREE_GFN + 3 * i) % 8 & 1);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		vm_dirty_log(vm, false);
		vm_wait(vm);
	}
	check(!missed, "no write is missed by a log that begins while sampling", "%zu missed", missed);
}

/* When KVM splits what is large. */
enum moment { AT_ONCE, AS_TOUCHED, CLEARED, RING, JOINED, MOMENTS };

/*
 * Landmines lie in 2 MiB entries when logging begins, and KVM splits those: at once, with the log as a bitmap or as a
 * ring; when the log is cleared; or one by one as they are stepped on. Of each it makes 512 entries without permissions,
 * and where logging ends again at once, newer kernels make one of those. None may be left without when sampling stops.
 */
static void split(enum moment moment)
{
	static const char *const names[] = {
		[AT_ONCE] = "splits at once", [AS_TOUCHED] = "splits as it is touched",
		[CLEARED] = "splits when the log is cleared",
		[RING] = "splits at once, logging to a ring", [JOINED] = "splits and joins",
	};
	unsigned long hot[PAGES / 512 - 1], i;
	unsigned long long laid;
	long most = 0, left;
	char name[96];
	struct vm vm;
	int fd, round;

	snprintf(name, sizeof(name), "2M: nothing stays denied of what KVM %s", names[moment]);
	if (!vm_set_eager_split(moment != AS_TOUCHED)) {
		skip(name, "this kernel does not split large pages at once");
		return;
	}
	vm_start(&vm, (struct vm_config){
		.memory = MEMORY, .huge = true, .manual_log = moment == CLEARED, .ring_log = moment == RING,
	});
	fd = attach(&vm);
	for (i = 0; i < PAGES / 512 - 1; i++)
		hot[i] = (i + 1) * 512 + 77;
	vm_work(&vm, hot, i, VM_WRITE);
	vm_wait(&vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	laid = info_of(fd).armed;
	for (round = 0; round < (quick ? 4 : 12); round++) {
		/*
		 * Cold when logging begins at once, else touched by the way, so that some landmines
		 * lie and some are stepped on.
		 */
		vm_work(&vm, hot, moment == AS_TOUCHED ? PAGES / 512 - 1 : 1, VM_READ);
		vm.ctl->pause = moment == AS_TOUCHED ? 600000 : 0;
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 20000);
		usleep(100000 + 1000 * round);
		if (vm_dirty_log(&vm, true))
			check(0, name, "logging does not begin");
		if (moment == AS_TOUCHED)
			vm_wait(&vm);
		if (moment == JOINED)
			vm_dirty_log(&vm, false);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		left = vm_denied(&vm);
		most = left < 0 || left > most ? left : most;
		if (left < 0)
			break;
		vm_dirty_log(&vm, false);
		/* Large again. */
		vm.ctl->pause = 0;
		vm_discard(&vm, 512, PAGES - 512);
		vm_work(&vm, hot, PAGES / 512 - 1, VM_WRITE);
		vm_wait(&vm);
		while (read(fd, samples, sizeof(samples)) > 0)
			;
	}
	laid = info_of(fd).armed - laid;
	check(!most && laid > 100, name, "%ld entries, %llu landmines", most, laid);
	check(vm_wait(&vm), "2M: the guest goes on after a split", "no pass in 60 s");
	vm_set_eager_split(true);
	close(fd);
	vm_kill(&vm);
}

/*
 * The only vCPU goes into system management mode, where it uses another table, while landmines lie,
 * and is there when sampling stops.
 */
static void management_mode(void)
{
	static uint8_t accessed[PAGES / 8], present[PAGES / 8];
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)accessed, .present = (uintptr_t)present,
	};
	unsigned long all[PAGES - VM_FREE_GFN], i;
	long most = 0, left;
	bool entered = true;
	unsigned long long seen = PAGES;
	struct vm vm;
	int fd, round;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .smm = true });
	fd = attach(&vm);
	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(&vm, all, i, VM_WRITE);
	vm_wait(&vm);
	vm_work(&vm, all, 2, VM_WRITE);		/* the others are cold */
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	for (round = 0; round < 3; round++) {
		unsigned long long before = info_of(fd).armed;

		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 5000);
		for (i = 0; i < 300 && info_of(fd).armed - before < 1000; i++)
			usleep(100 * 1000);
		entered &= i < 300 && vm_enter_smm(&vm);
		/*
		 * A hundred windows, then sampling stops and all of them have been taken up. In the
		 * last round it goes on past that.
		 */
		usleep(1000 * 1000);
		if (round == 2)
			vm_leave_smm(&vm);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		if (round < 2) {
			CHECK_RETURNS("HARVEST in system management mode", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
			seen = h.pages_present < seen ? h.pages_present : seen;
			vm_leave_smm(&vm);
		}
		left = vm_denied(&vm);
		most = left < 0 || left > most ? left : most;
		if (left < 0)
			break;
	}
	check(seen >= PAGES - VM_FREE_GFN, "a harvest sees what system management mode put aside", "%llu pages", seen);
	check(entered && !most, "no landmine stays in a table that system management mode put aside",
	      "%ld, after %u times in that mode",
	      most, vm.ctl->smis);
	close(fd);
	vm_kill(&vm);
}

/* A guest's memory may be in thousands of memslots: each page of each has its chance. */
static void pieces(void)
{
	enum { COUNT = 16, EACH = 64 };
	unsigned long hot[2 * COUNT];
	unsigned int seen[2 * COUNT] = { 0 }, least = ~0U, i;
	struct vm vm;
	size_t n, k;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = COUNT * EACH * PAGE, .pieces = COUNT });
	fd = attach(&vm);
	for (i = 0; i < COUNT; i++) {
		hot[2 * i] = i ? i * EACH : VM_FREE_GFN;
		hot[2 * i + 1] = (i + 1) * EACH - 1;
	}
	vm_work(&vm, hot, 2 * COUNT, VM_READ);
	vm_wait(&vm);
	n = sample(fd, 7, 5000, PATIENCE, 800);
	for (k = 0; k < n; k++)
		for (i = 0; i < 2 * COUNT; i++)
			seen[i] += samples[k].gfn == hot[i];
	for (i = 0; i < 2 * COUNT; i++)
		least = seen[i] < least ? seen[i] : least;
	if (n < 800)
		skip("the first and the last page of each memslot are sampled", "this host is too slow");
	else
		check(least > 0, "the first and the last page of each memslot are sampled", "one is not, in %zu samples", n);
	close(fd);
	vm_kill(&vm);
}

/* Sampling may begin before there is a vCPU, of which nothing is known. */
static void early(void)
{
	unsigned long hot[] = { 100, 200 };
	unsigned long long got;
	struct vm vm;
	int fd, i;

	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .late = true });
	fd = attach(&vm);
	CHECK_RETURNS("early: SET_FREQ before the first vCPU", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 1000));
	vm_add_vcpu(&vm);
	vm_wait(&vm);
	vm_work(&vm, hot, 2, VM_WRITE);
	for (i = 0; i < 300 && !info_of(fd).samples; i++)
		usleep(100 * 1000);
	got = info_of(fd).samples;
	check(got > 0, "early: sampled once there is a vCPU", "%llu samples in 30 s", got);
	close(fd);
	vm_kill(&vm);
}

#define UNFLUSHED	20

/* What nobody accessed since the last flush is in no TLB: to mine it interrupts nobody. */
static void spared_flushes(int fd, struct vm *vm)
{
	static uint8_t bits[PAGES / 8];
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits, .flags = KVM_EPT_SAMPLE_HARVEST_CLEAR,
	};
	struct kvm_ept_sample_info before, after;
	unsigned long long windows;
	int i, tries;

	work_thirds(vm, VM_WRITE);
	vm_work(vm, (unsigned long[]){ 100 }, 1, VM_READ);
	vm_wait(vm);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
	before = info_of(fd);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100);
	/* Not flushed: nothing is known of any page, and the next window has to, though it mines hardly any that was accessed. */
	for (i = 0; i < UNFLUSHED; i++) {
		vm_wait(vm);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
		after = info_of(fd);
		windows = after.flushes + after.spared;
		for (tries = 0; tries < PATIENCE * 100 && after.flushes + after.spared < windows + 2; tries++) {
			usleep(10000);
			after = info_of(fd);
		}
	}
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	check(after.flushes - before.flushes >= UNFLUSHED, "a window after a harvest that did not flush does",
	      "%llu times of %d, %llu spared", after.flushes - before.flushes, UNFLUSHED, after.spared - before.spared);

	h.flags |= KVM_EPT_SAMPLE_HARVEST_FLUSH;
	ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
	before = info_of(fd);
	sample(fd, 7, 100, 2, 0);
	after = info_of(fd);
	check(after.spared - before.spared > after.flushes - before.flushes, "cold pages are mined without a flush",
	      "%llu spared, %llu flushed", after.spared - before.spared, after.flushes - before.flushes);
	for (i = 0; i < 20; i++) {
		vm_wait(vm);
		ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h);
	}
	before = after;
	after = info_of(fd);
	check(after.interrupts > before.interrupts && after.interrupts - before.interrupts <= after.flushes - before.flushes,
	      "flushes of a guest with one vCPU interrupt at most one CPU", "%llu flushes, %llu interrupts",
	      after.flushes - before.flushes, after.interrupts - before.interrupts);
}

/* A guest whose memory is kept from its host is harvested, and not mined. */
static void confidential(int fd, struct vm *vm)
{
	static uint8_t bits[PAGES / 8];
	struct kvm_ept_sample_harvest h = { .size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits };
	int helper = open("/proc/confidential", O_WRONLY);
	struct kvm_ept_sample_info before, after;
	char text[32];
	ssize_t len;

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	before = info_of(fd);
	check(!(before.flags & KVM_EPT_SAMPLE_INFO_CONFIDENTIAL), "GET_INFO: a usual guest is not confidential", "it is");
	len = snprintf(text, sizeof(text), "%d 1", vm->pid);
	if (write(helper, text, len) < 0) {
		skip("a confidential guest", "this kernel's KVM has no such kind of guest");
		close(helper);
		return;
	}
	after = info_of(fd);
	check(after.flags & KVM_EPT_SAMPLE_INFO_CONFIDENTIAL, "GET_INFO: a confidential guest", "it does not say so");
	CHECK_RETURNS("HARVEST of a confidential guest", 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h));
	check(h.state & KVM_EPT_SAMPLE_INFO_CONFIDENTIAL, "HARVEST: a confidential guest", "state %x", h.state);
	CHECK_RETURNS("SET_FREQ of a confidential guest", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	text[len - 1] = '0';
	check(write(helper, text, len) > 0, "a confidential guest: the helper plays KVM", "%s", strerror(errno));
	close(helper);
	check(sample(fd, 7, 1000, PATIENCE, 20) >= 20, "a usual guest again", "no samples");
}

/* Sample until every page was drawn some ten times over; whether the page's entry was ever another than @expected meanwhile. */
static bool entry_changes(int fd, const struct vm *vm, unsigned long gfn, unsigned long long expected)
{
	const unsigned long long enough = info_of(fd).armed + 10 * STRANGE_PAGES;
	double end = now() + PATIENCE;
	unsigned long long seen;
	bool changed = false;

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 20000);
	while (info_of(fd).armed < enough && now() < end) {
		vm_change_entry(vm, gfn, 0, 0, &seen);
		changed |= seen != expected;
		while (read(fd, samples, sizeof(samples)) > 0)
			;
	}
	check(info_of(fd).armed >= enough, "strange entry: landmines are laid all over", "%llu short",
	      enough - info_of(fd).armed);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	vm_change_entry(vm, gfn, 0, 0, &seen);
	return changed || seen != expected;
}

/*
 * Entries that grant writing or fetching without reading are none that KVM makes of memory that a guest may use: no landmine is
 * laid there.  Nor in one that was stepped on and that KVM has not repaired yet, which is no reason to sample no more.
 */
static void strange_entries(void)
{
	enum { W_ALONE, X_ALONE, STEPPED_ON, KINDS };
	static const char *const names[] = {
		[W_ALONE] = "strange entry: W alone is left alone", [X_ALONE] = "strange entry: X alone is left alone",
		[STEPPED_ON] = "strange entry: one that was stepped on is left alone",
	};
	const bool amd = !strcmp(kvm_module(), "kvm_amd");
	const unsigned long page = 1000;
	unsigned long gfns[STRANGE_PAGES - VM_FREE_GFN], i;
	unsigned long long usual, entry, seen, clear[KINDS], set[KINDS];
	struct vm vm;
	int fd;

	vm_start(&vm, (struct vm_config){ .memory = STRANGE_PAGES * PAGE });
	fd = attach(&vm);
	for (i = 0; i < STRANGE_PAGES - VM_FREE_GFN; i++)
		gfns[i] = VM_FREE_GFN + i;
	vm_work(&vm, gfns, i, VM_WRITE);
	vm_wait(&vm);
	vm_work(&vm, gfns, 64, VM_WRITE);	/* not the page that is played with */
	vm_wait(&vm);
	usual = vm_change_entry(&vm, page, 0, 0, &entry);
	check(usual && entry_changes(fd, &vm, page, usual), "strange entry: a usual one is mined", "%llx all the time", usual);

	/* Of AMD, what takes reading away is P; W, and U with NX clear, stay. */
	clear[W_ALONE] = amd ? 1 : 5;
	set[W_ALONE] = 2;
	clear[X_ALONE] = 3;
	set[X_ALONE] = 4;
	/* What it had is kept 54 bits higher up, or 52 where KVM's marks of what is writable are bits 53 and 55. */
	clear[STEPPED_ON] = amd ? 7 : usual & 0x407;
	set[STEPPED_ON] = amd ? 1ULL << 63 | 5ULL << 54 : (usual & 0x405) << (usual >> 53 & 1 ? 52 : 54);
	for (i = 0; i < KINDS; i++) {
		entry = vm_change_entry(&vm, page, clear[i], set[i], &usual);
		check(entry && !entry_changes(fd, &vm, page, entry), names[i], "%llx was changed", entry);
		vm_change_entry(&vm, page, ~0ULL, usual, &seen);
	}
	check(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_FAULTS, "strange entry: none of them ends sampling", "it says so");
	check(entry_changes(fd, &vm, page, usual), "strange entry: as it was, it is mined again", "%llx all the time", usual);
	check(vm_wait(&vm), "strange entry: the guest goes on", "no pass in 60 s");
	close(fd);
	vm_kill(&vm);
}

int main(int argc, char **argv)
{
	enum moment moment;
	struct vm vm;
	int fd;

	quick = argc == 2 && !strcmp(argv[1], "quick");

	vm_start(&vm, (struct vm_config){ .memory = MEMORY });
	fd = attach(&vm);
	kinds(fd, &vm);
	idle(fd, &vm);
	cap(fd, &vm);
	counters(fd);
	dirty_logging(fd, &vm);
	logging_begins(fd, &vm);
	logged_display(fd, &vm);
	nothing_stays(fd, &vm);
	zeros_stay(fd, &vm);
	spared_flushes(fd, &vm);
	confidential(fd, &vm);
	check(vm_wait(&vm), "guest goes on", "no pass in 60 s");
	close(fd);
	vm_kill(&vm);
	huge_pages();
	for (moment = 0; moment < MOMENTS; moment++)
		split(moment);
	management_mode();
	pieces();
	early();
	strange_entries();
	return checks_failed != 0;
}
