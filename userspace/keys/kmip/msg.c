// SPDX-License-Identifier: GPL-2.0-or-later
/* KMIP messages as pure functions. See msg.h. */
#include "msg.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/util.h"
#include "tags.h"

const struct kmip_version kmip_versions[] = {
	{ 2, 1 }, { 2, 0 }, { 1, 4 }, { 1, 3 }, { 1, 2 }, { 1, 1 }, { 0, 0 },
};

int kmip_version_parse(const char *s, struct kmip_version *v)
{
	if (strlen(s) != 3 || s[1] != '.')
		return VMC_EINVAL;
	*v = (struct kmip_version){ s[0] - '0', s[2] - '0' };
	return kmip_version_known(*v) ? 0 : VMC_EINVAL;
}

const char *kmip_op_name(uint32_t op)
{
	switch (op) {
	case KMIP_CREATE:		return "Create";
	case KMIP_REGISTER:		return "Register";
	case KMIP_LOCATE:		return "Locate";
	case KMIP_GET:			return "Get";
	case KMIP_GET_ATTRIBUTES:	return "Get Attributes";
	case KMIP_ADD_ATTRIBUTE:	return "Add Attribute";
	case KMIP_ACTIVATE:		return "Activate";
	case KMIP_REVOKE:		return "Revoke";
	case KMIP_DESTROY:		return "Destroy";
	case KMIP_QUERY:		return "Query";
	case KMIP_DISCOVER_VERSIONS:	return "Discover Versions";
	default:			return "an unknown operation";
	}
}

const char *kmip_reason_name(uint32_t reason)
{
	switch (reason) {
	case KMIP_R_NONE:			return "no reason given";
	case KMIP_R_NOT_FOUND:			return "Item Not Found";
	case KMIP_R_TOO_LARGE:			return "Response Too Large";
	case KMIP_R_AUTH:			return "Authentication Not Successful";
	case KMIP_R_INVALID_MESSAGE:		return "Invalid Message";
	case KMIP_R_OP_NOT_SUPPORTED:		return "Operation Not Supported";
	case KMIP_R_MISSING_DATA:		return "Missing Data";
	case KMIP_R_INVALID_FIELD:		return "Invalid Field";
	case KMIP_R_FEATURE_NOT_SUPPORTED:	return "Feature Not Supported";
	case KMIP_R_ILLEGAL_OPERATION:		return "Illegal Operation";
	case KMIP_R_PERMISSION_DENIED:		return "Permission Denied";
	case KMIP_R_ARCHIVED:			return "Object Archived";
	case KMIP_R_NAMESPACE_NOT_SUPPORTED:	return "Application Namespace Not Supported";
	case KMIP_R_SENSITIVE:			return "Sensitive";
	case KMIP_R_NOT_EXTRACTABLE:		return "Not Extractable";
	case KMIP_R_EXISTS:			return "Object Already Exists";
	case KMIP_R_UNSUPPORTED_ATTRIBUTE:	return "Unsupported Attribute";
	case KMIP_R_INTERNAL:			return "Internal Server Error";
	case KMIP_R_INVALID_ATTRIBUTE:		return "Invalid Attribute";
	case KMIP_R_INVALID_ATTRIBUTE_VALUE:	return "Invalid Attribute Value";
	case KMIP_R_NON_UNIQUE_NAME:		return "Non Unique Name Attribute";
	case KMIP_R_OBJECT_DESTROYED:		return "Object Destroyed";
	case KMIP_R_OBJECT_NOT_FOUND:		return "Object Not Found";
	case KMIP_R_NOT_AUTHORISED:		return "Not Authorised";
	case KMIP_R_SERVER_LIMIT:		return "Server Limit Exceeded";
	case KMIP_R_UNSUPPORTED_VERSION:	return "Unsupported Protocol Version";
	case KMIP_R_WRONG_STATE:		return "Wrong Key Lifecycle State";
	case KMIP_R_GENERAL:			return "General Failure";
	default:				return "another reason";
	}
}

/* ---- requests ---------------------------------------------------------- */

static bool v2(const struct kmip_request *r)
{
	return r->version.major >= 2;
}

static void put_version(struct ttlv_writer *w, struct kmip_version v)
{
	ttlv_begin(w, T_PROTOCOL_VERSION);
	ttlv_int(w, T_PROTOCOL_MAJOR, v.major);
	ttlv_int(w, T_PROTOCOL_MINOR, v.minor);
	ttlv_end(w);
}

static void put_auth(struct ttlv_writer *w, const struct kmip_auth *auth)
{
	if (!auth || !auth->username)
		return;
	ttlv_begin(w, T_AUTHENTICATION);
	ttlv_begin(w, T_CREDENTIAL);
	ttlv_enum(w, T_CREDENTIAL_TYPE, V_CREDENTIAL_PASSWORD);
	ttlv_begin(w, T_CREDENTIAL_VALUE);
	ttlv_text(w, T_USERNAME, auth->username);
	if (auth->password)
		ttlv_text(w, T_PASSWORD, auth->password);
	ttlv_end(w);
	ttlv_end(w);
	ttlv_end(w);
}

