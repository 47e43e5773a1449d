// SPDX-License-Identifier: GPL-2.0-or-later
/* HTTP/1.1 as bytes. See message.h. */
#include "message.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/util.h"

#define HEADERS_MAX	64

int http_head_length(const char *b, size_t n, size_t *len, struct vmc_error *err)
{
	size_t look = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX;
	const char *end = memmem(b, look, "\r\n\r\n", 4);

	*len = end ? (size_t)(end - b) + 4 : 0;
	if (!end && n >= HTTP_HEAD_MAX)
		return vmc_fail(err, VMC_EPROTO, "a head of more than %u bytes", HTTP_HEAD_MAX);
	return 0;
}

/* ---- lines ------------------------------------------------------------- */

struct span {
	const char *at;
	size_t n;
};

/* What of @s is before @until; @s goes on after it. False: it does not occur. */
static bool cut(struct span *s, const char *until, struct span *out)
{
	size_t k = strlen(until);
	const char *p = memmem(s->at, s->n, until, k);

	if (!p)
		return false;
	*out = (struct span){ s->at, (size_t)(p - s->at) };
	s->n -= out->n + k;
	s->at = p + k;
	return true;
}

static bool is(const struct span *s, const char *word)
{
	return s->n == strlen(word) && !strncasecmp(s->at, word, s->n);
}

static bool copy(const struct span *s, char *out, size_t max)
{
	if (s->n >= max)
		return false;
	memcpy(out, s->at, s->n);
	out[s->n] = '\0';
	return true;
}

static void trim(struct span *s)
{
	while (s->n && (*s->at == ' ' || *s->at == '\t')) {
		s->at++;
		s->n--;
	}
	while (s->n && (s->at[s->n - 1] == ' ' || s->at[s->n - 1] == '\t'))
		s->n--;
}

static bool printable(const struct span *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (((unsigned char)s->at[i] < ' ' && s->at[i] != '\t') || s->at[i] == 0x7f)
			return false;
	return true;
}

/* RFC 9110 section 5.6.2 */
static bool token_ok(const struct span *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
			    s->at[i]) || !s->at[i])
			return false;
	return s->n;
}

static bool number(const struct span *s, size_t max, size_t *out)
{
	size_t v = 0;

	if (!s->n || s->n > 7)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		if (s->at[i] < '0' || s->at[i] > '9')
			return false;
		v = v * 10 + (size_t)(s->at[i] - '0');
	}
	*out = v;
	return v <= max;
}

/* ---- headers ----------------------------------------------------------- */

/* What both requests and answers have. */
struct fields {
	size_t body;
	bool has_body, has_host, has_correlation, has_bearer, close;
	char correlation[HTTP_CORRELATION];
	char *bearer;			/* HTTP_BEARER_MAX + 1 bytes, or NULL where none is read */
};

bool http_correlation_ok(const char *s)
{
	return strlen(s) == HTTP_CORRELATION - 1 && strspn(s, "0123456789abcdef") == HTTP_CORRELATION - 1;
}

void http_correlation_new(char out[HTTP_CORRELATION])
{
	uint8_t b[(HTTP_CORRELATION - 1) / 2] = { 0 };

	/* it tells requests apart and guards nothing: zeros are as good when there is no chance to be had */
	(void)RAND_bytes(b, sizeof(b));
	vmc_hex_encode(b, sizeof(b), out);
}

static int take_length(struct fields *f, const struct span *v, struct vmc_error *err)
{
	if (f->has_body || !number(v, HTTP_BODY_MAX, &f->body))
		return vmc_fail(err, VMC_EPROTO, "a length that is none, given twice, or more than %u bytes", HTTP_BODY_MAX);
	f->has_body = true;
	return 0;
}

static int take_bearer(struct fields *f, struct span v, struct vmc_error *err)
{
	struct span scheme;
	bool ok = !f->has_bearer && cut(&v, " ", &scheme) && is(&scheme, "Bearer");

	trim(&v);
	if (ok && f->bearer)
		ok = v.n && !memchr(v.at, ' ', v.n) && copy(&v, f->bearer, HTTP_BEARER_MAX + 1);
	f->has_bearer = true;
	return ok ? 0 : vmc_fail(err, VMC_EPROTO, "an authorization that is no bearer token, or a token that is too long");
}

