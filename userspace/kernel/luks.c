// SPDX-License-Identifier: GPL-2.0-or-later
/* LUKS2 headers with no keyslot and a "vmcrypt" token, by libcryptsetup. */
#include "luks.h"

#include <errno.h>
#include <fcntl.h>
#include <libcryptsetup.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "dm_priv.h"

#define LOCK_DIR	"/run/cryptsetup"
#define HEADER_BYTES	(16ull << 20)	/* libcryptsetup's default */
#define TOKEN_TYPE	"vmcrypt"

/*
 * The volume key is random, so stretching it gains nothing; the digest only
 * tells a wrong key from the right one. The least that libcryptsetup takes.
 */
static const struct crypt_pbkdf_type digest_kdf = {
	.type = CRYPT_KDF_PBKDF2,
	.hash = "sha256",
	.iterations = 1000,
	.flags = CRYPT_PBKDF_NO_BENCHMARK,
};

/* The library's first complaint; it has a global log only while it starts. */
struct words {
	char text[256];
};

static void on_log(int level, const char *msg, void *data)
{
	struct words *w = data;

	if (level != CRYPT_LOG_ERROR || !w || w->text[0])
		return;
	snprintf(w->text, sizeof(w->text), "%s", msg);
	w->text[strcspn(w->text, "\n")] = '\0';
}

static int fail(struct vmc_error *err, const struct words *w, int r, const char *doing,
		const char *path)
{
	if (w->text[0])
		return vmc_fail(err, vmc_code_from_errno(-r), "cannot %s '%s': %s", message_say(doing), path, w->text);
	return vmc_fail_errno(err, -r, "cannot %s '%s'", message_say(doing), path);
}

/* Lock held from here to close_device(). */
static int open_device(const char *path, struct crypt_device **cd, struct words *w,
		       struct vmc_error *err)
{
	int r;

	w->text[0] = '\0';
	/* the library locks block devices by files in it */
	if (mkdir(LOCK_DIR, 0700) && errno != EEXIST && errno != EROFS && errno != EACCES)
		return vmc_fail_errno(err, errno, "cannot make folder '%s'", LOCK_DIR);
	dm_lock();
	crypt_set_log_callback(NULL, on_log, w);
	crypt_token_external_disable();
	r = crypt_init(cd, path);
	if (r) {
		crypt_set_log_callback(NULL, NULL, NULL);
		dm_unlock();
		return fail(err, w, r, "open", path);
	}
	crypt_set_log_callback(*cd, on_log, w);
	return 0;
}

static void close_device(struct crypt_device *cd)
{
	crypt_free(cd);
	crypt_set_log_callback(NULL, NULL, NULL);
	dm_unlock();
}

static int device_bytes(const char *path, uint64_t *bytes, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st))
		rc = vmc_fail_errno(err, errno, "cannot look at '%s'", path);
	else if (S_ISREG(st.st_mode))
		*bytes = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		rc = vmc_fail(err, VMC_EINVAL, "'%s' is neither a file nor a block device", path);
	else if (ioctl(fd, BLKGETSIZE64, bytes))
		rc = vmc_fail_errno(err, errno, "cannot tell the size of '%s'", path);
	close(fd);
	return rc;
}

/* ---- tokens ---- */

/* Number of our token, -1 when there is none, -2 when there are several. */
static int find_token(struct crypt_device *cd)
{
	int found = -1, max = crypt_token_max(CRYPT_LUKS2);

	for (int i = 0; i < max; i++) {
		const char *type = NULL;

		if (crypt_token_status(cd, i, &type) <= CRYPT_TOKEN_INACTIVE ||
		    !type || strcmp(type, TOKEN_TYPE))
			continue;
		if (found >= 0)
			return -2;
		found = i;
	}
	return found;
}

static int two_tokens(const char *path, struct vmc_error *err)
{
	vmc_fail(err, VMC_EINVAL, "the header of '%s' has more than one vmcrypt token", path);
	vmc_hint(err, "'cryptsetup luksDump %s' shows them; remove the one that is not this volume's with 'cryptsetup token remove'",
		 path);
	return VMC_EINVAL;
}

