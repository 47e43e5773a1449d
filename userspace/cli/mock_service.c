// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A stand-in for vmcryptd on a private bus, for the tests of the client: gives
 * the documented answers, keeps no keys. Each call is written to a log as
 * "INTERFACE.MEMBER SIGNATURE ARGUMENTS", so that a test sees what was sent.
 *
 *	mock_service ADDRESS LOG [empty]
 *
 * A VM called err-NAME gives the error NAME. Sources whose name holds "slow" keep
 * EncryptDisk busy until it is canceled, "resume" leaves a job behind, "die" ends
 * the service in the middle, "quiet" does not announce the job.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "../lib/util.h"
#include "bus.h"
#include "mock_log.h"

#define WEB1	"11111111-1111-4111-8111-111111111111"
#define CLASH	"22222222-2222-4222-8222-222222222222"
#define LOCKED	"33333333-3333-4333-8333-333333333333"
#define MOVING	"77777777-7777-4777-8777-777777777777"
#define MUTE	"44444444-4444-4444-8444-444444444444"	/* GetVM() of it is never answered */
#define JOB	BUS_JOBS "/7"
#define OTHERS_JOB BUS_JOBS "/6"
#define STEP_US	5000
#define STEPS	20u

struct service {
	sd_event *event;
	sd_bus *bus;
	FILE *log;
	bool empty, on, left_job;
	/* the job that runs */
	sd_bus_message *call;
	char *source;
	unsigned int step, ticks;
	bool canceled, asked;
};

static const char vm_web1[] =
	"{\"id\":\"" WEB1 "\",\"name\":\"web1\",\"bundle\":\"/srv/vm/web1.vmcrypt\",\"power\":\"%s\","
	"\"key_state\":\"ok\",\"provider\":\"kms1\","
	"\"serial\":3,\"migration\":\"required\",\"job\":null,\"mount\":null,"
	"\"home\":{\"name\":\"home\",\"path\":\"/srv/vm/web1.home\",\"key\":\"kms1/42\",\"open\":false,"
	"\"device\":null,\"cached\":true},"
	"\"disks\":[{\"name\":\"root\",\"path\":\"/srv/vm/web1-root.img\",\"key\":\"kms1/43\","
	"\"open\":false,\"device\":null,\"dm_flags\":\"no_read_workqueue\",\"generation\":2,"
	"\"cached\":false},{\"name\":\"data-1\",\"path\":\"/dev/vg0/data\",\"key\":\"kms1/44\","
	"\"open\":true,\"device\":\"/dev/mapper/vmcrypt-" WEB1 "-data-1\",\"dm_flags\":\"\","
	"\"generation\":1,\"cached\":true}]}";
static const char vm_clash[] =
	"{\"id\":\"" CLASH "\",\"name\":\"clash\",\"bundle\":\"/srv/vm/clash.vmcrypt\",\"power\":\"off\","
	"\"key_state\":\"locked\",\"shows_as\":\"invalid\",\"crypto_state\":\"locked\","
	"\"cause\":\"kms-error\",\"cause_text\":\"Virtual machine is locked because of a KMS cluster error.\","
	"\"remedy\":\"vmcrypt provider test kms1; vmcrypt vm unlock clash\",\"provider\":\"kms1\",\"disks\":[]}";
static const char alarms[] =
	"[{\"id\":\"3\",\"type\":\"vm-locked\",\"severity\":\"critical\",\"entity\":{\"kind\":\"vm\",\"id\":\"" CLASH
	"\",\"name\":\"clash\"},\"cause\":\"kms-error\",\"text\":\"Virtual machine is locked because of a KMS cluster "
	"error.\",\"reason\":\"no server of key provider 'kms1' answers\",\"remedy\":\"vmcrypt provider test kms1\\n"
	"vmcrypt vm unlock clash\",\"keys\":[{\"id\":\"kms1/44\"}],\"raised\":\"2026-01-02T00:00:00Z\","
	"\"cleared\":null,\"acknowledged\":null,\"acknowledged_by\":null}]";
static const char vm_locked[] =
	"{\"id\":\"" LOCKED "\",\"name\":\"locked\",\"power\":\"off\",\"crypto_state\":\"locked\","
	"\"home\":{\"path\":\"/srv/vm/locked.home\"},\"disks\":[{\"name\":\"root\","
	"\"path\":\"/srv/vm/locked-root.img\",\"open\":false}]}";
