// SPDX-License-Identifier: GPL-2.0-or-later
/* The trusted host's half of attestation: what is known, and who is told. See agent.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/log.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "../registry.h"
#include "agent_priv.h"

const char *agent_state_name(enum agent_state s)
{
	static const char *const names[] = {
		[AGENT_UNKNOWN] = "unknown", [AGENT_ENROLLED] = "enrolled", [AGENT_ATTESTING] = "attesting",
		[AGENT_ATTESTED] = "attested", [AGENT_FAILED] = "failed",
	};

	return names[s];
}

void trusted_blob_free(struct trusted_blob *b)
{
	free(b->p);
	*b = (struct trusted_blob){ NULL, 0 };
}

void trusted_identity_clear(struct trusted_identity *id)
{
	trusted_blob_free(&id->ek_cert);
	trusted_blob_free(&id->ek_pub);
	trusted_blob_free(&id->ak_pub);
	for (unsigned int i = 0; i < TRUSTED_CHAIN_MAX; i++)
		trusted_blob_free(&id->ek_chain[i]);
}

void trusted_quote_clear(struct trusted_quote *q)
{
	trusted_blob_free(&q->quote);
	trusted_blob_free(&q->signature);
}

/* ---- receipts ----------------------------------------------------------------- */

static void receipt_path(const struct agent *a, const char *file, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", a->dir, file);
}

/* What a token may be made of: anything else would not even be sent. */
static bool is_token(const char *text, size_t n)
{
	return n && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == n;
}

int receipt_load(struct agent *a, const char *file, char **text, struct vmc_error *err)
{
	struct vmc_error local = VMC_ERROR_INIT;
	char path[PATH_MAX];
	size_t n;
	int rc;

	receipt_path(a, file, path);
	rc = fs_read(path, RECEIPT_MAX, text, &n, &local);
	if (!rc && !is_token(*text, n)) {
		log_warn("provider %s: '%s' is damaged; there is another after the next attestation", a->name, path);
		free(*text);
		rc = VMC_ENOENT;
	}
	if (rc == VMC_ENOENT) {
		*text = NULL;
		return 0;
	}
	if (rc && err)
		*err = local;
	return rc;
}

int receipt_keep(struct agent *a, const char *file, const char *text, char **kept, struct vmc_error *err)
{
	char *copy = text ? strdup(text) : NULL, path[PATH_MAX];
	int rc;

	if (text && !copy)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a receipt");
	receipt_path(a, file, path);
	rc = fs_mkdirs(a->dir, 0700, err);
	if (!rc)
		rc = text ? fs_replace(path, text, strlen(text), 0600, err) : fs_unlink(path, err);
	if (rc) {
		free(copy);
		return rc;
	}
	free(*kept);
	*kept = copy;
	return 0;
}

/* ---- tokens --------------------------------------------------------------------- */

void token_free(struct agent_token *t)
{
	if (!t)
		return;
	free(t->jwt);
	EVP_PKEY_free(t->key);	/* wiped */
	free(t);
}

static struct agent_token *token_get(struct agent *a)
{
	if (!a->token || vmc_now_ms() >= a->token->end_ms)
		return NULL;
	a->token->refs++;
	return a->token;
}

/* Under the lock. */
static void token_unref(struct agent_token *t)
{
	if (t && !t->refs--)
		token_free(t);
}

void agent_put(struct agent *a, struct agent_token *t)
{
	pthread_mutex_lock(&a->lock);
	token_unref(t);
	pthread_mutex_unlock(&a->lock);
}

/* Under the lock. */
static void token_set(struct agent *a, struct agent_token *t)
{
	token_unref(a->token);
	a->token = t;
}

void agent_drop(struct agent *a, const struct agent_token *t)
{
	pthread_mutex_lock(&a->lock);
	if (a->token == t)
		token_set(a, NULL);
	pthread_mutex_unlock(&a->lock);
}

/* ---- who is told ------------------------------------------------------------------ */

