// SPDX-License-Identifier: GPL-2.0
/*
 * A guest within the test guest, run by AMD's SVM or Intel's VMX.  Its page table is one of large pages that maps
 * everything to itself but VM_NESTED_GFN, which may be mapped by small ones.  The guest and its own guest are both 32-bit.
 * AMD's table for the nested guest is of the kind that the guest itself has: to have 1 GiB pages, which map all to itself, the
 * guest runs its 32-bit code in long mode (compatibility mode).
 */
#include "nested.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#define STRING_(x)	#x
#define STRING(x)	STRING_(x)

/* Places in the guest's memory. */
#define NESTED_CODE	0x3000
#define GUEST_TABLE	0xb000		/* page table of the guest, and with Intel of its guest, too */
#define RUN_CODE	0xc000
#define PIECES		0xd000		/* of its guest's page table, for VM_NESTED_GFN, where that is mapped by 4 KiB */
#define AMD_VMCB	0x4000
#define AMD_HSAVE	0x5000
#define AMD_TABLE	0x6000
#define AMD_BITMAPS	0x7000
#define AMD_PDPT	0x8000		/* of the guest's own page table, in long mode */
#define INTEL_VMCS	0x4000
#define INTEL_VMXON	0x5000
#define INTEL_FIELDS	0x6000
#define INTEL_PML4	0x7000
#define INTEL_PDPT	0x8000
#define INTEL_PD	0x9000		/* two, for 2 GiB */

/* Without a suffix, which the assembler does not know. */
#define NESTED_GFN	2048
_Static_assert(NESTED_GFN == VM_NESTED_GFN && VM_NESTED_WORD == 8, "nested_code has these numbers");
_Static_assert(offsetof(struct vm_ctl, nested) == 20 && offsetof(struct vm_ctl, nested_pages) == 24 &&
	       offsetof(struct vm_ctl, nested_passes) == 28 && offsetof(struct vm_ctl, nested_exit) == 32 &&
	       offsetof(struct vm_ctl, nested_offset) == 48 && VM_NESTED_CODE_GFN << 12 == NESTED_CODE,
	       "the code below has these numbers");

#define CR0_PE		0x1U
#define CR0_NE		0x20U
#define CR0_PG		0x80000000U
#define CR4_PSE		0x10U
#define CR4_PAE		0x20U
#define EFER_LONG_MODE	0x500U		/* on and active */
#define CR4_VMXE	0x2000U
#define LARGE_PAGE	0xe7U		/* present, writable, user, accessed, dirty, large */
#define SMALL_PAGE	0x67U

/* AMD APM vol. 2, appendix B, "VMCB layout". */
#define VMCB_MISC1	0x00c
#define VMCB_MISC2	0x010
#define VMCB_IOPM	0x040
#define VMCB_MSRPM	0x048
#define VMCB_ASID	0x058
#define VMCB_EXIT	0x070
#define VMCB_NESTED	0x090
#define VMCB_NESTED_CR3	0x0b0
#define VMCB_ES		0x400
#define VMCB_CS		0x410
#define VMCB_SS		0x420
#define VMCB_DS		0x430
#define VMCB_EFER	0x4d0
#define VMCB_CR0	0x558
#define VMCB_DR7	0x560
#define VMCB_DR6	0x568
#define VMCB_RFLAGS	0x570
#define VMCB_RIP	0x578
#define VMCB_PAT	0x668
#define MSR_VM_HSAVE	0xc0010117
#define EFER_SVME	0x1000

