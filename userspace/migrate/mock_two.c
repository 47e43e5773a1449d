// SPDX-License-Identifier: GPL-2.0-or-later
/* Two hosts in one process. See mock_two.h. */
#include "mock_two.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/util.h"
#include "../testing/testing.h"
#include "../vm/moving.h"
#include "gate.h"
#include "relay.h"

#define MEMORY	(3u << 20)	/* bytes of each connection */
#define RELAYS	128

struct two *two;

/* ---- the kernel ------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { struct relay *r; struct vmk *k; } relays[RELAYS];
static unsigned int n_relays;

int vmk_info(struct vmk *k, struct vmk_info *i, struct vmc_error *err)
{
	(void)k, (void)err;
	memset(i, 0, sizeof(*i));
	strcpy(i->module_version, "1.0");
	i->protocol_version = 1;
	i->record_max = 1 << 20;
	return 0;
}

int vmk_migration_new(struct vmk *k, const vmc_uuid *vm, enum vmk_role role, enum vmk_policy policy, uint32_t *id,
		      uint8_t public_key[VMK_PUBLIC_LEN], struct vmc_error *err)
{
	(void)vm, (void)err, (void)policy;
	assert_int_equal(role, k->host == HERE ? VMK_SOURCE : VMK_DESTINATION);
	RAND_bytes(k->public_key, sizeof(k->public_key));
	memcpy(public_key, k->public_key, VMK_PUBLIC_LEN);
	*id = ++k->last;
	k->migrations++;
	k->agreed = false;
	return 0;
}

int vmk_migration_agree(struct vmk *k, uint32_t id, const uint8_t peer_public_key[VMK_PUBLIC_LEN],
			const uint8_t *binding, size_t n, struct vmc_error *err)
{
	(void)err;
	assert_int_equal(id, k->last);
	assert_int_equal(n, sizeof(k->binding));
	memcpy(k->peer_key, peer_public_key, VMK_PUBLIC_LEN);
	memcpy(k->binding, binding, n);
	k->agreed = true;
	return 0;
}

/* The relays of @k, no longer in the table. */
static unsigned int take_relays(const struct vmk *k, struct relay *mine[RELAYS])
{
	unsigned int n = 0;

	for (unsigned int i = n_relays; i--;) {
		if (relays[i].k != k)
			continue;
		mine[n++] = relays[i].r;
		relays[i] = relays[--n_relays];
	}
	return n;
}

int vmk_migration_del(struct vmk *k, uint32_t id, bool force, struct vmc_error *err)
{
	struct relay *mine[RELAYS];
	unsigned int n;

	(void)force;
	pthread_mutex_lock(&lock);
	if (k->gone == id) {
		pthread_mutex_unlock(&lock);
		return vmc_fail(err, VMC_ENOENT, "there is no migration %u", id);
	}
	k->gone = id;
	k->migrations--;
	n = take_relays(k, mine);
	pthread_mutex_unlock(&lock);
	while (n)
		relay_stop(mine[--n]);
	return 0;
}

int vmk_channel_new(struct vmk *k, uint32_t migration, uint32_t number, int wire, int plain, int *stream,
		    struct vmc_error *err)
{
	int rc;

	(void)stream;
	assert_int_equal(migration, k->last);
	assert_true(k->agreed);
	assert_true(number <= VMK_CHANNEL_MAX);
	pthread_mutex_lock(&lock);
	assert_true(n_relays < RELAYS);
	rc = relay_start(fcntl(wire, F_DUPFD_CLOEXEC, 3), fcntl(plain, F_DUPFD_CLOEXEC, 3), &relays[n_relays].r, err);
	if (!rc)
		relays[n_relays++].k = k;
	k->channels++;
	pthread_mutex_unlock(&lock);
	return rc;
}

void two_break(int host, uint32_t reason)
{
	const struct vmk_event e = {
		.type = VMK_EV_CHANNEL_CLOSE, .reason = reason, .migration = two->k[host].last, .channel.number = 1,
	};

	migrations_kernel_event(two->migrations[host], &e);
}

/* ---- the manager of VMs ---------------------------------------------------------- */

struct vm_leaving { int host; };
struct vm_coming { int host; };

static void append(char *to, size_t n, const char *what)
{
	size_t at = strlen(to);

	snprintf(to + at, n - at, "%s\n", what);
}

