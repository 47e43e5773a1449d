// SPDX-License-Identifier: GPL-2.0-or-later
/* Passwords from a file, a descriptor or the terminal. See password.h. */
#include "password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/secmem.h"
#include "../lib/util.h"

#define LINE_MAX_LEN	1024
#define HEAP		(1u << 16)

/* One line, without its end, from @fd byte by byte: what follows it stays there for others. */
static int read_line(int fd, char line[LINE_MAX_LEN + 1], struct vmc_error *err)
{
	size_t n = 0;
	ssize_t r;

	for (;;) {
		r = read(fd, line + n, 1);
		if (r < 0)
			return errno == EINTR ? vmc_fail(err, VMC_ECANCELED, "interrupted") :
			       vmc_fail_errno(err, errno, "cannot read the password");
		if (!r || line[n] == '\n')
			break;
		if (++n > LINE_MAX_LEN - 1)
			return vmc_fail(err, VMC_EINVAL, "the password is longer than %d bytes", LINE_MAX_LEN - 1);
	}
	if (n && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	return n ? 0 : vmc_fail(err, VMC_EINVAL, "the password is empty");
}

/* ---- terminal -------------------------------------------------------------------- */

static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

/* Catch what would leave the terminal without echo. */
static void catch_signals(struct sigaction before[ARRAY_SIZE(caught)])
{
	struct sigaction sa = { .sa_handler = on_signal };

	got_signal = 0;
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		sigaction(caught[i], &sa, &before[i]);
}

static void release_signals(const struct sigaction before[ARRAY_SIZE(caught)])
{
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		sigaction(caught[i], &before[i], NULL);
	if (got_signal)
		raise(got_signal);
}

static int ask(int tty, const char *prompt, char *line, struct vmc_error *err)
{
	struct sigaction before[ARRAY_SIZE(caught)];
	struct termios shown, hidden;
	int r;

	if (tcgetattr(tty, &shown))
		return vmc_fail_errno(err, errno, "cannot set up the terminal");
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	catch_signals(before);
	dprintf(tty, "%s: ", prompt);
	r = tcsetattr(tty, TCSAFLUSH, &hidden) ? vmc_fail_errno(err, errno, "cannot set up the terminal") :
						 read_line(tty, line, err);
	tcsetattr(tty, TCSAFLUSH, &shown);
	dprintf(tty, "\n");
	release_signals(before);
	return r;
}

static int no_terminal(struct vmc_error *err)
{
	vmc_fail(err, VMC_EINVAL, "there is no terminal to ask for the password at");
	vmc_hint(err, "give it by --password-file FILE or --password-fd N");
	return VMC_EINVAL;
}

static int ask_twice(int tty, const char *prompt, char *line, struct vmc_error *err)
{
	char *again = secmem_alloc(LINE_MAX_LEN + 1);
	int r;

	if (!again)
		return vmc_fail(err, VMC_ENOMEM, "no locked memory for a password");
	r = ask(tty, prompt, line, err);
	if (!r)
		r = ask(tty, _("The same again"), again, err);
	if (!r && strcmp(line, again))
		r = vmc_fail(err, VMC_EINVAL, "the two passwords differ");
	secmem_free(again, LINE_MAX_LEN + 1);
	return r;
}

static int from_terminal(const char *prompt, bool confirm, char *line, struct vmc_error *err)
{
	int r, tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (tty < 0)
		return no_terminal(err);
	r = confirm ? ask_twice(tty, prompt, line, err) : ask(tty, prompt, line, err);
	close(tty);
	return r;
}

/* ---- files ----------------------------------------------------------------------------- */

static int from_file(const char *path, char *line, struct vmc_error *err)
{
	int r, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	r = read_line(fd, line, err);
	close(fd);
	return r ? vmc_prefix(err, "%s: ", path) : 0;
}

static int from_fd(const char *number, char *line, struct vmc_error *err)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (*end || !*number || fd < 0 || fd > 1 << 20 || fcntl((int)fd, F_GETFD) < 0)
		return vmc_fail(err, VMC_EINVAL, "'%s' is no open file descriptor", number);
	return read_line((int)fd, line, err);
}

static int to_memfd(const char *line, int *fd, struct vmc_error *err)
{
	size_t n = strlen(line);

	*fd = memfd_create("vmcrypt-password", MFD_CLOEXEC);
	if (*fd >= 0 && write(*fd, line, n) == (ssize_t)n && !lseek(*fd, 0, SEEK_SET))
		return 0;
	vmc_fail_errno(err, errno, "cannot hand the password on");
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return err->code;
}

int password_get(struct cli *c, const char *prompt, bool confirm, int *fd)
{
	const char *file = cli_value(c, OPT_PASSWORD_FILE), *number = cli_value(c, OPT_PASSWORD_FD);
	struct vmc_error *err = &c->err;
	char *line;
	int r;

	*fd = -1;
	if (file && number)
		return vmc_fail(err, VMC_EINVAL, "give either --password-file or --password-fd");
	r = secmem_init(HEAP, err);
	if (r)
		return r;
	line = secmem_alloc(LINE_MAX_LEN + 1);
	if (!line)
		return vmc_fail(err, VMC_ENOMEM, "no locked memory for a password");
	r = file ? from_file(file, line, err) : number ? from_fd(number, line, err) :
	    from_terminal(prompt, confirm, line, err);
	if (!r)
		r = to_memfd(line, fd, err);
	secmem_free(line, LINE_MAX_LEN + 1);
	return r;
}