static const char vm_moving[] =
	"{\"id\":\"" MOVING "\",\"name\":\"moving\",\"power\":\"off\",\"job\":\"migration\","
	"\"disks\":[{\"name\":\"root\",\"path\":\"/srv/vm/moving-root.img\",\"open\":true}]}";
static const char providers[] =
	"[{\"name\":\"kms1\",\"kind\":\"kmip\",\"default\":true,\"servers\":[\"a.example:5696\","
	"\"b.example:5697\"],\"client_cert\":{\"subject\":\"CN=host1\","
	"\"not_after\":\"2027-01-01T00:00:00Z\",\"days_left\":400},\"state\":\"healthy\"}]";
static const char test_report[] =
	"{\"reachable\":%s,\"servers\":[{\"host\":\"a.example\",\"port\":5696,\"ok\":true,\"error\":null,"
	"\"latency_ms\":12,\"version\":\"1.4\",\"vendor\":\"Mock\",\"cert_subject\":\"CN=a\","
	"\"cert_not_after\":\"2026-12-24T00:00:00Z\",\"cert_days_left\":20,\"pinned\":true},"
	"{\"host\":\"b.example\",\"port\":5697,\"ok\":false,\"error\":\"connection \\u001b[31mrefused\"}],"
	"\"client_cert\":{\"subject\":\"CN=host1\",\"not_after\":\"2027-01-01T00:00:00Z\","
	"\"days_left\":400},\"warnings\":[\"the certificate of a.example expires in 20 days\"]}";
static const char keys[] =
	"[{\"id\":\"kms1/42\",\"provider\":\"kms1\",\"key\":\"42\",\"cached\":true,\"kcv\":\"0011223344556677\","
	"\"users\":1,\"vms\":[{\"id\":\"" WEB1 "\",\"name\":\"web1\",\"volumes\":[\"home\"]}]},"
	"{\"id\":\"kms1/43\",\"provider\":\"kms1\",\"key\":\"43\",\"cached\":false,"
	"\"kcv\":\"8899aabbccddeeff\",\"users\":1,\"vms\":[{\"id\":\"" WEB1 "\",\"name\":\"web1\","
	"\"volumes\":[\"root\",\"data-1\"]}]},{\"id\":\"kms1/9\",\"provider\":\"kms1\",\"key\":\"9\","
	"\"cached\":true,\"kcv\":\"0000000000000000\",\"users\":0,\"vms\":[],\"lease_left\":60}]";
static const char peers[] =
	"[{\"name\":\"hostb\",\"address\":\"192.0.2.2\",\"port\":5698,\"trust\":\"fingerprint\","
	"\"fingerprint\":\"sha256:00ff\"},{\"name\":\"bad\",\"error\":\"no address\"}]";
static const char events[] =
	"[{\"id\":7,\"time\":\"2026-01-02T00:00:02Z\",\"type\":\"vm-changed\",\"message_id\":\"00\",\"vm\":\"" WEB1
	"\",\"vm_name\":\"web1\",\"text\":\"VM 'web1' is on\",\"details\":{}},{\"id\":6,\"time\":\"2026-01-02T00:00:01Z\","
	"\"type\":\"provider-added\",\"message_id\":\"01\",\"vm\":null,\"text\":\"provider 'kms1' added\","
	"\"details\":{}}]";

/* ---- the long call --------------------------------------------------------- */

static int append_job(sd_bus_message *m, const struct service *s, const char *sender)
{
	return sd_bus_message_append(m, "a{sv}", 6, "Operation", "s", "disk-encrypt", "VM", "s", WEB1,
				     "Sender", "s", sender, "Phase", "s", "copy", "Done", "t",
				     (uint64_t)s->step << 20, "Total", "t", (uint64_t)STEPS << 20);
}

static void announce(struct service *s)
{
	sd_bus_message *m = NULL;

	if (sd_bus_message_new_signal(s->bus, &m, BUS_ROOT, "org.freedesktop.DBus.ObjectManager",
				      "InterfacesAdded") < 0 ||
	    sd_bus_message_append(m, "o", JOB) < 0 ||
	    sd_bus_message_open_container(m, 'a', "{sa{sv}}") < 0 ||
	    sd_bus_message_open_container(m, 'e', "sa{sv}") < 0 ||
	    sd_bus_message_append(m, "s", IFACE_JOB) < 0 ||
	    append_job(m, s, sd_bus_message_get_sender(s->call)) < 0 ||
	    sd_bus_message_close_container(m) < 0 || sd_bus_message_close_container(m) < 0 ||
	    sd_bus_send(s->bus, m, NULL) < 0)
		abort();
	sd_bus_message_unref(m);
}

