/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A KMIP server that can do wrong on demand: what no real server does twice
 * the same way. A thread per connection; TLS by OpenSSL; messages by the
 * codec of this folder. For tests and, as mock-kmip-server, for the lab.
 */
#ifndef VMC_KMIP_MOCK_KMIP_H
#define VMC_KMIP_MOCK_KMIP_H

#include <stdint.h>

#include "msg.h"

/* Keys; several servers may share one store, as the members of a cluster do. */
struct mock_store;
struct mock_store *mock_store_new(void);
void mock_store_free(struct mock_store *s);
unsigned int mock_store_count(struct mock_store *s);	/* keys ever made */
/* A key of 32 random bytes in @state; its id. */
void mock_store_add(struct mock_store *s, enum provider_key_state state, char id[32]);
int mock_store_state(struct mock_store *s, const char *id);	/* -1: no such key */
void mock_store_set_state(struct mock_store *s, const char *id, enum provider_key_state state);
int mock_store_material(struct mock_store *s, const char *id, uint8_t out[PROVIDER_KEY_LEN]);
unsigned int mock_store_attributes(struct mock_store *s, const char *id);	/* added by Add Attribute */

/*
 * What to do wrong, all off by default. As a text "name=number,name,..." with
 * the names below, dashes for underlines.
 */
struct mock_script {
	int delay;			/* ms before each reply */
	int bytewise;			/* one byte to a TLS record */
	int dribble;			/* ms between the bytes */
	int cut;			/* N > 0: hang up after N - 1 bytes of the reply */
	int cut_op;			/* only when the request begins with this operation */
	int cut_times;			/* only that often; 0: always */
	int drop;			/* hang up on every request */
	int garbage;			/* random bytes for a reply */
	int http;			/* an HTTP error for a reply */
	int oversize;			/* announce a reply of that many bytes */
	int wrong_version;		/* reply in 3.0 */
	int old_error;			/* refuse everything in KMIP 1.0, without Operation */
	int no_batch;			/* likewise, messages of more than one item */
	int hangup_batch;		/* hang up on them instead */
	int hangup_version;		/* hang up on versions it does not know instead of refusing */
	int stall;			/* never reply */
	int tickets;			/* TLS session tickets for a reply, without end */
	int stall_handshake;		/* accept, and say nothing */
	int plain;			/* accept, and speak no TLS */
	int min_version, max_version;	/* 11..21; default 11 and 14 */
	int no_discover;		/* Discover Versions is not known */
	int object_type, key_length, algorithm, format;	/* of what Get gives */
	int wrapped;			/* Get gives a wrapped key */
	int transparent;		/* Get gives Transparent Symmetric Key */
	int wrong_id;			/* answers name another key */
	int duplicate_item;		/* the first item comes twice */
	int lose_item;			/* the last item is missing */
	int wrong_batch_id;
	int no_batch_id;
	int wrong_op;			/* items name another operation */
	int pending;			/* result status Operation Pending */
	int pre_active;			/* new keys are Pre-Active; else Active */
	int add_attribute;		/* known; else refused as a bad message */
	int no_app_info;		/* Application Specific Information is refused */
	int no_locate;
	int fail_op, fail_reason;	/* refuse this operation with this reason */
	int bad_padding;		/* of the reply */
	int no_state;			/* Get Attributes leaves State out */
};
int mock_script_parse(const char *text, struct mock_script *s);	/* 0, or -1 with a message on stderr */

/* The reply alone, without a network, in @out of MOCK_MESSAGE_MAX bytes; 0: it would hang up. */
#define MOCK_MESSAGE_MAX (1u << 20)
size_t mock_kmip_answer(struct mock_store *store, const char *script, const void *in, size_t n,
			uint8_t *out);

struct mock_config {
	const char *cert, *key;		/* PEM files */
	const char *ca;			/* of the clients; NULL: none is asked for */
	uint16_t port;			/* 0: any */
	int tls12_only, tls13_only;
	struct mock_store *store;
	const char *script;		/* or NULL */
};

struct mock_kmip;
struct mock_kmip *mock_kmip_start(const struct mock_config *c);	/* NULL with a message on stderr */
void mock_kmip_stop(struct mock_kmip *m);
uint16_t mock_kmip_port(const struct mock_kmip *m);
void mock_kmip_script(struct mock_kmip *m, const char *text);	/* replaces the script; aborts when it is bad */
unsigned int mock_kmip_connections(struct mock_kmip *m);	/* TCP connections accepted so far */
unsigned int mock_kmip_requests(struct mock_kmip *m, uint32_t op);	/* items so far; 0: messages */

#endif
