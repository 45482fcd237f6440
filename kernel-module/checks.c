// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of this kernel's KVM.  A kernel's version does not tell which KVM it holds, as distributions carry newer
 * ones back; so what this module relies on is checked where it is used.  One check that failed once ends fault sampling
 * until the module is loaded anew; a harvest fails for as long as what it meets is not as it must be.  The check of nested
 * guests' tables ends neither: a harvest then tells that what they touch is not seen.
 *
 * /sys/module/kvm_ept_sample/parameters/checks tells, one line a check: "NAME passed", "NAME untried", or "NAME failed: VALUE".
 */
#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "checks.h"

static const char *const names[CHECK_COUNT] = {
	[CHECK_LOCK] = "lock",
	[CHECK_FLUSH] = "flush",
	[CHECK_TRACEPOINT] = "tracepoint",
	[CHECK_ROOTS] = "roots",
	[CHECK_TABLES] = "tables",
	[CHECK_ACCESSED] = "accessed",
	[CHECK_ENTRIES] = "entries",
	[CHECK_NESTED] = "nested",
};

static unsigned long passed, failed;
static u64 seen[CHECK_COUNT];	/* what failed it, first */

/**
 * check_passed() - note that something was as it must be
 * @check: what was checked
 */
void check_passed(enum check check)
{
	if (!test_bit(check, &passed))
		set_bit(check, &passed);
}

/**
 * check_failed() - note that something was not as it must be
 * @check: what was checked
 * @value: what was seen instead, for the person who has to find out why
 */
void check_failed(enum check check, u64 value)
{
	if (test_and_set_bit(check, &failed))
		return;
	WRITE_ONCE(seen[check], value);
	pr_warn("kvm_ept_sample: this kernel's KVM is not as it is known: %s: 0x%llx\n", names[check], value);
}

/**
 * faults_check_failed() - whether this kernel's KVM was ever found to be other than fault sampling takes it for
 */
bool faults_check_failed(void)
{
	return READ_ONCE(failed) & ~BIT(CHECK_NESTED);
}

static int get_checks(char *text, const struct kernel_param *param)
{
	int len = 0, i;

	for (i = 0; i < CHECK_COUNT; i++) {
		if (test_bit(i, &failed))
			len += sysfs_emit_at(text, len, "%s failed: 0x%llx\n", names[i], READ_ONCE(seen[i]));
		else
			len += sysfs_emit_at(text, len, "%s %s\n", names[i], test_bit(i, &passed) ? "passed" : "untried");
	}
	return len;
}

/* Called where the module is loaded with a value. */
static int set_checks(const char *text, const struct kernel_param *param)
{
	return -EPERM;
}

static const struct kernel_param_ops checks_ops = {
	.get = get_checks,
	.set = set_checks,
};

module_param_cb(checks, &checks_ops, NULL, 0444);
MODULE_PARM_DESC(checks, "What was checked of this kernel's KVM (read only)");
