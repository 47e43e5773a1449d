// SPDX-License-Identifier: GPL-2.0-or-later
/* One message of QMP: bytes to struct and back, pure. */
#include "qmp_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/util.h"

/* @what: marked with N_(). */
static int bad(struct vmc_error *err, const char *what)
{
	return vmc_fail(err, VMC_EPROTO, "this is no message of QMP: %s", message_say(what));
}

static int take_id(struct qmp_message *m, struct vmc_error *err)
{
	const json_t *id = json_object_get(m->o, "id");

	m->id = -1;
	if (!id)
		return 0;
	if (!json_is_integer(id) || json_integer_value(id) < 0)
		return bad(err, N_("its id is none that was given"));
	m->id = json_integer_value(id);
	return 0;
}

static int take_error(struct qmp_message *m, const json_t *e, struct vmc_error *err)
{
	const char *class = json_string_value(json_object_get(e, "class"));
	const char *desc = json_string_value(json_object_get(e, "desc"));

	if (!class || !desc)
		return bad(err, N_("an error without class or description"));
	m->kind = QMP_ERROR;
	m->data = e;
	snprintf(m->error_class, sizeof(m->error_class), "%s", class);
	snprintf(m->error, sizeof(m->error), "%s", desc);
	utf8_one_line(m->error_class);
	utf8_one_line(m->error);
	return take_id(m, err);
}

static int take_event(struct qmp_message *m, const json_t *name, struct vmc_error *err)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	const char *s = json_string_value(name);
	size_t len = s ? strlen(s) : 0;

	if (!len || len >= sizeof(m->event) || strspn(s, alphabet) != len)
		return bad(err, N_("an event without a proper name"));
	m->kind = QMP_EVENT;
	m->id = -1;
	m->data = json_object_get(m->o, "data");
	memcpy(m->event, s, len + 1);
	return m->data && !json_is_object(m->data) ? bad(err, N_("an event whose data is no object")) : 0;
}

static int take_greeting(struct qmp_message *m, const json_t *greeting, struct vmc_error *err)
{
	m->kind = QMP_GREETING;
	m->id = -1;
	m->data = json_object_get(json_object_get(greeting, "version"), "qemu");
	return json_is_object(m->data) ? 0 : bad(err, N_("a greeting without a version"));
}

static int take(struct qmp_message *m, struct vmc_error *err)
{
	const json_t *v;

	if (!json_is_object(m->o))
		return bad(err, N_("it is no object"));
	v = json_object_get(m->o, "event");
	if (v)
		return take_event(m, v, err);
	v = json_object_get(m->o, "error");
	if (v)
		return take_error(m, v, err);
	v = json_object_get(m->o, "QMP");
	if (v)
		return take_greeting(m, v, err);
	m->data = json_object_get(m->o, "return");
	if (!m->data)
		return bad(err, N_("neither greeting nor event nor answer"));
	m->kind = QMP_RETURN;
	return take_id(m, err);
}

int qmp_message_parse(const char *line, size_t len, struct qmp_message *m, struct vmc_error *err)
{
	json_error_t je;
	int r;

	memset(m, 0, sizeof(*m));
	if (len > QMP_MESSAGE_MAX)
		return bad(err, N_("it is too long"));
	m->o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
	if (!m->o) {
		utf8_one_line(je.text);
		return vmc_fail(err, VMC_EPROTO, "this is no message of QMP: %s", je.text);
	}
	r = take(m, err);
	if (r)
		qmp_message_clear(m);
	return r;
}

void qmp_message_clear(struct qmp_message *m)
{
	json_decref(m->o);
	memset(m, 0, sizeof(*m));
}

char *qmp_message_command(const char *command, const json_t *args, json_int_t id)
{
	json_t *o = json_pack("{s:s, s:I}", "execute", command, "id", id);
	char *text, *line = NULL;

	if (o && args && json_object_set(o, "arguments", (json_t *)args)) {
		json_decref(o);
		return NULL;
	}
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}
