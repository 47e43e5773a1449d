// SPDX-License-Identifier: GPL-2.0-or-later
/* Sealing and unsealing on a real software TPM, and every way in which it is refused. */
#include "seal.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/swtpm.h"
#include "../../testing/testing.h"
#include "pcrsig.h"
#include "session.h"
#include "signer.h"
#include "srk.h"

#define SECRET "the secret that must not be on the bus, ever"

static struct {
	char *dir;
	struct swtpm tpm;
	struct vmc_config cfg;
	struct tpm t;
	uint8_t *secret, *back;
	size_t n_back;
	uint8_t blob[BLOB_MAX];
	size_t n_blob;
	struct vmc_error err;
} w;

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.dir = test_mkdir();
	swtpm_start(&w.tpm, w.dir, "tpm");
	snprintf(w.cfg.state_dir, sizeof(w.cfg.state_dir), "%s/state", w.dir);
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", w.tpm.tcti);
	snprintf(w.cfg.tpm_bank, sizeof(w.cfg.tpm_bank), "%s", "sha256");
	w.cfg.tpm_pcrs = 1 << 7;
	w.secret = secmem_alloc(SEAL_MAX);
	w.back = secmem_alloc(SEAL_MAX);
	memcpy(w.secret, SECRET, sizeof(SECRET));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	swtpm_stop(&w.tpm, 0);
	secmem_free(w.secret, SEAL_MAX);
	secmem_free(w.back, SEAL_MAX);
	test_rmdir(w.dir);
	return 0;
}

static int seal_with(const struct seal_policy *p)
{
	int rc = tpm_open(&w.t, &w.cfg, &w.err);

	if (!rc)
		rc = tpm_seal(&w.t, p, w.secret, sizeof(SECRET), w.blob, &w.n_blob, &w.err);
	tpm_close(&w.t);
	return rc;
}

static int seal(void)
{
	struct seal_policy p;
	int rc = policy_from_config(&w.cfg, &p, &w.err);

	return rc ? rc : seal_with(&p);
}

static int unseal(void)
{
	int rc = tpm_open(&w.t, &w.cfg, &w.err);

	memset(w.back, 0, SEAL_MAX);
	w.n_back = 0;
	if (!rc)
		rc = tpm_unseal(&w.t, &w.cfg, w.blob, w.n_blob, w.back, &w.n_back, &w.err);
	tpm_close(&w.t);
	return rc;
}

static void assert_back(void)
{
	assert_ok(unseal(), &w.err);
	assert_int_equal(w.n_back, sizeof(SECRET));
	assert_memory_equal(w.back, SECRET, sizeof(SECRET));
}

static void assert_refused(int code, const char *text, const char *hint)
{
	assert_code(unseal(), code, &w.err);
	assert_int_equal(w.n_back, 0);
	assert_contains(w.err.text, text);
	assert_contains(w.err.hint, hint);
}

/* ---- what works ------------------------------------------------------------- */

static void a_secret_comes_back_after_reboots(void **state)
{
	(void)state;
	assert_ok(seal(), &w.err);
	assert_null(memmem(w.blob, w.n_blob, SECRET, 8));
	assert_back();
	swtpm_reboot(&w.tpm);
	assert_back();
	swtpm_stop(&w.tpm, 0);
	swtpm_start(&w.tpm, w.dir, "tpm");
	assert_back();
}

static void every_length_and_bank(void **state)
{
	static const char *const banks[] = { "sha1", "sha256", "sha384", "sha512" };
	struct seal_policy p;

	(void)state;
	w.cfg.tpm_pcrs = 1 | 1 << 7 | 1 << 23;
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++) {
		snprintf(w.cfg.tpm_bank, sizeof(w.cfg.tpm_bank), "%s", banks[i]);
		assert_ok(seal(), &w.err);
		assert_back();
	}
	assert_ok(policy_from_config(&w.cfg, &p, &w.err), &w.err);
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(tpm_seal(&w.t, &p, w.secret, SEAL_MAX, w.blob, &w.n_blob, &w.err), &w.err);
	assert_code(tpm_seal(&w.t, &p, w.secret, SEAL_MAX + 1, w.blob, &w.n_blob, &w.err), VMC_EINVAL, &w.err);
	assert_code(tpm_seal(&w.t, &p, w.secret, 0, w.blob, &w.n_blob, &w.err), VMC_EINVAL, &w.err);
	tpm_close(&w.t);
	assert_ok(unseal(), &w.err);
	assert_int_equal(w.n_back, SEAL_MAX);
}

