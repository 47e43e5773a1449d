// SPDX-License-Identifier: GPL-2.0-or-later
#include "domain_xml.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

#define MAPPING_PREFIX	"vmcrypt-"
#define MAPPER_PREFIX	"/dev/mapper/" MAPPING_PREFIX
#define HOME_PART	"/vmcrypt/home/"
#define UUID_LEN	(VMC_UUID_STR - 1)

static const char name_chars[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

static int no_memory(struct vmc_error *err)
{
	return vmc_fail(err, VMC_ENOMEM, "out of memory");
}

/* The UUID that @s begins with, in the form that is compared. */
static bool take_uuid(const char *s, char out[VMC_UUID_STR])
{
	char text[VMC_UUID_STR];
	vmc_uuid u;

	if (strnlen(s, UUID_LEN) < UUID_LEN)
		return false;
	memcpy(text, s, UUID_LEN);
	text[UUID_LEN] = '\0';
	if (vmc_uuid_parse(text, &u))
		return false;
	vmc_uuid_format(&u, out);
	return true;
}

static int add_volume(struct domain *d, const struct domain_volume *v, struct vmc_error *err)
{
	struct domain_volume *grown;
	size_t i;

	for (i = 0; i < d->n_volumes; i++)
		if (!strcmp(d->volumes[i].vm, v->vm) && !strcmp(d->volumes[i].name, v->name))
			return 0;
	grown = reallocarray(d->volumes, d->n_volumes + 1, sizeof(*grown));
	if (!grown)
		return no_memory(err);
	d->volumes = grown;
	d->volumes[d->n_volumes++] = *v;
	return 0;
}

static int add_path(struct domain *d, const char *path, struct vmc_error *err)
{
	char **grown = reallocarray(d->paths, d->n_paths + 1, sizeof(*grown));

	if (!grown)
		return no_memory(err);
	d->paths = grown;
	d->paths[d->n_paths] = strdup(path);
	if (!d->paths[d->n_paths])
		return no_memory(err);
	d->n_paths++;
	return 0;
}

/* "vmcrypt-UUID-NAME" at @s; false when it is something else. */
static bool take_mapping(const char *s, struct domain_volume *v)
{
	size_t len;

	s += strlen(MAPPING_PREFIX);
	if (!take_uuid(s, v->vm) || s[UUID_LEN] != '-')
		return false;
	s += UUID_LEN + 1;
	len = strspn(s, name_chars);
	if (!len || len >= sizeof(v->name))
		return false;
	memcpy(v->name, s, len);
	v->name[len] = '\0';
	return vmc_name_ok(v->name, sizeof(v->name) - 1);
}

static int bad_mapping(const char *value, struct vmc_error *err)
{
	vmc_fail(err, VMC_EINVAL, "'%.200s' names no volume of an encrypted VM", value);
	vmc_hint(err, "the devices are called %sUUID-DISK; 'vmcrypt vm show VM' prints them", MAPPER_PREFIX);
	return VMC_EINVAL;
}

/*
 * Mappings in @value: a path of its own, below /dev/mapper or as udev calls it
 * (/dev/disk/by-id/dm-name-vmcrypt-...), or within the words of a QEMU command line.
 */
static int scan_mappings(struct domain *d, const char *value, struct vmc_error *err)
{
	struct domain_volume v;
	const char *p;
	int r = 0;

	if (!strstr(value, "/dev/"))
		return 0;
	for (p = strstr(value, MAPPING_PREFIX); p && !r; p = strstr(p + 1, MAPPING_PREFIX)) {
		if (p == value || (p[-1] != '/' && p[-1] != '-'))
			continue;
		if (take_mapping(p, &v))
			r = add_volume(d, &v, err);
		else if (!strncmp(value, MAPPER_PREFIX, strlen(MAPPER_PREFIX)))
			return bad_mapping(value, err);
	}
	return r;
}

static int scan_home(struct domain *d, const char *value, struct vmc_error *err)
{
	struct domain_volume v = { .name = "home" };
	const char *p;
	int r = 0;

	for (p = strstr(value, HOME_PART); p && !r; p = strstr(p + 1, HOME_PART))
		if (take_uuid(p + strlen(HOME_PART), v.vm))
			r = add_volume(d, &v, err);
	return r;
}

static int scan_value(struct domain *d, const char *value, struct vmc_error *err)
{
	int r;

	value += strspn(value, " \t\r\n");
	r = scan_mappings(d, value, err);
	if (!r)
		r = scan_home(d, value, err);
	if (!r && *value == '/')
		r = add_path(d, value, err);
	return r;
}

static int scan_attributes(struct domain *d, xmlNode *element, struct vmc_error *err)
{
	xmlAttr *a;
	int r = 0;

	for (a = element->properties; a && !r; a = a->next) {
		xmlChar *value = xmlNodeListGetString(element->doc, a->children, 1);

		if (value)
			r = scan_value(d, (const char *)value, err);
		xmlFree(value);
	}
	return r;
}

/* What follows @n below @top in the order of the document. */
static xmlNode *next_node(xmlNode *n, const xmlNode *top)
{
	if (n->type == XML_ELEMENT_NODE && n->children)
		return n->children;
	while (n != top && !n->next)
		n = n->parent;
	return n == top ? NULL : n->next;
}

static int scan_below(struct domain *d, xmlNode *top, struct vmc_error *err)
{
	xmlNode *n;
	int r = 0;

	for (n = top; n && !r; n = next_node(n, top)) {
		if (n->type == XML_ELEMENT_NODE)
			r = scan_attributes(d, n, err);
		else if ((n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE) && n->content)
			r = scan_value(d, (const char *)n->content, err);
	}
	return r;
}

static bool is_element(const xmlNode *n, const char *name)
{
	return n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name);
}