static int take_correlation(struct fields *f, const struct span *v, struct vmc_error *err)
{
	if (f->has_correlation || !copy(v, f->correlation, sizeof(f->correlation)) ||
	    !http_correlation_ok(f->correlation))
		return vmc_fail(err, VMC_EPROTO, "a correlation that is not %d hex digits", HTTP_CORRELATION - 1);
	f->has_correlation = true;
	return 0;
}

static int take_field(struct fields *f, const struct span *name, const struct span *v, struct vmc_error *err)
{
	if (is(name, "Content-Length"))
		return take_length(f, v, err);
	if (is(name, "Transfer-Encoding") || is(name, "Expect") || is(name, "Upgrade"))
		return vmc_fail(err, VMC_ENOTSUP, "a header that is not supported: %.*s", (int)name->n, name->at);
	if (is(name, "Authorization"))
		return take_bearer(f, *v, err);
	if (is(name, HTTP_CORRELATION_HEADER))
		return take_correlation(f, v, err);
	if (is(name, "Connection"))
		f->close = f->close || is(v, "close");
	if (is(name, "Host")) {
		if (f->has_host)
			return vmc_fail(err, VMC_EPROTO, "two hosts in one request");
		f->has_host = true;
	}
	return 0;
}

static int take_fields(struct fields *f, struct span s, struct vmc_error *err)
{
	struct span line, name;
	unsigned int n = 0;

	while (cut(&s, "\r\n", &line)) {
		int rc;

		if (!line.n)
			return 0;
		if (++n > HEADERS_MAX)
			return vmc_fail(err, VMC_EPROTO, "more than %d headers", HEADERS_MAX);
		if (!printable(&line) || !cut(&line, ":", &name) || !token_ok(&name))
			return vmc_fail(err, VMC_EPROTO, "a header that is none");
		trim(&line);
		rc = take_field(f, &name, &line, err);
		if (rc)
			return rc;
	}
	return vmc_fail(err, VMC_EPROTO, "a head that has no end");
}

/* The first line and its end; a NUL anywhere is none of ours. */
static bool first_line(struct span *s, struct span *line)
{
	return cut(s, "\r\n", line) && printable(line) && !memchr(s->at, 0, s->n);
}

/* ---- requests ---------------------------------------------------------- */

static bool path_ok(const struct span *s)
{
	if (!s->n || s->n > HTTP_PATH_MAX || s->at[0] != '/')
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789/-", s->at[i]) || !s->at[i])
			return false;
	return true;
}

static int request_line(struct span line, struct http_request *r, struct vmc_error *err)
{
	struct span method, path;

	if (!cut(&line, " ", &method) || !cut(&line, " ", &path) || !token_ok(&method))
		return vmc_fail(err, VMC_EPROTO, "a request that is not HTTP");
	if (!is(&line, "HTTP/1.1"))
		return vmc_fail(err, VMC_ENOTSUP, "a request of another version than HTTP/1.1");
	if (is(&method, "POST"))
		r->method = HTTP_POST;
	else if (is(&method, "GET"))
		r->method = HTTP_GET;
	else
		return vmc_fail(err, VMC_ENOTSUP, "a request that is neither GET nor POST");
	if (!path_ok(&path))
		return vmc_fail(err, VMC_EPROTO, "a path that is none");
	copy(&path, r->path, sizeof(r->path));
	return 0;
}

int http_request_parse(const char *head, size_t n, struct http_request *r, struct vmc_error *err)
{
	struct span s = { head, n }, line;
	struct fields f = { .bearer = r->bearer };
	int rc;

	memset(r, 0, sizeof(*r));
	if (!first_line(&s, &line))
		return vmc_fail(err, VMC_EPROTO, "a request that is not HTTP");
	rc = request_line(line, r, err);
	if (!rc)
		rc = take_fields(&f, s, err);
	if (rc)
		return rc;
	if (!f.has_host)
		return vmc_fail(err, VMC_EPROTO, "a request without a host");
	if (r->method == HTTP_POST && !f.has_body)
		return vmc_fail(err, VMC_EPROTO, "a POST without a length");
	if (r->method == HTTP_GET && f.body)
		return vmc_fail(err, VMC_EPROTO, "a GET with a body");
	memcpy(r->correlation, f.correlation, sizeof(r->correlation));
	r->body = f.body;
	r->close = f.close;
	return 0;
}

