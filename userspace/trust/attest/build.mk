# SPDX-License-Identifier: GPL-2.0-or-later
# Hosts of the tests show the logs of real starts that the tests of evidence have.

LINK_trust/attest/attest_test := $(call mocks,trust/evidence)
$(BUILD)/trust/attest/attest_test: $(call mocks,trust/evidence)