/* Intel SDM vol. 3, appendices A, "VMX capability reporting facility", and B, "Field encoding in VMCS". */
#define MSR_FEATURE_CONTROL	0x3a
#define MSR_VMX_BASIC		0x480
#define MSR_VMX_PROCBASED2	0x48b
#define MSR_VMX_EPT_VPID	0x48c
#define MSR_VMX_TRUE_PINBASED	0x48d
#define MSR_VMX_TRUE_PROCBASED	0x48e
#define MSR_VMX_TRUE_EXIT	0x48f
#define MSR_VMX_TRUE_ENTRY	0x490
#define PROCBASED_HLT		(1U << 7)
#define PROCBASED_SECONDARY	(1U << 31)
#define PROCBASED2_EPT		(1U << 1)
#define EPT_VPID_AD		(1U << 21)
#define EPT_RWX			7U
#define EPT_SMALL_PAGE	(6U << 3 | EPT_RWX)		/* write-back */
#define EPT_LARGE_PAGE	(1U << 7 | EPT_SMALL_PAGE)
#define EPTP_FOUR_LEVELS	(3U << 3 | 6U)			/* the table itself write-back */
#define EPTP_AD			(1U << 6)			/* with accessed and dirty bits */

#define VMCS_EPTP		0x201a
#define VMCS_LINK		0x2800
#define VMCS_PINBASED		0x4000
#define VMCS_PROCBASED		0x4002
#define VMCS_EXIT		0x400c
#define VMCS_ENTRY		0x4012
#define VMCS_PROCBASED2		0x401e
#define VMCS_ERROR		0x4400
#define VMCS_EXIT_REASON	0x4402
#define VMCS_SELECTOR(i)	(0x0800 + 2 * (i))	/* ES, CS, SS, DS, FS, GS, LDTR, TR */
#define VMCS_LIMIT(i)		(0x4800 + 2 * (i))
#define VMCS_RIGHTS(i)		(0x4814 + 2 * (i))
#define VMCS_CR0		0x6800
#define VMCS_CR3		0x6802
#define VMCS_CR4		0x6804
#define VMCS_DR7		0x681a
#define VMCS_RIP		0x681e
#define VMCS_RFLAGS		0x6820
#define VMCS_HOST_SELECTOR(i)	(0x0c00 + 2 * (i))	/* without LDTR, so TR is 6 */
#define VMCS_HOST_CR0		0x6c00
#define VMCS_HOST_CR3		0x6c02
#define VMCS_HOST_CR4		0x6c04
#define VMCS_HOST_RSP		0x6c14
#define VMCS_HOST_RIP		0x6c16

/*
 * What the guest calls to run its own guest once; %ebp points to the vCPU's control block and stays as it is.  Intel's
 * begins with what is done once: it fills the VMCS from pairs of a field and its value, field 0 ends them, and moves
 * the call past that.  VMRESUME refuses a VMCS that was not launched yet, and goes on with the next instruction.
 */
asm(".pushsection .rodata\n"
    ".code32\n"
    ".globl amd_run, amd_run_end\n"
    "amd_run:\n"
    "	movl	$" STRING(AMD_VMCB) ", %eax\n"
    "	movl	$" STRING(NESTED_CODE) ", " STRING(VMCB_RIP) "(%eax)\n"
    "	vmrun\n"
    "	stgi\n"
    "	movl	" STRING(VMCB_EXIT) "(%eax), %edx\n"
    "	movl	%edx, 32(%ebp)\n"
    "	ret\n"
    "amd_run_end:\n"
    ".globl intel_run, intel_left, intel_run_end\n"
    "intel_run:\n"
    "	pushl	$0\n"
    "	pushl	$" STRING(INTEL_VMXON) "\n"
    "	vmxon	(%esp)\n"
    "	movl	$" STRING(INTEL_VMCS) ", (%esp)\n"
    "	vmclear	(%esp)\n"
    "	vmptrld	(%esp)\n"
    "	addl	$8, %esp\n"
    "	movl	$" STRING(INTEL_FIELDS) ", %esi\n"
    "1:	lodsl\n"
    "	movl	%eax, %edx\n"
    "	lodsl\n"
    "	testl	%edx, %edx\n"
    "	jz	2f\n"
    "	vmwrite	%eax, %edx\n"
    "	jna	3f\n"
    "	jmp	1b\n"
    "2:	movl	$" STRING(VMCS_HOST_RSP) ", %edx\n"
    "	vmwrite	%esp, %edx\n"
    "	addl	$4f - intel_run, 20(%ebp)\n"
    "4:	movl	$" STRING(VMCS_RIP) ", %edx\n"
    "	movl	$" STRING(NESTED_CODE) ", %eax\n"
    "	vmwrite	%eax, %edx\n"
    "	vmresume\n"
    "	vmlaunch\n"
    "3:	movl	$" STRING(VMCS_ERROR) ", %edx\n"
    "	vmread	%edx, %eax\n"
    "	negl	%eax\n"
    "	movl	%eax, 32(%ebp)\n"
    "	ret\n"
    "intel_left:\n"
    "	movl	$" STRING(VMCS_EXIT_REASON) ", %edx\n"
    "	vmread	%edx, %eax\n"
    "	movl	%eax, 32(%ebp)\n"
    "	ret\n"
    "intel_run_end:\n"
    ".globl nested_code, nested_code_end\n"
    "nested_code:\n"
    "	movl	24(%ebp), %ecx\n"
    "	movl	$" STRING(NESTED_GFN) " << 12, %ebx\n"
    "	addl	48(%ebp), %ebx\n"
    "	jecxz	2f\n"
    "1:	incl	8(%ebx)\n"
    "	addl	$4096, %ebx\n"
    "	decl	%ecx\n"
    "	jnz	1b\n"
    "2:	incl	28(%ebp)\n"
    "	hlt\n"
    "nested_code_end:\n"
    ".code64\n"
    ".popsection\n");
