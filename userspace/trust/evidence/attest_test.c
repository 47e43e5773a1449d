// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a TPM to a verifier that has none: a real software TPM, with endorsement
 * keys that its maker certified, is enrolled, quotes, and is believed; and each
 * thing that an impostor may try is refused.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_mu.h>

#include "../../keys/tpm/ak.h"
#include "../../keys/tpm/bootfacts.h"
#include "../../keys/tpm/ek.h"
#include "../../keys/tpm/quote.h"
#include "../../keys/tpm/session.h"
#include "../../keys/tpm/srk.h"
#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../testing/swtpm.h"
#include "../../testing/testing.h"
#include "ak.h"
#include "ek.h"
#include "eventlog.h"
#include "makecred.h"
#include "mock_ekca.h"
#include "mock_logs.h"
#include "pubkey.h"
#include "quote.h"

#define MASK		(1u << 0 | 1u << 4 | 1u << 7 | 1u << 16)
#define NV_CERT_P256	0x01c0000a
#define NV_CHAIN	0x01c00100

static char *top;	/* the TPMs that were manufactured, and their CA */

static struct host {
	struct swtpm sw;
	struct vmc_config cfg;
	struct tpm t;
	struct tpm_ak ak;
	struct tpm_ek ek;
	struct tpm_quote q;
} a, b;

static uint8_t *secret, *back;
static uint8_t extra[QUOTE_EXTRA];
static struct vmc_error err;

static void host_start(struct host *h, const char *name)
{
	memset(h, 0, sizeof(*h));
	h->ek.handle = h->ak.handle = ESYS_TR_NONE;
	swtpm_start(&h->sw, top, name);
	snprintf(h->cfg.state_dir, sizeof(h->cfg.state_dir), "%s/%s.state", top, name);
	snprintf(h->cfg.tpm_tcti, sizeof(h->cfg.tpm_tcti), "%s", h->sw.tcti);
}

static void host_open(struct host *h)
{
	assert_ok(tpm_open(&h->t, &h->cfg, &err), &err);
	assert_ok(tpm_ak_open(&h->t, &h->cfg, &h->ak, &err), &err);
}

static void host_close(struct host *h)
{
	if (h->t.esys) {
		tpm_ek_close(&h->t, &h->ek);
		tpm_ak_close(&h->t, &h->ak);
	}
	tpm_close(&h->t);
}

static void host_stop(struct host *h)
{
	host_close(h);
	swtpm_stop(&h->sw, 1);
}

static int setup(void **state)
{
	(void)state;
	host_start(&a, "maker");
	host_open(&a);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	host_stop(&a);
	host_stop(&b);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	assert_ok(secmem_init(1 << 20, &err), &err);
	top = test_mkdir();
	swtpm_manufacture(top, "maker");
	secret = secmem_alloc(MAKECRED_SECRET);
	back = secmem_alloc(TPM_AK_SECRET_MAX);
	memset(secret, 0x5a, MAKECRED_SECRET);
	memset(extra, 0xe7, sizeof(extra));
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	secmem_free(secret, MAKECRED_SECRET);
	secmem_free(back, TPM_AK_SECRET_MAX);
	test_rmdir(top);
	return 0;
}

/* ---- enrolment ---------------------------------------------------------------------------- */

static struct ek_cas *maker_cas(const char *file)
{
	struct ek_cas *cas;
	char *pem;
	size_t n;

	assert_ok(ek_cas_new(&cas, &err), &err);
	assert_ok(fs_read(test_path(test_path(top, "ca"), file), 16384, &pem, &n, &err), &err);
	assert_ok(ek_cas_add(cas, file, pem, &err), &err);
	free(pem);
	return cas;
}

