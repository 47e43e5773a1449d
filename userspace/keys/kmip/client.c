// SPDX-License-Identifier: GPL-2.0-or-later
/* One connection to one KMIP server. See client.h. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "tags.h"

#define REQUEST_FIXED	1024	/* header with credentials */
#define REQUEST_ITEM	1024	/* no item of ours is longer, ids and names included */
#define SETTLE_MS	300
#define LOCATE_MAX	65536	/* ids in one reply */
#define SECRET_REPLY	(256u << 10)	/* a reply with keys is never longer: it goes to the secure heap */

struct kmip_client {
	const struct kmip_settings *set;
	struct kmip_server *server;
	struct tls *tls;
	struct kmip_version version;
	struct kmip_request req;
	struct kmip_reply reply;
	bool secret;			/* request or reply may hold a key */
	uint8_t *out, *in;
	size_t out_size, in_size;
	bool maybe_done, in_step;
	uint32_t reason;
};

void kmip_server_init(struct kmip_server *s, const char *host, uint16_t port)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->host, sizeof(s->host), "%s", host);
	snprintf(s->name, sizeof(s->name), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	s->port = port;
	pthread_mutex_init(&s->lock, NULL);
}

void kmip_server_clear(struct kmip_server *s)
{
	pthread_mutex_destroy(&s->lock);
}

void kmip_server_forget(struct kmip_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->version = (struct kmip_version){ 0, 0 };
	s->queried = false;
	pthread_mutex_unlock(&s->lock);
}

/* ---- one exchange ------------------------------------------------------------ */

static void *buf_new(bool secret, size_t n)
{
	return secret ? secmem_alloc(n) : calloc(1, n);
}

static void buf_free(bool secret, void *p, size_t n)
{
	if (secret)
		secmem_free(p, n);
	else
		free(p);
}

static void drop_reply(struct kmip_client *c)
{
	buf_free(c->secret, c->in, c->in_size);
	c->in = NULL;
	c->in_size = 0;
}

/* After this c->reply and c->in are gone. */
static void finish(struct kmip_client *c)
{
	drop_reply(c);
	buf_free(c->secret, c->out, c->out_size);
	c->out = NULL;
	c->out_size = 0;
}

static int no_memory(const struct kmip_client *c, size_t n, struct vmc_error *err)
{
	int code = vmc_fail(err, VMC_ENOMEM, "no room for a message of %zu bytes with key server %s",
			    n, c->server->name);

	if (c->secret)
		vmc_hint(err, "raise secure_heap in [daemon] of vmcrypt.conf");
	return code;
}

static int begin(struct kmip_client *c, unsigned int items, bool secret, struct vmc_error *err)
{
	finish(c);
	c->secret = secret;
	c->maybe_done = false;
	c->reason = KMIP_R_NONE;
	c->out_size = REQUEST_FIXED + (size_t)items * REQUEST_ITEM;
	c->out = buf_new(secret, c->out_size);
	if (!c->out)
		return no_memory(c, c->out_size, err);
	kmip_req_begin(&c->req, c->out, c->out_size, c->version, items, &c->set->auth, 0);
	return 0;
}

/* The header says how long the rest is; nothing is allocated before that was checked. */
static int receive(struct kmip_client *c, uint64_t deadline, struct vmc_error *err)
{
	size_t max = c->secret && c->set->max_reply > SECRET_REPLY ? SECRET_REPLY : c->set->max_reply;
	uint8_t head[TTLV_HEADER];
	size_t total;
	int rc;

	rc = tls_read(c->tls, head, sizeof(head), deadline, err);
	if (rc)
		return rc;
	rc = ttlv_peek(head, KMIP_TAG_RESPONSE, &total, err);
	if (rc)
		return vmc_prefix(err, "key server %s: ", c->server->name);
	if (total > max) {
		rc = vmc_fail(err, VMC_EPROTO, "key server %s announces a reply of %zu bytes, more than the %zu that are accepted",
			      c->server->name, total, max);
		vmc_hint(err, "if the server means it, raise max_reply of the provider, or lower batch");
		return rc;
	}
	c->in = buf_new(c->secret, total);
	if (!c->in)
		return no_memory(c, total, err);
	c->in_size = total;
	memcpy(c->in, head, sizeof(head));
	return tls_read(c->tls, c->in + sizeof(head), total - sizeof(head), deadline, err);
}