extern const char amd_run[], amd_run_end[], intel_run[], intel_left[], intel_run_end[], nested_code[], nested_code_end[];

/* What KVM can give to a guest's CPU. */
static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[100];
} cpuid;

/* Whether that has @bit of %ecx in leaf @function. */
static bool supported(uint32_t function, int bit)
{
	uint32_t i;

	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == function)
			return cpuid.entries[i].ecx >> bit & 1;
	return false;
}

static bool has_svm(void)
{
	return supported(0x80000001, 2);
}

static bool has_vmx(void)
{
	return supported(1, 5);
}

/* A page table of long mode at @pml4, which maps 4 GiB to itself by 1 GiB pages. */
static void describe_giant(char *memory, unsigned long pml4, unsigned long pdpt)
{
	uint64_t i;

	put64(memory, pml4, pdpt | SMALL_PAGE);
	for (i = 0; i < 4; i++)
		put64(memory, pdpt + 8 * i, i << 30 | LARGE_PAGE);
}

/* A nested guest in the state of the guest that runs it, but without paging. */
static void describe_amd(char *memory, const struct vm_config *config)
{
	static const int segments[] = { VMCB_ES, VMCB_CS, VMCB_SS, VMCB_DS };
	uint32_t *table = (uint32_t *)(memory + AMD_TABLE), *pieces = (uint32_t *)(memory + PIECES), i;
	char *vmcb = memory + AMD_VMCB;

	memcpy(memory + RUN_CODE, amd_run, amd_run_end - amd_run);
	if (config->nested_giant) {
		describe_giant(memory, AMD_TABLE, PIECES);
	} else {
		for (i = 0; i < 1024; i++)
			table[i] = i << 22 | LARGE_PAGE;
		table[VM_NESTED_GFN * PAGE >> 22] = config->nested_small ? PIECES | SMALL_PAGE : VM_NESTED_AT * PAGE | LARGE_PAGE;
		for (i = 0; i < 1024 && config->nested_small; i++)
			pieces[i] = (VM_NESTED_AT + i) * PAGE | SMALL_PAGE;
	}

	put64(vmcb, VMCB_MISC1, 1U << 31 | 1U << 24 | 3ULL << 32);	/* shutdown; HLT; VMRUN, VMMCALL */
	put64(vmcb, VMCB_IOPM, AMD_BITMAPS);
	put64(vmcb, VMCB_MSRPM, AMD_BITMAPS);
	put64(vmcb, VMCB_ASID, 1);
	put64(vmcb, VMCB_NESTED, 1);
	put64(vmcb, VMCB_NESTED_CR3, AMD_TABLE);
	for (i = 0; i < 4; i++) {
		put64(vmcb, segments[i], 0xffffffffULL << 32 | (segments[i] == VMCB_CS ? 0xc9b0008 : 0xc930010));
		put64(vmcb, segments[i] + 8, 0);
	}
	put64(vmcb, VMCB_EFER, EFER_SVME);
	put64(vmcb, VMCB_CR0, 0x11);
	put64(vmcb, VMCB_DR7, 0x400);
	put64(vmcb, VMCB_DR6, 0xffff0ff0);
	put64(vmcb, VMCB_RFLAGS, 2);
	put64(vmcb, VMCB_PAT, 0x0007040600070406);
}

