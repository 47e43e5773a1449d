// SPDX-License-Identifier: GPL-2.0-only
/* Ephemeral keys on P-256: the kernel makes them, and nobody sees them. */

#include <crypto/ecdh.h>
#include <linux/crypto.h>
#include <linux/err.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "ecdh.h"

static int set_private(struct crypto_kpp *kpp, const u8 *private, size_t len)
{
	struct ecdh params = { .key = (char *)private, .key_size = len };
	unsigned int size = crypto_ecdh_key_len(&params);
	char *buf;
	int ret;

	buf = kmalloc(size, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = crypto_ecdh_encode_key(buf, size, &params);
	if (!ret)
		ret = crypto_kpp_set_secret(kpp, buf, size);
	kfree_sensitive(buf);
	return ret;
}

/* One step of the key agreement: @in, or nothing, gives @out. */
static int step(struct crypto_kpp *kpp, const u8 *in, size_t in_len, u8 *out,
		size_t out_len)
{
	struct scatterlist sg_in, sg_out;
	DECLARE_CRYPTO_WAIT(wait);
	struct kpp_request *req;
	int ret = -ENOMEM;
	u8 *buf;

	/* The stack may not do for a scatterlist. */
	buf = kmalloc(in_len + out_len, GFP_KERNEL);
	req = kpp_request_alloc(kpp, GFP_KERNEL);
	if (!buf || !req)
		goto out;
	sg_init_one(&sg_out, buf + in_len, out_len);
	kpp_request_set_output(req, &sg_out, out_len);
	kpp_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				 CRYPTO_TFM_REQ_MAY_SLEEP,
				 crypto_req_done, &wait);
	if (in_len) {
		memcpy(buf, in, in_len);
		sg_init_one(&sg_in, buf, in_len);
		kpp_request_set_input(req, &sg_in, in_len);
		ret = crypto_kpp_compute_shared_secret(req);
	} else {
		kpp_request_set_input(req, NULL, 0);
		ret = crypto_kpp_generate_public_key(req);
	}
	ret = crypto_wait_req(ret, &wait);
	if (!ret)
		memcpy(out, buf + in_len, out_len);
out:
	if (req)
		kpp_request_free(req);
	kfree_sensitive(buf);
	return ret;
}

/**
 * vmcrypt_ecdh_new - make a key
 * @private: private half for tests with known answers; NULL, the kernel's
 *	generator makes it
 * @len: length of @private, 0 with NULL
 * @public: receives the public half
 *
 * crypto_free_kpp() wipes the key.
 *
 * Return: the key, or an ERR_PTR of the crypto API.
 */
struct crypto_kpp *vmcrypt_ecdh_new(const u8 *private, size_t len,
				    u8 public[VMCRYPT_PUBLIC_LEN])
{
	struct crypto_kpp *kpp;
	int ret;

	kpp = crypto_alloc_kpp("ecdh-nist-p256", 0, 0);
	if (IS_ERR(kpp))
		return kpp;
	ret = set_private(kpp, private, len);
	if (!ret)
		ret = step(kpp, NULL, 0, public, VMCRYPT_PUBLIC_LEN);
	if (ret) {
		crypto_free_kpp(kpp);
		return ERR_PTR(ret);
	}
	return kpp;
}

/**
 * vmcrypt_ecdh_shared - what a key has in common with another
 * @kpp: the key
 * @peer: public half of the other
 * @shared: receives the secret; the caller wipes it. Untouched on error
 *
 * Return: 0, or a negative errno of the crypto API, which refuses what is not
 * a point of the curve.
 */
int vmcrypt_ecdh_shared(struct crypto_kpp *kpp,
			const u8 peer[VMCRYPT_PUBLIC_LEN],
			u8 shared[VMCRYPT_SECRET_LEN])
{
	return step(kpp, peer, VMCRYPT_PUBLIC_LEN, shared, VMCRYPT_SECRET_LEN);
}
