/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may call what. One filter in front of all objects: root passes, others
 * need the polkit action of the method; a method of ours that is in no table
 * is refused. While polkit (and perhaps a person) decides, the message is
 * kept, and goes through the objects when the answer is yes.
 */
#ifndef VMC_API_AUTH_H
#define VMC_API_AUTH_H

#include <sys/types.h>

#include "api.h"

#define AUTH_ACTION_READ "org.vmcrypt1.read"

int auth_new(struct auth **auth, struct api *a, struct vmc_error *err);
void auth_free(struct auth *auth);	/* NULL is fine */

/* The polkit action that a call needs; NULL: none is known, so refuse. "" : everybody may. */
const char *auth_action(const char *interface, const char *member);

/* UID of a bus client, from a small cache or the bus driver; (uid_t)-1 when it is gone. */
uid_t auth_sender_uid(struct auth *auth, sd_bus_message *m);

#endif
