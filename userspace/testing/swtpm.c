// SPDX-License-Identifier: GPL-2.0-or-later
/* A software TPM of its own for each test, see swtpm.h. */
#include "swtpm.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include "testing.h"

#define NONE		ESYS_TR_NONE
#define STOP_MS		10000
#define ok_tpm(call) \
	do { \
		TSS2_RC rc_ = (call); \
		if (rc_) \
			fail_msg("%s: %s", #call, Tss2_RC_Decode(rc_)); \
	} while (0)

static pid_t read_pid(const char *path)
{
	FILE *f = fopen(path, "re");
	char text[32] = "";
	long pid;

	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	pid = strtol(text, NULL, 10);
	if (pid <= 0)
		fail_msg("swtpm left no pid in '%s'", path);
	if (f)
		fclose(f);
	return (pid_t)pid;
}

/* With --daemon it returns when its sockets are there. */
static void run(const struct swtpm *s, const char *pid_file)
{
	char state[160], server[200], ctrl[200], pid[200];
	pid_t child;
	int status = -1;

	snprintf(state, sizeof(state), "dir=%s", s->dir);
	snprintf(server, sizeof(server), "type=unixio,path=%s", s->socket);
	snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s.ctrl", s->socket);
	snprintf(pid, sizeof(pid), "file=%s", pid_file);
	child = fork();
	if (!child) {
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl",
		       ctrl, "--pid", pid, "--flags", "not-need-init,startup-clear", "--daemon", (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fail_msg("swtpm does not start (status %d); is the package swtpm installed?", status);
}

void swtpm_start(struct swtpm *s, const char *dir, const char *name)
{
	char path[200];

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
	run(s, path);
	s->pid = read_pid(path);
}

static void end_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	kill(pid, SIGTERM);
	if (fd >= 0 && poll(&p, 1, STOP_MS) != 1)
		kill(pid, SIGKILL);
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