static pthread_rwlock_t hook_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct agent_hook hook;

void agent_set_hook(const struct agent_hook *new)
{
	pthread_rwlock_wrlock(&hook_lock);
	hook = new ? *new : (struct agent_hook){ .data = NULL };
	pthread_rwlock_unlock(&hook_lock);
}

static void tell(const struct agent *a, const char *what, const struct vmc_error *why, const char *correlation)
{
	pthread_rwlock_rdlock(&hook_lock);
	if (hook.told)
		hook.told(a->name, what, why, correlation, hook.data);
	pthread_rwlock_unlock(&hook_lock);
}

/* ---- one walk ------------------------------------------------------------------------ */

int walk_fail(struct walk *w, const struct vmc_error *err)
{
	refusal_clear(&w->why);
	w->why.err = *err;
	snprintf(w->why.reason, sizeof(w->why.reason), "host");
	return err->code;
}

int walk_nonsense(struct walk *w, const char *what)
{
	refusal_clear(&w->why);
	vmc_fail(&w->why.err, VMC_EPROTO, "the attestation service of '%s' answers with %s (correlation %s)", w->au->name,
		 message_say(what), w->correlation);
	vmc_hint(&w->why.err, "is it of the same version as this vmcryptd? 'vmcrypt trust status' there");
	return refuse(&w->why, REASON_UNAVAILABLE);
}

int walk_ask(struct walk *w, const char *path, json_t *body, json_t **answer)
{
	char who[TRUSTED_NAME_MAX + 64];
	const struct trusted_request r = {
		.who = who, .server = &w->au->attest, .path = path, .body = body, .correlation = w->correlation,
		.timeout_ms = REQUEST_TIMEOUT_MS,
	};
	struct vmc_error err = VMC_ERROR_INIT;
	int rc;

	*answer = NULL;
	if (!body) {
		vmc_fail(&err, VMC_ENOMEM, "no memory for a request to an attestation service");
		return walk_fail(w, &err);
	}
	refusal_clear(&w->why);
	snprintf(who, sizeof(who), _("attestation service of '%s'"), w->au->name);
	log_debug("provider %s: %s at %s:%u (correlation %s)", w->a->name, path, r.server->host, r.server->port,
		  w->correlation);
	rc = w->a->w.ask(w->a->w.data, &r, answer, &w->why);
	json_decref(body);
	return rc;
}

static bool reason_is(const struct walk *w, const char *reason)
{
	return !strcmp(w->why.reason, reason);
}

/* Something that was true once is not any more: what may be done about it here and now. */
static bool can_mend(struct walk *w, int code)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (reason_is(w, REASON_NONCE_EXPIRED))
		return true;
	if (reason_is(w, REASON_RESET_COUNT_CHANGED) && w->a->boot_receipt)
		return !receipt_keep(w->a, BOOT_RECEIPT, NULL, &w->a->boot_receipt, &err);
	/* the authority forgot us, or the TPM was cleared and has another AK */
	if (reason_is(w, REASON_AK_UNKNOWN) || (reason_is(w, "host") && code == VMC_ESTATE))
		return !receipt_keep(w->a, AK_RECEIPT, NULL, &w->a->ak_receipt, &err);
	return false;
}

static int walk_one(struct walk *w, struct agent_token **t, json_t **said)
{
	int rc = VMC_EINTERNAL;

	for (int i = 0; i < 2; i++) {
		rc = w->a->ak_receipt ? 0 : enrol(w);
		if (!rc)
			rc = attest(w, t, said);
		if (!rc || !can_mend(w, rc))
			break;
		log_info("provider %s: once more, after '%s': %s", w->a->name, w->why.reason, w->why.err.text);
	}
	return rc;
}

