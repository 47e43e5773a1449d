// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_https DIR SECONDS CLIENTS - how many hosts a minute an Attestation Service attests, end to end over HTTPS: a
 * server in a process of its own, and CLIENTS threads of hosts, each of which connects anew, asks for a challenge and
 * answers it, over and over. The hosts run on the same cores, and have to sign, too; the server's own share is told.
 * Prints "NAME NUMBER" lines.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/secmem.h"
#include "lib/util.h"
#include "trust/attest/attest_priv.h"
#include "trust/attest/mock_host.h"
#include "trust/http/client.h"
#include "trust/http/server.h"
#include "trust/token/b64url.h"

#define CLIENTS_MAX	32

struct bench {
	struct attest_service *s;
	json_t *state;
	struct mock_host *hosts[CLIENTS_MAX];
	struct http_identity id;
	char where[64];
	uint64_t until;
	atomic_uint done, failed;
};

static struct bench b;

static void must(int rc, const struct vmc_error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "attest_https: %s\n", err->text);
	exit(1);
}

static int handle(const struct http_call *c, json_t **result, struct refusal *r, void *data)
{
	const struct attest_call call = { .state = b.state, .body = c->body, .now = vmc_time() };
	struct attest_note note;

	(void)data;
	if (!strcmp(c->head->path, "/v1/attest/challenge"))
		return attest_challenge(b.s, &call, result, &note, r);
	return attest_evidence(b.s, &call, result, &note, r);
}

/* Serves until it is told to end; the port goes through @fd. */
static void serve(int fd)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct http_server *server;
	sigset_t set;
	uint16_t port;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(http_server_start("127.0.0.1", 0, &b.id, handle, NULL, &server, &err), &err);
	port = http_server_port(server);
	if (write(fd, &port, sizeof(port)) != sizeof(port))
		exit(1);
	sigwait(&set, &sig);
	http_server_stop(server);
	exit(0);
}

static int ask(struct http_client *c, const char *path, json_t *body, json_t **answer)
{
	struct refusal r;
	int rc = http_client_call(c, path, body, NULL, NULL, vmc_now_ms() + 10000, answer, &r);

	if (rc)
		fprintf(stderr, "attest_https: %s\n", r.err.text);
	refusal_clear(&r);
	json_decref(body);
	return rc;
}

/* As a host does it: a connection, two messages. */
static int attest_once(struct mock_host *h)
{
	const struct http_target t = { .name = "service", .where = b.where, .fingerprint = b.id.fingerprint };
	struct vmc_error err = VMC_ERROR_INIT;
	json_t *challenge = NULL, *answer = NULL;
	struct http_client *c;
	int rc;

	must(http_client_new(&t, &b.id, &c, &err), &err);
	rc = ask(c, "/v1/attest/challenge", mock_host_challenge(h), &challenge);
	if (!rc)
		rc = ask(c, "/v1/attest", mock_host_evidence(h, challenge), &answer);
	json_decref(challenge);
	json_decref(answer);
	http_client_free(c);
	return rc;
}

static void *client(void *data)
{
	while (vmc_now_ms() < b.until)
		atomic_fetch_add(attest_once(data) ? &b.failed : &b.done, 1);
	return NULL;
}

/* Hosts that are enrolled: their receipts are signed here, as the service does it. */
static void prepare(const char *dir, int clients)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char name[32];

	must(attest_open(&b.s, dir, "ta1", &err), &err);
	must(http_identity_open(dir, "ta1", &b.id, &err), &err);
	b.state = mock_state(b.s->token_key);
	mock_state_image(b.state, LOG_OVMF_SECURE_BOOT, "image");
	for (int i = 0; i < clients; i++) {
		json_t *enrolled;

		snprintf(name, sizeof(name), "host%d", i);
		b.hosts[i] = mock_host_new(name, LOG_OVMF_SECURE_BOOT);
		mock_state_ek(b.state, b.hosts[i]);
		enrolled = json_pack("{s:s, s:s, s:o, s:s}", "ek", b.hosts[i]->ek_id, "host", name, "ak",
				     b64url_json(b.hosts[i]->ak_pub, b.hosts[i]->n_ak_pub), "ca", "");
		must(receipt_make(b.s, enrolled, vmc_time(), &b.hosts[i]->receipt, &err), &err);
		json_decref(enrolled);
	}
}

static double run(int clients, int seconds)
{
	pthread_t threads[CLIENTS_MAX];
	uint64_t begun = vmc_now_ms();

	b.until = begun + (uint64_t)seconds * 1000;
	for (int i = 0; i < clients; i++)
		if (pthread_create(&threads[i], NULL, client, b.hosts[i]))
			exit(1);
	for (int i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	return (double)(vmc_now_ms() - begun) / 1000;
}

int main(int argc, char **argv)
{
	int seconds = argc == 4 ? atoi(argv[2]) : 0, clients = argc == 4 ? atoi(argv[3]) : 0, fd[2], status;
	struct vmc_error err = VMC_ERROR_INIT;
	struct rusage use;
	uint16_t port = 0;
	double took, cpu;
	pid_t pid;

	if (seconds < 1 || clients < 1 || clients > CLIENTS_MAX) {
		fputs("usage: attest_https DIR SECONDS CLIENTS\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	must(secmem_init(4u << 20, &err), &err);
	prepare(argv[1], clients);
	if (pipe(fd))
		return 1;
	pid = fork();
	if (!pid)
		serve(fd[1]);
	if (pid < 0 || read(fd[0], &port, sizeof(port)) != sizeof(port))
		return 1;
	snprintf(b.where, sizeof(b.where), "127.0.0.1:%u", port);
	took = run(clients, seconds);
	kill(pid, SIGTERM);
	if (wait4(pid, &status, 0, &use) != pid || status)
		return 1;
	cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	      (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
	printf("attested %u\nfailed %u\nper-minute %.0f\nserver-ms %.2f\nserver-per-minute-per-core %.0f\n", b.done, b.failed,
	       b.done * 60 / took, b.done ? cpu * 1000 / b.done : 0, cpu > 0 ? b.done * 60 / cpu : 0);
	return b.failed != 0 || !b.done;
}
