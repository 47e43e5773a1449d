// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wrapping of DEKs under KEKs: AES-256-GCM, bound to where the DEK belongs.
 *
 * A wrapped DEK, format 1:
 *
 *	u8 version		1
 *	u8 algorithm		1, AES-256-GCM
 *	u8 reserved[2]		zero
 *	u8 nonce[12]		random
 *	u8 ciphertext[64]
 *	u8 tag[16]
 *
 * Associated data:
 *
 *	u8 label[11]		"vmcrypt dek"
 *	u8 version, algorithm	as above
 *	u8 length, KEK id	without its NUL
 *	u8 vm_id[16]
 *	u8 length, volume name	without its NUL
 *
 * Random nonces are safe for 2^32 wraps under one KEK (NIST SP 800-38D, 8.3).
 *
 * A sealed DEK, format 1, goes from one kernel to another in a migration. It is
 * the same under the key for DEKs of the migration, but for the label, "vmcrypt
 * dek export", and the text: the DEK, and the check value of its KEK, whole.
 */

#include <linux/build_bug.h>
#include <linux/crypto.h>
#include <linux/err.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "wrap.h"

#define VERSION		1
#define ALG_AES256_GCM	1
#define TAG_LEN		16

static const char wrap_label[] = "vmcrypt dek";
static const char seal_label[] = "vmcrypt dek export";

#define AAD_MAX (sizeof(seal_label) - 1 + 2 + 1 + VMCRYPT_KEK_ID_MAX + \
		 VMCRYPT_VM_ID_LEN + 1 + VMCRYPT_VOLUME_MAX)

/* What precedes the ciphertext and the tag. */
struct wrap_header {
	u8 version;
	u8 algorithm;
	u8 reserved[2];
	u8 nonce[VMCRYPT_NONCE_LEN];
	u8 text[];
};

static_assert(sizeof(struct wrap_header) + VMCRYPT_DEK_LEN + TAG_LEN ==
	      VMCRYPT_WRAPPED_LEN);
static_assert(sizeof(struct wrap_header) + sizeof(struct vmcrypt_moved_dek) +
	      TAG_LEN == VMCRYPT_SEALED_LEN);
static_assert(VMCRYPT_KEK_ID_MAX <= 255 && VMCRYPT_VOLUME_MAX <= 255);

/**
 * vmcrypt_aead_new - make the cipher that wraps under a KEK
 * @kek: VMCRYPT_KEK_LEN bytes
 *
 * The caller wipes @kek; the cipher keeps its key schedule, which
 * crypto_free_aead() wipes.
 *
 * Return: the cipher, or an ERR_PTR of the crypto API.
 */
struct crypto_aead *vmcrypt_aead_new(const u8 *kek)
{
	struct crypto_aead *aead = crypto_alloc_aead("gcm(aes)", 0, 0);
	int ret;

	if (IS_ERR(aead))
		return aead;
	ret = crypto_aead_setkey(aead, kek, VMCRYPT_KEK_LEN);
	if (!ret)
		ret = crypto_aead_setauthsize(aead, TAG_LEN);
	if (ret) {
		crypto_free_aead(aead);
		return ERR_PTR(ret);
	}
	return aead;
}

/**
 * vmcrypt_gcm - seal or open in place with AES-GCM
 * @aead: keyed cipher
 * @seal: seal, else open
 * @nonce: VMCRYPT_NONCE_LEN bytes
 * @buf: kmalloc'ed: associated data, text and 16 bytes for the tag
 * @aad_len: length of the associated data
 * @len: length of the plain text
 *
 * Return: 0, -EBADMSG when what is opened is not authentic, or another
 * negative errno of the crypto API.
 */
