// SPDX-License-Identifier: GPL-2.0-or-later
#include "complete.h"

#include <string.h>

#include "../lib/util.h"
#include "bus.h"
#include "trust_call.h"
#include "verbs.h"

/* What was typed before the unfinished word, sorted. */
struct typed {
	const char *words[64];		/* no options */
	size_t n;
	optset given;
	enum opt_id open;		/* option whose value the last word is, or OPT__N */
};

static void sort_words(struct typed *t, char *const *words, size_t n)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	t->open = OPT__N;
	for (i = 0; i < n; i++) {
		const char *w = words[i];
		size_t len = strcspn(w, "=");
		enum opt_id id;

		if (t->open != OPT__N) {
			t->open = OPT__N;
		} else if (strncmp(w, "--", 2) != 0) {
			if (t->n < ARRAY_SIZE(t->words))
				t->words[t->n++] = w;
		} else {
			id = opt_find(w + 2, len - 2);
			if (id == OPT__N)
				continue;
			t->given |= OPTSET(id);
			if (opt_defs[id].type != TYPE_FLAG && !w[len])
				t->open = id;
		}
	}
}

static void offer(FILE *f, const char *word, size_t len, const char *start)
{
	if (len >= strlen(start) && !memcmp(word, start, strlen(start)))
		fprintf(f, "%.*s\n", (int)len, word);
}

/* Members @key of the objects in a list that @member gives. */
static void offer_list(struct cli *c, FILE *f, const char *iface, const char *member, const char *key,
		       const char *start)
{
	json_t *list = NULL, *o;
	size_t i;

	if (!bus_json(c, &list, BUS_ROOT, iface, member, "")) {
		json_array_foreach(list, i, o) {
			const char *s = json_string_value(json_object_get(o, key));

			if (s)
				offer(f, s, strlen(s), start);
		}
	}
	json_decref(list);
}

static void offer_disks(struct cli *c, FILE *f, const char *vm, const char *start)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	json_t *o = NULL, *disk;
	size_t i;

	if (bus_vm_path(c, vm, &path) || bus_json(c, &o, path, IFACE_VM, "Describe", ""))
		return;
	json_array_foreach(json_object_get(o, "disks"), i, disk) {
		const char *s = json_string_value(json_object_get(disk, "name"));

		if (s)
			offer(f, s, strlen(s), start);
	}
	json_decref(o);
}

static void offer_alarms(struct cli *c, FILE *f, const char *start)
{
	json_t *list = NULL, *o;
	size_t i;

	if (bus_json(c, &list, BUS_ROOT, IFACE_MANAGER, "ListAlarms", "b", 0))
		return;
	json_array_foreach(list, i, o) {
		const char *id = json_string_value(json_object_get(o, "id"));

		if (id)
			offer(f, id, strlen(id), start);
	}
	json_decref(list);
}

static void offer_services(FILE *f, const char *start)
{
	offer(f, "attestation", strlen("attestation"), start);
	offer(f, "key-provider", strlen("key-provider"), start);
}

/* Names in an authority's answer to @verb. */
static void offer_trust(struct cli *c, FILE *f, const char *verb, const char *list, const char *start)
{
	json_t *o = NULL, *e;
	size_t i;

	if (!trust_ask(c, verb, json_object(), &o)) {
		json_array_foreach(json_object_get(o, list), i, e) {
			const char *s = json_string_value(json_object_get(e, "name"));

			if (s)
				offer(f, s, strlen(s), start);
		}
	}
	json_decref(o);
}

/* What the desired state of a Trust Authority has. */
static const struct {
	const char *kind, *verb, *list;
} trust_kinds[] = {
	{ "AUTHORITY", "authority-list", "authorities" }, { "CA", "ca-list", "ca_certificates" },
	{ "EK", "ek-list", "eks" }, { "IMAGE", "base-image-list", "images" },
	{ "KEY-PROVIDER", "key-provider-list", "key_providers" }, { "PRINCIPAL", "principal-list", "principals" },
};

static bool is_kind(const char *kind, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(kind, name, len);
}

