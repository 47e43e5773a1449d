// SPDX-License-Identifier: GPL-2.0-or-later
/* What may be in a desired state: tables of members, and one walk over them. See tstate.h. */
#include "tstate.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "state.h"

#define PEM_MAX		(16u << 10)
#define TEXT_MAX	255
#define EVENT_TEXT_MAX	1024
#define EVENTS_MAX	4096
#define EVENT_MEMBERS_MAX 16
#define SERVERS_MAX	16
#define PINS_MAX	32
#define TIME_MAX	253402300799	/* the end of the year 9999 */

struct member;

/* Where the walk is, for words: "authorities[2].kmx_cert". */
struct walk {
	char path[160];
	struct vmc_error *err;
};

typedef int (*check_fn)(struct walk *w, const json_t *v, const struct member *m);

struct member {
	const char *name;
	check_fn check;
	bool optional;
	json_int_t min, max;		/* of a number, of the bytes of a text, of the elements of a list */
	const struct member *members;	/* of an object, or of each in a list; ends with a NULL name */
	const char *unique[3];		/* members of the elements that may come once in the list only */
	const char *words;		/* "a|b": the choices */
};

/* @why is a sentence of N_(). */
static int bad(const struct walk *w, const char *why)
{
	return vmc_fail(w->err, VMC_EINVAL, "the desired state is refused: %s: %s", *w->path ? w->path : "state",
			message_say(why));
}

/* ---- values ----------------------------------------------------------------------- */

static bool has_control(const char *s, bool lines)
{
	for (; *s; s++)
		if (((unsigned char)*s < ' ' && !(lines && *s == '\n')) || *s == 0x7f)
			return true;
	return false;
}

static int check_text(struct walk *w, const json_t *v, const struct member *m)
{
	const char *s = json_string_value(v);

	if (!s)
		return bad(w, N_("it is not a text"));
	if (json_string_length(v) != strlen(s) || has_control(s, false))
		return bad(w, N_("it has control characters"));
	if (strlen(s) < (size_t)m->min)
		return bad(w, N_("it is empty"));
	return strlen(s) > (size_t)m->max ? bad(w, N_("it is too long")) : 0;
}

static int check_name(struct walk *w, const json_t *v, const struct member *m)
{
	(void)m;
	if (json_is_string(v) && vmc_name_ok(json_string_value(v), TRUST_NAME_MAX))
		return 0;
	return bad(w, N_("it is not a name: 1 to 63 of A-Z a-z 0-9 . _ -, not beginning with a dot or dash"));
}

static bool is_port(const char *s)
{
	size_t n = strlen(s);
	long port = n >= 1 && n <= 5 && strspn(s, "0123456789") == n ? strtol(s, NULL, 10) : 0;

	return port >= 1 && port <= 65535;
}

/* HOST:PORT, [ADDRESS]:PORT */
static int check_address(struct walk *w, const json_t *v, const struct member *m)
{
	static const char why[] = N_("it is not HOST:PORT");
	const char *s = json_string_value(v), *colon;
	size_t n;

	(void)m;
	colon = s ? strrchr(s, ':') : NULL;
	if (!colon || colon == s || strlen(s) > TEXT_MAX || !is_port(colon + 1))
		return bad(w, why);
	n = colon - s;
	if (*s == '[')
		return n > 2 && s[n - 1] == ']' && strspn(s + 1, "0123456789abcdefABCDEF:.") == n - 2 ? 0 : bad(w, why);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(".-_", s[i]))
			return bad(w, why);
	return 0;
}

static int check_hex(struct walk *w, const json_t *v, const struct member *m)
{
	const char *s = json_string_value(v);

	(void)m;
	if (s && strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64)
		return 0;
	return bad(w, N_("it is not the SHA-256 of something: 64 digits 0-9 a-f"));
}

static int check_pin(struct walk *w, const json_t *v, const struct member *m)
{
	const char *s = json_string_value(v);
	struct cert_pin pin;

	(void)m;
	if (s && strlen(s) <= TEXT_MAX && !cert_pin_parse(s, &pin, NULL))
		return 0;
	return bad(w, N_("it is not a fingerprint"));
}

static int check_int(struct walk *w, const json_t *v, const struct member *m)
{
	if (!json_is_integer(v))
		return bad(w, N_("it is not a whole number"));
	if (json_integer_value(v) >= m->min && json_integer_value(v) <= m->max)
		return 0;
	return vmc_fail(w->err, VMC_EINVAL, "the desired state is refused: %s: it must be from %lld to %lld", w->path,
			(long long)m->min, (long long)m->max);
}

