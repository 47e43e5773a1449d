/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may call what. One filter in front of all objects: root passes, others
 * need the polkit action of the method; a method of ours that is in no table
 * is refused. While polkit (and perhaps a person) decides, the message is
 * kept, and goes through the objects when the answer is yes.
 */
#ifndef VMC_API_AUTH_H
#define VMC_API_AUTH_H

#include <stdbool.h>
#include <sys/types.h>

#include "api.h"

#define AUTH_ACTION_READ	"org.vmcrypt1.read"
#define AUTH_ACTION_SERVERS	"org.vmcrypt1.read-key-servers"

int auth_new(struct auth **auth, struct api *a, struct vmc_error *err);
void auth_free(struct auth *auth);	/* NULL is fine */

/* The polkit action that a call needs; NULL: none is known, so refuse. "" : everybody may. @path: of the object. */
const char *auth_action(const char *path, const char *interface, const char *member);

/* Root, and the user whom the daemon runs as (on a private bus that is its tester), are asked nothing. */
bool auth_trusted(uid_t uid);

/*
 * For what only shows in the middle of a call: has the caller of @m that @action too? @fn is called once, in the
 * loop: @err NULL when so, else with the reason. It may be called before this returns, and is by auth_free().
 */
typedef void (*auth_fn)(void *data, const struct vmc_error *err);
void auth_ask(struct auth *auth, sd_bus_message *m, const char *action, auth_fn fn, void *data);

/* UID of a bus client, from a small cache or the bus driver; (uid_t)-1 when it is gone. */
uid_t auth_sender_uid(struct auth *auth, sd_bus_message *m);

#endif
