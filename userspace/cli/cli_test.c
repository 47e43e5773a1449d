// SPDX-License-Identifier: GPL-2.0-or-later
/* Command line, tables, meter, substitution, checks: what needs no daemon. */
#include <ftw.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../lib/util.h"
#include "args.h"
#include "attention.h"
#include "checks.h"
#include "help.h"
#include "meter.h"
#include "pem.h"
#include "subst.h"
#include "table.h"
#include "verbs.h"
#include "when.h"

#define WORDS_MAX 12

/* Parse a command line given as one string; words are parted by blanks. */
struct line {
	struct cli c;
	char text[256];
	char *argv[WORDS_MAX + 1];
	const char *operands[WORDS_MAX];
};

static int parse(struct line *l, const char *text)
{
	int argc = 0, r;
	char *save, *w;

	memset(l, 0, sizeof(*l));
	snprintf(l->text, sizeof(l->text), "%s", text);
	for (w = strtok_r(l->text, " ", &save); w && argc < WORDS_MAX; w = strtok_r(NULL, " ", &save))
		l->argv[argc++] = w;
	l->c.operands = l->operands;
	r = args_parse(&l->c.args, argc, l->argv, &l->c.err);
	return r ? r : verb_find(&l->c, &l->c.err);
}

static void refused(const char *text, const char *error, const char *hint)
{
	struct line l;

	assert_int_equal(parse(&l, text), VMC_EINVAL);
	assert_int_equal(l.c.err.code, VMC_EINVAL);
	if (!strstr(l.c.err.text, error) || !strstr(l.c.err.hint, hint))
		fail_msg("'%s' gives '%s', '%s'", text, l.c.err.text, l.c.err.hint);
	args_clear(&l.c.args);
}

static void test_parse(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "provider add kmip k1 --server a --tls-min=1.3 --server b:1"), 0);
	assert_ptr_equal(l.c.verb->run, verb_provider_add_kmip);
	assert_int_equal(l.c.n_operands, 1);
	assert_string_equal(l.c.operands[0], "k1");
	assert_int_equal(l.c.args.n_list, 2);
	assert_string_equal(l.c.args.list[1], "b:1");
	assert_string_equal(l.c.args.value[OPT_TLS_MIN], "1.3");
	args_clear(&l.c.args);

	assert_int_equal(parse(&l, "provider trust k1 import c.pem k.pem"), 0);
	assert_ptr_equal(l.c.verb->run, verb_trust_import);
	assert_int_equal(l.c.n_operands, 3);
	assert_string_equal(l.c.operands[2], "k.pem");
	args_clear(&l.c.args);

	assert_int_equal(parse(&l, "--json vm unlock a b c"), 0);
	assert_int_equal(l.c.n_operands, 3);
	assert_true(args_has(&l.c.args, OPT_JSON));
	args_clear(&l.c.args);

	assert_int_equal(parse(&l, "disk create v d --size 2G --dm-flags no_read_workqueue"), 0);
	assert_int_equal(l.c.args.number[OPT_SIZE], 2ull << 30);
	args_clear(&l.c.args);

	assert_int_equal(parse(&l, "vm power-on v --exec -- qemu --json x"), 0);
	assert_false(args_has(&l.c.args, OPT_JSON));
	assert_string_equal(l.c.args.command[1], "--json");
	args_clear(&l.c.args);
}

static void test_parse_path(void **state)
{
	char cwd[4096], want[4200];
	struct line l;

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "%s/x", cwd);
	assert_int_equal(parse(&l, "vm create n --dir x"), 0);
	assert_string_equal(l.c.args.value[OPT_DIR], want);
	args_clear(&l.c.args);
}

static void test_refused(void **state)
{
	(void)state;
	refused("vm crate", "unknown verb 'vm crate'", "'vm create'");
	refused("disks list", "unknown verb 'disks'", "'disk'");
	refused("zzzzzz", "unknown verb 'zzzzzz'", "lists the verbs");
	refused("vm", "'vm' is not complete", "--help");
	refused("provider trust k", "not complete", "--help");
	refused("provider trust k cst", "unknown verb", "trust k csr");
	refused("vm show", "needs VM", "usage");
	refused("vm show a b", "'b' is one word too many", "usage");
	refused("vm list --size 1", "has no option '--size'", "--help");
	refused("vm create n", "needs the option '--dir DIR'", "");
	refused("vm create n --dri x", "unknown option '--dri'", "--dir");
	refused("vm list -j", "unknown option '-j'", "two dashes");
	refused("vm list --json=1", "takes no value", "");
	refused("disk create v d --size", "needs a value", "");
	refused("disk create v d --size 0", "is not a size", "20G");
	refused("disk create v d --size 5parsecs", "is not a size", "20G");
	refused("event list --limit 0", "a number from 1", "");
	refused("event list --limit 4294967296", "a number from 1", "");
	refused("event list --limit 1x", "a number from 1", "");
	refused("disk encrypt v d --source s --format vmdk", "raw|qcow2", "");
	refused("disk encrypt v d --source s --format raw|qcow2", "raw|qcow2", "");
	refused("datastore remove s", "needs the option '--force", "");
	refused("datastore recrypt --all", "needs the option '--shallow", "");
	refused("datastore set s --autoopen maybe", "yes|no", "");
	refused("datastore create n /dev/vdb --fs vfat", "ext4|xfs", "");
	refused("vm list -- x", "without --exec", "power-on");
}

