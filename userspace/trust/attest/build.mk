# SPDX-License-Identifier: GPL-2.0-or-later
# Hosts of the tests show the logs of real starts that the tests of evidence have.

define attest_logs
LINK_trust/attest/$(1) := $(call mocks,trust/evidence)
$(BUILD)/trust/attest/$(1): $(call mocks,trust/evidence)
endef
$(foreach t,attest_test routes_test,$(eval $(call attest_logs,$(t))))