/* Those of @wanted controls, and those that must be set: of KVM's MSR for them, the lower half are the latter. */
static uint32_t controls(int kvm_fd, uint32_t msr, uint32_t wanted)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = msr } };

	return ioctl(kvm_fd, KVM_GET_MSRS, &msrs) == 1 ? (uint32_t)msrs.entry.data | wanted : wanted;
}

/* A nested guest in the state of the guest that runs it: with its paging, for not every CPU lets it do without. */
static void describe_intel(int kvm_fd, char *memory, const struct vm_config *config)
{
	const uint32_t ad = !config->nested_no_ad && (controls(kvm_fd, MSR_VMX_EPT_VPID, 0) & EPT_VPID_AD) ? EPTP_AD : 0;
	const uint32_t revision = controls(kvm_fd, MSR_VMX_BASIC, 0);
	const uint32_t cr0 = CR0_PG | CR0_NE | CR0_PE, cr4 = CR4_VMXE | CR4_PSE;
	const uint32_t fields[][2] = {
		{ VMCS_PINBASED, controls(kvm_fd, MSR_VMX_TRUE_PINBASED, 0) },
		{ VMCS_PROCBASED, controls(kvm_fd, MSR_VMX_TRUE_PROCBASED, PROCBASED_HLT | PROCBASED_SECONDARY) },
		{ VMCS_PROCBASED2, controls(kvm_fd, MSR_VMX_PROCBASED2, PROCBASED2_EPT) },
		{ VMCS_EXIT, controls(kvm_fd, MSR_VMX_TRUE_EXIT, 0) },
		{ VMCS_ENTRY, controls(kvm_fd, MSR_VMX_TRUE_ENTRY, 0) },
		{ VMCS_EPTP, INTEL_PML4 | EPTP_FOUR_LEVELS | ad },
		{ VMCS_LINK, 0xffffffff }, { VMCS_LINK + 1, 0xffffffff },	/* none; the upper half is a field */
		{ VMCS_CR0, cr0 }, { VMCS_CR3, GUEST_TABLE }, { VMCS_CR4, cr4 },
		{ VMCS_DR7, 0x400 }, { VMCS_RFLAGS, 2 },
		{ VMCS_SELECTOR(0), 16 }, { VMCS_LIMIT(0), 0xffffffff }, { VMCS_RIGHTS(0), 0xc093 },
		{ VMCS_SELECTOR(1), 8 }, { VMCS_LIMIT(1), 0xffffffff }, { VMCS_RIGHTS(1), 0xc09b },
		{ VMCS_SELECTOR(2), 16 }, { VMCS_LIMIT(2), 0xffffffff }, { VMCS_RIGHTS(2), 0xc093 },
		{ VMCS_SELECTOR(3), 16 }, { VMCS_LIMIT(3), 0xffffffff }, { VMCS_RIGHTS(3), 0xc093 },
		{ VMCS_RIGHTS(4), 0x10000 }, { VMCS_RIGHTS(5), 0x10000 }, { VMCS_RIGHTS(6), 0x10000 },	/* unusable */
		{ VMCS_LIMIT(7), 0x67 }, { VMCS_RIGHTS(7), 0x8b },
		{ VMCS_HOST_SELECTOR(0), 16 }, { VMCS_HOST_SELECTOR(1), 8 }, { VMCS_HOST_SELECTOR(2), 16 },
		{ VMCS_HOST_SELECTOR(3), 16 }, { VMCS_HOST_SELECTOR(4), 16 }, { VMCS_HOST_SELECTOR(5), 16 },
		{ VMCS_HOST_SELECTOR(6), 24 },
		{ VMCS_HOST_CR0, cr0 }, { VMCS_HOST_CR3, GUEST_TABLE }, { VMCS_HOST_CR4, cr4 },
		{ VMCS_HOST_RIP, RUN_CODE + (intel_left - intel_run) },
		{ 0, 0 },
	};
	uint64_t i;

	memcpy(memory + RUN_CODE, intel_run, intel_run_end - intel_run);
	memcpy(memory + INTEL_FIELDS, fields, sizeof(fields));
	memset(memory + INTEL_VMCS, 0, PAGE);
	memset(memory + INTEL_VMXON, 0, PAGE);
	memcpy(memory + INTEL_VMCS, &revision, sizeof(revision));
	memcpy(memory + INTEL_VMXON, &revision, sizeof(revision));

	memset(memory + INTEL_PML4, 0, PAGE);
	memset(memory + INTEL_PDPT, 0, PAGE);
	put64(memory, INTEL_PML4, INTEL_PDPT | EPT_RWX);
	put64(memory, INTEL_PDPT, INTEL_PD | EPT_RWX);
	put64(memory, INTEL_PDPT + 8, (INTEL_PD + PAGE) | EPT_RWX);
	for (i = 0; i < 1024; i++)
		put64(memory, INTEL_PD + 8 * i, i << 21 | EPT_LARGE_PAGE);
	put64(memory, INTEL_PD + 8 * (VM_NESTED_GFN * PAGE >> 21),
	      config->nested_small ? PIECES | EPT_RWX : VM_NESTED_AT * PAGE | EPT_LARGE_PAGE);
	for (i = 0; i < 512 && config->nested_small; i++)
		put64(memory, PIECES + 8 * i, (VM_NESTED_AT + i) * PAGE | EPT_SMALL_PAGE);
}

