/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What provider.c and trust.c share. */
#ifndef VMC_CLI_PROVIDER_H
#define VMC_CLI_PROVIDER_H

#include <jansson.h>

#include "cli.h"

/* JSON that @member, a method without arguments, of provider @name gives. */
int provider_json(struct cli *c, json_t **out, const char *name, const char *member);

/* Turn "no such object" in c->err into "no such provider"; passes @r on otherwise. */
int provider_fail(struct cli *c, const char *name, int r);

/* "trust @name pin" with the CA certificates in @pem. */
int trust_pin_ca(struct cli *c, const char *name, const char *pem);

#endif