/* "=VALUE" that the option takes. */
static const char *a_value(const struct opt_def *o)
{
	static char word[64];

	if (o->type == TYPE_FLAG)
		return "";
	snprintf(word, sizeof(word), "=%.*s", (int)strcspn(o->metavar, "|"), o->type == TYPE_CHOICE ? o->metavar : "1");
	return word;
}

/* Every verb can be typed as its own pattern says, and is found by nothing less. */
static void test_every_verb(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < n_verbs; i++) {
		char text[256], usage[1024];
		struct line l;
		size_t used = 0, j;
		struct pattern_word w[OPERANDS_MAX];
		size_t n = pattern_split(verbs[i].pattern, w);

		*text = '\0';
		for (j = 0; j < n; j++)
			used += snprintf(text + used, sizeof(text) - used, "%.*s ", (int)w[j].len,
					 w[j].text);
		for (j = 0; j < OPT__N; j++)
			if (verbs[i].required >> j & 1)
				used += snprintf(text + used, sizeof(text) - used, "--%s%s ", opt_defs[j].name,
						 a_value(&opt_defs[j]));
		assert_int_equal(parse(&l, text), 0);
		assert_ptr_equal(l.c.verb, &verbs[i]);
		args_clear(&l.c.args);
		help_usage(&verbs[i], usage, sizeof(usage));
		assert_true(strlen(usage) < sizeof(usage) - 1);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "create", "register", "power-on", "power-off" };

	(void)state;
	/* families behind many other verbs are found, too */
	refused("trsut status", "unknown verb 'trsut'", "did you mean 'trust'?");
	refused("doctro", "unknown verb 'doctro'", "did you mean 'doctor'?");
	refused("trust base-imgae list", "unknown verb 'trust base-imgae'", "did you mean 'trust base-image'?");
	assert_string_equal(nearest_word("crate", words, 4), "create");
	assert_string_equal(nearest_word("reg", words, 4), "register");
	assert_string_equal(nearest_word("poweron", words, 4), "power-on");
	assert_null(nearest_word("frobnicate", words, 4));
	assert_null(nearest_word("averyveryverylongwordthatnobodywouldevertype", words, 4));
}

static void test_meter(void **state)
{
	struct meter m = { 0 };
	char line[256];

	(void)state;
	meter_update(&m, "copy", 0, 1000, 1000);
	assert_int_equal(meter_eta(&m), -1);
	meter_update(&m, "copy", 100, 1000, 2000);
	assert_float_equal(m.rate, 100, 0.01);
	assert_float_equal(meter_percent(&m), 10, 0.01);
	assert_int_equal(meter_eta(&m), 10);
	/* a pause lowers the rate, but not to nothing */
	meter_update(&m, "copy", 100, 1000, 7000);
	assert_float_equal(m.rate, 50, 0.01);
	/* no time between two reports */
	meter_update(&m, "copy", 200, 1000, 7000);
	assert_int_equal(m.done, 200);
	assert_float_equal(m.rate, 50, 0.01);
	meter_update(&m, "copy", 200, 1000, 8000);
	assert_true(m.rate > 50 && m.rate < 100);
	meter_update(&m, "check", 0, 1000, 9000);
	assert_int_equal(m.rate, 0);
	meter_update(&m, "check", 2000, 1000, 10000);
	assert_int_equal(m.done, 1000);
	assert_int_equal(meter_eta(&m), 0);
	meter_line(&m, 60, line, sizeof(line));
	assert_true(strlen(line) <= 60);
	assert_non_null(strstr(line, "100.0%"));
	assert_non_null(strstr(line, "####"));
	assert_null(strstr(line, "."  "."));
	meter_line(&m, 10, line, sizeof(line));
	assert_true(strlen(line) <= 10);
	/* total not known */
	meter_update(&m, "wait", 5, 0, 11000);
	assert_true(meter_percent(&m) < 0);
	assert_int_equal(meter_eta(&m), -1);
	/* huge numbers stay numbers */
	meter_update(&m, "big", 0, UINT64_MAX, 12000);
	meter_update(&m, "big", 1, UINT64_MAX, 13000);
	assert_int_equal(meter_eta(&m), -1);
}

