// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest loses while the whole agent is at work on it, with its default settings: its passes without the agent, with
 * it, and without it again.  On the Intel host the clock counts instructions, so the ratio is one of instructions: those of
 * the guest's faults, of its interrupts, and all that its CPU executes for harvests and moves.
 *
 *   agent_progress AGENT
 *
 * The guest has a CPU of its own.  The agent has the other one, as what is measured is what the guest loses to being
 * watched and moved, not how two programs share a CPU.  Both nodes are the same memory: a pass takes as long wherever its
 * pages are, so nothing that is gained by moving hides what moving costs.
 */
#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sampler.h"

#define MEMORY		(32 * MIB)
#define PAGES		(MEMORY / PAGE)
#define SETS		8UL		/* the hot pages are one page in this many */
#define HOT		((PAGES - VM_FREE_GFN) / SETS)

#define BAR		0.995

#define ALONE		3	/* seconds without the agent, before and after */
#define WITH		45	/* with it: as many rounds, from its start on */
#define SHIFT		15	/* between two shifts of the hot pages to others */

#define CALL		128UL	/* pages for one call of move_pages(2) */
#define COLD_SET	(SETS - 1)	/* the guest does not get to it */

#define FAST_NODE	0
#define PID_FILE	"/tmp/guest.pid"
#define CONFIG_FILE	"/tmp/virttier.yaml"
#define LOG_FILE	"/tmp/agent.log"

/* All that is not a default is what this host is: no libvirt, nodes of the same kind; and the guest's budget. */
static const char config[] =
	"libvirt: {source: off}\n"
	"sources: {pid_files: [" PID_FILE "]}\n"
	"tiers: {fast: [0], slow: [1]}\n"
	"rules:\n"
	"- match: {name: guest}\n"
	"  set: {dram: 25%}\n";

/* By this the agent takes this program, and what it forks, for QEMU. */
static char *const qemu[] = {
	"qemu-system-x86_64", "-name", "guest", "-uuid", "6dd60e5c-2c4f-4c8a-9c6e-0d6a2a0a4d3b", "-m", "32M", NULL,
};

static void die(const char *what)
{
	check(0, what, "%s", strerror(errno));
	exit(1);
}

/* The page @i of the hot set @set: scattered, and no two sets share one. */
static unsigned long hot_gfn(unsigned long set, unsigned long i)
{
	return VM_FREE_GFN + SETS * i + (5 * i + set) % SETS;
}

/* Give the guest another hot set, entry by entry: an empty table would make passes of nothing. */
static void shift_to(struct vm *vm, unsigned long set)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	unsigned long i;

	for (i = 0; i < HOT; i++)
		ctl->table[i] = hot_gfn(set, i) * PAGE | VM_WRITE;
}

/* How much of the hot set @set is on the fast node. */
static double share_fast(struct vm *vm, unsigned long set)
{
	static void *pages[HOT];
	static int nodes[HOT];
	unsigned long hva = vm_hva(vm), fast = 0, i;

	for (i = 0; i < HOT; i++)
		pages[i] = (void *)(hva + hot_gfn(set, i) * PAGE);
	if (syscall(SYS_move_pages, vm->pid, HOT, pages, NULL, nodes, 0))
		die("move_pages");
	for (i = 0; i < HOT; i++)
		fast += nodes[i] == FAST_NODE;
	return (double)fast / HOT;
}

/* Pages that the kernel has moved between nodes since it began. */
static unsigned long long migrated(void)
{
	unsigned long long count = 0;
	char line[128];
	FILE *file = fopen("/proc/vmstat", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "pgmigrate_success %llu", &count) == 1)
			break;
	if (file)
		fclose(file);
	return count;
}

/* Passes of the guest a second, over @seconds. */
static double progress(struct vm *vm, double seconds)
{
	volatile struct vm_ctl *ctl = vm->ctl;
	double begin = now(), t;
	uint32_t from = ctl->passes;

	while ((t = now()) < begin + seconds)
		usleep(10000);
	return (uint32_t)(ctl->passes - from) / (t - begin);
}

