// SPDX-License-Identifier: GPL-2.0-or-later
/* A TCTI with a deadline, see link.h. */
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <tss2/tss2_tctildr.h>

#include "../../lib/util.h"

#define LINK_MAGIC	0x564d43544c4e4b31ull
#define HANDLES_MAX	4

struct link {
	TSS2_TCTI_CONTEXT_COMMON_V1 common;	/* first: the context is this */
	TSS2_TCTI_CONTEXT *inner;
	unsigned int deadline_ms;
	bool timed_out;
};

static struct link *of(TSS2_TCTI_CONTEXT *c)
{
	return (struct link *)c;
}

static TSS2_RC link_transmit(TSS2_TCTI_CONTEXT *c, size_t size, const uint8_t *command)
{
	struct link *l = of(c);

	return l->timed_out ? TSS2_TCTI_RC_IO_ERROR : Tss2_Tcti_Transmit(l->inner, size, command);
}

/* A TCTI that cannot be polled blocks, as the kernel's own driver does with deadlines of its own. */
static bool wait_readable(struct link *l)
{
	TSS2_TCTI_POLL_HANDLE h[HANDLES_MAX];
	uint64_t until = vmc_now_ms() + l->deadline_ms, now;
	size_t n = 0;
	int r;

	if (Tss2_Tcti_GetPollHandles(l->inner, NULL, &n) || !n || n > HANDLES_MAX ||
	    Tss2_Tcti_GetPollHandles(l->inner, h, &n))
		return true;
	do {
		now = vmc_now_ms();
		r = poll(h, n, now < until ? (int)(until - now) : 0);
	} while (r < 0 && errno == EINTR);
	return r != 0;
}

static TSS2_RC link_receive(TSS2_TCTI_CONTEXT *c, size_t *size, uint8_t *response, int32_t timeout)
{
	struct link *l = of(c);

	(void)timeout;
	/* With no buffer it is the size that is asked for, at once or never. */
	if (response && !wait_readable(l)) {
		l->timed_out = true;
		return TSS2_TCTI_RC_IO_ERROR;
	}
	return Tss2_Tcti_Receive(l->inner, size, response, TSS2_TCTI_TIMEOUT_BLOCK);
}

static TSS2_RC link_cancel(TSS2_TCTI_CONTEXT *c)
{
	return Tss2_Tcti_Cancel(of(c)->inner);
}

static TSS2_RC link_handles(TSS2_TCTI_CONTEXT *c, TSS2_TCTI_POLL_HANDLE *h, size_t *n)
{
	return Tss2_Tcti_GetPollHandles(of(c)->inner, h, n);
}

static TSS2_RC link_locality(TSS2_TCTI_CONTEXT *c, uint8_t locality)
{
	return Tss2_Tcti_SetLocality(of(c)->inner, locality);
}

/* link_close() does it. */
static void link_finalize(TSS2_TCTI_CONTEXT *c)
{
	(void)c;
}

TSS2_RC link_open(const char *name, unsigned int deadline_ms, TSS2_TCTI_CONTEXT **link)
{
	struct link *l = calloc(1, sizeof(*l));
	TSS2_RC rc;

	*link = NULL;
	if (!l)
		return TSS2_TCTI_RC_MEMORY;
	rc = Tss2_TctiLdr_Initialize(name, &l->inner);
	if (rc) {
		free(l);
		return rc;
	}
	l->common = (TSS2_TCTI_CONTEXT_COMMON_V1){
		.magic = LINK_MAGIC, .version = 1, .transmit = link_transmit,
		.receive = link_receive, .finalize = link_finalize, .cancel = link_cancel,
		.getPollHandles = link_handles, .setLocality = link_locality,
	};
	l->deadline_ms = deadline_ms;
	*link = (TSS2_TCTI_CONTEXT *)l;
	return 0;
}

void link_close(TSS2_TCTI_CONTEXT **link)
{
	struct link *l = of(*link);

	if (!l)
		return;
	Tss2_TctiLdr_Finalize(&l->inner);
	free(l);
	*link = NULL;
}

int link_timed_out(const TSS2_TCTI_CONTEXT *link)
{
	return ((const struct link *)link)->timed_out;
}
