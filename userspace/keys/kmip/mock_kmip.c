// SPDX-License-Identifier: GPL-2.0-or-later
/* A KMIP server that can do wrong on demand. See mock_kmip.h. */
#include "mock_kmip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/util.h"
#include "tags.h"

#define KEYS_MAX	4096
#define CONNS_MAX	256
#define MESSAGE_MAX	MOCK_MESSAGE_MAX

/* ---- store ----------------------------------------------------------------- */

struct mock_key {
	char name[KMIP_TEXT_MAX + 1], app[KMIP_TEXT_MAX + 1];
	uint8_t material[PROVIDER_KEY_LEN];
	enum provider_key_state state;
	unsigned int attributes;
};

struct mock_store {
	pthread_mutex_t lock;
	unsigned int n;
	struct mock_key keys[KEYS_MAX];	/* id N is keys[N - 1] */
};

struct mock_store *mock_store_new(void)
{
	struct mock_store *s = calloc(1, sizeof(*s));

	if (s)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void mock_store_free(struct mock_store *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

/* Under the lock. */
static struct mock_key *key_find(struct mock_store *s, const char *id)
{
	char *end;
	unsigned long n = strtoul(id, &end, 10);

	return *id && !*end && n >= 1 && n <= s->n ? &s->keys[n - 1] : NULL;
}

static struct mock_key *key_new(struct mock_store *s)
{
	struct mock_key *k = s->n < KEYS_MAX ? &s->keys[s->n++] : NULL;

	if (k)
		RAND_bytes(k->material, sizeof(k->material));
	return k;
}

unsigned int mock_store_count(struct mock_store *s)
{
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void mock_store_add(struct mock_store *s, enum provider_key_state state, char id[32])
{
	struct mock_key *k;

	pthread_mutex_lock(&s->lock);
	k = key_new(s);
	if (!k)
		abort();
	k->state = state;
	snprintf(id, 32, "%u", s->n);
	pthread_mutex_unlock(&s->lock);
}

int mock_store_state(struct mock_store *s, const char *id)
{
	struct mock_key *k;
	int state;

	pthread_mutex_lock(&s->lock);
	k = key_find(s, id);
	state = k ? (int)k->state : -1;
	pthread_mutex_unlock(&s->lock);
	return state;
}

void mock_store_set_state(struct mock_store *s, const char *id, enum provider_key_state state)
{
	struct mock_key *k;

	pthread_mutex_lock(&s->lock);
	k = key_find(s, id);
	if (k)
		k->state = state;
	pthread_mutex_unlock(&s->lock);
}

int mock_store_material(struct mock_store *s, const char *id, uint8_t out[PROVIDER_KEY_LEN])
{
	struct mock_key *k;

	pthread_mutex_lock(&s->lock);
	k = key_find(s, id);
	if (k)
		memcpy(out, k->material, PROVIDER_KEY_LEN);
	pthread_mutex_unlock(&s->lock);
	return k ? 0 : -1;
}

unsigned int mock_store_attributes(struct mock_store *s, const char *id)
{
	struct mock_key *k;
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	k = key_find(s, id);
	n = k ? k->attributes : 0;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- script ------------------------------------------------------------------ */

#define FAULT(f) { #f, offsetof(struct mock_script, f) }

static const struct {
	const char *name;
	size_t offset;
} faults[] = {
	FAULT(delay), FAULT(bytewise), FAULT(dribble), FAULT(cut), FAULT(cut_op), FAULT(cut_times),
	FAULT(drop), FAULT(garbage), FAULT(http), FAULT(oversize), FAULT(wrong_version),
	FAULT(old_error), FAULT(no_batch), FAULT(hangup_batch), FAULT(hangup_version), FAULT(stall), FAULT(tickets),
	FAULT(stall_handshake), FAULT(plain), FAULT(min_version), FAULT(max_version),
	FAULT(no_discover), FAULT(object_type), FAULT(key_length), FAULT(algorithm), FAULT(format),
	FAULT(wrapped), FAULT(transparent), FAULT(wrong_id), FAULT(duplicate_item), FAULT(lose_item),
	FAULT(wrong_batch_id), FAULT(no_batch_id), FAULT(wrong_op), FAULT(pending),
	FAULT(pre_active), FAULT(add_attribute), FAULT(no_app_info), FAULT(no_locate),
	FAULT(fail_op), FAULT(fail_reason), FAULT(bad_padding), FAULT(no_state),
};

static int fault_set(struct mock_script *s, char *word)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	for (char *p = word; *p; p++)
		if (*p == '-')
			*p = '_';
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (strcmp(faults[i].name, word))
			continue;
		*(int *)((char *)s + faults[i].offset) = value ? (int)strtol(value, NULL, 0) : 1;
		return 0;
	}
	fprintf(stderr, "mock: there is no fault '%s'\n", word);
	return -1;
}

int mock_script_parse(const char *text, struct mock_script *s)
{
	char *copy = strdup(text ? text : ""), *save = NULL, *w;
	int rc = copy ? 0 : -1;

	memset(s, 0, sizeof(*s));
	s->min_version = 11;
	s->max_version = 14;
	for (w = copy ? strtok_r(copy, ", ", &save) : NULL; w && !rc; w = strtok_r(NULL, ", ", &save))
		rc = fault_set(s, w);
	free(copy);
	return rc;
}

/* ---- the server's life --------------------------------------------------------- */

struct mock_kmip {
	struct mock_store *store;
	SSL_CTX *ctx;
	int listener, stop_fd;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t gone;
	struct mock_script script;
	int cuts;			/* done under this script */
	int conns[CONNS_MAX];		/* their sockets, -1 free */
	unsigned int n_conns, accepted, messages, requests[256];
};

struct conn {
	struct mock_kmip *m;
	int fd, slot;
	SSL *ssl;
};

static struct mock_script script(struct mock_kmip *m)
{
	struct mock_script s;

	pthread_mutex_lock(&m->lock);
	s = m->script;
	pthread_mutex_unlock(&m->lock);
	return s;
}

/* False when the server is to stop. */
static bool pause_ms(struct mock_kmip *m, int ms)
{
	struct pollfd p = { .fd = m->stop_fd, .events = POLLIN };

	return poll(&p, 1, ms) == 0;
}

/* ---- replies ----------------------------------------------------------------------- */

struct reply {
	struct ttlv_writer w;
	struct mock_script s;
	struct kmip_version version;
	char placeholder[32];
};

struct outcome {
	uint32_t status, reason;
	const char *message;
};

static const struct outcome fine = { V_STATUS_SUCCESS, 0, NULL };

static struct outcome no(uint32_t reason, const char *message)
{
	return (struct outcome){ V_STATUS_FAILED, reason, message };
}

static void put_version(struct ttlv_writer *w, int major, int minor)
{
	ttlv_begin(w, T_PROTOCOL_VERSION);
	ttlv_int(w, T_PROTOCOL_MAJOR, major);
	ttlv_int(w, T_PROTOCOL_MINOR, minor);
	ttlv_end(w);
}

static void put_header(struct ttlv_writer *w, int major, int minor, int count)
{
	ttlv_begin(w, T_RESPONSE_HEADER);
	put_version(w, major, minor);
	ttlv_date(w, T_TIME_STAMP, 1700000000);
	ttlv_int(w, T_BATCH_COUNT, count);
	ttlv_end(w);
}

/* A whole message refused, the way of servers that could not read it. */
static void refuse_message(struct ttlv_writer *w, uint32_t reason)
{
	ttlv_begin(w, T_RESPONSE_MESSAGE);
	put_header(w, 1, 0, 1);
	ttlv_begin(w, T_BATCH_ITEM);
	ttlv_enum(w, T_RESULT_STATUS, V_STATUS_FAILED);
	ttlv_enum(w, T_RESULT_REASON, reason);
	ttlv_text(w, T_RESULT_MESSAGE, "Error parsing request message.");
	ttlv_end(w);
	ttlv_end(w);
}

static bool get_text(const struct ttlv *s, uint32_t tag, char *out, size_t max)
{
	struct ttlv i;

	out[0] = '\0';
	return ttlv_find(s, tag, &i) && ttlv_get_text(&i, out, max);
}

/* The name and application data in a list of attributes, of either version. */
static void read_attributes(const struct ttlv *s, struct mock_key *k)
{
	struct ttlv_cursor c = ttlv_children(s);
	char name[KMIP_TEXT_MAX + 1];
	struct ttlv i, v;

	while (ttlv_next(&c, &i)) {
		if (i.tag == T_TEMPLATE_ATTRIBUTE || i.tag == T_ATTRIBUTES)
			read_attributes(&i, k);
		else if (i.tag == T_NAME)
			get_text(&i, T_NAME_VALUE, k->name, sizeof(k->name));
		else if (i.tag == T_APPLICATION_SPECIFIC_INFO)
			get_text(&i, T_APPLICATION_DATA, k->app, sizeof(k->app));
		else if (i.tag == T_ATTRIBUTE && get_text(&i, T_ATTRIBUTE_NAME, name, sizeof(name)) &&
			 ttlv_find(&i, T_ATTRIBUTE_VALUE, &v)) {
			if (!strcmp(name, "Name"))
				get_text(&v, T_NAME_VALUE, k->name, sizeof(k->name));
			else if (!strcmp(name, "Application Specific Information"))
				get_text(&v, T_APPLICATION_DATA, k->app, sizeof(k->app));
		}
	}
}

static void put_id(struct reply *r, const char *id)
{
	ttlv_text(&r->w, T_UNIQUE_IDENTIFIER, r->s.wrong_id ? "another-key" : id);
}

static struct outcome op_discover(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	(void)m;
	(void)q;
	if (r->s.no_discover)
		return no(KMIP_R_OP_NOT_SUPPORTED, "not known here");
	for (const struct kmip_version *v = kmip_versions; v->major; v++) {
		int n = v->major * 10 + v->minor;

		if (n >= r->s.min_version && n <= r->s.max_version)
			put_version(&r->w, v->major, v->minor);
	}
	return fine;
}

static struct outcome op_query(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	static const uint32_t ops[] = {
		KMIP_CREATE, KMIP_REGISTER, KMIP_LOCATE, KMIP_GET, KMIP_GET_ATTRIBUTES, KMIP_ACTIVATE,
		KMIP_REVOKE, KMIP_DESTROY, KMIP_QUERY, KMIP_DISCOVER_VERSIONS,
	};

	(void)m;
	(void)q;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		ttlv_enum(&r->w, T_OPERATION, ops[i]);
	if (r->s.add_attribute)
		ttlv_enum(&r->w, T_OPERATION, KMIP_ADD_ATTRIBUTE);
	ttlv_enum(&r->w, T_OBJECT_TYPE, V_SYMMETRIC_KEY);
	ttlv_text(&r->w, T_VENDOR_IDENTIFICATION, "mock");
	return fine;
}

/* Create and Register. */
static struct outcome op_new(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	struct mock_key want = { .state = r->s.pre_active ? PKS_PRE_ACTIVE : PKS_ACTIVE }, *k;
	struct ttlv object, block, value, material;

	read_attributes(q, &want);
	if (want.app[0] && r->s.no_app_info)
		return no(KMIP_R_NAMESPACE_NOT_SUPPORTED, "namespace not supported");
	k = key_new(m->store);
	if (!k)
		return no(KMIP_R_SERVER_LIMIT, "full");
	memcpy(want.material, k->material, sizeof(want.material));
	if (ttlv_find(q, T_SYMMETRIC_KEY, &object) && ttlv_find(&object, T_KEY_BLOCK, &block) &&
	    ttlv_find(&block, T_KEY_VALUE, &value) && ttlv_find(&value, T_KEY_MATERIAL, &material) &&
	    material.len == sizeof(want.material))
		memcpy(want.material, material.value, material.len);
	*k = want;
	snprintf(r->placeholder, sizeof(r->placeholder), "%u", m->store->n);
	ttlv_enum(&r->w, T_OBJECT_TYPE, V_SYMMETRIC_KEY);
	put_id(r, r->placeholder);
	return fine;
}

static struct outcome op_locate(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	struct mock_key want = { .state = PKS_UNKNOWN };
	char id[32];

	if (r->s.no_locate)
		return no(KMIP_R_OP_NOT_SUPPORTED, "not known here");
	read_attributes(q, &want);
	for (unsigned int i = 0; i < m->store->n; i++) {
		const struct mock_key *k = &m->store->keys[i];

		if (k->state == PKS_MISSING || (want.name[0] && strcmp(k->name, want.name)) ||
		    (want.app[0] && strcmp(k->app, want.app)))
			continue;
		snprintf(id, sizeof(id), "%u", i + 1);
		put_id(r, id);
	}
	return fine;
}

static struct mock_key *wanted(struct mock_kmip *m, const struct ttlv *q, char id[256])
{
	struct mock_key *k;

	get_text(q, T_UNIQUE_IDENTIFIER, id, 256);
	k = key_find(m->store, id);
	return k && k->state != PKS_MISSING ? k : NULL;
}

static void put_material(struct reply *r, const struct mock_key *k)
{
	uint8_t long_key[256] = { 0 };
	size_t n = r->s.key_length ? (size_t)r->s.key_length : sizeof(k->material);

	memcpy(long_key, k->material, sizeof(k->material));
	if (n > sizeof(long_key))
		n = sizeof(long_key);
	ttlv_begin(&r->w, T_KEY_VALUE);
	if (r->s.transparent) {
		ttlv_begin(&r->w, T_KEY_MATERIAL);
		ttlv_bytes(&r->w, T_KEY, long_key, n);
		ttlv_end(&r->w);
	} else {
		ttlv_bytes(&r->w, T_KEY_MATERIAL, long_key, n);
	}
	ttlv_end(&r->w);
	OPENSSL_cleanse(long_key, sizeof(long_key));
}

static void put_wrapping(struct reply *r)
{
	ttlv_begin(&r->w, T_KEY_WRAPPING_DATA);
	ttlv_enum(&r->w, T_WRAPPING_METHOD, V_WRAP_ENCRYPT);
	ttlv_begin(&r->w, T_ENCRYPTION_KEY_INFO);
	ttlv_text(&r->w, T_UNIQUE_IDENTIFIER, "some-kek");
	ttlv_begin(&r->w, T_CRYPTO_PARAMETERS);
	ttlv_enum(&r->w, T_BLOCK_CIPHER_MODE, V_NIST_KEY_WRAP);
	ttlv_end(&r->w);
	ttlv_end(&r->w);
	ttlv_enum(&r->w, T_ENCODING_OPTION, V_NO_ENCODING);
	ttlv_end(&r->w);
}

static struct outcome op_get(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	struct ttlv_writer *w = &r->w;
	struct mock_key *k;
	char id[256];

	k = wanted(m, q, id);
	if (!k)
		return no(KMIP_R_NOT_FOUND, "no such object");
	ttlv_enum(w, T_OBJECT_TYPE, r->s.object_type ? (uint32_t)r->s.object_type : V_SYMMETRIC_KEY);
	put_id(r, id);
	ttlv_begin(w, T_SYMMETRIC_KEY);
	ttlv_begin(w, T_KEY_BLOCK);
	ttlv_enum(w, T_KEY_FORMAT_TYPE, r->s.format ? (uint32_t)r->s.format :
		  r->s.transparent ? V_FORMAT_TRANSPARENT : V_FORMAT_RAW);
	put_material(r, k);
	ttlv_enum(w, T_CRYPTO_ALGORITHM, r->s.algorithm ? (uint32_t)r->s.algorithm : V_AES);
	ttlv_int(w, T_CRYPTO_LENGTH, r->s.key_length ? r->s.key_length * 8 : 256);
	if (r->s.wrapped)
		put_wrapping(r);
	ttlv_end(w);
	ttlv_end(w);
	return fine;
}

static void put_state(struct reply *r, enum provider_key_state state)
{
	struct ttlv_writer *w = &r->w;

	if (r->version.major >= 2) {
		ttlv_begin(w, T_ATTRIBUTES);
		ttlv_enum(w, T_STATE, state);
		ttlv_enum(w, T_OBJECT_TYPE, V_SYMMETRIC_KEY);
		ttlv_end(w);
		return;
	}
	ttlv_begin(w, T_ATTRIBUTE);
	ttlv_text(w, T_ATTRIBUTE_NAME, "State");
	ttlv_enum(w, T_ATTRIBUTE_VALUE, state);
	ttlv_end(w);
	ttlv_begin(w, T_ATTRIBUTE);
	ttlv_text(w, T_ATTRIBUTE_NAME, "Cryptographic Length");
	ttlv_int(w, T_ATTRIBUTE_VALUE, 256);
	ttlv_end(w);
}

static struct outcome op_get_attributes(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	struct mock_key *k;
	char id[256];

	k = wanted(m, q, id);
	if (!k)
		return no(KMIP_R_NOT_FOUND, "no such object");
	put_id(r, id);
	if (!r->s.no_state)
		put_state(r, k->state);
	return fine;
}

static struct outcome op_add_attribute(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	struct mock_key *k;
	char id[256];

	k = wanted(m, q, id);
	if (!k)
		return no(KMIP_R_NOT_FOUND, "no such object");
	k->attributes++;
	put_id(r, id);
	return fine;
}

/* Activate, Revoke and Destroy: from a state to another. */
static struct outcome change(struct reply *r, struct mock_kmip *m, const struct ttlv *q,
			     enum provider_key_state from, enum provider_key_state not_from,
			     enum provider_key_state to)
{
	struct mock_key *k;
	char id[256];

	k = wanted(m, q, id);
	if (!k)
		return no(KMIP_R_NOT_FOUND, "no such object");
	if ((from && k->state != from) || (not_from && k->state == not_from))
		return no(KMIP_R_WRONG_STATE, "not in this state");
	k->state = to;
	put_id(r, id);
	return fine;
}

static struct outcome op_activate(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	return change(r, m, q, PKS_PRE_ACTIVE, 0, PKS_ACTIVE);
}

static struct outcome op_revoke(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	return change(r, m, q, PKS_ACTIVE, 0, PKS_DEACTIVATED);
}

static struct outcome op_destroy(struct reply *r, struct mock_kmip *m, const struct ttlv *q)
{
	return change(r, m, q, 0, PKS_ACTIVE, PKS_MISSING);
}

static const struct {
	uint32_t op;
	struct outcome (*fn)(struct reply *r, struct mock_kmip *m, const struct ttlv *q);
} operations[] = {
	{ KMIP_DISCOVER_VERSIONS, op_discover },
	{ KMIP_QUERY, op_query },
	{ KMIP_CREATE, op_new },
	{ KMIP_REGISTER, op_new },
	{ KMIP_LOCATE, op_locate },
	{ KMIP_GET, op_get },
	{ KMIP_GET_ATTRIBUTES, op_get_attributes },
	{ KMIP_ADD_ATTRIBUTE, op_add_attribute },
	{ KMIP_ACTIVATE, op_activate },
	{ KMIP_REVOKE, op_revoke },
	{ KMIP_DESTROY, op_destroy },
};

/* Into a payload of its own first: a refusal has none. */
static struct outcome run(struct reply *r, struct mock_kmip *m, uint32_t op, const struct ttlv *q)
{
	struct ttlv_writer before = r->w;
	struct outcome o = no(KMIP_R_OP_NOT_SUPPORTED, "not known here");

	if (op == (uint32_t)r->s.fail_op)
		return no(r->s.fail_reason, "as the script says");
	ttlv_begin(&r->w, T_RESPONSE_PAYLOAD);
	pthread_mutex_lock(&m->store->lock);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (operations[i].op == op)
			o = operations[i].fn(r, m, q);
	pthread_mutex_unlock(&m->store->lock);
	ttlv_end(&r->w);
	if (o.status != V_STATUS_SUCCESS)
		r->w = before;
	return o;
}

/* The payload is made in a scratch buffer, since the result comes before it. */
static void put_item(struct reply *r, struct mock_kmip *m, const struct ttlv *item)
{
	struct ttlv op, id, payload = { .type = TTLV_STRUCTURE };
	struct ttlv_writer out = r->w;
	uint8_t *scratch = malloc(MESSAGE_MAX);
	struct outcome o;
	uint32_t v = 0;
	size_t len;

	if (!scratch)
		abort();
	if (ttlv_find(item, T_OPERATION, &op))
		ttlv_get_enum(&op, &v);
	ttlv_find(item, T_REQUEST_PAYLOAD, &payload);
	pthread_mutex_lock(&m->lock);
	m->requests[v & 255]++;
	pthread_mutex_unlock(&m->lock);
	ttlv_writer_init(&r->w, scratch, MESSAGE_MAX);
	o = run(r, m, v, &payload);
	if (ttlv_finish(&r->w, &len, NULL))
		abort();
	r->w = out;
	if (r->s.pending)
		o.status = V_STATUS_PENDING;
	ttlv_begin(&r->w, T_BATCH_ITEM);
	ttlv_enum(&r->w, T_OPERATION, r->s.wrong_op ? KMIP_QUERY + (v == KMIP_QUERY) : v);
	if (!r->s.no_batch_id && ttlv_find(item, T_UNIQUE_BATCH_ITEM_ID, &id))
		ttlv_bytes(&r->w, T_UNIQUE_BATCH_ITEM_ID, r->s.wrong_batch_id ? "????" :
			   (const char *)id.value, id.len);
	ttlv_enum(&r->w, T_RESULT_STATUS, o.status);
	if (o.status == V_STATUS_FAILED) {
		ttlv_enum(&r->w, T_RESULT_REASON, o.reason);
		ttlv_text(&r->w, T_RESULT_MESSAGE, o.message);
	} else if (len) {
		/* a finished structure is copied as it is */
		memcpy(r->w.buf + r->w.len, scratch, len);
		r->w.len += len;
	}
	ttlv_end(&r->w);
	OPENSSL_cleanse(scratch, len);
	free(scratch);
}

/* What the header says: version and number of items. */
static bool read_request(const struct ttlv *root, struct kmip_version *v, int32_t *count)
{
	struct ttlv head, i, n;

	return ttlv_find(root, T_REQUEST_HEADER, &head) && ttlv_find(&head, T_PROTOCOL_VERSION, &i) &&
	       ttlv_find(&i, T_PROTOCOL_MAJOR, &n) && ttlv_get_int(&n, &v->major) &&
	       ttlv_find(&i, T_PROTOCOL_MINOR, &n) && ttlv_get_int(&n, &v->minor) &&
	       ttlv_find(&head, T_BATCH_COUNT, &i) && ttlv_get_int(&i, count) &&
	       !ttlv_find(&head, T_TIME_STAMP, &i);
}

static void put_items(struct reply *r, struct mock_kmip *m, const struct ttlv *root, int32_t count)
{
	struct ttlv_cursor c = ttlv_children(root);
	struct ttlv item;
	int32_t n = 0;

	while (ttlv_next(&c, &item)) {
		if (item.tag != T_BATCH_ITEM)
			continue;
		n++;
		if (n == 1 && r->s.duplicate_item)
			put_item(r, m, &item);
		if (!(n == count && r->s.lose_item))
			put_item(r, m, &item);
	}
}

static uint32_t first_op(const struct ttlv *root)
{
	struct ttlv item, op;
	uint32_t v = 0;

	if (ttlv_find(root, T_BATCH_ITEM, &item) && ttlv_find(&item, T_OPERATION, &op))
		ttlv_get_enum(&op, &v);
	return v;
}

/* The reply to one request; 0 bytes: hang up. */
static size_t answer(struct mock_kmip *m, const uint8_t *in, size_t n, uint8_t *out, uint32_t *op)
{
	struct reply r = { .s = script(m) };
	struct ttlv root;
	int32_t count = 0;
	size_t len = 0;
	int version;

	ttlv_writer_init(&r.w, out, MESSAGE_MAX);
	if (ttlv_parse(in, n, &root, NULL) || root.tag != T_REQUEST_MESSAGE ||
	    !read_request(&root, &r.version, &count)) {
		refuse_message(&r.w, KMIP_R_INVALID_MESSAGE);
		return ttlv_finish(&r.w, &len, NULL) ? 0 : len;
	}
	*op = first_op(&root);
	version = r.version.major * 10 + r.version.minor;
	if (r.s.drop || (r.s.hangup_batch && count > 1))
		return 0;
	if (version < r.s.min_version || version > r.s.max_version) {
		if (r.s.hangup_version)
			return 0;
		refuse_message(&r.w, KMIP_R_INVALID_MESSAGE);
	} else if (r.s.old_error || (r.s.no_batch && count > 1) ||
		   (*op == KMIP_ADD_ATTRIBUTE && !r.s.add_attribute)) {
		refuse_message(&r.w, KMIP_R_INVALID_MESSAGE);
	} else {
		ttlv_begin(&r.w, T_RESPONSE_MESSAGE);
		put_header(&r.w, r.s.wrong_version ? 3 : r.version.major,
			   r.s.wrong_version ? 0 : r.version.minor,
			   count + !!r.s.duplicate_item - !!r.s.lose_item);
		put_items(&r, m, &root, count);
		ttlv_end(&r.w);
	}
	return ttlv_finish(&r.w, &len, NULL) ? 0 : len;
}

size_t mock_kmip_answer(struct mock_store *store, const char *text, const void *in, size_t n,
			uint8_t *out)
{
	struct mock_kmip m = { .store = store };
	uint32_t op = 0;
	size_t len;

	if (mock_script_parse(text, &m.script))
		abort();
	pthread_mutex_init(&m.lock, NULL);
	len = answer(&m, in, n, out, &op);
	pthread_mutex_destroy(&m.lock);
	return len;
}

/* ---- connections ------------------------------------------------------------------------- */

static bool write_all(struct conn *c, const uint8_t *p, size_t n, int bytewise, int dribble)
{
	while (n) {
		int r = SSL_write(c->ssl, p, bytewise || dribble ? 1 : (int)n);

		if (r <= 0)
			return false;
		p += r;
		n -= r;
		if (dribble && !pause_ms(c->m, dribble))
			return false;
	}
	return true;
}

/* How many bytes of the reply to send before hanging up; -1: all. */
static long cut_at(struct mock_kmip *m, uint32_t op)
{
	long n = -1;

	pthread_mutex_lock(&m->lock);
	if (m->script.cut > 0 && (!m->script.cut_op || op == (uint32_t)m->script.cut_op) &&
	    (!m->script.cut_times || m->cuts < m->script.cut_times)) {
		m->cuts++;
		n = m->script.cut - 1;
	}
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* Until the client has enough of it. */
static bool send_tickets(struct conn *c)
{
	while (pause_ms(c->m, 0) && SSL_new_session_ticket(c->ssl) == 1 && SSL_do_handshake(c->ssl) == 1)
		;
	return false;
}

static bool reply(struct conn *c, uint8_t *out, size_t n, uint32_t op)
{
	struct mock_script s = script(c->m);
	long cut = cut_at(c->m, op);

	if (s.stall)
		return pause_ms(c->m, -1);
	if (s.tickets)
		return send_tickets(c);
	if (s.delay && !pause_ms(c->m, s.delay))
		return false;
	if (!n)
		return false;
	if (s.garbage)
		RAND_bytes(out, n);
	if (s.http)
		n = snprintf((char *)out, MESSAGE_MAX, "HTTP/1.1 400 Bad Request\r\n\r\n");
	if (s.oversize)
		for (int i = 0; i < 4; i++)
			out[4 + i] = (uint32_t)s.oversize >> (24 - 8 * i);
	if (s.bad_padding)
		out[n - 1] ^= 0xff;
	if (cut >= 0 && (size_t)cut < n) {
		write_all(c, out, cut, s.bytewise, s.dribble);
		return false;
	}
	return write_all(c, out, n, s.bytewise, s.dribble);
}

static bool read_all(struct conn *c, uint8_t *p, size_t n)
{
	while (n) {
		int r = SSL_read(c->ssl, p, n);

		if (r <= 0)
			return false;
		p += r;
		n -= r;
	}
	return true;
}

static void serve(struct conn *c)
{
	uint8_t *in = malloc(MESSAGE_MAX), *out = malloc(MESSAGE_MAX);
	bool go = in && out;
	uint32_t op;
	size_t n;

	while (go && read_all(c, in, TTLV_HEADER)) {
		if (ttlv_peek(in, T_REQUEST_MESSAGE, &n, NULL) || n > MESSAGE_MAX ||
		    !read_all(c, in + TTLV_HEADER, n - TTLV_HEADER))
			break;
		pthread_mutex_lock(&c->m->lock);
		c->m->messages++;
		pthread_mutex_unlock(&c->m->lock);
		op = 0;
		n = answer(c->m, in, n, out, &op);
		go = reply(c, out, n, op);
		OPENSSL_cleanse(out, n);
	}
	free(in);
	free(out);
}

static void *conn_thread(void *data)
{
	struct conn *c = data;
	struct mock_kmip *m = c->m;
	struct mock_script s = script(m);
	char tiny[64];

	if (s.stall_handshake) {
		pause_ms(m, -1);
	} else if (s.plain) {
		if (send(c->fd, "220 this is no TLS\r\n", 20, MSG_NOSIGNAL) == 20)
			while (recv(c->fd, tiny, sizeof(tiny), 0) > 0)
				;
	} else {
		c->ssl = SSL_new(m->ctx);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_accept(c->ssl) == 1)
			serve(c);
		SSL_free(c->ssl);
	}
	ERR_clear_error();
	pthread_mutex_lock(&m->lock);
	m->conns[c->slot] = -1;
	close(c->fd);
	m->n_conns--;
	pthread_cond_broadcast(&m->gone);
	pthread_mutex_unlock(&m->lock);
	free(c);
	return NULL;
}

/* Under the lock. */
static int free_slot(struct mock_kmip *m)
{
	for (int i = 0; i < CONNS_MAX; i++)
		if (m->conns[i] < 0)
			return i;
	return -1;
}

static void new_conn(struct mock_kmip *m, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	pthread_attr_t attr;
	pthread_t t;
	int one = 1;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pthread_mutex_lock(&m->lock);
	m->accepted++;
	if (c) {
		*c = (struct conn){ .m = m, .fd = fd, .slot = free_slot(m) };
		if (c->slot >= 0) {
			m->conns[c->slot] = fd;
			m->n_conns++;
			if (pthread_create(&t, &attr, conn_thread, c)) {
				m->conns[c->slot] = -1;
				m->n_conns--;
				c->slot = -1;
			}
		}
		if (c->slot < 0) {
			close(fd);
			free(c);
		}
	} else {
		close(fd);
	}
	pthread_mutex_unlock(&m->lock);
	pthread_attr_destroy(&attr);
}

static void *listen_thread(void *data)
{
	struct mock_kmip *m = data;
	struct pollfd p[2] = { { .fd = m->listener, .events = POLLIN },
			       { .fd = m->stop_fd, .events = POLLIN } };
	int fd;

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[1].revents)
			break;
		fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			new_conn(m, fd);
	}
	return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------- */

static bool listen_on(struct mock_kmip *m, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1;

	m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (m->listener < 0 || m->stop_fd < 0 ||
	    setsockopt(m->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(m->listener, (struct sockaddr *)&a, sizeof(a)) || listen(m->listener, 128) ||
	    getsockname(m->listener, (struct sockaddr *)&a, &len))
		return false;
	m->port = ntohs(a.sin_port);
	return true;
}

static bool set_tls(struct mock_kmip *m, const struct mock_config *c)
{
	m->ctx = SSL_CTX_new(TLS_server_method());
	if (!m->ctx || SSL_CTX_use_certificate_chain_file(m->ctx, c->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(m->ctx, c->key, SSL_FILETYPE_PEM) != 1)
		return false;
	SSL_CTX_set_min_proto_version(m->ctx, c->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(m->ctx, c->tls12_only ? TLS1_2_VERSION : 0);
	SSL_CTX_set_options(m->ctx, SSL_OP_CLEANSE_PLAINTEXT);
	if (!c->ca)
		return true;
	SSL_CTX_set_verify(m->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return SSL_CTX_load_verify_file(m->ctx, c->ca) == 1;
}

/* Threads are made with SIGPIPE blocked: a client that goes away is what is tested. */
static bool start_thread(struct mock_kmip *m)
{
	sigset_t pipe_set, old;
	bool ok;

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
	ok = !pthread_create(&m->thread, NULL, listen_thread, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

struct mock_kmip *mock_kmip_start(const struct mock_config *c)
{
	struct mock_kmip *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->listener = m->stop_fd = -1;
	m->store = c->store;
	for (int i = 0; i < CONNS_MAX; i++)
		m->conns[i] = -1;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->gone, NULL);
	if (!mock_script_parse(c->script, &m->script) && listen_on(m, c->port) && set_tls(m, c) &&
	    start_thread(m))
		return m;
	fprintf(stderr, "mock: cannot start: %s\n", strerror(errno));
	ERR_print_errors_fp(stderr);
	if (m->listener >= 0)
		close(m->listener);
	if (m->stop_fd >= 0)
		close(m->stop_fd);
	SSL_CTX_free(m->ctx);
	free(m);
	return NULL;
}

void mock_kmip_stop(struct mock_kmip *m)
{
	uint64_t one = 1;

	if (!m)
		return;
	if (write(m->stop_fd, &one, sizeof(one)) != sizeof(one))
		abort();
	pthread_join(m->thread, NULL);
	close(m->listener);
	pthread_mutex_lock(&m->lock);
	for (int i = 0; i < CONNS_MAX; i++)
		if (m->conns[i] >= 0)
			shutdown(m->conns[i], SHUT_RDWR);
	while (m->n_conns)
		pthread_cond_wait(&m->gone, &m->lock);
	pthread_mutex_unlock(&m->lock);
	close(m->stop_fd);
	SSL_CTX_free(m->ctx);
	pthread_cond_destroy(&m->gone);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

uint16_t mock_kmip_port(const struct mock_kmip *m)
{
	return m->port;
}

void mock_kmip_script(struct mock_kmip *m, const char *text)
{
	struct mock_script s;

	if (mock_script_parse(text, &s))
		abort();
	pthread_mutex_lock(&m->lock);
	m->script = s;
	m->cuts = 0;
	pthread_mutex_unlock(&m->lock);
}

unsigned int mock_kmip_connections(struct mock_kmip *m)
{
	unsigned int n;

	pthread_mutex_lock(&m->lock);
	n = m->accepted;
	pthread_mutex_unlock(&m->lock);
	return n;
}

unsigned int mock_kmip_requests(struct mock_kmip *m, uint32_t op)
{
	unsigned int n;

	pthread_mutex_lock(&m->lock);
	n = op ? m->requests[op & 255] : m->messages;
	pthread_mutex_unlock(&m->lock);
	return n;
}