/* What to do, when the authority does not say. */
static void add_hint(struct refusal *r)
{
	if (r->err.hint[0])
		return;
	if (!strcmp(r->reason, REASON_POLICY_MISMATCH))
		vmc_hint(&r->err, "'vmcrypt trust host-image export --out FILE' here, 'vmcrypt trust base-image import FILE' at the authority; remove the old image when all hosts are upgraded");
	else if (!strcmp(r->reason, REASON_QUICK_BOOT))
		vmc_hint(&r->err, "reboot this host in full: what it booted before Quick Boot was never attested");
	else if (!strcmp(r->reason, REASON_EK_UNTRUSTED))
		vmc_hint(&r->err, "'vmcrypt trust ca add' with the CA of its maker, or 'vmcrypt trust ek add' with this TPM alone, at the authority");
}

/* Every authority, until one attests. A refusal says more than silence does. */
static int walk_all(struct agent *a, struct agent_token **t, json_t **said, struct refusal *why,
		    char correlation[HTTP_CORRELATION])
{
	struct refusal kept = { .details = NULL };
	struct walk w;
	int rc = VMC_EINTERNAL;

	memset(&kept.err, 0, sizeof(kept.err));
	for (unsigned int i = 0; i < a->conf.n; i++) {
		memset(&w, 0, sizeof(w));
		w.a = a;
		w.au = &a->conf.a[(a->first + i) % a->conf.n];
		http_correlation_new(w.correlation);
		rc = walk_one(&w, t, said);
		if (rc && (!kept.err.code || !strcmp(kept.reason, REASON_UNAVAILABLE))) {
			refusal_clear(&kept);
			kept = w.why;
			memset(&w.why, 0, sizeof(w.why));
			memcpy(correlation, w.correlation, HTTP_CORRELATION);
		}
		refusal_clear(&w.why);
		if (!rc) {
			memcpy(correlation, w.correlation, HTTP_CORRELATION);
			a->first = (unsigned int)(w.au - a->conf.a);
			refusal_clear(&kept);
			return 0;
		}
		if (!strcmp(kept.reason, "host"))	/* our own fault, everywhere the same */
			break;
	}
	add_hint(&kept);
	*why = kept;
	return kept.err.code;
}

/* ---- outcomes ------------------------------------------------------------------------- */

/* Of a refusal the code that says so, whatever the service called it. */
static int outcome_code(const struct refusal *why)
{
	bool host = !strcmp(why->reason, "host");

	if (!strcmp(why->reason, REASON_UNAVAILABLE))
		return why->err.code;
	/* what the TPM says, and what is only our own trouble, has codes of its own; a log that is not there has not */
	if (host && (why->err.code == VMC_ENOMEM || why->err.code == VMC_EINTERNAL || why->err.code <= VMC_ENOTPM))
		return why->err.code;
	return VMC_ENOTATTESTED;
}

/* Under the lock. What is to be told, or NULL. */
static const char *set_passed(struct agent *a, struct agent_token *t, json_t *said)
{
	const char *what = a->state == AGENT_ATTESTED ? NULL : "passed";

	token_set(a, t);
	json_decref(a->said);
	a->said = said;
	a->state = AGENT_ATTESTED;
	a->code = 0;
	a->reason[0] = '\0';
	a->why = (struct vmc_error)VMC_ERROR_INIT;
	return what;
}

static const char *set_failed(struct agent *a, enum agent_state before, const struct refusal *why)
{
	bool silent = !strcmp(why->reason, REASON_UNAVAILABLE);
	bool good = a->token && vmc_now_ms() < a->token->end_ms, news = strcmp(a->reason, why->reason) != 0;

	a->failures++;
	a->code = outcome_code(why);
	a->why = why->err;
	a->why.code = a->code;
	snprintf(a->reason, sizeof(a->reason), "%s", why->reason);
	if (silent && good) {		/* it is good until its end */
		a->state = AGENT_ATTESTED;
		return NULL;
	}
	token_set(a, NULL);
	json_decref(a->said);
	a->said = json_object();
	if (why->details)
		json_object_set(a->said, "details", why->details);
	if (!silent) {
		a->state = AGENT_FAILED;
		return before != AGENT_FAILED || news ? "failed" : NULL;
	}
	a->state = AGENT_UNKNOWN;
	return before == AGENT_ATTESTED || before == AGENT_FAILED ? "unset" : NULL;
}

