/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with exactly known accesses: a 64 KiB ROM in place of the BIOS, 32-bit flat, paging off, no stack.
 *
 * It writes a cold range once, then for ever goes over a hot set inside that range, and sleeps (hlt) between passes. Hot
 * page i lies at hot_start + ((first + i) mod positions) * stride. The byte 's' on COM1 shifts the set: first grows by
 * half the set's size, so half of the pages stay hot and as many new ones become hot. A pass goes by hot_step pages,
 * around the set; if that is more than one, each pass begins a page further on than the one before, so that the pages
 * of a neighbourhood are touched first by turns. Each pass also reads the lone pages, one in each of so many neighbours
 * of 2 MiB, which never change. After the byte 'e' on COM1 each pass also reads the whole cold range, so that all memory
 * is evenly hot; after the byte 'o' only the next pass does.
 *
 * Every page proves that it is whole. Its first word is its own address, written by the cold range's pass and checked by
 * every pass over the hot set, so a page that lost its contents or came to a wrong place is seen. Its second word, of
 * hot pages that passes write, counts the passes since the set last changed, so a stale copy is seen.
 *
 * On the debug console (port 0xe9) it reports
 *
 *	S	started
 *	C	the cold range is written
 *	h	still alive: report_every passes are done
 *	x	the hot set was shifted
 *	e	from now on all memory is hot
 *	o	all memory is read once
 *	!	a page was damaged
 *
 * The parameters below are patched into the ROM by PayloadGuest.cs, which keeps the same list.
 */
#define ROM		0xffff0000
#define PARAM(offset)	(ROM + 0x10 + (offset))
#define COLD_START	PARAM(0x00)	/* byte address */
#define COLD_PAGES	PARAM(0x04)
#define HOT_START	PARAM(0x08)	/* byte address */
#define HOT_PAGES	PARAM(0x0c)
#define HOT_STRIDE	PARAM(0x10)	/* bytes from one position to the next */
#define HOT_POSITIONS	PARAM(0x14)	/* where the set wraps around */
#define HOT_WRITE	PARAM(0x18)	/* pages of the set that passes write, from its first; the others they read */
#define PASS_PERIOD	PARAM(0x1c)	/* nanoseconds from the start of a pass to the next */
#define REPORT_EVERY	PARAM(0x20)	/* passes for one 'h' */
#define LONE_START	PARAM(0x24)	/* byte address */
#define LONE_PAGES	PARAM(0x28)
#define HOT_STEP	PARAM(0x2c)	/* pages from one touch to the next; no common factor with HOT_PAGES */

#define PAGE		4096
#define LARGE_PAGE	0x200000
#define DEBUG_CONSOLE	0xe9
#define COM1		0x3f8
#define LINE_STATUS	5

/* The local APIC. KVM's counts nanoseconds when it divides by one. */
#define APIC_EOI	0xfee000b0
#define APIC_SPURIOUS	0xfee000f0
#define APIC_LVT_TIMER	0xfee00320
#define APIC_COUNT	0xfee00380
#define APIC_DIVIDE	0xfee003e0
#define APIC_ENABLE	0x1ff
#define APIC_PERIODIC	0x20000
#define APIC_BY_ONE	0xb
#define TIMER_VECTOR	0x20

/* The only RAM that the payload uses for itself: one page of state, and above it the interrupt stack. */
#define STATE		0x1000
#define FIRST		(STATE + 0)	/* position of the set's first page */
#define PASSES		(STATE + 4)	/* passes since the set last changed */
#define UNREPORTED	(STATE + 8)	/* passes until the next 'h' */
#define BEGIN		(STATE + 12)	/* page of the set with which the next pass begins */
#define EVENLY		(STATE + 16)	/* passes that go over all memory, from the next */
#define STACK_TOP	0x2000
#define FOR_EVER	-1

#define SAY(byte)	movb $byte, %al; outb %al, $DEBUG_CONSOLE

	.code16
	.globl	_start
_start:
	jmp	enter
	.org	0x10
	.space	0x30			/* parameters */

	.org	0x40
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* code; accessed bits preset, as ROM can't be written */
	.quad	0x00cf93000000ffff	/* data */
gdtr:	.word	. - gdt - 1
	.long	ROM + 0x40

	/* The IDT ends with the timer's gate: nothing else ever interrupts, and a fault ends in a triple fault (visible). */
idt:	.space	TIMER_VECTOR * 8
	.word	tick - _start, 0x08, 0x8e00, ROM >> 16