void kmip_req_begin(struct kmip_request *r, void *buf, size_t max, struct kmip_version v,
		    unsigned int items, const struct kmip_auth *auth, uint32_t max_response)
{
	struct ttlv_writer *w = &r->w;

	r->version = v;
	r->announced = items;
	r->n = 0;
	ttlv_writer_init(w, buf, max);
	ttlv_begin(w, T_REQUEST_MESSAGE);
	ttlv_begin(w, T_REQUEST_HEADER);
	put_version(w, v);
	if (max_response)
		ttlv_int(w, T_MAXIMUM_RESPONSE_SIZE, max_response);
	put_auth(w, auth);
	if (items > 1)
		ttlv_enum(w, T_BATCH_ERROR_CONTINUATION, V_CONTINUE);
	ttlv_int(w, T_BATCH_COUNT, items);
	ttlv_end(w);
}

/* The id of the nth item of a batch; the reply repeats it. */
static uint32_t batch_id(unsigned int n)
{
	return n + 1;
}

static void item_begin(struct kmip_request *r, enum kmip_op op)
{
	struct ttlv_writer *w = &r->w;
	uint32_t id = batch_id(r->n);
	uint8_t b[4] = { id >> 24, id >> 16, id >> 8, id };

	if (r->n == KMIP_BATCH_MAX)
		w->broken = true;
	else
		r->ops[r->n++] = op;
	ttlv_begin(w, T_BATCH_ITEM);
	ttlv_enum(w, T_OPERATION, op);
	ttlv_bytes(w, T_UNIQUE_BATCH_ITEM_ID, b, sizeof(b));
	ttlv_begin(w, T_REQUEST_PAYLOAD);
}

static void item_end(struct kmip_request *r)
{
	ttlv_end(&r->w);
	ttlv_end(&r->w);
}

/* An item whose payload is a key's id. */
static void item_id(struct kmip_request *r, enum kmip_op op, const char *id)
{
	item_begin(r, op);
	ttlv_text(&r->w, T_UNIQUE_IDENTIFIER, id);
}

/*
 * Attributes. KMIP 1.x writes each as a structure of name and value; 2.x
 * writes the value under its own tag. attr_begin() opens what is needed and
 * returns the tag for the value.
 */
static uint32_t attr_begin(struct kmip_request *r, const char *name, uint32_t tag)
{
	if (v2(r))
		return tag;
	ttlv_begin(&r->w, T_ATTRIBUTE);
	ttlv_text(&r->w, T_ATTRIBUTE_NAME, name);
	return T_ATTRIBUTE_VALUE;
}

static void attr_end(struct kmip_request *r)
{
	if (!v2(r))
		ttlv_end(&r->w);
}

static void attr_enum(struct kmip_request *r, const char *name, uint32_t tag, uint32_t v)
{
	ttlv_enum(&r->w, attr_begin(r, name, tag), v);
	attr_end(r);
}

static void attr_int(struct kmip_request *r, const char *name, uint32_t tag, int32_t v)
{
	ttlv_int(&r->w, attr_begin(r, name, tag), v);
	attr_end(r);
}

static void attr_name(struct kmip_request *r, const char *name)
{
	ttlv_begin(&r->w, attr_begin(r, "Name", T_NAME));
	ttlv_text(&r->w, T_NAME_VALUE, name);
	ttlv_enum(&r->w, T_NAME_TYPE, V_NAME_TEXT);
	ttlv_end(&r->w);
	attr_end(r);
}

static void attr_app(struct kmip_request *r, const char *ns, const char *data)
{
	ttlv_begin(&r->w, attr_begin(r, "Application Specific Information",
				     T_APPLICATION_SPECIFIC_INFO));
	ttlv_text(&r->w, T_APPLICATION_NAMESPACE, ns);
	ttlv_text(&r->w, T_APPLICATION_DATA, data);
	ttlv_end(&r->w);
	attr_end(r);
}

static void put_new_key(struct kmip_request *r, const struct kmip_new_key *k)
{
	ttlv_begin(&r->w, v2(r) ? T_ATTRIBUTES : T_TEMPLATE_ATTRIBUTE);
	attr_enum(r, "Cryptographic Algorithm", T_CRYPTO_ALGORITHM, V_AES);
	attr_int(r, "Cryptographic Length", T_CRYPTO_LENGTH, PROVIDER_KEY_LEN * 8);
	attr_int(r, "Cryptographic Usage Mask", T_CRYPTO_USAGE_MASK, k->usage);
	if (k->name)
		attr_name(r, k->name);
	if (k->app_namespace)
		attr_app(r, k->app_namespace, k->app_data);
	if (k->operation_policy && !v2(r)) {
		ttlv_text(&r->w, attr_begin(r, "Operation Policy Name",
					    T_OPERATION_POLICY_NAME), k->operation_policy);
		attr_end(r);
	}
	ttlv_end(&r->w);
}

