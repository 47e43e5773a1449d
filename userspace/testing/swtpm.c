// SPDX-License-Identifier: GPL-2.0-or-later
/* A software TPM of its own for each test, see swtpm.h. */
#include "swtpm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include "../lib/util.h"
#include "testing.h"

#define NONE		ESYS_TR_NONE
#define STOP_MS		10000
#define START_MS	30000
#define ok_tpm(call) \
	do { \
		TSS2_RC rc_ = (call); \
		if (rc_) \
			fail_msg("%s: %s", #call, Tss2_RC_Decode(rc_)); \
	} while (0)

static void run_setup(const char *state, const char *conf)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(126);
	execlp("swtpm_setup", "swtpm_setup", "--tpm2", "--tpmstate", state, "--config", conf, "--create-ek-cert", "--ecc",
	       "--overwrite", (char *)NULL);
	_exit(127);
}

void swtpm_manufacture(const char *dir, const char *name)
{
	char state[160], conf[200], ca_conf[200], options[200], text[1024];
	int status = 0;
	pid_t pid;

	snprintf(state, sizeof(state), "%s/%s", dir, name);
	snprintf(conf, sizeof(conf), "%s/setup.conf", dir);
	snprintf(ca_conf, sizeof(ca_conf), "%s/ca.conf", dir);
	snprintf(options, sizeof(options), "%s/ca.options", dir);
	snprintf(text, sizeof(text), "create_certs_tool=swtpm_localca\ncreate_certs_tool_config=%s\n"
				     "create_certs_tool_options=%s\nactive_pcr_banks = sha256\n", ca_conf, options);
	test_write_text(conf, text);
	snprintf(text, sizeof(text), "statedir = %s/ca\nsigningkey = %s/ca/signkey.pem\nissuercert = %s/ca/issuercert.pem\n"
				     "certserial = %s/ca/certserial\n", dir, dir, dir, dir);
	test_write_text(ca_conf, text);
	test_write_text(options, "--platform-manufacturer test\n--platform-version 2.1\n--platform-model qemu\n");
	mkdir(state, 0700);
	fflush(NULL);
	pid = fork();
	if (!pid)
		run_setup(state, conf);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail_msg("swtpm_setup cannot make a TPM in '%s' (status 0x%x); is the package swtpm-tools installed?", state,
			 status);
}

static int open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* In the child. It ends when the test does, however that ends. */
static void run(const struct swtpm *s, const char *pid_file, pid_t parent)
{
	char state[160], server[200], ctrl[200], pid[240], log[160];
	int fd;

	snprintf(state, sizeof(state), "dir=%s", s->dir);
	snprintf(server, sizeof(server), "type=unixio,path=%s", s->socket);
	snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s.ctrl", s->socket);
	snprintf(pid, sizeof(pid), "file=%s", pid_file);
	snprintf(log, sizeof(log), "%s/log", s->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(126);
	execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl", ctrl, "--pid",
	       pid, "--flags", "not-need-init,startup-clear", (char *)NULL);
	_exit(127);
}

/* Its sockets are there when its pid file is written; @inotify hears of that. */
static void await_start(const struct swtpm *s, int inotify, const char *pid_file)
{
	struct pollfd p[2] = { { .fd = inotify, .events = POLLIN }, { .fd = open_pid(s->pid), .events = POLLIN } };
	uint64_t until = vmc_now_ms() + START_MS, now;
	char events[4096];
	struct stat st;

	while (stat(pid_file, &st) || !st.st_size) {
		now = vmc_now_ms();
		if (now >= until || poll(p, p[1].fd >= 0 ? 2 : 1, (int)(until - now)) <= 0 || p[1].revents)
			fail_msg("swtpm does not start in '%s'; is the package swtpm installed?", s->dir);
		if (p[0].revents && read(inotify, events, sizeof(events)) < 0)
			fail_msg("cannot hear of files in '%s'", s->dir);
	}
	if (p[1].fd >= 0)
		close(p[1].fd);
}

