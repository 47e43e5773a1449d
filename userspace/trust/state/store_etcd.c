// SPDX-License-Identifier: GPL-2.0-or-later
/* The desired state in etcd: one key, replaced by a transaction that compares its revision. By libcurl. See store.h. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"
#include "etcd.h"
#include "store.h"

#define URL_MAX		256
#define CONNECT_MS	1500L

struct store_etcd {
	struct trust_store store;
	char *endpoints[STORE_SERVERS_MAX];
	unsigned int n, first;		/* the one that answered last; under @lock */
	char key[128];
	pthread_mutex_t lock;		/* one question at a time */
	CURL *curl;
	struct curl_slist *head;
};

struct answer {
	char *text;
	size_t n;
};

static struct store_etcd *of(struct trust_store *s)
{
	return (struct store_etcd *)s;	/* its first member */
}

/* ---- one question ---------------------------------------------------------------- */

static size_t take(char *data, size_t size, size_t count, void *to)
{
	struct answer *a = to;
	size_t n = size * count;
	char *more = n <= ETCD_ANSWER_MAX - a->n ? realloc(a->text, a->n + n + 1) : NULL;

	if (!more)
		return 0;
	a->text = more;
	memcpy(a->text + a->n, data, n);
	a->n += n;
	a->text[a->n] = '\0';
	return n;
}

static int judge(struct store_etcd *e, const char *url, CURLcode c, const char *why, const struct answer *a,
		 struct vmc_error *err)
{
	char said[200];
	long status = 0;

	if (c != CURLE_OK) {
		vmc_fail(err, c == CURLE_OPERATION_TIMEDOUT ? VMC_ETIMEDOUT : VMC_EUNREACH, "etcd at %s: %s", url,
			 *why ? why : curl_easy_strerror(c));
		vmc_hint(err, "see [state] in trust.conf, and whether etcd runs there: etcdctl endpoint health");
		return err->code;
	}
	curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return 0;
	etcd_parse_error(a->text ? a->text : "", a->n, said);
	return vmc_fail(err, VMC_EIO, "etcd at %s answers with status %ld: %s", url, status, said);
}

/* At one server. */
static int post(struct store_etcd *e, const char *endpoint, const char *path, const char *body, long ms,
		struct answer *a, struct vmc_error *err)
{
	char url[URL_MAX + 64], why[CURL_ERROR_SIZE] = "";
	CURLcode c;