static void believe_certificate(const struct host *h, const struct ek *ek, struct ek_cas *cas)
{
	struct ek_der cert = { h->ek.cert, h->ek.n_cert }, chain[TPM_EK_CHAIN_MAX];
	char ca[EK_CA_NAME_MAX];

	for (size_t i = 0; i < h->ek.n_chain; i++)
		chain[i] = (struct ek_der){ h->ek.chain[i], h->ek.n_chain_der[i] };
	assert_ok(ek_check_certificate(ek, &cert, chain, h->ek.n_chain, cas, time(NULL), ca, &err), &err);
}

/* The verifier's half: what it sends back for the keys that the host shows. */
static void challenge(const struct host *h, struct credential *c)
{
	struct ak ak;
	struct ek ek;

	assert_ok(ek_parse(h->ek.pub, h->ek.n_pub, &ek, &err), &err);
	assert_ok(ak_parse(h->ak.pub, h->ak.n_pub, &ak, &err), &err);
	assert_ok(make_credential(&ek, &ak.name, secret, c, &err), &err);
}

static int answer(struct host *h, const struct credential *c)
{
	size_t n;
	int rc;

	memset(back, 0, TPM_AK_SECRET_MAX);
	rc = tpm_ak_activate(&h->t, &h->ak, &h->ek, c->id_object, c->n_id_object, c->secret, c->n_secret, back, &n, &err);
	if (!rc)
		assert_int_equal(n, MAKECRED_SECRET);
	return rc;
}

static void enrol(enum tpm_ek_kind kind)
{
	struct credential c;

	assert_ok(tpm_ek_open(&a.t, kind, &a.ek, &err), &err);
	challenge(&a, &c);
	assert_ok(answer(&a, &c), &err);
	assert_memory_equal(back, secret, MAKECRED_SECRET);
}

static void enrol_certified(enum tpm_ek_kind kind, const char *name)
{
	struct ek_cas *cas = maker_cas("issuercert.pem");
	struct ek ek;

	enrol(kind);
	assert_true(a.ek.n_cert > 0);
	assert_ok(ek_parse(a.ek.pub, a.ek.n_pub, &ek, &err), &err);
	assert_string_equal(ek.kind, name);
	believe_certificate(&a, &ek, cas);
	ek_cas_free(cas);
}

static void an_rsa_key_enrols(void **state)
{
	(void)state;
	enrol_certified(TPM_EK_RSA, "RSA 2048");
}

static void a_p384_key_enrols(void **state)
{
	(void)state;
	enrol_certified(TPM_EK_P384, "ECC P-384");
}

static void a_p384_key_comes_before_rsa(void **state)
{
	(void)state;
	enrol(TPM_EK_ANY);
	assert_int_equal(a.ek.kind, TPM_EK_P384);
}

static void a_p256_key_enrols_by_itself(void **state)
{
	struct ek ek;

	(void)state;
	enrol(TPM_EK_P256);
	assert_int_equal(a.ek.n_cert, 0);
	assert_ok(ek_parse(a.ek.pub, a.ek.n_pub, &ek, &err), &err);
	assert_string_equal(ek.kind, "ECC P-256");
}

static void nv_write(const struct swtpm *s, uint32_t index, const uint8_t *der, size_t n, size_t padding)
{
	const TPM2B_NV_PUBLIC pub = { .nvPublic = {
		.nvIndex = index, .nameAlg = TPM2_ALG_SHA256, .dataSize = (UINT16)(n + padding),
		.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA,
	} };
	uint8_t all[TPM_EK_CERT_MAX] = { 0 };
	ESYS_CONTEXT *e = swtpm_open(s);
	static const TPM2B_AUTH none;
	ESYS_TR nv;

	memcpy(all, der, n);
	memset(all + n, 0xff, padding);
	assert_int_equal(Esys_NV_DefineSpace(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &none, &pub,
					     &nv), 0);
	for (size_t at = 0; at < n + padding;) {
		TPM2B_MAX_NV_BUFFER data = { .size = (UINT16)(n + padding - at > 512 ? 512 : n + padding - at) };

		memcpy(data.buffer, all + at, data.size);
		assert_int_equal(Esys_NV_Write(e, nv, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, (UINT16)at), 0);
		at += data.size;
	}
	Esys_TR_Close(e, &nv);
	swtpm_close(&e);
}