static void changed(struct service *s, const char *path)
{
	if (sd_bus_emit_signal(s->bus, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
			       "sa{sv}as", IFACE_JOB, 1, "Done", "t", (uint64_t)s->step << 20, 0) < 0)
		abort();
}

static void end_job(struct service *s)
{
	if (s->canceled) {
		s->left_job = strstr(s->source, "resume");
		sd_bus_reply_method_errorf(s->call, "org.vmcrypt1.Error.Canceled",
					   "encryption of '%s' was canceled", s->source);
	} else {
		sd_bus_reply_method_return(s->call, "");
	}
	s->call = sd_bus_message_unref(s->call);
	free(s->source);
	s->source = NULL;
}

static int on_step(sd_event_source *timer, uint64_t now, void *data)
{
	struct service *s = data;

	if (strstr(s->source, "die"))
		_exit(0);
	/* the last step waits for what the test is about, within 10 s */
	if (s->step < STEPS - 1 || s->ticks > 2000 ||
	    !(strstr(s->source, "slow") || (strstr(s->source, "quiet") && !s->asked)))
		s->step++;
	s->ticks++;
	changed(s, OTHERS_JOB);
	changed(s, JOB);
	if (s->step == STEPS || s->canceled) {
		end_job(s);
		sd_event_source_unref(timer);
		return 0;
	}
	sd_event_source_set_time(timer, now + STEP_US);
	return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static int encrypt(struct service *s, sd_bus_message *m)
{
	sd_event_source *timer;
	const char *name, *source;
	uint64_t now;
	int r = sd_bus_message_read(m, "ss", &name, &source);

	if (r < 0 || s->call)
		return r < 0 ? r : -EBUSY;
	s->call = sd_bus_message_ref(m);
	s->source = strdup(source);
	s->step = s->ticks = 0;
	s->canceled = s->asked = false;
	if (!strstr(source, "quiet"))
		announce(s);
	sd_event_now(s->event, CLOCK_MONOTONIC, &now);
	r = sd_event_add_time(s->event, &timer, CLOCK_MONOTONIC, now + STEP_US, 1, on_step, s);
	return r < 0 ? r : 1;
}

/* ---- answers ------------------------------------------------------------------ */

static int vm_object(sd_bus_message *m)
{
	const char *vm;
	int r = sd_bus_message_read(m, "s", &vm);

	if (r < 0)
		return r;
	if (!strcmp(vm, "web1") || !strcmp(vm, WEB1))
		return sd_bus_reply_method_return(m, "o", BUS_ROOT "/vm/web1");
	if (!strcmp(vm, "clash"))
		return sd_bus_reply_method_return(m, "o", BUS_ROOT "/vm/clash");
	if (!strcmp(vm, LOCKED))
		return sd_bus_reply_method_return(m, "o", BUS_ROOT "/vm/locked");
	if (!strcmp(vm, MOVING))
		return sd_bus_reply_method_return(m, "o", BUS_ROOT "/vm/moving");
	if (!strcmp(vm, MUTE))
		return 1;
	if (!strcmp(vm, "err-AccessDenied"))
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "no");
	if (!strcmp(vm, "err-UnknownMethod"))
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_METHOD, "no");
	if (!strncmp(vm, "err-", 4)) {
		char name[128];

		snprintf(name, sizeof(name), "org.vmcrypt1.Error.%s", vm + 4);
		return sd_bus_reply_method_errorf(m, name, "the text of %s\nHint: the hint of %s", vm + 4,
						  vm + 4);
	}
	return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotFound",
					  "no VM '%s' is registered on this host\n"
					  "Hint: 'vmcrypt vm list' shows those that are", vm);
}

static int reply(sd_bus_message *m, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	r = sd_bus_reply_method_return(m, "s", text);
	free(text);
	return r;
}

static int refuse_name(sd_bus_message *m)
{
	const char *name = "";

	sd_bus_message_read(m, "s", &name);
	if (!strcmp(name, "kms1"))
		return sd_bus_reply_method_return(m, "");
	return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotFound",
					  "there is no provider '%s'\nHint: there are: kms1", name);
}