/*
 * Send what begin() and kmip_req_*() put together, and sort the reply. What
 * comes after a failure is out of step, so the connection is good for nothing
 * more.
 */
static int exchange(struct kmip_client *c, uint64_t deadline, struct vmc_error *err)
{
	size_t len;
	int rc;

	rc = kmip_req_end(&c->req, &len, err);
	if (rc)
		return rc;
	c->in_step = false;
	c->maybe_done = true;
	rc = tls_write(c->tls, c->out, len, deadline, err);
	if (!rc)
		rc = receive(c, deadline, err);
	if (rc)
		return rc;
	c->maybe_done = false;
	rc = kmip_reply_parse(c->in, c->in_size, &c->req, &c->reply, err);
	if (rc) {
		c->maybe_done = true;
		return vmc_prefix(err, "key server %s: ", c->server->name);
	}
	c->in_step = true;
	c->reason = c->reply.items[0].status ? c->reply.items[0].reason : KMIP_R_NONE;
	/* perhaps it does not read this version any more: the next connection asks again */
	if (c->reply.refused)
		kmip_server_forget(c->server);
	return 0;
}

/* A request of one item: exchange, and see whether it was granted. */
static int exchange_one(struct kmip_client *c, const char *key, uint64_t deadline,
			struct vmc_error *err)
{
	int rc = exchange(c, deadline, err);

	if (!rc)
		rc = kmip_item_check(&c->reply.items[0], c->req.ops[0], c->server->name, key, err);
	return rc;
}

/* A payload that makes no sense: say whose. */
static int bad_payload(struct kmip_client *c, struct vmc_error *err)
{
	c->in_step = false;
	return vmc_prefix(err, "key server %s, %s: ", c->server->name, kmip_op_name(c->req.ops[0]));
}

/* ---- opening --------------------------------------------------------------------- */

static int connect_server(struct kmip_client *c, uint64_t deadline, struct vmc_error *err)
{
	tls_close(c->tls);
	c->tls = NULL;
	return tls_open(c->set->tls, c->server->host, c->server->port,
			vmc_now_ms() + c->set->connect_timeout_ms, deadline, &c->tls, err);
}

static bool acceptable(const struct kmip_client *c, struct kmip_version v)
{
	const struct kmip_version only = c->set->version;

	if (only.major)
		return !kmip_version_cmp(v, only);
	return kmip_version_known(v) && !(c->set->operation_policy && v.major > 1);
}

static int choose(struct kmip_client *c, struct vmc_error *err)
{
	struct kmip_version offered[32], best = { 0, 0 };
	char list[200] = "";
	size_t n, used = 0;
	int rc;

	rc = kmip_parse_versions(&c->reply.items[0].payload, offered, ARRAY_SIZE(offered), &n, err);
	if (rc)
		return bad_payload(c, err);
	for (size_t i = 0; i < n; i++) {
		if (used + 32 < sizeof(list))
			used += snprintf(list + used, sizeof(list) - used, "%s%d.%d", used ? ", " : "",
					 offered[i].major, offered[i].minor);
		if (acceptable(c, offered[i]) && kmip_version_cmp(offered[i], best) > 0)
			best = offered[i];
	}
	if (!best.major) {
		rc = vmc_fail(err, VMC_ENOTSUP, "key server %s offers KMIP %s and none of them will do",
			      c->server->name, n ? list : "in no version");
		vmc_hint(err, "vmcrypt speaks KMIP 1.1 to 1.4, 2.0 and 2.1; see protocol and operation_policy of the provider");
		return rc;
	}
	c->version = best;
	return 0;
}

/* Is it the version that the server dislikes? Others would be refused the same way. */
static bool version_refused(const struct kmip_client *c)
{
	switch (c->reason) {
	case KMIP_R_INVALID_MESSAGE:
	case KMIP_R_INVALID_FIELD:
	case KMIP_R_OP_NOT_SUPPORTED:
	case KMIP_R_FEATURE_NOT_SUPPORTED:
	case KMIP_R_UNSUPPORTED_VERSION:
	case KMIP_R_GENERAL:
		return true;
	default:
		return false;
	}
}

