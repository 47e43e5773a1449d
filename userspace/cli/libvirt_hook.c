// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmcrypt libvirt-hook": opens the volumes of an encrypted VM before libvirt
 * starts the domain that uses them, and closes them when it has ended.
 *
 * libvirt waits for a hook for ever and holds the domain meanwhile: so every
 * call has a deadline, and nothing here calls libvirt. What the hook says on
 * standard error is what "virsh start" shows. A domain that has to do with no
 * encrypted VM passes whatever state vmcryptd is in.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "bus.h"
#include "domain_xml.h"
#include "libvirt_claim.h"
#include "verbs.h"

#define READ_MS		10000	/* for libvirt to hand over the XML */
#define ASK_MS		2000	/* is this id that of a VM? */
#define POWER_MS	120000	/* for keys from a key server, and volumes */
#define SHORT_MS	30000
#define INCOMING_MS	60000	/* from the announcement of a migration to the start that it is about */
/* libvirt cuts messages at 1,023 bytes, and puts the hook's command line in front. */
#define MESSAGE_MAX	600

struct hook {
	struct cli *c;
	char *xml;
	size_t len;
	struct domain d;
	char vm[VMC_UUID_STR];		/* "": the domain has to do with none */
	char *object;			/* of the VM */
	json_t *show;			/* Describe() of the VM */
};

static void give_time(struct hook *h, unsigned int ms)
{
	h->c->deadline = vmc_now_ms() + ms;
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key)) ?: "";
}

static const char *vm_name(const struct hook *h)
{
	const char *name = text_of(h->show, "name");

	return *name ? name : h->vm;
}

/* ---- the domain --------------------------------------------------------- */

static int read_some(struct hook *h, size_t room, uint64_t deadline, bool *end)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now = vmc_now_ms();
	ssize_t n;

	n = poll(&fd, 1, deadline > now ? (int)(deadline - now) : 0);
	if (!n)
		return vmc_fail(&h->c->err, VMC_ETIMEDOUT, "the domain's XML did not come in time");
	if (n > 0)
		n = read(STDIN_FILENO, h->xml + h->len, room);
	if (n < 0 && errno != EINTR)
		return vmc_fail_errno(&h->c->err, errno, "cannot read the domain's XML");
	*end = !n;
	h->len += n > 0 ? (size_t)n : 0;
	return 0;
}

static int read_xml(struct hook *h)
{
	uint64_t deadline = vmc_now_ms() + READ_MS;
	size_t size = 0;
	bool end = false;
	int r = 0;

	while (!r && !end && h->len <= DOMAIN_XML_MAX) {
		if (h->len == size) {
			char *grown = realloc(h->xml, size + 65536);

			if (!grown)
				return vmc_fail(&h->c->err, VMC_ENOMEM, "out of memory");
			h->xml = grown;
			size += 65536;
		}
		r = read_some(h, size - h->len, deadline, &end);
	}
	return r;
}

/* ---- the VM ------------------------------------------------------------- */

/* The object of the VM with the id @id. @start: have vmcryptd started if it is not there. */
static int vm_object(struct hook *h, const char *id, bool start, char **object)
{
	sd_bus_message *m, *reply = NULL;
	const char *path;
	int r = bus_message(h->c, &m, BUS_ROOT, IFACE_MANAGER, "GetVM");

	if (r)
		return r;
	r = sd_bus_message_set_auto_start(m, start);
	if (r >= 0)
		r = sd_bus_message_append_basic(m, 's', id);
	r = bus_send(h->c, m, r, &reply);
	if (r)
		return r;
	r = sd_bus_message_read_basic(reply, 'o', &path);
	*object = r > 0 ? strdup(path) : NULL;
	sd_bus_message_unref(reply);
	return *object ? 0 : vmc_fail(&h->c->err, VMC_EPROTO, "vmcryptd's answer is not an object");
}

static int not_registered(struct hook *h)
{
	vmc_fail(&h->c->err, VMC_ENOENT, "the domain '%s' is to run on the encrypted VM %s, which is not registered on this host",
		 h->d.name, h->vm);
	vmc_hint(&h->c->err, "vmcrypt vm register NAME.vmcrypt (the VM's bundle)");
	return VMC_ENOENT;
}