static char *printed(const struct table *t)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(table_print(t, f, 0, false), 0);
	fclose(f);
	return text;
}

static void test_table(void **state)
{
	struct table *t = table_new(3);
	char *text;

	(void)state;
	table_cell(t, "NAME", STYLE_BOLD, false);
	table_cell(t, "SIZE", STYLE_BOLD, true);
	table_cell(t, "X", STYLE_BOLD, false);
	table_cell(t, "Größe", STYLE_PLAIN, false);
	table_cell(t, "12 GiB", STYLE_PLAIN, true);
	table_cell(t, "", STYLE_PLAIN, false);
	table_cell(t, "a\033[31mb", STYLE_PLAIN, false);
	table_cell(t, "1 B", STYLE_PLAIN, true);
	table_cell(t, "long text", STYLE_PLAIN, false);
	text = printed(t);
	assert_string_equal(text, "NAME       SIZE  X\n"
				  "Größe    12 GiB  -\n"
				  "a?[31mb     1 B  long text\n");
	assert_null(strstr(text, " \n"));
	free(text);
	table_free(t);
	assert_int_equal(text_width("Größe"), 5);
	assert_int_equal(text_width("\xff\xfe"), 2);
}

static json_t *on_answer(void)
{
	return json_loads("{\"home\":\"/h\",\"disks\":{\"root\":\"/dev/r\",\"data-1.x\":\"/dev/d\"}}", 0,
			  NULL);
}

static void test_subst_argv(void **state)
{
	char *argv[] = { (char *)"a{home}b{disk:root}", (char *)"{\"driver\":{disk:data-1.x}}",
			 (char *)"{other}{disk:", NULL };
	char *bad[] = { (char *)"{disk:nope}", NULL };
	json_t *on = on_answer();
	struct vmc_error err;
	char **out;

	(void)state;
	assert_int_equal(subst_argv(argv, on, &out, &err), 0);
	assert_string_equal(out[0], "a/hb/dev/r");
	assert_string_equal(out[1], "{\"driver\":/dev/d}");
	assert_string_equal(out[2], "{other}{disk:");
	assert_null(out[3]);
	strings_free(out);
	assert_int_equal(subst_argv(bad, on, &out, &err), VMC_EINVAL);
	assert_non_null(strstr(err.text, "nope"));
	json_decref(on);
}

static int has(char **env, const char *s)
{
	for (; *env; env++)
		if (!strcmp(*env, s))
			return 1;
	return 0;
}

static void test_subst_env(void **state)
{
	char *env[] = { (char *)"A=1", (char *)"VMCRYPT_DISK_OLD=x", (char *)"VMCRYPT_VM=y",
			(char *)"VMCRYPT_BUS=z", NULL };
	json_t *on = on_answer();
	struct vmc_error err;
	char **out;

	(void)state;
	assert_int_equal(subst_env(env, "id", on, &out, &err), 0);
	assert_true(has(out, "A=1") && has(out, "VMCRYPT_BUS=z"));
	assert_true(has(out, "VMCRYPT_VM=id") && has(out, "VMCRYPT_HOME=/h"));
	assert_true(has(out, "VMCRYPT_DISK_ROOT=/dev/r") && has(out, "VMCRYPT_DISK_DATA_1_X=/dev/d"));
	assert_false(has(out, "VMCRYPT_DISK_OLD=x") || has(out, "VMCRYPT_VM=y"));
	strings_free(out);
	json_object_set_new(json_object_get(on, "disks"), "DATA_1-x", json_string("/dev/e"));
	assert_int_equal(subst_env(env, "id", on, &out, &err), VMC_EINVAL);
	assert_non_null(strstr(err.text, "VMCRYPT_DISK_DATA_1_X"));
	json_decref(on);
}