/* How long a server that hung up may take to say why. */
static uint64_t settle_until(uint64_t deadline)
{
	uint64_t t = vmc_now_ms() + SETTLE_MS;

	return t < deadline ? t : deadline;
}

/*
 * Discover Versions must itself be sent in some version. Servers that do not
 * know it answer with an error, often in KMIP 1.0, or hang up.
 */
static int negotiate(struct kmip_client *c, uint64_t deadline, struct vmc_error *err)
{
	static const struct kmip_version ask[] = {
		{ 1, 4 }, { 1, 3 }, { 1, 2 }, { 1, 1 }, { 2, 0 }, { 2, 1 },
	};
	bool hung_up = false;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ask); i++) {
		/* one that hung up gets one more chance, in the oldest version */
		if (hung_up && kmip_version_cmp(ask[i], (struct kmip_version){ 1, 1 }))
			continue;
		c->version = ask[i];
		if (!c->tls)
			rc = connect_server(c, deadline, err);
		if (!rc && hung_up)
			rc = tls_settle(c->tls, settle_until(deadline), err);
		if (!rc)
			rc = begin(c, 1, false, err);
		if (rc)
			return rc;
		kmip_req_discover(&c->req);
		rc = exchange_one(c, NULL, deadline, err);
		if (!rc)
			return choose(c, err);
		if (!c->in_step) {
			if (rc != VMC_EUNREACH || hung_up)
				return rc;
			hung_up = true;
			tls_close(c->tls);
			c->tls = NULL;
			rc = 0;
		} else if (!version_refused(c)) {
			return rc;
		} else {
			rc = 0;
		}
	}
	rc = vmc_fail(err, VMC_ENOTSUP, "key server %s does not tell its KMIP versions: %s",
		      c->server->name, c->reply.items[0].message[0] ?
		      c->reply.items[0].message : kmip_reason_name(c->reason));
	vmc_hint(err, "KMIP 1.1 or later is needed; see the log of the key server");
	return rc;
}

static int agree(struct kmip_client *c, uint64_t deadline, struct vmc_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&c->server->lock);
	c->version = c->server->version;
	pthread_mutex_unlock(&c->server->lock);
	if (c->version.major)
		return 0;
	rc = negotiate(c, deadline, err);
	finish(c);
	if (rc)
		return rc;
	pthread_mutex_lock(&c->server->lock);
	c->server->version = c->version;
	pthread_mutex_unlock(&c->server->lock);
	return 0;
}

int kmip_open(const struct kmip_settings *set, struct kmip_server *server, uint64_t deadline,
	      struct kmip_client **out, struct vmc_error *err)
{
	struct kmip_client *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a connection to key server %s",
				server->name);
	c->set = set;
	c->server = server;
	rc = connect_server(c, deadline, err);
	if (!rc) {
		c->in_step = true;
		rc = agree(c, deadline, err);
	}
	if (rc)
		kmip_close(c);
	else
		*out = c;
	return rc;
}

void kmip_close(struct kmip_client *c)
{
	if (!c)
		return;
	finish(c);
	tls_close(c->tls);
	free(c);
}

bool kmip_idle(struct kmip_client *c)
{
	return c->in_step && tls_idle(c->tls);
}

bool kmip_maybe_done(const struct kmip_client *c)
{
	return c->maybe_done;
}

bool kmip_usable(const struct kmip_client *c)
{
	return c->in_step;
}

uint32_t kmip_reason(const struct kmip_client *c)
{
	return c->reason;
}

struct kmip_version kmip_client_version(const struct kmip_client *c)
{
	return c->version;
}

const struct tls *kmip_tls(const struct kmip_client *c)
{
	return c->tls;
}

/* ---- operations -------------------------------------------------------------------- */

int kmip_query(struct kmip_client *c, uint64_t deadline, struct vmc_error *err)
{
	struct kmip_query_info info;
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_query(&c->req);
	rc = exchange_one(c, NULL, deadline, err);
	if (!rc && kmip_parse_query(&c->reply.items[0].payload, &info, err))
		rc = bad_payload(c, err);
	finish(c);
	if (rc)
		return rc;
	pthread_mutex_lock(&c->server->lock);
	c->server->info = info;
	c->server->queried = true;
	pthread_mutex_unlock(&c->server->lock);
	return 0;
}

