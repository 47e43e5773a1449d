// SPDX-License-Identifier: GPL-2.0-or-later
/* Small things with no better home: ids, encodings, time, names. */
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int vmc_uuid_new(vmc_uuid *u)
{
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(u->b)) {
		n = getrandom(u->b + got, sizeof(u->b) - got, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return VMC_EIO;
		got += (size_t)n;
	}
	/* RFC 9562 section 5.4 */
	u->b[6] = (u->b[6] & 0x0f) | 0x40;
	u->b[8] = (u->b[8] & 0x3f) | 0x80;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool uuid_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

int vmc_uuid_parse(const char *s, vmc_uuid *u)
{
	size_t nibbles = 0;
	vmc_uuid out;

	if (!s || strnlen(s, VMC_UUID_STR) != VMC_UUID_STR - 1)
		return VMC_EINVAL;
	for (size_t i = 0; i < VMC_UUID_STR - 1; i++) {
		int d;

		if (uuid_dash(i)) {
			if (s[i] != '-')
				return VMC_EINVAL;
			continue;
		}
		d = hex_digit(s[i]);
		if (d < 0)
			return VMC_EINVAL;
		if (nibbles % 2)
			out.b[nibbles / 2] |= (uint8_t)d;
		else
			out.b[nibbles / 2] = (uint8_t)(d << 4);
		nibbles++;
	}
	*u = out;
	return 0;
}

void vmc_uuid_format(const vmc_uuid *u, char out[VMC_UUID_STR])
{
	static const char digits[] = "0123456789abcdef";
	size_t nibble = 0;

	for (size_t i = 0; i < VMC_UUID_STR - 1; i++) {
		uint8_t b = u->b[nibble / 2];

		if (uuid_dash(i)) {
			out[i] = '-';
			continue;
		}
		out[i] = digits[nibble % 2 ? b & 15 : b >> 4];
		nibble++;
	}
	out[VMC_UUID_STR - 1] = '\0';
}

bool vmc_uuid_equal(const vmc_uuid *a, const vmc_uuid *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

/* Base64 of RFC 4648 section 4, with padding. */
static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t vmc_base64_len(size_t n)
{
	return (n + 2) / 3 * 4 + 1;
}

void vmc_base64_encode(const uint8_t *in, size_t n, char *out)
{
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)in[i] << 16;

		if (left > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (left > 2)
			v |= in[i + 2];
		*out++ = base64_digits[v >> 18];
		*out++ = base64_digits[v >> 12 & 63];
		*out++ = left > 1 ? base64_digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_digits[v & 63] : '=';
	}
	*out = '\0';
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

/* Four characters to 1..3 bytes; 0 when they are not base64 in its one valid form. */
static size_t base64_quad(const char in[4], uint8_t out[3])
{
	size_t bytes = in[3] != '=' ? 3 : in[2] != '=' ? 2 : 1;
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int d = i <= bytes ? base64_digit(in[i]) : 0;

		if (d < 0 || (i > bytes && in[i] != '='))
			return 0;
		v = v << 6 | (uint32_t)d;
	}
	if (v & (0xffffffu >> (8 * bytes)))	/* bits that say nothing must be 0 */
		return 0;
	for (size_t i = 0; i < 3; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return bytes;
}

int vmc_base64_decode(const char *in, uint8_t *out, size_t max, size_t *n)
{
	size_t len = strlen(in), done = 0;

	if (len % 4)
		return VMC_EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		uint8_t part[3];
		size_t got = base64_quad(in + i, part);

		if (!got || (got < 3 && i + 4 < len) || got > max - done)
			return VMC_EINVAL;
		memcpy(out + done, part, got);
		done += got;
	}
	*n = done;
	return 0;
}

void vmc_hex_encode(const uint8_t *in, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	*out = '\0';
}

int vmc_hex_decode(const char *in, uint8_t *out, size_t max, size_t *n)
{
	size_t len = strlen(in);

	if (len % 2 || len / 2 > max)
		return VMC_EINVAL;
	for (size_t i = 0; i < len; i += 2) {
		int hi = hex_digit(in[i]), lo = hex_digit(in[i + 1]);

		if (hi < 0 || lo < 0)
			return VMC_EINVAL;
		out[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	*n = len / 2;
	return 0;
}

uint64_t vmc_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void vmc_deadline(uint64_t deadline, struct timespec *ts)
{
	uint64_t now = vmc_now_ms(), left = deadline > now ? deadline - now : 0;

	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += (time_t)(left / 1000);
	ts->tv_nsec += (long)(left % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

int64_t vmc_time(void)
{
	return time(NULL);
}

void vmc_time_format(int64_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, 32, "@%lld", (long long)t);
}

bool vmc_name_ok(const char *s, size_t max)
{
	size_t n = 0;

	if (!s || *s == '.' || *s == '-')
		return false;
	for (; s[n]; n++) {
		char c = s[n];

		if (n >= max)
			return false;
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
			return false;
	}
	return n > 0;
}

/* Shift for K, M, G, T, P, alone or as KiB ...; -1 when it is none of them. */
static int size_shift(const char *unit)
{
	static const char letters[] = "KMGTP";
	const char *at;

	if (!*unit)
		return 0;
	at = strchr(letters, *unit >= 'a' ? *unit - 'a' + 'A' : *unit);
	if (!at || (unit[1] && strcmp(unit + 1, "iB")))
		return -1;
	return 10 * (int)(at - letters + 1);
}

int vmc_size_parse(const char *s, uint64_t *bytes)
{
	uint64_t v = 0;
	int shift;

	if (!s || *s < '0' || *s > '9')
		return VMC_EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return VMC_EINVAL;
	shift = size_shift(s);
	if (shift < 0 || v > UINT64_MAX >> shift)
		return VMC_EINVAL;
	*bytes = v << shift;
	return 0;
}

void vmc_size_format(uint64_t bytes, char out[32])
{
	static const char letters[] = "KMGTPE";
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, 32, "%u B", (unsigned int)bytes);
		return;
	}
	/* 1023.96 would print as 1024.0 */
	for (; v >= 1023.95 && i < sizeof(letters) - 2; i++)
		v /= 1024;
	snprintf(out, 32, "%.1f %ciB", v, letters[i]);
}

/*
 * Length of the UTF-8 sequence at @s (RFC 3629: shortest form, no surrogates,
 * up to U+10FFFF), or 0 when there is none.
 */
static size_t utf8_sequence(const unsigned char *s)
{
	uint32_t c;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	c = s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)	/* also the closing NUL */
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff)))
		return 0;
	if (n == 4 && (c < 0x10000 || c > 0x10ffff))
		return 0;
	return n;
}

void utf8_make_valid(char *s)
{
	size_t n;

	while (*s) {
		n = utf8_sequence((const unsigned char *)s);
		if (!n) {
			*s = '?';
			n = 1;
		}
		s += n;
	}
}

void utf8_one_line(char *s)
{
	utf8_make_valid(s);
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
}
