# SPDX-License-Identifier: GPL-2.0-or-later
# The certificates of etcd are made as those of key servers are.

LINK_trust/state/store_test := $(call objects,keys/kmip/mock_pki.c)
$(BUILD)/trust/state/store_test: $(call objects,keys/kmip/mock_pki.c)