int vmcrypt_gcm(struct crypto_aead *aead, bool seal, const u8 *nonce, u8 *buf,
		size_t aad_len, size_t len)
{
	DECLARE_CRYPTO_WAIT(wait);
	struct aead_request *req;
	u8 iv[VMCRYPT_NONCE_LEN];
	struct scatterlist sg;
	int ret;

	req = aead_request_alloc(aead, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	memcpy(iv, nonce, sizeof(iv));
	sg_init_one(&sg, buf, aad_len + len + TAG_LEN);
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  CRYPTO_TFM_REQ_MAY_SLEEP,
				  crypto_req_done, &wait);
	aead_request_set_ad(req, aad_len);
	aead_request_set_crypt(req, &sg, &sg, seal ? len : len + TAG_LEN, iv);
	ret = crypto_wait_req(seal ? crypto_aead_encrypt(req) :
			      crypto_aead_decrypt(req), &wait);
	aead_request_free(req);
	return ret;
}

static u8 *put(u8 *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

static u8 *put_counted(u8 *to, const char *str)
{
	size_t len = strlen(str);

	*to++ = len;
	return put(to, str, len);
}

static size_t put_aad(u8 *buf, const char *label,
		      const struct vmcrypt_bind *bind)
{
	u8 *to = put(buf, label, strlen(label));

	*to++ = VERSION;
	*to++ = ALG_AES256_GCM;
	to = put_counted(to, bind->kek_id);
	to = put(to, bind->vm_id, VMCRYPT_VM_ID_LEN);
	to = put_counted(to, bind->volume);
	return to - buf;
}

static int seal(struct crypto_aead *aead, const char *label,
		const struct vmcrypt_bind *bind, const u8 *nonce,
		const void *text, size_t len, u8 *out)
{
	struct wrap_header *w = (struct wrap_header *)out;
	size_t aad_len;
	u8 *buf;
	int ret;

	buf = kmalloc(AAD_MAX + len + TAG_LEN, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	aad_len = put_aad(buf, label, bind);
	memcpy(buf + aad_len, text, len);
	ret = vmcrypt_gcm(aead, true, nonce, buf, aad_len, len);
	if (!ret) {
		w->version = VERSION;
		w->algorithm = ALG_AES256_GCM;
		memset(w->reserved, 0, sizeof(w->reserved));
		memcpy(w->nonce, nonce, sizeof(w->nonce));
		memcpy(w->text, buf + aad_len, len + TAG_LEN);
	}
	kfree_sensitive(buf);
	return ret;
}

/* -EBADMSG when it is not authentic; @text is untouched on error. */
static int open(struct crypto_aead *aead, const char *label,
		const struct vmcrypt_bind *bind, const u8 *in,
		void *text, size_t len)
{
	const struct wrap_header *w = (const struct wrap_header *)in;
	size_t aad_len;
	u8 *buf;
	int ret;

	buf = kmalloc(AAD_MAX + len + TAG_LEN, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	aad_len = put_aad(buf, label, bind);
	memcpy(buf + aad_len, w->text, len + TAG_LEN);
	ret = vmcrypt_gcm(aead, false, w->nonce, buf, aad_len, len);
	if (!ret)
		memcpy(text, buf + aad_len, len);
	kfree_sensitive(buf);
	return ret;
}

/**
 * vmcrypt_wrap_nonce - wrap a DEK with a given nonce
 * @aead: cipher of the KEK
 * @bind: what to bind the DEK to; all names valid
 * @nonce: VMCRYPT_NONCE_LEN bytes that were never used with this KEK; for
 *	vmcrypt_wrap() and for tests with known answers
 * @dek: VMCRYPT_DEK_LEN bytes
 * @wrapped: receives the wrapped DEK
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_wrap_nonce(struct crypto_aead *aead,
		       const struct vmcrypt_bind *bind, const u8 *nonce,
		       const u8 *dek, u8 wrapped[VMCRYPT_WRAPPED_LEN])
{
	return seal(aead, wrap_label, bind, nonce, dek, VMCRYPT_DEK_LEN,
		    wrapped);
}

/**
 * vmcrypt_wrap_ready - wait until nonces are random
 *
 * Early at boot they may not be, and a predictable nonce may repeat. To be
 * called before vmcrypt_wrap(), without locks.
 *
 * Return: 0, or -EINTR when a signal came first.
 */
int vmcrypt_wrap_ready(void)
{
	return wait_for_random_bytes() ? -EINTR : 0;
}

/**
 * vmcrypt_wrap - wrap a DEK under a KEK
 * @aead: cipher of the KEK
 * @bind: what to bind the DEK to; all names valid
 * @dek: VMCRYPT_DEK_LEN bytes
 * @wrapped: receives the wrapped DEK
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_wrap(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		 const u8 *dek, u8 wrapped[VMCRYPT_WRAPPED_LEN])
{
	u8 nonce[VMCRYPT_NONCE_LEN];

	get_random_bytes(nonce, sizeof(nonce));
	return vmcrypt_wrap_nonce(aead, bind, nonce, dek, wrapped);
}

static int check_header(const u8 *wrapped, struct netlink_ext_ack *extack)
{
	const struct wrap_header *w = (const struct wrap_header *)wrapped;

	if (w->version != VERSION) {
		NL_SET_ERR_MSG(extack,
			       "wrapped DEK has an unknown version; is the module too old?");
		return -EOPNOTSUPP;
	}
	if (w->algorithm != ALG_AES256_GCM) {
		NL_SET_ERR_MSG(extack,
			       "wrapped DEK has an unknown algorithm; is the module too old?");
		return -EOPNOTSUPP;
	}
	if (memchr_inv(w->reserved, 0, sizeof(w->reserved))) {
		NL_SET_ERR_MSG(extack, "wrapped DEK is damaged: reserved bytes are not zero");
		return -EINVAL;
	}
	return 0;
}

/**
 * vmcrypt_unwrap - unwrap a DEK
 * @aead: cipher of the KEK
 * @bind: what the DEK must be bound to; all names valid
 * @wrapped: wrapped DEK
 * @dek: receives VMCRYPT_DEK_LEN bytes; the caller wipes them. Untouched on
 *	error
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -EKEYREJECTED when it is not authentic for this KEK and @bind,
 * -EOPNOTSUPP for another format, -EINVAL for a damaged header, or another
 * negative errno of the crypto API.
 */
int vmcrypt_unwrap(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		   const u8 wrapped[VMCRYPT_WRAPPED_LEN], u8 *dek,
		   struct netlink_ext_ack *extack)
{
	int ret;

	ret = check_header(wrapped, extack);
	if (ret)
		return ret;
	ret = open(aead, wrap_label, bind, wrapped, dek, VMCRYPT_DEK_LEN);
	if (ret == -EBADMSG) {
		NL_SET_ERR_MSG(extack, "wrapped DEK is not authentic for this KEK, VM and volume");
		return -EKEYREJECTED;
	}
	return ret;
}

/**
 * vmcrypt_seal_dek - seal a DEK for the kernel at the other end
 * @aead: cipher of the migration
 * @bind: what to bind the DEK to; all names valid
 * @moved: the DEK, and what tells its KEK from others
 * @sealed: receives the sealed DEK
 *
 * Call vmcrypt_wrap_ready() before.
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_seal_dek(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		     const struct vmcrypt_moved_dek *moved,
		     u8 sealed[VMCRYPT_SEALED_LEN])
{
	u8 nonce[VMCRYPT_NONCE_LEN];

	get_random_bytes(nonce, sizeof(nonce));
	return seal(aead, seal_label, bind, nonce, moved, sizeof(*moved),
		    sealed);
}

/**
 * vmcrypt_open_dek - open a DEK that the kernel at the other end sealed
 * @aead: cipher of the migration
 * @bind: what the DEK must be bound to; all names valid
 * @sealed: sealed DEK
 * @moved: receives the DEK, and what tells its KEK from others; the caller
 *	wipes it. Untouched on error
 * @extack: receives the reason of a refusal
 *
 * Return: as vmcrypt_unwrap().
 */
int vmcrypt_open_dek(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		     const u8 sealed[VMCRYPT_SEALED_LEN],
		     struct vmcrypt_moved_dek *moved,
		     struct netlink_ext_ack *extack)
{
	int ret;

	ret = check_header(sealed, extack);
	if (ret)
		return ret;
	ret = open(aead, seal_label, bind, sealed, moved, sizeof(*moved));
	if (ret == -EBADMSG) {
		NL_SET_ERR_MSG(extack,
			       "sealed DEK is not authentic for this migration, KEK, VM and volume");
		return -EKEYREJECTED;
	}
	return ret;
}