static int manager(struct service *s, sd_bus_message *m, const char *member)
{
	const char *first, *second;
	uint32_t limit;

	if (!strcmp(member, "Describe"))
		return reply(m, "{\"version\":\"0.1.0\",\"module\":{\"loaded\":true,\"version\":\"0.1.0\"},"
			     "\"default_provider\":\"kms1\",\"vms\":2,\"health\":{\"providers\":[{\"name\":\"kms1\",\"ok\":true,"
			     "\"latency_ms\":12,\"cert_days_left\":20}],\"would_lock\":[%s]},\"providers\":%s}",
			     s->empty ? "" : "{\"name\":\"web1\"}", providers);
	if (!strcmp(member, "ListVMs"))
		return s->empty ? reply(m, "[]") : reply(m, "[%s,%s]", "{\"id\":\"" WEB1
			"\",\"name\":\"web1\",\"power\":\"off\",\"key_state\":\"ok\",\"provider\":\"kms1\","
			"\"disks\":[{\"name\":\"root\"},{\"name\":\"data-1\"}]}", vm_clash);
	if (!strcmp(member, "GetVM"))
		return vm_object(m);
	if (!strcmp(member, "CreateVM") || !strcmp(member, "RegisterVM")) {
		sd_bus_message_read(m, "s", &first);
		if (!strcmp(first, "taken"))
			return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.Exists",
							  "there is a VM 'taken' already");
		return sd_bus_reply_method_return(m, "so", WEB1, BUS_ROOT "/vm/web1");
	}
	if (!strcmp(member, "ListMigrationPolicies"))
		return reply(m, "[{\"vm\":\"" WEB1 "\",\"name\":\"web1\",\"migration\":\"required\",\"encrypted\":true},"
			     "{\"vm\":\"plain\",\"name\":\"plain\",\"migration\":\"disabled\",\"encrypted\":false}]");
	if (!strcmp(member, "SetMigrationEncryption") || !strcmp(member, "UnlockVMs") || !strcmp(member, "RecryptShallow"))
		return reply(m, "{\"results\":[{\"vm\":\"" WEB1 "\",\"name\":\"web1\",\"ok\":true},"
			     "{\"vm\":\"" CLASH "\",\"name\":\"clash\",\"ok\":%s}],"
			     "\"timing\":{\"kms_ms\":12,\"netlink_ms\":3}}",
			     s->empty ? "true" : "false,\"code\":\"KeyMissing\",\"error\":"
			     "\"key kms1/44 is not on the servers\",\"hint\":\"restore it there\"");
	if (!strcmp(member, "RegisterMany"))
		return reply(m, "{\"results\":[{\"vm\":\"" WEB1 "\",\"name\":\"web1\",\"ok\":true}],\"timing\":{}}");
	if (!strcmp(member, "ListAlarms"))
		return reply(m, "%s", s->empty ? "[]" : alarms);
	if (!strcmp(member, "Forecast"))
		return s->empty ? reply(m, "{\"vms\":[],\"ok\":0}") :
			reply(m, "{\"vms\":[{\"id\":\"" WEB1 "\",\"name\":\"web1\",\"cause\":\"keys-missing-on-kms\","
			      "\"text\":\"keys are missing on KMS cluster\",\"remedy\":\"ask for kms1/43\",\"keys\":[]}],"
			      "\"ok\":1}");
	if (!strcmp(member, "Health"))
		return reply(m, "{\"providers\":[],\"keys\":[],\"unlocked\":[],\"would_lock\":[]}");
	if (!strcmp(member, "GetMetrics"))
		return reply(m, "# HELP vmcrypt_module_loaded Is it?\n# TYPE vmcrypt_module_loaded gauge\n"
			     "vmcrypt_module_loaded 1\n");
	if (!strcmp(member, "AcknowledgeAlarm")) {
		sd_bus_message_read(m, "s", &first);
		if (!*first || !strcmp(first, "3"))
			return sd_bus_reply_method_return(m, "");
		return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotFound", "no alarm '%s' is raised", first);
	}
	if (!strcmp(member, "ListProviders"))
		return reply(m, "%s", s->empty ? "[]" : providers);
	if (!strcmp(member, "AddProvider"))
		return sd_bus_reply_method_return(m, "o", BUS_ROOT "/provider/kms1");
	if (!strcmp(member, "ImportProvider"))
		return reply(m, "{\"name\":\"nkp\",\"key_id\":\"" WEB1 "\",\"restored\":%s}",
			     s->empty ? "true" : "false");
	if (!strcmp(member, "RemoveProvider") || !strcmp(member, "SetDefaultProvider"))
		return refuse_name(m);
	if (!strcmp(member, "ListKeys"))
		return reply(m, "%s", s->empty ? "[]" : keys);
	if (!strcmp(member, "ShowKey"))
		return reply(m, "{\"id\":\"kms1/42\",\"cached\":true,\"state\":\"Active\"}");
	if (!strcmp(member, "RemoveKey")) {
		sd_bus_message_read(m, "s", &first);
		if (strcmp(first, "kms1/42") != 0)
			return sd_bus_reply_method_return(m, "");
		return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.Busy",
						  "key 'kms1/42' is in use by VM 'web1'\nHint: add --force");
	}
	if (!strcmp(member, "ListJobs"))
		return reply(m, "%s", s->left_job ?
			     "[{\"id\":\"j1\",\"kind\":\"encrypt\",\"vm\":\"" WEB1 "\",\"name\":\"web1\","
			     "\"what\":\"encryption of disk 'd'\",\"done\":5,\"total\":20,"
			     "\"state\":\"pending\",\"object\":null},{\"id\":null,\"kind\":\"vm-create\","
			     "\"vm\":null,\"what\":\"format\",\"done\":0,\"total\":0,"
			     "\"state\":\"running\",\"object\":\"" OTHERS_JOB "\"}]" : "[]");
	if (!strcmp(member, "AbandonJob")) {
		s->left_job = false;
		return sd_bus_reply_method_return(m, "");
	}
	if (!strcmp(member, "Migrate")) {
		sd_bus_message_read(m, "s", &first);
		return s->empty ? sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotAuthentic",
				"connection 1 to the other host broke: not authentic\nHint: see the network") :
			reply(m, "{\"name\":\"%s\",\"to\":\"hostb\",\"dry_run\":%s,\"encrypted\":%s,\"why\":\"no module\",\"group\":"
			      "\"X25519\",\"bytes\":1048576,\"disk_bytes\":0,\"connections\":5,\"total_ms\":900,"
			      "\"downtime_ms\":30,\"keys\":[{\"volume\":\"home\",\"from\":\"provider\"},{\"volume\":\"root\","
			      "\"from\":\"sealed\",\"why\":\"no provider\"}],\"warnings\":[\"a warning\"]}", first,
			      !strcmp(first, "web1") ? "false" : "true", !strcmp(first, "web1") ? "true" : "false");
	}
	if (!strcmp(member, "ListPeers"))
		return reply(m, "%s", s->empty ? "[]" : peers);
	if (!strcmp(member, "ShowPeer"))
		return reply(m, "{\"name\":\"hostb\",\"address\":\"192.0.2.2\",\"port\":5698,\"trust\":\"fingerprint\"}");
	if (!strcmp(member, "TestPeer"))
		return reply(m, "{\"ok\":%s,\"name\":\"hostb\",\"group\":\"X25519\",\"module\":\"0.1.0\"%s}",
			     s->empty ? "false" : "true",
			     s->empty ? ",\"error\":\"the clocks are 400 s apart\"" : "");
	if (!strcmp(member, "AddPeer") || !strcmp(member, "RemovePeer"))
		return sd_bus_reply_method_return(m, "");
	if (!strcmp(member, "ListAudit"))
		return reply(m, "%s", s->empty ? "[]" :
			     "[{\"seq\":7,\"time\":\"2026-01-31T12:00:00.000Z\",\"uid\":0,\"user\":\"root\","
			     "\"action\":\"kek-fetch\",\"key\":\"kms1/42\",\"result\":\"ok\"}]");
	if (!strcmp(member, "VerifyAudit"))
		return reply(m, "%s", s->empty ?
			     "{\"ok\":false,\"entries\":6,\"last\":7,\"problems\":[{\"file\":\"a.log\",\"line\":5,"
			     "\"offset\":99,\"what\":\"entry 4 is missing before this one\"}],\"notes\":[]}" :
			     "{\"ok\":true,\"entries\":7,\"last\":7,\"problems\":[],\"notes\":[\"a note\"]}");
	if (!strcmp(member, "GetAuditHead"))
		return reply(m, "%s", "{\"seq\":7,\"hash\":\"ab\",\"anchor\":\"7:ab\"}");
	if (!strcmp(member, "ExportAudit"))
		return sd_bus_reply_method_return(m, "");
	if (!strcmp(member, "ListEvents")) {
		sd_bus_message_read(m, "u", &limit);
		/* one more, for those who follow */
		second = "{\"id\":8,\"time\":\"2026-01-02T00:00:03Z\",\"type\":\"key-created\",\"vm\":\"" WEB1 "\","
			 "\"vm_name\":\"web1\",\"text\":\"key made\",\"details\":{\"key\":\"kms1/42\"}}";
		sd_bus_emit_signal(s->bus, BUS_ROOT, IFACE_MANAGER, "Event", "ssss", "key-created", WEB1,
				   "key made", second);
		/* one that is in the list, and one of another type */
		sd_bus_emit_signal(s->bus, BUS_ROOT, IFACE_MANAGER, "Event", "ssss", "vm-changed", WEB1,
				   "VM 'web1' is on", "{\"id\":7,\"type\":\"vm-changed\",\"text\":\"twice\"}");
		return reply(m, "%s", s->empty ? "[]" : events);
	}
	return -ENOENT;
}

