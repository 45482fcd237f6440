// SPDX-License-Identifier: GPL-2.0
/*
 * The module notices when this kernel's KVM is not as it knows it.
 *
 * The arguments are the module, then modules that were built with something of KVM's described otherwise, each named
 * CHECK.WHAT.ko by the check that has to notice (tests/module/run).
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "sampler.h"

#define MEMORY	(16 * MIB)
#define PAGES	(MEMORY / PAGE)
#define NESTED_PAGES	16
#define CHECKS	"/sys/module/kvm_ept_sample/parameters/checks"

static int load(const char *path, const char *options)
{
	int file, err = 0;

	syscall(SYS_delete_module, "kvm_ept_sample", O_NONBLOCK);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 || syscall(SYS_finit_module, file, options, 0))
		err = -errno;
	close(file);
	return err;
}

/* The lines that the module shows of its checks. */
static const char *checks(void)
{
	static char text[1024];
	FILE *file = fopen(CHECKS, "r");
	size_t len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	text[len] = 0;
	if (file)
		fclose(file);
	return text;
}

static unsigned long long pages_accessed;	/* of the last harvest */
static uint32_t state;

static int harvest(int fd)
{
	static uint8_t bits[PAGES / 8];
	struct kvm_ept_sample_harvest h = {
		.size = sizeof(h), .end = PAGES, .accessed = (uintptr_t)bits,
		.flags = KVM_EPT_SAMPLE_HARVEST_CLEAR | KVM_EPT_SAMPLE_HARVEST_FLUSH,
	};

	if (ioctl(fd, KVM_EPT_SAMPLE_CMD_HARVEST, &h))
		return -errno;
	pages_accessed = h.pages_accessed;
	state = h.state;
	return 0;
}

/* Harvest and sample until the module shows @line, at most ten seconds. */
static bool shows(int fd, const char *line)
{
	double end = now() + 10;
	bool seen;

	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 2000);
	do {
		harvest(fd);
		usleep(50 * 1000);
		seen = strstr(checks(), line);
	} while (!seen && now() < end);
	return seen;
}

static void start(struct vm *vm)
{
	unsigned long all[PAGES - VM_FREE_GFN], i;

	vm_start(vm, (struct vm_config){ .memory = MEMORY });
	for (i = 0; i < PAGES - VM_FREE_GFN; i++)
		all[i] = VM_FREE_GFN + i;
	vm_work(vm, all, i, VM_WRITE);
	vm_wait(vm);
}

/* On a kernel that is known each check is passed, with the module as it is. */
static void known_kernel(struct vm *vm)
{
	static const char *const names[] = { "lock", "flush", "tracepoint", "roots", "tables", "accessed", "entries" };
	int fd = attach(vm);
	char line[64], name[96];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(line, sizeof(line), "%s passed", names[i]);
		snprintf(name, sizeof(name), "a known kernel: %s", line);
		check(shows(fd, line), name, "%s", checks());
	}
	check(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_FAULTS, "GET_INFO: faults can be sampled", "not so");
	close(fd);
}