idtr:	.word	. - idt - 1
	.long	ROM + idt - _start

enter:
	cli
	lgdtl	%cs:(gdtr - _start)
	lidtl	%cs:(idtr - _start)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $flat

	.code32
flat:
	movw	$0x10, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$STACK_TOP, %esp
	SAY('S')

	movl	COLD_START, %edi
	movl	COLD_PAGES, %ecx
	jecxz	cold_done
cold:
	movl	%edi, (%edi)
	addl	$PAGE, %edi
	decl	%ecx
	jnz	cold
cold_done:
	SAY('C')

	movl	$0, FIRST
	movl	$0, EVENLY
	movl	REPORT_EVERY, %eax
	movl	%eax, UNREPORTED

	movl	$APIC_ENABLE, APIC_SPURIOUS
	movl	$APIC_BY_ONE, APIC_DIVIDE
	movl	$(APIC_PERIODIC | TIMER_VECTOR), APIC_LVT_TIMER
	movl	PASS_PERIOD, %eax
	movl	%eax, APIC_COUNT

new_set:
	movl	$0, PASSES
	movl	$0, BEGIN
pass:
	call	go_over_hot_set
	incl	PASSES
	decl	UNREPORTED
	jnz	sleep
	SAY('h')
	movl	REPORT_EVERY, %eax
	movl	%eax, UNREPORTED
sleep:
	sti
	hlt
	cli

	movw	$COM1 + LINE_STATUS, %dx
	inb	%dx, %al
	testb	$1, %al
	jz	pass
	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'s', %al
	je	shift
	cmpb	$'o', %al
	je	once
	cmpb	$'e', %al
	jne	pass
	movl	$FOR_EVER, EVENLY
	SAY('e')
	jmp	pass
once:
	movl	$1, EVENLY
	SAY('o')
	jmp	pass

shift:
	movl	HOT_PAGES, %eax
	shrl	$1, %eax
	addl	FIRST, %eax
	xorl	%edx, %edx
	divl	HOT_POSITIONS
	movl	%edx, FIRST
	SAY('x')
	jmp	new_set

/*
 * One pass. The first over a new set only starts the counts, later ones check them.
 * ebx = page of the set, ecx = pages left, edi = address, edx = passes before this one.
 */
go_over_hot_set:
	movl	BEGIN, %ebx
	movl	HOT_PAGES, %ecx
	movl	PASSES, %edx
page:
	movl	FIRST, %edi
	addl	%ebx, %edi
	cmpl	HOT_POSITIONS, %edi
	jb	1f
	subl	HOT_POSITIONS, %edi
1:	imull	HOT_STRIDE, %edi
	addl	HOT_START, %edi
	cmpl	(%edi), %edi
	jne	damaged
checked_address:
	cmpl	HOT_WRITE, %ebx
	jae	next
	testl	%edx, %edx
	jz	count
	cmpl	4(%edi), %edx
	jne	stale
count:
	leal	1(%edx), %eax
	movl	%eax, 4(%edi)
next:
	addl	HOT_STEP, %ebx
	cmpl	HOT_PAGES, %ebx
	jb	1f
	subl	HOT_PAGES, %ebx
1:	decl	%ecx
	jnz	page

	/* Now ebx is where the pass began. */
	cmpl	$1, HOT_STEP
	je	begin_kept
	incl	%ebx
	cmpl	HOT_PAGES, %ebx
	jb	1f
	xorl	%ebx, %ebx
1:	movl	%ebx, BEGIN
begin_kept:
	movl	LONE_START, %edi
	movl	LONE_PAGES, %ecx
	jecxz	lone_done
lone:
	cmpl	(%edi), %edi
	je	1f
	SAY('!')
1:	addl	$LARGE_PAGE, %edi
	decl	%ecx
	jnz	lone
lone_done:
	cmpl	$0, EVENLY
	je	passed
	cmpl	$FOR_EVER, EVENLY
	je	1f
	decl	EVENLY
1:	movl	COLD_START, %edi
	movl	COLD_PAGES, %ecx
	jecxz	passed
even:
	cmpl	(%edi), %edi
	je	1f
	SAY('!')
1:	addl	$PAGE, %edi
	decl	%ecx
	jnz	even
passed:
	ret
damaged:
	SAY('!')
	jmp	checked_address
stale:
	SAY('!')
	jmp	count

tick:
	movl	$0, APIC_EOI
	iretl

	.org	0xfff0			/* the reset vector */
	.code16
	jmp	_start
	.org	0x10000
