// SPDX-License-Identifier: GPL-2.0-only
/* Names of KEKs, VMs and volumes: which are valid, how keys are called. */

#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "name.h"

/**
 * vmcrypt_kek_id_valid - is this a KEK id, "provider/key-id"?
 * @id: a string
 *
 * Both halves have at least one character, printable ASCII without space and
 * colon, so that an id is one word in a log, a table or a message.
 *
 * Return: true when it is.
 */
bool vmcrypt_kek_id_valid(const char *id)
{
	size_t len = strnlen(id, VMCRYPT_KEK_ID_MAX + 1);
	const char *slash = strchr(id, '/');
	size_t i;

	if (len > VMCRYPT_KEK_ID_MAX || !slash || slash == id || !slash[1])
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(id[i]) || !isgraph(id[i]) || id[i] == ':')
			return false;
	return true;
}

/**
 * vmcrypt_volume_valid - is this the name of a volume?
 * @volume: a string
 *
 * Letters, digits, '.', '_' and '-' of ASCII, no leading dot: the name ends up
 * in the description of a key, in device names and in files.
 *
 * Return: true when it is.
 */
bool vmcrypt_volume_valid(const char *volume)
{
	size_t len = strnlen(volume, VMCRYPT_VOLUME_MAX + 1);
	size_t i;

	if (!len || len > VMCRYPT_VOLUME_MAX || volume[0] == '.')
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(volume[i]) ||
		    (!isalnum(volume[i]) && !strchr("._-", volume[i])))
			return false;
	return true;
}

/**
 * vmcrypt_vm_id_valid - is this the id of a VM?
 * @id: VMCRYPT_VM_ID_LEN bytes
 *
 * Return: true unless it is the nil UUID (RFC 9562, 5.9), which a caller that
 * forgot to fill it in sends.
 */
bool vmcrypt_vm_id_valid(const u8 *id)
{
	return memchr_inv(id, 0, VMCRYPT_VM_ID_LEN);
}

/**
 * vmcrypt_key_desc - write the description of a DEK's key
 * @desc: receives "vmcrypt:UUID:VOLUME"
 * @vm_id: id of the VM
 * @volume: valid name of the volume
 */
void vmcrypt_key_desc(char desc[VMCRYPT_DESC_SIZE], const u8 *vm_id,
		      const char *volume)
{
	snprintf(desc, VMCRYPT_DESC_SIZE, "vmcrypt:%pUb:%s", vm_id, volume);
}
