/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two vmcryptds say to each other, as bytes. A frame is a length (4 bytes,
 * big-endian, 2 to PEER_FRAME_MAX) and as much JSON, one object:
 *
 *	{"v": 1, "id": N, "method": "name", "params": {...}}
 *	{"v": 1, "id": N, "result": ANY}
 *	{"v": 1, "id": N, "error": {"code": "NotFound", "text": "...", "hint": "..."}}
 *
 * Pure: no I/O. Anything else is refused whole, also members that are not above.
 */
#ifndef VMC_PEER_MESSAGE_H
#define VMC_PEER_MESSAGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

#define PEER_VERSION	1
#define PEER_FRAME_MAX	(256u << 10)
#define PEER_HEADER	4
#define PEER_METHOD_MAX	32	/* a-z, 0-9 and dashes */

enum peer_message_type { PEER_REQUEST, PEER_RESULT, PEER_ERROR };

struct peer_message {
	enum peer_message_type type;
	uint32_t id;
	json_t *root;		/* owns what follows */
	const char *method;	/* of a request */
	json_t *body;		/* params, result or error */
};

/* The length that @header announces; VMC_EPROTO when it is out of range. */
int peer_frame_length(const uint8_t header[PEER_HEADER], size_t *n, struct vmc_error *err);

int peer_message_parse(const uint8_t *bytes, size_t n, struct peer_message *m, struct vmc_error *err);
void peer_message_clear(struct peer_message *m);

/* Frames, header and all, to be freed. @params, @result and @error are not consumed; NULL is {} or null. VMC_EINVAL: too long. */
int peer_request_frame(uint32_t id, const char *method, const json_t *params, uint8_t **frame, size_t *n,
		       struct vmc_error *err);
int peer_result_frame(uint32_t id, const json_t *result, uint8_t **frame, size_t *n, struct vmc_error *err);
/* Text and hint in English. */
int peer_error_frame(uint32_t id, const struct vmc_error *error, uint8_t **frame, size_t *n, struct vmc_error *err);

/* What the other side's error is to us: its code, and "host 'NAME': " and its text. Always a code less than 0. */
int peer_message_error(const struct peer_message *m, const char *host, struct vmc_error *err);

#endif
