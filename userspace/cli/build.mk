# SPDX-License-Identifier: GPL-2.0-or-later
# The client's own tests against a stand-in for the daemon on a private bus.

$(BUILD)/cli/mock_service: $(BUILD)/cli/mock_service.o $(BUILD)/lib.a
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

.PHONY: check-cli
check-cli: $(BUILD)/vmcrypt $(BUILD)/cli/mock_service
	$(TOP)/selftests/cli/run.sh $(BUILD)

tests: $(BUILD)/cli/mock_service
check: check-cli