static void put(const char *root, const char *path, const char *text)
{
	char full[512], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *root)
{
	assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void expect_finding(const char *root, const char *check, const char *result, const char *text,
			   const char *fix)
{
	json_t *list = json_array(), *f;
	size_t i;

	checks_kernel(list, root, "6.1");
	checks_memlock(list, root, 7, 1 << 20);
	json_array_foreach(list, i, f) {
		if (strcmp(json_string_value(json_object_get(f, "check")), check) != 0)
			continue;
		assert_string_equal(json_string_value(json_object_get(f, "result")), result);
		assert_non_null(strstr(json_string_value(json_object_get(f, "text")), text));
		assert_non_null(strstr(json_string_value(json_object_get(f, "fix")), fix));
		json_decref(list);
		return;
	}
	fail_msg("no finding '%s'", check);
}

static void test_checks(void **state)
{
	char root[] = "/tmp/vmcrypt-checks-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(root));
	expect_finding(root, "module", "fail", "not built", "dkms");
	expect_finding(root, "dm-crypt", "fail", "no dm-crypt", "linux-image");
	expect_finding(root, "AES driver", "warn", "no AES instructions", "benchmark");
	expect_finding(root, "mapper/control", "fail", "missing", "modprobe dm_mod");
	expect_finding(root, "loop-control", "fail", "missing", "modprobe loop");
	expect_finding(root, "locked memory", "warn", "cannot see", "sudo");

	put(root, "/lib/modules/6.1/modules.dep",
	    "updates/dkms/vmcrypt.ko: kernel/x.ko\nkernel/drivers/md/dm-crypt.ko.xz:\n");
	put(root, "/proc/cpuinfo", "flags\t\t: fpu aes avx\n");
	put(root, "/proc/7/limits", "Limit  Soft  Hard  Units\nMax locked memory         65536     "
				    "65536    bytes\n");
	expect_finding(root, "module", "fail", "not loaded", "modprobe vmcrypt");
	expect_finding(root, "dm-crypt", "ok", "installed", "");
	expect_finding(root, "AES driver", "ok", "AES instructions", "");
	expect_finding(root, "locked memory", "fail", "may lock", "LimitMEMLOCK");

	put(root, "/proc/crypto",
	    "name         : xts(aes)\ndriver       : xts(ecb(aes-generic))\nmodule       : xts\n"
	    "priority     : 100\n\nname         : cbc(aes)\ndriver       : cbc-aes-aesni\n"
	    "priority     : 400\n");
	expect_finding(root, "AES driver", "warn", "aes-generic", "modprobe aesni_intel");
	put(root, "/proc/crypto",
	    "name         : xts(aes)\ndriver       : xts(ecb(aes-generic))\npriority     : 100\n\n"
	    "name         : xts(aes)\ndriver       : xts-aes-aesni\npriority     : 401\n");
	put(root, "/proc/7/limits", "Max locked memory         unlimited  unlimited  bytes\n");
	put(root, "/sys/module/vmcrypt/version", "0.1.0\n");
	put(root, "/sys/module/dm_crypt/refcnt", "0\n");
	put(root, "/dev/mapper/control", "");
	put(root, "/dev/loop-control", "");
	expect_finding(root, "AES driver", "ok", "xts-aes-aesni", "");
	expect_finding(root, "module", "ok", "version 0.1.0", "");
	expect_finding(root, "dm-crypt", "ok", "there", "");
	expect_finding(root, "mapper/control", "ok", "there", "");
	expect_finding(root, "loop-control", "ok", "there", "");
	expect_finding(root, "locked memory", "ok", "may lock its", "");
	remove_tree(root);
}

static void test_when(void **state)
{
	static const struct { const char *text; int64_t want; } good[] = {
		{ "90s", 999999910 }, { "15m", 999999100 }, { "2h", 999992800 }, { "3d", 999740800 }, { "0s", 1000000000 },
		{ "2026-01-31", 1769817600 }, { "2026-01-31T12:00:00Z", 1769860800 }, { "2026-01-31 12:00", 1769860800 },
		{ "2024-02-29", 1709164800 },
	};
	static const char *const bad[] = {
		"", "h", "2", "2x", "2hh", "-2h", "+2h", "9999999999d", "99999999d", "yesterday", "2026-02-29", "2026-13-01",
		"2026-01-31T12:00:00", "2026-01-31x", " 2h", "1900-01-01",
	};
	struct vmc_error err = VMC_ERROR_INIT;
	int64_t t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(when_parse(good[i].text, 1000000000, &t, &err), 0);
		assert_true(t == good[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.hint[0] = '\0';
		assert_int_equal(when_parse(bad[i], 1000000000, &t, &err), VMC_EINVAL);
		assert_true(err.hint[0]);
	}
}

static json_t *need(const char *daemon, const char *vms, const char *alarms)
{
	json_t *d = json_loads(daemon, 0, NULL), *v = json_loads(vms, 0, NULL), *a = json_loads(alarms, 0, NULL), *list;

	assert_true(d && v && a);
	list = attention(d, v, a);
	assert_non_null(list);
	json_decref(d);
	json_decref(v);
	json_decref(a);
	return list;
}

static const char *said(const json_t *list, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(list, i), key));
}