/* What a maker with a CA of its own leaves: the certificate in a larger index, the CA's in another. */
static void a_certified_p256_key_comes_first_and_brings_its_chain(void **state)
{
	uint8_t der[TPM_EK_CERT_MAX];
	struct mock_ca root, ca;
	struct ek_cas *cas;
	EVP_PKEY *key;
	TPM2B_PUBLIC pub = { 0 };
	size_t n = 0;
	struct ek ek;
	char *pem;

	(void)state;
	host_start(&b, "p256");
	host_open(&b);
	assert_ok(tpm_ek_open(&b.t, TPM_EK_ANY, &b.ek, &err), &err);
	assert_int_equal(b.ek.kind, TPM_EK_P256);
	assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Unmarshal(b.ek.pub, b.ek.n_pub, &n, &pub), 0);
	host_close(&b);

	mock_ca_new(&root, "root", NULL);
	mock_ca_new(&ca, "TPM CA", &root);
	assert_ok(pubkey_from_tpm(&pub.publicArea, &key, &err), &err);
	nv_write(&b.sw, NV_CERT_P256, der, mock_ca_issue(&ca, key, ODD_NONE, der, sizeof(der)), 300);
	nv_write(&b.sw, NV_CHAIN, der, mock_ca_der(&ca, der, sizeof(der)), 0);
	EVP_PKEY_free(key);

	host_open(&b);
	assert_ok(tpm_ek_open(&b.t, TPM_EK_ANY, &b.ek, &err), &err);
	assert_true(b.ek.n_cert > 0);
	assert_int_equal(b.ek.n_chain, 1);
	assert_ok(ek_parse(b.ek.pub, b.ek.n_pub, &ek, &err), &err);
	assert_ok(ek_cas_new(&cas, &err), &err);
	pem = mock_ca_pem(&root);
	assert_ok(ek_cas_add(cas, "root", pem, &err), &err);
	believe_certificate(&b, &ek, cas);
	OPENSSL_free(pem);
	ek_cas_free(cas);
	mock_ca_free(&root);
	mock_ca_free(&ca);
}

static void a_credential_for_another_tpm_does_not_open(void **state)
{
	struct credential c;

	(void)state;
	host_start(&b, "other");
	host_open(&b);
	for (int kind = TPM_EK_P256; kind < TPM_EK_ANY; kind++) {
		assert_ok(tpm_ek_open(&a.t, (enum tpm_ek_kind)kind, &a.ek, &err), &err);
		assert_ok(tpm_ek_open(&b.t, (enum tpm_ek_kind)kind, &b.ek, &err), &err);
		challenge(&b, &c);
		assert_code(answer(&a, &c), VMC_EAUTH, &err);
		assert_contains(err.text, "made for another TPM");
		tpm_ek_close(&a.t, &a.ek);
		tpm_ek_close(&b.t, &b.ek);
	}
}

static void a_credential_for_another_ak_does_not_open(void **state)
{
	struct credential c;

	(void)state;
	assert_ok(tpm_ek_open(&a.t, TPM_EK_P256, &a.ek, &err), &err);
	challenge(&a, &c);
	tpm_ek_close(&a.t, &a.ek);
	tpm_ak_close(&a.t, &a.ak);
	assert_ok(tpm_ak_remove(&a.cfg, &err), &err);
	assert_ok(tpm_ak_open(&a.t, &a.cfg, &a.ak, &err), &err);
	assert_true(a.ak.made);
	assert_ok(tpm_ek_open(&a.t, TPM_EK_P256, &a.ek, &err), &err);
	assert_code(answer(&a, &c), VMC_EAUTH, &err);
	c.n_id_object--;
	assert_code(answer(&a, &c), VMC_EINVAL, &err);
}