/* The end of Create and Register: the new key's id. */
static int made(struct kmip_client *c, uint64_t deadline, char id[PROVIDER_KEY_ID_MAX + 1],
		struct vmc_error *err)
{
	int rc = exchange_one(c, NULL, deadline, err);

	if (!rc && kmip_parse_id(&c->reply.items[0].payload, id, err)) {
		c->maybe_done = true;
		rc = bad_payload(c, err);
	}
	finish(c);
	return rc;
}

int kmip_create(struct kmip_client *c, const struct kmip_new_key *k, uint64_t deadline,
		char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err)
{
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_create(&c->req, k);
	return made(c, deadline, id, err);
}

int kmip_register(struct kmip_client *c, const struct kmip_new_key *k,
		  const uint8_t key[PROVIDER_KEY_LEN], uint64_t deadline,
		  char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err)
{
	int rc = begin(c, 1, true, err);

	if (rc)
		return rc;
	kmip_req_register(&c->req, k, key);
	return made(c, deadline, id, err);
}

int kmip_locate(struct kmip_client *c, const struct kmip_new_key *k, uint32_t max, uint32_t offset,
		int (*fn)(const char *id, void *data), void *data, uint64_t deadline,
		struct vmc_error *err)
{
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_locate(&c->req, k, max, offset);
	rc = exchange_one(c, NULL, deadline, err);
	if (!rc && kmip_parse_ids(&c->reply.items[0].payload, max ? max : LOCATE_MAX, fn, data, err))
		rc = bad_payload(c, err);
	finish(c);
	return rc;
}

/* An operation on one key whose reply repeats its id. */
static int on_key(struct kmip_client *c, const char *id, uint64_t deadline, struct vmc_error *err)
{
	char got[PROVIDER_KEY_ID_MAX + 1];
	int rc = exchange_one(c, id, deadline, err);

	if (!rc && kmip_parse_id(&c->reply.items[0].payload, got, err))
		rc = bad_payload(c, err);
	if (!rc && strcmp(got, id)) {
		vmc_fail(err, VMC_EPROTO, "asked for key '%s', answered for key '%s'", id, got);
		rc = bad_payload(c, err);
	}
	finish(c);
	return rc;
}

int kmip_activate(struct kmip_client *c, const char *id, uint64_t deadline, struct vmc_error *err)
{
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_activate(&c->req, id);
	return on_key(c, id, deadline, err);
}

int kmip_revoke(struct kmip_client *c, const char *id, enum kmip_revocation why, uint64_t deadline,
		struct vmc_error *err)
{
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_revoke(&c->req, id, why, NULL);
	return on_key(c, id, deadline, err);
}

int kmip_destroy(struct kmip_client *c, const char *id, uint64_t deadline, struct vmc_error *err)
{
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_destroy(&c->req, id);
	return on_key(c, id, deadline, err);
}

int kmip_add_attribute(struct kmip_client *c, const char *id, const char *name, const char *value,
		       uint64_t deadline, struct vmc_error *err)
{
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_add_attribute(&c->req, id, name, value);
	return on_key(c, id, deadline, err);
}

int kmip_get_wrapped(struct kmip_client *c, const char *id, const char *kek, uint8_t *out,
		     size_t max, size_t *n, uint64_t deadline, struct vmc_error *err)
{
	struct kmip_key k;
	int rc = begin(c, 1, true, err);

	if (rc)
		return rc;
	kmip_req_get_wrapped(&c->req, id, kek);
	rc = exchange_one(c, id, deadline, err);
	if (!rc && kmip_parse_key(&c->reply.items[0].payload, &k, err))
		rc = bad_payload(c, err);
	if (!rc && (!k.wrapped || strcmp(k.id, id) || strcmp(k.wrapping_key, kek) ||
		    k.wrapping_method != V_WRAP_ENCRYPT || k.wrapping_mode != V_NIST_KEY_WRAP ||
		    k.encoding != V_NO_ENCODING || k.material_len > max)) {
		vmc_fail(err, VMC_EPROTO, "key '%s' did not come wrapped by key '%s' as it was asked for",
			 id, kek);
		rc = bad_payload(c, err);
	}
	if (!rc) {
		memcpy(out, k.material, k.material_len);
		*n = k.material_len;
	}
	finish(c);
	return rc;
}

