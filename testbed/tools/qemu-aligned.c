/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu-aligned: the emulator of a guest whose memfd lies at a multiple of 2 MiB.
 *
 * QEMU maps a memfd wherever there is room, so it can be mapped in 2 MiB pages only by luck, and has no option for that. A file
 * it does align. So this makes the memfd, and gives it to QEMU as a file.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QEMU "/usr/bin/qemu-system-x86_64"
#define BACKEND "memory-backend-memfd"

/* The same argument with another backend in it; the one given if it names none. */
static char *aligned(char *argument)
{
	char *backend = strstr(argument, BACKEND), *changed;

	if (!backend)
		return argument;
	if (asprintf(&changed, "%.*s" "memory-backend-file\",\"mem-path\":\"/proc/self/fd/%d\",\"align\":%lu%s",
		     (int)(backend - argument), argument, memfd_create("guest", 0), 2UL << 20,
		     backend + strlen(BACKEND "\"")) < 0)
		return argument;
	return changed;
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		argv[i] = aligned(argv[i]);
	execv(QEMU, argv);
	perror("qemu-aligned: " QEMU);
	return 1;
}
