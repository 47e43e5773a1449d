/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of method calls, a{sv}: parsed strictly. What is unknown, twice there or of another type is refused by name. */
#ifndef VMC_API_OPTIONS_H
#define VMC_API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "../lib/error.h"

/* All options that any method takes; a string that was not given is NULL, and points into the message otherwise. */
struct call_options {
	const char *uuid, *provider, *path, *format, *dm_flags, *key_id, *vm, *type;
	const char *key, *actor, *anchor, *add_provider, *remove_provider;
	const char *address, *fingerprint, *ca, *qmp, *to_qmp;
	const char *fs, *mount, *autoopen;
	uint64_t home_size, size, rate, after, since, limit, parallel;
	bool from_headers, keep_source, destroy, force, insecure_no_tpm, remove_all, new_tpm, live;
	bool postcopy, copy_storage, dry_run;
};

struct option_spec {
	const char *name;
	char type;		/* 's', 't' or 'b' */
	size_t offset;		/* in struct call_options */
};

#define OPTION(name_, type_) { #name_, type_, offsetof(struct call_options, name_) }
#define OPTIONS_END { NULL, 0, 0 }

/* @m stands before an a{sv}. @spec ends at a NULL name. @o is cleared first. */
int options_parse(sd_bus_message *m, const struct option_spec *spec, struct call_options *o,
		  struct vmc_error *err);

#endif
