// SPDX-License-Identifier: GPL-2.0-or-later
#include "domain_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../testing/testing.h"

#define A	"11111111-1111-4111-8111-111111111111"
#define B	"22222222-2222-4222-8222-222222222222"
#define HEAD	"<domain type='kvm'><name>web</name><uuid>" A "</uuid>"
#define DISK(dev) "<devices><disk type='block'><source dev='" dev "'/></disk></devices>"
#define META(id) "<metadata><vmcrypt:vm xmlns:vmcrypt='" DOMAIN_NS "' id='" id "'/></metadata>"

static int parse(const char *xml, struct domain *d, struct vmc_error *err)
{
	return domain_parse(xml, strlen(xml), d, err);
}

/* The VM that @xml names; it must have one meaning. */
static void means(const char *xml, const char *want)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char vm[VMC_UUID_STR];
	struct domain d;

	assert_ok(parse(xml, &d, &e), &e);
	assert_string_equal(d.id, A);
	assert_string_equal(d.name, "web");
	assert_ok(domain_vm(&d, vm, &e), &e);
	assert_string_equal(vm, want);
	domain_clear(&d);
}

static void refused(const char *xml, const char *why)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char vm[VMC_UUID_STR];
	struct domain d;
	int r = parse(xml, &d, &e);

	if (!r)
		r = domain_vm(&d, vm, &e);
	assert_code(r, VMC_EINVAL, &e);
	assert_contains(e.text, why);
	domain_clear(&d);
}

static void plain_domains_name_no_vm(void **state)
{
	(void)state;
	means(HEAD "</domain>", "");
	means(HEAD DISK("/dev/vg/lv") "</domain>", "");
	/* what people write about a domain is no device of it */
	means(HEAD "<title>/dev/mapper/vmcrypt-" A "-root</title><description>/dev/mapper/vmcrypt-x"
	      "</description></domain>", "");
	means(HEAD "<metadata><note dev='/dev/mapper/vmcrypt-" A "-root'/></metadata></domain>", "");
	means(HEAD "<metadata><vm xmlns='urn:other' id='" A "'/></metadata></domain>", "");
	/* a file of such a name is no mapping */
	means(HEAD DISK("/srv/vmcrypt-" A "-root") "</domain>", "");
	means(HEAD DISK("/dev/mapper/myvmcrypt-" A "-root") "</domain>", "");
}

static void volumes_name_their_vm(void **state)
{
	(void)state;
	means(HEAD DISK("/dev/mapper/vmcrypt-" B "-root") "</domain>", B);
	means(HEAD DISK("/dev/disk/by-id/dm-name-vmcrypt-" B "-root") "</domain>", B);
	means(HEAD "<os><nvram>/run/vmcrypt/home/" B "/nvram/vars.fd</nvram></os></domain>", B);
	means(HEAD "<os><nvram> \n/var/run/vmcrypt/home/" B "/nvram/vars.fd</nvram></os></domain>", B);
	means(HEAD "<q:commandline xmlns:q='urn:q'><q:arg value='file=/dev/mapper/vmcrypt-" B
	      "-root,format=raw'/></q:commandline></domain>", B);
	means(HEAD "<devices><disk><source dev='/dev/vda'/><backingStore><source dev='/dev/mapper/vmcrypt-"
	      B "-root'/></backingStore></disk></devices></domain>", B);
	means(HEAD DISK("/dev/mapper/vmcrypt&#45;" B "-root") "</domain>", B);
	means(HEAD META(B) "</domain>", B);
	means(HEAD META(B) DISK("/dev/mapper/vmcrypt-" B "-root") "</domain>", B);
	/* ids are compared as ids */
	means(HEAD META("ABCDEF00-1111-4111-8111-111111111111")
	      DISK("/dev/mapper/vmcrypt-abcdef00-1111-4111-8111-111111111111-root") "</domain>",
	      "abcdef00-1111-4111-8111-111111111111");
}

static void each_volume_once(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct domain d;

	(void)state;
	assert_ok(parse(HEAD "<devices><disk><source dev='/dev/mapper/vmcrypt-" A "-data-1'/></disk>"
			"<disk><source dev='/dev/mapper/vmcrypt-" A "-data-1'/></disk>"
			"<disk><source file='/srv/web-root.img'/></disk>"
			"<tpm><x>/run/vmcrypt/home/" A "/tpm</x></tpm></devices></domain>", &d, &e), &e);
	assert_int_equal(d.n_volumes, 2);
	assert_string_equal(d.volumes[0].name, "data-1");
	assert_string_equal(d.volumes[1].name, "home");
	assert_int_equal(d.n_paths, 4);
	assert_string_equal(d.paths[2], "/srv/web-root.img");
	domain_clear(&d);
}

static void contradictions_are_refused(void **state)
{
	(void)state;
	refused(HEAD "<devices><a d='/dev/mapper/vmcrypt-" A "-root'/><a d='/dev/mapper/vmcrypt-" B
		"-data'/></devices></domain>",
		"mixes volumes of two VMs: 'root' of " A " and 'data' of " B);
	refused(HEAD META(A) DISK("/dev/mapper/vmcrypt-" B "-root") "</domain>", "says in its metadata");
	refused(HEAD "<metadata><m:vm xmlns:m='" DOMAIN_NS "' id='" A "'/><m:vm xmlns:m='" DOMAIN_NS
		"' id='" A "'/></metadata></domain>", "more than one VM");
	refused(HEAD META("web") "</domain>", "'web', which is no UUID");
	refused(HEAD META(A "0") "</domain>", "which is no UUID");
	refused(HEAD DISK("/dev/mapper/vmcrypt-web-root") "</domain>", "names no volume");
	refused(HEAD DISK("/dev/mapper/vmcrypt-" A) "</domain>", "names no volume");
	refused(HEAD DISK("/dev/mapper/vmcrypt-" A "-") "</domain>", "names no volume");
	refused(HEAD DISK("/dev/mapper/vmcrypt-" A "-.x") "</domain>", "names no volume");
}

static void bad_documents_are_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct domain d;

	(void)state;
	refused("", "not well-formed");
	refused("<domain>", "not well-formed");
	refused("<network/>", "not that of a domain");
	refused("<domain><name>a</name></domain>", "no <uuid>");
	refused("<domain><uuid>" A "</uuid></domain>", "no <name>");
	refused("<domain><uuid>1</uuid><name>a</name></domain>", "no UUID");
	refused("<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" HEAD "</domain>",
		"document type");
	assert_code(domain_parse("", DOMAIN_XML_MAX + 1, &d, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "longer than");
	domain_clear(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_domains_name_no_vm),
		cmocka_unit_test(volumes_name_their_vm),
		cmocka_unit_test(each_volume_once),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(bad_documents_are_refused),
	};

	return cmocka_run_group_tests_name("domain_xml", tests, NULL, NULL);
}