static int vm(struct service *s, sd_bus_message *m, const char *member, bool web1)
{
	if (!strcmp(member, "Describe"))
		return reply(m, web1 ? vm_web1 : vm_clash, s->on ? "on" : "off");
	if (!strcmp(member, "PowerOn")) {
		s->on = true;
		return web1 ? reply(m, "{\"home\":\"/run/vmcrypt/home/" WEB1 "\",\"disks\":{\"root\":"
				    "\"/dev/mapper/vmcrypt-" WEB1 "-root\",\"data-1\":\"/dev/mapper/vmcrypt-"
				    WEB1 "-data-1\"}}") :
			      reply(m, "{\"home\":\"/h\",\"disks\":{\"a-b\":\"/dev/1\",\"a.b\":\"/dev/2\"}}");
	}
	if (!strcmp(member, "PowerOff"))
		s->on = false;
	if (!strcmp(member, "OpenDisk"))
		return reply(m, "/dev/mapper/vmcrypt-" WEB1 "-root");
	if (!strcmp(member, "EncryptDisk"))
		return encrypt(s, m);
	return sd_bus_reply_method_return(m, "");
}

static int locked_vm(sd_bus_message *m, const char *member)
{
	if (!strcmp(member, "Describe"))
		return reply(m, vm_locked);
	return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.WrongState",
					  "the keys are gone\nHint: vmcrypt vm unlock locked");
}

