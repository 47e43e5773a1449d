/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KMIP messages as pure functions: a request is put together in memory of the
 * caller's, a reply is read from memory. KMIP 1.1 to 1.4, 2.0 and 2.1; section
 * numbers are those of the KMIP 1.4 specification unless said otherwise.
 */
#ifndef VMC_KMIP_MSG_H
#define VMC_KMIP_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"
#include "../provider.h"
#include "ttlv.h"

#define KMIP_PORT		5696
#define KMIP_BATCH_MAX		128	/* items in one message */
#define KMIP_TEXT_MAX		255
#define KMIP_TAG_REQUEST	0x420078
#define KMIP_TAG_RESPONSE	0x42007b

struct kmip_version {
	int major, minor;
};
#define KMIP_VERSION_STR 24
static inline bool kmip_version_known(struct kmip_version v)
{
	return (v.major == 1 && v.minor >= 1 && v.minor <= 4) ||
	       (v.major == 2 && v.minor >= 0 && v.minor <= 1);
}
/* Less than zero, zero, more than zero. */
static inline int kmip_version_cmp(struct kmip_version a, struct kmip_version b)
{
	/* servers may send any number: no differences, which overflow */
	if (a.major != b.major)
		return a.major < b.major ? -1 : 1;
	return a.minor < b.minor ? -1 : a.minor > b.minor;
}
/* All that this client speaks, best first; ends at 0.0. */
extern const struct kmip_version kmip_versions[];
int kmip_version_parse(const char *s, struct kmip_version *v);	/* "1.4"; 0 or VMC_EINVAL */

enum kmip_op {				/* section 9.1.3.2.27 */
	KMIP_CREATE = 0x01, KMIP_REGISTER = 0x03, KMIP_LOCATE = 0x08,
	KMIP_GET = 0x0a, KMIP_GET_ATTRIBUTES = 0x0b, KMIP_ADD_ATTRIBUTE = 0x0d,
	KMIP_ACTIVATE = 0x12, KMIP_REVOKE = 0x13, KMIP_DESTROY = 0x14,
	KMIP_QUERY = 0x18, KMIP_DISCOVER_VERSIONS = 0x1e,
};
const char *kmip_op_name(uint32_t op);

enum kmip_reason {			/* section 9.1.3.2.29, KMIP 2.0 section 11.48 */
	KMIP_R_NONE = 0, KMIP_R_NOT_FOUND = 0x01, KMIP_R_TOO_LARGE = 0x02,
	KMIP_R_AUTH = 0x03, KMIP_R_INVALID_MESSAGE = 0x04, KMIP_R_OP_NOT_SUPPORTED = 0x05,
	KMIP_R_MISSING_DATA = 0x06, KMIP_R_INVALID_FIELD = 0x07,
	KMIP_R_FEATURE_NOT_SUPPORTED = 0x08, KMIP_R_ILLEGAL_OPERATION = 0x0b,
	KMIP_R_PERMISSION_DENIED = 0x0c, KMIP_R_ARCHIVED = 0x0d,
	KMIP_R_NAMESPACE_NOT_SUPPORTED = 0x0f, KMIP_R_SENSITIVE = 0x16,
	KMIP_R_NOT_EXTRACTABLE = 0x17, KMIP_R_EXISTS = 0x18,
	KMIP_R_UNSUPPORTED_ATTRIBUTE = 0x1f, KMIP_R_INTERNAL = 0x2a,
	KMIP_R_INVALID_ATTRIBUTE = 0x2c, KMIP_R_INVALID_ATTRIBUTE_VALUE = 0x2d,
	KMIP_R_NON_UNIQUE_NAME = 0x35,
	KMIP_R_OBJECT_DESTROYED = 0x36, KMIP_R_OBJECT_NOT_FOUND = 0x37,
	KMIP_R_NOT_AUTHORISED = 0x39, KMIP_R_SERVER_LIMIT = 0x3a,
	KMIP_R_UNSUPPORTED_VERSION = 0x3f, KMIP_R_WRONG_STATE = 0x43,
	KMIP_R_GENERAL = 0x100,
};
const char *kmip_reason_name(uint32_t reason);

/* Usage mask bits, section 9.1.3.3.1 */
#define KMIP_USE_ENCRYPT	0x04
#define KMIP_USE_DECRYPT	0x08
#define KMIP_USE_WRAP		0x10
#define KMIP_USE_UNWRAP		0x20

enum kmip_revocation {			/* section 9.1.3.2.19 */
	KMIP_REVOKE_UNSPECIFIED = 1, KMIP_REVOKE_COMPROMISE = 2,
	KMIP_REVOKE_SUPERSEDED = 5, KMIP_REVOKE_CESSATION = 6,
};

/* ---- requests ---------------------------------------------------------- */

struct kmip_auth {			/* section 6.6: username and password; may be NULL each */
	const char *username, *password;
};

/* What a new key is to carry. NULL: leave out. */
struct kmip_new_key {
	const char *name;
	const char *app_namespace, *app_data;
	const char *operation_policy;	/* KMIP 1.x only */
	uint32_t usage;
};

