// SPDX-License-Identifier: GPL-2.0
/*
 * Says of the emulated CPU what is true of every CPU with SVM that runs a real-time kernel, and what QEMU's emulation does
 * not offer: that its time-stamp counter has one rate.  A real-time KVM refuses to be loaded otherwise.
 */
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

static int __init constant_tsc_init(void)
{
	set_cpu_cap(&boot_cpu_data, X86_FEATURE_CONSTANT_TSC);
	return 0;
}

static void __exit constant_tsc_exit(void)
{
}

module_init(constant_tsc_init);
module_exit(constant_tsc_exit);
MODULE_DESCRIPTION("Test host: the time-stamp counter has one rate");
MODULE_LICENSE("GPL");
