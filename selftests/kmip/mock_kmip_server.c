// SPDX-License-Identifier: GPL-2.0-or-later
/* The mock KMIP server as a program, for the lab. Stops when its standard input closes, or by SIGTERM. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/kmip/mock_kmip.h"
#include "keys/kmip/mock_pki.h"

static int usage(const char *me)
{
	fprintf(stderr,
		"usage: %s --cert FILE --key FILE [--ca FILE] [--port N] [--script FAULTS] [--tls 1.2|1.3]\n"
		"       %s --make-certs DIR\n"
		"Listens on 127.0.0.1, prints \"port N\", serves until its standard input closes.\n"
		"A line on standard input replaces the faults, an empty one takes them away. Faults are\n"
		"the fields of struct mock_script, for example \"delay=200,no-batch\".\n", me, me);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cert", required_argument, NULL, 'c' }, { "key", required_argument, NULL, 'k' },
		{ "ca", required_argument, NULL, 'a' }, { "port", required_argument, NULL, 'p' },
		{ "script", required_argument, NULL, 's' }, { "tls", required_argument, NULL, 't' },
		{ "make-certs", required_argument, NULL, 'm' }, { NULL, 0, NULL, 0 },
	};
	struct mock_config c = { .cert = NULL };
	struct mock_script check;
	struct mock_kmip *m;
	char line[1024];
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'c')
			c.cert = optarg;
		else if (o == 'k')
			c.key = optarg;
		else if (o == 'a')
			c.ca = optarg;
		else if (o == 'p')
			c.port = atoi(optarg);
		else if (o == 's')
			c.script = optarg;
		else if (o == 't' && !strcmp(optarg, "1.2"))
			c.tls12_only = 1;
		else if (o == 't' && !strcmp(optarg, "1.3"))
			c.tls13_only = 1;
		else if (o == 'm')
			return mock_pki(optarg) ? 1 : 0;
		else
			return usage(argv[0]);
	}
	if (!c.cert || !c.key || optind != argc)
		return usage(argv[0]);
	c.store = mock_store_new();
	m = c.store ? mock_kmip_start(&c) : NULL;
	if (!m)
		return 1;
	printf("port %u\n", mock_kmip_port(m));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (mock_script_parse(line, &check))
			continue;
		mock_kmip_script(m, line);
		printf("script %s\n", line);
		fflush(stdout);
	}
	mock_kmip_stop(m);
	mock_store_free(c.store);
	return 0;
}