static int moving_vm(sd_bus_message *m, const char *member)
{
	if (!strcmp(member, "Describe"))
		return reply(m, vm_moving);
	return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.Busy", "VM 'moving' is busy: migration");
}

/* A key of the right shape, into the file that came. */
static int give_recovery_key(sd_bus_message *m)
{
	int fd;

	if (sd_bus_message_rewind(m, true) < 0 || sd_bus_message_read_basic(m, 'h', &fd) < 0 ||
	    write(fd, "000011-000022", 13) != 13)
		return -EIO;
	return sd_bus_reply_method_return(m, NULL);
}

static int host(struct service *s, sd_bus_message *m, const char *member)
{
	if (!strcmp(member, "ExportImage"))
		return reply(m, "{\"v\":1,\"id\":\"00\",\"name\":\"debian-12\",\"quick_boot\":%s,\"events\":[{\"pcr\":0},{\"pcr\":4}]}",
			     s->empty ? "true" : "false");
	if (!strcmp(member, "IdentityShow"))
		return reply(m, "{\"host\":\"hosta\",\"subject\":\"CN=hosta\",\"days_left\":3650,\"sha256\":\"ab01\",%s}",
			     s->empty ? "\"listen\":null,\"error\":\"it does not listen\",\"hint\":\"set listen\"" :
					"\"listen\":\"0.0.0.0\"");
	if (!strcmp(member, "IdentityRequest"))
		return reply(m, "{\"pem\":\"-----BEGIN CERTIFICATE REQUEST-----\\n\"}");
	if (!strcmp(member, "IdentityUpload"))
		return sd_bus_reply_method_return(m, "");
	if (!strcmp(member, "PersistenceStatus"))
		return reply(m, s->empty ? "{\"enabled\":false,\"stored\":false,\"tpm\":{\"present\":false,\"tcti\":\"device:/dev/tpmrm0\","
			     "\"error\":\"there is no TPM 2.0\",\"hint\":\"turn it on\"},\"providers\":[]}" :
			     "{\"enabled\":true,\"stored\":true,\"open\":false,\"keys\":12,\"policy\":\"PCR 7 (sha256)\",\"reboots_left\":2,"
			     "\"recovery_key_exported\":false,\"error\":\"PCR 7 changed\",\"hint\":\"vmcrypt host persistence reseal\","
			     "\"code\":\"TpmPolicy\",\"tpm\":{\"present\":true,\"tcti\":\"device:/dev/tpmrm0\",\"maker\":\"IBM\","
			     "\"locked_out\":true},\"providers\":[{\"name\":\"kms1\",\"kind\":\"kmip\",\"persist\":true}]}");
	if (!strcmp(member, "PersistenceEnable") || !strcmp(member, "PersistenceReseal") ||
	    !strcmp(member, "PersistenceRecover"))
		return reply(m, "{\"stored\":3,\"failed\":[{\"key\":\"kms1/43\",\"error\":\"gone\",\"hint\":\"\"}]}");
	if (!strcmp(member, "PersistenceExportRecoveryKey"))
		return give_recovery_key(m);
	return sd_bus_reply_method_return(m, NULL);
}

