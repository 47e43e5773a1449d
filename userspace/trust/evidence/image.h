/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Base images: what a host that is as it should be measured while it booted, as
 * JSON that an operator exports there and imports at the authority. Pure.
 *
 * {v: 1, id, name, bank: "sha256", secure_boot: "yes"|"no"|"unknown", kernel, os, module,
 *  host, exported (RFC 3339), quick_boot, imported (put in by who imports it; optional), events: [{pcr, type, digest, text}, ...]}
 *
 * All events of PCRs 0 to 15 are in it. Which of them must fit is for the policy's
 * mask of PCRs to say, at the time of matching: PCR 1 (settings, boot order) and
 * PCR 5 (partition table) differ between machines that run the same, and a mask
 * with them needs an image for each kind of machine. Of each PCR in the mask all
 * events must be there, in the order of the image, and no other.
 */
#ifndef VMC_EVIDENCE_IMAGE_H
#define VMC_EVIDENCE_IMAGE_H

#include <jansson.h>

#include "eventlog.h"

#define IMAGE_ID_LEN		65	/* with the closing NUL: hex SHA-256 over bank and events */
#define IMAGE_NAME_MAX		128	/* with the closing NUL */
#define IMAGE_WORDS_MAX		256
#define IMAGE_JSON_MAX		(4u << 20)
#define IMAGE_DIFFERENCES_MAX	16u	/* that image_match() tells of; the rest is counted */

/* What goes with the events, for persons; NULL: unknown. */
struct image_meta {
	const char *name;	/* [A-Za-z0-9._-]; NULL: the first 12 digits of the id */
	const char *kernel;	/* uname -r */
	const char *os;		/* PRETTY_NAME of os-release(5) */
	const char *module;	/* version of the kernel module */
	const char *host;
	int64_t exported;	/* seconds since 1970 */
	bool quick_boot;	/* exported after a kexec: it is the image of the last full boot */
};

/* VMC_EINVAL: nothing was measured, or @meta is not fit; VMC_ENOTSUP: no digests of @bank. */
int image_from_eventlog(const struct eventlog *log, TPMI_ALG_HASH bank, const struct image_meta *meta, json_t **image,
			struct vmc_error *err);
/* Is it an image, whole, with the id that its events have? VMC_EINVAL says where not. */
int image_check(const json_t *image, struct vmc_error *err);
/* image_check() of a file's bytes. */
int image_parse(const char *text, size_t len, json_t **image, struct vmc_error *err);

/*
 * Which of @images (an array of image_check()ed ones) is it that @log, which
 * eventlog_check()ed with PCRs of @bank, tells of? Images of other banks are passed
 * over: what a log has of those, no quote vouches for. *@which: {"id", "name"}. None: VMC_ETPMPOLICY, and
 * *@which tells what differs from the nearest one:
 * {"nearest": {"id", "name"}, "pcrs": [4], "events": [{"pcr", "index", "expected": {"type", "digest", "text"},
 *  "found": {...}}, ...], "more": 0}; "index" counts the events of the PCR from 0; "expected" or "found" is null when
 * there is one too many or too few. With no images of @bank: VMC_ENOENT, *@which NULL.
 * A mask with PCRs above 15, or with none: VMC_EINVAL. Caller drops *@which.
 */
int image_match(const json_t *images, const struct eventlog *log, TPMI_ALG_HASH bank, uint32_t mask, json_t **which,
		struct vmc_error *err);

#endif