int nested_describe(int kvm_fd, char *memory, struct vm_ctl *ctl, const struct vm_config *config)
{
	uint32_t *own = (uint32_t *)(memory + GUEST_TABLE), i;

	cpuid.head.nent = sizeof(cpuid.entries) / sizeof(cpuid.entries[0]);
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return -1;
	memcpy(memory + NESTED_CODE, nested_code, nested_code_end - nested_code);
	if (config->nested_giant)
		describe_giant(memory, GUEST_TABLE, AMD_PDPT);
	for (i = 0; i < 1024 && !config->nested_giant; i++)
		own[i] = i << 22 | LARGE_PAGE;
	if (has_svm()) {
		describe_amd(memory, config);
	} else if (has_vmx() && !config->nested_giant) {
		describe_intel(kvm_fd, memory, config);
	} else {
		errno = EOPNOTSUPP;
		return -1;
	}
	ctl->nested = RUN_CODE;
	return 0;
}

/* Both want the guest to have paging on; each address is what it was. */
int nested_allow(int vcpu_fd, struct kvm_sregs *sregs, const struct vm_config *config)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = MSR_VM_HSAVE, .data = AMD_HSAVE } };

	if (has_svm()) {
		sregs->efer |= EFER_SVME;
	} else {
		msrs.entry.index = MSR_FEATURE_CONTROL;
		msrs.entry.data = 5;	/* VMX outside of SMX, and locked */
		sregs->cr0 |= CR0_NE;
		sregs->cr4 |= CR4_VMXE;
	}
	sregs->cr0 |= CR0_PG;
	sregs->cr3 = GUEST_TABLE;
	sregs->cr4 |= CR4_PSE;
	if (config->nested_giant) {
		sregs->cr4 |= CR4_PAE;
		sregs->efer |= EFER_LONG_MODE;
	}
	return ioctl(vcpu_fd, KVM_SET_CPUID2, &cpuid) < 0 || ioctl(vcpu_fd, KVM_SET_MSRS, &msrs) != 1 ? -1 : 0;
}