static int datastores(struct service *s, sd_bus_message *m, const char *member)
{
	static const char store[] = "{\"id\":\"" WEB1 "\",\"name\":\"fast\",\"state\":\"open\",\"shows_as\":\"ok\","
		"\"mount\":\"/srv/fast\",\"autoopen\":true,\"path\":\"/dev/vg/fast\",\"free\":1073741824,\"provider\":\"kms1\","
		"\"vms\":[{\"name\":\"web1\",\"id\":\"" WEB1 "\",\"power\":\"on\"}]}";
	const char *first;

	if (!strcmp(member, "ListDatastores"))
		return s->empty ? reply(m, "[]") : reply(m, "[%s]", store);
	if (!strcmp(member, "UnlockDatastores") || !strcmp(member, "RecryptDatastores"))
		return reply(m, "{\"results\":[{\"vm\":\"" WEB1 "\",\"name\":\"fast\",\"ok\":%s}]}",
			     s->empty ? "false,\"code\":\"KeyMissing\",\"error\":\"gone\"" : "true");
	sd_bus_message_read(m, "s", &first);
	if (strcmp(first, "fast"))
		return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotFound",
						  "there is no datastore '%s' on this host", first);
	if (strstr("UnregisterDatastore RemoveDatastore CloseDatastore", member))
		return sd_bus_reply_method_return(m, "");
	return reply(m, "%s", store);
}

static const char attested[] =
	"{\"provider\":\"ta\",\"state\":\"attested\",\"attested_until\":1800000000,\"authority\":\"ta1\","
	"\"image\":{\"id\":\"00\",\"name\":\"debian-12\"},\"quick_boot\":true}";
static const char not_attested[] =
	"{\"provider\":\"ta\",\"state\":\"failed\",\"reason\":\"policy_mismatch\",\"error\":\"PCR 4 differs\","
	"\"hint\":\"import it\",\"details\":{\"pcrs\":[4],\"events\":[{\"pcr\":4,\"index\":1,\"expected\":{\"type\":"
	"\"EV_IPL\",\"text\":\"kernel 6.1\"},\"found\":null}]}}";

static int provider(struct service *s, sd_bus_message *m, const char *member)
{
	const char *verb;

	if (!strcmp(member, "Attestation"))
		return reply(m, "%s", s->empty ? not_attested : attested);
	if (!strcmp(member, "Attest") && s->empty)
		return sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.NotAttested", "PCR 4 differs");
	if (!strcmp(member, "Attest"))
		return reply(m, "%s", attested);

	if (!strcmp(member, "Describe"))
		return reply(m, "%.*s", (int)strlen(providers) - 2, providers + 1);
	if (!strcmp(member, "Test"))
		return reply(m, test_report, s->empty ? "false" : "true");
	if (!strcmp(member, "Import"))
		return reply(m, "{}");
	if (!strcmp(member, "Export"))
		return s->empty ? sd_bus_reply_method_errorf(m, "org.vmcrypt1.Error.InvalidArgument", "no backup") :
				  sd_bus_reply_method_return(m, "");
	sd_bus_message_read(m, "s", &verb);
	if (!strcmp(verb, "csr") || !strcmp(verb, "self-signed"))
		return reply(m, "{\"pem\":\"-----BEGIN %s-----\\nMIIB\\n-----END-----\\n\"}",
			     *verb == 'c' ? "CERTIFICATE REQUEST" : "CERTIFICATE");
	if (!strcmp(verb, "show"))
		return reply(m, "{\"servers\":[{\"host\":\"a.example\",\"port\":5696,\"trusted\":false,"
			     "\"pinned\":false,\"verdict\":\"not trusted: no CA signed it\",\"chain\":[{"
			     "\"subject\":\"CN=a\",\"issuer\":\"CN=a\",\"not_after\":\"2027-01-01T00:00:00Z\","
			     "\"days_left\":400,\"sha256\":\"AA:BB\",\"spki_sha256\":\"CC:DD\","
			     "\"self_signed\":true,\"pem\":\"-----BEGIN\"}]},{\"host\":\"b.example\","
			     "\"port\":5697,\"error\":\"connection refused\",\"hint\":\"start it\"}]}");
	return reply(m, "{}");
}