/* What is described otherwise is noticed before harm is done: no landmine is laid, and the guest goes on. */
static void misfit(struct vm *vm, const char *path)
{
	const char *what = strrchr(path, '/') + 1;
	int len = strchr(what, '.') - what, fd;
	bool walk = !strncmp(what, "roots", len) || !strncmp(what, "tables", len) || !strncmp(what, "accessed", len);
	bool late = !strncmp(what, "tracepoint", len);	/* only a landmine shows it */
	char name[128], line[64];

	snprintf(name, sizeof(name), "%s: loaded", what);
	CHECK_RETURNS(name, 0, load(path, ""));
	fd = attach(vm);
	snprintf(line, sizeof(line), "%.*s failed", len, what);
	snprintf(name, sizeof(name), "%s: noticed", what);
	check(shows(fd, line), name, "%s", checks());
	snprintf(name, sizeof(name), "%s: no landmine is laid", what);
	check(late || !info_of(fd).armed, name, "%llu", info_of(fd).armed);
	snprintf(name, sizeof(name), "%s: HARVEST", what);
	CHECK_RETURNS(name, walk ? -EOPNOTSUPP : 0, harvest(fd));
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
	snprintf(name, sizeof(name), "%s: SET_FREQ", what);
	CHECK_RETURNS(name, -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	snprintf(name, sizeof(name), "%s: GET_INFO", what);
	check(!(info_of(fd).flags & KVM_EPT_SAMPLE_INFO_FAULTS), name, "it says that faults can be sampled");
	snprintf(name, sizeof(name), "%s: the guest goes on", what);
	check(vm_wait(vm), name, "no pass in 60 s");
	close(fd);
}

/*
 * Each bit that no KVM uses of the entries it makes, such as AMD's protection keys, ends fault sampling where one entry has it,
 * and that entry is left alone.
 */
static void unknown_bits(struct vm *vm, const char *path)
{
	const unsigned long page = VM_FREE_GFN + 1000;
	unsigned long long usual, unknown, entry, seen;
	unsigned long hot[64];
	char name[96];
	int bit, fd;

	for (bit = 0; bit < 64; bit++)
		hot[bit] = VM_FREE_GFN + bit;	/* not the page that is played with */
	vm_work(vm, hot, 64, VM_WRITE);
	vm_wait(vm);
	usual = vm_change_entry(vm, page, 0, 0, &seen);
	check(usual & 1, "an unknown bit: the helper tells a page's entry", "%llx", usual);
	if (!strcmp(kvm_module(), "kvm_amd"))
		unknown = 0x3fULL << 54 | 1ULL << 62;
	else if (usual >> 53 & 1)	/* one of KVM's two marks of what is writable, since MBEC */
		unknown = 1ULL << 52 | 1ULL << 54 | 0xfULL << 56 | 1ULL << 62;
	else
		unknown = 1ULL << 10 | 7ULL << 54 | 0xfULL << 59;
	for (bit = 0; bit < 64; bit++) {
		if (!(unknown >> bit & 1))
			continue;
		snprintf(name, sizeof(name), "unknown bit %d: the module is loaded", bit);
		CHECK_RETURNS(name, 0, load(path, ""));
		fd = attach(vm);
		snprintf(name, sizeof(name), "unknown bit %d: faults are sampled where no entry has it", bit);
		check(shows(fd, "entries passed"), name, "%s", checks());
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		entry = vm_change_entry(vm, page, 0, 1ULL << bit, &seen);
		snprintf(name, sizeof(name), "unknown bit %d: noticed", bit);
		check(shows(fd, "entries failed"), name, "%s", checks());
		ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 0);
		vm_change_entry(vm, page, 1ULL << bit, 0, &seen);
		snprintf(name, sizeof(name), "unknown bit %d: the entry is left alone", bit);
		check(seen == entry, name, "%llx became %llx", entry, seen);
		CHECK_RETURNS("unknown bit: SET_FREQ after that", -EOPNOTSUPP, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
		close(fd);
	}
	check(vm_wait(vm), "an unknown bit: the guest goes on", "no pass in 60 s");
}

/* A module that takes this host for Hyper-V has KVM flush, where KVM lets it, or takes no guest and says why. */
static void on_hyper_v(struct vm *vm, const char *path)
{
	struct kvm_ept_sample_info before;
	int fd, i, first;

	CHECK_RETURNS("on Hyper-V: loaded", 0, load(path, ""));
	if (strstr(checks(), "flush failed")) {
		fd = open(KVM_EPT_SAMPLE_PATH, O_RDWR | O_CLOEXEC);
		CHECK_RETURNS("on Hyper-V: INIT where KVM's flush is not exported", -EOPNOTSUPP,
			      ioctl(fd, KVM_EPT_SAMPLE_CMD_INIT, vm->pid));
		close(fd);
		return;
	}
	fd = attach(vm);
	before = info_of(fd);
	first = harvest(fd);
	for (i = 0; i < 5; i++) {
		vm_wait(vm);
		pages_accessed = 0;
		first |= harvest(fd);
		check(pages_accessed >= PAGES - VM_FREE_GFN, "on Hyper-V: a flushed harvest is exact", "%llu of %lu pages",
		      pages_accessed, PAGES - VM_FREE_GFN);
	}
	check(!first && info_of(fd).flushes > before.flushes && !info_of(fd).interrupts, "on Hyper-V: KVM flushes",
	      "%d, %llu flushes, %llu interrupts", first, info_of(fd).flushes, info_of(fd).interrupts);
	close(fd);
}

/* A guest that runs a guest, each of whose pages is touched by both of them, and is at two places of the nested one's. */
static void start_nested(struct vm *vm)
{
	unsigned long pages[NESTED_PAGES], i;
	volatile struct vm_ctl *ctl;

	vm_start(vm, (struct vm_config){ .memory = MEMORY, .nested = true, .nested_small = true });
	ctl = vm->ctl;
	for (i = 0; i < NESTED_PAGES; i++)
		pages[i] = VM_NESTED_AT + i;
	vm_work(vm, pages, NESTED_PAGES, VM_WRITE);
	ctl->nested_pages = NESTED_PAGES;
	check(vm_wait_nested(vm, 2), "a nested guest runs", "last exit %#x", ctl->nested_exit);
	ctl->nested_offset = (uint32_t)((VM_NESTED_AT - VM_NESTED_GFN) * PAGE);
	check(vm_wait_nested(vm, 2), "and has its pages at two places", "last exit %#x", ctl->nested_exit);
}

/*
 * What is described otherwise of the entries that map a page for nested guests ends neither harvests nor sampling: they are
 * told as not seen.  Without a misfit (@path is NULL) they are seen.
 */
static void nested_misfit(struct vm *vm, const char *path)
{
	const uint32_t both = KVM_EPT_SAMPLE_INFO_NESTED | KVM_EPT_SAMPLE_INFO_NESTED_SEEN;
	const uint32_t expected = path ? KVM_EPT_SAMPLE_INFO_NESTED : both;
	const char *what = path ? strrchr(path, '/') + 1 : "a known kernel, nested";
	char name[128];
	int fd;

	if (path) {
		snprintf(name, sizeof(name), "%s: loaded", what);
		CHECK_RETURNS(name, 0, load(path, ""));
	}
	fd = attach(vm);
	snprintf(name, sizeof(name), "%s: HARVEST", what);
	CHECK_RETURNS(name, 0, harvest(fd));
	snprintf(name, sizeof(name), "%s: %s", what, path ? "noticed" : "passed");
	check(!!strstr(checks(), path ? "nested failed" : "nested passed"), name, "%s", checks());
	snprintf(name, sizeof(name), "%s: told as %s", what, path ? "not seen" : "seen");
	check((state & both) == expected && (info_of(fd).flags & both) == expected, name, "state %#x, GET_INFO %#x", state,
	      info_of(fd).flags);
	snprintf(name, sizeof(name), "%s: faults are sampled", what);
	ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_PROT, 7);
	CHECK_RETURNS(name, 0, ioctl(fd, KVM_EPT_SAMPLE_CMD_SET_FREQ, 100));
	snprintf(name, sizeof(name), "%s: both guests go on", what);
	check(vm_wait(vm) && vm_wait_nested(vm, 2), name, "no pass in 60 s");
	close(fd);
}

int main(int argc, char **argv)
{
	struct vm vm, runs_guest;
	int i;

	start(&vm);
	start_nested(&runs_guest);
	known_kernel(&vm);
	nested_misfit(&runs_guest, NULL);
	for (i = 2; i < argc; i++) {
		if (strstr(argv[i], "/nested."))
			nested_misfit(&runs_guest, argv[i]);
		else if (strstr(argv[i], "hyper_v"))
			on_hyper_v(&vm, argv[i]);
		else
			misfit(&vm, argv[i]);
	}
	unknown_bits(&vm, argv[1]);
	check(argc > 2, "modules that do not fit this kernel", "none given");
	CHECK_RETURNS("checks cannot be set", -EPERM, load(argv[1], "checks=1"));
	CHECK_RETURNS("the module is loaded again", 0, load(argv[1], ""));
	vm_kill(&runs_guest);
	vm_kill(&vm);
	return checks_failed != 0;
}
