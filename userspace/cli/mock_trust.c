// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A stand-in, on a private bus, for vmcrypt-attestd's object and for the part of
 * systemd that starts its services: gives the documented answers, keeps nothing.
 * Calls are logged as by mock_service.c.
 *
 *	mock_trust ADDRESS LOG [sick]
 *
 * With "sick" nothing is as it should be.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "../lib/util.h"
#include "mock_log.h"

#define NAME		"org.vmcrypt1.Trust"
#define PATH		"/org/vmcrypt1/Trust"
#define SYSTEMD		"org.freedesktop.systemd1"
#define SYSTEMD_PATH	"/org/freedesktop/systemd1"
#define MANAGER		SYSTEMD ".Manager"
#define NOT_FOUND	"org.vmcrypt1.Error.NotFound"

struct service {
	sd_bus *bus;
	FILE *log;
	bool sick;
	unsigned int jobs;
};

/* ---- the authority ------------------------------------------------------------------- */

/* What is answered to a verb; @sick NULL: the same. No answer of its own: an empty object. */
static const struct answer {
	const char *verb, *well, *sick;
} answers[] = {
	{ "status", "{\"status\":\"ok\",\"version\":\"0.1.0\",\"cluster\":\"c1\",\"serial\":7,\"authority\":\"ta1\","
	  "\"changed\":\"2026-01-02T00:00:00Z\",\"can_change\":true,\"authorities\":2,\"base_images\":1}",
	  "{\"status\":\"not-configured\",\"version\":\"0.1.0\",\"cluster\":null,\"serial\":0,\"authority\":\"ta1\"}" },
	{ "health", "{\"healthy\":true,\"elements\":[{\"element\":\"TrustAuthorityCluster\",\"name\":\"c1\","
	  "\"healthy\":true},{\"element\":\"AttestationServiceStatus\",\"name\":\"ta1\",\"healthy\":true}]}",
	  "{\"healthy\":false,\"text\":\"The AttestationServiceStatus is not healthy, please fix it first!\","
	  "\"elements\":[{\"element\":\"TrustAuthorityCluster\",\"name\":\"c1\",\"healthy\":true},{\"element\":"
	  "\"AttestationServiceStatus\",\"name\":\"ta2\",\"healthy\":false,\"error\":\"no answer\",\"hint\":"
	  "\"on 'ta2': vmcrypt trust service status attestation\"}]}" },
	{ "remediate", "{\"ok\":true,\"authorities\":[{\"name\":\"ta1\",\"result\":\"in step\"},{\"name\":\"ta2\","
	  "\"result\":\"remediated\"}]}", "{\"ok\":false,\"authorities\":[{\"name\":\"ta2\",\"result\":\"failed\","
	  "\"error\":\"no answer\",\"hint\":\"start it\"}]}" },
	{ "services-info", "{\"v\":1,\"cluster\":\"c1\",\"audience\":\"vmcrypt-kmxd:c1\",\"cluster_key\":\"PEM\","
	  "\"authorities\":[]}", NULL },
	{ "metrics", "{\"text\":\"# TYPE vmcrypt_trust_configured gauge\\nvmcrypt_trust_configured 1\\n\"}", NULL },
	{ "authority-show", "{\"name\":\"ta1\",\"attest\":\"ta1:5700\",\"kmx\":\"ta1:5701\",\"version\":\"0.1.0\"}", NULL },
	{ "certificate-rotate", "{\"authority\":{\"name\":\"ta1\"},\"changed\":true}",
	  "{\"authority\":{\"name\":\"ta1\"},\"changed\":false}" },
	{ "authority-list", "{\"authorities\":[{\"name\":\"ta1\",\"attest\":\"ta1:5700\",\"kmx\":\"ta1:5701\",\"state\":"
	  "\"in step\",\"serial\":7,\"version\":\"0.1.0\"},{\"name\":\"ta2\",\"attest\":\"ta2:5700\",\"kmx\":\"ta2:5701\","
	  "\"state\":\"unreachable\",\"error\":\"no answer\"}]}", "{\"authorities\":[]}" },
	{ "ca-list", "{\"ca_certificates\":[{\"name\":\"maker\",\"subject\":\"CN=maker\",\"days_left\":400}]}",
	  "{\"ca_certificates\":[]}" },
	{ "ca-show", "{\"name\":\"maker\",\"subject\":\"CN=maker\",\"days_left\":400,\"pem\":\"-----BEGIN\"}", NULL },
	{ "ek-list", "{\"eks\":[{\"name\":\"host1\",\"ek\":\"00ff\"}]}", "{\"eks\":[]}" },
	{ "base-image-import", "{\"id\":\"00\",\"name\":\"debian-12\",\"quick_boot\":false}",
	  "{\"id\":\"00\",\"name\":\"debian-12\",\"quick_boot\":true}" },
	{ "base-image-list", "{\"images\":[{\"id\":\"00\",\"name\":\"debian-12\",\"kernel\":\"6.1\",\"os\":\"Debian\","
	  "\"imported\":\"2026-01-02T00:00:00Z\",\"last_attested\":\"2026-01-03T00:00:00Z\",\"last_host\":\"host1\"}],"
	  "\"not_asked\":[]}", "{\"images\":[],\"not_asked\":[\"ta2\"]}" },
	{ "base-image-show", "{\"id\":\"00\",\"name\":\"debian-12\",\"events\":[{\"pcr\":4,\"type\":\"EV_IPL\"}]}", NULL },
	{ "key-provider-list", "{\"key_providers\":[{\"name\":\"kms1\",\"kind\":\"kmip\",\"servers\":[\"a:5696\"],"
	  "\"default\":true,\"state\":\"healthy\"}]}", "{\"key_providers\":[]}" },
	{ "principal-list", "{\"principals\":[{\"name\":\"alice\",\"role\":\"auditor\",\"fingerprint\":\"00ff\"}]}",
	  "{\"principals\":[]}" },
	{ "policy-show", "{\"pcrs\":[0,4,7],\"secure_boot\":true,\"token_lifetime\":300,\"lease\":0}", NULL },
	{ "policy-set", "{\"pcrs\":[0,4,7],\"secure_boot\":true,\"token_lifetime\":600,\"lease\":0}", NULL },
	{ "restore", "{\"cluster\":\"c1\",\"serial\":7}", NULL },
	{ "upgrade-check", "{\"allowed\":true,\"order\":[{\"element\":\"authority\",\"name\":\"ta1\",\"version\":\"0.1.0\","
	  "\"state\":\"done\"},{\"element\":\"trusted hosts\",\"state\":\"to be upgraded\"}],\"refusals\":[],"
	  "\"warnings\":[\"it is the only authority\"]}",
	  "{\"allowed\":false,\"order\":[],\"refusals\":[\"authority 'ta2' has drifted\"],\"warnings\":[]}" },
};