/* The domain names volumes of one VM, but has the id of another. */
static int two_vms(struct hook *h)
{
	vmc_fail(&h->c->err, VMC_EINVAL, "the domain '%s' has the UUID of the encrypted VM %s, but names volumes of the VM %s",
		 h->d.name, h->d.id, h->vm);
	vmc_hint(&h->c->err, "one domain is one VM: give it another <uuid>, or only the volumes of its own VM");
	return VMC_EINVAL;
}

/*
 * Which VM: the one whose volumes or id the XML names; else the one whose id is
 * the domain's. Only the first may have vmcryptd started, or fail for its sake.
 */
static int find_vm(struct hook *h)
{
	char *other = NULL;
	int r = domain_vm(&h->d, h->vm, &h->c->err);

	if (r)
		return r;
	if (!*h->vm) {
		give_time(h, ASK_MS);
		if (!vm_object(h, h->d.id, false, &h->object))
			memcpy(h->vm, h->d.id, sizeof(h->vm));
		h->c->err = (struct vmc_error)VMC_ERROR_INIT;
		return 0;
	}
	give_time(h, SHORT_MS);
	r = vm_object(h, h->vm, true, &h->object);
	if (r == VMC_ENOENT)
		return not_registered(h);
	if (r || !strcmp(h->vm, h->d.id))
		return r;
	if (!vm_object(h, h->d.id, true, &other)) {
		free(other);
		return two_vms(h);
	}
	h->c->err = (struct vmc_error)VMC_ERROR_INIT;
	return 0;
}

static int describe(struct hook *h)
{
	json_decref(h->show);
	h->show = NULL;
	give_time(h, SHORT_MS);
	return bus_json(h->c, &h->show, h->object, IFACE_VM, "Describe", "");
}

static bool is_on(const struct hook *h)
{
	return !strcmp(text_of(h->show, "power"), "on");
}

/* "vmcrypt migrate" moves the VM, from here or to here: it opens and closes all that is to be. */
static bool is_moving(const struct hook *h)
{
	return !strcmp(text_of(h->show, "job"), "migration");
}

static const json_t *find_disk(const struct hook *h, const char *name)
{
	const json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(h->show, "disks"), i, disk)
		if (!strcmp(text_of(disk, "name"), name))
			return disk;
	return NULL;
}

static bool disk_is_open(const json_t *disk)
{
	return json_is_true(json_object_get(disk, "open"));
}

/* ---- what is refused ---------------------------------------------------- */

static int no_such_disk(struct hook *h, const char *name)
{
	vmc_fail(&h->c->err, VMC_ENOENT, "the domain '%s' names the disk '%s', which the encrypted VM '%s' does not have",
		 h->d.name, name, vm_name(h));
	vmc_hint(&h->c->err, "'vmcrypt disk list %s' shows the disks it has", vm_name(h));
	return VMC_ENOENT;
}

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (!strcmp(a, b))
		return true;
	if (stat(a, &sa) || stat(b, &sb))
		return false;
	if (S_ISBLK(sa.st_mode) && S_ISBLK(sb.st_mode))
		return sa.st_rdev == sb.st_rdev;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* A guest that gets a container instead of what is in it sees noise, and writes over it. */
static int check_container(struct hook *h, const json_t *volume, const char *name)
{
	const char *path = text_of(volume, "path");
	size_t i;

	for (i = 0; *path && i < h->d.n_paths; i++) {
		if (!same_file(path, h->d.paths[i]))
			continue;
		vmc_fail(&h->c->err, VMC_EINVAL, "the domain '%s' names '%s', the encrypted container of the volume '%s' of VM '%s'",
			 h->d.name, h->d.paths[i], name, vm_name(h));
		vmc_hint(&h->c->err, "name what is in it: <source dev='/dev/mapper/vmcrypt-%s-%s'/>, with type='block'",
			 h->vm, name);
		return VMC_EINVAL;
	}
	return 0;
}