static void stay_off_guest(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static pid_t start_agent(const char *agent)
{
	FILE *file = fopen(CONFIG_FILE, "w");
	pid_t pid;
	int log;

	if (!file || fputs(config, file) < 0 || fclose(file))
		die(CONFIG_FILE);
	setenv("STATE_DIRECTORY", "/tmp/state", 1);
	setenv("RUNTIME_DIRECTORY", "/tmp/run", 1);
	mkdir("/tmp/state", 0700);
	mkdir("/tmp/run", 0700);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log = open(LOG_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(log, 1);
	dup2(log, 2);
	execl(agent, agent, "agent", "--config", CONFIG_FILE, NULL);
	_exit(127);
}

static void tell_log(void)
{
	char line[512];
	FILE *file = fopen(LOG_FILE, "r");

	while (file && fgets(line, sizeof(line), file))
		printf("# agent: %s", line);
	if (file)
		fclose(file);
}

/* Microseconds that the guest loses for each page of the set @set that is moved, by calls as the agent makes them. */
static double cost_of_move(struct vm *vm, unsigned long set, double alone)
{
	static void *pages[CALL];
	static int nodes[CALL], status[CALL];
	volatile struct vm_ctl *ctl = vm->ctl;
	unsigned long hva = vm_hva(vm), at, moved = 0, i;
	uint32_t from = ctl->passes;
	double begin = now(), lost;
	int node;

	for (node = 1; node >= 0; node--) {
		for (at = 0; at + CALL <= HOT; at += CALL) {
			for (i = 0; i < CALL; i++) {
				pages[i] = (void *)(hva + hot_gfn(set, at + i) * PAGE);
				nodes[i] = node;
			}
			if (syscall(SYS_move_pages, vm->pid, CALL, pages, nodes, status, MPOL_MF_MOVE_ALL))
				die("move_pages");
			moved += CALL;
		}
	}
	lost = now() - begin - (uint32_t)(ctl->passes - from) / alone;
	return lost / moved * 1e6;
}

/* The guest's passes a second while the agent is at work, from its start on; *moved gets the pages moved meanwhile. */
static double progress_with_agent(struct vm *vm, const char *agent, double alone, unsigned long long *moved)
{
	unsigned long long begin = migrated();
	pid_t pid = start_agent(agent);
	double sum = 0, worst = alone;
	int second, status = -1;
	unsigned long set = 0;

	for (second = 1; second <= WITH; second++) {
		double passes = progress(vm, 1);

		sum += passes;
		worst = passes < worst ? passes : worst;
		if (second % SHIFT)
			continue;
		printf("# %d s with the agent: %.4f of undisturbed, the worst second %.4f; %llu pages moved, "
		       "%.2f of the hot ones fast\n",
		       second, sum / second / alone, worst / alone, migrated() - begin, share_fast(vm, set));
		fflush(stdout);
		if (second < WITH)
			shift_to(vm, ++set);
	}
	*moved = migrated() - begin;
	if (!waitpid(pid, &status, WNOHANG)) {
		kill(pid, SIGTERM);
		waitpid(pid, &status, 0);
	}
	check(WIFEXITED(status) && !WEXITSTATUS(status), "the agent is at work to the end", "it ended with status %#x", status);
	if (checks_failed)
		tell_log();
	return sum / WITH;
}

int main(int argc, char **argv)
{
	unsigned long gfns[HOT], i;
	unsigned long long moved;
	double before, with, after, ratio, cold, hot;
	struct vm vm;

	/* Once more, under the name and with the command line of QEMU; what is forked has them too. */
	if (argc == 2) {
		setenv("AGENT", argv[1], 1);
		execv("/proc/self/exe", qemu);
		die("exec");
	}
	stay_off_guest();
	vm_start(&vm, (struct vm_config){ .memory = MEMORY, .pid_file = PID_FILE });
	for (i = 0; i < HOT; i++)
		gfns[i] = hot_gfn(0, i);
	vm_work(&vm, gfns, HOT, VM_WRITE);
	vm_wait(&vm);
	before = progress(&vm, ALONE);
	cold = cost_of_move(&vm, COLD_SET, before);
	hot = cost_of_move(&vm, 0, before);
	printf("# a page that is moved costs the guest %.1f us, %.1f if it is hot "
	       "(%.0f and %.0f instructions where the clock counts 200 a us)\n",
	       cold, hot, cold * 200, hot * 200);
	with = progress_with_agent(&vm, getenv("AGENT"), before, &moved);
	after = progress(&vm, ALONE);
	ratio = with * 2 / (before + after);
	printf("# %lu MiB of 4 KiB pages, an eighth hot, budget a quarter, %d s with %d shifts: %.4f of undisturbed "
	       "(%.1f passes a second, %.1f before and %.1f after), %llu pages moved\n",
	       MEMORY / MIB, WITH, WITH / SHIFT - 1, ratio, with, before, after, moved);
	/* What does not fit the budget went, and each shift brought something. */
	check(moved >= PAGES / 2, "pages are moved meanwhile", "%llu of %lu", moved, PAGES);
	check(ratio >= BAR, "guest progress with the whole agent at work", "%.4f", ratio);
	vm_kill(&vm);
	return checks_failed != 0;
}
