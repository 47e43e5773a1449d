// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters and alarms of a service. */
#include "stats.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/log.h"
#include "../../lib/prom.h"

#define VALUES_MAX	256
#define SEPARATOR	'\x1f'		/* in no label */

struct stats {
	pthread_mutex_t lock;
	json_t *counters;		/* NAME: {help, label, label2?, values: {IS[SEP IS2]: n}} */
	json_t *alarms;			/* KIND: {NAME: {text, seen}} */
};

struct stats *stats_new(void)
{
	struct stats *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->counters = json_object();
	s->alarms = json_object();
	if (s->counters && s->alarms)
		return s;
	stats_free(s);
	return NULL;
}

void stats_free(struct stats *s)
{
	if (!s)
		return;
	json_decref(s->counters);
	json_decref(s->alarms);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- counters ------------------------------------------------------------------- */

/* NULL: no memory, and the figure is lost. */
static json_t *values_of(struct stats *s, const struct stats_counter *c)
{
	json_t *o = json_object_get(s->counters, c->name);

	if (!o) {
		o = json_pack("{s:s, s:s, s:s*, s:{}}", "help", c->help, "label", c->label, "label2", c->label2, "values");
		if (json_object_set_new(s->counters, c->name, o))
			return NULL;
	}
	return json_object_get(o, "values");
}

void stats_count(struct stats *s, const struct stats_counter *c, const char *is, const char *is2, unsigned long long by)
{
	json_t *values, *v;
	char key[160];

	snprintf(key, sizeof(key), "%.70s%c%.70s", is, c->label2 ? SEPARATOR : '\0', c->label2 ? is2 : "");
	pthread_mutex_lock(&s->lock);
	values = values_of(s, c);
	v = json_object_get(values, key);
	if (v)
		json_integer_set(v, json_integer_value(v) + (json_int_t)by);
	else if (values && json_object_size(values) < VALUES_MAX)
		json_object_set_new(values, key, json_integer((json_int_t)by));
	pthread_mutex_unlock(&s->lock);
}

static void put_counter(FILE *f, const char *name, json_t *o)
{
	const char *label = json_string_value(json_object_get(o, "label"));
	const char *label2 = json_string_value(json_object_get(o, "label2"));
	const char *key;
	json_t *v;

	prom_head(f, name, "counter", json_string_value(json_object_get(o, "help")));
	json_object_foreach(json_object_get(o, "values"), key, v) {
		char is[160];
		char *is2;

		snprintf(is, sizeof(is), "%s", key);
		is2 = strchr(is, SEPARATOR);
		if (is2)
			*is2++ = '\0';
		prom_value(f, name, label, is, is2 ? label2 : NULL, is2, json_integer_value(v));
	}
}

/* ---- alarms --------------------------------------------------------------------- */

static void tell(const struct stats_alarm *a, bool raised, const char *text)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_ALARM", a->kind }, { "VMCRYPT_NAME", a->name },
		{ "VMCRYPT_STATE", raised ? "raised" : "cleared" }, { NULL, NULL }
	};

	if (raised)
		log_event(LOG_WARNING, a->message_id, fields, "alarm %s of '%s': %s", a->kind, a->name, text);
	else
		log_event(LOG_NOTICE, a->message_id, fields, "alarm %s of '%s' is over", a->kind, a->name);
}

void stats_alarm(struct stats *s, const struct stats_alarm *a, bool raised, const char *text)
{
	json_t *all, *it;
	bool had;

	pthread_mutex_lock(&s->lock);
	all = json_object_get(s->alarms, a->kind);
	if (!all && raised) {
		all = json_object();
		json_object_set_new(s->alarms, a->kind, all);
	}
	it = json_object_get(all, a->name);
	had = it;
	if (raised)
		json_object_set_new(all, a->name, json_pack("{s:s, s:b}", "text", text, "seen", 1));
	else if (had)
		json_object_del(all, a->name);
	pthread_mutex_unlock(&s->lock);
	if (had != raised)
		tell(a, raised, text);
}

void stats_alarm_keep(struct stats *s, const char *kind, const char *name)
{
	json_t *it;

	pthread_mutex_lock(&s->lock);
	it = json_object_get(json_object_get(s->alarms, kind), name);
	if (it)
		json_object_set_new(it, "seen", json_true());
	pthread_mutex_unlock(&s->lock);
}

void stats_alarms_end(struct stats *s, const char *kind, const char *message_id)
{
	const char *name;
	json_t *all, *it;
	void *next;

	pthread_mutex_lock(&s->lock);
	all = json_object_get(s->alarms, kind);
	json_object_foreach_safe(all, next, name, it) {
		if (json_is_true(json_object_get(it, "seen"))) {
			json_object_set_new(it, "seen", json_false());
			continue;
		}
		tell(&(struct stats_alarm){ .kind = kind, .message_id = message_id, .name = name }, false, NULL);
		json_object_del(all, name);
	}
	pthread_mutex_unlock(&s->lock);
}

void stats_put(struct stats *s, FILE *f)
{
	const char *name, *kind;
	json_t *o, *it;

	pthread_mutex_lock(&s->lock);
	json_object_foreach(s->counters, name, o)
		put_counter(f, name, o);
	prom_head(f, "trust_alarm", "gauge", "Something that a service finds to be wrong now.");
	json_object_foreach(s->alarms, kind, o)
		json_object_foreach(o, name, it)
			prom_value(f, "trust_alarm", "alarm", kind, "name", name, 1);
	pthread_mutex_unlock(&s->lock);
}