void vmm_emit(struct vmm *m, const char *type, const char *message_id, const char *vm, json_t *details, const char *fmt,
	      ...)
{
	char text[1024];
	va_list ap;

	assert_int_equal(strlen(message_id), 32);
	(void)vm;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_decref(details);
	pthread_mutex_lock(&lock);
	append(m->events, sizeof(m->events), type);
	append(m->texts, sizeof(m->texts), text);
	pthread_mutex_unlock(&lock);
}

int vmm_get_policy(struct vmm *m, const char *id, const char *name, enum migration_encryption *policy, bool *encrypted,
		   struct vmc_error *err)
{
	(void)id, (void)name, (void)err;
	*policy = two->policy;
	*encrypted = two->manager[m->host].has_vm;
	return 0;
}

int vmm_leave_begin(struct vmm *m, const char *vm, struct vm_leaving **l, json_t **what, struct vmc_error *err)
{
	struct manager *g = &two->manager[m->host];

	if (!g->has_vm)
		return vmc_fail(err, VMC_ENOENT, "there is no VM '%s'", vm);
	assert_false(g->leaving);
	g->leaving = true;
	*l = calloc(1, sizeof(**l));
	(*l)->host = m->host;
	*what = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "id", VM_ID, "name", VM_NAME, "bundle", "/vm/web1.vmcrypt", "text",
			  "{}", "volumes");
	return 0;
}

int vmm_leave_keys(struct vm_leaving *l, uint32_t migration, const json_t *volumes, json_t **keys,
		   struct vmc_error *err)
{
	json_t *v;
	size_t i;

	(void)err;
	assert_int_equal(migration, two->k[l->host].last);
	*keys = json_array();
	json_array_foreach((json_t *)volumes, i, v)
		json_array_append_new(*keys, json_pack("{s:O, s:s, s:s}", "volume", v, "key", "k/1", "sealed", "c2VhbGVk"));
	return 0;
}

int vmm_leave_end(struct vm_leaving *l, bool moved, struct vmc_error *err)
{
	struct manager *g = &two->manager[l->host];

	(void)err;
	g->leaving = false;
	*(moved ? &g->left : &g->kept) = true;
	free(l);
	return 0;
}

int vmm_come_check(struct vmm *m, const json_t *what, json_t **keys, struct vmc_error *err)
{
	struct manager *g = &two->manager[m->host];

	assert_string_equal(json_string_value(json_object_get(what, "id")), VM_ID);
	if (g->check_fails)
		return vmc_fail(err, g->check_fails, "disk 'root' of VM 'web1' is not to be had on this host");
	*keys = json_pack("[{s:s, s:s, s:s}]", "volume", "root", "from", g->key_from, "why", "no provider");
	return 0;
}

int vmm_come_begin(struct vmm *m, const json_t *what, const json_t *sealed, uint32_t migration, struct vm_coming **c,
		   struct vmc_error *err)
{
	struct manager *g = &two->manager[m->host];

	(void)what, (void)err;
	assert_int_equal(migration, two->k[m->host].last);
	g->sealed = (unsigned int)json_array_size(sealed);
	g->coming = true;
	*c = calloc(1, sizeof(**c));
	(*c)->host = m->host;
	return 0;
}

int vmm_come_running(struct vm_coming *c, struct vmc_error *err)
{
	(void)err;
	two->manager[c->host].running = true;
	return 0;
}

int vmm_come_home(struct vm_coming *c, struct vmc_error *err)
{
	(void)err;
	assert_true(two->manager[HERE].left);	/* only one host may have it */
	two->manager[c->host].home = true;
	free(c);
	return 0;
}

void vmm_come_away(struct vm_coming *c)
{
	two->manager[c->host].away = true;
	free(c);
}

void vmm_come_cancel(struct vm_coming *c)
{
	two->manager[c->host].came_not = true;
	free(c);
}

/* ---- hypervisors -------------------------------------------------------------------- */

struct machine {
	struct hypervisor h;
	int host, fd;
	unsigned int parallel;
	char dir[128];
	pthread_t thread;
	bool running;
};

static int probe(struct hypervisor *h, struct hv_info *info, struct vmc_error *err)
{
	struct machine *m = (struct machine *)h;

	(void)err;
	memset(info, 0, sizeof(*info));
	strcpy(info->name, VM_NAME);
	strcpy(info->id, VM_ID);
	strcpy(info->version, "1");
	info->running = m->host == HERE;
	info->waiting = m->host == THERE && !two->machines.not_waiting;
	info->supports_parallel = true;
	info->uid = geteuid();
	info->gid = getegid();
	info->definition = json_pack("{s:s}", "machine", "mock");
	return 0;
}