/* Under @work. */
static int attest_now(struct agent *a, bool fresh, struct vmc_error *err)
{
	struct refusal why = { .details = NULL };
	char correlation[HTTP_CORRELATION] = "";
	struct agent_token *t = NULL;
	enum agent_state before;
	json_t *said = NULL;
	const char *what;
	int rc = 0;

	memset(&why.err, 0, sizeof(why.err));
	pthread_mutex_lock(&a->lock);
	before = a->state;
	a->attempts++;
	/* who was refused stays so until there is another answer */
	if (before != AGENT_FAILED && (before != AGENT_ATTESTED || !a->token || vmc_now_ms() >= a->token->end_ms))
		a->state = AGENT_ATTESTING;
	pthread_mutex_unlock(&a->lock);
	if (fresh && receipt_keep(a, AK_RECEIPT, NULL, &a->ak_receipt, &why.err)) {
		snprintf(why.reason, sizeof(why.reason), "host");
		rc = why.err.code;
	}
	if (!rc)
		rc = walk_all(a, &t, &said, &why, correlation);
	pthread_mutex_lock(&a->lock);
	a->enrolled = a->ak_receipt != NULL;
	memcpy(a->correlation, correlation, sizeof(correlation));
	if (before != AGENT_ATTESTED && a->state == AGENT_ATTESTING)
		a->state = before;
	what = rc ? set_failed(a, before, &why) : set_passed(a, t, said);
	rc = a->code;
	if (rc && err)
		*err = a->why;
	pthread_mutex_unlock(&a->lock);
	if (what)
		tell(a, what, rc ? &why.err : NULL, correlation);
	refusal_clear(&why);
	return rc;
}

int agent_attest(struct agent *a, enum agent_how how, struct vmc_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&a->work);
	if (how != AGENT_IF_DUE || !agent_due(a))
		rc = attest_now(a, how == AGENT_ENROL, err);
	pthread_mutex_unlock(&a->work);
	return rc;
}

int agent_token(struct agent *a, struct agent_token **t, struct vmc_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	*t = token_get(a);
	pthread_mutex_unlock(&a->lock);
	if (*t)
		return 0;
	pthread_mutex_lock(&a->work);
	pthread_mutex_lock(&a->lock);
	*t = token_get(a);	/* another thread was faster */
	pthread_mutex_unlock(&a->lock);
	if (!*t)
		rc = attest_now(a, false, err);
	if (!*t && !rc) {
		pthread_mutex_lock(&a->lock);
		*t = token_get(a);
		pthread_mutex_unlock(&a->lock);
		if (!*t)
			rc = vmc_fail(err, VMC_ETIMEDOUT, "the token of provider '%s' ended before it could be used", a->name);
	}
	pthread_mutex_unlock(&a->work);
	return rc;
}

unsigned int agent_due(struct agent *a)
{
	uint64_t now = vmc_now_ms(), at;

	pthread_mutex_lock(&a->lock);
	at = a->token ? a->token->renew_ms : 0;
	pthread_mutex_unlock(&a->lock);
	return at <= now ? 0 : (unsigned int)((at - now + 999) / 1000);
}

bool agent_is_good(struct agent *a)
{
	bool good;

	pthread_mutex_lock(&a->lock);
	good = a->token && vmc_now_ms() < a->token->end_ms;
	pthread_mutex_unlock(&a->lock);
	return good;
}

bool agent_is_refused(struct agent *a)
{
	bool refused;

	pthread_mutex_lock(&a->lock);
	refused = a->state == AGENT_FAILED;
	pthread_mutex_unlock(&a->lock);
	return refused;
}

/* ---- status ----------------------------------------------------------------------------- */