static int provider_trust(const struct service *s, sd_bus_message *m, const char *params)
{
	if (strstr(params, "\"verb\":\"csr\""))
		return sd_bus_reply_method_return(m, "s", s->sick ? "{}" :
						  "{\"pem\":\"-----BEGIN CERTIFICATE REQUEST-----\\n\"}");
	if (strstr(params, "\"verb\":\"self-signed\""))
		return sd_bus_reply_method_return(m, "s", "{\"pem\":\"-----BEGIN CERTIFICATE-----\\n\"}");
	if (strstr(params, "\"verb\":\"show\""))
		return sd_bus_reply_method_return(m, "s", "{\"servers\":[{\"host\":\"a\",\"port\":5696,\"verdict\":"
						  "\"not trusted\",\"chain\":[{\"subject\":\"CN=a\",\"days_left\":400,"
						  "\"sha256\":\"AA:BB\"}]},{\"host\":\"b\",\"port\":5696,\"error\":"
						  "\"connection refused\"}]}");
	return sd_bus_reply_method_return(m, "s", "{}");
}

/* Into the file that came, as the option "data" beside "password". */
static int backup(const struct service *s, sd_bus_message *m)
{
	const char *name;
	int fd, r;

	if (s->sick)
		return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotSupported", "the key of the cluster is not here");
	r = sd_bus_message_rewind(m, true);
	if (r >= 0)
		r = sd_bus_message_skip(m, "ss");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &name);
		if (r >= 0 && !strcmp(name, "data")) {
			r = sd_bus_message_read(m, "v", "h", &fd);
			if (r >= 0 && write(fd, "backup", 6) != 6)
				r = -EIO;
		} else if (r >= 0) {
			r = sd_bus_message_skip(m, "v");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, "s", "{\"files\":9,\"bytes\":6}");
}

static int on_authority(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct service *s = data;
	const char *verb, *params;
	int r;

	(void)e;
	mock_log(s->log, m);
	r = sd_bus_message_read(m, "ss", &verb, &params);
	if (r < 0)
		return r;
	if (!strcmp(verb, "backup"))
		return backup(s, m);
	if (!strcmp(verb, "key-provider-trust"))
		return provider_trust(s, m, params);
	if (strstr(params, "\"nobody\""))
		return sd_bus_reply_method_errorf(m, NOT_FOUND, "there is no such thing 'nobody'\nHint: list them");
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (!strcmp(verb, answers[i].verb))
			return sd_bus_reply_method_return(m, "s", s->sick && answers[i].sick ? answers[i].sick :
							  answers[i].well);
	return sd_bus_reply_method_return(m, "s", "{}");
}

/* ---- systemd ------------------------------------------------------------------------------ */

