// SPDX-License-Identifier: GPL-2.0-or-later
/* Base images: what hosts may have booted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "../evidence/image.h"
#include "admin_priv.h"
#include "tstate.h"

/* What all authorities know of who attested as which image: {ID: [{last, host, hosts, quick_boot}...]} */
static json_t *gather(struct trust_admin *a, const json_t *state, json_t *silent)
{
	json_t *all = json_object(), *health, *e, *one;
	const char *id;
	size_t i;

	json_array_foreach(json_object_get(state, "authorities"), i, e) {
		if (authority_health(a, e, "attest", &health, NULL)) {
			json_array_append(silent, json_object_get(e, "name"));
			continue;
		}
		json_object_foreach(json_object_get(health, "images"), id, one) {
			if (!json_object_get(all, id))
				json_object_set_new(all, id, json_array());
			json_array_append(json_object_get(all, id), one);
		}
		json_decref(health);
	}
	return all;
}

/* last_attested, last_host and quick_boot of one image into @o. */
static void tell_attested(json_t *o, const json_t *seen)
{
	json_t *quick = json_array(), *e;
	json_int_t last = 0, when;
	char text[32];
	size_t i;

	json_array_foreach(seen, i, e) {
		when = json_integer_value(json_object_get(e, "last"));
		if (when > last) {
			last = when;
			json_object_set(o, "last_host", json_object_get(e, "host"));
		}
		json_array_extend(quick, json_object_get(e, "quick_boot"));
	}
	if (last) {
		vmc_time_format(last, text);
		json_object_set_new(o, "last_attested", json_string(text));
	}
	if (json_array_size(quick))
		json_object_set(o, "quick_boot_hosts", quick);
	json_decref(quick);
}

static json_t *describe(const json_t *image, const json_t *all)
{
	json_t *o = json_copy((json_t *)image);
	const char *id = json_string_value(json_object_get(image, "id"));

	json_object_del(o, "events");
	tell_attested(o, json_object_get(all, id));
	return o;
}

/* By id or name. */
static json_t *find(const json_t *state, const char *image, size_t *at)
{
	const json_t *images = json_object_get(state, "images");
	json_t *e = tstate_find(images, "id", image, at);

	return e ? e : tstate_find(images, "name", image, at);
}

static int edit_import(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	json_t *image = json_copy(json_object_get(c->params, "image")), *there;
	const char *name = call_text_or_null(c, "name");
	char when[32];
	int bad = 0;

	if (!image)
		return call_no_memory(c);
	there = tstate_find(json_object_get(state, "images"), "id", json_string_value(json_object_get(image, "id")), NULL);
	if (there) {
		json_decref(image);
		return vmc_fail(err, VMC_EEXIST, "the image is imported already, as '%s'",
				json_string_value(json_object_get(there, "name")));
	}
	if (name)	/* for its shape, see tstate_check() */
		bad |= json_object_set_new(image, "name", json_string(name));
	vmc_time_format(vmc_time(), when);
	bad |= json_object_set_new(image, "imported", json_string(when));
	bad |= json_array_append_new(json_object_get(state, "images"), image);
	return bad ? call_no_memory(c) : 0;
}

int verb_image_import(struct trust_call *c)
{
	const json_t *image = json_object_get(c->params, "image");
	int rc = image_check(image, c->err);

	if (rc)
		return rc;
	rc = call_edit(c, edit_import);
	if (rc)
		return rc;
	return call_give(c, json_pack("{s:O, s:O, s:b}", "id", json_object_get(image, "id"), "name",
				      json_object_get(image, "name"), "quick_boot",
				      (int)json_is_true(json_object_get(image, "quick_boot"))));
}

int verb_image_list(struct trust_call *c)
{
	json_t *state, *all, *silent = json_array(), *out = json_array(), *e;
	int rc = call_state(c, &state);
	size_t i;

	if (rc) {
		json_decref(silent);
		json_decref(out);
		return rc;
	}
	all = gather(c->a, state, silent);
	json_array_foreach(json_object_get(state, "images"), i, e)
		json_array_append_new(out, describe(e, all));
	json_decref(all);
	json_decref(state);
	return call_give(c, json_pack("{s:o, s:o}", "images", out, "not_asked", silent));
}

int verb_image_show(struct trust_call *c)
{
	const char *image;
	json_t *state = NULL, *all, *e;
	int rc = call_text(c, "image", &image);

	if (!rc)
		rc = call_state(c, &state);
	if (rc)
		return rc;
	e = find(state, image, NULL);
	if (e) {
		all = gather(c->a, state, NULL);
		rc = call_give(c, describe(e, all));
		if (!rc)
			json_object_set(c->result, "events", json_object_get(e, "events"));
		json_decref(all);
	} else {
		rc = no_such(c->err, N_("base image"), image, "base-image list");
	}
	json_decref(state);
	return rc;
}

/* Hosts that run another image by a kexec still attest as this one, until they boot in full. */
static int check_needed(struct trust_call *c, const json_t *state, const json_t *image)
{
	json_t *silent = json_array(), *all = gather(c->a, state, silent), *o = describe(image, all);
	const json_t *hosts = json_object_get(o, "quick_boot_hosts");
	const char *name = json_string_value(json_object_get(image, "name"));
	int rc = 0;

	if (json_array_size(hosts)) {
		rc = vmc_fail(c->err, VMC_EBUSY, "base image '%s' is what %zu hosts attest as that were upgraded by Quick Boot, '%s' among them",
			      name, json_array_size(hosts), json_string_value(json_array_get(hosts, 0)));
		vmc_hint(c->err, "keep it until they have completed a full reboot; or remove it with --force, and they attest no more until then");
	} else if (json_array_size(silent)) {
		rc = vmc_fail(c->err, VMC_EBUSY, "authority '%s' cannot be asked whether a host needs base image '%s'",
			      json_string_value(json_array_get(silent, 0)), name);
		vmc_hint(c->err, "see 'vmcrypt trust health'; or remove the image with --force");
	}
	json_decref(o);
	json_decref(all);
	json_decref(silent);
	return rc;
}

static int edit_remove(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	const char *image = call_text_or_null(c, "image");
	size_t at;

	if (!find(state, image, &at))
		return no_such(err, N_("base image"), image, "base-image list");
	return json_array_remove(json_object_get(state, "images"), at) ? call_no_memory(c) : 0;
}

int verb_image_remove(struct trust_call *c)
{
	json_t *state = NULL, *e;
	const char *image;
	int rc = call_text(c, "image", &image);

	if (!rc)
		rc = call_state(c, &state);
	if (rc)
		return rc;
	e = find(state, image, NULL);
	if (e && !call_flag(c, "force"))
		rc = check_needed(c, state, e);
	json_decref(state);
	return rc ? rc : call_edit(c, edit_remove);
}