json_t *agent_status(struct agent *a)
{
	enum agent_state state;
	json_t *o;

	pthread_mutex_lock(&a->lock);
	state = a->state;
	if (state == AGENT_ATTESTED && (!a->token || vmc_now_ms() >= a->token->end_ms))
		state = AGENT_ENROLLED;		/* nobody needed another token yet */
	o = json_pack("{s:s, s:s, s:s, s:b, s:I, s:I}", "provider", a->name, "state", agent_state_name(state), "cluster",
		      a->conf.cluster, "enrolled", a->enrolled, "attempts", (json_int_t)a->attempts, "failures",
		      (json_int_t)a->failures);
	if (o && a->said)
		json_object_update_missing(o, a->said);
	if (o && a->correlation[0])
		json_object_set_new(o, "correlation", json_string(a->correlation));
	if (o && a->code) {
		json_object_set_new(o, "reason", json_string(a->reason));
		json_object_set_new(o, "code", json_string(vmc_code_name(a->code)));
		json_object_set_new(o, "error", json_string(a->why.text));
		json_object_set_new(o, "hint", json_string(a->why.hint));
	}
	pthread_mutex_unlock(&a->lock);
	return o;
}

const struct trusted_world *agent_world(const struct agent *a)
{
	return &a->w;
}

const struct trusted_conf *agent_conf(const struct agent *a)
{
	return &a->conf;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void dir_of(const struct vmc_config *cfg, const char *name, char *out, size_t n)
{
	snprintf(out, n, "%s/trust/%s", cfg->state_dir, name);
}

int agent_new(struct agent **ret, const char *name, const struct trusted_conf *conf, const struct vmc_config *cfg,
	      const struct trusted_world *w, struct vmc_error *err)
{
	struct agent *a = calloc(1, sizeof(*a));
	int rc;

	*ret = NULL;
	if (!a) {
		if (w->free)
			w->free(w->data);
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	}
	a->w = *w;
	a->conf = *conf;
	snprintf(a->conf_path, sizeof(a->conf_path), "%s/providers/%s/" PROVIDER_CONF, cfg->config_dir, name);
	snprintf(a->name, sizeof(a->name), "%s", name);
	dir_of(cfg, name, a->dir, sizeof(a->dir));
	if (gethostname(a->host, sizeof(a->host) - 1) || !a->host[0])
		snprintf(a->host, sizeof(a->host), "localhost");
	pthread_mutex_init(&a->work, NULL);
	pthread_mutex_init(&a->lock, NULL);
	rc = receipt_load(a, AK_RECEIPT, &a->ak_receipt, err);
	if (!rc)
		rc = receipt_load(a, BOOT_RECEIPT, &a->boot_receipt, err);
	if (rc) {
		agent_free(a);
		return rc;
	}
	a->enrolled = a->ak_receipt != NULL;
	a->state = a->enrolled ? AGENT_ENROLLED : AGENT_UNKNOWN;
	*ret = a;
	return 0;
}

void agent_forget(const struct vmc_config *cfg, const char *name)
{
	struct agent a = { .enrolled = false };
	struct vmc_error err = VMC_ERROR_INIT;
	char path[PATH_MAX];

	dir_of(cfg, name, a.dir, sizeof(a.dir));
	snprintf(a.name, sizeof(a.name), "%s", name);
	receipt_path(&a, AK_RECEIPT, path);
	if (fs_unlink(path, &err))
		log_warn("provider %s: %s", name, err.text);
	receipt_path(&a, BOOT_RECEIPT, path);
	if (fs_unlink(path, &err))
		log_warn("provider %s: %s", name, err.text);
	if (!rmdir(a.dir))
		tell(&a, "unset", NULL, "");
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	token_unref(a->token);
	json_decref(a->said);
	free(a->ak_receipt);
	free(a->boot_receipt);
	if (a->w.free)
		a->w.free(a->w.data);
	pthread_mutex_destroy(&a->work);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
