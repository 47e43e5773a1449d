// SPDX-License-Identifier: GPL-2.0-or-later
/* What is accepted has what its kind promises; what is refused leaves nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "qmp_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ')
			abort();
}

static void check(const struct qmp_message *m)
{
	if (!m->o || m->id < -1)
		abort();
	if (m->kind != QMP_EVENT && !m->data)
		abort();
	if ((m->kind == QMP_EVENT) != !!m->event[0])
		abort();
	check_line(m->event);
	check_line(m->error_class);
	check_line(m->error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qmp_message m;
	struct vmc_error err;

	if (qmp_message_parse((const char *)data, size, &m, &err)) {
		if (m.o || m.data)
			abort();
		return 0;
	}
	check(&m);
	qmp_message_clear(&m);
	return 0;
}