static int put_token(struct crypt_device *cd, int slot, const char *path,
		     const struct luks_token *t, const struct words *w, struct vmc_error *err)
{
	char *json = luks_token_format(t);
	int r;

	if (!json)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the token of '%s'", path);
	r = crypt_token_json_set(cd, slot, json);
	free(json);
	return r < 0 ? fail(err, w, r, N_("write the token of"), path) : 0;
}

/* ---- format ---- */

static int check_room(const char *path, struct vmc_error *err)
{
	uint64_t bytes = 0;
	int rc = device_bytes(path, &bytes, err);

	if (rc || bytes >= HEADER_BYTES + LUKS_SECTOR_SIZE)
		return rc;
	vmc_fail(err, VMC_ENOSPC, "'%s' has %llu bytes, a volume needs %llu for its header and some for data",
		 path, (unsigned long long)bytes, (unsigned long long)HEADER_BYTES);
	vmc_hint(err, "make it larger");
	return VMC_ENOSPC;
}

static int format_device(struct crypt_device *cd, const char *path, const uint8_t *dek,
			 const struct luks_token *t, char uuid[40], const struct words *w,
			 struct vmc_error *err)
{
	struct crypt_params_luks2 params = {
		.pbkdf = &digest_kdf,
		.sector_size = LUKS_SECTOR_SIZE,
	};
	int r;

	r = crypt_set_data_offset(cd, HEADER_BYTES / DM_SECTOR);
	if (!r)
		r = crypt_set_pbkdf_type(cd, &digest_kdf);
	if (!r)
		r = crypt_format(cd, CRYPT_LUKS2, "aes", "xts-plain64", NULL,
				 (const char *)dek, VMK_DEK_LEN, &params);
	if (r < 0)
		return fail(err, w, r, N_("make a LUKS2 header on"), path);
	snprintf(uuid, 40, "%s", crypt_get_uuid(cd));
	return put_token(cd, CRYPT_ANY_TOKEN, path, t, w, err);
}

/* The header must be there before anybody relies on it. */
static int sync_path(const char *path, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd))
		rc = vmc_fail_errno(err, errno, "cannot write '%s' to the disk", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

int luks_format(const char *path, const uint8_t *dek, const struct luks_token *t,
		char uuid[40], struct vmc_error *err)
{
	struct crypt_device *cd = NULL;
	struct words w = { "" };
	int rc;

	rc = check_room(path, err);
	if (!rc)
		rc = open_device(path, &cd, &w, err);
	if (rc)
		return rc;
	rc = format_device(cd, path, dek, t, uuid, &w, err);
	close_device(cd);
	return rc ? rc : sync_path(path, err);
}

/* ---- read ---- */

/* Does either copy of a header start here? LUKS2 on-disk format 1.1.3, section 2.1: the second at 16 KiB or more. */
static bool smells_of_luks(const char *path)
{
	static const struct {
		const char *magic;
		off_t at;
	} places[] = { { "LUKS\xba\xbe", 0 }, { "SKUL\xba\xbe", 16384 } };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool found = false;
	char magic[6];

	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(places); i++)
		found |= pread(fd, magic, sizeof(magic), places[i].at) == sizeof(magic) &&
			 !memcmp(magic, places[i].magic, sizeof(magic));
	if (fd >= 0)
		close(fd);
	return found;
}

static int load(struct crypt_device *cd, const char *path, const struct words *w,
		struct vmc_error *err)
{
	int r = crypt_load(cd, CRYPT_LUKS2, NULL);

	if (!r)
		return 0;
	if (r != -EINVAL)
		return fail(err, w, r, N_("read the header of"), path);
	if (!smells_of_luks(path)) {
		vmc_fail(err, VMC_ENOENT, "'%s' has no LUKS2 header", path);
		vmc_hint(err, "it is not encrypted by vmcrypt; 'vmcrypt disk encrypt' does that");
		return VMC_ENOENT;
	}
	vmc_fail(err, VMC_EAUTH, "the LUKS2 header of '%s' is damaged, in both of its copies", path);
	vmc_hint(err, "restore it from a backup with 'cryptsetup luksHeaderRestore', or the whole file");
	return VMC_EAUTH;
}

