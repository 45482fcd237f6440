/* SPDX-License-Identifier: GPL-2.0 */
/* One line a check: "ok NAME" or "FAIL NAME: why"; "skip NAME: why" for what cannot be shown here. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int checks_failed;

/* Note a check by its name; the rest says what was seen, for when it failed. */
static inline __attribute__((format(printf, 3, 4)))
void check(int passed, const char *name, const char *seen, ...)
{
	va_list args;

	printf("%s %s", passed ? "ok" : "FAIL", name);
	if (!passed) {
		printf(": ");
		va_start(args, seen);
		vprintf(seen, args);
		va_end(args);
		checks_failed++;
	}
	printf("\n");
	fflush(stdout);
}

/* A call that must return @expected or fail with -@expected as errno. */
#define CHECK_RETURNS(name, expected, call) do {					\
	long expected_ = (expected), got_;						\
	errno = 0;									\
	got_ = (call);									\
	if (got_ == -1)									\
		got_ = -errno;								\
	check(got_ == expected_, name, "got %ld (%s), expected %ld", got_,		\
	      got_ < 0 ? strerror(-got_) : "no error", expected_);			\
} while (0)

static inline void skip(const char *name, const char *why)
{
	printf("skip %s: %s\n", name, why);
	fflush(stdout);
}

#endif
