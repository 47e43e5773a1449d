/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: joins unix sockets as a network with channels would, and breaks when told to. */
#ifndef VMC_HYPERVISOR_MOCK_RELAY_H
#define VMC_HYPERVISOR_MOCK_RELAY_H

#include <stddef.h>
#include <stdint.h>

struct relay;

/* Listens at @from; what connects there is joined with what listens at @to, in order. */
struct relay *relay_start(const char *from, const char *to);
void relay_cut_after(struct relay *r, uint64_t bytes);	/* in all, both ways: then every connection ends */
void relay_hold_after(struct relay *r, uint64_t bytes);	/* then no byte moves any more */
uint64_t relay_bytes(struct relay *r);
unsigned int relay_connections(struct relay *r);	/* so far */
void relay_stop(struct relay *r);

#endif
