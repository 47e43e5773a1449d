// SPDX-License-Identifier: GPL-2.0-or-later
/* Links that others make: each is served until it ends. */
#include <stdlib.h>

#include "../lib/log.h"
#include "../lib/util.h"
#include "../net/acceptor.h"
#include "../net/tcp.h"
#include "message.h"
#include "peer_priv.h"

#define WRITE_MS	30000
#define IDLE_MS		60000ull		/* between two requests while nothing is under way */
#define BUSY_MS		(48 * 3600 * 1000ull)	/* while something is: TCP's own timers notice a host that is gone */

struct peer_server {
	struct peers *peers;
	struct peer_handler handler;
	struct acceptor *acceptor;
	uint16_t port;
};

/* ---- one link ----------------------------------------------------------- */

static int answer(struct peer_link *l, uint32_t id, int code, const json_t *result, struct vmc_error *why,
		  struct vmc_error *err)
{
	uint8_t *frame;
	size_t n;
	int rc;

	why->code = code;
	rc = code ? peer_error_frame(id, why, &frame, &n, err) : peer_result_frame(id, result, &frame, &n, err);
	if (rc)
		return rc;
	rc = link_write(l, frame, n, vmc_now_ms() + WRITE_MS, err);
	free(frame);
	return rc;
}

/* One request and its answer. */
static int serve_one(const struct peer_handler *h, struct peer_link *l, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	uint64_t idle = l->slot ? BUSY_MS : IDLE_MS;
	struct peer_message m;
	json_t *result = NULL;
	uint8_t *bytes;
	size_t n;
	int rc;

	rc = link_read_frame(l, &bytes, &n, vmc_now_ms() + idle, err);
	if (rc)
		return rc;
	rc = peer_message_parse(bytes, n, &m, err);
	free(bytes);
	if (!rc && m.type != PEER_REQUEST) {
		peer_message_clear(&m);
		rc = vmc_fail(err, VMC_EPROTO, "an answer that nobody asked for");
	}
	if (rc)
		return rc;
	rc = h->call(l, m.method, m.body, &result, h->data, &why);
	rc = answer(l, m.id, rc, result, &why, err);
	json_decref(result);
	peer_message_clear(&m);
	return rc;
}

static void serve(const struct peer_handler *h, struct peer_link *l)
{
	struct vmc_error err = VMC_ERROR_INIT;

	while (!serve_one(h, l, &err))
		;
	if (err.code != VMC_EUNREACH)
		log_warn("the link with host '%s' ends: %s", peer_name(l), err.text);
	if (h->closed)
		h->closed(l, h->data);
}

static void serve_link(struct accepted *a, int fd, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct peer_server *s = data;
	struct peer_link *l = NULL;

	if (link_accept(s->peers, fd, vmc_now_ms() + PEER_HANDSHAKE_MS, &l, &err)) {
		log_warn("a link was refused: %s%s%s", err.text, err.hint[0] ? ". Hint: " : "", err.hint);
	} else {
		accepted_vouch(a);
		serve(&s->handler, l);
	}
	peer_close(l);
}

/* ---- all of them -------------------------------------------------------- */

int peer_bind(const char *where, uint16_t port, int *fd, uint16_t *bound, struct vmc_error *err)
{
	int rc = net_listen(where, port, fd, bound, err);

	if (rc)
		vmc_hint(err, "see [migration] listen and data_port in vmcrypt.conf; 'ss -ltnp' shows who listens where");
	return rc;
}

int peer_listen(struct peers *p, const char *where, uint16_t port, const struct peer_handler *h,
		struct peer_server **out, struct vmc_error *err)
{
	struct peer_server *s = calloc(1, sizeof(*s));
	const struct acceptor_setup setup = {
		.what = "a link", .max = PEER_LINKS_MAX, .max_source = PEER_LINKS_HOST,
		.max_new = PEER_LINKS_NEW, .serve = serve_link, .data = s,
	};
	int fd, rc;

	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "no memory to listen with");
	s->peers = p;
	s->handler = *h;
	rc = peer_bind(where, port, &fd, &s->port, err);
	if (!rc)
		rc = acceptor_start(fd, &setup, &s->acceptor, err);
	if (rc)
		free(s);
	else
		*out = s;
	return rc;
}

uint16_t peer_server_port(const struct peer_server *s)
{
	return s->port;
}

void peer_server_stop(struct peer_server *s)
{
	if (!s)
		return;
	acceptor_stop(s->acceptor);
	free(s);
}
