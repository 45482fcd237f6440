/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands where a kernel's decompressor would: an emulator that interprets instructions takes a
 * minute to decompress a kernel, and a second to copy it.
 *
 * Entered by the 32-bit boot protocol (flat segments, no paging, %esi = boot_params) at the
 * address where the boot loader put us.  flat-kernel.py puts IMAGE_DWORDS of the kernel behind us
 * at IMAGE_OFFSET, and tells where its ENTRY is.
 */
#define LOAD	0x1000000	/* where the kernel is linked to run: CONFIG_PHYSICAL_START */
#define TABLES	0x1000		/* from here: six pages of page tables, before IMAGE_OFFSET */

	.code32
	.globl	_start
_start:
	cli
	call	1f
1:	popl	%ebp
	subl	$(1b - _start), %ebp		/* %ebp = where we are */
	movl	%esi, %ebx			/* %ebx = boot_params */

	/* Copy from the end, for source and target overlap and the target lies higher. */
	std
	leal	(IMAGE_OFFSET + IMAGE_DWORDS * 4 - 4)(%ebp), %esi
	movl	$(LOAD + IMAGE_DWORDS * 4 - 4), %edi
	movl	$IMAGE_DWORDS, %ecx
	rep movsl
	cld

	/* Map the low 4 GiB to themselves, in 2 MiB pages. */
	leal	TABLES(%ebp), %edi
	xorl	%eax, %eax
	movl	$(6 * 4096 / 4), %ecx
	rep stosl
	leal	(TABLES + 0x1007)(%ebp), %eax
	movl	%eax, TABLES(%ebp)
	leal	(TABLES + 0x1000)(%ebp), %edi
	movl	$4, %ecx
2:	addl	$0x1000, %eax
	movl	%eax, (%edi)
	addl	$8, %edi
	loop	2b
	leal	(TABLES + 0x2000)(%ebp), %edi
	movl	$0x83, %eax			/* present, writable, large */
	movl	$2048, %ecx
3:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	3b

	/* Long mode, as the 64-bit boot protocol wants it. */
	leal	(gdt - _start)(%ebp), %eax
	movl	%eax, (gdt_register + 2 - _start)(%ebp)
	lgdt	(gdt_register - _start)(%ebp)
	movl	$0x20, %eax			/* CR4.PAE */
	movl	%eax, %cr4
	leal	TABLES(%ebp), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	leal	0x800(%ebp), %esp
	leal	(long_mode - _start)(%ebp), %eax
	pushl	$0x10
	pushl	%eax
	movl	$0x80000001, %eax		/* CR0.PG, CR0.PE */
	movl	%eax, %cr0
	lret

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%ebx, %esi
	movl	$ENTRY, %eax
	jmp	*%rax

	.align	8
gdt:	.quad	0
	.quad	0
	.quad	0x00af9a000000ffff		/* __BOOT_CS: 64-bit code */
	.quad	0x00cf92000000ffff		/* __BOOT_DS */
gdt_register:
	.word	31
	.long	0
