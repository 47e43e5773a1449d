/* SPDX-License-Identifier: GPL-2.0-only */
/* The plain side of a direct channel: a file. */
#ifndef _VMCRYPT_STREAM_H
#define _VMCRYPT_STREAM_H

struct file;
struct vmcrypt_channel;

struct file *vmcrypt_stream_new(struct vmcrypt_channel *ch);

#endif /* _VMCRYPT_STREAM_H */