static uint64_t read_all(int fd)
{
	char buf[65536];
	uint64_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += (uint64_t)n;
	close(fd);
	return sum;
}

static void *receive(void *data)
{
	struct machine *m = data;

	for (unsigned int i = 0; i <= m->parallel; i++) {
		int fd = accept(m->fd, NULL, NULL);

		if (fd < 0)
			break;
		two->machines.received += read_all(fd);
	}
	return NULL;
}

static int incoming(struct hypervisor *h, const struct hv_incoming *in, struct hv_ready *ready, struct vmc_error *err)
{
	struct machine *m = (struct machine *)h;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	assert_string_equal(json_string_value(json_object_get(in->definition, "machine")), "mock");
	if (two->machines.fail_in)
		return vmc_fail(err, two->machines.fail_in, "it is not waiting");
	memset(ready, 0, sizeof(*ready));
	snprintf(ready->path[HV_MEMORY], sizeof(ready->path[HV_MEMORY]), "%.80s/in", in->dir);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", ready->path[HV_MEMORY]);
	snprintf(m->dir, sizeof(m->dir), "%s", ready->path[HV_MEMORY]);
	m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(m->fd, 64), 0);
	m->parallel = in->parallel;
	m->running = !pthread_create(&m->thread, NULL, receive, m);
	return 0;
}

static int wait_cancel(const struct hv_outgoing *out, struct vmc_error *err)
{
	uint64_t deadline = vmc_now_ms() + 20000;

	while (!atomic_load(out->cancel)) {
		assert_true(vmc_now_ms() < deadline);
		poll(NULL, 0, 5);
	}
	return vmc_fail(err, VMC_ECANCELED, "the migration was canceled");
}

static int send_one(const struct hv_outgoing *out, struct vmc_error *err)
{
	static const char page[65536];
	char path[HV_SOCKET_PATH_MAX + 16];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/" HV_SOCKET_MEMORY, out->dir);
	rc = gate_connect(path, vmc_now_ms() + 5000, &fd, err);
	if (rc)
		return rc;
	fcntl(fd, F_SETFL, 0);
	for (unsigned int sent = 0; sent < MEMORY; sent += sizeof(page)) {
		if (send(fd, page, sizeof(page), MSG_NOSIGNAL) != sizeof(page)) {
			close(fd);
			return vmc_fail(err, VMC_EIO, "broken pipe");
		}
		two->machines.sent += sizeof(page);
	}
	shutdown(fd, SHUT_WR);
	rc = read_all(fd) ? VMC_EIO : 0;
	return rc;
}

static int outgoing(struct hypervisor *h, const struct hv_outgoing *out, struct hv_result *result, struct vmc_error *err)
{
	const struct hv_progress p = { .phase = "memory", .done = 1, .total = 2 };
	int rc = 0;

	(void)h;
	if (two->machines.splits) {
		two->machines.here_runs = false;
		result->split = true;
		return vmc_fail(err, VMC_EIO, "its memory is on two hosts");
	}
	if (two->machines.fail_out)
		return vmc_fail(err, two->machines.fail_out, "it did not go");
	for (unsigned int i = 0; !rc && i <= out->parallel; i++) {
		if (two->machines.cut_after && i >= two->machines.cut_after)
			return wait_cancel(out, err);
		rc = send_one(out, err);
		out->report(&p, out->data);
	}
	*result = (struct hv_result){ .bytes = two->machines.sent, .downtime_ms = 3 };
	if (!rc)
		two->machines.here_runs = false;
	return rc;
}

static int finish(struct hypervisor *h, bool ok, struct vmc_error *err)
{
	struct machine *m = (struct machine *)h;

	if (m->host == HERE) {
		assert_false(two->machines.splits);
		two->machines.here_runs = !ok;
		return 0;
	}
	if (m->running && ok)
		pthread_join(m->thread, NULL);
	else if (m->running)
		shutdown(m->fd, SHUT_RDWR), pthread_join(m->thread, NULL);
	m->running = false;
	two->machines.ended_there += !ok && m->host == THERE;
	if (!ok && two->machines.splits)
		return vmc_fail(err, VMC_ESTATE, "it stays");
	if (ok && two->machines.fail_finish)
		return vmc_fail(err, two->machines.fail_finish, "the guest does not start");
	two->machines.there_runs = ok;
	return 0;
}

static void machine_close(struct hypervisor *h)
{
	struct machine *m = (struct machine *)h;

	if (m->running) {
		shutdown(m->fd, SHUT_RDWR);
		pthread_join(m->thread, NULL);
	}
	if (m->fd >= 0)
		close(m->fd);
	if (m->dir[0])
		unlink(m->dir);
	free(m);
}

