// SPDX-License-Identifier: GPL-2.0-or-later
/* The log: native journald fields when there is a journal, stderr otherwise. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "i18n.h"
#include "message.h"
#include "util.h"

#define JOURNAL_SOCKET	"/run/systemd/journal/socket"
#define TEXT_MAX	2048
#define FIELDS_MAX	32
#define FIELD_MAX	1024

static struct {
	char identifier[64];
	int max_level;
	bool journal, tty, no_journal;
} the_log = { "vmcrypt", LOG_INFO, false, false, false };

void log_init(const char *identifier, int max_level)
{
	snprintf(the_log.identifier, sizeof(the_log.identifier), "%s", identifier);
	the_log.max_level = max_level;
	the_log.tty = isatty(STDERR_FILENO);
	the_log.journal = !the_log.no_journal &&
			  (getenv("JOURNAL_STREAM") || !access(JOURNAL_SOCKET, W_OK));
}

void log_to_stderr(void)
{
	the_log.no_journal = true;
	the_log.journal = false;
}

/* One line, whatever the text says: a name with a line break must not forge an entry. */
static void to_stderr(int level, const char *text)
{
	char line[TEXT_MAX + 80];
	size_t n;

	if (the_log.tty)
		n = (size_t)snprintf(line, sizeof(line), "%s: %s", the_log.identifier, text);
	else
		n = (size_t)snprintf(line, sizeof(line), "<%d>%s", level, text);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[n] = '\n';
	(void)!write(STDERR_FILENO, line, n + 1);
}

struct entry {
	struct iovec iov[FIELDS_MAX];
	char store[FIELDS_MAX][FIELD_MAX];
	int n;
};

static void add_field(struct entry *e, const char *name, const char *value)
{
	char *at;
	int len;

	if (e->n == FIELDS_MAX)
		return;
	at = e->store[e->n];
	len = snprintf(at, FIELD_MAX, "%s=%s", name, value);
	if (len >= FIELD_MAX)
		len = FIELD_MAX - 1;
	e->iov[e->n].iov_base = at;
	e->iov[e->n].iov_len = (size_t)len;
	e->n++;
}

static bool to_journal(int level, const char *message_id,
		       const struct log_field *fields, const char *text)
{
	char priority[2] = { (char)('0' + (level & 7)), '\0' };
	char message[TEXT_MAX + sizeof("MESSAGE=")];
	struct entry e;

	e.n = 0;
	add_field(&e, "PRIORITY", priority);
	add_field(&e, "SYSLOG_IDENTIFIER", the_log.identifier);
	if (message_id)
		add_field(&e, "MESSAGE_ID", message_id);
	/* the last place is the message's */
	for (; fields && fields->name && e.n < FIELDS_MAX - 1; fields++)
		if (fields->value)
			add_field(&e, fields->name, fields->value);
	e.iov[e.n].iov_base = message;
	e.iov[e.n].iov_len = (size_t)snprintf(message, sizeof(message),
					      "MESSAGE=%s", text);
	return sd_journal_sendv(e.iov, e.n + 1) >= 0;
}

static void emit(int level, const char *message_id,
		 const struct log_field *fields, const char *text)
{
	bool sent = the_log.journal && to_journal(level, message_id, fields, text);

	if (!sent || the_log.tty)
		to_stderr(level, text);
}

/* The log is English also when it tells an error of a call from somebody who is not. */
static void __attribute__((format(printf, 3, 0)))
format_english(char *text, size_t size, const char *fmt, va_list ap)
{
	if (uselocale((locale_t)0) == LC_GLOBAL_LOCALE)
		vsnprintf(text, size, fmt, ap);
	else
		json_decref(message_tell(text, size, fmt, ap));
}

void log_msg(int level, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (level > the_log.max_level)
		return;
	va_start(ap, fmt);
	format_english(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(level, NULL, NULL, text);
}

void log_event(int level, const char *message_id,
	       const struct log_field *fields, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (level > the_log.max_level)
		return;
	va_start(ap, fmt);
	format_english(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(level, message_id, fields, text);
}