static int check_bool(struct walk *w, const json_t *v, const struct member *m)
{
	(void)m;
	return json_is_boolean(v) ? 0 : bad(w, N_("it is neither true nor false"));
}

static int check_word(struct walk *w, const json_t *v, const struct member *m)
{
	const char *s = json_string_value(v);
	size_t n = s && !strchr(s, '|') ? strlen(s) : 0;

	for (const char *p = m->words; n && p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (!strncmp(p, s, n) && (p[n] == '|' || !p[n]))
			return 0;
	return vmc_fail(w->err, VMC_EINVAL, "the desired state is refused: %s: it is none of %s", w->path, m->words);
}

/* One certificate, written the way that OpenSSL writes it. */
static X509 *one_certificate(const json_t *v)
{
	const char *s = json_string_value(v);
	STACK_OF(X509) *chain = NULL;
	X509 *x = NULL;

	if (!s || json_string_length(v) != strlen(s) || strlen(s) > PEM_MAX || has_control(s, true) ||
	    cert_chain_from_pem(s, "certificate", &chain, NULL))
		return NULL;
	if (sk_X509_num(chain) == 1)
		x = sk_X509_shift(chain);
	cert_chain_free(chain);
	return x;
}

static int check_cert(struct walk *w, const json_t *v, const struct member *m)
{
	X509 *x = one_certificate(v);

	(void)m;
	X509_free(x);
	return x ? 0 : bad(w, N_("it is not one certificate in PEM"));
}

static int check_ca(struct walk *w, const json_t *v, const struct member *m)
{
	X509 *x = one_certificate(v);
	bool ca = x && X509_check_ca(x) > 0;

	(void)m;
	X509_free(x);
	ERR_clear_error();
	if (!x)
		return bad(w, N_("it is not one certificate in PEM"));
	return ca ? 0 : bad(w, N_("it is not the certificate of a certification authority (CA)"));
}

/* SHA-256 of the SubjectPublicKeyInfo in hex; false: not one. */
static bool spki_id(const json_t *v, char out[65])
{
	const char *s = json_string_value(v);
	uint8_t *der = NULL, hash[SHA256_DIGEST_LENGTH];
	EVP_PKEY *key = NULL;
	int n = -1;
	BIO *b;

	if (!s || json_string_length(v) != strlen(s) || strlen(s) > PEM_MAX || has_control(s, true))
		return false;
	b = BIO_new_mem_buf(s, -1);
	if (b)
		key = PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
	BIO_free(b);
	if (key)
		n = i2d_PUBKEY(key, &der);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (n <= 0)
		return false;
	SHA256(der, n, hash);
	OPENSSL_free(der);
	vmc_hex_encode(hash, sizeof(hash), out);
	return true;
}

static int check_spki(struct walk *w, const json_t *v, const struct member *m)
{
	char id[65];

	(void)m;
	return spki_id(v, id) ? 0 : bad(w, N_("it is not a public key in PEM"));
}

/* ---- objects and lists ------------------------------------------------------------- */

/* Go to the member @name, or with it NULL to the element @i; returns the length to go back to. */
static size_t enter(struct walk *w, const char *name, size_t i)
{
	size_t n = strlen(w->path);

	if (name)
		snprintf(w->path + n, sizeof(w->path) - n, "%s%.40s", n ? "." : "", name);
	else
		snprintf(w->path + n, sizeof(w->path) - n, "[%zu]", i);
	return n;
}

static const struct member *find_member(const struct member *members, const char *name)
{
	while (members->name && strcmp(members->name, name))
		members++;
	return members->name ? members : NULL;
}

static int check_object(struct walk *w, const json_t *v, const struct member *m)
{
	const json_t *child;
	const char *name;
	size_t back;
	int rc = 0;

	if (!json_is_object(v))
		return bad(w, N_("it is not an object"));
	json_object_foreach((json_t *)v, name, child) {
		if (find_member(m->members, name))
			continue;
		enter(w, name, 0);
		utf8_make_valid(w->path);
		return bad(w, N_("there is no such member"));
	}
	for (const struct member *c = m->members; c->name && !rc; c++) {
		child = json_object_get(v, c->name);
		if (!child && c->optional)
			continue;
		back = enter(w, c->name, 0);
		rc = child ? c->check(w, child, c) : bad(w, N_("it is missing"));
		if (!rc)
			w->path[back] = '\0';
	}
	return rc;
}

/* Among the elements of @list, is @key's value there once only? */
static int check_unique(struct walk *w, const json_t *list, const char *key)
{
	json_t *seen = json_object();
	const json_t *e, *v;
	size_t i;
	int rc = seen ? 0 : vmc_fail(w->err, VMC_ENOMEM, "no memory to check the desired state");

	json_array_foreach(list, i, e) {
		v = json_object_get(e, key);
		if (rc || !v)
			continue;
		if (json_object_get(seen, json_string_value(v))) {
			enter(w, NULL, i);
			enter(w, key, 0);
			rc = bad(w, N_("another one has the same"));
		} else if (json_object_set_new(seen, json_string_value(v), json_true())) {
			rc = vmc_fail(w->err, VMC_ENOMEM, "no memory to check the desired state");
		}
	}
	json_decref(seen);
	return rc;
}

static int check_list(struct walk *w, const json_t *v, const struct member *m)
{
	const json_t *e;
	size_t i, back;
	int rc;

	if (!json_is_array(v))
		return bad(w, N_("it is not a list"));
	if (json_array_size(v) > (size_t)m->max)
		return vmc_fail(w->err, VMC_EINVAL, "the desired state is refused: %s: more than %lld of them", w->path,
				(long long)m->max);
	if (json_array_size(v) < (size_t)m->min)
		return bad(w, N_("it is empty"));
	json_array_foreach(v, i, e) {
		back = enter(w, NULL, i);
		rc = m->members->name ? check_object(w, e, m) : m->members->check(w, e, m->members);
		if (rc)
			return rc;
		w->path[back] = '\0';
	}
	for (size_t u = 0; u < ARRAY_SIZE(m->unique) && m->unique[u]; u++) {
		rc = check_unique(w, v, m->unique[u]);
		if (rc)
			return rc;
	}
	return 0;
}

/* PCR numbers, each once. */
static int check_pcrs(struct walk *w, const json_t *v, const struct member *m)
{
	unsigned int seen = 0;
	const json_t *e;
	size_t i;
	int rc = check_list(w, v, m);

	if (rc)
		return rc;
	json_array_foreach(v, i, e) {
		if (seen & 1u << json_integer_value(e))
			return bad(w, N_("a number comes twice"));
		seen |= 1u << json_integer_value(e);
	}
	return 0;
}

/* What was measured once: texts, numbers and truths under short names. */
static int check_flat(struct walk *w, const json_t *v, const struct member *m)
{
	const struct member text = { .min = 0, .max = EVENT_TEXT_MAX };
	const json_t *child;
	const char *name;
	size_t back;
	int rc = 0;

	(void)m;
	if (!json_is_object(v) || json_object_size(v) > EVENT_MEMBERS_MAX)
		return bad(w, N_("it is not an object of a few members"));
	json_object_foreach((json_t *)v, name, child) {
		if (!vmc_name_ok(name, TRUST_NAME_MAX))
			return bad(w, N_("a member's name is not one"));
		back = enter(w, name, 0);
		if (json_is_string(child))
			rc = check_text(w, child, &text);
		else if (!json_is_integer(child) && !json_is_boolean(child))
			rc = bad(w, N_("it is no text, whole number or truth"));
		if (rc)
			return rc;
		w->path[back] = '\0';
	}
	return 0;
}

/* ---- the tables -------------------------------------------------------------------- */

static const struct member authority[] = {
	{ .name = "name", .check = check_name },
	{ .name = "attest", .check = check_address },
	{ .name = "attest_cert", .check = check_cert },
	{ .name = "attest_also", .check = check_cert, .optional = true },
	{ .name = "kmx", .check = check_address },
	{ .name = "kmx_cert", .check = check_cert },
	{ .name = "kmx_also", .check = check_cert, .optional = true },
	{ .name = "token_key", .check = check_spki },
	{ .name = "version", .check = check_text, .min = 1, .max = TEXT_MAX },
	{ .name = NULL },
};

static const struct member ca_certificate[] = {
	{ .name = "name", .check = check_name },
	{ .name = "pem", .check = check_ca },
	{ .name = NULL },
};

static const struct member ek[] = {
	{ .name = "name", .check = check_name },
	{ .name = "ek", .check = check_hex },
	{ .name = "pub", .check = check_spki },
	{ .name = NULL },
};

static const struct member tpm2[] = {
	{ .name = "require_ek_certificate", .check = check_bool },
	{ .name = "ca_certificates", .check = check_list, .max = TSTATE_CA_MAX, .members = ca_certificate,
	  .unique = { "name", "pem" } },
	{ .name = "eks", .check = check_list, .max = TSTATE_EKS_MAX, .members = ek, .unique = { "name", "ek" } },
	{ .name = NULL },
};

/* Those of a base image; the others are the running system's, of which no log of the firmware tells. */
static const struct member pcr = { .check = check_int, .min = 0, .max = 15 };

static const struct member policy[] = {
	{ .name = "pcrs", .check = check_pcrs, .min = 1, .max = 16, .members = &pcr },
	{ .name = "secure_boot", .check = check_bool },
	{ .name = "token_lifetime", .check = check_int, .min = TSTATE_LIFETIME_MIN, .max = TSTATE_LIFETIME_MAX },
	{ .name = "lease", .check = check_int, .min = 0, .max = TSTATE_LEASE_MAX },
	{ .name = "hosts_destroy_keys", .check = check_bool, .optional = true },	/* none: they may not */
	{ .name = NULL },
};

static const struct member event = { .check = check_flat };

/* As image_check() of trust/evidence has looked at it in full when it was imported. */
static const struct member image[] = {
	{ .name = "v", .check = check_int, .min = 1, .max = 1 },
	{ .name = "id", .check = check_hex },
	{ .name = "name", .check = check_text, .min = 1, .max = TEXT_MAX },
	{ .name = "imported", .check = check_text, .min = 1, .max = TEXT_MAX },
	{ .name = "bank", .check = check_word, .words = "sha256|sha384|sha512" },
	{ .name = "secure_boot", .check = check_word, .optional = true, .words = "yes|no|unknown" },
	{ .name = "kernel", .check = check_text, .optional = true, .max = TEXT_MAX },
	{ .name = "os", .check = check_text, .optional = true, .max = TEXT_MAX },
	{ .name = "module", .check = check_text, .optional = true, .max = TEXT_MAX },
	{ .name = "host", .check = check_text, .optional = true, .max = TEXT_MAX },
	{ .name = "exported", .check = check_text, .optional = true, .max = TEXT_MAX },
	{ .name = "quick_boot", .check = check_bool, .optional = true },
	{ .name = "events", .check = check_list, .min = 1, .max = EVENTS_MAX, .members = &event },
	{ .name = NULL },
};

static const struct member server = { .check = check_address };
static const struct member pin = { .check = check_pin };

static const struct member key_provider[] = {
	{ .name = "name", .check = check_name },
	{ .name = "kind", .check = check_word, .words = "kmip" },
	{ .name = "servers", .check = check_list, .min = 1, .max = SERVERS_MAX, .members = &server },
	{ .name = "default", .check = check_bool },
	{ .name = "username", .check = check_text, .optional = true, .min = 1, .max = TEXT_MAX },
	{ .name = "tls_min", .check = check_word, .optional = true, .words = "1.2|1.3" },
	{ .name = "operation_policy", .check = check_text, .optional = true, .min = 1, .max = TEXT_MAX },
	{ .name = "ca_pem", .check = check_ca, .optional = true },
	{ .name = "pins", .check = check_list, .optional = true, .max = PINS_MAX, .members = &pin },
	{ .name = NULL },
};

static const struct member principal[] = {
	{ .name = "name", .check = check_name },
	{ .name = "fingerprint", .check = check_hex },
	{ .name = "role", .check = check_word, .words = "host|auditor|trust-admin" },
	{ .name = NULL },
};

static const struct member top[] = {
	{ .name = "v", .check = check_int, .min = TSTATE_VERSION, .max = TSTATE_VERSION },
	{ .name = "cluster", .check = check_name },
	{ .name = "serial", .check = check_int, .min = 1, .max = INT64_MAX },
	{ .name = "changed", .check = check_int, .min = 0, .max = TIME_MAX },
	{ .name = "authorities", .check = check_list, .max = TSTATE_AUTHORITIES_MAX, .members = authority,
	  .unique = { "name", "attest", "kmx" } },
	{ .name = "tpm2", .check = check_object, .members = tpm2 },
	{ .name = "policy", .check = check_object, .members = policy },
	{ .name = "images", .check = check_list, .max = TSTATE_IMAGES_MAX, .members = image, .unique = { "id", "name" } },
	{ .name = "key_providers", .check = check_list, .max = TSTATE_PROVIDERS_MAX, .members = key_provider,
	  .unique = { "name" } },
	{ .name = "principals", .check = check_list, .max = TSTATE_PRINCIPALS_MAX, .members = principal,
	  .unique = { "name", "fingerprint" } },
	{ .name = NULL },
};

static const struct member whole = { .check = check_object, .members = top };

/* ---- what one member says of another ------------------------------------------------ */

static int check_eks(struct walk *w, const json_t *state)
{
	const json_t *e, *eks = json_object_get(json_object_get(state, "tpm2"), "eks");
	char id[65];
	size_t i;

	json_array_foreach(eks, i, e) {
		if (spki_id(json_object_get(e, "pub"), id) &&
		    !strcmp(id, json_string_value(json_object_get(e, "ek"))))
			continue;
		snprintf(w->path, sizeof(w->path), "tpm2.eks[%zu].ek", i);
		return bad(w, N_("it is not the SHA-256 of the key beside it"));
	}
	return 0;
}

static int check_default(struct walk *w, const json_t *state)
{
	const json_t *e, *all = json_object_get(state, "key_providers");
	size_t i, n = 0;

	json_array_foreach(all, i, e)
		n += json_is_true(json_object_get(e, "default"));
	if (n <= 1)
		return 0;
	snprintf(w->path, sizeof(w->path), "key_providers");
	return bad(w, N_("more than one is the default"));
}

int tstate_check(const json_t *state, struct vmc_error *err)
{
	struct walk w = { .err = err };
	size_t len = 0;
	char *text = NULL;
	int rc = whole.check(&w, state, &whole);

	if (!rc)
		rc = check_eks(&w, state);
	if (!rc)
		rc = check_default(&w, state);
	if (!rc)
		rc = tstate_canonical(state, &text, &len, err);
	if (rc)
		return rc;
	free(text);
	if (len <= TRUST_STATE_MAX)
		return 0;
	rc = vmc_fail(err, VMC_EINVAL, "the desired state is refused: it would have %zu bytes, and %u are the most", len,
		      TRUST_STATE_MAX);
	vmc_hint(err, "remove base images, endorsement keys or principals that are no longer needed");
	return rc;
}

int tstate_parse(const char *text, size_t len, json_t **state, struct vmc_error *err)
{
	json_error_t je;
	json_t *s;
	int rc;

	if (len > TRUST_STATE_MAX)
		return vmc_fail(err, VMC_EINVAL, "the desired state is refused: it has %zu bytes, and %u are the most", len,
				TRUST_STATE_MAX);
	s = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!s)
		return vmc_fail(err, VMC_EINVAL, "the desired state is refused: it is not JSON (byte %d)", je.position);
	rc = tstate_check(s, err);
	if (rc)
		json_decref(s);
	else
		*state = s;
	return rc;
}

