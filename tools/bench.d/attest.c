// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest LOG IMAGES SECONDS - how many hosts a verifier can check on one core: quotes
 * over the PCRs that the event log LOG leads to, signed by a key that stands in for
 * a TPM's, against IMAGES base images of which the last one fits. Prints "NAME PER-SECOND" lines.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_mu.h>

#include "lib/fs.h"
#include "trust/evidence/ak.h"
#include "trust/evidence/image.h"
#include "trust/evidence/quote.h"

#define MASK 0xffu	/* PCRs 0 to 7 */

static struct work {
	uint8_t ak[256], attest[QUOTE_ATTEST_MAX], signature[QUOTE_SIGNATURE_MAX], extra[QUOTE_EXTRA];
	size_t n_ak, n_attest, n_signature, n_log;
	const uint8_t *log;
	struct pcrs pcrs;
	json_t *images;
	struct vmc_error err;
} w;

static void must(int ok)
{
	if (ok)
		return;
	fprintf(stderr, "attest: %s\n", w.err.text[0] ? w.err.text : "OpenSSL or tss2-mu failed");
	exit(1);
}

/* ---- what a host would send ------------------------------------------------ */

static EVP_PKEY *make_ak(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	TPMT_PUBLIC p = {
		.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = { .scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
			.curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = { { .size = 32 }, { .size = 32 } },
	};
	uint8_t point[65];
	size_t n;

	must(key && EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n) == 1);
	memcpy(p.unique.ecc.x.buffer, point + 1, 32);
	memcpy(p.unique.ecc.y.buffer, point + 33, 32);
	must(!Tss2_MU_TPMT_PUBLIC_Marshal(&p, w.ak, sizeof(w.ak), &w.n_ak));
	return key;
}

static void make_attest(void)
{
	TPMS_ATTEST a = {
		.magic = TPM2_GENERATED_VALUE, .type = TPM2_ST_ATTEST_QUOTE, .qualifiedSigner.size = 34,
		.extraData.size = QUOTE_EXTRA, .clockInfo = { 123456, 7, 0, 1 },
		.attested.quote = {
			.pcrSelect = { 1, { { TPM2_ALG_SHA256, 3, { MASK, 0, 0 } } } }, .pcrDigest.size = 32,
		},
	};
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	must(EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
	for (int i = 0; i < 8; i++)
		must(EVP_DigestUpdate(c, w.pcrs.value[i], 32) == 1);
	must(EVP_DigestFinal_ex(c, a.attested.quote.pcrDigest.buffer, NULL) == 1);
	EVP_MD_CTX_free(c);
	must(!Tss2_MU_TPMS_ATTEST_Marshal(&a, w.attest, sizeof(w.attest), &w.n_attest));
}

static void sign(EVP_PKEY *key)
{
	TPMT_SIGNATURE s = {
		.sigAlg = TPM2_ALG_ECDSA,
		.signature.ecdsa = { .hash = TPM2_ALG_SHA256, .signatureR.size = 32, .signatureS.size = 32 },
	};
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const uint8_t *at;
	uint8_t der[128];
	size_t n = sizeof(der);
	ECDSA_SIG *sig;

	must(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSign(c, der, &n, w.attest, w.n_attest) == 1);
	EVP_MD_CTX_free(c);
	at = der;
	sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
	must(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), s.signature.ecdsa.signatureR.buffer, 32) == 32 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(sig), s.signature.ecdsa.signatureS.buffer, 32) == 32);
	ECDSA_SIG_free(sig);
	must(!Tss2_MU_TPMT_SIGNATURE_Marshal(&s, w.signature, sizeof(w.signature), &w.n_signature));
}

/* Like the one that fits, but for the last event of it. */
static json_t *misfit(const json_t *image)
{
	json_t *copy = json_deep_copy(image), *events = json_object_get(copy, "events");

	must(!json_array_remove(events, 5));
	return copy;
}

static void make_images(const struct eventlog *log, size_t n)
{
	static const struct image_meta meta = { .name = "bench" };
	json_t *image;

	must(!image_from_eventlog(log, TPM2_ALG_SHA256, &meta, &image, &w.err));
	w.images = json_array();
	while (n-- > 1)
		json_array_append_new(w.images, misfit(image));
	json_array_append_new(w.images, image);
}

/* ---- what a verifier does ---------------------------------------------------- */

static void check_quote(void)
{
	struct quote_evidence q = {
		.attest = w.attest, .n_attest = w.n_attest, .signature = w.signature, .n_signature = w.n_signature,
		.extra = w.extra, .pcrs = &w.pcrs,
	};
	struct quote_facts facts;
	struct ak ak;

	must(!ak_parse(w.ak, w.n_ak, &ak, &w.err));
	q.ak = &ak;
	must(!quote_check(&q, &facts, &w.err));
}

static void check_log(void)
{
	struct eventlog *log;

	must(!eventlog_parse(w.log, w.n_log, &log, &w.err));
	must(!eventlog_check(log, &w.pcrs, &w.err));
	eventlog_free(log);
}

static void check_image(void)
{
	struct eventlog *log;
	json_t *which;

	must(!eventlog_parse(w.log, w.n_log, &log, &w.err));
	must(!image_match(w.images, log, TPM2_ALG_SHA256, MASK, &which, &w.err));
	json_decref(which);
	eventlog_free(log);
}

static void check_all(void)
{
	check_quote();
	check_log();
	check_image();
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const char *name, void (*fn)(void), double seconds)
{
	double start = cpu_seconds(), now = start;
	unsigned long n = 0;

	for (; now < start + seconds; now = cpu_seconds())
		for (int i = 0; i < 100; i++, n++)
			fn();
	printf("%s %.0f\n", name, (double)n / (now - start));
}

int main(int argc, char **argv)
{
	struct eventlog *log;
	double seconds;
	EVP_PKEY *key;
	char *bytes;

	if (argc != 4 || (seconds = strtod(argv[3], NULL)) <= 0) {
		fputs("usage: attest LOG IMAGES SECONDS\n", stderr);
		return 2;
	}
	must(!fs_read(argv[1], EVENTLOG_MAX, &bytes, &w.n_log, &w.err));
	w.log = (const uint8_t *)bytes;
	must(!eventlog_parse(w.log, w.n_log, &log, &w.err));
	must(!eventlog_replay(log, TPM2_ALG_SHA256, &w.pcrs, &w.err));
	w.pcrs.mask = MASK;
	make_images(log, strtoul(argv[2], NULL, 10));
	eventlog_free(log);
	key = make_ak();
	make_attest();
	sign(key);
	EVP_PKEY_free(key);
	measure("quote", check_quote, seconds);
	measure("log", check_log, seconds);
	measure("image", check_image, seconds);
	measure("all", check_all, seconds);
	json_decref(w.images);
	free(bytes);
	return 0;
}