static void an_altered_credential_does_not_open(void **state)
{
	struct credential c;

	(void)state;
	assert_ok(tpm_ek_open(&a.t, TPM_EK_P384, &a.ek, &err), &err);
	challenge(&a, &c);
	c.id_object[c.n_id_object - 1] ^= 1;
	assert_code(answer(&a, &c), VMC_EAUTH, &err);
	challenge(&a, &c);
	c.secret[c.n_secret - 1] ^= 1;
	assert_code(answer(&a, &c), VMC_EAUTH, &err);
}

/* ---- the attestation key ------------------------------------------------------------------- */

static void the_ak_is_the_same_after_a_reboot(void **state)
{
	uint8_t pub[256];
	size_t n = a.ak.n_pub;

	(void)state;
	memcpy(pub, a.ak.pub, n);
	host_close(&a);
	swtpm_reboot(&a.sw);
	host_open(&a);
	assert_false(a.ak.made);
	assert_int_equal(a.ak.n_pub, n);
	assert_memory_equal(a.ak.pub, pub, n);
}

static void a_damaged_ak_is_made_anew(void **state)
{
	char path[512];

	(void)state;
	host_close(&a);
	snprintf(path, sizeof(path), "%s/tpm/ak", a.cfg.state_dir);
	test_write_text(path, "VMCAKEY1 and then nothing");
	host_open(&a);
	assert_true(a.ak.made);
	host_close(&a);
	host_open(&a);
	assert_false(a.ak.made);
}

static void refuse_ak(TPMT_PUBLIC *p, const char *part)
{
	uint8_t bytes[sizeof(*p)];
	struct ak ak;
	size_t n = 0;

	assert_int_equal(Tss2_MU_TPMT_PUBLIC_Marshal(p, bytes, sizeof(bytes), &n), 0);
	assert_code(ak_parse(bytes, n, &ak, &err), VMC_ETRUST, &err);
	assert_contains(err.text, part);
}

static void other_kinds_of_keys_are_no_ak(void **state)
{
	static const struct {
		TPMA_OBJECT bit;
		const char *text;
	} needs[] = {
		{ TPMA_OBJECT_RESTRICTED, "not restricted" },
		{ TPMA_OBJECT_SIGN_ENCRYPT, "does not sign" },
		{ TPMA_OBJECT_FIXEDTPM, "not fixed to its TPM" },
		{ TPMA_OBJECT_FIXEDPARENT, "not fixed to its parent" },
		{ TPMA_OBJECT_SENSITIVEDATAORIGIN, "not made by the TPM" },
	};
	TPMT_PUBLIC pub;
	struct ak ak;

	(void)state;
	assert_ok(ak_parse(a.ak.pub, a.ak.n_pub, &ak, &err), &err);
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		pub = ak.pub;
		pub.objectAttributes &= ~needs[i].bit;
		refuse_ak(&pub, needs[i].text);
	}
	pub = ak.pub;
	pub.objectAttributes |= TPMA_OBJECT_DECRYPT;
	refuse_ak(&pub, "it decrypts");
	pub = ak.pub;
	pub.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA1;
	refuse_ak(&pub, "ECDSA with SHA-256");
	pub = ak.pub;
	pub.nameAlg = TPM2_ALG_SHA384;
	refuse_ak(&pub, "its name");
	assert_code(ak_parse(a.ak.pub, a.ak.n_pub - 1, &ak, &err), VMC_EINVAL, &err);
}

/* ---- quotes ------------------------------------------------------------------------------------ */

static struct pcrs values_of(const struct tpm_quote *q)
{
	struct pcrs p = { .bank = q->bank, .mask = q->mask };

	memcpy(p.value, q->value, sizeof(p.value));
	return p;
}

static void quote(struct host *h)
{
	assert_ok(tpm_quote(&h->t, &h->ak, TPM2_ALG_SHA256, MASK, extra, &h->q, &err), &err);
}