void kmip_req_discover(struct kmip_request *r)
{
	item_begin(r, KMIP_DISCOVER_VERSIONS);
	for (const struct kmip_version *v = kmip_versions; v->major; v++)
		put_version(&r->w, *v);
	item_end(r);
}

void kmip_req_query(struct kmip_request *r)
{
	item_begin(r, KMIP_QUERY);
	for (uint32_t f = 1; f <= 3; f++)	/* operations, objects, server information */
		ttlv_enum(&r->w, T_QUERY_FUNCTION, f);
	item_end(r);
}

void kmip_req_create(struct kmip_request *r, const struct kmip_new_key *k)
{
	item_begin(r, KMIP_CREATE);
	ttlv_enum(&r->w, T_OBJECT_TYPE, V_SYMMETRIC_KEY);
	put_new_key(r, k);
	item_end(r);
}

void kmip_req_register(struct kmip_request *r, const struct kmip_new_key *k,
		       const uint8_t key[PROVIDER_KEY_LEN])
{
	struct ttlv_writer *w = &r->w;

	item_begin(r, KMIP_REGISTER);
	ttlv_enum(w, T_OBJECT_TYPE, V_SYMMETRIC_KEY);
	put_new_key(r, k);
	ttlv_begin(w, T_SYMMETRIC_KEY);
	ttlv_begin(w, T_KEY_BLOCK);
	ttlv_enum(w, T_KEY_FORMAT_TYPE, V_FORMAT_RAW);
	ttlv_begin(w, T_KEY_VALUE);
	ttlv_bytes(w, T_KEY_MATERIAL, key, PROVIDER_KEY_LEN);
	ttlv_end(w);
	ttlv_enum(w, T_CRYPTO_ALGORITHM, V_AES);
	ttlv_int(w, T_CRYPTO_LENGTH, PROVIDER_KEY_LEN * 8);
	ttlv_end(w);
	ttlv_end(w);
	item_end(r);
}

void kmip_req_locate(struct kmip_request *r, const struct kmip_new_key *k, uint32_t max,
		     uint32_t offset)
{
	item_begin(r, KMIP_LOCATE);
	if (max)
		ttlv_int(&r->w, T_MAXIMUM_ITEMS, max);
	if (offset)
		ttlv_int(&r->w, T_OFFSET_ITEMS, offset);
	if (v2(r))
		ttlv_begin(&r->w, T_ATTRIBUTES);
	attr_enum(r, "Object Type", T_OBJECT_TYPE, V_SYMMETRIC_KEY);
	if (k->name)
		attr_name(r, k->name);
	if (k->app_namespace)
		attr_app(r, k->app_namespace, k->app_data);
	if (v2(r))
		ttlv_end(&r->w);
	item_end(r);
}

void kmip_req_get(struct kmip_request *r, const char *id)
{
	item_id(r, KMIP_GET, id);
	item_end(r);
}

void kmip_req_get_wrapped(struct kmip_request *r, const char *id, const char *kek)
{
	struct ttlv_writer *w = &r->w;

	item_id(r, KMIP_GET, id);
	ttlv_begin(w, T_KEY_WRAPPING_SPEC);
	ttlv_enum(w, T_WRAPPING_METHOD, V_WRAP_ENCRYPT);
	ttlv_begin(w, T_ENCRYPTION_KEY_INFO);
	ttlv_text(w, T_UNIQUE_IDENTIFIER, kek);
	ttlv_begin(w, T_CRYPTO_PARAMETERS);
	ttlv_enum(w, T_BLOCK_CIPHER_MODE, V_NIST_KEY_WRAP);
	ttlv_end(w);
	ttlv_end(w);
	ttlv_enum(w, T_ENCODING_OPTION, V_NO_ENCODING);
	ttlv_end(w);
	item_end(r);
}

static const struct {
	const char *name;
	uint32_t tag;
} wanted[] = {
	{ "State", T_STATE },
	{ "Object Type", T_OBJECT_TYPE },
	{ "Cryptographic Algorithm", T_CRYPTO_ALGORITHM },
	{ "Cryptographic Length", T_CRYPTO_LENGTH },
};

void kmip_req_get_attributes(struct kmip_request *r, const char *id)
{
	item_id(r, KMIP_GET_ATTRIBUTES, id);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (v2(r))
			ttlv_enum(&r->w, T_ATTRIBUTE_REFERENCE, wanted[i].tag);
		else
			ttlv_text(&r->w, T_ATTRIBUTE_NAME, wanted[i].name);
	}
	item_end(r);
}

