/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP/1.1 as the services speak it, as bytes: GET and POST, bodies of JSON
 * with a Content-Length, nothing chunked, no continuation lines, no queries.
 * What is outside of that is refused whole.
 */
#ifndef VMC_TRUST_HTTP_MESSAGE_H
#define VMC_TRUST_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define HTTP_HEAD_MAX		8192u		/* bytes up to and with the empty line */
#define HTTP_BODY_MAX		(1u << 20)
#define HTTP_VALUES_MAX		32768u		/* in a body: a base image of 4096 events has 20480 */
#define HTTP_PATH_MAX		128
#define HTTP_BEARER_MAX		6144
#define HTTP_CORRELATION	17		/* 16 hex digits, with the NUL */
#define HTTP_CORRELATION_HEADER	"Vmcrypt-Correlation"

enum http_method { HTTP_GET, HTTP_POST };

struct http_request {
	enum http_method method;
	char path[HTTP_PATH_MAX + 1];		/* "/v1/..." of [a-z0-9/-] */
	char correlation[HTTP_CORRELATION];	/* empty when there was none */
	char bearer[HTTP_BEARER_MAX + 1];	/* "Authorization: Bearer ..."; empty when there was none */
	size_t body;				/* bytes that follow the head */
	bool close;				/* nothing comes after it */
};

struct http_response {
	int status;				/* 200 .. 599 */
	char correlation[HTTP_CORRELATION];
	size_t body;
	bool close;
};

/* Bytes of the head at the start of @b, empty line included; 0: not whole yet; VMC_EPROTO: longer than it may be. */
int http_head_length(const char *b, size_t n, size_t *len, struct vmc_error *err);

/* @n bytes that http_head_length() found. VMC_EPROTO, VMC_ENOTSUP. */
int http_request_parse(const char *head, size_t n, struct http_request *r, struct vmc_error *err);
int http_response_parse(const char *head, size_t n, struct http_response *r, struct vmc_error *err);

/*
 * Are these @n bytes JSON of at most HTTP_VALUES_MAX values, if they are JSON? In memory an empty object takes a
 * hundred times its two characters, so that a body's length is no bound.
 */
bool http_body_light(const char *body, size_t n);

/* Head and @n bytes of @body in one; free() it. */
int http_request_format(const struct http_request *r, const char *host, const char *body, size_t n, char **out,
			size_t *len, struct vmc_error *err);
int http_response_format(const struct http_response *r, const char *body, size_t n, char **out, size_t *len,
			 struct vmc_error *err);

/* 16 hex digits of chance, and whether it is such. */
void http_correlation_new(char out[HTTP_CORRELATION]);
bool http_correlation_ok(const char *s);

#endif
