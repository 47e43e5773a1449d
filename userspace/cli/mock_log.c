// SPDX-License-Identifier: GPL-2.0-or-later
#include "mock_log.h"

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static void log_file(FILE *f, int fd)
{
	char text[256];
	ssize_t n = read(fd, text, sizeof(text)), i;

	for (i = 0; i < n; i++)
		fputc(text[i] == '\n' ? '~' : text[i], f);
}

static int log_value(FILE *f, sd_bus_message *m)
{
	const char *contents, *s;
	char type;
	uint64_t t;
	uint32_t u;
	int b, r = sd_bus_message_peek_type(m, &type, &contents);

	if (r <= 0)
		return r;
	switch (type) {
	case 's':
	case 'o':
		r = sd_bus_message_read_basic(m, type, &s);
		/* one call, one line */
		for (; r > 0 && *s; s++)
			fputc(*s == '\n' ? '~' : *s, f);
		break;
	case 't':
		r = sd_bus_message_read_basic(m, 't', &t);
		fprintf(f, "%llu", (unsigned long long)t);
		break;
	case 'u':
		r = sd_bus_message_read_basic(m, 'u', &u);
		fprintf(f, "%u", u);
		break;
	case 'h':
		/* the test wants to see that it is the file that was meant */
		r = sd_bus_message_read_basic(m, 'h', &b);
		if (r > 0)
			log_file(f, b);
		break;
	case 'b':
		r = sd_bus_message_read_basic(m, 'b', &b);
		fputs(b ? "true" : "false", f);
		break;
	default:
		fputs(type == 'a' ? "{" : "", f);
		r = sd_bus_message_enter_container(m, type, contents);
		while (r > 0 && (r = log_value(f, m)) > 0)
			fputs(type == 'v' ? "" : " ", f);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		fputs(type == 'a' ? "}" : "", f);
		return r < 0 ? r : 1;
	}
	return r < 0 ? r : 1;
}

void mock_log(FILE *f, sd_bus_message *m)
{
	const char *sig = sd_bus_message_get_signature(m, 1);

	fprintf(f, "%s.%s %s ", sd_bus_message_get_interface(m), sd_bus_message_get_member(m), sig && *sig ? sig : "-");
	while (log_value(f, m) > 0)
		fputc(' ', f);
	fputc('\n', f);
	fflush(f);
	sd_bus_message_rewind(m, 1);
}