void kmip_req_add_attribute(struct kmip_request *r, const char *id, const char *name,
			    const char *value)
{
	char full[KMIP_TEXT_MAX + 1];
	struct ttlv_writer *w = &r->w;

	item_id(r, KMIP_ADD_ATTRIBUTE, id);
	if (v2(r)) {
		ttlv_begin(w, T_NEW_ATTRIBUTE);
		ttlv_begin(w, T_ATTRIBUTE);
		ttlv_text(w, T_VENDOR_IDENTIFICATION, "vmcrypt");
		ttlv_text(w, T_ATTRIBUTE_NAME, name);
	} else {
		snprintf(full, sizeof(full), "x-%s", name);
		ttlv_begin(w, T_ATTRIBUTE);
		ttlv_text(w, T_ATTRIBUTE_NAME, full);
	}
	ttlv_text(w, T_ATTRIBUTE_VALUE, value);
	ttlv_end(w);
	if (v2(r))
		ttlv_end(w);
	item_end(r);
}

void kmip_req_activate(struct kmip_request *r, const char *id)
{
	item_id(r, KMIP_ACTIVATE, id);
	item_end(r);
}

void kmip_req_revoke(struct kmip_request *r, const char *id, enum kmip_revocation why,
		     const char *message)
{
	item_id(r, KMIP_REVOKE, id);
	ttlv_begin(&r->w, T_REVOCATION_REASON);
	ttlv_enum(&r->w, T_REVOCATION_REASON_CODE, why);
	if (message)
		ttlv_text(&r->w, T_REVOCATION_MESSAGE, message);
	ttlv_end(&r->w);
	item_end(r);
}

void kmip_req_destroy(struct kmip_request *r, const char *id)
{
	item_id(r, KMIP_DESTROY, id);
	item_end(r);
}

int kmip_req_end(struct kmip_request *r, size_t *len, struct vmc_error *err)
{
	ttlv_end(&r->w);
	if (r->n != r->announced)
		r->w.broken = true;
	return ttlv_finish(&r->w, len, err);
}

/* ---- replies ------------------------------------------------------------ */

/* The server's words go into logs and terminals: keep what prints. */
static void printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

/* A text, cut to fit. */
static void text_cut(const struct ttlv *i, char *out, size_t max)
{
	size_t n = i->len < max ? i->len : max - 1;

	memcpy(out, i->value, n);
	out[n] = '\0';
	printable(out);
}

static int get_version(const struct ttlv *s, struct kmip_version *v)
{
	struct ttlv i;

	if (!ttlv_find(s, T_PROTOCOL_MAJOR, &i) || !ttlv_get_int(&i, &v->major) ||
	    !ttlv_find(s, T_PROTOCOL_MINOR, &i) || !ttlv_get_int(&i, &v->minor))
		return VMC_EPROTO;
	return 0;
}

static int get_header(const struct ttlv *root, struct kmip_version *v, int32_t *count,
		      struct vmc_error *err)
{
	struct ttlv head, i;

	if (root->tag != T_RESPONSE_MESSAGE || root->type != TTLV_STRUCTURE)
		return vmc_fail(err, VMC_EPROTO, "the reply is not a KMIP Response Message");
	if (!ttlv_find_type(root, T_RESPONSE_HEADER, TTLV_STRUCTURE, &head) ||
	    !ttlv_find_type(&head, T_PROTOCOL_VERSION, TTLV_STRUCTURE, &i) ||
	    get_version(&i, v) || !ttlv_find(&head, T_BATCH_COUNT, &i) ||
	    !ttlv_get_int(&i, count))
		return vmc_fail(err, VMC_EPROTO,
				"the reply's header lacks its version or batch count");
	return 0;
}

/* Reads one batch item; @id is 0 when it has none, and 0xffffffff when it has one that we never send. */
static int get_item(const struct ttlv *s, struct kmip_item *i, uint32_t *id,
		    struct vmc_error *err)
{
	struct ttlv t;

