// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The channels of vmcrypt: both ends of a migration are in one kernel, as both
 * ends of every other path are.
 */
#include <linux/vmcrypt.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/client.h"
#include "path.h"

static struct vmk *vmk;
static uint32_t migration[ENDS], next_number;

static void must(int ret, const struct vmc_error *err)
{
	if (ret)
		die("%s", err->text);
}

static void agree(void)
{
	static const enum vmk_role roles[ENDS] = { VMK_DESTINATION, VMK_SOURCE };
	uint8_t key[ENDS][VMK_PUBLIC_LEN], binding[VMK_BINDING_MIN] = "bench";
	struct vmc_error err = VMC_ERROR_INIT;
	vmc_uuid vm = { { 0xbe } };
	int i;

	must(vmk_open(&vmk, &err), &err);
	for (i = 0; i < ENDS; i++)
		must(vmk_migration_new(vmk, &vm, roles[i], VMK_MIGRATION_REQUIRED, &migration[i], key[i], &err),
		     &err);
	for (i = 0; i < ENDS; i++)
		must(vmk_migration_agree(vmk, migration[i], key[!i], binding, sizeof(binding), &err), &err);
}

static void open_channels(int wire[ENDS], int plain[ENDS], int stream[ENDS])
{
	struct vmc_error err = VMC_ERROR_INIT;
	int i;

	if (!vmk)
		agree();
	for (i = 0; i < ENDS; i++) {
		must(vmk_channel_new(vmk, migration[i], next_number, wire[i], plain[i], &stream[i], &err), &err);
		close(wire[i]);
	}
	next_number++;
}

static void direct_pair(int fd[ENDS], const struct route *route)
{
	int wire[ENDS], plain[ENDS] = { -1, -1 };

	tcp_pair(wire, route);
	open_channels(wire, plain, fd);
}

static void pump_pair(int fd[ENDS], const struct route *route)
{
	int wire[ENDS], plain[ENDS], both[2], none[ENDS], i;

	tcp_pair(wire, route);
	for (i = 0; i < ENDS; i++) {
		unix_pair(both, route);
		fd[i] = both[0];
		plain[i] = both[1];
	}
	open_channels(wire, plain, none);
	for (i = 0; i < ENDS; i++)
		close(plain[i]);
}

static void direct_finish(struct end *end)
{
	if (ioctl(end->fd, VMCRYPT_STREAM_END))
		die("the stream does not end");
}

void channels_end(void)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int i;

	for (i = 0; vmk && i < ENDS; i++)
		must(vmk_migration_del(vmk, migration[i], true, &err), &err);
}

const struct path channel_paths[] = {
	{ "pump", pump_pair, NULL, plain_send, plain_recv, socket_finish },
	{ "direct", direct_pair, NULL, plain_send, plain_recv, direct_finish },
	{ .name = NULL },
};