static int tell_removed(struct service *s, const char *job, const char *unit)
{
	return sd_bus_emit_signal(s->bus, SYSTEMD_PATH, MANAGER, "JobRemoved", "uoss", s->jobs, job, unit,
				  s->sick ? "failed" : "done");
}

/* The end of a job may come before the answer that names it, or after it. */
static int job(struct service *s, sd_bus_message *m, bool early)
{
	const char *unit, *mode;
	char path[64];
	int r = sd_bus_message_read(m, "ss", &unit, &mode);

	snprintf(path, sizeof(path), SYSTEMD_PATH "/job/%u", ++s->jobs);
	if (r >= 0 && early)
		r = tell_removed(s, path, unit);
	if (r >= 0)
		r = sd_bus_reply_method_return(m, "o", path);
	if (r >= 0 && !early)
		r = tell_removed(s, path, unit);
	return r < 0 ? r : 1;
}

static int manager(struct service *s, sd_bus_message *m, const char *member)
{
	const char *unit;
	int r;

	if (!strcmp(member, "Subscribe"))
		return sd_bus_reply_method_return(m, "");
	if (!strcmp(member, "LoadUnit")) {
		r = sd_bus_message_read(m, "s", &unit);
		return r < 0 ? r : sd_bus_reply_method_return(m, "o", strstr(unit, "kmxd") ?
			SYSTEMD_PATH "/unit/kmxd" : SYSTEMD_PATH "/unit/attestd");
	}
	if (s->sick && !strcmp(member, "RestartUnit"))
		return sd_bus_reply_method_errorf(m, SYSTEMD ".NoSuchUnit", "Unit vmcrypt-attestd.service not found.");
	if (s->sick && !strcmp(member, "StopUnit"))
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "Permission denied");
	if (!strcmp(member, "StartUnit") || !strcmp(member, "StopUnit") || !strcmp(member, "RestartUnit"))
		return job(s, m, !strcmp(member, "RestartUnit"));
	return -ENOENT;
}

static int property(const struct service *s, sd_bus_message *m)
{
	const char *iface, *name, *value = NULL;
	int r = sd_bus_message_read(m, "ss", &iface, &name);

	if (r < 0)
		return r;
	if (!strcmp(name, "StateChangeTimestamp"))
		return sd_bus_reply_method_return(m, "v", "t", (uint64_t)1800000000 * 1000000);
	if (!strcmp(name, "LoadState"))
		value = "loaded";
	else if (!strcmp(name, "ActiveState"))
		value = s->sick && strstr(sd_bus_message_get_path(m), "kmxd") ? "failed" : "active";
	else if (!strcmp(name, "SubState"))
		value = "running";
	return value ? sd_bus_reply_method_return(m, "v", "s", value) : -ENOENT;
}

static int on_systemd(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct service *s = data;

	(void)e;
	mock_log(s->log, m);
	if (!strcmp(sd_bus_message_get_interface(m), MANAGER))
		return manager(s, m, sd_bus_message_get_member(m));
	return strcmp(sd_bus_message_get_member(m), "Get") ? -ENOENT : property(s, m);
}

/* ---- life ----------------------------------------------------------------------------------- */

static int on_term(sd_event_source *source, const struct signalfd_siginfo *si, void *data)
{
	(void)si;
	(void)data;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int serve(struct service *s, sd_event *event, const char *address)
{
	int r = sd_bus_new(&s->bus);

	if (r >= 0)
		r = sd_bus_set_address(s->bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(s->bus, 1);
	if (r >= 0)
		r = sd_bus_start(s->bus);
	if (r >= 0)
		r = sd_bus_attach_event(s->bus, event, 0);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGTERM, on_term, NULL);
	if (r >= 0)
		r = sd_bus_add_object(s->bus, NULL, PATH, on_authority, s);
	if (r >= 0)
		r = sd_bus_add_fallback(s->bus, NULL, SYSTEMD_PATH, on_systemd, s);
	if (r >= 0)
		r = sd_bus_request_name(s->bus, NAME, 0);
	if (r >= 0)
		r = sd_bus_request_name(s->bus, SYSTEMD, 0);
	return r;
}

int main(int argc, char **argv)
{
	struct service s = { 0 };
	sd_event *event = NULL;
	sigset_t set;
	int r;

	if (argc < 3)
		return 1;
	s.log = fopen(argv[2], "ae");
	s.sick = argc > 3 && !strcmp(argv[3], "sick");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = s.log ? sd_event_new(&event) : -errno;
	if (r >= 0)
		r = serve(&s, event, argv[1]);
	if (r < 0) {
		fprintf(stderr, "mock_trust: cannot serve on %s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	r = sd_event_loop(event);
	sd_bus_flush_close_unref(s.bus);
	sd_event_unref(event);
	fclose(s.log);
	return r < 0;
}