bool http_body_light(const char *body, size_t n)
{
	bool quoted = false;
	size_t values = 1;

	for (size_t i = 0; i < n && values <= HTTP_VALUES_MAX; i++) {
		char c = body[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			i++;	/* what follows ends no string */
		else if (!quoted && (c == ',' || c == '[' || c == '{'))
			values++;
	}
	return values <= HTTP_VALUES_MAX;
}

/* ---- answers ----------------------------------------------------------- */

int http_response_parse(const char *head, size_t n, struct http_response *r, struct vmc_error *err)
{
	struct span s = { head, n }, line, version, status;
	struct fields f = { .body = 0 };
	size_t code = 0;
	int rc;

	memset(r, 0, sizeof(*r));
	if (!first_line(&s, &line) || !cut(&line, " ", &version) || !is(&version, "HTTP/1.1"))
		return vmc_fail(err, VMC_EPROTO, "an answer that is not HTTP/1.1");
	if (!cut(&line, " ", &status))
		status = line;
	if (status.n != 3 || !number(&status, 599, &code) || code < 200)
		return vmc_fail(err, VMC_EPROTO, "an answer without a status");
	rc = take_fields(&f, s, err);
	if (rc)
		return rc;
	if (!f.has_body)
		return vmc_fail(err, VMC_EPROTO, "an answer without a length");
	r->status = (int)code;
	memcpy(r->correlation, f.correlation, sizeof(r->correlation));
	r->body = f.body;
	r->close = f.close;
	return 0;
}

/* ---- writing ----------------------------------------------------------- */

static const char *phrase(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 409: return "Conflict";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	default: return "Internal Server Error";
	}
}

/* @head is taken over; NULL or -1 of asprintf() comes as @len. */
static int whole(char *head, int head_len, const char *body, size_t n, char **out, size_t *len, struct vmc_error *err)
{
	char *b;

	if (head_len < 0)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a message");
	if ((size_t)head_len > HTTP_HEAD_MAX || n > HTTP_BODY_MAX) {
		free(head);
		return vmc_fail(err, VMC_EINVAL, "a message of %zu bytes is too long", (size_t)head_len + n);
	}
	b = realloc(head, (size_t)head_len + n + 1);
	if (!b) {
		free(head);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a message");
	}
	if (n)
		memcpy(b + head_len, body, n);
	b[(size_t)head_len + n] = '\0';
	*out = b;
	*len = (size_t)head_len + n;
	return 0;
}

int http_request_format(const struct http_request *r, const char *host, const char *body, size_t n, char **out,
			size_t *len, struct vmc_error *err)
{
	char length[96] = "", *head = NULL;
	int k;

	if (r->method == HTTP_POST)
		snprintf(length, sizeof(length), "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
	k = asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s%s%s\r\n", r->method == HTTP_GET ? "GET" : "POST",
		     r->path, host, length, *r->bearer ? "Authorization: Bearer " : "", r->bearer,
		     *r->bearer ? "\r\n" : "", *r->correlation ? HTTP_CORRELATION_HEADER ": " : "", r->correlation,
		     *r->correlation ? "\r\n" : "", r->close ? "Connection: close\r\n" : "");
	return whole(head, k, body, r->method == HTTP_GET ? 0 : n, out, len, err);
}

int http_response_format(const struct http_response *r, const char *body, size_t n, char **out, size_t *len,
			 struct vmc_error *err)
{
	char *head = NULL;
	int k = asprintf(&head, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
			 "Content-Length: %zu\r\n%s%s%s%s\r\n", r->status, phrase(r->status), n,
			 *r->correlation ? HTTP_CORRELATION_HEADER ": " : "", r->correlation,
			 *r->correlation ? "\r\n" : "", r->close ? "Connection: close\r\n" : "");

	return whole(head, k, body, n, out, len, err);
}