/* Many PCRs do not fit one answer of the TPM. */
static void all_pcrs_at_once(void **state)
{
	(void)state;
	w.cfg.tpm_pcrs = (1u << POLICY_PCRS) - 1;
	assert_ok(seal(), &w.err);
	assert_back();
	swtpm_extend(&w.tpm, 13);
	swtpm_extend(&w.tpm, 2);
	assert_refused(VMC_ETPMPOLICY, "PCR 2, 13 changed", "reseal");
}

/* One that somebody else made persistent serves as well, and is the same key when it is the standard one. */
static void a_persistent_srk_is_used(void **state)
{
	ESYS_TR persistent;
	TPM2B_NAME name;

	(void)state;
	assert_ok(seal(), &w.err);
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(srk_open(&w.t, false, &w.err), &w.err);
	assert_true(w.t.srk_transient);
	name = w.t.srk_name;
	assert_int_equal(Esys_EvictControl(w.t.esys, ESYS_TR_RH_OWNER, w.t.srk, ESYS_TR_PASSWORD, ESYS_TR_NONE,
					   ESYS_TR_NONE, 0x81000001, &persistent), 0);
	tpm_close(&w.t);
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(srk_open(&w.t, false, &w.err), &w.err);
	assert_false(w.t.srk_transient);
	assert_int_equal(w.t.srk_name.size, name.size);
	assert_memory_equal(w.t.srk_name.name, name.name, name.size);
	tpm_close(&w.t);
	assert_back();
}

/* ---- what is refused ---------------------------------------------------------- */

static void a_changed_pcr(void **state)
{
	(void)state;
	assert_ok(seal(), &w.err);
	swtpm_extend(&w.tpm, 4);	/* not ours */
	assert_back();
	swtpm_extend(&w.tpm, 7);
	assert_refused(VMC_ETPMPOLICY, "PCR 7 changed", "vmcrypt host persistence reseal");
	swtpm_reboot(&w.tpm);
	assert_back();
}

static void no_tpm(void **state)
{
	(void)state;
	assert_ok(seal(), &w.err);
	swtpm_stop(&w.tpm, 1);
	assert_refused(VMC_ENOTPM, "there is no TPM 2.0 at 'swtpm:", "firmware setup");
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", "device:/dev/does-not-exist");
	assert_refused(VMC_ENOTPM, "'device:/dev/does-not-exist'", "tcti=");
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", "nonsense:x");
	assert_refused(VMC_ENOTPM, "nonsense", "tcti=");
}

static void a_disabled_tpm(void **state)
{
	ESYS_CONTEXT *e;

	(void)state;
	assert_ok(seal(), &w.err);
	e = swtpm_open(&w.tpm);
	assert_int_equal(Esys_HierarchyControl(e, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
					       ESYS_TR_RH_OWNER, TPM2_NO), 0);
	swtpm_close(&e);
	assert_refused(VMC_ETPMOFF, "turned off", "firmware setup");
}

static void a_tpm_with_an_owners_password(void **state)
{
	const TPM2B_AUTH auth = { .size = 4, .buffer = "word" };
	ESYS_CONTEXT *e;

	(void)state;
	e = swtpm_open(&w.tpm);
	assert_int_equal(Esys_HierarchyChangeAuth(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
						  &auth), 0);
	swtpm_close(&e);
	assert_code(seal(), VMC_EPERM, &w.err);
	assert_contains(w.err.text, "password");
}

static void a_cleared_tpm(void **state)
{
	(void)state;
	assert_ok(seal(), &w.err);
	swtpm_clear(&w.tpm);
	assert_refused(VMC_ETPMCLEARED, "was cleared", "--new-tpm");
	assert_code(seal(), VMC_ETPMCLEARED, &w.err);
	assert_ok(srk_unpin(&w.cfg, &w.err), &w.err);
	assert_refused(VMC_ETPMROOT, "another TPM", "the host that sealed it");
	assert_ok(seal(), &w.err);
	assert_back();
}

