/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that vmcrypt builds on. The only file that
 * asks for LINUX_VERSION_CODE.
 */
#ifndef _VMCRYPT_COMPAT_H
#define _VMCRYPT_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/socket.h>
#include <linux/version.h>

/* 6.12 moved it. */
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* 6.5 brought sending without a copy; before that a socket copies. */
#if KERNEL_VERSION(6, 5, 0) > LINUX_VERSION_CODE
#define VMCRYPT_MSG_SPLICE	0
#else
#define VMCRYPT_MSG_SPLICE	MSG_SPLICE_PAGES
#endif

/* 6.10 dropped the source argument of __assign_str(). */
#if KERNEL_VERSION(6, 10, 0) > LINUX_VERSION_CODE
#define vmcrypt_assign_str(field, src)	__assign_str(field, src)
#else
#define vmcrypt_assign_str(field, src)	\
	do { (void)(src); __assign_str(field); } while (0)
#endif

typedef enum hrtimer_restart (*vmcrypt_hrtimer_fn)(struct hrtimer *timer);

/* 6.13 brought hrtimer_setup(), 6.15 dropped hrtimer_init(). */
static inline void vmcrypt_hrtimer_setup(struct hrtimer *timer,
					 vmcrypt_hrtimer_fn fn,
					 clockid_t clock,
					 enum hrtimer_mode mode)
{
#if KERNEL_VERSION(6, 13, 0) > LINUX_VERSION_CODE
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#else
	hrtimer_setup(timer, fn, clock, mode);
#endif
}

#endif /* _VMCRYPT_COMPAT_H */