int tstate_canonical(const json_t *state, char **text, size_t *len, struct vmc_error *err)
{
	char *t = json_dumps(state, JSON_SORT_KEYS | JSON_COMPACT);

	if (!t)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	*text = t;
	*len = strlen(t);
	return 0;
}

json_t *tstate_new(const char *cluster, json_int_t now)
{
	return json_pack("{s:i, s:s, s:i, s:I, s:[], s:{s:b, s:[], s:[]}, s:{s:[i,i,i,i,i,i,i,i], s:b, s:i, s:i, s:b},"
			 " s:[], s:[], s:[]}",
			 "v", TSTATE_VERSION, "cluster", cluster, "serial", 1, "changed", now, "authorities",
			 "tpm2", "require_ek_certificate", 1, "ca_certificates", "eks",
			 "policy", "pcrs", 0, 1, 2, 3, 4, 5, 6, 7, "secure_boot", 1, "token_lifetime",
			 TSTATE_LIFETIME_MAX, "lease", 0, "hosts_destroy_keys", 0,
			 "images", "key_providers", "principals");
}

json_t *tstate_find(const json_t *list, const char *key, const char *value, size_t *at)
{
	const char *v;
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		v = json_string_value(json_object_get(e, key));
		if (!v || strcmp(v, value))
			continue;
		if (at)
			*at = i;
		return e;
	}
	return NULL;
}