	*i = (struct kmip_item){ .answered = true };
	i->payload = (struct ttlv){ .tag = T_RESPONSE_PAYLOAD, .type = TTLV_STRUCTURE,
				    .value = s->value };
	*id = 0;
	if (ttlv_find(s, T_OPERATION, &t) && !ttlv_get_enum(&t, &i->op))
		return vmc_fail(err, VMC_EPROTO, "a batch item's operation is not an enumeration");
	if (ttlv_find(s, T_UNIQUE_BATCH_ITEM_ID, &t)) {
		*id = UINT32_MAX;
		if (t.type == TTLV_BYTES && t.len == 4)
			*id = (uint32_t)t.value[0] << 24 | t.value[1] << 16 |
			      t.value[2] << 8 | t.value[3];
	}
	if (!ttlv_find(s, T_RESULT_STATUS, &t) || !ttlv_get_enum(&t, &i->status) ||
	    i->status > V_STATUS_UNDONE)
		return vmc_fail(err, VMC_EPROTO, "a batch item has no result status");
	if (ttlv_find(s, T_RESULT_REASON, &t) && !ttlv_get_enum(&t, &i->reason))
		return vmc_fail(err, VMC_EPROTO, "a batch item's result reason is not an enumeration");
	if (ttlv_find_type(s, T_RESULT_MESSAGE, TTLV_TEXT, &t))
		text_cut(&t, i->message, sizeof(i->message));
	if (ttlv_find(s, T_RESPONSE_PAYLOAD, &t)) {
		if (t.type != TTLV_STRUCTURE)
			return vmc_fail(err, VMC_EPROTO, "a batch item's payload is not a structure");
		i->payload = t;
	}
	return 0;
}

/*
 * Where item @i with @id belongs in the request: its number, or -1 when it
 * speaks of the whole message, or -2 when it belongs nowhere.
 */
static int item_place(const struct kmip_item *i, uint32_t id, const struct kmip_request *r,
		      int32_t count)
{
	if (!id) {
		if (count != 1)
			return -2;
		if (i->status != V_STATUS_SUCCESS && (!i->op || r->n > 1))
			return -1;
		return r->n == 1 ? 0 : -2;
	}
	return id <= r->n ? (int)id - 1 : -2;
}

static int place_items(const struct ttlv *root, const struct kmip_request *r, int32_t count,
		       struct kmip_reply *reply, struct vmc_error *err)
{
	struct ttlv_cursor c = ttlv_children(root);
	struct kmip_item item;
	struct ttlv s;
	int32_t seen = 0;
	uint32_t id;
	int n;

	while (ttlv_next(&c, &s)) {
		if (s.tag != T_BATCH_ITEM || s.type != TTLV_STRUCTURE)
			continue;
		seen++;
		if (get_item(&s, &item, &id, err))
			return VMC_EPROTO;
		n = item_place(&item, id, r, count);
		if (n == -2)
			return vmc_fail(err, VMC_EPROTO,
					"the reply has an item that answers none of the %u requests", r->n);
		if (n == -1) {
			reply->refused = true;
			n = 0;
		}
		if (reply->items[n].answered)
			return vmc_fail(err, VMC_EPROTO,
					"the reply answers request %d of %u twice", n + 1, r->n);
		if (item.op && item.op != r->ops[n] && !reply->refused)
			return vmc_fail(err, VMC_EPROTO, "the reply answers %s with %s",
					kmip_op_name(r->ops[n]), kmip_op_name(item.op));
		if (!item.op && item.status == V_STATUS_SUCCESS)
			return vmc_fail(err, VMC_EPROTO, "the reply to %s names no operation",
					kmip_op_name(r->ops[n]));
		reply->items[n] = item;
	}
	if (seen != count)
		return vmc_fail(err, VMC_EPROTO,
				"the reply announces %d batch items and has %d", count, seen);
	if (!seen)
		return vmc_fail(err, VMC_EPROTO, "the reply is empty");
	return 0;
}

static bool any_success(const struct kmip_reply *reply, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (reply->items[i].answered && reply->items[i].status == V_STATUS_SUCCESS)
			return true;
	return false;
}

int kmip_reply_parse(const void *buf, size_t len, const struct kmip_request *r,
		     struct kmip_reply *reply, struct vmc_error *err)
{
	struct ttlv root;
	int32_t count;
	int rc;

	memset(reply, 0, sizeof(*reply));
	rc = ttlv_parse(buf, len, &root, err);
	if (rc)
		return rc;
	rc = get_header(&root, &reply->version, &count, err);
	if (rc)
		return rc;
	rc = place_items(&root, r, count, reply, err);
	if (rc)
		return rc;
	/* only a refusal may come in another version (servers that could not read ours) */
	if (kmip_version_cmp(reply->version, r->version) && any_success(reply, r->n))
		return vmc_fail(err, VMC_EPROTO,
				"the reply is in KMIP %d.%d, the request was in %d.%d",
				reply->version.major, reply->version.minor,
				r->version.major, r->version.minor);
	return 0;
}

static int reason_code(uint32_t reason)
{
	switch (reason) {
	case KMIP_R_NOT_FOUND:
	case KMIP_R_OBJECT_NOT_FOUND:
	case KMIP_R_OBJECT_DESTROYED:
		return VMC_ENOKEY;
	case KMIP_R_WRONG_STATE:
	case KMIP_R_ARCHIVED:
		return VMC_EKEYSTATE;
	case KMIP_R_OP_NOT_SUPPORTED:
	case KMIP_R_FEATURE_NOT_SUPPORTED:
	case KMIP_R_UNSUPPORTED_VERSION:
		return VMC_ENOTSUP;
	default:
		return VMC_EREFUSED;
	}
}