static int property(struct service *s, sd_bus_message *m, const char *path)
{
	const char *iface, *name, *value = NULL;
	int r = sd_bus_message_read(m, "ss", &iface, &name);

	if (r < 0)
		return r;
	if (!strcmp(name, "Power"))
		value = s->on ? "on" : "off";
	else if (!strcmp(name, "Id"))
		value = strstr(path, "clash") ? CLASH : WEB1;
	else if (!strcmp(name, "Version") || !strcmp(name, "ModuleVersion"))
		value = "0.1.0";
	return value ? sd_bus_reply_method_return(m, "v", "s", value) : -ENOENT;
}

static int job_properties(struct service *s, sd_bus_message *m, const char *path)
{
	sd_bus_message *answer = NULL;
	bool ours = !strcmp(path, JOB);
	int r = sd_bus_message_new_method_return(m, &answer);

	s->asked |= ours;
	if (r >= 0)
		r = append_job(answer, s, ours && s->call ? sd_bus_message_get_sender(s->call) : ":9.99");
	if (r >= 0)
		r = sd_bus_send(s->bus, answer, NULL);
	sd_bus_message_unref(answer);
	return r < 0 ? r : 1;
}

static int on_call(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct service *s = data;
	const char *iface = sd_bus_message_get_interface(m), *member = sd_bus_message_get_member(m);
	const char *path = sd_bus_message_get_path(m);

	(void)e;
	mock_log(s->log, m);
	if (!strcmp(iface, IFACE_MANAGER) && !strcmp(path, BUS_ROOT))
		return manager(s, m, member);
	if (!strcmp(iface, IFACE_VM) && !strcmp(path, BUS_ROOT "/vm/locked"))
		return locked_vm(m, member);
	if (!strcmp(iface, IFACE_VM) && !strcmp(path, BUS_ROOT "/vm/moving"))
		return moving_vm(m, member);
	if (!strcmp(iface, IFACE_VM))
		return vm(s, m, member, !strcmp(path, BUS_ROOT "/vm/web1"));
	if (!strcmp(iface, IFACE_HOST) && !strcmp(path, BUS_ROOT))
		return host(s, m, member);
	if (!strcmp(iface, IFACE_DATASTORES) && !strcmp(path, BUS_ROOT))
		return datastores(s, m, member);
	if (!strcmp(iface, IFACE_PROVIDER) && !strcmp(path, BUS_ROOT "/provider/kms1"))
		return provider(s, m, member);
	if (!strcmp(iface, IFACE_PROVIDER))
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_OBJECT, "Unknown object '%s'.",
						  path);
	if (!strcmp(iface, IFACE_JOB) && !strcmp(member, "Cancel")) {
		s->canceled = true;
		return sd_bus_reply_method_return(m, "");
	}
	if (!strcmp(member, "Get"))
		return property(s, m, path);
	if (!strcmp(member, "GetAll"))
		return job_properties(s, m, path);
	return 0;
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *si, void *data)
{
	(void)si;
	(void)data;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

int main(int argc, char **argv)
{
	struct service s = { 0 };
	sigset_t set;
	int r;

	if (argc < 3)
		return 1;
	s.log = fopen(argv[2], "ae");
	s.empty = argc > 3 && !strcmp(argv[3], "empty");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!s.log || sd_event_new(&s.event) < 0 || sd_bus_new(&s.bus) < 0 ||
	    sd_bus_set_address(s.bus, argv[1]) < 0 || sd_bus_set_bus_client(s.bus, 1) < 0 ||
	    sd_bus_start(s.bus) < 0 || sd_bus_attach_event(s.bus, s.event, 0) < 0 ||
	    sd_event_add_signal(s.event, NULL, SIGTERM, on_term, NULL) < 0 ||
	    sd_bus_add_fallback(s.bus, NULL, BUS_ROOT, on_call, &s) < 0 ||
	    sd_bus_request_name(s.bus, BUS_NAME, 0) < 0) {
		fprintf(stderr, "mock_service: cannot serve on %s: %m\n", argv[1]);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	r = sd_event_loop(s.event);
	sd_bus_flush_close_unref(s.bus);
	sd_event_unref(s.event);
	fclose(s.log);
	return r < 0;
}
