/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OpenSSL on a socket, as BIO_s_socket() but without SIGPIPE. */
#ifndef VMC_NET_SOCK_BIO_H
#define VMC_NET_SOCK_BIO_H

#include <openssl/bio.h>

/* The caller keeps @fd. NULL: no memory. */
BIO *sock_bio(int fd);

#endif