static void another_tpm(void **state)
{
	struct swtpm other;

	(void)state;
	assert_ok(seal(), &w.err);
	swtpm_start(&other, w.dir, "other");
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", other.tcti);
	assert_refused(VMC_ETPMROOT, "root key", "something may sit between");
	assert_ok(srk_unpin(&w.cfg, &w.err), &w.err);	/* a thief would */
	assert_refused(VMC_ETPMROOT, "sealed by another TPM", "on the host that sealed it");
	swtpm_stop(&other, 0);
}

/* Sealed by the other TPM, but said to be by this one. */
static void a_forged_name_of_the_srk(void **state)
{
	struct swtpm other;
	struct blob b;

	(void)state;
	swtpm_start(&other, w.dir, "other");
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", other.tcti);
	assert_ok(seal(), &w.err);
	swtpm_stop(&other, 0);
	assert_ok(srk_unpin(&w.cfg, &w.err), &w.err);
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", w.tpm.tcti);
	assert_ok(blob_parse(w.blob, w.n_blob, &b, &w.err), &w.err);
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(srk_open(&w.t, true, &w.err), &w.err);
	b.srk = w.t.srk_name;
	tpm_close(&w.t);
	assert_ok(blob_write(&b, w.blob, &w.n_blob, &w.err), &w.err);
	assert_refused(VMC_EAUTH, "altered", "backup");
}

static void a_damaged_pin(void **state)
{
	(void)state;
	assert_ok(seal(), &w.err);
	test_write_text(test_path(w.cfg.state_dir, "tpm/srk"), "{\"srk\": \"00");
	assert_refused(VMC_EINVAL, "damaged", "--new-tpm");
}

/* Cut anywhere it is no blob; changed anywhere it gives nothing, or what was sealed. */
static void a_damaged_blob(void **state)
{
	struct blob b;

	(void)state;
	assert_ok(seal(), &w.err);
	for (size_t n = 0; n < w.n_blob; n++)
		assert_code(blob_parse(w.blob, n, &b, &w.err), VMC_EINVAL, &w.err);
	w.blob[w.n_blob] = 0;
	assert_code(blob_parse(w.blob, w.n_blob + 1, &b, &w.err), VMC_EINVAL, &w.err);
	for (size_t i = 0; i < w.n_blob; i += 11) {
		int rc;

		w.blob[i] ^= 0x40;
		rc = unseal();
		assert_true(rc ? !w.n_back : !memcmp(w.back, SECRET, sizeof(SECRET)));
		w.blob[i] ^= 0x40;
	}
	assert_back();
}

/* Wrong passwords for an object that is guarded, until the TPM guards itself. */
static void go_into_lockout(void)
{
	static const TPM2B_AUTH auth = { .size = 5, .buffer = "right" }, wrong = { .size = 5, .buffer = "wrong" };
	const TPM2B_NV_PUBLIC pub = {
		.nvPublic = {
			.nvIndex = 0x1800111, .nameAlg = TPM2_ALG_SHA256, .dataSize = 8,
			.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE,
		},
	};
	const TPM2B_MAX_NV_BUFFER data = { .size = 8 };
	ESYS_CONTEXT *e = swtpm_open(&w.tpm);
	ESYS_TR nv;
	TSS2_RC rc = 0;

	assert_int_equal(Esys_NV_DefineSpace(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &auth,
					     &pub, &nv), 0);
	/* it counts only what would betray something: a write first */
	assert_int_equal(Esys_NV_Write(e, nv, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, 0), 0);
	Esys_TR_SetAuth(e, nv, &wrong);
	for (int i = 0; i < 40 && rc != TPM2_RC_LOCKOUT; i++)
		rc = Esys_NV_Write(e, nv, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, 0);
	assert_int_equal(rc, TPM2_RC_LOCKOUT);
	swtpm_close(&e);
}