static void reason_hint(struct vmc_error *err, uint32_t reason)
{
	switch (reason) {
	case KMIP_R_NOT_FOUND:
	case KMIP_R_OBJECT_NOT_FOUND:
	case KMIP_R_OBJECT_DESTROYED:
		vmc_hint(err, "restore the key from a backup of the key server, or check that its servers replicate");
		break;
	case KMIP_R_AUTH:
		vmc_hint(err, "check on the key server that this host's client certificate (and user name) may log in");
		break;
	case KMIP_R_PERMISSION_DENIED:
	case KMIP_R_NOT_AUTHORISED:
		vmc_hint(err, "on the key server, let this host's client certificate use the key; keys of other clients show up like this");
		break;
	case KMIP_R_ARCHIVED:
		vmc_hint(err, "recover the key from the archive on the key server");
		break;
	case KMIP_R_SENSITIVE:
	case KMIP_R_NOT_EXTRACTABLE:
		vmc_hint(err, "make the key extractable on the key server; vmcrypt hands keys to the kernel and must read them");
		break;
	case KMIP_R_GENERAL:
	case KMIP_R_INTERNAL:
	case KMIP_R_SERVER_LIMIT:
		vmc_hint(err, "see the log of the key server");
		break;
	default:
		break;
	}
}

int kmip_item_check(const struct kmip_item *i, uint32_t op, const char *server,
		    const char *key, struct vmc_error *err)
{
	const char *of = key ? " of key '" : "", *q = key ? "'" : "";
	int code;

	if (!i->answered)
		return vmc_fail(err, VMC_EPROTO, "key server %s left %s%s%s%s unanswered",
				server, kmip_op_name(op), of, key ? key : "", q);
	if (i->status == V_STATUS_SUCCESS)
		return 0;
	if (i->status != V_STATUS_FAILED)
		return vmc_fail(err, VMC_EPROTO, "key server %s did not finish %s%s%s%s (result status %u)",
				server, kmip_op_name(op), of, key ? key : "", q, i->status);
	code = vmc_fail(err, reason_code(i->reason),
			"key server %s refused %s%s%s%s: %s (reason %u)%s%s", server,
			kmip_op_name(op), of, key ? key : "", q, kmip_reason_name(i->reason),
			i->reason, i->message[0] ? ": " : "", i->message);
	reason_hint(err, i->reason);
	return code;
}

int kmip_parse_versions(const struct ttlv *payload, struct kmip_version *v, size_t max,
			size_t *n, struct vmc_error *err)
{
	struct ttlv_cursor c = ttlv_children(payload);
	struct ttlv i;

	*n = 0;
	while (ttlv_next(&c, &i)) {
		struct kmip_version one;

		if (i.tag != T_PROTOCOL_VERSION)
			continue;
		if (get_version(&i, &one))
			return vmc_fail(err, VMC_EPROTO, "a protocol version lacks its numbers");
		if (*n < max)
			v[(*n)++] = one;
	}
	return 0;
}

int kmip_parse_query(const struct ttlv *payload, struct kmip_query_info *q,
		     struct vmc_error *err)
{
	struct ttlv_cursor c = ttlv_children(payload);
	struct ttlv i;
	uint32_t v;

	memset(q, 0, sizeof(*q));
	while (ttlv_next(&c, &i)) {
		if ((i.tag == T_OPERATION || i.tag == T_OBJECT_TYPE) && !ttlv_get_enum(&i, &v))
			return vmc_fail(err, VMC_EPROTO, "the reply to Query is not made of enumerations");
		if (i.tag == T_OPERATION && v < 64)
			q->operations |= 1ULL << v;
		else if (i.tag == T_OBJECT_TYPE && v == V_SYMMETRIC_KEY)
			q->symmetric_keys = true;
		else if (i.tag == T_VENDOR_IDENTIFICATION && i.type == TTLV_TEXT)
			text_cut(&i, q->vendor, sizeof(q->vendor));
	}
	return 0;
}

