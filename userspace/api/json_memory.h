/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON memory that is wiped when it is freed: arguments may hold a private key on its way to its file. */
#ifndef VMC_API_JSON_MEMORY_H
#define VMC_API_JSON_MEMORY_H

/* Once, before the first JSON value is made. What json_dumps() gives is still for free(3). */
void json_memory_init(void);

#endif