/* An SRK of somebody else's that is not exempt from the guard. */
static void make_guarded_srk(void)
{
	const TPM2B_PUBLIC pub = {
		.publicArea = {
			.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
					    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
			.parameters.eccDetail = {
				.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
				.scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
				.kdf.scheme = TPM2_ALG_NULL,
			},
		},
	};
	const TPM2B_SENSITIVE_CREATE none = { 0 };
	const TPML_PCR_SELECTION no_pcrs = { 0 };
	const TPM2B_DATA no_data = { 0 };
	ESYS_CONTEXT *e = swtpm_open(&w.tpm);
	ESYS_TR key, persistent;

	assert_int_equal(Esys_CreatePrimary(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &none,
					    &pub, &no_data, &no_pcrs, &key, NULL, NULL, NULL, NULL), 0);
	assert_int_equal(Esys_EvictControl(e, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
					   0x81000001, &persistent), 0);
	Esys_FlushContext(e, key);
	swtpm_close(&e);
}

static void a_lockout_does_not_touch_us(void **state)
{
	struct tpm_facts f;

	(void)state;
	assert_ok(seal(), &w.err);
	go_into_lockout();
	assert_back();
	assert_ok(seal(), &w.err);
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(tpm_facts(&w.t, &f, &w.err), &w.err);
	tpm_close(&w.t);
	assert_true(f.locked_out);
	assert_int_equal(f.lockout_count, f.lockout_max);
	assert_true(f.owner_enabled);
	assert_false(f.owner_password);
	assert_string_equal(f.maker, "IBM");
}

static void a_lockout_with_a_guarded_srk(void **state)
{
	(void)state;
	make_guarded_srk();
	assert_ok(seal(), &w.err);
	assert_back();
	go_into_lockout();
	assert_refused(VMC_ETPMLOCKOUT, "lockout", "--clear-lockout");
}

/* ---- epochs and starts ------------------------------------------------------------ */

static void only_so_many_starts(void **state)
{
	struct seal_policy p = { .kind = POLICY_OPEN };
	struct tpm_clock c;

	(void)state;
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(tpm_clock(&w.t, &c, &w.err), &w.err);
	tpm_close(&w.t);
	p.max_resets = c.resets + 2;
	assert_ok(seal_with(&p), &w.err);
	swtpm_extend(&w.tpm, 7);
	assert_back();
	swtpm_reboot(&w.tpm);
	assert_back();
	swtpm_reboot(&w.tpm);
	assert_back();
	swtpm_reboot(&w.tpm);
	assert_refused(VMC_ETPMPOLICY, "more often", "reseal");
}

static void the_clock_goes_on(void **state)
{
	struct tpm_clock a, b;

	(void)state;
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(srk_open(&w.t, true, &w.err), &w.err);	/* so that it is authenticated */
	assert_ok(tpm_clock(&w.t, &a, &w.err), &w.err);
	tpm_close(&w.t);
	swtpm_reboot(&w.tpm);
	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(tpm_clock(&w.t, &b, &w.err), &w.err);
	tpm_close(&w.t);
	assert_true(b.ms >= a.ms);
	assert_int_equal(b.resets, a.resets + 1);
	assert_true(b.safe);
}

/* ---- signed policies ---------------------------------------------------------------- */

static EVP_PKEY *signer;

static void write_public_key(void)
{
	const char *path = test_path(w.dir, "public.pem");
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(PEM_write_PUBKEY(f, signer), 1);
	fclose(f);
	snprintf(w.cfg.tpm_public_key, sizeof(w.cfg.tpm_public_key), "%s", path);
	snprintf(w.cfg.tpm_signature, sizeof(w.cfg.tpm_signature), "%s/sig.json", w.dir);
}

/* The policy "PCR 11 as it is now", as the TPM computes it. */
static void policy_now(uint8_t pol[32])
{
	const struct seal_policy p = { .kind = POLICY_PCR, .bank = TPM2_ALG_SHA256, .pcrs = 1 << 11 };
	TPM2B_DIGEST d;

	assert_ok(tpm_open(&w.t, &w.cfg, &w.err), &w.err);
	assert_ok(srk_open(&w.t, true, &w.err), &w.err);
	assert_ok(policy_digest(&w.t, &p, &d, &w.err), &w.err);
	tpm_close(&w.t);
	assert_int_equal(d.size, 32);
	memcpy(pol, d.buffer, 32);
}