/* An id that fits, is not empty and can be shown. */
static int get_id(const struct ttlv *i, char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err)
{
	if (!ttlv_get_text(i, id, PROVIDER_KEY_ID_MAX + 1) || !id[0])
		return vmc_fail(err, VMC_EPROTO,
				"a Unique Identifier is not a text of 1 to %d bytes", PROVIDER_KEY_ID_MAX);
	for (const char *p = id; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return vmc_fail(err, VMC_EPROTO, "a Unique Identifier has control characters");
	return 0;
}

int kmip_parse_id(const struct ttlv *payload, char id[PROVIDER_KEY_ID_MAX + 1],
		  struct vmc_error *err)
{
	struct ttlv i;

	if (!ttlv_find(payload, T_UNIQUE_IDENTIFIER, &i))
		return vmc_fail(err, VMC_EPROTO, "the reply has no Unique Identifier");
	return get_id(&i, id, err);
}

int kmip_parse_ids(const struct ttlv *payload, size_t max,
		   int (*fn)(const char *id, void *data), void *data, struct vmc_error *err)
{
	struct ttlv_cursor c = ttlv_children(payload);
	char id[PROVIDER_KEY_ID_MAX + 1];
	struct ttlv i;
	int rc;

	while (ttlv_next(&c, &i)) {
		if (i.tag != T_UNIQUE_IDENTIFIER)
			continue;
		if (!max--)
			return vmc_fail(err, VMC_EPROTO, "the reply has more ids than were asked for");
		rc = get_id(&i, id, err);
		if (rc)
			return rc;
		rc = fn(id, data);
		if (rc)
			return vmc_fail(err, rc, "cannot keep the list of keys");
	}
	return 0;
}

/* Key Wrapping Data, section 2.1.5 */
static int parse_wrapping(const struct ttlv *s, struct kmip_key *k, struct vmc_error *err)
{
	struct ttlv info, params, i;

	k->wrapped = true;
	k->encoding = V_NO_ENCODING + 1;	/* TTLV encoding is the default, section 2.1.5 */
	if (!ttlv_find(s, T_WRAPPING_METHOD, &i) || !ttlv_get_enum(&i, &k->wrapping_method))
		return vmc_fail(err, VMC_EPROTO, "the key's wrapping has no method");
	if (ttlv_find(s, T_ENCODING_OPTION, &i) && !ttlv_get_enum(&i, &k->encoding))
		return vmc_fail(err, VMC_EPROTO, "the key's wrapping has a bad encoding option");
	if (!ttlv_find_type(s, T_ENCRYPTION_KEY_INFO, TTLV_STRUCTURE, &info))
		return 0;
	if (ttlv_find(&info, T_UNIQUE_IDENTIFIER, &i) && get_id(&i, k->wrapping_key, err))
		return VMC_EPROTO;
	if (ttlv_find_type(&info, T_CRYPTO_PARAMETERS, TTLV_STRUCTURE, &params) &&
	    ttlv_find(&params, T_BLOCK_CIPHER_MODE, &i) && !ttlv_get_enum(&i, &k->wrapping_mode))
		return vmc_fail(err, VMC_EPROTO, "the key's wrapping has a bad block cipher mode");
	return 0;
}

/* Key Value, section 2.1.4: a structure; or bytes, when the whole of it is wrapped. */
static int parse_value(const struct ttlv *block, struct kmip_key *k, struct vmc_error *err)
{
	struct ttlv value, material, inner;

	if (!ttlv_find(block, T_KEY_VALUE, &value))
		return vmc_fail(err, VMC_EPROTO, "the key has no Key Value");
	if (value.type == TTLV_BYTES && k->wrapped) {
		material = value;
	} else if (!ttlv_find(&value, T_KEY_MATERIAL, &material)) {
		return vmc_fail(err, VMC_EPROTO, "the key has no Key Material");
	}
	if (material.type == TTLV_STRUCTURE && k->format == V_FORMAT_TRANSPARENT &&
	    ttlv_find(&material, T_KEY, &inner))
		material = inner;
	if (material.type != TTLV_BYTES)
		return vmc_fail(err, VMC_EPROTO, "the Key Material is not a byte string");
	k->material = material.value;
	k->material_len = material.len;
	return 0;
}

int kmip_parse_key(const struct ttlv *payload, struct kmip_key *k, struct vmc_error *err)
{
	struct ttlv object, block, i;
	int rc;

	memset(k, 0, sizeof(*k));
	rc = kmip_parse_id(payload, k->id, err);
	if (rc)
		return rc;
	if (!ttlv_find(payload, T_OBJECT_TYPE, &i) || !ttlv_get_enum(&i, &k->object_type))
		return vmc_fail(err, VMC_EPROTO, "the reply has no Object Type");
	if (k->object_type != V_SYMMETRIC_KEY)
		return 0;	/* another kind of object; kmip_key_check() says so */
	if (!ttlv_find_type(payload, T_SYMMETRIC_KEY, TTLV_STRUCTURE, &object) ||
	    !ttlv_find_type(&object, T_KEY_BLOCK, TTLV_STRUCTURE, &block))
		return vmc_fail(err, VMC_EPROTO, "the reply has no Key Block");
	if (!ttlv_find(&block, T_KEY_FORMAT_TYPE, &i) || !ttlv_get_enum(&i, &k->format))
		return vmc_fail(err, VMC_EPROTO, "the key has no Key Format Type");
	if (ttlv_find(&block, T_CRYPTO_ALGORITHM, &i) && !ttlv_get_enum(&i, &k->algorithm))
		return vmc_fail(err, VMC_EPROTO, "the Cryptographic Algorithm is not an enumeration");
	if (ttlv_find(&block, T_CRYPTO_LENGTH, &i) && !ttlv_get_int(&i, &k->length))
		return vmc_fail(err, VMC_EPROTO, "the Cryptographic Length is not an integer");
	if (ttlv_find_type(&block, T_KEY_WRAPPING_DATA, TTLV_STRUCTURE, &i)) {
		rc = parse_wrapping(&i, k, err);
		if (rc)
			return rc;
	}
	return parse_value(&block, k, err);
}

/* One attribute by its KMIP 2.x tag. */
static int set_attribute(struct kmip_attributes *a, uint32_t tag, const struct ttlv *v,
			 struct vmc_error *err)
{
	bool ok = true;
	uint32_t e = 0;

	switch (tag) {
	case T_STATE:
		ok = ttlv_get_enum(v, &e);
		/* the states have the numbers of enum provider_key_state */
		a->state = e >= PKS_PRE_ACTIVE && e <= PKS_DESTROYED_COMPROMISED ?
			   (enum provider_key_state)e : PKS_UNKNOWN;
		break;
	case T_OBJECT_TYPE:
		ok = ttlv_get_enum(v, &a->object_type);
		break;
	case T_CRYPTO_ALGORITHM:
		ok = ttlv_get_enum(v, &a->algorithm);
		break;
	case T_CRYPTO_LENGTH:
		ok = ttlv_get_int(v, &a->length);
		break;
	}
	if (!ok)
		return vmc_fail(err, VMC_EPROTO, "attribute %06x has the type %s", tag,
				ttlv_type_name(v->type));
	return 0;
}

static int attribute_v1(struct kmip_attributes *a, const struct ttlv *attr, struct vmc_error *err)
{
	struct ttlv name, value;

	if (!ttlv_find_type(attr, T_ATTRIBUTE_NAME, TTLV_TEXT, &name) ||
	    !ttlv_find(attr, T_ATTRIBUTE_VALUE, &value))
		return vmc_fail(err, VMC_EPROTO, "an attribute lacks its name or value");
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (ttlv_text_equal(&name, wanted[i].name))
			return set_attribute(a, wanted[i].tag, &value, err);
	return 0;
}

int kmip_parse_attributes(const struct ttlv *payload, struct kmip_attributes *a,
			  struct vmc_error *err)
{
	struct ttlv_cursor c = ttlv_children(payload), in;
	struct ttlv i, v;
	int rc;

	memset(a, 0, sizeof(*a));
	rc = kmip_parse_id(payload, a->id, err);
	while (!rc && ttlv_next(&c, &i)) {
		if (i.tag == T_ATTRIBUTE) {
			rc = attribute_v1(a, &i, err);
		} else if (i.tag == T_ATTRIBUTES) {
			in = ttlv_children(&i);
			while (!rc && ttlv_next(&in, &v))
				rc = set_attribute(a, v.tag, &v, err);
		}
	}
	return rc;
}

int kmip_key_check(const struct kmip_key *k, const struct kmip_attributes *a, const char *id,
		   struct vmc_error *err)
{
	uint32_t algorithm = k->algorithm ? k->algorithm : a ? a->algorithm : 0;
	int32_t length = k->length ? k->length : a ? a->length : 0;

	if (strcmp(k->id, id) || (a && strcmp(a->id, id)))
		return vmc_fail(err, VMC_EPROTO, "asked for key '%s' and got key '%s'", id,
				strcmp(k->id, id) ? k->id : a->id);
	if (k->object_type != V_SYMMETRIC_KEY)
		return vmc_fail(err, VMC_EPROTO,
				"object '%s' is not a Symmetric Key (its type is %u)", id, k->object_type);
	if (k->wrapped)
		return vmc_fail(err, VMC_EPROTO, "key '%s' came wrapped by key '%s', which was not asked for",
				id, k->wrapping_key);
	if (k->format != V_FORMAT_RAW && k->format != V_FORMAT_TRANSPARENT)
		return vmc_fail(err, VMC_EPROTO, "key '%s' came in the key format %u instead of Raw",
				id, k->format);
	if (algorithm != V_AES)
		return vmc_fail(err, VMC_EPROTO, "key '%s' is not an AES key (its algorithm is %u)",
				id, algorithm);
	if (length != PROVIDER_KEY_LEN * 8 || k->material_len != PROVIDER_KEY_LEN)
		return vmc_fail(err, VMC_EPROTO,
				"key '%s' is not a 256-bit key (it says %d bits and has %zu bytes)",
				id, length, k->material_len);
	return 0;
}