static int check_domain(struct hook *h)
{
	const json_t *disk;
	size_t i;
	int r = 0;

	for (i = 0; i < h->d.n_volumes; i++)
		if (strcmp(h->d.volumes[i].name, "home") != 0 && !find_disk(h, h->d.volumes[i].name))
			return no_such_disk(h, h->d.volumes[i].name);
	if (json_object_get(h->show, "home"))
		r = check_container(h, json_object_get(h->show, "home"), "home");
	json_array_foreach(json_object_get(h->show, "disks"), i, disk)
		if (!r)
			r = check_container(h, disk, text_of(disk, "name"));
	return r;
}

/* A VM that is on and was locked meanwhile has its devices suspended: QEMU would hang on them. */
static int check_unlocked(struct hook *h)
{
	const char *cause = text_of(h->show, "cause_text"), *remedy = text_of(h->show, "remedy");

	if (strcmp(text_of(h->show, "crypto_state"), "locked") != 0)
		return 0;
	vmc_fail(&h->c->err, VMC_ESTATE, "%s", *cause ? cause : _("the encrypted VM is locked"));
	if (*remedy)
		vmc_hint(&h->c->err, "%s", remedy);
	else
		vmc_hint(&h->c->err, "vmcrypt vm unlock %s", vm_name(h));
	return VMC_ESTATE;
}

static bool any_open(const struct hook *h)
{
	const json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(h->show, "disks"), i, disk)
		if (disk_is_open(disk))
			return true;
	return is_on(h);
}

/* Another domain's, and not left over from one whose end no hook saw. */
static int check_owner(struct hook *h, const struct claim *cl)
{
	if (cl->mode == CLAIM_NONE || cl->mode == CLAIM_INCOMING || !strcmp(cl->domain, h->d.id) ||
	    !any_open(h))
		return 0;
	vmc_fail(&h->c->err, VMC_EBUSY, "the encrypted VM '%s' is in use by the domain '%s'", vm_name(h), cl->name);
	vmc_hint(&h->c->err, "virsh shutdown %s; should no such domain run any more: vmcrypt vm power-off %s",
		 cl->name, vm_name(h));
	return VMC_EBUSY;
}

/* ---- open and close ----------------------------------------------------- */

/* Those disks that the domain names; all others a VM that is on has open anyhow. */
static int open_disks(struct hook *h)
{
	VMC_CLEANUP(free_string) char *device = NULL;
	size_t i;
	int r = 0;

	give_time(h, POWER_MS);
	for (i = 0; i < h->d.n_volumes && !r; i++) {
		const json_t *disk = find_disk(h, h->d.volumes[i].name);

		if (!disk || disk_is_open(disk))
			continue;
		free(device);
		device = NULL;
		r = bus_string(h->c, &device, h->object, IFACE_VM, "OpenDisk", "s", h->d.volumes[i].name);
	}
	return r;
}

static int power_on(struct hook *h)
{
	json_t *on = NULL;
	int r;

	give_time(h, POWER_MS);
	r = bus_json(h->c, &on, h->object, IFACE_VM, "PowerOn", "");
	json_decref(on);
	return r;
}

/*
 * QEMU and swtpm run as users of their own and have to get at what is theirs in
 * the home volume: they may pass through its folders, but not list them.
 */
static int open_ways(struct hook *h)
{
	static const char *const folders[] = { "nvram", "tpm", "save" };
	const char *home = text_of(h->show, "mount");
	char path[PATH_MAX];
	size_t i;

	for (i = 0; *home && i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", home, folders[i]);
		if (chmod(path, 0711) && errno != ENOENT)
			return vmc_fail_errno(&h->c->err, errno, "cannot let QEMU pass through '%s'", path);
	}
	return 0;
}

/*
 * The VM still runs on the other host, with its home volume mounted there: here
 * it must stay closed, for a file system is for one host. Disks are QEMU's to share.
 * What "vmcrypt migrate" brings is on when it has come, and goes off with its domain.
 */
static int prepare_incoming(struct hook *h, struct claim *cl)
{
	int r = claim_write(cl, is_moving(h) ? CLAIM_POWER : CLAIM_DISKS, h->d.id, h->d.name, &h->c->err);

	return r ? r : open_disks(h);
}