static int take_meta(struct domain *d, xmlNode *vm, struct vmc_error *err)
{
	xmlChar *id = xmlGetNoNsProp(vm, (const xmlChar *)"id");
	int r = 0;

	if (*d->meta)
		r = vmc_fail(err, VMC_EINVAL, "its metadata names more than one VM");
	else if (!id || strlen((const char *)id) != UUID_LEN || !take_uuid((const char *)id, d->meta))
		r = vmc_fail(err, VMC_EINVAL, "its metadata names a VM by '%.80s', which is no UUID",
			     id ? (const char *)id : "");
	if (r)
		vmc_hint(err, "write one <vmcrypt:vm xmlns:vmcrypt='%s' id='UUID'/>; 'vmcrypt vm list' shows the ids",
			 DOMAIN_NS);
	xmlFree(id);
	return r;
}

static int scan_metadata(struct domain *d, xmlNode *metadata, struct vmc_error *err)
{
	xmlNode *n;
	int r = 0;

	for (n = metadata->children; n && !r; n = n->next)
		if (is_element(n, "vm") && n->ns && n->ns->href &&
		    !strcmp((const char *)n->ns->href, DOMAIN_NS))
			r = take_meta(d, n, err);
	return r;
}

static int take_id(struct domain *d, xmlNode *n, struct vmc_error *err)
{
	xmlChar *text = xmlNodeGetContent(n);
	bool good = text && strlen((const char *)text) == UUID_LEN && take_uuid((const char *)text, d->id);

	xmlFree(text);
	return good ? 0 : vmc_fail(err, VMC_EINVAL, "the domain's <uuid> is no UUID");
}

static int take_name(struct domain *d, xmlNode *n, struct vmc_error *err)
{
	xmlChar *text = xmlNodeGetContent(n);

	free(d->name);
	d->name = text ? strdup((const char *)text) : NULL;
	xmlFree(text);
	return d->name ? 0 : no_memory(err);
}

