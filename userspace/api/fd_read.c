// SPDX-License-Identifier: GPL-2.0-or-later
/* What must not travel over the bus comes as an open file. See fd_read.h. */
#include "fd_read.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/secmem.h"

static int read_all(int fd, const char *what, char *data, size_t len, struct vmc_error *err)
{
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t)n) {
		n = pread(fd, data + at, len - at, (off_t)at);
		if (n < 0)
			return vmc_fail_errno(err, errno, "cannot read the file of %s", what);
		if (!n)
			return vmc_fail(err, VMC_EIO, "the file of %s became shorter while it was read", what);
	}
	return 0;
}

int fd_read_secret(int fd, const char *what, size_t max, char **data, size_t *len, struct vmc_error *err)
{
	struct stat st;
	int rc;

	*data = NULL;
	*len = 0;
	if (fstat(fd, &st))
		return vmc_fail_errno(err, errno, "cannot look at the file of %s", what);
	if (!S_ISREG(st.st_mode) || st.st_size < 1 || (size_t)st.st_size > max) {
		vmc_fail(err, VMC_EINVAL, "%s must be a regular file of 1 to %zu bytes", what, max);
		vmc_hint(err, "give the file itself, not a pipe");
		return VMC_EINVAL;
	}
	*data = secmem_alloc((size_t)st.st_size + 1);
	if (!*data)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for %s of %zu bytes", what,
				(size_t)st.st_size);
	rc = read_all(fd, what, *data, (size_t)st.st_size, err);
	if (rc) {
		secmem_free(*data, (size_t)st.st_size + 1);
		*data = NULL;
		return rc;
	}
	*len = (size_t)st.st_size;
	return 0;
}
