/* SPDX-License-Identifier: GPL-2.0 */
/* What newer kernels' headers use and Debian's sparse (0.6.4) does not know. Only sparse sees this. */
#define __typeof_unqual__ __typeof__
#define __builtin_strlen(s) (sizeof(s) - 1)	/* asked of MODULE_DESCRIPTION() and the like, as a constant */