static int scan_domain(struct domain *d, xmlNode *root, struct vmc_error *err)
{
	xmlNode *n;
	int r = 0;

	for (n = root->children; n && !r; n = n->next) {
		if (is_element(n, "uuid"))
			r = take_id(d, n, err);
		else if (is_element(n, "name"))
			r = take_name(d, n, err);
		else if (is_element(n, "metadata"))
			r = scan_metadata(d, n, err);
		else if (n->type == XML_ELEMENT_NODE && !is_element(n, "title") &&
			 !is_element(n, "description"))
			r = scan_below(d, n, err);
	}
	if (!r && (!*d->id || !d->name || !*d->name))
		r = vmc_fail(err, VMC_EINVAL, "the domain's XML has no <uuid> or no <name>");
	return r;
}

/* The reason of libxml2, without the newline at its end. */
static int not_xml(struct vmc_error *err)
{
	const xmlError *e = xmlGetLastError();
	const char *why = e && e->message ? e->message : "no reason given";

	return vmc_fail(err, VMC_EINVAL, "the domain is not well-formed XML: %.*s",
			(int)strcspn(why, "\n"), why);
}

static bool holds(const char *xml, size_t len, const char *what)
{
	return memmem(xml, len, what, strlen(what));
}

int domain_parse(const char *xml, size_t len, struct domain *d, struct vmc_error *err)
{
	xmlNode *root;
	xmlDoc *doc;
	int r;

	memset(d, 0, sizeof(*d));
	if (len > DOMAIN_XML_MAX)
		return vmc_fail(err, VMC_EINVAL, "the domain's XML is longer than %u bytes", DOMAIN_XML_MAX);
	/* libvirt writes none; without them there are no entities to expand */
	if (holds(xml, len, "<!DOCTYPE") || holds(xml, len, "<!ENTITY"))
		return vmc_fail(err, VMC_EINVAL, "the domain's XML has a document type, which it must not");
	xmlResetLastError();
	doc = xmlReadMemory(xml, (int)len, "domain.xml", "UTF-8",
			    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (!doc)
		return not_xml(err);
	root = xmlDocGetRootElement(doc);
	if (root && is_element(root, "domain") && !doc->intSubset)
		r = scan_domain(d, root, err);
	else
		r = vmc_fail(err, VMC_EINVAL, "the XML is not that of a domain");
	xmlFreeDoc(doc);
	return r;
}

void domain_clear(struct domain *d)
{
	size_t i;

	for (i = 0; i < d->n_paths; i++)
		free(d->paths[i]);
	free(d->paths);
	free(d->volumes);
	free(d->name);
	memset(d, 0, sizeof(*d));
}

static int contradiction(struct vmc_error *err)
{
	vmc_hint(err, "one domain is one VM: give it only the volumes of its own, or make the others disks of it ('vmcrypt disk encrypt')");
	return VMC_EINVAL;
}

int domain_vm(const struct domain *d, char vm[VMC_UUID_STR], struct vmc_error *err)
{
	const struct domain_volume *v = d->volumes;
	size_t i;

	for (i = 1; i < d->n_volumes; i++) {
		if (!strcmp(v[i].vm, v[0].vm))
			continue;
		vmc_fail(err, VMC_EINVAL, "the domain '%s' mixes volumes of two VMs: '%s' of %s and '%s' of %s",
			 d->name, v[0].name, v[0].vm, v[i].name, v[i].vm);
		return contradiction(err);
	}
	if (d->n_volumes && *d->meta && strcmp(d->meta, v[0].vm) != 0) {
		vmc_fail(err, VMC_EINVAL, "the domain '%s' says in its metadata that it is VM %s, but has the volume '%s' of %s",
			 d->name, d->meta, v[0].name, v[0].vm);
		return contradiction(err);
	}
	memcpy(vm, d->n_volumes ? v[0].vm : d->meta, VMC_UUID_STR);
	return 0;
}