static int check(const struct host *h, const struct tpm_quote *q, const struct pcrs *p, const uint8_t *nonce,
		 struct quote_facts *f)
{
	struct quote_evidence e = {
		.attest = q->attest, .n_attest = q->n_attest, .signature = q->signature,
		.n_signature = q->n_signature, .extra = nonce, .pcrs = p,
	};
	struct ak ak;

	assert_ok(ak_parse(h->ak.pub, h->ak.n_pub, &ak, &err), &err);
	e.ak = &ak;
	return quote_check(&e, f, &err);
}

static void a_quote_is_believed(void **state)
{
	struct quote_facts f;
	struct tpm_clock now;
	struct pcrs p;

	(void)state;
	quote(&a);
	p = values_of(&a.q);
	assert_ok(check(&a, &a.q, &p, extra, &f), &err);
	assert_ok(tpm_clock(&a.t, &now, &err), &err);
	assert_int_equal(f.reset_count, now.resets);
	assert_true(f.firmware != 0);
	assert_true(f.clock <= now.ms);
}

static void a_quote_of_sha384_is_believed(void **state)
{
	struct quote_facts f;
	struct pcrs p;

	(void)state;
	host_start(&b, "other");
	host_open(&b);
	assert_ok(tpm_quote(&b.t, &b.ak, TPM2_ALG_SHA384, 0xffffff, extra, &b.q, &err), &err);
	p = values_of(&b.q);
	assert_ok(check(&b, &b.q, &p, extra, &f), &err);
	assert_code(tpm_quote(&a.t, &a.ak, TPM2_ALG_SHA384, 1, extra, &a.q, &err), VMC_ENOTSUP, &err);
}

static void refuse(const struct host *h, const struct tpm_quote *q, const struct pcrs *p, const uint8_t *nonce,
		   const char *part)
{
	struct quote_facts f;
	int rc = check(h, q, p, nonce, &f);

	assert_true(rc == VMC_EAUTH || rc == VMC_EINVAL);
	assert_contains(err.text, part);
	assert_int_equal(f.clock, 0);
}

static void a_quote_about_something_else_is_refused(void **state)
{
	uint8_t other[QUOTE_EXTRA] = { 1 };
	struct pcrs p, good;

	(void)state;
	quote(&a);
	good = values_of(&a.q);
	refuse(&a, &a.q, &good, other, "answers another challenge");
	p = good;
	p.value[7][31] ^= 1;
	refuse(&a, &a.q, &p, extra, "are not those that were quoted");
	p = good;
	p.mask |= 1u << 3;
	refuse(&a, &a.q, &p, extra, "other PCRs than were asked for");
	p = good;
	p.bank = TPM2_ALG_SHA384;
	refuse(&a, &a.q, &p, extra, "another PCR bank");
}

static void an_altered_quote_is_refused(void **state)
{
	struct tpm_quote q;
	struct pcrs p;

	(void)state;
	quote(&a);
	p = values_of(&a.q);
	for (size_t i = 0; i < a.q.n_attest; i++) {
		struct quote_facts f;

		q = a.q;
		q.attest[i] ^= 1;
		assert_int_not_equal(check(&a, &q, &p, extra, &f), 0);
	}
	q = a.q;
	q.attest[0] = 0;
	refuse(&a, &q, &p, extra, "not made by a TPM");
	q = a.q;
	q.attest[5] = TPM2_ST_ATTEST_TIME & 0xff;
	refuse(&a, &q, &p, extra, "another statement of the TPM");
	q = a.q;
	q.n_attest--;
	refuse(&a, &q, &p, extra, "it is cut");
	q = a.q;
	q.signature[q.n_signature - 1] ^= 1;
	refuse(&a, &q, &p, extra, "not signed by this host's attestation key");
	q = a.q;
	q.n_signature--;
	refuse(&a, &q, &p, extra, "its signature is none");
	q = a.q;
	q.signature[3] = TPM2_ALG_SHA1 & 0xff;
	refuse(&a, &q, &p, extra, "not signed by ECDSA with SHA-256");
}

