/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log: native journald fields when there is a journal, "<N>text" on stderr otherwise. */
#ifndef VMC_LIB_LOG_H
#define VMC_LIB_LOG_H

#include <syslog.h>

/* A field of a structured entry; the name is one that journald takes (A-Z, 0-9, _). */
struct log_field {
	const char *name;
	const char *value;
};

void log_init(const char *identifier, int max_level);
void log_to_stderr(void);	/* for good, even where there is a journal */
void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An event with a MESSAGE_ID (32 hex digits, see packaging/journal/vmcrypt.catalog). Ends at a NULL name. */
void log_event(int level, const char *message_id, const struct log_field *fields,
	       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define log_debug(...)	log_msg(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)	log_msg(LOG_INFO, __VA_ARGS__)
#define log_warn(...)	log_msg(LOG_WARNING, __VA_ARGS__)
#define log_err(...)	log_msg(LOG_ERR, __VA_ARGS__)

#endif
