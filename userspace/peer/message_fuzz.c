// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as what another host sent: what is taken must come out the same again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int again(const struct peer_message *m, uint8_t **frame, size_t *n)
{
	struct vmc_error e = VMC_ERROR_INIT;

	switch (m->type) {
	case PEER_REQUEST:
		return peer_request_frame(m->id, m->method, m->body, frame, n, NULL);
	case PEER_RESULT:
		return peer_result_frame(m->id, m->body, frame, n, NULL);
	case PEER_ERROR:
		if (!peer_message_error(m, "other", &e) || e.code >= 0)
			abort();
		return peer_error_frame(m->id, &e, frame, n, NULL);
	}
	return VMC_EINTERNAL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_message m, copy;
	uint8_t *frame;
	size_t n, len;

	if (size >= PEER_HEADER && !peer_frame_length(data, &len, NULL) && (len < 2 || len > PEER_FRAME_MAX))
		abort();
	if (peer_message_parse(data, size, &m, NULL))
		return 0;
	if (!again(&m, &frame, &n)) {
		if (peer_frame_length(frame, &len, NULL) || len != n - PEER_HEADER ||
		    peer_message_parse(frame + PEER_HEADER, len, &copy, NULL) || copy.id != m.id || copy.type != m.type)
			abort();
		peer_message_clear(&copy);
		free(frame);
	}
	peer_message_clear(&m);
	return 0;
}
