// SPDX-License-Identifier: GPL-2.0-or-later
/* The world outside as it is: HTTPS, and this host's TPM. See world.h. */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../../lib/util.h"
#include "../../trust/http/client.h"
#include "../tpm/ak.h"
#include "../tpm/bootfacts.h"
#include "../tpm/ek.h"
#include "../tpm/quote.h"

struct real {
	struct vmc_config cfg;
	struct http_identity id;	/* what this host shows */
};

/* ---- HTTPS ---------------------------------------------------------------------- */

static int real_ask(void *data, const struct trusted_request *r, json_t **answer, struct refusal *why)
{
	const struct http_target target = {
		.name = r->who, .where = r->server->host, .port = r->server->port, .fingerprint = r->server->sha256,
		.also = r->server->also,
	};
	struct real *real = data;
	struct http_client *c;

	*answer = NULL;
	if (http_client_new(&target, &real->id, &c, &why->err))
		return refuse(why, REASON_UNAVAILABLE);
	http_client_call(c, r->path, r->body, r->bearer, r->correlation, vmc_now_ms() + r->timeout_ms, answer, why);
	http_client_free(c);
	return *answer ? 0 : why->err.code;
}

/* ---- the TPM ---------------------------------------------------------------------- */

static int copy(struct trusted_blob *b, const uint8_t *p, size_t n, struct vmc_error *err)
{
	b->p = malloc(n ? n : 1);
	if (!b->p)
		return vmc_fail(err, VMC_ENOMEM, "no memory for what the TPM says");
	memcpy(b->p, p, n);
	b->n = n;
	return 0;
}

/* TPM, EK and AK, for the time of one operation. */
struct session {
	struct tpm t;
	struct tpm_ek *ek;	/* NULL: not needed */
	struct tpm_ak ak;
};

static void session_end(struct session *s)
{
	tpm_ak_close(&s->t, &s->ak);
	if (s->ek)
		tpm_ek_close(&s->t, s->ek);
	free(s->ek);
	tpm_close(&s->t);
}

/* session_end() also after a failure. */
static int session_begin(struct session *s, const struct vmc_config *cfg, bool ek, struct vmc_error *err)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->ak.handle = ESYS_TR_NONE;
	rc = tpm_open(&s->t, cfg, err);
	if (!rc && ek) {
		s->ek = calloc(1, sizeof(*s->ek));
		if (!s->ek)
			return vmc_fail(err, VMC_ENOMEM, "no memory for the endorsement key");
		s->ek->handle = ESYS_TR_NONE;
	}
	if (!rc)
		rc = tpm_ak_open(&s->t, cfg, &s->ak, err);
	if (!rc && ek)
		rc = tpm_ek_open(&s->t, TPM_EK_ANY, s->ek, err);
	return rc;
}

static int real_identify(void *data, struct trusted_identity *id, struct vmc_error *err)
{
	struct real *real = data;
	struct session s;
	int rc;

	rc = session_begin(&s, &real->cfg, true, err);
	if (!rc)
		rc = copy(&id->ek_pub, s.ek->pub, s.ek->n_pub, err);
	if (!rc)
		rc = copy(&id->ak_pub, s.ak.pub, s.ak.n_pub, err);
	if (!rc && s.ek->n_cert)
		rc = copy(&id->ek_cert, s.ek->cert, s.ek->n_cert, err);
	for (size_t i = 0; !rc && i < s.ek->n_chain && i < TRUSTED_CHAIN_MAX; i++)
		rc = copy(&id->ek_chain[i], s.ek->chain[i], s.ek->n_chain_der[i], err);
	session_end(&s);
	return rc;
}

static int real_activate(void *data, const struct trusted_blob *id_object, const struct trusted_blob *encrypted,
			 uint8_t secret[TRUSTED_SECRET_MAX], size_t *n, struct vmc_error *err)
{
	struct real *real = data;
	struct session s;
	int rc;

	_Static_assert(TRUSTED_SECRET_MAX >= TPM_AK_SECRET_MAX, "the secret fits");
	rc = session_begin(&s, &real->cfg, true, err);
	if (!rc)
		rc = tpm_ak_activate(&s.t, &s.ak, s.ek, id_object->p, id_object->n, encrypted->p, encrypted->n, secret, n, err);
	session_end(&s);
	return rc;
}

static int take_quote(const struct tpm_quote *from, struct trusted_quote *q, struct vmc_error *err)
{
	int rc = copy(&q->quote, from->attest, from->n_attest, err);

	if (!rc)
		rc = copy(&q->signature, from->signature, from->n_signature, err);
	q->pcrs = from->mask;
	for (unsigned int i = 0; i < TPM_QUOTE_PCRS; i++)
		memcpy(q->pcr[i], from->value[i], sizeof(q->pcr[i]));
	return rc;
}

static int real_quote(void *data, uint32_t pcrs, const uint8_t extra[32], struct trusted_quote *out, struct vmc_error *err)
{
	struct tpm_quote *q = calloc(1, sizeof(*q));
	struct real *real = data;
	struct session s;
	int rc;

	if (!q)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a quote");
	rc = session_begin(&s, &real->cfg, false, err);
	if (!rc && s.ak.made)
		rc = vmc_fail(err, VMC_ESTATE, "this host's attestation key is new: the TPM is another one, or was cleared");
	if (!rc)
		rc = tpm_quote(&s.t, &s.ak, TPM2_ALG_SHA256, pcrs, extra, q, err);
	if (!rc)
		rc = take_quote(q, out, err);
	session_end(&s);
	free(q);
	return rc;
}

static int real_event_log(void *data, struct trusted_blob *log, struct vmc_error *err)
{
	(void)data;
	return bootfacts_event_log(&log->p, &log->n, err);
}

static int real_boot(void *data, struct trusted_boot *b, struct vmc_error *err)
{
	struct real *real = data;
	struct tpm_clock clock;
	struct bootfacts f;
	struct utsname u;
	struct tpm t;
	int rc;

	rc = tpm_open(&t, &real->cfg, err);
	if (!rc)
		rc = tpm_clock(&t, &clock, err);
	tpm_close(&t);
	if (!rc)
		rc = bootfacts_read(&real->cfg, &clock, &f, err);
	if (rc)
		return rc;
	b->quick = f.quick_boot;
	snprintf(b->id, sizeof(b->id), "%s", f.boot_id);
	snprintf(b->kernel, sizeof(b->kernel), "%s", uname(&u) ? "" : u.release);
	return 0;
}

/* ---- life -------------------------------------------------------------------------- */

static void real_free(void *data)
{
	struct real *real = data;

	http_identity_close(&real->id);
	free(real);
}

int trusted_world_real(struct trusted_world *w, const struct vmc_config *cfg, struct vmc_error *err)
{
	struct real *real = calloc(1, sizeof(*real));
	char dir[300], host[65] = "";
	int rc;

	if (!real)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a trusted key provider");
	real->cfg = *cfg;
	snprintf(dir, sizeof(dir), "%s/peer", cfg->state_dir);
	if (gethostname(host, sizeof(host) - 1) || !host[0])
		snprintf(host, sizeof(host), "localhost");
	rc = http_identity_open(dir, host, &real->id, err);
	if (rc) {
		free(real);
		return rc;
	}
	*w = (struct trusted_world){
		.ask = real_ask, .identify = real_identify, .activate = real_activate, .quote = real_quote,
		.event_log = real_event_log, .boot = real_boot, .free = real_free, .data = real,
	};
	return 0;
}