/* ---- state and material of many keys --------------------------------------------------- */

/* A key that is there but must not be used. */
static int not_active(const struct kmip_client *c, struct provider_key *k)
{
	k->code = vmc_fail(&k->err, VMC_EKEYSTATE, "key '%s' on key server %s is %s, not Active", k->id,
			   c->server->name, provider_key_state_name(k->state));
	switch (k->state) {
	case PKS_PRE_ACTIVE:
		vmc_hint(&k->err, "activate the key on the key server");
		break;
	case PKS_DEACTIVATED:
		vmc_hint(&k->err, "if the key is still to be trusted, reactivate it on the key server (or restore it Active from a backup), then recrypt the VM to a new key");
		break;
	case PKS_COMPROMISED:
		vmc_hint(&k->err, "somebody declared the key compromised: have the server's administrator say why; a VM under it can be opened only with the key made Active again, and should then be recrypted");
		break;
	default:
		vmc_hint(&k->err, "restore the key from a backup of the key server");
		break;
	}
	return k->code;
}

/* Read the attributes of one key into its state. */
static int take_state(struct kmip_client *c, const struct kmip_item *i, struct provider_key *k,
		      struct kmip_attributes *a)
{
	provider_keys_clear(k, 1);
	k->code = kmip_item_check(i, KMIP_GET_ATTRIBUTES, c->server->name, k->id, &k->err);
	if (k->code == VMC_ENOKEY)
		k->state = PKS_MISSING;
	if (k->code)
		return k->code;
	k->code = kmip_parse_attributes(&i->payload, a, &k->err);
	if (!k->code && strcmp(a->id, k->id))
		k->code = vmc_fail(&k->err, VMC_EPROTO, "asked for key '%s', answered for key '%s'",
				   k->id, a->id);
	if (k->code)
		return vmc_prefix(&k->err, "key server %s, Get Attributes: ", c->server->name);
	k->state = a->state;
	return 0;
}

/* Not memcpy(3): that leaves the key in vector registers, which end up on the stack sooner or later. */
static void copy_key(uint8_t *to, const uint8_t *from)
{
	const volatile uint8_t *f = from;
	volatile uint8_t *t = to;

	for (int i = 0; i < PROVIDER_KEY_LEN; i++)
		t[i] = f[i];
}

static int take_material(struct kmip_client *c, const struct kmip_item *i, struct provider_key *k,
			 const struct kmip_attributes *a)
{
	struct kmip_key key;

	k->code = kmip_item_check(i, KMIP_GET, c->server->name, k->id, &k->err);
	if (k->code == VMC_ENOKEY)
		k->state = PKS_MISSING;
	if (k->code)
		return k->code;
	k->code = kmip_parse_key(&i->payload, &key, &k->err);
	if (!k->code)
		k->code = kmip_key_check(&key, a, k->id, &k->err);
	if (k->code)
		return vmc_prefix(&k->err, "key server %s, Get: ", c->server->name);
	k->material = secmem_alloc(PROVIDER_KEY_LEN);
	if (!k->material) {
		k->code = vmc_fail(&k->err, VMC_ENOMEM, "no secure memory for key '%s'", k->id);
		vmc_hint(&k->err, "raise secure_heap in [daemon] of vmcrypt.conf");
		return k->code;
	}
	copy_key(k->material, key.material);
	return 0;
}

/* Servers hand out keys in any state; only Active ones go further. */
static void take_key(struct kmip_client *c, const struct kmip_item *items, struct provider_key *k,
		     bool material)
{
	struct kmip_attributes a;

	if (take_state(c, &items[0], k, &a) || !material)
		return;
	if (k->state != PKS_ACTIVE)
		not_active(c, k);
	else
		take_material(c, &items[1], k, &a);
}

static bool has_batch(struct kmip_client *c)
{
	bool no;

	pthread_mutex_lock(&c->server->lock);
	no = c->server->no_batch;
	pthread_mutex_unlock(&c->server->lock);
	return !no;
}