/* Candidates for an operand or a value; the word in the pattern or the metavar says which. */
static void offer_kind(struct cli *c, FILE *f, const char *kind, size_t len, const struct typed *t,
		       const char *start)
{
	if (is_kind(kind, len, "VM"))
		offer_list(c, f, IFACE_MANAGER, "ListVMs", "name", start);
	else if (is_kind(kind, len, "DATASTORE"))
		offer_list(c, f, IFACE_DATASTORES, "ListDatastores", "name", start);
	else if (is_kind(kind, len, "PROVIDER"))
		offer_list(c, f, IFACE_MANAGER, "ListProviders", "name", start);
	else if (is_kind(kind, len, "PEER"))
		offer_list(c, f, IFACE_MANAGER, "ListPeers", "name", start);
	else if (is_kind(kind, len, "KEY"))
		offer_list(c, f, IFACE_MANAGER, "ListKeys", "id", start);
	else if (is_kind(kind, len, "ALARM"))
		offer_alarms(c, f, start);
	else if (is_kind(kind, len, "JOB"))
		offer_list(c, f, IFACE_MANAGER, "ListJobs", "id", start);
	else if (is_kind(kind, len, "DISK") && t->n > 2)
		offer_disks(c, f, t->words[2], start);
	else if (is_kind(kind, len, "FILE") || is_kind(kind, len, "CERT") ||
		 is_kind(kind, len, "KEYFILE") || is_kind(kind, len, "DEVICE"))
		fputs("<file>\n", f);
	else if (is_kind(kind, len, "DIR"))
		fputs("<dir>\n", f);
	else if (is_kind(kind, len, "SERVICE"))
		offer_services(f, start);
	for (size_t i = 0; i < ARRAY_SIZE(trust_kinds); i++)
		if (is_kind(kind, len, trust_kinds[i].kind))
			offer_trust(c, f, trust_kinds[i].verb, trust_kinds[i].list, start);
}

static void offer_value(struct cli *c, FILE *f, const struct typed *t, const char *start)
{
	const struct opt_def *o = &opt_defs[t->open];
	const char *p = o->metavar;

	if (o->type != TYPE_CHOICE) {
		offer_kind(c, f, p, strlen(p), t, start);
		return;
	}
	while (*p) {
		size_t len = strcspn(p, "|");

		offer(f, p, len, start);
		p += len + (p[len] == '|');
	}
}

static void offer_options(FILE *f, const struct typed *t, const char *start)
{
	optset set = 0;
	size_t i;
	char word[64];

	for (i = 0; i < n_verbs; i++)
		if (t->n && verb_has_prefix(&verbs[i], t->words, t->n))
			set |= verbs[i].options;
	set = (set | OPTS_GLOBAL) & (~t->given | OPT_BIT(SERVER));
	for (i = 0; i < OPT__N; i++) {
		if (!(set >> i & 1))
			continue;
		snprintf(word, sizeof(word), "--%s", opt_defs[i].name);
		offer(f, word, strlen(word), start);
	}
}

static void offer_words(struct cli *c, FILE *f, const struct typed *t, const char *start)
{
	struct pattern_word seen[64];
	size_t i, j, n_seen = 0;

	for (i = 0; i < n_verbs; i++) {
		struct pattern_word w[OPERANDS_MAX], *next;
		size_t n = pattern_split(verbs[i].pattern, w);

		if (!verb_has_prefix(&verbs[i], t->words, t->n))
			continue;
		if (t->n >= n && !w[n - 1].repeated)
			continue;
		next = &w[t->n < n ? t->n : n - 1];
		/* many verbs go on with the same word */
		for (j = 0; j < n_seen; j++)
			if (seen[j].len == next->len && !memcmp(seen[j].text, next->text, next->len))
				break;
		if (j < n_seen || n_seen == ARRAY_SIZE(seen))
			continue;
		seen[n_seen++] = *next;
		if (next->operand)
			offer_kind(c, f, next->text, next->len, t, start);
		else
			offer(f, next->text, next->len, start);
	}
}

void complete(struct cli *c, FILE *f, char *const *words, size_t n)
{
	const char *start = n ? words[n - 1] : "";
	struct typed t;

	sort_words(&t, words, n ? n - 1 : 0);
	if (t.open != OPT__N)
		offer_value(c, f, &t, start);
	else if (*start == '-')
		offer_options(f, &t, start);
	else
		offer_words(c, f, &t, start);
}