static int open_machine(const char *vm, const char *qmp, struct hypervisor **h, struct vmc_error *err)
{
	static const struct hypervisor_ops ops = { "mock", probe, incoming, outgoing, finish, machine_close };
	struct machine *m;

	assert_string_equal(vm, VM_NAME);
	if (!strcmp(qmp, "/there") && !two->machines.there)
		return vmc_fail(err, VMC_ENOENT, "nothing listens at '%s'", qmp);
	m = calloc(1, sizeof(*m));
	m->h.ops = &ops;
	m->host = strcmp(qmp, "/there") ? HERE : THERE;
	m->fd = -1;
	*h = &m->h;
	return 0;
}

/* ---- the hosts --------------------------------------------------------------------------- */

/*
 * A loopback address that no other process takes ports of: a port that was
 * found free is still free when a host listens there.
 */
static const char *own_address(void)
{
	static char addr[INET_ADDRSTRLEN];
	struct in_addr a = { htonl(INADDR_LOOPBACK + (in_addr_t)getpid()) };

	return inet_ntop(AF_INET, &a, addr, sizeof(addr));
}

static void free_ports(uint16_t port[2])
{
	struct vmc_error e = VMC_ERROR_INIT;
	int fd[2];

	for (int i = 0; i < 2; i++)
		assert_ok(peer_bind(own_address(), 0, &fd[i], &port[i], &e), &e);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
}

static void on_ended(void *data)
{
	pthread_mutex_lock(&lock);
	++*(unsigned int *)data;
	pthread_mutex_unlock(&lock);
}

void two_open(void)
{
	struct vmc_error e = VMC_ERROR_INIT;

	for (int i = 0; i < 2; i++) {
		const struct migrations_setup s = {
			.cfg = &two->cfg[i], .peers = two->peers[i], .m = &two->m[i], .k = two->has_module[i] ? &two->k[i] : NULL,
			.no_module = &two->no_module, .hypervisor = open_machine, .ended = on_ended, .data = &two->ended,
		};

		assert_ok(migrations_open(&two->migrations[i], &s, &e), &e);
	}
}

void two_close(void)
{
	for (int i = 0; i < 2; i++)
		migrations_close(two->migrations[i]);
}

static void configure(int i)
{
	struct vmc_config *c = &two->cfg[i];
	struct vmc_error e = VMC_ERROR_INIT;
	uint16_t port[2];

	two->dir[i] = test_mkdir();
	snprintf(c->config_dir, sizeof(c->config_dir), "%s/etc", two->dir[i]);
	snprintf(c->state_dir, sizeof(c->state_dir), "%s/var", two->dir[i]);
	snprintf(c->runtime_dir, sizeof(c->runtime_dir), "%s/r", two->dir[i]);
	assert_ok(fs_mkdirs(c->state_dir, 0700, &e), &e);
	assert_ok(fs_mkdirs(c->runtime_dir, 0711, &e), &e);
	if (i == THERE) {
		free_ports(port);
		snprintf(c->migration_listen, sizeof(c->migration_listen), "%s:%u", own_address(), port[0]);
		c->migration_data_port = port[1];
	}
	assert_ok(peers_open(&two->peers[i], c, &e), &e);
	two->k[i].host = two->m[i].host = i;
	two->has_module[i] = true;
	two->manager[i].key_from = "provider";
}

int two_setup(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char fp[CERT_FINGERPRINT];

	two = calloc(1, sizeof(*two));
	n_relays = 0;
	configure(HERE);
	configure(THERE);
	vmc_fail(&two->no_module, VMC_ENOMODULE, "the kernel module vmcrypt is not loaded");
	two->machines.there = true;
	two->machines.here_runs = true;
	two->policy = MIGRATION_DEFAULT;
	peers_fingerprint(two->peers[THERE], fp);
	assert_ok(peers_add(two->peers[HERE], &(struct peer_add){ "b", two->cfg[THERE].migration_listen, fp, NULL }, &e), &e);
	peers_fingerprint(two->peers[HERE], fp);
	assert_ok(peers_add(two->peers[THERE], &(struct peer_add){ "a", "127.0.0.1", fp, NULL }, &e), &e);
	two_open();
	*state = two;
	return 0;
}

int two_teardown(void **state)
{
	(void)state;
	two_close();
	for (int i = 0; i < 2; i++) {
		peers_close(two->peers[i]);
		test_rmdir(two->dir[i]);
	}
	free(two);
	return 0;
}