struct kmip_request {
	struct ttlv_writer w;
	struct kmip_version version;
	unsigned int announced, n;	/* batch items */
	uint8_t ops[KMIP_BATCH_MAX];
};

/* @items: how many calls of kmip_req_*() follow, 1..KMIP_BATCH_MAX. No Time Stamp is ever sent:
 * servers refuse those of clocks that differ. */
void kmip_req_begin(struct kmip_request *r, void *buf, size_t max, struct kmip_version v,
		    unsigned int items, const struct kmip_auth *auth, uint32_t max_response);
void kmip_req_discover(struct kmip_request *r);	/* offers kmip_versions[] */
void kmip_req_query(struct kmip_request *r);	/* operations, objects, server information */
void kmip_req_create(struct kmip_request *r, const struct kmip_new_key *k);	/* AES-256 */
void kmip_req_register(struct kmip_request *r, const struct kmip_new_key *k,
		       const uint8_t key[PROVIDER_KEY_LEN]);
/* By name or by application specific information, whichever is not NULL. @max 0: all. */
void kmip_req_locate(struct kmip_request *r, const struct kmip_new_key *k, uint32_t max, uint32_t offset);
void kmip_req_get(struct kmip_request *r, const char *id);
/* Wrapped by the key @kek on the server, NIST SP 800-38F AES-KW, no encoding. */
void kmip_req_get_wrapped(struct kmip_request *r, const char *id, const char *kek);
void kmip_req_get_attributes(struct kmip_request *r, const char *id);	/* what kmip_parse_attributes() reads */
/* A vendor's attribute, "x-" + @name in KMIP 1.x. */
void kmip_req_add_attribute(struct kmip_request *r, const char *id, const char *name, const char *value);
void kmip_req_activate(struct kmip_request *r, const char *id);
void kmip_req_revoke(struct kmip_request *r, const char *id, enum kmip_revocation why, const char *message);
void kmip_req_destroy(struct kmip_request *r, const char *id);
int kmip_req_end(struct kmip_request *r, size_t *len, struct vmc_error *err);

/* ---- replies ------------------------------------------------------------ */

struct kmip_item {
	bool answered;			/* there is a reply to this item */
	uint32_t op;			/* 0: the reply names none */
	uint32_t status, reason;	/* status 0 is success */
	char message[KMIP_TEXT_MAX + 1];	/* the server's words, printable */
	struct ttlv payload;		/* an empty structure when there is none */
};

struct kmip_reply {
	struct kmip_version version;	/* of an error reply: perhaps lower than what was sent */
	bool refused;			/* the message as a whole, see items[0] */
	struct kmip_item items[KMIP_BATCH_MAX];	/* in the order of the request */
};

/* Check and sort a reply to @r. VMC_EPROTO: it is not an answer to that request. */
int kmip_reply_parse(const void *buf, size_t len, const struct kmip_request *r,
		     struct kmip_reply *reply, struct vmc_error *err);

/* 0 when @i is a success; else a vmc code, with a text that names server, operation and @key (may be NULL). */
int kmip_item_check(const struct kmip_item *i, uint32_t op, const char *server,
		    const char *key, struct vmc_error *err);

struct kmip_query_info {
	uint64_t operations;		/* bit per enum kmip_op */
	bool symmetric_keys;
	char vendor[KMIP_TEXT_MAX + 1];
};

struct kmip_key {
	char id[PROVIDER_KEY_ID_MAX + 1];
	uint32_t object_type;		/* 2 Symmetric Key */
	uint32_t format;		/* 1 Raw, 7 Transparent Symmetric Key */
	uint32_t algorithm;		/* 3 AES; 0 not said */
	int32_t length;			/* bits; 0 not said */
	bool wrapped;
	uint32_t wrapping_method, wrapping_mode, encoding;
	char wrapping_key[PROVIDER_KEY_ID_MAX + 1];
	const uint8_t *material;	/* in the reply */
	size_t material_len;
};

struct kmip_attributes {
	char id[PROVIDER_KEY_ID_MAX + 1];
	enum provider_key_state state;	/* PKS_UNKNOWN: not said */
	uint32_t object_type, algorithm;	/* 0: not said */
	int32_t length;
};

int kmip_parse_versions(const struct ttlv *payload, struct kmip_version *v, size_t max, size_t *n,
			struct vmc_error *err);
int kmip_parse_query(const struct ttlv *payload, struct kmip_query_info *q, struct vmc_error *err);
int kmip_parse_id(const struct ttlv *payload, char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err);
/* Calls @fn for each id; stops with VMC_EPROTO when @max are exceeded. */
int kmip_parse_ids(const struct ttlv *payload, size_t max, int (*fn)(const char *id, void *data),
		   void *data, struct vmc_error *err);
int kmip_parse_key(const struct ttlv *payload, struct kmip_key *k, struct vmc_error *err);
int kmip_parse_attributes(const struct ttlv *payload, struct kmip_attributes *a, struct vmc_error *err);

/* A symmetric AES-256 key, 32 plain bytes, the one asked for (@id)? @a may be NULL. VMC_EPROTO names what differs. */
int kmip_key_check(const struct kmip_key *k, const struct kmip_attributes *a, const char *id,
		   struct vmc_error *err);

#endif
