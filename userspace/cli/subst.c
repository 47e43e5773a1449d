// SPDX-License-Identifier: GPL-2.0-or-later
#include "subst.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_PREFIX	"VMCRYPT_DISK_"

void strings_free(char **s)
{
	size_t i;

	for (i = 0; s && s[i]; i++)
		free(s[i]);
	free(s);
}

/* If a known word in braces starts at @p: its length, and what it stands for in *@value. */
static size_t match(const char *p, const json_t *on, const char **value, struct vmc_error *err)
{
	const json_t *disks = json_object_get(on, "disks");
	char name[64];
	const char *end;

	if (!strncmp(p, "{home}", 6)) {
		*value = json_string_value(json_object_get(on, "home"));
		if (!*value)
			vmc_fail(err, VMC_EPROTO, "vmcryptd did not say where home is");
		return 6;
	}
	if (strncmp(p, "{disk:", 6) != 0)
		return 0;
	end = strchr(p, '}');
	if (!end || end - p - 6 >= (ptrdiff_t)sizeof(name))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(end - p - 6), p + 6);
	*value = json_string_value(json_object_get(disks, name));
	if (!*value) {
		vmc_fail(err, VMC_EINVAL, "the command asks for {disk:%s}, but the VM has no disk '%s'",
			 name, name);
		vmc_hint(err, "'vmcrypt disk list VM' shows the names of its disks");
	}
	return end + 1 - p;
}

/* One argument with everything replaced; NULL with @err filled in. */
static char *subst_one(const char *arg, const json_t *on, struct vmc_error *err)
{
	const char *value;
	char *text = NULL;
	size_t len = 0, n;
	FILE *f = open_memstream(&text, &len);

	err->code = 0;
	while (f && *arg && !err->code) {
		value = NULL;
		n = *arg == '{' ? match(arg, on, &value, err) : 0;
		if (n && value) {
			fputs(value, f);
			arg += n;
		} else {
			fputc(*arg++, f);
		}
	}
	if (!f || fclose(f))
		vmc_fail(err, VMC_ENOMEM, "out of memory");
	if (!err->code)
		return text;
	free(text);
	return NULL;
}

int subst_argv(char *const *argv, const json_t *on, char ***out, struct vmc_error *err)
{
	size_t n = 0, i;
	char **copy;

	while (argv[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < n; i++) {
		copy[i] = subst_one(argv[i], on, err);
		if (!copy[i]) {
			strings_free(copy);
			return err->code;
		}
	}
	*out = copy;
	return 0;
}

static char *disk_variable(const char *name, const char *device)
{
	char *s, *p;

	if (asprintf(&s, DISK_PREFIX "%s=%s", name, device) < 0)
		return NULL;
	for (p = s + strlen(DISK_PREFIX); *p != '='; p++)
		*p = *p == '-' || *p == '.' ? '_' : (char)toupper((unsigned char)*p);
	return s;
}

static int is_ours(const char *s)
{
	return !strncmp(s, "VMCRYPT_VM=", 11) || !strncmp(s, "VMCRYPT_HOME=", 13) ||
	       !strncmp(s, DISK_PREFIX, strlen(DISK_PREFIX));
}

/* @s is new in @env (n so far); refuses a name that is there already. */
static int add_disk(char **env, size_t *n, char *s, const char *disk, struct vmc_error *err)
{
	size_t len, i;

	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	len = strcspn(s, "=") + 1;
	for (i = 0; i < *n; i++) {
		if (!env[i] || strncmp(env[i], s, len) != 0)
			continue;
		vmc_fail(err, VMC_EINVAL, "disk '%s' and another one both become %.*s", disk,
			 (int)len - 1, s);
		vmc_hint(err, "'-', '.' and '_' look alike there; detach one of them");
		free(s);
		return VMC_EINVAL;
	}
	env[(*n)++] = s;
	return 0;
}

int subst_env(char *const *env, const char *vm, const json_t *on, char ***out,
	      struct vmc_error *err)
{
	const char *home = json_string_value(json_object_get(on, "home")), *name;
	json_t *disks = json_object_get(on, "disks"), *device;
	size_t room = 0, n = 0, i;
	char **copy;
	int r = 0;

	while (env[room])
		room++;
	copy = calloc(room + json_object_size(disks) + 3, sizeof(*copy));
	if (!copy)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; env[i] && !r; i++) {
		if (is_ours(env[i]))
			continue;
		copy[n] = strdup(env[i]);
		if (!copy[n++])
			r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	if (!r && (asprintf(&copy[n++], "VMCRYPT_VM=%s", vm) < 0 ||
		   asprintf(&copy[n++], "VMCRYPT_HOME=%s", home ? home : "") < 0)) {
		copy[n - 1] = NULL;
		r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	json_object_foreach(disks, name, device) {
		if (r)
			break;
		r = add_disk(copy, &n, disk_variable(name, json_string_value(device) ?: ""), name,
			     err);
	}
	if (r)
		strings_free(copy);
	else
		*out = copy;
	return r;
}