static void a_quote_of_another_tpm_or_key_is_refused(void **state)
{
	struct pcrs p;

	(void)state;
	host_start(&b, "other");
	host_open(&b);
	quote(&b);
	p = values_of(&b.q);
	refuse(&a, &b.q, &p, extra, "not signed by this host's attestation key");
	quote(&a);
	tpm_ak_close(&a.t, &a.ak);
	assert_ok(tpm_ak_remove(&a.cfg, &err), &err);
	assert_ok(tpm_ak_open(&a.t, &a.cfg, &a.ak, &err), &err);
	p = values_of(&a.q);
	refuse(&a, &a.q, &p, extra, "not signed by this host's attestation key");
}

static void a_quote_follows_what_was_measured(void **state)
{
	struct pcrs before, after;

	(void)state;
	quote(&a);
	before = values_of(&a.q);
	host_close(&a);
	swtpm_extend(&a.sw, 7);
	host_open(&a);
	quote(&a);
	after = values_of(&a.q);
	assert_memory_not_equal(before.value[7], after.value[7], 32);
	refuse(&a, &a.q, &before, extra, "are not those that were quoted");
}

static void a_tpm_that_goes_back_in_time_is_found(void **state)
{
	struct quote_facts first, later;
	struct pcrs p;
	char cmd[600];

	(void)state;
	host_stop(&a);
	snprintf(cmd, sizeof(cmd), "cp -a %s/maker %s/older && cp -a %s/maker.state %s/older.state", top, top, top, top);
	assert_int_equal(system(cmd), 0);
	host_start(&a, "maker");
	host_open(&a);
	host_close(&a);
	swtpm_reboot(&a.sw);
	host_open(&a);
	quote(&a);
	p = values_of(&a.q);
	assert_ok(check(&a, &a.q, &p, extra, &first), &err);

	host_start(&b, "older");
	host_open(&b);
	assert_false(b.ak.made);
	quote(&b);
	p = values_of(&b.q);
	assert_ok(check(&b, &b.q, &p, extra, &later), &err);
	assert_ok(quote_follows(&first, &first, &err), &err);
	assert_code(quote_follows(&first, &later, &err), VMC_EREPLAY, &err);
	assert_contains(err.text, "but had started");
	later = first;
	later.clock -= first.clock ? 1 : 0;
	later.safe = true;
	assert_code(quote_follows(&first, &later, &err), VMC_EREPLAY, &err);
	assert_contains(err.text, "the TPM's clock is at");
	later = first;
	first.restart_count++;
	assert_code(quote_follows(&first, &later, &err), VMC_EREPLAY, &err);
}

static void extend(const struct swtpm *sw, unsigned int pcr, const uint8_t *digest)
{
	TPML_DIGEST_VALUES values = { .count = 1, .digests[0].hashAlg = TPM2_ALG_SHA256 };
	ESYS_CONTEXT *e = swtpm_open(sw);

	memcpy(values.digests[0].digest.sha256, digest, 32);
	assert_int_equal(Esys_PCR_Extend(e, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &values), 0);
	swtpm_close(&e);
}

