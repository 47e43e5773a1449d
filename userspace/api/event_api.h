/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens becomes a journal entry and the signal Manager.Event. */
#ifndef VMC_API_EVENT_API_H
#define VMC_API_EVENT_API_H

#include <jansson.h>

#include "../vm/manager.h"
#include "api.h"

struct call;

int events_new(struct events **ev, struct api *a, struct vmc_error *err);
void events_free(struct events *ev);	/* nothing may post any more; NULL is fine */

/* vmm_event_fn; @data is the struct api. From any thread. */
void event_from_manager(const struct vmm_event *e, void *data);

/* From any thread. @type: see the table in event_api.c; @vm may be NULL; @details is not consumed. */
void event_tell(struct api *a, const char *type, const char *message_id, const char *vm,
		const json_t *details, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* A notification of the module. Loop thread. */
void event_from_kernel(struct api *a, const struct vmk_event *e);
/* A call that has a Job object is done. Loop thread. */
void event_job_ended(struct api *a, struct call *c);

#endif