static void test_attention(void **state)
{
	static const char well[] = "{\"module\":{\"loaded\":true},\"providers\":[{\"name\":\"k\"}]}";
	json_t *list;

	(void)state;
	list = need(well, "[{\"id\":\"1\",\"name\":\"a\",\"shows_as\":\"ok\"}]", "[]");
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	/* an alarm and the state of its VM are one thing */
	list = need(well, "[{\"id\":\"1\",\"name\":\"a\",\"shows_as\":\"invalid\"},{\"id\":\"2\",\"name\":\"b\","
		    "\"shows_as\":\"suspended\",\"cause_text\":\"by hand\",\"remedy\":\"vmcrypt vm unlock b\"}]",
		    "[{\"id\":\"7\",\"severity\":\"critical\",\"entity\":{\"kind\":\"vm\",\"id\":\"1\",\"name\":\"a\"},"
		    "\"text\":\"locked\",\"reason\":\"why\",\"remedy\":\"r\"}]");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(said(list, 0, "what"), "VM 'a' (critical, alarm 7)");
	assert_string_equal(said(list, 0, "why"), "locked why");
	assert_string_equal(said(list, 0, "do"), "r");
	assert_string_equal(said(list, 1, "what"), "VM 'b' shows as suspended");
	assert_string_equal(said(list, 1, "do"), "vmcrypt vm unlock b");
	json_decref(list);
	list = need("{\"module\":{\"loaded\":true},\"providers\":[{\"name\":\"n\",\"kind\":\"native\",\"state\":\"Not backed up\"},"
		    "{\"name\":\"m\",\"kind\":\"native\",\"state\":\"Active\"}]}", "[]", "[]");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(said(list, 0, "what"), "Key provider 'n' is not backed up");
	assert_string_equal(said(list, 0, "do"), "vmcrypt provider export n --out FILE");
	json_decref(list);
	list = need("{\"module\":{\"loaded\":false,\"error\":\"not there\",\"hint\":\"modprobe vmcrypt\"},\"providers\":[],"
		    "\"health\":{\"would_lock\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}", "[]", "[]");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(said(list, 0, "do"), "modprobe vmcrypt");
	assert_string_equal(said(list, 1, "what"), "2 VMs would be locked if this host rebooted now: 'a', 'b'");
	assert_string_equal(said(list, 2, "what"), "There is no key provider yet");
	json_decref(list);
}

static void test_pem_read(void **state)
{
	char root[] = "/tmp/vmcrypt-pem-XXXXXX", path[64], *pem;
	struct vmc_error err;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/f", root);
	put(root, "/f", "-----BEGIN EC PARAMETERS-----\nx\n-----BEGIN EC PRIVATE KEY-----\n");
	assert_int_equal(pem_read(path, "PRIVATE KEY", &pem, &err), 0);
	free(pem);
	assert_int_equal(pem_read(path, "CERTIFICATE", &pem, &err), VMC_EINVAL);
	assert_non_null(strstr(err.text, "EC PARAMETERS"));
	put(root, "/f", "-----BEGIN CERTIFICATE REQUEST-----\n");
	assert_int_equal(pem_read(path, "CERTIFICATE", &pem, &err), VMC_EINVAL);
	assert_non_null(strstr(err.text, "CERTIFICATE REQUEST"));
	put(root, "/f", "0\x82");
	assert_int_equal(pem_read(path, "CERTIFICATE", &pem, &err), VMC_EINVAL);
	put(root, "/f", "hello");
	assert_int_equal(pem_read(path, "CERTIFICATE", &pem, &err), VMC_EINVAL);
	assert_non_null(strstr(err.hint, "openssl"));
	remove_tree(root);
	assert_int_equal(pem_read(path, "CERTIFICATE", &pem, &err), VMC_ENOENT);
	assert_int_equal(pem_open(path, &fd, &err), VMC_ENOENT);
	assert_int_equal(pem_open("/dev/null", &fd, &err), VMC_EINVAL);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_parse_path),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_every_verb),
		cmocka_unit_test(test_nearest), cmocka_unit_test(test_meter),
		cmocka_unit_test(test_table), cmocka_unit_test(test_subst_argv),
		cmocka_unit_test(test_subst_env), cmocka_unit_test(test_checks),
		cmocka_unit_test(test_pem_read), cmocka_unit_test(test_when),
		cmocka_unit_test(test_attention),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