static int prepare_on(struct hook *h, struct claim *cl)
{
	bool ours = !strcmp(cl->domain, h->d.id) && cl->mode == CLAIM_POWER;
	int r = check_unlocked(h);

	if (!r && !ours)
		r = claim_write(cl, CLAIM_FOUND, h->d.id, h->d.name, &h->c->err);
	return r ? r : open_disks(h);
}

static int prepare_off(struct hook *h, struct claim *cl)
{
	/* written first: whatever follows, "release" closes it */
	int r = claim_write(cl, CLAIM_POWER, h->d.id, h->d.name, &h->c->err);

	if (!r)
		r = power_on(h);
	return r ? r : describe(h);
}

static int prepare_claimed(struct hook *h, struct claim *cl)
{
	bool incoming = cl->mode == CLAIM_INCOMING && !strcmp(cl->domain, h->d.id) &&
			vmc_now_ms() - cl->since < INCOMING_MS;
	int r = check_owner(h, cl);

	if (r)
		return r;
	if (is_on(h))
		r = prepare_on(h, cl);
	else if (incoming)
		r = prepare_incoming(h, cl);
	else
		r = prepare_off(h, cl);
	return r ? r : open_ways(h);
}

/* Find the VM, and check that the domain fits it. h->vm is "" for a domain to be let pass. */
static int gate(struct hook *h)
{
	int r = find_vm(h);

	if (r || !*h->vm)
		return r;
	r = describe(h);
	return r ? r : check_domain(h);
}

static int with_claim(struct hook *h, int (*fn)(struct hook *h, struct claim *cl))
{
	struct claim cl = CLAIM_INIT;
	int r = gate(h);

	if (r || !*h->vm)
		return r;
	r = claim_take(h->vm, &cl, &h->c->err);
	if (r)
		return r;
	r = fn(h, &cl);
	if (cl.mode == CLAIM_NONE)
		claim_remove(&cl);
	claim_drop(&cl);
	return r;
}

static int op_prepare(struct hook *h)
{
	return with_claim(h, prepare_claimed);
}

/* Between "prepare" and here only labels were set; has somebody locked the VM or powered it off? */
static int op_start(struct hook *h)
{
	size_t i;
	int r = gate(h);

	if (r || !*h->vm)
		return r;
	for (i = 0; i < h->d.n_volumes; i++) {
		const json_t *disk = find_disk(h, h->d.volumes[i].name);

		if (!disk || disk_is_open(disk))
			continue;
		vmc_fail(&h->c->err, VMC_ESTATE, "the disk '%s' of VM '%s' was closed while its domain was being started",
			 h->d.volumes[i].name, vm_name(h));
		vmc_hint(&h->c->err, "start the domain again");
		return VMC_ESTATE;
	}
	return is_on(h) ? check_unlocked(h) : 0;
}

/* "prepare" follows and opens; here only what it cannot undo counts. Nothing on stdout: XML as it is. */
static int op_restore(struct hook *h)
{
	return gate(h);
}

static bool names_home(const struct hook *h)
{
	size_t i;

	for (i = 0; i < h->d.n_volumes; i++)
		if (!strcmp(h->d.volumes[i].name, "home"))
			return true;
	return false;
}

static int announce(struct hook *h, struct claim *cl)
{
	int r = check_owner(h, cl);

	if (r)
		return r;
	if (is_on(h) || cl->mode == CLAIM_POWER)
		return 0;
	if (names_home(h)) {
		vmc_fail(&h->c->err, VMC_ENOTSUP, "the domain '%s' has files in the home volume of VM '%s', which is in use on the host that it comes from",
			 h->d.name, vm_name(h));
		vmc_hint(&h->c->err, "shut the domain down there and start it here");
		return VMC_ENOTSUP;
	}
	return claim_write(cl, CLAIM_INCOMING, h->d.id, h->d.name, &h->c->err);
}

static int op_migrate(struct hook *h)
{
	return with_claim(h, announce);
}

static int note_running(struct hook *h, struct claim *cl)
{
	if (cl->mode != CLAIM_NONE || !is_on(h))
		return 0;
	return claim_write(cl, CLAIM_POWER, h->d.id, h->d.name, &h->c->err);
}

