# SPDX-License-Identifier: GPL-2.0-or-later
# The key servers of the tests are those of the KMIP provider's tests.

LINK_trust/kmx/kmx_test := $(call mocks,keys/kmip)
$(BUILD)/trust/kmx/kmx_test: $(call mocks,keys/kmip)