static void write_signature(const char *path, const uint8_t pol[32], int spoil)
{
	uint8_t der[POLICY_SIGNER_MAX], fp[32], sig[512];
	char fp_hex[65], pol_hex[65], b64[1024], text[2048];
	size_t n_der, n = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_ok(signer_read(w.cfg.tpm_public_key, der, &n_der, &w.err), &w.err);
	assert_ok(signer_fingerprint(der, n_der, fp, &w.err), &w.err);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, pol, 32), 1);
	EVP_MD_CTX_free(ctx);
	sig[7] ^= spoil ? 1 : 0;
	vmc_hex_encode(fp, 32, fp_hex);
	vmc_hex_encode(pol, 32, pol_hex);
	vmc_base64_encode(sig, n, b64);
	snprintf(text, sizeof(text), "{\"sha256\": [{\"pcrs\": [11], \"pkfp\": \"%s\", \"pol\": \"%s\", \"sig\": \"%s\"}]}",
		 fp_hex, pol_hex, b64);
	test_write_text(path, text);
}

static void sign_now(int spoil)
{
	uint8_t pol[32];

	policy_now(pol);
	write_signature(w.cfg.tpm_signature, pol, spoil);
}

static void a_signed_policy_survives_an_update(void **state)
{
	(void)state;
	write_public_key();
	assert_ok(seal(), &w.err);	/* nothing has to be signed for that */
	assert_refused(VMC_ETPMPOLICY, "no file of signed PCR policies", "systemd-measure");
	sign_now(0);
	assert_back();
	swtpm_extend(&w.tpm, 7);
	assert_back();
	swtpm_extend(&w.tpm, 11);	/* another kernel */
	assert_refused(VMC_ETPMPOLICY, "none of 1 signed", "sign");
	sign_now(0);
	assert_back();
	sign_now(1);
	assert_refused(VMC_EAUTH, "signature", "signed anew");
	test_write_text(w.cfg.tpm_signature, "{\"sha256\": [{}]}");
	assert_refused(VMC_EINVAL, "entry 1", "");
}

/* As systemd-stub measures the kernel: its section's name, then what is in it. */
static void measure(const void *data, size_t n)
{
	TPML_DIGEST_VALUES v = { .count = 1, .digests = { { .hashAlg = TPM2_ALG_SHA256 } } };
	ESYS_CONTEXT *e = swtpm_open(&w.tpm);

	assert_int_equal(EVP_Digest(data, n, v.digests[0].digest.sha256, NULL, EVP_sha256(), NULL), 1);
	assert_int_equal(Esys_PCR_Extend(e, ESYS_TR_PCR11, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &v), 0);
	swtpm_close(&e);
}

/* What the tool of systemd signs is what we take. */
static void systemds_own_tool(void **state)
{
	static const char kernel[] = "a kernel";
	char command[2048], *private;
	FILE *f;

	(void)state;
	if (access("/usr/lib/systemd/systemd-measure", X_OK))
		fail_msg("systemd-measure is not installed; it comes with Debian's systemd");
	private = strdup(test_path(w.dir, "private.pem"));
	write_public_key();
	f = fopen(private, "we");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, signer, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	test_write_text(test_path(w.dir, "kernel"), kernel);
	assert_ok(seal(), &w.err);
	snprintf(command, sizeof(command),
		 "/usr/lib/systemd/systemd-measure sign --linux=%s/kernel --phase=: --bank=sha256 --tpm2-device=%s --private-key=%s --public-key=%s > %s",
		 w.dir, w.tpm.tcti, private, w.cfg.tpm_public_key, w.cfg.tpm_signature);
	free(private);
	if (system(command))
		fail_msg("this failed: %s", command);
	assert_refused(VMC_ETPMPOLICY, "none of 1", "sign");
	measure(".linux", sizeof(".linux"));
	measure(kernel, strlen(kernel));
	assert_back();
}

static void a_key_that_cannot_sign_policies(void **state)
{
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	FILE *f;

	(void)state;
	snprintf(w.cfg.tpm_public_key, sizeof(w.cfg.tpm_public_key), "%s/ec.pem", w.dir);
	assert_code(seal(), VMC_ENOENT, &w.err);
	f = fopen(w.cfg.tpm_public_key, "we");
	PEM_write_PUBKEY(f, ec);
	fclose(f);
	EVP_PKEY_free(ec);
	assert_code(seal(), VMC_ENOTSUP, &w.err);
	assert_contains(w.err.text, "RSA");
	test_write_text(w.cfg.tpm_public_key, "nothing");
	assert_code(seal(), VMC_EINVAL, &w.err);
}

