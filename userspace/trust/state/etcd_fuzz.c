// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as an answer of etcd: a value that is taken is a text, of a revision. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "etcd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t revision;
	char said[200], *value;
	bool succeeded;

	if (!etcd_parse_range((const char *)data, size, &revision, &value, NULL) && value && (!revision || !*value))
		abort();
	free(value);
	(void)etcd_parse_txn((const char *)data, size, &succeeded, NULL);
	etcd_parse_error((const char *)data, size, said);
	if (strlen(said) >= sizeof(said))
		abort();
	return 0;
}
