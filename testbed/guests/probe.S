/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 64 KiB ROM that asks its CPU for SVM and reports on QEMU's isa-debug-exit port: 42 when SVM is there, 1 when not.
 * testbed/lib/accel.sh runs it under KVM to learn whether nested virtualization really works here.
 */
	.code16
	.globl	_start
_start:
	movl	$0x80000001, %eax
	cpuid
	movb	$1, %al
	testl	$(1 << 2), %ecx		/* CPUID Fn8000_0001_ECX[2]: SVM */
	jz	report
	movb	$42, %al
report:
	outb	%al, $0xf4
	hlt

	.org	0xfff0			/* the reset vector */
	jmp	_start
	.org	0x10000
