/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One message of QMP, QEMU's monitor protocol: bytes to struct and back, pure. */
#ifndef VMC_HYPERVISOR_QMP_MESSAGE_H
#define VMC_HYPERVISOR_QMP_MESSAGE_H

#include <jansson.h>
#include <stddef.h>

#include "../lib/error.h"

#define QMP_MESSAGE_MAX	(4 * 1024 * 1024)	/* bytes of a message; answers about many disks are long */
#define QMP_EVENT_MAX	64			/* of an event's name, with the NUL */

enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_message {
	enum qmp_kind kind;
	json_t *o;		/* the whole message; owned */
	const json_t *data;	/* what was returned, told with the event, or the version greeted with; in @o; NULL: none */
	json_int_t id;		/* of RETURN and ERROR; -1 none */
	char event[QMP_EVENT_MAX];	/* EVENT: its name, [A-Z0-9_] */
	char error_class[64];	/* ERROR: "GenericError", "CommandNotFound" */
	char error[512];	/* ERROR: QEMU's words, one line of UTF-8 */
};

/*
 * One line, with or without its end. Strict: VMC_EPROTO for what is no message of QMP, and *@m is empty. Members that
 * nobody knows are let pass, as the protocol says.
 */
int qmp_message_parse(const char *line, size_t len, struct qmp_message *m, struct vmc_error *err);
void qmp_message_clear(struct qmp_message *m);

/* A command as a line with its end (malloc), or NULL without memory. @args may be NULL; borrowed. */
char *qmp_message_command(const char *command, const json_t *args, json_int_t id);

#endif