/* What we made has these, and nothing else can be opened with our table. */
static int check_format(struct crypt_device *cd, const char *path, struct vmc_error *err)
{
	uint32_t requirements = 0;

	if (crypt_persistent_flags_get(cd, CRYPT_FLAGS_REQUIREMENTS, &requirements) || requirements) {
		vmc_fail(err, VMC_ENOTSUP, "the LUKS2 header of '%s' asks for features that vmcrypt does not have", path);
		vmc_hint(err, "if a 'cryptsetup reencrypt' was cut short, let it finish first");
		return VMC_ENOTSUP;
	}
	/* a header without keyslots says nothing of the key's size */
	if (!strcmp(crypt_get_cipher(cd), "aes") && !strcmp(crypt_get_cipher_mode(cd), "xts-plain64") &&
	    crypt_get_sector_size(cd) == LUKS_SECTOR_SIZE && !crypt_get_iv_offset(cd))
		return 0;
	return vmc_fail(err, VMC_ENOTSUP, "'%s' is encrypted with %s-%s and %d-byte sectors; vmcrypt opens aes-xts-plain64 with %d-byte sectors",
			path, crypt_get_cipher(cd), crypt_get_cipher_mode(cd),
			crypt_get_sector_size(cd), LUKS_SECTOR_SIZE);
}

static int read_token(struct crypt_device *cd, const char *path, struct luks_header *h,
		      const struct words *w, struct vmc_error *err)
{
	int slot = find_token(cd), r, rc;
	const char *json;

	h->has_token = false;
	if (slot == -1)
		return 0;
	if (slot == -2)
		return two_tokens(path, err);
	r = crypt_token_json_get(cd, slot, &json);
	if (r < 0)
		return fail(err, w, r, N_("read the token of"), path);
	rc = luks_token_parse(json, &h->token, err);
	if (rc) {
		vmc_prefix(err, "'%s': ", path);
		return rc;
	}
	h->has_token = true;
	return check_format(cd, path, err);
}

static unsigned int count_keyslots(struct crypt_device *cd)
{
	unsigned int n = 0;
	int max = crypt_keyslot_max(CRYPT_LUKS2);

	for (int i = 0; i < max; i++) {
		crypt_keyslot_info s = crypt_keyslot_status(cd, i);

		n += s == CRYPT_SLOT_ACTIVE || s == CRYPT_SLOT_ACTIVE_LAST || s == CRYPT_SLOT_UNBOUND;
	}
	return n;
}

static int read_header(struct crypt_device *cd, const char *path, uint64_t bytes,
		       struct luks_header *h, const struct words *w, struct vmc_error *err)
{
	uint64_t sectors = bytes / DM_SECTOR;
	int rc = load(cd, path, w, err);

	if (rc)
		return rc;
	snprintf(h->uuid, sizeof(h->uuid), "%s", crypt_get_uuid(cd));
	h->offset_sectors = crypt_get_data_offset(cd);
	h->data_sectors = sectors > h->offset_sectors ? sectors - h->offset_sectors : 0;
	h->data_sectors -= h->data_sectors % (LUKS_SECTOR_SIZE / DM_SECTOR);
	h->keyslots = count_keyslots(cd);
	return read_token(cd, path, h, w, err);
}

int luks_read(const char *path, struct luks_header *h, struct vmc_error *err)
{
	struct luks_header out = { 0 };
	struct crypt_device *cd = NULL;
	struct words w = { "" };
	uint64_t bytes = 0;
	int rc;

	rc = device_bytes(path, &bytes, err);
	if (!rc)
		rc = open_device(path, &cd, &w, err);
	if (rc)
		return rc;
	rc = read_header(cd, path, bytes, &out, &w, err);
	close_device(cd);
	if (!rc)
		*h = out;
	return rc;
}

/* ---- change ---- */

int luks_set_token(const char *path, const struct luks_token *t, struct vmc_error *err)
{
	struct crypt_device *cd = NULL;
	struct words w = { "" };
	int rc, slot;

	rc = open_device(path, &cd, &w, err);
	if (rc)
		return rc;
	rc = load(cd, path, &w, err);
	if (!rc) {
		slot = find_token(cd);
		if (slot == -2)
			rc = two_tokens(path, err);
		else
			rc = put_token(cd, slot == -1 ? CRYPT_ANY_TOKEN : slot, path, t, &w, err);
	}
	close_device(cd);
	return rc ? rc : sync_path(path, err);
}
