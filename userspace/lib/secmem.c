// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory for secrets: OpenSSL's secure heap. */
#include "secmem.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define SECMEM_MIN	(16u << 10)
#define SECMEM_MAX	(256u << 20)
#define SECMEM_CHUNK	32	/* smallest allocation */

/* A core dump would hold the heap. */
static int forbid_dumps(struct vmc_error *err)
{
	static const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none))
		return vmc_fail_errno(err, errno, "cannot turn core dumps off");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return vmc_fail_errno(err, errno,
				      "cannot make the process undumpable");
	return 0;
}

/* The soft limit is often below the hard one; without privilege that is all there is. */
static void raise_memlock(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_MEMLOCK, &l) || l.rlim_cur == l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &l);
}

int secmem_init(size_t bytes, struct vmc_error *err)
{
	int rc;

	if (bytes < SECMEM_MIN || bytes > SECMEM_MAX || (bytes & (bytes - 1)))
		return vmc_fail(err, VMC_EINVAL,
				"secure heap of %zu bytes: it must be a power of two from %u to %u",
				bytes, SECMEM_MIN, SECMEM_MAX);
	rc = forbid_dumps(err);
	if (rc)
		return rc;
	if (CRYPTO_secure_malloc_initialized())
		return 0;
	raise_memlock();
	rc = CRYPTO_secure_malloc_init(bytes, SECMEM_CHUNK);
	if (rc == 1)
		return 0;
	if (rc == 2)	/* there, but not locked or without guard pages */
		CRYPTO_secure_malloc_done();
	vmc_fail(err, VMC_ENOMEM, "cannot lock %zu bytes of memory for keys", bytes);
	vmc_hint(err, "raise the limit of locked memory (LimitMEMLOCK= in the unit, ulimit -l in a shell) above %zu bytes, or set a smaller secure_heap",
		 bytes);
	return VMC_ENOMEM;
}

/* Without the heap OpenSSL would fall back to malloc(3); a secret must not. */
void *secmem_alloc(size_t n)
{
	if (!CRYPTO_secure_malloc_initialized())
		return NULL;
	return OPENSSL_secure_zalloc(n);
}

void secmem_free(void *p, size_t n)
{
	OPENSSL_secure_clear_free(p, n);
}

void secmem_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

int secmem_is_secure(const void *p)
{
	return CRYPTO_secure_malloc_initialized() && CRYPTO_secure_allocated(p);
}
