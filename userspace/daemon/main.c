// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcryptd: arguments, secure memory, and off it goes. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../api/json_memory.h"
#include "../lib/config.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/secmem.h"
#include "../lib/version.h"
#include "server.h"

#define EXIT_USAGE 2

static void usage(FILE *f)
{
	fputs("Usage: vmcryptd [OPTION...]\n"
	      "Keep the keys of encrypted virtual machines, and serve org.vmcrypt1 on the bus.\n"
	      "\n"
	      "  -c, --config=FILE        read FILE instead of /etc/vmcrypt/vmcrypt.conf\n"
	      "  -f, --foreground         log to standard error, not to the journal\n"
	      "      --session            serve the session bus, for tests\n"
	      "      --bus-address=ADDR   serve the bus at ADDR, for tests\n"
	      "  -h, --help               print this and exit\n"
	      "  -V, --version            print the version and exit\n"
	      "\n"
	      "SIGHUP reads the configuration and the key providers anew. SIGTERM ends vmcryptd;\n"
	      "VMs keep running, their volumes stay open. See vmcryptd(8).\n", f);
}

enum { OPT_SESSION = 256, OPT_ADDRESS };

/* 0: run; otherwise exit, with *@status. */
static int parse(int argc, char **argv, struct server_options *o, int *status)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "session", no_argument, NULL, OPT_SESSION },
		{ "bus-address", required_argument, NULL, OPT_ADDRESS },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int c;

	*status = EXIT_SUCCESS;
	while ((c = getopt_long(argc, argv, "c:fhV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case OPT_SESSION:
			o->session = true;
			break;
		case OPT_ADDRESS:
			o->bus_address = optarg;
			break;
		case 'h':
			usage(stdout);
			return 1;
		case 'V':
			puts("vmcryptd " VMC_VERSION);
			return 1;
		default:
			usage(stderr);
			*status = EXIT_USAGE;
			return 1;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "vmcryptd: unexpected argument '%s'\n", argv[optind]);
	usage(stderr);
	*status = EXIT_USAGE;
	return 1;
}

/* Before the first thread: all take their signals from the event loop. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int complain(const struct vmc_error *err)
{
	log_err("cannot start: %s%s%s", err->text, err->hint[0] ? ". Hint: " : "", err->hint);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct server_options o = { 0 };
	struct vmc_error err = VMC_ERROR_INIT;
	struct vmc_config cfg;
	int status;

	if (parse(argc, argv, &o, &status))
		return status;
	umask(0077);
	setenv("TSS2_LOG", "all+NONE", 0);	/* what the TPM refuses is told in our own words */
	block_signals();
	/* each call has the language of its caller; this variable would have one for all */
	unsetenv("LANGUAGE");
	i18n_init();
	log_init("vmcryptd", LOG_INFO);
	if (o.foreground)
		log_to_stderr();
	if (config_load(&cfg, o.config, &err))
		return complain(&err);
	log_init("vmcryptd", cfg.log_level);
	if (secmem_init(cfg.secure_heap, &err))
		return complain(&err);
	json_memory_init();
	return server_run(&o, &cfg);
}