/* ---- the bus --------------------------------------------------------------------------- */

static int capture_has_secret(const char *pcap)
{
	char *data;
	size_t len;
	int found;

	assert_ok(fs_read(pcap, 8 << 20, &data, &len, &w.err), &w.err);
	assert_true(len > 1000);
	found = memmem(data, len, SECRET, 16) != NULL;
	free(data);
	return found;
}

/* The same object, unsealed without a salted session: the capture does see it, so it would have seen it above. */
static void plain_unseal(const char *tcti)
{
	struct vmc_config cfg = w.cfg;
	TPM2B_SENSITIVE_DATA *data = NULL;
	static const TPMT_SYM_DEF no_cipher = { .algorithm = TPM2_ALG_NULL };
	TPML_PCR_SELECTION pcr7 = {
		.count = 1, .pcrSelections = { { .hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = { 0x80 } } },
	};
	ESYS_TR object, session;
	struct blob b;

	snprintf(cfg.tpm_tcti, sizeof(cfg.tpm_tcti), "%s", tcti);
	assert_ok(blob_parse(w.blob, w.n_blob, &b, &w.err), &w.err);
	assert_ok(tpm_open(&w.t, &cfg, &w.err), &w.err);
	assert_ok(srk_open(&w.t, false, &w.err), &w.err);
	assert_int_equal(Esys_Load(w.t.esys, w.t.srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &b.priv, &b.pub,
				   &object), 0);
	assert_int_equal(Esys_StartAuthSession(w.t.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					       ESYS_TR_NONE, NULL, TPM2_SE_POLICY, &no_cipher, TPM2_ALG_SHA256,
					       &session), 0);
	assert_int_equal(Esys_PolicyPCR(w.t.esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &pcr7), 0);
	assert_int_equal(Esys_Unseal(w.t.esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &data), 0);
	assert_memory_equal(data->buffer, SECRET, sizeof(SECRET));
	Esys_Free(data);
	Esys_FlushContext(w.t.esys, object);
	tpm_close(&w.t);
}

static void the_secret_is_not_on_the_bus(void **state)
{
	char tcti[sizeof(w.cfg.tpm_tcti)], *pcap = strdup(test_path(w.dir, "bus.pcap"));

	(void)state;
	setenv("TCTI_PCAP_FILE", pcap, 1);
	snprintf(tcti, sizeof(tcti), "pcap:%.240s", w.tpm.tcti);
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", tcti);
	assert_ok(seal(), &w.err);
	assert_back();
	assert_false(capture_has_secret(pcap));
	unlink(pcap);
	plain_unseal(tcti);
	assert_true(capture_has_secret(pcap));
	unsetenv("TCTI_PCAP_FILE");
	free(pcap);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_secret_comes_back_after_reboots),
		TEST(every_length_and_bank),
		TEST(all_pcrs_at_once),
		TEST(a_persistent_srk_is_used),
		TEST(a_changed_pcr),
		TEST(no_tpm),
		TEST(a_disabled_tpm),
		TEST(a_tpm_with_an_owners_password),
		TEST(a_cleared_tpm),
		TEST(another_tpm),
		TEST(a_forged_name_of_the_srk),
		TEST(a_damaged_pin),
		TEST(a_damaged_blob),
		TEST(a_lockout_does_not_touch_us),
		TEST(a_lockout_with_a_guarded_srk),
		TEST(only_so_many_starts),
		TEST(the_clock_goes_on),
		TEST(a_signed_policy_survives_an_update),
		TEST(systemds_own_tool),
		TEST(a_key_that_cannot_sign_policies),
		TEST(the_secret_is_not_on_the_bus),
	};
	struct vmc_error err = VMC_ERROR_INIT;
	int failed;

	if (secmem_init(1 << 16, &err))
		return 1;
	signer = EVP_RSA_gen(2048);
	failed = cmocka_run_group_tests_name("seal", tests, NULL, NULL);
	EVP_PKEY_free(signer);
	return failed;
}
