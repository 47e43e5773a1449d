// SPDX-License-Identifier: GPL-2.0-or-later
#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"

static bool is_ascii(const char *s)
{
	while (*s > 0)
		s++;
	return !*s;
}

/* Is there a line "-----BEGIN [words ]WHAT-----"? "TRUSTED CERTIFICATE" is a CERTIFICATE, too. */
static int check(const char *path, const char *pem, const char *what, struct vmc_error *err)
{
	const char *begin = strstr(pem, "-----BEGIN "), *p = begin;
	size_t len, n = strlen(what);

	if (!is_ascii(pem))
		return vmc_fail(err, VMC_EINVAL, "'%s' is no PEM file: PEM is ASCII text", path);
	for (; p; p = strstr(p, "-----BEGIN ")) {
		p += strlen("-----BEGIN ");
		len = strcspn(p, "-\n");
		if (len >= n && !memcmp(p + len - n, what, n) && !strncmp(p + len, "-----", 5) &&
		    (len == n || p[len - n - 1] == ' '))
			return 0;
	}
	if (begin) {
		begin += strlen("-----BEGIN ");
		vmc_fail(err, VMC_EINVAL, "'%s' holds a %.*s, not a %s", path,
			 (int)strcspn(begin, "-\n"), begin, what);
	} else {
		vmc_fail(err, VMC_EINVAL, "'%s' is no PEM file: it has no line '-----BEGIN %s-----'",
			 path, what);
		vmc_hint(err, "DER files become PEM by: openssl x509 -inform der -in FILE -out FILE.pem");
	}
	return VMC_EINVAL;
}

int pem_read(const char *path, const char *what, char **pem, struct vmc_error *err)
{
	size_t len;
	int r = fs_read(path, PEM_MAX, pem, &len, err);

	if (r)
		return r;
	if (strlen(*pem) != len)
		r = vmc_fail(err, VMC_EINVAL, "'%s' is no PEM file: it holds a zero byte", path);
	else
		r = check(path, *pem, what, err);
	if (r) {
		free(*pem);
		*pem = NULL;
	}
	return r;
}

int pem_open(const char *path, int *fd, struct vmc_error *err)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (!fstat(*fd, &st) && S_ISREG(st.st_mode))
		return 0;
	close(*fd);
	*fd = -1;
	return vmc_fail(err, VMC_EINVAL, "'%s' is not a regular file", path);
}
