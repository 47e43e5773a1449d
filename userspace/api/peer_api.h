/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods about other hosts: those of Manager about the trust store, those of Host about this host's identity. */
#ifndef VMC_API_PEER_API_H
#define VMC_API_PEER_API_H

#include "call.h"

extern const struct option_spec add_peer_options[];
int run_list_peers(struct call *c, struct backend *b, struct vmc_error *err);
int run_show_peer(struct call *c, struct backend *b, struct vmc_error *err);
int run_add_peer(struct call *c, struct backend *b, struct vmc_error *err);
int run_test_peer(struct call *c, struct backend *b, struct vmc_error *err);
int run_remove_peer(struct call *c, struct backend *b, struct vmc_error *err);

int run_identity_show(struct call *c, struct backend *b, struct vmc_error *err);
int run_identity_csr(struct call *c, struct backend *b, struct vmc_error *err);
int run_identity_upload(struct call *c, struct backend *b, struct vmc_error *err);

#endif