void swtpm_start(struct swtpm *s, const char *dir, const char *name)
{
	pid_t parent = getpid();
	char path[200];
	int inotify;

	setenv("TSS2_LOG", "all+NONE", 0);	/* what is refused is what is tested */
	snprintf(s->dir, sizeof(s->dir), "%s/%s", dir, name);
	snprintf(s->socket, sizeof(s->socket), "%s/sock", s->dir);
	snprintf(s->tcti, sizeof(s->tcti), "swtpm:path=%s", s->socket);
	mkdir(s->dir, 0700);
	unlink(s->socket);
	snprintf(path, sizeof(path), "%s.ctrl", s->socket);
	unlink(path);
	snprintf(path, sizeof(path), "%s/pid", s->dir);
	unlink(path);
	inotify = inotify_init1(IN_CLOEXEC);
	if (inotify < 0 || inotify_add_watch(inotify, s->dir, IN_CLOSE_WRITE) < 0)
		fail_msg("cannot hear of files in '%s'", s->dir);
	fflush(NULL);
	s->pid = fork();
	if (!s->pid)
		run(s, path, parent);
	if (s->pid < 0)
		fail_msg("cannot fork");
	await_start(s, inotify, path);
	close(inotify);
}

static void end_process(pid_t pid)
{
	int fd = open_pid(pid);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	kill(pid, SIGTERM);
	if (fd >= 0 && poll(&p, 1, STOP_MS) != 1)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (fd >= 0)
		close(fd);
}

void swtpm_stop(struct swtpm *s, int orderly)
{
	ESYS_CONTEXT *e;

	if (!s->pid)
		return;
	if (orderly) {
		e = swtpm_open(s);
		Esys_Shutdown(e, NONE, NONE, NONE, TPM2_SU_CLEAR);
		swtpm_close(&e);
	}
	end_process(s->pid);
	s->pid = 0;
}

void swtpm_reboot(struct swtpm *s)
{
	char dir[128];
	char *name;

	swtpm_stop(s, 1);
	memcpy(dir, s->dir, sizeof(dir));
	name = strrchr(dir, '/');
	*name++ = '\0';
	swtpm_start(s, dir, name);
}

ESYS_CONTEXT *swtpm_open(const struct swtpm *s)
{
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *e = NULL;

	ok_tpm(Tss2_TctiLdr_Initialize(s->tcti, &tcti));
	ok_tpm(Esys_Initialize(&e, tcti, NULL));
	return e;
}

void swtpm_close(ESYS_CONTEXT **e)
{
	TSS2_TCTI_CONTEXT *tcti = NULL;

	Esys_GetTcti(*e, &tcti);
	Esys_Finalize(e);
	Tss2_TctiLdr_Finalize(&tcti);
}

void swtpm_extend(const struct swtpm *s, unsigned int pcr)
{
	static const TPML_DIGEST_VALUES values = {
		.count = 2,
		.digests = {
			{ .hashAlg = TPM2_ALG_SHA256, .digest.sha256 = { 1 } },
			{ .hashAlg = TPM2_ALG_SHA384, .digest.sha384 = { 1 } },
		},
	};
	ESYS_CONTEXT *e = swtpm_open(s);

	ok_tpm(Esys_PCR_Extend(e, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, NONE, NONE, &values));
	swtpm_close(&e);
}

void swtpm_clear(const struct swtpm *s)
{
	ESYS_CONTEXT *e = swtpm_open(s);

	ok_tpm(Esys_Clear(e, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, NONE, NONE));
	swtpm_close(&e);
}

int swtpm_has_nv(const struct swtpm *s, uint32_t index)
{
	ESYS_CONTEXT *e = swtpm_open(s);
	TPMS_CAPABILITY_DATA *data = NULL;
	int found;

	ok_tpm(Esys_GetCapability(e, NONE, NONE, NONE, TPM2_CAP_HANDLES, index, 1, NULL, &data));
	found = data->data.handles.count && data->data.handles.handle[0] == index;
	Esys_Free(data);
	swtpm_close(&e);
	return found;
}