/* libvirtd is back and finds the domain running. A refusal would kill it. */
static int op_reconnect(struct hook *h)
{
	if (with_claim(h, note_running))
		log_warn("domain '%s': %s", h->d.name, h->c->err.text);
	h->c->err = (struct vmc_error)VMC_ERROR_INIT;
	return 0;
}

static int close_disks(struct hook *h)
{
	const json_t *disk;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(h->show, "disks"), i, disk)
		if (!r && disk_is_open(disk))
			r = bus_method(h->c, h->object, IFACE_VM, "CloseDisk", "s", text_of(disk, "name"));
	return r;
}

static int close_claimed(struct hook *h, const struct claim *cl)
{
	int r;

	if (cl->mode != CLAIM_POWER && cl->mode != CLAIM_DISKS)
		return 0;
	give_time(h, SHORT_MS);
	free(h->object);
	h->object = NULL;
	r = vm_object(h, h->vm, true, &h->object);
	if (r == VMC_ENOENT)
		return 0;	/* unregistered: it was off then */
	if (!r)
		r = describe(h);
	if (r || is_moving(h))
		return r;
	give_time(h, POWER_MS);
	if (cl->mode == CLAIM_DISKS)
		return is_on(h) ? 0 : close_disks(h);
	return is_on(h) ? bus_method(h->c, h->object, IFACE_VM, "PowerOff", "") : 0;
}

static int release_one(struct claim *cl, const char *vm, void *data)
{
	struct hook *h = data;
	int r;

	snprintf(h->vm, sizeof(h->vm), "%s", vm);
	r = close_claimed(h, cl);
	if (r)
		return vmc_prefix(&h->c->err, "the domain '%s' has ended, but its volumes are still open: ",
				  h->d.name);
	claim_remove(cl);
	return 0;
}

/* What the XML says now does not count: disks may have come and gone. */
static int op_release(struct hook *h)
{
	return claim_each(h->d.id, release_one, h, &h->c->err);
}

/* ---- operations --------------------------------------------------------- */

static const struct operation {
	const char *name, *stage;
	int (*run)(struct hook *h);
	bool gates;		/* a refusal has the domain not start */
} operations[] = {
	{ "prepare", "begin", op_prepare, true },
	{ "start", "begin", op_start, true },
	{ "restore", "begin", op_restore, true },
	{ "migrate", "begin", op_migrate, true },
	{ "reconnect", "begin", op_reconnect, false },
	/* at "stopped end" libvirt still has to give the devices back their owners */
	{ "release", "end", op_release, false },
};

static const struct operation *find_operation(const char *name, const char *stage)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(operations[i].name, name) && !strcmp(operations[i].stage, stage))
			return &operations[i];
	return NULL;
}

/* XML that makes no sense to us stops a domain only where it speaks of encrypted volumes. */
static int unreadable(const struct hook *h, const struct operation *op, int r)
{
	if (op->gates && h->len && memmem(h->xml, h->len, "vmcrypt", strlen("vmcrypt")))
		return r;
	return 0;
}

/* Let libvirt's message hold the reason whole; of the hint what is left, or where to read it. */
static void shorten(struct hook *h)
{
	struct vmc_error *e = &h->c->err;

	if (strlen(e->text) + strlen(e->hint) <= MESSAGE_MAX || !*e->hint)
		return;
	if (*h->vm)
		vmc_hint(e, "'vmcrypt vm show %s' says what to do", vm_name(h));
	else
		*e->hint = '\0';
}

int verb_libvirt_hook(struct cli *c)
{
	const struct operation *op = find_operation(c->operands[1], c->operands[2]);
	struct hook h = { .c = c };
	int r;

	if (!op)
		return 0;
	r = read_xml(&h);
	if (!r)
		r = domain_parse(h.xml ? h.xml : "", h.len, &h.d, &c->err);
	r = r ? unreadable(&h, op, r) : op->run(&h);
	if (r)
		shorten(&h);
	json_decref(h.show);
	free(h.object);
	free(h.xml);
	domain_clear(&h.d);
	return r;
}
