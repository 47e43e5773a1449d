/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A key for good, DIR/host.key, and the newest certificate for it, DIR/host.pem: what one side of a TLS link shows. */
#ifndef VMC_KEYS_IDENTITY_H
#define VMC_KEYS_IDENTITY_H

#include <openssl/ssl.h>

#include "cert.h"

/*
 * Both, made when they are not there: P-256, self-signed, common name @cn (cut after 64 bytes), for clients and
 * servers. *@chain has the certificate of *@key first; VMC_ETRUST when the files do not belong together.
 */
int identity_load(const char *dir, const char *cn, EVP_PKEY **key, STACK_OF(X509) **chain, struct vmc_error *err);

/* The two into @ctx. */
bool identity_set(SSL_CTX *ctx, EVP_PKEY *key, STACK_OF(X509) *chain);

#endif
