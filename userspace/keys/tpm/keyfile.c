// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file of stored keys, see keyfile.h. All numbers big endian:
 *
 *	8	"VMCKEYS1"
 *	16	id of the store
 *	8	generation
 *	8	TPM clock
 *	4	flags: 1 enabled
 *	4	count of records; they are sorted by id
 *	record:
 *	  2 + n	id
 *	  8	generation
 *	  8, 8	lease: end by the TPM's clock, end by the time of day
 *	  12, 32, 16	nonce, key, tag
 *	32	HMAC-SHA256 of all of it
 */
#include "keyfile.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "aead.h"
#include "wire.h"

#define HEADER		48
#define RECORD_MIN	(2 + 1 + 8 + 16 + KEYFILE_NONCE + KEYFILE_KEY_LEN + KEYFILE_TAG)
#define RECORD_MAX	(RECORD_MIN + KEYFILE_ID_MAX - 1)
#define FLAG_ENABLED	1u
#define LABEL_RECORD	"vmcrypt stored key"
#define LABEL_FILE	"vmcrypt file of stored keys"

static const char magic[8] = { 'V', 'M', 'C', 'K', 'E', 'Y', 'S', '1' };

/* ---- parse and write --------------------------------------------------- */

static void get_into(struct wire_in *w, void *out, size_t n)
{
	const uint8_t *p = wire_get(w, n);

	if (p)
		memcpy(out, p, n);
}

static void get_record(struct wire_in *w, struct record *r)
{
	size_t n;
	const uint8_t *id = wire_get_bytes(w, KEYFILE_ID_MAX, &n);

	if (!id || !n || memchr(id, '\0', n)) {
		w->bad = true;
		return;
	}
	memcpy(r->id, id, n);
	r->generation = wire_get_uint(w, 8);
	r->end_clock = wire_get_uint(w, 8);
	r->end_time = (int64_t)wire_get_uint(w, 8);
	get_into(w, r->nonce, sizeof(r->nonce));
	get_into(w, r->sealed, sizeof(r->sealed));
	get_into(w, r->tag, sizeof(r->tag));
}

static void get_records(struct wire_in *w, struct keyfile *f)
{
	for (size_t i = 0; !w->bad && i < f->n; i++) {
		get_record(w, &f->records[i]);
		if (i && strcmp(f->records[i - 1].id, f->records[i].id) >= 0)
			w->bad = true;
	}
}

int keyfile_parse(const uint8_t *data, size_t len, struct keyfile *f, struct vmc_error *err)
{
	struct wire_in w = { data, data + len, len > KEYFILE_MAX };
	const uint8_t *m = wire_get(&w, sizeof(magic));
	uint32_t flags;

	*f = (struct keyfile){ 0 };
	if (m && memcmp(m, magic, sizeof(magic)))
		w.bad = true;
	get_into(&w, f->id, sizeof(f->id));
	f->generation = wire_get_uint(&w, 8);
	f->clock = wire_get_uint(&w, 8);
	flags = (uint32_t)wire_get_uint(&w, 4);
	f->enabled = flags & FLAG_ENABLED;
	f->n = (size_t)wire_get_uint(&w, 4);
	/* no memory for records that cannot be there */
	if (flags & ~FLAG_ENABLED || f->n > KEYFILE_RECORDS_MAX || f->n > len / RECORD_MIN)
		w.bad = true;
	if (!w.bad) {
		f->records = calloc(f->n ? f->n : 1, sizeof(*f->records));
		if (!f->records)
			return vmc_fail(err, VMC_ENOMEM, "no memory for %zu stored keys", f->n);
		get_records(&w, f);
	}
	get_into(&w, f->mac, sizeof(f->mac));
	if (wire_at_end(&w))
		return 0;
	keyfile_clear(f);
	vmc_fail(err, VMC_EINVAL, "the file of stored keys is damaged");
	vmc_hint(err, "the key providers still have the keys: vmcrypt host persistence reseal");
	return VMC_EINVAL;
}

static int mac_of(const uint8_t *master, const uint8_t *data, size_t len, uint8_t mac[KEYFILE_MAC],
		  struct vmc_error *err)
{
	uint8_t *key = secmem_alloc(AEAD_KEY);
	unsigned int n = 0;
	int rc;

	if (!key)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = aead_derive(master, LABEL_FILE, key, err);
	if (!rc && (!HMAC(EVP_sha256(), key, AEAD_KEY, data, len, mac, &n) || n != KEYFILE_MAC))
		rc = vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot authenticate");
	secmem_free(key, AEAD_KEY);
	return rc;
}

static void put_record(struct wire_out *w, const struct record *r)
{
	wire_put_bytes(w, r->id, strlen(r->id));
	wire_put_uint(w, r->generation, 8);
	wire_put_uint(w, r->end_clock, 8);
	wire_put_uint(w, (uint64_t)r->end_time, 8);
	wire_put(w, r->nonce, sizeof(r->nonce));
	wire_put(w, r->sealed, sizeof(r->sealed));
	wire_put(w, r->tag, sizeof(r->tag));
}