	snprintf(url, sizeof(url), "%s%s", endpoint, path);
	curl_easy_setopt(e->curl, CURLOPT_URL, url);
	curl_easy_setopt(e->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	curl_easy_setopt(e->curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(e->curl, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(e->curl, CURLOPT_TIMEOUT_MS, ms);
	curl_easy_setopt(e->curl, CURLOPT_ERRORBUFFER, why);
	c = curl_easy_perform(e->curl);
	curl_easy_setopt(e->curl, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_setopt(e->curl, CURLOPT_POSTFIELDS, NULL);
	return judge(e, endpoint, c, why, a, err);
}

/* At each server, from the one that answered last. @body is consumed; NULL: no memory. */
static int ask(struct store_etcd *e, const char *path, char *body, struct answer *a, struct vmc_error *err)
{
	uint64_t end = vmc_now_ms() + STORE_MS, now;
	struct vmc_error why = VMC_ERROR_INIT;
	unsigned int i, at;
	int rc = VMC_ETIMEDOUT;

	memset(a, 0, sizeof(*a));
	if (!body)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a question to etcd");
	pthread_mutex_lock(&e->lock);
	for (i = 0; rc && i < e->n && (now = vmc_now_ms()) < end; i++) {
		at = (e->first + i) % e->n;
		free(a->text);
		memset(a, 0, sizeof(*a));
		/* what is left is for those that are left */
		rc = post(e, e->endpoints[at], path, body, (long)((end - now) / (e->n - i)), a, &why);
		if (!rc)
			e->first = at;
	}
	pthread_mutex_unlock(&e->lock);
	free(body);
	if (rc && err)
		*err = why;
	if (rc)
		free(a->text);
	return rc;
}

/* ---- the store ---------------------------------------------------------------------- */

static int etcd_load(struct trust_store *s, char **jws, uint64_t *mark, struct vmc_error *err)
{
	struct store_etcd *e = of(s);
	char *value = NULL;
	struct answer a;
	int rc = ask(e, "/v3/kv/range", etcd_range_body(e->key, jws), &a, err);

	if (rc)
		return rc;
	rc = etcd_parse_range(a.text ? a.text : "", a.n, mark, &value, err);
	free(a.text);
	if (!rc && !*mark)
		rc = vmc_fail(err, VMC_ENOENT, "there is no desired state in etcd");
	if (!rc && jws && !value)
		rc = vmc_fail(err, VMC_EINVAL, "the desired state in etcd is empty");
	if (!rc && jws)
		*jws = value;
	else
		free(value);
	return rc;
}

/* After a transaction whose answer was lost: what is there is what was to be put? */
static bool is_there(struct trust_store *s, const char *jws)
{
	uint64_t mark;
	char *now;
	bool same;

	if (etcd_load(s, &now, &mark, NULL))
		return false;
	same = !strcmp(now, jws);
	free(now);
	return same;
}

static int etcd_put(struct trust_store *s, const char *jws, uint64_t mark, struct vmc_error *err)
{
	struct store_etcd *e = of(s);
	bool done = false;
	struct answer a;
	int rc = ask(e, "/v3/kv/txn", etcd_txn_body(e->key, jws, mark), &a, err);

	if (rc)
		return rc;
	rc = etcd_parse_txn(a.text ? a.text : "", a.n, &done, err);
	free(a.text);
	if (rc || done || is_there(s, jws))
		return rc;
	vmc_fail(err, VMC_EREPLAY, "the desired state in etcd was changed at the same time");
	vmc_hint(err, "try again, when this authority has that one");
	return VMC_EREPLAY;
}

static void etcd_close(struct trust_store *s)
{
	struct store_etcd *e = of(s);

	curl_easy_cleanup(e->curl);
	curl_slist_free_all(e->head);
	for (unsigned int i = 0; i < e->n; i++)
		free(e->endpoints[i]);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- beginning ----------------------------------------------------------------------- */

static int add_endpoint(struct store_etcd *e, const char *s, size_t n, struct vmc_error *err)
{
	while (n && (*s == ' ' || s[n - 1] == ' ' || s[n - 1] == '/')) {
		if (*s == ' ')
			s++;
		n--;
	}
	if (n >= URL_MAX || e->n == STORE_SERVERS_MAX || (strncmp(s, "https://", 8) && strncmp(s, "http://", 7)))
		return vmc_fail(err, VMC_EINVAL, "'%.*s' is not https://HOST:PORT of an etcd server, of %d at most",
				(int)(n < 80 ? n : 80), s, STORE_SERVERS_MAX);
	e->endpoints[e->n] = strndup(s, n);
	return e->endpoints[e->n++] ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for etcd");
}

static int add_endpoints(struct store_etcd *e, const char *list, struct vmc_error *err)
{
	int rc;

	do {
		size_t n = strcspn(list, ",");

		rc = add_endpoint(e, list, n, err);
		list += n;
	} while (!rc && *list++);
	return rc;
}

static bool set_file(CURL *c, CURLoption what, const char *path)
{
	return !path || !*path || curl_easy_setopt(c, what, path) == CURLE_OK;
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool set_up(struct store_etcd *e, const struct store_etcd_options *o)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CURL *c;

	pthread_once(&once, init_curl);
	c = e->curl = curl_easy_init();
	e->head = curl_slist_append(NULL, "Content-Type: application/json");
	if (!c || !e->head)
		return false;
	/* no signals, no proxies of the environment, nowhere else than told */
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)ETCD_ANSWER_MAX);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, e->head);
	return set_file(c, CURLOPT_CAINFO, o->ca) && set_file(c, CURLOPT_SSLCERT, o->cert) && set_file(c, CURLOPT_SSLKEY, o->key);
}

int store_etcd_open(struct trust_store **out, const struct store_etcd_options *o, struct vmc_error *err)
{
	static const struct trust_store_ops ops = { .load = etcd_load, .put = etcd_put, .close = etcd_close };
	struct store_etcd *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return vmc_fail(err, VMC_ENOMEM, "no memory for etcd");
	e->store.ops = &ops;
	pthread_mutex_init(&e->lock, NULL);
	snprintf(e->key, sizeof(e->key), "%s/state", o->prefix);
	rc = add_endpoints(e, o->endpoints, err);
	if (!rc && !set_up(e, o))
		rc = vmc_fail(err, VMC_EINTERNAL, "libcurl cannot be used for etcd");
	if (rc)
		etcd_close(&e->store);
	else
		*out = &e->store;
	return rc;
}
