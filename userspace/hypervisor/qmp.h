/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of QMP over a unix socket. One thread at a time. Every wait has a deadline; once one is missed, or the
 * connection or the protocol breaks, every call fails: close it.
 */
#ifndef VMC_HYPERVISOR_QMP_H
#define VMC_HYPERVISOR_QMP_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../lib/error.h"

#define QMP_CALL_MS	30000	/* deadline of a command that QEMU answers at once */

struct qmp;

/* An event, while a call or wait goes on; must not call back. @data may be NULL and is borrowed. */
typedef void (*qmp_event_fn)(const char *event, const json_t *data, void *user);

/* Connect, greet, negotiate. VMC_ENOENT: nobody listens at @path. VMC_ETIMEDOUT: busy with another client, as a rule. */
int qmp_connect(struct qmp **q, const char *path, unsigned int ms, struct vmc_error *err);
void qmp_close(struct qmp *q);		/* NULL is fine */
void qmp_on_event(struct qmp *q, qmp_event_fn fn, void *user);

const char *qmp_version(const struct qmp *q);	/* "7.2.22" */
int qmp_major(const struct qmp *q);
/* Whom the QEMU ran as when it began to listen. */
void qmp_owner(const struct qmp *q, uid_t *uid, gid_t *gid);

/*
 * Run @command. @args (may be NULL) is taken over. *@ret (may be NULL: not wanted) is owned by the caller. VMC_EREFUSED:
 * QEMU said no, its words are in the text; VMC_ENOTSUP: it does not know the command; VMC_EIO: it is gone.
 */
int qmp_call(struct qmp *q, const char *command, json_t *args, json_t **ret, struct vmc_error *err);
int qmp_call_within(struct qmp *q, const char *command, json_t *args, json_t **ret, unsigned int ms,
		    struct vmc_error *err);

/* Until an event came (true in *@came) or @ms went by. VMC_EIO: the connection ended. */
int qmp_wait(struct qmp *q, unsigned int ms, bool *came, struct vmc_error *err);

#endif
