/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates for tests: a CA and what it signs, as NAME.pem and NAME.key in a folder. */
#ifndef VMC_KMIP_MOCK_PKI_H
#define VMC_KMIP_MOCK_PKI_H

struct mock_cert {
	const char *name;		/* of the files */
	const char *cn;
	const char *issuer;		/* name of the CA's files; NULL: self-signed */
	const char *san;		/* "DNS:localhost,IP:127.0.0.1", or NULL */
	const char *usage;		/* "serverAuth", "clientAuth"; NULL with @ca */
	int from_days, to_days;		/* relative to now */
	int ca;
};

/* 0, or -1 with a message on stderr. */
int mock_pki_make(const char *dir, const struct mock_cert *c);

/*
 * All that the tests need: ca, other-ca; server (localhost, 127.0.0.1, ::1),
 * expired, early, other-name, stranger (by other-ca), self (self-signed);
 * client, foreign (by other-ca), client-expired.
 */
int mock_pki(const char *dir);

#endif
