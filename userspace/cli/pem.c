// SPDX-License-Identifier: GPL-2.0-or-later
#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/secmem.h"

static bool is_ascii(const char *s)
{
	while (*s > 0)
		s++;
	return !*s;
}

/* Is there a line "-----BEGIN [words ]WHAT-----"? "EC PRIVATE KEY" is a PRIVATE KEY, too. */
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

static int read_all(int fd, const char *path, char *buf, size_t n, struct vmc_error *err)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, buf + done, n - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vmc_fail_errno(err, errno, "cannot read '%s'", path);
		if (!got)
			return vmc_fail(err, VMC_EIO, "'%s' became shorter while it was read", path);
		done += got;
	}
	return 0;
}

int pem_read_secret(const char *path, const char *what, char **pem, size_t *size,
		    struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;
	struct stat st;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st)) {
		r = vmc_fail_errno(err, errno, "cannot read '%s'", path);
		goto out;
	}
	/* private keys are small, and so is the secure heap */
	if (!S_ISREG(st.st_mode) || st.st_size > 16384) {
		r = vmc_fail(err, VMC_EINVAL, "'%s' is not a file of at most 16 KiB", path);
		goto out;
	}
	*size = st.st_size + 1;
	*pem = secmem_alloc(*size);
	if (!*pem) {
		r = vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for '%s'", path);
		goto out;
	}
	r = read_all(fd, path, *pem, st.st_size, err);
	if (!r && strlen(*pem) != *size - 1)
		r = vmc_fail(err, VMC_EINVAL, "'%s' is no PEM file: it holds a zero byte", path);
	if (!r)
		r = check(path, *pem, what, err);
	if (r) {
		secmem_free(*pem, *size);
		*pem = NULL;
	}
out:
	close(fd);
	return r;
}

static int put(char *out, size_t n, size_t *used, char c)
{
	if (*used + 1 >= n)
		return VMC_EINVAL;
	out[(*used)++] = c;
	out[*used] = '\0';
	return 0;
}

int pem_json(const char *text, char *out, size_t n, size_t *used)
{
	int r = put(out, n, used, '"');

	for (; *text && !r; text++) {
		char c = *text;

		if (c == '\n' || c == '\r' || c == '\t' || c == '"' || c == '\\') {
			r = put(out, n, used, '\\');
			c = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c;
		} else if (c < ' ' || c > '~') {
			r = VMC_EINVAL;
		}
		if (!r)
			r = put(out, n, used, c);
	}
	return r ? r : put(out, n, used, '"');
}