/* Measure as a firmware did, and see that its log and the quote agree; then something that it does not tell of. */
static void a_log_agrees_with_the_quote_of_its_tpm(void **state)
{
	struct eventlog *log = mock_log(LOG_SEABIOS);
	struct quote_facts f;
	struct pcrs p;

	(void)state;
	host_close(&a);
	swtpm_reboot(&a.sw);
	for (size_t i = 0; i < log->n; i++)
		extend(&a.sw, log->events[i].pcr, event_digest(&log->events[i], TPM2_ALG_SHA256)->value);
	host_open(&a);
	quote(&a);
	p = values_of(&a.q);
	assert_ok(check(&a, &a.q, &p, extra, &f), &err);
	assert_ok(eventlog_check(log, &p, &err), &err);
	host_close(&a);
	swtpm_extend(&a.sw, 4);
	host_open(&a);
	quote(&a);
	p = values_of(&a.q);
	assert_ok(check(&a, &a.q, &p, extra, &f), &err);
	assert_code(eventlog_check(log, &p, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "the quoted values of PCR 4");
	eventlog_free(log);
}

/* ---- what the host knows of its start --------------------------------------------------------- */

static void fake_proc(const char *loader, const char *boot_id)
{
	assert_ok(fs_mkdirs(test_path(top, "proc/sys/kernel/random"), 0700, &err), &err);
	test_write_text(test_path(top, "proc/sys/kernel/bootloader_type"), loader);
	test_write_text(test_path(top, "proc/sys/kernel/random/boot_id"), boot_id);
	setenv("VMCRYPT_PROC_DIR", test_path(top, "proc"), 1);
}

static bool quick(uint32_t resets)
{
	struct tpm_clock clock = { .resets = resets };
	struct bootfacts f;

	assert_ok(bootfacts_read(&a.cfg, &clock, &f, &err), &err);
	assert_int_equal(f.reset_count, resets);
	return f.quick_boot;
}

static void a_kexec_is_a_quick_boot(void **state)
{
	(void)state;
	snprintf(a.cfg.state_dir, sizeof(a.cfg.state_dir), "%s/facts", top);
	fake_proc("114\n", "11111111-1111-4111-8111-111111111111\n");
	assert_false(quick(5));
	assert_false(quick(5));
	fake_proc("209\n", "22222222-2222-4222-8222-222222222222\n");	/* 0xd1: kexec */
	assert_true(quick(5));
	fake_proc("114\n", "33333333-3333-4333-8333-333333333333\n");	/* the TPM has not started */
	assert_true(quick(5));
	assert_true(quick(5));
	assert_false(quick(6));
	fake_proc("114\n", "no uuid\n");
	assert_code(bootfacts_read(&a.cfg, &(struct tpm_clock){ 0 }, &(struct bootfacts){ 0 }, &err), VMC_EPROTO, &err);
	unsetenv("VMCRYPT_PROC_DIR");
}

static void the_event_log_is_where_it_is_said_to_be(void **state)
{
	uint8_t *log;
	size_t n;

	(void)state;
	test_write_text(test_path(top, "log"), "bytes");
	setenv("VMCRYPT_EVENT_LOG", test_path(top, "log"), 1);
	assert_ok(bootfacts_event_log(&log, &n, &err), &err);
	assert_int_equal(n, 5);
	free(log);
	setenv("VMCRYPT_EVENT_LOG", test_path(top, "no-log"), 1);
	assert_code(bootfacts_event_log(&log, &n, &err), VMC_ENOENT, &err);
	assert_contains(err.text, "left no event log at");
	unsetenv("VMCRYPT_EVENT_LOG");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_rsa_key_enrols),
		CASE(a_p384_key_enrols),
		CASE(a_p384_key_comes_before_rsa),
		CASE(a_p256_key_enrols_by_itself),
		CASE(a_certified_p256_key_comes_first_and_brings_its_chain),
		CASE(a_credential_for_another_tpm_does_not_open),
		CASE(a_credential_for_another_ak_does_not_open),
		CASE(an_altered_credential_does_not_open),
		CASE(the_ak_is_the_same_after_a_reboot),
		CASE(a_damaged_ak_is_made_anew),
		CASE(other_kinds_of_keys_are_no_ak),
		CASE(a_quote_is_believed),
		CASE(a_quote_of_sha384_is_believed),
		CASE(a_quote_about_something_else_is_refused),
		CASE(an_altered_quote_is_refused),
		CASE(a_quote_of_another_tpm_or_key_is_refused),
		CASE(a_quote_follows_what_was_measured),
		CASE(a_tpm_that_goes_back_in_time_is_found),
		CASE(a_log_agrees_with_the_quote_of_its_tpm),
		CASE(a_kexec_is_a_quick_boot),
		CASE(the_event_log_is_where_it_is_said_to_be),
	};

	return cmocka_run_group_tests_name("attest", tests, group_setup, group_teardown);
}