static void set_batch(struct kmip_client *c, bool has)
{
	pthread_mutex_lock(&c->server->lock);
	c->server->no_batch = !has;
	pthread_mutex_unlock(&c->server->lock);
}

static int all_answered(const struct kmip_client *c)
{
	for (unsigned int i = 0; i < c->req.n; i++)
		if (!c->reply.items[i].answered)
			return 0;
	return 1;
}

/* It is us that the server turns away, not the batch. */
static bool personal(uint32_t reason)
{
	return reason == KMIP_R_AUTH || reason == KMIP_R_PERMISSION_DENIED ||
	       reason == KMIP_R_NOT_AUTHORISED;
}

/* Some servers hang up on a batch rather than refuse it: twice in a row is taken for that. */
static void note_cut(struct kmip_client *c, bool cut)
{
	pthread_mutex_lock(&c->server->lock);
	c->server->batch_cuts = cut ? c->server->batch_cuts + 1 : 0;
	if (c->server->batch_cuts >= 2)
		c->server->no_batch = true;
	pthread_mutex_unlock(&c->server->lock);
}

/*
 * One message for @n keys. @refused: the server answered, but not to the
 * items one by one.
 */
static int fetch_batch(struct kmip_client *c, struct provider_key **keys, size_t n, bool material,
		       bool *refused, uint64_t deadline, struct vmc_error *err)
{
	unsigned int per = material ? 2 : 1;
	int rc = begin(c, n * per, material, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		kmip_req_get_attributes(&c->req, keys[i]->id);
		if (material)
			kmip_req_get(&c->req, keys[i]->id);
	}
	rc = exchange(c, deadline, err);
	if (!rc && c->reply.refused && personal(c->reason)) {
		for (size_t i = 0; i < n; i++)
			keys[i]->code = kmip_item_check(&c->reply.items[0], KMIP_GET_ATTRIBUTES,
							c->server->name, keys[i]->id, &keys[i]->err);
	} else if (!rc) {
		*refused = c->reply.refused || !all_answered(c);
		for (size_t i = 0; i < n && !*refused; i++)
			take_key(c, &c->reply.items[i * per], keys[i], material);
	}
	note_cut(c, rc == VMC_EUNREACH);
	finish(c);
	return rc;
}

/* The same in messages of one item. */
static int fetch_single(struct kmip_client *c, struct provider_key *k, bool material,
			uint64_t deadline, struct vmc_error *err)
{
	struct kmip_attributes a;
	int rc = begin(c, 1, false, err);

	if (rc)
		return rc;
	kmip_req_get_attributes(&c->req, k->id);
	rc = exchange(c, deadline, err);
	if (!rc)
		take_state(c, &c->reply.items[0], k, &a);
	finish(c);
	if (rc || k->code || !material)
		return rc;
	if (k->state != PKS_ACTIVE) {
		not_active(c, k);
		return 0;
	}
	rc = begin(c, 1, true, err);
	if (rc)
		return rc;
	kmip_req_get(&c->req, k->id);
	rc = exchange(c, deadline, err);
	if (!rc)
		take_material(c, &c->reply.items[0], k, &a);
	finish(c);
	return rc;
}

int kmip_fetch(struct kmip_client *c, struct provider_key **keys, size_t n, bool material,
	       uint64_t deadline, struct vmc_error *err)
{
	uint64_t patience = deadline - vmc_now_ms();
	size_t done = 0, size;
	bool refused;
	int rc = 0;

	if (patience > c->set->request_timeout_ms)
		patience = c->set->request_timeout_ms;
	while (done < n && !rc) {
		size = has_batch(c) ? c->set->batch : 1;
		if (size > n - done)
			size = n - done;
		refused = false;
		if (has_batch(c) && (size > 1 || material))
			rc = fetch_batch(c, keys + done, size, material, &refused, deadline, err);
		else
			rc = fetch_single(c, keys[done], material, deadline, err);
		if (refused) {
			/* all later ones go singly; so do these, from the next turn on */
			set_batch(c, false);
			continue;
		}
		if (!rc)
			done += size;
		/* each message has its own time: a thousand keys take longer than one */
		deadline = vmc_now_ms() + patience;
	}
	return rc;
}