/* All but the MAC. */
static int put_all(const struct keyfile *f, uint8_t **out, size_t *len, struct vmc_error *err)
{
	size_t max = HEADER + f->n * RECORD_MAX + KEYFILE_MAC;
	struct wire_out w;

	*out = malloc(max);
	if (!*out)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %zu stored keys", f->n);
	w = (struct wire_out){ *out, *out + max - KEYFILE_MAC, false };
	wire_put(&w, magic, sizeof(magic));
	wire_put(&w, f->id, sizeof(f->id));
	wire_put_uint(&w, f->generation, 8);
	wire_put_uint(&w, f->clock, 8);
	wire_put_uint(&w, f->enabled ? FLAG_ENABLED : 0, 4);
	wire_put_uint(&w, f->n, 4);
	for (size_t i = 0; i < f->n; i++)
		put_record(&w, &f->records[i]);
	*len = (size_t)(w.at - *out);
	return 0;
}

int keyfile_write(const struct keyfile *f, const uint8_t *master, uint8_t **out, size_t *len, struct vmc_error *err)
{
	int rc = put_all(f, out, len, err);

	if (rc)
		return rc;
	rc = mac_of(master, *out, *len, *out + *len, err);
	*len += KEYFILE_MAC;
	if (rc)
		free(*out);
	return rc;
}

int keyfile_check(const struct keyfile *f, const uint8_t *master, struct vmc_error *err)
{
	uint8_t mac[KEYFILE_MAC], *data;
	size_t len;
	int rc;

	rc = put_all(f, &data, &len, err);
	if (rc)
		return rc;
	rc = mac_of(master, data, len, mac, err);
	free(data);
	if (rc || !CRYPTO_memcmp(mac, f->mac, sizeof(mac)))
		return rc;
	vmc_fail(err, VMC_EAUTH, "the file of stored keys was altered, or belongs to another seal");
	vmc_hint(err, "nothing of it is used; the key providers still have the keys: vmcrypt host persistence reseal");
	return VMC_EAUTH;
}

void keyfile_clear(struct keyfile *f)
{
	free(f->records);
	*f = (struct keyfile){ 0 };
}

/* ---- records ------------------------------------------------------------ */

/* The place of @id: of the first record that is not before it. */
static size_t place_of(const struct keyfile *f, const char *id)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(f->records[mid].id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct record *keyfile_find(const struct keyfile *f, const char *id)
{
	size_t i = place_of(f, id);

	return i < f->n && !strcmp(f->records[i].id, id) ? &f->records[i] : NULL;
}

int keyfile_add(struct keyfile *f, const char *id, struct record **r, struct vmc_error *err)
{
	size_t at = place_of(f, id), n = strlen(id);
	struct record *more;

	*r = keyfile_find(f, id);
	if (*r)
		return 0;
	if (!n || n > KEYFILE_ID_MAX)
		return vmc_fail(err, VMC_EINVAL, "'%.80s' is not a key id", id);
	if (f->n >= KEYFILE_RECORDS_MAX)
		return vmc_fail(err, VMC_ENOSPC, "%u keys are stored already, the most there can be", KEYFILE_RECORDS_MAX);
	more = realloc(f->records, (f->n + 1) * sizeof(*more));
	if (!more)
		return vmc_fail(err, VMC_ENOMEM, "no memory for another stored key");
	f->records = more;
	memmove(more + at + 1, more + at, (f->n - at) * sizeof(*more));
	f->n++;
	more[at] = (struct record){ 0 };
	memcpy(more[at].id, id, n + 1);
	*r = &more[at];
	return 0;
}

void keyfile_remove(struct keyfile *f, struct record *r)
{
	memmove(r, r + 1, (size_t)(f->records + f->n - r - 1) * sizeof(*r));
	f->n--;
}

#define AAD_MAX (16 + 24 + KEYFILE_ID_MAX)

static size_t aad_of(const struct keyfile *f, const struct record *r, uint8_t aad[AAD_MAX])
{
	struct wire_out w = { aad, aad + AAD_MAX, false };

	wire_put(&w, f->id, sizeof(f->id));
	wire_put_uint(&w, r->generation, 8);
	wire_put_uint(&w, r->end_clock, 8);
	wire_put_uint(&w, (uint64_t)r->end_time, 8);
	wire_put(&w, r->id, strlen(r->id));
	return (size_t)(w.at - aad);
}

int record_seal(const struct keyfile *f, struct record *r, const uint8_t *master, const uint8_t *key,
		struct vmc_error *err)
{
	uint8_t aad[AAD_MAX], *k = secmem_alloc(AEAD_KEY);
	int rc;

	if (!k)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = aead_derive(master, LABEL_RECORD, k, err);
	if (!rc)
		rc = aead_seal(k, aad, aad_of(f, r, aad), key, KEYFILE_KEY_LEN, r->nonce, r->sealed, r->tag, err);
	secmem_free(k, AEAD_KEY);
	return rc;
}

int record_open(const struct keyfile *f, const struct record *r, const uint8_t *master, uint8_t *key,
		struct vmc_error *err)
{
	uint8_t aad[AAD_MAX], *k = secmem_alloc(AEAD_KEY);
	int rc;

	if (!k)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = aead_derive(master, LABEL_RECORD, k, err);
	if (!rc)
		rc = aead_open(k, aad, aad_of(f, r, aad), r->sealed, KEYFILE_KEY_LEN, r->nonce, r->tag, key, err);
	secmem_free(k, AEAD_KEY);
	return rc;
}
