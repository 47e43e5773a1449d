// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a sealed secret looks like in a file, see blob.h. All numbers big endian:
 *
 *	8	"VMCSEAL1"
 *	1	kind of policy
 *	2, 4	PCR bank, mask of PCRs
 *	4, 8	NV index of the counter or 0, the value it must have
 *	4	last TPM reset count or 0
 *	2 + n	signer; n 0 when there is none
 *	2 + n	name of the SRK
 *	1	count of PCR values, then each 2 + n
 *	2 + n	TPM2B_PUBLIC
 *	2 + n	TPM2B_PRIVATE
 */
#include "blob.h"

#include <tss2/tss2_mu.h>

#include "wire.h"

static const char magic[8] = { 'V', 'M', 'C', 'S', 'E', 'A', 'L', '1' };

static int count_bits(uint32_t mask)
{
	return __builtin_popcount(mask);
}

static bool known_bank(TPMI_ALG_HASH bank)
{
	return policy_bank_name(bank)[0] != '?';
}

/* Does each kind have what it needs, and nothing else? */
static bool policy_ok(const struct blob *b)
{
	const struct seal_policy *p = &b->policy;
	int pcrs = count_bits(p->pcrs);

	if (p->pcrs >> POLICY_PCRS || (!p->epoch_index && p->epoch))
		return false;
	switch (p->kind) {
	case POLICY_PCR:
		return known_bank(p->bank) && pcrs && !p->n_signer && b->n_pcr == (size_t)pcrs;
	case POLICY_SIGNED:
		return known_bank(p->bank) && !pcrs && p->n_signer && !b->n_pcr;
	case POLICY_OPEN:
		return !pcrs && !p->n_signer && !b->n_pcr;
	default:
		return false;
	}
}

static void get_policy(struct wire_in *w, struct seal_policy *p)
{
	const uint8_t *bytes;

	p->kind = (enum policy_kind)wire_get_uint(w, 1);
	p->bank = (TPMI_ALG_HASH)wire_get_uint(w, 2);
	p->pcrs = (uint32_t)wire_get_uint(w, 4);
	p->epoch_index = (uint32_t)wire_get_uint(w, 4);
	p->epoch = wire_get_uint(w, 8);
	p->max_resets = (uint32_t)wire_get_uint(w, 4);
	bytes = wire_get_bytes(w, sizeof(p->signer), &p->n_signer);
	if (bytes)
		memcpy(p->signer, bytes, p->n_signer);
}

static void get_pcrs(struct wire_in *w, struct blob *b)
{
	b->n_pcr = (size_t)wire_get_uint(w, 1);
	if (b->n_pcr > POLICY_PCRS)
		w->bad = true;
	for (size_t i = 0; !w->bad && i < b->n_pcr; i++) {
		size_t n;
		const uint8_t *bytes = wire_get_bytes(w, sizeof(b->pcr[i].buffer), &n);

		if (!bytes)
			break;
		memcpy(b->pcr[i].buffer, bytes, n);
		b->pcr[i].size = (UINT16)n;
	}
}

/* These two begin with their own length. */
static void get_object(struct wire_in *w, struct blob *b)
{
	const uint8_t *bytes;
	size_t n, used = 0;

	bytes = wire_get_bytes(w, sizeof(b->pub), &n);
	if (!bytes || Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, n, &used, &b->pub) || used != n)
		w->bad = true;
	used = 0;
	bytes = wire_get_bytes(w, sizeof(b->priv), &n);
	if (!bytes || Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, n, &used, &b->priv) || used != n)
		w->bad = true;
}

int blob_parse(const uint8_t *data, size_t len, struct blob *b, struct vmc_error *err)
{
	struct wire_in w = { data, data + len, len > BLOB_MAX };
	const uint8_t *bytes;
	size_t n;

	*b = (struct blob){ 0 };
	bytes = wire_get(&w, sizeof(magic));
	if (bytes && memcmp(bytes, magic, sizeof(magic)))
		w.bad = true;
	get_policy(&w, &b->policy);
	bytes = wire_get_bytes(&w, sizeof(b->srk.name), &n);
	if (bytes) {
		memcpy(b->srk.name, bytes, n);
		b->srk.size = (UINT16)n;
	}
	get_pcrs(&w, b);
	get_object(&w, b);
	if (wire_at_end(&w) && b->srk.size && policy_ok(b))
		return 0;
	vmc_fail(err, VMC_EINVAL, "what is to be unsealed is damaged");
	vmc_hint(err, "bring the state folder back from a backup of this host; or vmcrypt host persistence reseal takes the keys from their providers anew");
	return VMC_EINVAL;
}

static void put_object(struct wire_out *w, const struct blob *b)
{
	uint8_t buf[sizeof(b->pub) + sizeof(b->priv)];
	size_t n = 0;

	if (Tss2_MU_TPM2B_PUBLIC_Marshal(&b->pub, buf, sizeof(buf), &n))
		w->bad = true;
	wire_put_bytes(w, buf, n);
	n = 0;
	if (Tss2_MU_TPM2B_PRIVATE_Marshal(&b->priv, buf, sizeof(buf), &n))
		w->bad = true;
	wire_put_bytes(w, buf, n);
}

int blob_write(const struct blob *b, uint8_t out[BLOB_MAX], size_t *len, struct vmc_error *err)
{
	const struct seal_policy *p = &b->policy;
	struct wire_out w = { out, out + BLOB_MAX, !policy_ok(b) };

	wire_put(&w, magic, sizeof(magic));
	wire_put_uint(&w, p->kind, 1);
	wire_put_uint(&w, p->bank, 2);
	wire_put_uint(&w, p->pcrs, 4);
	wire_put_uint(&w, p->epoch_index, 4);
	wire_put_uint(&w, p->epoch, 8);
	wire_put_uint(&w, p->max_resets, 4);
	wire_put_bytes(&w, p->signer, p->n_signer);
	wire_put_bytes(&w, b->srk.name, b->srk.size);
	wire_put_uint(&w, b->n_pcr, 1);
	for (size_t i = 0; i < b->n_pcr; i++)
		wire_put_bytes(&w, b->pcr[i].buffer, b->pcr[i].size);
	put_object(&w, b);
	*len = (size_t)(w.at - out);
	return w.bad ? vmc_fail(err, VMC_EINTERNAL, "a sealed secret cannot be written down") : 0;
}
