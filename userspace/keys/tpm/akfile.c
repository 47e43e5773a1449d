// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An attestation key in a file, see akfile.h. All numbers big endian:
 *
 *	8	"VMCAKEY1"
 *	2 + n	name of the key that it is below
 *	2 + n	TPM2B_PUBLIC
 *	2 + n	TPM2B_PRIVATE
 */
#include "akfile.h"

#include <tss2/tss2_mu.h>

#include "wire.h"

static const char magic[8] = { 'V', 'M', 'C', 'A', 'K', 'E', 'Y', '1' };

static void get_key(struct wire_in *w, struct akfile *f)
{
	const uint8_t *bytes;
	size_t n, used = 0;

	bytes = wire_get_bytes(w, sizeof(f->pub), &n);
	if (!bytes || Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, n, &used, &f->pub) || used != n)
		w->bad = true;
	used = 0;
	bytes = wire_get_bytes(w, sizeof(f->priv), &n);
	if (!bytes || Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, n, &used, &f->priv) || used != n)
		w->bad = true;
}

int akfile_parse(const uint8_t *data, size_t len, struct akfile *f, struct vmc_error *err)
{
	struct wire_in w = { data, data + len, len > AKFILE_MAX };
	const uint8_t *bytes;
	size_t n;

	*f = (struct akfile){ 0 };
	bytes = wire_get(&w, sizeof(magic));
	if (bytes && memcmp(bytes, magic, sizeof(magic)))
		w.bad = true;
	bytes = wire_get_bytes(&w, sizeof(f->parent.name), &n);
	if (bytes) {
		memcpy(f->parent.name, bytes, n);
		f->parent.size = (UINT16)n;
	}
	get_key(&w, f);
	if (wire_at_end(&w) && f->parent.size && f->pub.size && f->priv.size)
		return 0;
	return vmc_fail(err, VMC_EINVAL, "the file of the attestation key is damaged");
}

int akfile_write(const struct akfile *f, uint8_t out[AKFILE_MAX], size_t *len, struct vmc_error *err)
{
	uint8_t buf[sizeof(f->pub) + sizeof(f->priv)];
	struct wire_out w = { out, out + AKFILE_MAX, false };
	size_t n = 0;

	wire_put(&w, magic, sizeof(magic));
	wire_put_bytes(&w, f->parent.name, f->parent.size);
	if (Tss2_MU_TPM2B_PUBLIC_Marshal(&f->pub, buf, sizeof(buf), &n))
		w.bad = true;
	wire_put_bytes(&w, buf, n);
	n = 0;
	if (Tss2_MU_TPM2B_PRIVATE_Marshal(&f->priv, buf, sizeof(buf), &n))
		w.bad = true;
	wire_put_bytes(&w, buf, n);
	*len = (size_t)(w.at - out);
	return w.bad ? vmc_fail(err, VMC_EINTERNAL, "an attestation key cannot be written down") : 0;
}
